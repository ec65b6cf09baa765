"""Turning what callers hold (lists, numpy, torch) into checked numpy arrays."""

from typing import Any

import numpy as np


def to_numpy(values: Any) -> np.ndarray:
    """Return a numpy array of a list, array or torch tensor (any device; bfloat16 becomes float32).

    Example:
        >>> to_numpy([1, 2]).tolist()
        [1, 2]
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":
            values = values.float()
        return np.asarray(values.numpy())
    return np.asarray(values)


def matrix(values: Any, name: str, *, infinite: bool = False) -> np.ndarray:
    """Return a floating [N, D] array, or raise a ValueError that names the argument and the row.

    NaN is always an error; infinite values are one unless `infinite` is set.
    """
    array = to_numpy(values)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name} must be a non-empty [N, D] array, got shape {array.shape}")
    if not np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float64)
    elif array.dtype == np.float16:
        array = array.astype(np.float32)
    good = ~np.isnan(array) if infinite else np.isfinite(array)
    bad = np.flatnonzero(~good.all(axis=1))
    if bad.size:
        kind = "NaN" if infinite else "NaN or infinite value"
        raise ValueError(f"{name} has a {kind} in row {bad[0]} ({bad.size} such rows)")
    return array


def unit_rows(values: Any, name: str) -> np.ndarray:
    """Return rows scaled to length 1; a zero row is an error because it has no direction."""
    array = matrix(values, name)
    length = np.linalg.norm(array, axis=1, keepdims=True)
    zero = np.flatnonzero(length[:, 0] == 0)
    if zero.size:
        raise ValueError(f"{name} has a zero vector in row {zero[0]}: it has no direction to compare")
    return np.asarray(array / length)


def class_labels(labels: Any, count: int, classes: int | None = None) -> np.ndarray:
    """Return int64 labels [N], checked for length and (when `classes` is given) for range."""
    array = to_numpy(labels)
    if array.ndim != 1 or array.shape[0] != count:
        raise ValueError(f"labels must have shape ({count},) to match the items, got {array.shape}")
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"labels must be whole numbers, got dtype {array.dtype}")
    if classes is not None and count and (array.min() < 0 or array.max() >= classes):
        raise ValueError(f"labels must lie in 0..{classes - 1}, got {array.min()}..{array.max()}")
    return array.astype(np.int64)

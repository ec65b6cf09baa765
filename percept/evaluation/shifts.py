"""Blurred test images, and a table of scores per shift."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from percept.evaluation.arrays import to_numpy
from percept.evaluation.statistics import bootstrap_interval, paired_difference

if TYPE_CHECKING:
    import pandas as pd


def blur(images: Any, sigma: float = 1.0) -> np.ndarray:
    """Gaussian blur of uint8 [N, H, W, 3]. `sigma` is in pixels of a 64-pixel-high image and scales with the height."""
    from scipy.ndimage import gaussian_filter

    array = to_numpy(images)
    if array.ndim != 4 or array.shape[3] != 3 or array.dtype != np.uint8:
        raise ValueError(f"images must be uint8 [N, H, W, 3], got {array.dtype} {array.shape}")
    spread = sigma * array.shape[1] / 64
    blurred = gaussian_filter(array.astype(np.float32), (0, spread, spread, 0), mode="nearest")
    return np.asarray(np.clip(np.rint(blurred), 0, 255), dtype=np.uint8)


def accuracy_by_shift(
    score: Callable[..., Any],
    image_sets: Mapping[str, Any],
    *,
    paired: Sequence[str] | None = None,
    n: int = 2000,
    seed: int = 0,
) -> "pd.DataFrame":
    """Score the same model on several image sets; the first set is the reference.

    Args:
        score: returns one number per image ([N] correctness or any score). It is called with the image set, or,
            where a set is a tuple, with its members: `score(images, labels)`.
        image_sets: {name: images} or {name: (images, labels)}; the first is the unshifted one.
        paired: names whose items are the reference's items in the same order (the pixel shifts); they get a paired
            interval of the change. Default: every bare image set with as many items as the reference.

    Returns:
        DataFrame with a row per set: `shift`, `value`, `low`, `high`, `n` (bootstrap over items), `change`,
        `change_low`, `change_high` (set minus reference; NaN where the items differ).
    """
    import pandas as pd

    if not image_sets:
        raise ValueError("image_sets is empty")
    rows = []
    reference: np.ndarray | None = None
    for name, images in image_sets.items():
        bare = not isinstance(images, tuple)
        values = to_numpy(score(images) if bare else score(*images)).astype(np.float64)
        reference = values if reference is None else reference
        interval = bootstrap_interval(values, n=n, seed=seed)
        same = (bare and values.shape == reference.shape) if paired is None else name in paired
        change = paired_difference(values, reference, n=n, seed=seed)[:3] if same else (np.nan,) * 3
        rows.append((name, *interval, *change))
    columns = ["shift", "value", "low", "high", "n", "change", "change_low", "change_high"]
    return pd.DataFrame(rows, columns=columns)

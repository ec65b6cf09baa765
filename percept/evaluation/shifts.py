"""Shifted test images: pure functions of uint8 [N, H, W, 3], and a table of scores per shift."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from percept.evaluation.arrays import to_numpy
from percept.evaluation.statistics import bootstrap_interval, paired_difference

if TYPE_CHECKING:
    import pandas as pd

Shift = Callable[[np.ndarray], np.ndarray]


def _checked(images: Any) -> np.ndarray:
    array = to_numpy(images)
    if array.ndim != 4 or array.shape[3] != 3 or array.dtype != np.uint8:
        raise ValueError(f"images must be uint8 [N, H, W, 3], got {array.dtype} {array.shape}")
    return array


def _to_bytes(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


def grayscale(images: Any) -> np.ndarray:
    """Replace colour by luma (ITU-R BT.601 weights), three equal channels."""
    array = _checked(images)
    luma = array @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return np.repeat(_to_bytes(luma)[..., None], 3, axis=3)


def blur(images: Any, sigma: float = 1.0) -> np.ndarray:
    """Gaussian blur. `sigma` is in pixels of a 64-pixel-high image and scales with the height."""
    from scipy.ndimage import gaussian_filter

    array = _checked(images)
    spread = sigma * array.shape[1] / 64
    return _to_bytes(gaussian_filter(array.astype(np.float32), (0, spread, spread, 0), mode="nearest"))


def brightness(images: Any, factor: float = 0.5) -> np.ndarray:
    """Multiply the 0..255 values by `factor` (below 1 darker, above 1 lighter), clipped."""
    return _to_bytes(_checked(images).astype(np.float32) * factor)


def noise(images: Any, sigma: float = 20.0, seed: int = 0) -> np.ndarray:
    """Add Gaussian noise of standard deviation `sigma` (grey levels of 255), the same for the same seed."""
    array = _checked(images)
    drawn = np.random.default_rng(seed).standard_normal(array.shape, dtype=np.float32)
    return _to_bytes(array + sigma * drawn)


def jpeg(images: Any, quality: int = 20) -> np.ndarray:
    """Compress and decompress every image as JPEG of the given quality (1..95)."""
    from PIL import Image

    result = np.empty_like(_checked(images))
    for index, image in enumerate(_checked(images)):
        buffer = BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=quality)
        result[index] = np.asarray(Image.open(buffer).convert("RGB"))
    return result


def pixel_shifts() -> dict[str, Shift]:
    """Return the named shifts of the reports, at their stated strengths."""
    return {
        "grayscale": grayscale,
        "blur 1 px": partial(blur, sigma=1.0),
        "blur 2 px": partial(blur, sigma=2.0),
        "darker x0.5": partial(brightness, factor=0.5),
        "brighter x1.5": partial(brightness, factor=1.5),
        "noise 20/255": partial(noise, sigma=20.0),
        "jpeg q20": partial(jpeg, quality=20),
    }


def apply_shifts(images: Any, shifts: Mapping[str, Shift] | None = None) -> dict[str, np.ndarray]:
    """Return {"clean": images, name: shifted images, ...}, ready for `accuracy_by_shift`."""
    array = _checked(images)
    chosen = pixel_shifts() if shifts is None else shifts
    return {"clean": array, **{name: shift(array) for name, shift in chosen.items()}}


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
        score: function returning one number per image ([N] correctness or any score). It is called with the
            image set, or, where a set is a tuple, with its members: `score(images, labels)`.
        image_sets: {name: images} or {name: (images, labels)}; the first is the unshifted one.
        paired: names whose items are the reference's items in the same order (the pixel shifts); they get a
            paired interval of the change. Default: every bare image set with as many items as the reference.

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

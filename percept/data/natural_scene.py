"""Natural-scene statistics: 36 numbers whose values change when a photograph is distorted, without any training.

Luminance is normalised by its local mean and deviation (MSCN coefficients). In undistorted photographs the result is
close to a Gaussian and its neighbours are weakly related; blur, noise and compression each leave their own mark on
the shape of both distributions. On drawings the numbers exist, but nothing is known of what they should be.

Sources: Mittal, Moorthy and Bovik, TIP 2012 (BRISQUE, definitions and constants); Sharifi and Leon-Garcia, 1995
(generalised Gaussian by moments); Lasmar, Stitou and Berthoumieu, ICIP 2009 (asymmetric form).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import gamma

from percept.data.statistics import to_gray

NEIGHBOURS = {"right": (0, 1), "down": (1, 0), "down right": (1, 1), "down left": (1, -1)}
SHAPES = (0.2, 10.0)  # range of the fitted shapes: 2 is a Gaussian, 1 a Laplacian, large is flat
LEAST_SIDE = 16
_FLAT = 1e-3  # local deviation in grey levels, below which only rounding is left
_CHUNK_PIXELS = 1 << 19


def natural_scene_statistics(pictures: np.ndarray | list[np.ndarray]) -> np.ndarray:
    """The 36 numbers of BRISQUE for each picture, of the picture as it is and at half its size.

    Half the size is the mean of blocks of 2 x 2 px (the authors' program shrinks by bicubic interpolation), and
    neighbours do not wrap around the edge. So numbers differ a little from other programs; do not mix them.

    Args:
        pictures: uint8 [N, H, W, 3], or a list of such pictures [H, W, 3] of any size; sides of at least 16 px.

    Returns:
        float64 [N, 36], always finite. For each scale 18 numbers: shape and variance of the coefficients, then for
        the products with the neighbour to the right, down, down right and down left: shape, mean, variance of the
        left and of the right side. Of a constant picture every shape is 10 and all else is 0.

    Raises:
        ValueError: no pictures, or one of another type, shape or size; it is named by its row.

    Example:
        >>> natural_scene_statistics(np.full((1, 16, 16, 3), 128, np.uint8))[0, :6].tolist()
        [10.0, 0.0, 10.0, 0.0, 0.0, 0.0]
    """
    if not len(pictures):
        raise ValueError("pictures is empty")
    if not isinstance(pictures, np.ndarray):
        for row, picture in enumerate(pictures):
            _check(picture, 3, f"picture {row}")
        return np.concatenate([_numbers(picture[None]) for picture in pictures])
    _check(pictures, 4, "pictures")
    step = max(1, _CHUNK_PIXELS // (pictures.shape[1] * pictures.shape[2]))
    return np.concatenate([_numbers(pictures[start : start + step]) for start in range(0, len(pictures), step)])


def _check(pictures: np.ndarray, axes: int, name: str) -> None:
    shape: tuple[int, ...] = getattr(pictures, "shape", ())
    if len(shape) != axes or shape[-1] != 3 or pictures.dtype != np.uint8:
        form = "uint8 [N, H, W, 3]" if axes == 4 else "uint8 [H, W, 3]"
        raise ValueError(f"{name} must be {form}, got {getattr(pictures, 'dtype', type(pictures))} {list(shape)}")
    if min(shape[-3:-1]) < LEAST_SIDE:
        raise ValueError(f"{name} must have sides of at least {LEAST_SIDE} px, got {shape[-3]} x {shape[-2]}")


def _numbers(pictures: np.ndarray) -> np.ndarray:
    luma = to_gray(pictures).astype(np.float64)
    height, width = (side // 2 * 2 for side in luma.shape[1:])
    blocks = luma[:, :height, :width].reshape(len(luma), height // 2, 2, width // 2, 2)
    return np.concatenate([_of_one_scale(luma), _of_one_scale(blocks.mean(axis=(2, 4)))], axis=1)


def _of_one_scale(luma: np.ndarray) -> np.ndarray:
    values = mscn(luma)
    parts = [generalised_gaussian(values.reshape(len(values), -1))]
    for down, right in NEIGHBOURS.values():
        height, width = values.shape[1:]
        first = values[:, : height - down, max(0, -right) : width - max(0, right)]
        second = values[:, down:, max(0, right) : width + min(0, right)]
        parts.append(asymmetric_gaussian((first * second).reshape(len(values), -1)))
    return np.concatenate(parts, axis=1)


def mscn(luma: np.ndarray) -> np.ndarray:
    """Mean-subtracted contrast-normalised luminance: (I - mean) / (deviation + 1).

    Mean and deviation are local, under a Gaussian window of 7 x 7 px with deviation 7/6; beyond the edge the
    nearest pixel is repeated. Where the deviation is below 0.001, which leaves nothing but rounding, the result is 0.

    Args:
        luma: float64 [N, H, W], 0 to 255.

    Returns:
        float64 [N, H, W].
    """

    def local(values: np.ndarray) -> np.ndarray:
        return np.asarray(gaussian_filter(values, 7 / 6, radius=3, mode="nearest", axes=(1, 2)))

    mean = local(luma)
    spread = np.sqrt(np.maximum(local(luma**2) - mean**2, 0))
    return np.where(spread < _FLAT, 0.0, (luma - mean) / (spread + 1))


def generalised_gaussian(samples: np.ndarray) -> np.ndarray:
    """Fit f(x) ~ exp(-(|x| / b)^shape) by its first two absolute moments.

    Args:
        samples: float64 [N, M], with mean 0.

    Returns:
        float64 [N, 2]: shape and variance. The shape stays in `SHAPES`; of samples that are all 0 it is 10.
    """
    square = (samples**2).mean(1)
    return np.stack([_shape(_over(np.abs(samples).mean(1) ** 2, square)), square], axis=1)


def asymmetric_gaussian(samples: np.ndarray) -> np.ndarray:
    """Fit a generalised Gaussian whose sides have one shape and a spread each.

    Args:
        samples: float64 [N, M], with mode 0. Zeros belong to no side, so that mirrored samples give mirrored fits.

    Returns:
        float64 [N, 4]: shape (see `generalised_gaussian`), mean, variance of the left and of the right side, each
        about 0.
    """
    left, right = (
        np.sqrt((np.where(side, samples, 0) ** 2).sum(1) / np.maximum(side.sum(1), 1))
        for side in (samples < 0, samples > 0)
    )
    ratio = _over(np.abs(samples).mean(1) ** 2, (samples**2).mean(1))
    # Lasmar's correction, written without left / right, which is undefined where a side is empty.
    both = (left**3 + right**3) * (left + right)
    shape = _shape(ratio * _over(both, (left**2 + right**2) ** 2))
    mean = (right - left) * gamma(2 / shape) / np.sqrt(gamma(1 / shape) * gamma(3 / shape))
    return np.stack([shape, mean, left**2, right**2], axis=1)


def _over(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Quotient, 1 where all samples are 0: no shape has a ratio that high, so the largest is taken."""
    return np.divide(above, below, out=np.ones_like(above), where=below > 0)


@cache
def _table() -> tuple[np.ndarray, np.ndarray]:
    """Ratios E|x|^2 / E x^2, which rise with the shape, and the shapes that have them."""
    shapes = np.linspace(*SHAPES, 9801)
    return gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes)), shapes


def _shape(ratio: np.ndarray) -> np.ndarray:
    return np.interp(ratio, *_table())

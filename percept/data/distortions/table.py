"""What the 25 distortion types are, how strong each level is, and how people scored them in KADID-10k.

Level parameters are those of public ports of the KADIS-700k generator, in the order of KADID's files (that of
type 6 is from memory). Source: Lin, Hosu and Saupe, KADID-10k: A Large-scale Artificially Distorted IQA Database,
QoMEX 2019. The cell means were computed from its 10,125 public scores.
"""

from __future__ import annotations

import operator
from typing import NamedTuple

import numpy as np

LEVELS = (1, 2, 3, 4, 5)


class Distortion(NamedTuple):
    """One type of distortion.

    Attributes:
        number: 1 to 25, as in KADID's file names.
        name: ours.
        group: KADID's.
        parameter: what its strength is.
        levels: the strength of levels 1 to 5.
        neutral: the strength at which a picture stays as it is.
        limits: least and largest strength allowed.
        monotone: whether a higher level is always a stronger distortion; types 18 and 25 pass their neutral
            point on the way.
        random: whether the seed matters.
    """

    number: int
    name: str
    group: str
    parameter: str
    levels: tuple[float, float, float, float, float]
    neutral: float
    limits: tuple[float, float]
    monotone: bool = True
    random: bool = False


_MOST = (0.0, float("inf"))
_NOISE = "variance, values in 0..1"
DISTORTIONS = (
    Distortion(1, "gaussian_blur", "blur", "sigma, px", (0.1, 0.5, 1, 2, 5), 0, _MOST),
    Distortion(2, "lens_blur", "blur", "radius of a disk, px", (1, 2, 4, 6, 8), 0, _MOST),
    Distortion(3, "motion_blur", "blur", "length of a line, px", (1, 2, 4, 6, 10), 0, _MOST, random=True),
    Distortion(4, "colour_diffusion", "colour", "blur and gain of Lab a and b", (1, 3, 6, 8, 12), 0, _MOST),
    Distortion(5, "colour_shift", "colour", "shift of green at edges, px", (1, 3, 6, 8, 12), 0, _MOST, random=True),
    Distortion(6, "colour_quantisation", "colour", "palette size, 0 = none", (64, 48, 32, 16, 8), 0, (0, 256)),
    Distortion(7, "saturation_hsv", "colour", "factor of HSV S", (0.4, 0.2, 0.1, 0, -0.4), 1, (-1, 1)),
    Distortion(8, "saturation_lab", "colour", "factor of Lab a and b", (1, 2, 3, 6, 9), 1, _MOST),
    Distortion(9, "jpeg2000", "compression", "ratio, 1 = lossless", (16, 32, 45, 120, 170), 1, (1, 1000)),
    Distortion(10, "jpeg", "compression", "quality, 100 = not compressed", (43, 36, 24, 7, 4), 100, (1, 100)),
    Distortion(11, "white_noise", "noise", _NOISE, (0.001, 0.002, 0.003, 0.005, 0.01), 0, _MOST, random=True),
    Distortion(12, "colour_noise", "noise", _NOISE, (0.0001, 0.0005, 0.001, 0.002, 0.003), 0, _MOST, random=True),
    Distortion(13, "impulse_noise", "noise", "density", (0.001, 0.005, 0.01, 0.02, 0.03), 0, (0, 1), random=True),
    Distortion(14, "multiplicative_noise", "noise", _NOISE, (0.001, 0.005, 0.01, 0.02, 0.05), 0, _MOST, random=True),
    Distortion(15, "denoised", "noise", _NOISE, (0.001, 0.002, 0.003, 0.005, 0.01), 0, _MOST, random=True),
    Distortion(16, "brighten", "brightness", "bend of the curve", (0.1, 0.2, 0.4, 0.7, 1.1), 0, _MOST),
    Distortion(17, "darken", "brightness", "bend of the curve", (0.05, 0.1, 0.2, 0.4, 0.8), 0, _MOST),
    Distortion(18, "mean_shift", "brightness", "added to 0..1", (0.15, 0.08, 0, -0.08, -0.15), 0, (-1, 1), False),
    Distortion(19, "jitter", "spatial", "spread of 5 moves, px", (0.05, 0.1, 0.2, 0.5, 1), 0, _MOST, random=True),
    Distortion(20, "patches", "spatial", "number of patches", (20, 40, 60, 80, 100), 0, (0, 10_000), random=True),
    Distortion(21, "pixelate", "spatial", "coarseness", (0.01, 0.05, 0.1, 0.2, 0.5), 0, (0, 0.9)),
    Distortion(22, "quantisation", "spatial", "grey levels", (20, 16, 13, 10, 7), 256, (2, 256)),
    Distortion(23, "colour_blocks", "spatial", "number of blocks", (2, 4, 6, 8, 10), 0, (0, 10_000), random=True),
    Distortion(24, "sharpen", "sharpness and contrast", "gain", (1, 2, 3, 6, 12), 0, _MOST),
    Distortion(
        25, "contrast", "sharpness and contrast", "boost beyond a mild one", (0.3, 0.15, 0, -0.4, -0.6), -0.2, (-2, 2),
        False,
    ),
)  # fmt: skip

# Mean score of KADID-10k per type (row) and level (column), 1 to 5, HIGHER IS BETTER although its file says "dmos".
# Always called "KADID cell means": nobody has rated our pictures.
KADID_CELL_MEANS = np.array([
    [4.61, 4.38, 2.91, 1.87, 1.30],
    [3.86, 2.65, 1.76, 1.44, 1.30],
    [4.60, 4.10, 2.85, 2.18, 1.67],
    [4.50, 2.60, 1.76, 1.61, 1.39],
    [4.23, 2.55, 1.92, 1.85, 1.86],
    [4.11, 3.97, 3.72, 3.20, 2.42],
    [2.75, 2.33, 2.26, 2.24, 2.03],
    [4.58, 3.33, 2.65, 1.82, 1.52],
    [4.55, 4.20, 3.87, 2.44, 1.39],
    [4.34, 4.25, 3.87, 1.95, 1.35],
    [3.89, 3.39, 3.05, 2.71, 2.30],
    [4.47, 3.68, 3.17, 2.69, 2.38],
    [3.58, 2.93, 2.61, 2.31, 2.13],
    [4.40, 3.58, 3.08, 2.64, 2.12],
    [3.67, 2.73, 2.20, 1.65, 1.47],
    [4.51, 4.29, 3.63, 2.70, 1.81],
    [4.60, 4.53, 4.23, 3.53, 2.22],
    [4.22, 4.52, 4.60, 4.37, 3.90],
    [4.42, 4.09, 3.24, 1.85, 1.34],
    [4.33, 3.94, 3.77, 3.46, 3.26],
    [3.89, 3.10, 2.90, 2.79, 1.50],
    [4.17, 3.93, 3.69, 3.37, 2.80],
    [2.69, 2.36, 2.30, 2.13, 2.04],
    [3.58, 2.64, 2.14, 1.61, 1.34],
    [3.42, 3.86, 4.29, 4.14, 3.32],
])  # fmt: skip
KADID_CELL_MEANS.flags.writeable = False


def distortion(kind: int | str) -> Distortion:
    """One row of the table by its number or name.

    Raises:
        ValueError: neither a number from 1 to 25 nor a name.

    Example:
        >>> distortion(10).name, distortion("jpeg").levels
        ('jpeg', (43, 36, 24, 7, 4))
    """
    if isinstance(kind, str):
        found = [row for row in DISTORTIONS if row.name == kind]
        if not found:
            raise ValueError(f"unknown distortion {kind!r}; known: {', '.join(row.name for row in DISTORTIONS)}")
        return found[0]
    number = whole(kind, "kind")
    if not 1 <= number <= len(DISTORTIONS):
        raise ValueError(f"kind must be 1 to {len(DISTORTIONS)} or a name, got {number}")
    return DISTORTIONS[number - 1]


def whole(value: object, name: str) -> int:
    """A whole number as int; True, 2.0 and the like are refused."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ValueError(f"{name} must be a whole number, got {value!r}") from None

"""Types 16 to 18, 22, 24 and 25: brightness, grey levels, sharpness, contrast. Float32 [H, W, 3] in 0..1 in and out."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from percept.data.distortions.colour import from_lab, to_lab


def _bend(values: np.ndarray, amount: float) -> np.ndarray:
    """The quadratic spline through (0, 0), (0.5, 0.5 + amount / 2) and (1, 1), kept inside 0..1."""
    return np.clip(values + np.float32(2 * amount) * values * (1 - values), 0, 1)


def brighten(values: np.ndarray, amount: float) -> np.ndarray:
    """Bend lightness upwards, bend R, G and B upwards, and take the mean of the two."""
    lab = to_lab(values)
    lab[..., 0] = 100 * _bend(lab[..., 0] / 100, amount)
    return (from_lab(lab) + _bend(values, amount)) / 2


def darken(values: np.ndarray, amount: float) -> np.ndarray:
    """Bend R, G and B downwards."""
    return _bend(values, -amount)


def mean_shift(values: np.ndarray, amount: float) -> np.ndarray:
    """Add a constant."""
    return values + np.float32(amount)


def quantisation(values: np.ndarray, levels: float) -> np.ndarray:
    """Round each channel to this many evenly spaced values."""
    steps = np.float32(round(levels) - 1)
    return np.rint(values * steps) / steps


def sharpen(values: np.ndarray, gain: float) -> np.ndarray:
    """Unsharp mask on lightness: add `gain` times its difference from a Gaussian blur (3 px)."""
    lab = to_lab(values)
    light = lab[..., 0]
    lab[..., 0] = np.clip(light + np.float32(gain) * (light - gaussian_filter(light, 3.0, mode="nearest")), 0, 100)
    return from_lab(lab)


def contrast(values: np.ndarray, amount: float) -> np.ndarray:
    """The cubic through (0, 0), (0.3, 0.25 - amount / 4), (0.7, 0.75 + amount / 4) and (1, 1).

    -0.2 is the straight line; above it contrast grows, below it shrinks.
    """
    bend = np.float32((amount + 0.2) / 0.336)
    return values + bend * values * (1 - values) * (2 * values - 1)

"""Types 1 to 3: blurs. Float32 [H, W, 3] in 0..1 in and out; edges are continued by their outermost pixels."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter


def gaussian_blur(values: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian of this standard deviation in px."""
    blurred: np.ndarray = gaussian_filter(values, (sigma, sigma, 0), mode="nearest")
    return blurred


def lens_blur(values: np.ndarray, radius: float) -> np.ndarray:
    """Mean over a disk; pixels on its rim count by how far they reach in."""
    reach = int(np.ceil(radius))
    away = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1])
    return _convolve(values, np.clip(radius + 0.5 - away, 0, 1))


def motion_blur(values: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    """Mean along a line `length` pixels long, at a random angle; one pixel or less is no motion."""
    angle = rng.uniform(0, np.pi)
    half = max(length - 1, 0) / 2
    reach = int(np.ceil(half))
    steps = np.linspace(-half, half, 8 * reach + 1)
    offsets = np.arange(-reach, reach + 1)
    # A point of the line is shared among its four pixels as in bilinear interpolation.
    down, across = (
        np.clip(1 - np.abs(offsets[:, None] - steps * turn), 0, None) for turn in (np.sin(angle), np.cos(angle))
    )
    return _convolve(values, down @ across.T)


def _convolve(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    from scipy.signal import fftconvolve

    reach = kernel.shape[0] // 2
    padded = np.pad(values, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    weights = (kernel / kernel.sum()).astype(np.float32)[..., None]
    blurred: np.ndarray = fftconvolve(padded, weights, mode="valid", axes=(0, 1))
    return blurred

"""Types 11 to 15: noise. Float32 [H, W, 3] in 0..1 in and out; variances are of values in 0..1."""

from __future__ import annotations

import numpy as np

# Full-range BT.601 (JPEG): rows R, G, B; columns Y, Cb, Cr.
_FROM_YCBCR = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32)


def _normal(values: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(values.shape, np.float32) * np.float32(np.sqrt(variance))


def white_noise(values: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise, independent in R, G and B."""
    return values + _normal(values, variance, rng)


def colour_noise(values: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise, independent in Y, Cb and Cr, which shows mostly as coloured specks."""
    return values + _normal(values, variance, rng) @ _FROM_YCBCR.T


def impulse_noise(values: np.ndarray, density: float, rng: np.random.Generator) -> np.ndarray:
    """Set this share of all values to 0 or 1, half each."""
    draw = rng.random(values.shape)
    return np.where(draw < density, (draw < density / 2).astype(np.float32), values)


def multiplicative_noise(values: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise in proportion to the value."""
    return values + values * _normal(values, variance, rng)


def denoised(values: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    """White noise, then non-local means, which leaves smooth surfaces without fine detail.

    KADID used the network DnCNN; this is another denoiser (scikit-image's, patches of 5 px, 11 px around), told the
    true variance. Variance 0 leaves nothing to remove.
    """
    if variance == 0:
        return values
    from skimage.restoration import denoise_nl_means

    noisy = np.clip(white_noise(values, variance, rng), 0, 1)
    spread = float(np.sqrt(variance))
    clean: np.ndarray = denoise_nl_means(
        noisy, patch_size=5, patch_distance=5, h=spread, sigma=spread, fast_mode=True, channel_axis=-1
    )
    return clean.reshape(values.shape)  # scikit-image drops sides of one pixel

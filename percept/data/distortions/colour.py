"""Types 4 to 8: distortions of colour. Float32 [H, W, 3] in 0..1 in and out."""

from __future__ import annotations

import warnings

import numpy as np
from PIL import Image
from scipy import ndimage

_EDGE_REACH = 4.0  # px; how far around an edge the shifted green is seen


def to_lab(values: np.ndarray) -> np.ndarray:
    """CIELAB (D65) of sRGB in 0..1, L in 0..100."""
    from skimage.color import rgb2lab

    lab: np.ndarray = rgb2lab(values)
    return lab


def from_lab(lab: np.ndarray) -> np.ndarray:
    """SRGB in 0..1; colours that sRGB lacks are cut off per channel."""
    from skimage.color import lab2rgb

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Conversion from CIE-LAB", UserWarning)
        values: np.ndarray = lab2rgb(lab)
    return values


def colour_diffusion(values: np.ndarray, amount: float) -> np.ndarray:
    """Blur Lab a and b (sigma 1.5 amount + 2) and multiply them by the amount; lightness stays.

    Below 1, the least that KADID uses, the blur fades out and the gain stays 1, so that 0 changes nothing.
    """
    sigma = 1.5 * amount + 2 * min(amount, 1)
    lab = to_lab(values)
    lab[..., 1:] = ndimage.gaussian_filter(lab[..., 1:], (sigma, sigma, 0), mode="nearest") * max(amount, 1)
    return from_lab(lab)


def colour_shift(values: np.ndarray, shift: float, rng: np.random.Generator) -> np.ndarray:
    """Move the green channel in a random direction where the picture has edges.

    The share of the moved channel is the gradient of the luma, smoothed and divided by its largest value.
    """
    angle = rng.uniform(0, 2 * np.pi)
    luma = values @ np.array([0.299, 0.587, 0.114], np.float32)
    edges = ndimage.gaussian_filter(ndimage.gaussian_gradient_magnitude(luma, 1.0), _EDGE_REACH)
    share = edges / max(edges.max(), 1e-6)
    moved = ndimage.shift(values[..., 1], (shift * np.sin(angle), shift * np.cos(angle)), order=1, mode="nearest")
    changed = values.copy()
    changed[..., 1] += share * (moved - values[..., 1])
    return changed


def colour_quantisation(values: np.ndarray, colours: float) -> np.ndarray:
    """Keep this many colours, found by median cut in the picture itself; no dither. 0 keeps all."""
    if round(colours) == 0:
        return values
    image = Image.fromarray(np.rint(values * 255).astype(np.uint8))
    few = image.quantize(round(colours), method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return np.asarray(few.convert("RGB"), np.float32) / 255


def saturation_hsv(values: np.ndarray, factor: float) -> np.ndarray:
    """Multiply the S of HSV; a negative factor turns hues into their opposites.

    V is the largest channel and every channel lies S V times something below it, hence the short form.
    """
    brightest = values.max(-1, keepdims=True)
    return brightest - np.float32(factor) * (brightest - values)


def saturation_lab(values: np.ndarray, factor: float) -> np.ndarray:
    """Multiply a and b of CIELAB."""
    return from_lab(to_lab(values) * np.array([1, factor, factor], np.float32))

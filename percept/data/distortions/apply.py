"""Distort one picture: checks, the right function, rounding back to 8 bits."""

from __future__ import annotations

import numpy as np

from percept.data.distortions import blur, colour, compression, noise, spatial, tone
from percept.data.distortions.table import LEVELS, distortion, whole

_STEADY = {
    1: blur.gaussian_blur, 2: blur.lens_blur, 4: colour.colour_diffusion, 6: colour.colour_quantisation,
    7: colour.saturation_hsv, 8: colour.saturation_lab, 9: compression.jpeg2000, 10: compression.jpeg,
    16: tone.brighten, 17: tone.darken, 18: tone.mean_shift, 21: spatial.pixelate, 22: tone.quantisation,
    24: tone.sharpen, 25: tone.contrast,
}  # fmt: skip
_RANDOM = {
    3: blur.motion_blur, 5: colour.colour_shift, 11: noise.white_noise, 12: noise.colour_noise,
    13: noise.impulse_noise, 14: noise.multiplicative_noise, 15: noise.denoised, 19: spatial.jitter,
    20: spatial.patches, 23: spatial.colour_blocks,
}  # fmt: skip


def distort(picture: np.ndarray, kind: int | str, level: int, seed: int = 0) -> np.ndarray:
    """Distort a picture by one of the 25 types of KADID-10k at one of its five levels.

    With one seed the levels of a type share their chance: the same noise field grows, the same blocks stay where
    they are and others join them. Blurs, shifts and jitter are in pixels; the patches of type 20 and the blocks of
    type 23 keep KADID's share of the area (16 and 32 px on 512 x 384 px), so they shrink on smaller pictures.

    Args:
        picture: uint8 [H, W, 3]; not changed.
        kind: 1 to 25, or a name in `DISTORTIONS`.
        level: 1 to 5. A higher level is stronger but for types 18 (level 3 does nothing) and 25.
        seed: 0 or more, of the ten random types; the others do not look at it.

    Returns:
        uint8 [H, W, 3], a new array; the same on every call.

    Raises:
        ValueError: a picture of another type or shape, an unknown kind, level or seed.

    Example:
        >>> gray = np.full((8, 8, 3), 100, np.uint8)
        >>> distort(gray, "mean_shift", 1)[0, 0].tolist()
        [138, 138, 138]
    """
    row = distortion(kind)
    if whole(level, "level") not in LEVELS:
        raise ValueError(f"level must be 1 to 5, got {level}")
    return distort_strength(picture, row.number, row.levels[level - 1], seed)


def distort_strength(picture: np.ndarray, kind: int | str, strength: float, seed: int = 0) -> np.ndarray:
    """Distort a picture by a raw parameter instead of a level.

    Args:
        picture: uint8 [H, W, 3]; not changed.
        kind: 1 to 25, or a name in `DISTORTIONS`.
        strength: the parameter that `distortion(kind)` describes. At `neutral` the picture comes back unchanged;
            types 4, 8, 16 and 24 go through CIELAB and back, which may cost 1 grey level (none was seen).
        seed: as in `distort`.

    Raises:
        ValueError: as in `distort`, or a strength outside `limits`.
    """
    row = distortion(kind)
    low, high = row.limits
    if not (isinstance(strength, (int, float, np.number)) and np.isfinite(strength) and low <= strength <= high):
        raise ValueError(f"strength of {row.name} ({row.parameter}) must be {low:g} to {high:g}, got {strength!r}")
    if whole(seed, "seed") < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    _check(picture)
    values = picture.astype(np.float32) / 255
    if row.random:
        changed = _RANDOM[row.number](values, float(strength), np.random.default_rng([seed, row.number]))
    else:
        changed = _STEADY[row.number](values, float(strength))
    return to_bytes(changed)


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Values in 0..1 as uint8, rounded; what lies outside is cut off."""
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def _check(picture: np.ndarray) -> None:
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8:
        found = getattr(picture, "dtype", type(picture).__name__)
        raise ValueError(f"picture must be a uint8 array with values 0 to 255, got {found}")
    if picture.ndim != 3 or picture.shape[2] != 3 or min(picture.shape) < 1:
        raise ValueError(f"picture must have shape [H, W, 3] (repeat a gray channel three times), got {picture.shape}")

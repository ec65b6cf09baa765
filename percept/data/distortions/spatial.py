"""Types 19, 20, 21 and 23: pixels in the wrong place. Float32 [H, W, 3] in 0..1 in and out."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates

_KADID_AREA = 512 * 384
_ROUNDS = 5


def jitter(values: np.ndarray, spread: float, rng: np.random.Generator) -> np.ndarray:
    """Five times over, fetch every pixel from a place a little off (Gaussian, this spread in px)."""
    grid = np.mgrid[: values.shape[0], : values.shape[1]].astype(np.float32)
    for _ in range(_ROUNDS):
        places = grid + np.float32(spread) * rng.standard_normal(grid.shape, np.float32)
        channels = [map_coordinates(values[..., i], places, order=1, mode="nearest") for i in range(3)]
        values = np.stack(channels, -1)
    return values


def patches(values: np.ndarray, count: float, rng: np.random.Generator) -> np.ndarray:
    """Overwrite small squares by what stands one square's side away, in a random direction."""
    changed = values.copy()
    side, corners, rest = _squares(values, 16, count, rng)
    room = np.array(values.shape[:2]) - side
    for (top, left), draw in zip(corners, rest[:, 0], strict=True):
        source = top + side * np.sin(2 * np.pi * draw), left + side * np.cos(2 * np.pi * draw)
        y, x = np.clip(np.rint(source).astype(int), 0, room)
        changed[top : top + side, left : left + side] = values[y : y + side, x : x + side]
    return changed


def colour_blocks(values: np.ndarray, count: float, rng: np.random.Generator) -> np.ndarray:
    """Overwrite squares by random colours."""
    changed = values.copy()
    side, corners, colours = _squares(values, 32, count, rng)
    for (top, left), colour in zip(corners, colours, strict=True):
        changed[top : top + side, left : left + side] = colour
    return changed


def _squares(
    values: np.ndarray, side: int, count: float, rng: np.random.Generator
) -> tuple[int, np.ndarray, np.ndarray]:
    """Side in px, int64 corners [N, 2] (top, left), and three more random numbers in 0..1 per square."""
    height, width = values.shape[:2]
    side = min(max(1, round(side * (height * width / _KADID_AREA) ** 0.5)), height, width)
    draws = rng.random((round(count), 5))
    return side, (draws[:, :2] * (height - side + 1, width - side + 1)).astype(int), draws[:, 2:]


def pixelate(values: np.ndarray, coarseness: float) -> np.ndarray:
    """Shrink to the share 0.95 - coarseness^0.6 of the side and enlarge again, by nearest neighbours.

    Below 0.01, the least that KADID uses, the missing 0.05 fades out, so that 0 changes nothing.
    """
    share = 1 - 0.05 * min(coarseness / 0.01, 1) - coarseness**0.6
    rows, columns = (_coarse(length, max(1, round(length * share))) for length in values.shape[:2])
    return values[rows][:, columns]


def _coarse(length: int, small: int) -> np.ndarray:
    """For each place of a side, the place that it shows after shrinking to `small` and enlarging."""
    kept = (np.arange(small) + 0.5) * length / small
    shown = (np.arange(length) + 0.5) * small / length
    return kept.astype(int)[shown.astype(int)]

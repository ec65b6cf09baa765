"""Depth and counting on one real photograph each: figures to look at, with no interval (`TaskScore.testable` is False).

A read-out is trained on the left of the photograph and scored on the right: it says whether features carry the
quantity on real pixels at all, and nothing about other photographs.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from percept.data import realset
from percept.data.pixels import tile_starts
from percept.evaluation.scores import TaskScore
from percept.evaluation.tasks.counting import blind_counts, counting_scores
from percept.evaluation.tasks.dense import Dense, Parts, depth_scores
from percept.evaluation.tasks.reading import Reader

_COIN_CROP, _COIN_STEP = 128, 32


def _cut(values: np.ndarray, left: int, right: int, size: int, step: int) -> np.ndarray:
    """Tiles between two columns, row by row."""
    rows, columns = tile_starts(len(values), size, step), tile_starts(right - left, size, step)
    return np.stack([values[y : y + size, left + x : left + x + size] for y in rows for x in columns])


@lru_cache(maxsize=1)
def _stereo_tiles() -> tuple[list[np.ndarray], list[np.ndarray]]:
    pair = realset.stereo()
    columns = ((0, 320), (320, 448), (448, 741))  # to train on, to choose the penalty, to score
    pictures, depths = [], []
    for left, right in columns:
        depth = _cut(pair.depth, left, right, 64, 64)
        known = np.isfinite(depth).any((1, 2))
        pictures.append(_cut(pair.left, left, right, 64, 64)[known])
        depths.append(depth[known])
    return pictures, depths


def stereo_scores(reader: Reader) -> list[TaskScore]:
    """Depth in metres of 64 px tiles of the motorcycle photograph, at native resolution."""
    pictures, depths = _stereo_tiles()
    parts = Parts(*(Dense(reader.patches(p), d) for p, d in zip(pictures, depths, strict=True)))
    return depth_scores(parts, reader.window(), prefix="stereo ", groups=np.zeros(len(depths[2])))


@lru_cache(maxsize=1)
def coin_centres() -> np.ndarray:
    """Row and column of the middle of each of the 24 coins, by local threshold: float64 [24, 2]."""
    from scipy import ndimage
    from skimage.filters import threshold_local, threshold_otsu
    from skimage.morphology import closing, footprint_rectangle

    gray = realset.coins()[0][..., 0]
    bright = gray > np.maximum(threshold_local(gray, 101, offset=0), 0.8 * threshold_otsu(gray))
    solid = ndimage.binary_fill_holes(closing(bright, footprint_rectangle((3, 3))))
    regions, _ = ndimage.label(ndimage.binary_opening(solid, iterations=4))
    sizes = np.bincount(regions.ravel())
    coins = [number for number in range(1, len(sizes)) if 500 < sizes[number] < 3500]  # the rest is ground
    return np.array(ndimage.center_of_mass(regions > 0, regions, coins))


@lru_cache(maxsize=1)
def _coin_crops() -> tuple[list[np.ndarray], list[np.ndarray]]:
    image, _ = realset.coins()
    middles = np.zeros(image.shape[:2])
    middles[tuple(coin_centres().round().astype(int).T)] = 1
    pictures, counts = [], []
    for left, right in ((0, 192), (192, 384)):
        pictures.append(_cut(image, left, right, _COIN_CROP, _COIN_STEP))
        counts.append(_cut(middles, left, right, _COIN_CROP, _COIN_STEP).sum((1, 2)))
    return pictures, counts


def coin_scores(reader: Reader) -> list[TaskScore]:
    """Coins whose middle lies in overlapping crops of one photograph."""
    pictures, counts = _coin_crops()
    known, asked = (reader.vectors(crops) for crops in pictures)
    blind = blind_counts(counts[0], np.zeros(len(known)), np.zeros(len(asked)))
    return counting_scores(known, counts[0], asked, counts[1], blind, prefix="coins", groups=np.zeros(len(asked)))

"""Does a map show what a score goes by? A map is worth nothing because it looks right; two tests go with it.

Maps of `randomised` models must look different (Adebayo et al., Sanity Checks for Saliency Maps, 2018), and removing
what the map points at must move the score more than removing tiles at random (`deletion_insertion`).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from percept.evaluation.arrays import to_numpy
from percept.evaluation.attribution import Score, checked_pixels, values_of
from percept.evaluation.correlation import srcc
from percept.evaluation.statistics import Interval, paired_difference
from percept.models.adapters import AdaptedEncoder, merged, plain_encoder
from percept.models.prefix import split_tower, tower_blocks
from percept.training.rate import Rated


def randomised(rated: Rated, seed: int = 0, share: float = 1.0) -> Rated:
    """Copy a score with weights drawn anew, from the head downwards.

    Every tensor is drawn from a normal distribution with its own mean and deviation, so that signals keep about
    their size. What was learned is gone in the head first, then in the blocks from the last to the first (with the
    norms and projection after them), then in what comes before the blocks. An adapter is merged first.

    Args:
        rated: a trained score; it stays as it is.
        seed: of the new weights.
        share: part of head, blocks and stem that is drawn anew, 0 (none) to 1 (all).

    Raises:
        ValueError: a share outside 0..1.
        percept.models.attention.AdapterError: a tower whose blocks are not known.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie in 0..1, got {share}")
    old, head = rated.encoder, copy.deepcopy(rated.head)
    encoder = merged(old) if isinstance(old, AdaptedEncoder) else plain_encoder(old, copy.deepcopy(old.model), old.name)
    count = len(tower_blocks(encoder.visual)[2])
    depth = round(share * (count + 2))
    drawn = list(head.parameters()) if depth else []
    if depth > 1:
        drawn += list((encoder.visual if depth > count + 1 else split_tower(encoder, depth - 1)[1]).parameters())
    generator = torch.Generator().manual_seed(seed)
    for values in drawn:
        noise = torch.randn(values.shape, generator=generator).to(values)
        values.data.copy_(values.mean() + values.std(correction=0) * noise)
    return replace(rated, encoder=plain_encoder(encoder, encoder.model, f"{old.name} (randomised)"), head=head)


def map_similarity(a: Any, b: Any, signed: bool = False) -> np.ndarray:
    """Rank correlation of two maps of each picture.

    Sizes alone are alike even for two random models where the picture itself is in both maps (the way from the
    baseline in integrated gradients, the contrast of a tile in occlusion): compare them with what two `randomised`
    models of different seeds share, and not with 0. Signed maps of a random model correlate with nothing.

    Args:
        a, b: maps [N, H, W].
        signed: of the maps as they are, instead of their sizes.

    Returns:
        float64 [N], -1..1; NaN where a map is the same everywhere.

    Example:
        >>> map_similarity([[[1, 2], [3, -4]]], [[[1, -2], [3, 9]]]).tolist()
        [1.0]
    """
    first, second = (to_numpy(maps).astype(np.float64) for maps in (a, b))
    if first.ndim != 3 or first.shape != second.shape or 0 in first.shape:
        raise ValueError(f"maps must be two [N, H, W] of one shape, got {first.shape} and {second.shape}")
    if not signed:
        first, second = np.abs(first), np.abs(second)
    return np.array([srcc(one.ravel(), other.ravel()) for one, other in zip(first, second, strict=True)])


class Curves(NamedTuple):
    """Score against the share of tiles: `share` [S + 1], in the map's order [N, S + 1], in random ones [R, N, S + 1].

    `area` and `random_area` are the areas under them, [N] and [R, N], in units of the score.
    """

    share: np.ndarray
    own: np.ndarray
    random: np.ndarray
    area: np.ndarray
    random_area: np.ndarray


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """Deletion and insertion curves; a gain is the area won over random orders, above 0 where the map is right."""

    deletion: Curves
    insertion: Curves
    deletion_gain: Interval
    insertion_gain: Interval


def deletion_insertion(
    score: Score, pixels: Tensor, maps: Any, steps: int = 10, *, baseline: Tensor | None = None, tile: int = 8,
    orders: int = 5, seed: int = 0, groups: Any = None, batch_size: int = 64,
) -> Faithfulness:  # fmt: skip
    """Remove (insert) tiles from the highest in the map to the lowest and watch the score fall (rise).

    Tiles and not pixels, in the random orders too: a picture riddled with single pixels is like nothing a model
    has seen, and would fall faster than any map.

    Args:
        score, pixels, baseline, batch_size: as in `score_map`.
        maps: [N, H, W], higher = raises the score. Equal tiles, such as all of a constant map, are in random order.
        steps: points of a curve after the first.
        tile: side of a tile in pixels.
        orders: random orders per picture.
        seed: of the orders and the intervals.
        groups: [N] what pictures share (`ViewPixels.owner`), for the intervals.

    Returns:
        Faithfulness; gains are paired differences over pictures.

    Raises:
        ValueError: as `score_map`, or maps that do not fit the pixels.

    Source: Petsiuk et al., RISE (2018); tiles as Samek et al. (2017).
    """
    start, values = checked_pixels(pixels, baseline), to_numpy(maps).astype(np.float64)
    if values.shape != (len(pixels), *pixels.shape[2:]) or not np.isfinite(values).all():
        raise ValueError(f"maps must be finite [N, H, W] for pixels {list(pixels.shape)}, got {values.shape}")
    if min(steps, tile, orders, batch_size) < 1:
        raise ValueError("steps, tile, orders and batch_size must be at least 1")
    rng = np.random.default_rng(seed)
    rows, columns = (np.arange(length) // tile for length in values.shape[1:])
    tiles = rows[:, None] * (columns[-1] + 1) + columns  # number of the tile of each pixel
    means = np.array([np.bincount(tiles.ravel(), one.ravel()) for one in values]) / np.bincount(tiles.ravel())
    orderings = [-means, *[np.zeros_like(means)] * orders]
    # lexsort: by the map, ties by chance; argsort of an order gives each tile its rank.
    ranks = [np.lexsort((rng.random(means.shape), order)).argsort(-1)[:, tiles] for order in orderings]
    share = np.linspace(0, 1, steps + 1)
    pair = []
    for under, over in ((pixels, start), (start, pixels)):
        curves = np.stack([_curve(score, under, over, rank, share * means.shape[1], batch_size) for rank in ranks])
        areas = np.trapezoid(curves, share)
        pair.append(Curves(share, curves[0], curves[1:], areas[0], areas[1:]))
    gains = [paired_difference(sign * each.area, sign * each.random_area.mean(0), seed=seed, groups=groups)
             for sign, each in zip((-1, 1), pair, strict=True)]  # fmt: skip
    return Faithfulness(pair[0], pair[1], gains[0], gains[1])


@torch.no_grad()
def _curve(
    score: Score, under: Tensor, over: Tensor, rank: np.ndarray, counts: np.ndarray, batch_size: int
) -> np.ndarray:
    """Scores [N, S + 1] of pictures whose first `counts` tiles show another picture."""
    place = torch.from_numpy(rank)[:, None].to(under.device)
    points = []
    for count in counts.round():
        mixed = torch.where(place < count, over, under)
        points.append(torch.cat([values_of(score, part).double().cpu() for part in mixed.split(batch_size)]))
    return torch.stack(points, 1).numpy()

"""Does a model look at what a phrase speaks of? Maps on a grid of patches against the true boxes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from percept.evaluation.arrays import to_numpy
from percept.evaluation.statistics import Interval, bootstrap_interval


class Pointing(NamedTuple):
    """Result of the pointing game, with what needs no model beside it.

    Attributes:
        accuracy: share of maps whose highest cell lies in the true box.
        centre: the same for a finger on the middle of every picture.
        random: the same for a blind finger: mean share of the picture that the box covers.
        hits: float64 [N], 1 where the map hits; of several cells that are highest, the share that hits.
    """

    accuracy: Interval
    centre: Interval
    random: Interval
    hits: np.ndarray


def pointing(maps: Any, boxes: Any, groups: Any = None, seed: int = 0) -> Pointing:
    """Whether the peak of each map lies in its box (the pointing game, Zhang et al. 2018).

    A cell points with its centre. A map that is the same everywhere points everywhere at once and scores as a blind
    finger does, so that a model that looks nowhere gains nothing by the order of the cells.

    Args:
        maps: [N, rows, columns], higher = more relevant, such as `percept.models.matched.Matched.relevance`.
        boxes: [N, 4], centre x, centre y, width, height as shares of the picture.
        groups: [N], such as the picture of each phrase: phrases of one picture are not independent.
        seed: of the bootstrap.

    Returns:
        Accuracy and baselines with 95 % bootstrap intervals.

    Raises:
        ValueError: Shapes that do not fit, a number that is not finite, or a box outside the picture.

    Example:
        >>> found = pointing([[[0, 0], [0, 1]]] * 2, [[0.75, 0.75, 0.5, 0.5], [0.25, 0.5, 0.4, 1.0]])
        >>> found.accuracy.value, found.centre.value, round(found.random.value, 3)
        (0.5, 0.5, 0.325)
    """
    values, frames = _checked(maps, boxes)
    rows, columns = values.shape[1:]
    low, high = frames[:, :2] - frames[:, 2:] / 2, frames[:, :2] + frames[:, 2:] / 2
    x, y = (np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows
    across = (x >= low[:, :1]) & (x <= high[:, :1])
    down = (y >= low[:, 1:]) & (y <= high[:, 1:])
    peak = values == values.max((1, 2), keepdims=True)
    hits = (peak & down[:, :, None] & across[:, None]).sum((1, 2)) / peak.sum((1, 2))
    centre = ((low <= 0.5) & (high >= 0.5)).all(1).astype(np.float64)
    area = (np.minimum(high, 1) - np.maximum(low, 0)).prod(1)
    own, middle, blind = (bootstrap_interval(each, seed=seed, groups=groups) for each in (hits, centre, area))
    return Pointing(own, middle, blind, hits)


def _checked(maps: Any, boxes: Any) -> tuple[np.ndarray, np.ndarray]:
    values, frames = to_numpy(maps).astype(np.float64), to_numpy(boxes).astype(np.float64)
    if values.ndim != 3 or 0 in values.shape or frames.shape != (len(values), 4):
        raise ValueError(f"need maps [N, rows, columns] and boxes [N, 4], got {values.shape} and {frames.shape}")
    for name, array in (("maps", values), ("boxes", frames)):
        bad = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(1))
        if bad.size:
            raise ValueError(f"{name}[{bad[0]}] has a number that is not finite ({bad.size} such rows)")
    low, high = frames[:, :2] - frames[:, 2:] / 2, frames[:, :2] + frames[:, 2:] / 2
    outside = np.flatnonzero(((frames[:, 2:] <= 0) | (high <= 0) | (low >= 1)).any(1))
    if outside.size:
        raise ValueError(
            f"boxes[{outside[0]}] = {frames[outside[0]].tolist()} has no area in the picture; give centre x, centre y, "
            "width and height as shares of it, not px"
        )
    return values, frames

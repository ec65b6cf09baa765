"""Do distances agree with people? Scores of triplets and pairs; the distances come from `evaluation.distances`."""

from __future__ import annotations

from typing import Any

import numpy as np

from percept.evaluation.arrays import to_numpy
from percept.evaluation.distances import (
    deep_distances,
    encoder_distances,
    encoder_features,
    histogram_distances,
    pair_distances,
    pixel_distances,
    ssim_distances,
    triplet_distances,
)

__all__ = [
    "deep_distances", "encoder_distances", "encoder_features", "histogram_distances", "jnd_map",
    "odd_one_out_accuracy", "odd_one_out_distances", "odd_one_out_items", "pair_distances", "pixel_distances",
    "ssim_distances", "strict_accuracy", "triplet_distances", "two_alternative_items", "two_alternative_score",
]  # fmt: skip
TIES = ("correct", "wrong")


def _numbers(values: Any, name: str, count: int | None = None) -> np.ndarray:
    array = to_numpy(values).astype(np.float64)
    if array.ndim != 1 or not array.size or count not in (None, array.size):
        wanted = "a non-empty vector" if count is None else f"one number per item ({count})"
        raise ValueError(f"{name} must be {wanted}, got shape {array.shape}")
    if np.isnan(array).any():
        raise ValueError(f"{name}[{np.flatnonzero(np.isnan(array))[0]}] is NaN")
    return array


def _shares(values: Any, name: str, count: int) -> np.ndarray:
    array = _numbers(values, name, count)
    bad = np.flatnonzero((array < 0) | (array > 1))
    if bad.size:
        raise ValueError(f"{name}[{bad[0]}] is {array[bad[0]]:g}; it must be a share from 0 to 1")
    return array


def two_alternative_items(d_left: Any, d_right: Any, vote_right: Any) -> np.ndarray:
    """Share of the people of each triplet who agree with the distances; a tie of distances gets one half.

    Args:
        d_left, d_right: [T] distances from the reference.
        vote_right: [T] share of the votes for right, 0..1.

    Returns:
        float64 [T] in 0..1: (d_left < d_right)(1 - p) + (d_right < d_left) p + (d_left = d_right) / 2.

    Raises:
        ValueError: lengths that differ, NaN, or a vote outside 0..1.

    Source: the 2AFC score of Zhang et al., LPIPS (2018).

    Example:
        >>> two_alternative_items([1, 2, 3], [2, 1, 3], [0.25, 0.25, 0.25]).tolist()
        [0.75, 0.25, 0.5]
    """
    left = _numbers(d_left, "d_left")
    right = _numbers(d_right, "d_right", left.size)
    share = _shares(vote_right, "vote_right", left.size)
    return np.where(left < right, 1 - share, np.where(right < left, share, 0.5))


def two_alternative_score(d_left: Any, d_right: Any, vote_right: Any) -> float:
    """Mean of `two_alternative_items`: 0.5 is chance, and with split votes even the best stays below 1."""
    return float(two_alternative_items(d_left, d_right, vote_right).mean())


def strict_accuracy(d_left: Any, d_right: Any, vote_right: Any) -> float:
    """The training-time figure of DreamSim's code: is "right is strictly nearer" the same as "vote >= 0.5"?

    A tie of distances counts as left and an even vote as right (the hinge loss takes it as left). It is no
    2AFC score; with unanimous votes and no ties the two are equal.

    Example:
        >>> strict_accuracy([1, 1], [1, 2], [0.0, 0.5])
        0.5
    """
    left = _numbers(d_left, "d_left")
    right = _numbers(d_right, "d_right", left.size)
    return float(((right < left) == (_shares(vote_right, "vote_right", left.size) >= 0.5)).mean())


def jnd_map(distance: Any, same: Any) -> float:
    """Mean average precision of calling the nearest pairs "the same", as LPIPS scores just noticeable differences.

    Pairs are sorted by distance (stable); true positives add `same`, false positives `1 - same`; the result is
    the area under precision over recall, every precision raised to the best one at a higher recall.

    Args:
        distance: [P] distances of pairs.
        same: [P] share of the people who took the two for the same, 0..1.

    Raises:
        ValueError: lengths that differ, NaN, shares outside 0..1, or no pair anybody took for the same.

    Example:
        >>> jnd_map([0.1, 0.2, 0.3], [1, 0, 1]) == 0.5 * 1 + 0.5 * 2 / 3
        True
    """
    distances = _numbers(distance, "distance")
    shares = _shares(same, "same", distances.size)
    if not shares.any():
        raise ValueError("same is 0 for every pair, so recall is undefined; at least one vote for 'same' is needed")
    found = np.cumsum(shares[np.argsort(distances, kind="stable")])
    precision = found / np.arange(1, found.size + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(found / found[-1], prepend=0.0) * best))


def odd_one_out_items(d12: Any, d13: Any, d23: Any, ties: str = "correct") -> np.ndarray:
    """0 or 1 per choice, float64 [T]: is the pair (1, 2) the nearest one, item 3 being the odd one?

    Args:
        d12, d13, d23: [T] distances of the three pairs.
        ties: "correct" (DreamSim: d12 <= both others) or "wrong" (gLocal: d12 < both).

    Raises:
        ValueError: unknown rule, lengths that differ, NaN.
    """
    if ties not in TIES:
        raise ValueError(f"ties must be one of {', '.join(TIES)}, got {ties!r}")
    kept = _numbers(d12, "d12")
    others = np.minimum(_numbers(d13, "d13", kept.size), _numbers(d23, "d23", kept.size))
    return (kept <= others if ties == "correct" else kept < others).astype(np.float64)


def odd_one_out_distances(d_left: Any, d_right: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(d12, d13, d23) of choices from the distances of the 2M triplets that `from_odd_one_out` makes of them."""
    left = _numbers(d_left, "d_left")
    right = _numbers(d_right, "d_right", left.size)
    if left.size % 2:
        raise ValueError(f"every choice gives two triplets, got {left.size}; pass all of them in order")
    return left[::2], right[::2], right[1::2]


def odd_one_out_accuracy(d12: Any, d13: Any, d23: Any, ties: str = "correct") -> float:
    """Mean of `odd_one_out_items`; chance is 1/3.

    Example:
        >>> [odd_one_out_accuracy([1, 1], [1, 2], [2, 2], ties=rule) for rule in ("correct", "wrong")]
        [1.0, 0.5]
    """
    return float(odd_one_out_items(d12, d13, d23, ties).mean())

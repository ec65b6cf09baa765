"""How far raters agree: Krippendorff's alpha, the noise ceiling, and agreement between groups of raters."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from percept.evaluation.arrays import to_numpy
from percept.evaluation.statistics import Interval, bootstrap_interval
from percept.labelling.aggregate import AnswersError, checked

LEVELS = ("nominal", "ordinal", "interval", "ratio")


def rating_table(answers: pd.DataFrame) -> pd.DataFrame:
    """Return the answers as a table raters x items (NaN where a rater gave none), as alpha wants it."""
    return checked(answers).pivot(index="rater", columns="item", values="answer")


def _distances(values: np.ndarray, level: str) -> np.ndarray:
    """Squared distance [V, V] between each two of the values, at the levels where it does not depend on the data."""
    first, second = values[:, None], values[None, :]
    if level == "nominal":
        return np.asarray(first != second).astype(float)
    total = np.where(first + second == 0, 1, first + second) if level == "ratio" else 1.0
    return np.asarray(((first - second) / total) ** 2)


def _spread(counts: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Sum of (place_v - place_w)^2 over ordered pairs of the values counted in each row of [..., V]."""
    return np.asarray(2 * (counts.sum(axis=-1) * (counts @ place**2) - (counts @ place) ** 2))


def _alphas(counts: np.ndarray, values: np.ndarray, weights: np.ndarray, level: str) -> np.ndarray:
    """Alpha for each row of item weights [B, items]; `counts` [items, V] is how often an item got each value."""
    company = counts.sum(axis=1) - 1
    totals = weights @ counts
    if level == "ordinal":
        # Ranks in the middle of each category: their differences count the values ranked between two categories.
        places = np.cumsum(totals, axis=1) - totals / 2
        observed = np.array([w @ (_spread(counts, g) / company) for w, g in zip(weights, places, strict=True)])
        expected = np.array([_spread(t, g) for t, g in zip(totals, places, strict=True)])
    else:
        distance = _distances(values, level)
        observed = weights @ (((counts @ distance) * counts).sum(axis=1) / company)
        expected = ((totals @ distance) * totals).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(expected > 0, 1 - observed * (totals.sum(axis=1) - 1) / expected, np.nan))


def krippendorff_alpha(
    table: Any, level: str = "nominal", n: int = 1000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """Krippendorff's alpha: 1 = perfect agreement, 0 = what chance brings, below 0 = systematic disagreement.

    Args:
        table: [raters, items] numbers, NaN where a rater gave none; items with fewer than two values are left out.
        level: "nominal", "ordinal", "interval" or "ratio" (values of 0 or more).
        n: bootstrap resamples of items.  seed: of the resampling.  confidence: coverage of the interval.

    Returns:
        Interval; `n` is the number of items with at least two values. Resamples in which only one value occurs
        have no alpha and are left out of the interval.

    Raises:
        AnswersError: for a table without two raters who share an item, or in which all pairable values are equal
            (alpha is then undefined: nothing varies).

    Source: Krippendorff, Computing Krippendorff's Alpha-Reliability (2011); Content Analysis, chapter 11.

    Example:
        >>> krippendorff_alpha([[1, 2, 3, 1], [1, 2, 3, 2]], n=100).value.__round__(3)
        0.667
    """
    if level not in LEVELS:
        raise AnswersError(f"level must be one of {', '.join(LEVELS)}, got {level!r}")
    data = to_numpy(table).astype(float)
    if data.ndim != 2 or data.shape[0] < 2:
        raise AnswersError(f"table must be [raters, items] with at least two raters, got shape {data.shape}")
    if np.isinf(data).any() or (level == "ratio" and (data < 0).any()):
        raise AnswersError("table holds an infinite value, or a negative one at level 'ratio'")
    data = data[:, np.isfinite(data).sum(axis=0) >= 2]
    if data.shape[1] == 0:
        raise AnswersError("no item has values from two raters: without overlap there is no agreement to measure")
    values = np.unique(data[np.isfinite(data)])
    if len(values) < 2:
        raise AnswersError(f"all values are {values[0]:g}: alpha is undefined when nothing varies")
    if n < 100:
        raise AnswersError(f"n must be at least 100 resamples for percentile limits, got {n}")
    counts = (data.T[:, :, None] == values).sum(axis=1).astype(float)
    rng = np.random.default_rng(seed)
    items = len(counts)
    drawn = rng.multinomial(items, np.full(items, 1 / items), size=n)
    value = float(_alphas(counts, values, np.ones((1, items)), level)[0])
    tail = 100 * (1 - confidence) / 2
    low, high = np.nanpercentile(_alphas(counts, values, drawn, level), [tail, 100 - tail])
    return Interval(value, float(low), float(high), items)


@dataclass(frozen=True)
class NoiseCeiling:
    """Two figures between which the ceiling lies.

    `leave_one_out`: one rater against the majority of the others, whose own noise pulls it down.
    `majority_oracle`: the majority of all against the votes it was taken from, which pushes it up.
    """

    leave_one_out: Interval
    majority_oracle: Interval


def leave_one_out_agreement(answers: pd.DataFrame) -> pd.DataFrame:
    """Return the real answers (no skips, no repeats) that have company, with the column `agrees` in 0, 0.5, 1.

    `agrees` compares an answer with the majority of the *other* raters of its item; a tie among them counts 0.5.
    """
    given = checked(answers).dropna(subset="answer").reset_index(drop=True)
    votes = given.groupby("item")["answer"]
    others, right = votes.transform("size") - 1, votes.transform("sum") - given["answer"]
    lean = np.sign(2 * right - others)
    given["agrees"] = 0.5 + 0.5 * lean * (2 * given["answer"] - 1)
    return given[others > 0].reset_index(drop=True)


def noise_ceiling(answers: pd.DataFrame, n: int = 2000, seed: int = 0) -> NoiseCeiling:
    """How well the answers can be predicted at most, from the answers themselves.

    Both figures use the items that at least two raters answered, each item counting the same, with an item
    bootstrap. Both are scores of `two_alternative_score`, so they stand beside a model's held-out score.

    Args:
        answers: answers table of at least two raters.  n, seed: of the bootstrap.

    Raises:
        AnswersError: when no item was answered by two raters.
    """
    agreement = leave_one_out_agreement(answers)
    if agreement.empty:
        raise AnswersError("no item was answered by two raters: a noise ceiling needs overlap")
    items = agreement.groupby("item").agg(agrees=("agrees", "mean"), share=("answer", "mean"))
    return NoiseCeiling(
        bootstrap_interval(items["agrees"].to_numpy(), n=n, seed=seed),
        bootstrap_interval(np.maximum(items["share"], 1 - items["share"]).to_numpy(), n=n, seed=seed),
    )


def true_ceiling(probability: Any, n: int = 2000, seed: int = 0) -> Interval:
    """Return the expected score of somebody who knows the true choice probabilities (simulated raters only).

    Args:
        probability: [T] true mean probability of choosing right, 0..1.  n, seed: of the item bootstrap.

    Returns:
        Interval of the mean of max(p, 1 - p): the best fixed answer to an item scores the larger share of votes.

    Example:
        >>> true_ceiling([0.9, 0.3]).value
        0.8
    """
    chance = to_numpy(probability).astype(float)
    if chance.ndim != 1 or chance.size == 0 or not ((chance >= 0) & (chance <= 1)).all():
        raise AnswersError("probability must be a non-empty 1-D array of numbers in 0..1 without NaN")
    return bootstrap_interval(np.maximum(chance, 1 - chance), n=n, seed=seed)

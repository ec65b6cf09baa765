"""Do predicted scores agree with rated ones? Correlations, fitted maps, errors, and how well anybody could do.

A correlation is undefined where one side does not vary: it is then NaN (never 0, never a warning), so that a model
that has collapsed is seen. Signs are kept: turn scores where lower is better (DMOS of LIVE, CSIQ) beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from percept.evaluation.arrays import matrix, to_numpy
from percept.evaluation.logistic import finite, fit_logistic, need_kind, paired, varies


def srcc(prediction: Any, target: Any) -> float:
    """Spearman's rank correlation, -1..1: Pearson's of the ranks, tied values sharing their mean rank.

    Args:
        prediction, target: [N] finite numbers.

    Returns:
        The correlation; NaN if a side is constant.

    Raises:
        ValueError: empty input, lengths that differ, values that are not finite.

    Example:
        >>> round(srcc([1, 2, 3, 4], [1, 3, 2, 4]), 3)
        0.8
    """
    from scipy.stats import rankdata

    first, second = paired(prediction, target)
    return _pearson(rankdata(first), rankdata(second))


def krcc(prediction: Any, target: Any) -> float:
    """Kendall's tau-b, -1..1: pairs in the same order less pairs in the opposite one, corrected for ties.

    Arguments, errors and NaN as in `srcc`.

    Example:
        >>> round(krcc([1, 2, 3, 4], [1, 3, 2, 4]), 3)
        0.667
    """
    from scipy.stats import kendalltau

    first, second = paired(prediction, target)
    return float(kendalltau(first, second).statistic) if varies(first, second) else float("nan")


def plcc(prediction: Any, target: Any, fit: str | None = None) -> float:
    """Pearson's linear correlation, -1..1, raw or after a map of the predictions to the scale of the targets.

    The map is fitted to the very items it is scored on, as the field does, so report the raw value beside it. A
    falling map turns a negative correlation positive. `fit_logistic` tells whether the fit stalled.

    Args:
        prediction, target: [N] finite numbers.
        fit: None, "logistic4" or "logistic5".

    Errors and NaN as in `srcc`, and those of `fit_logistic`.

    Example:
        >>> round(plcc([1, 2, 3, 4], [1, 3, 2, 4]), 3)
        0.8
    """
    first, second = paired(prediction, target)
    if fit is not None:
        need_kind(fit)
        if varies(first, second):
            first = fit_logistic(first, second, fit).predict(first)
    return _pearson(first, second)


def _pearson(first: np.ndarray, second: np.ndarray) -> float:
    if not varies(first, second):
        return float("nan")
    # Scaled first: the squares of very large or very small numbers would leave the range of floats.
    x, y = (side / np.abs(side).max() for side in (first - first.mean(), second - second.mean()))
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1, 1))


def rmse(prediction: Any, target: Any, fit: str | None = None) -> float:
    """Root of the mean squared error, raw or after the map of `fit_logistic`, in units of the target."""
    first, second = paired(prediction, target)
    if fit is not None:
        first = fit_logistic(first, second, fit).predict(first)
    return float(np.sqrt(np.mean((first - second) ** 2)))


def kl_divergence(predicted: Any, target: Any, epsilon: float = 1e-8) -> float:
    """Mean over rows of the divergence sum(target log(target / predicted)), in nats, 0 or more.

    Args:
        predicted: [N, C] probabilities, rows that add up to 1 (within 1e-3; then scaled). A predicted zero would
            make the divergence infinite: shares below epsilon are raised to it and the row is scaled again.
        target: [N, C] label shares likewise; shares of 0 contribute 0.
        epsilon: see predicted.

    Raises:
        ValueError: shapes that differ, negative shares, or rows that do not add up to 1.

    Example:
        >>> round(kl_divergence([[0.5, 0.5]], [[1.0, 0.0]]), 4)  # log 2
        0.6931
    """
    from scipy.special import rel_entr

    rows = []
    for name, values in (("predicted", predicted), ("target", target)):
        array = matrix(values, name).astype(np.float64)
        bad = np.flatnonzero((array < 0).any(axis=1) | (np.abs(array.sum(axis=1) - 1) > 1e-3))
        if bad.size:
            raise ValueError(f"{name} row {bad[0]} is no distribution: shares of 0 or more that add up to 1")
        rows.append(array / array.sum(axis=1, keepdims=True))
    if rows[0].shape != rows[1].shape:
        raise ValueError(f"predicted and target must have one shape, got {rows[0].shape} and {rows[1].shape}")
    raised = np.maximum(rows[0], epsilon)
    return float(rel_entr(rows[1], raised / raised.sum(axis=1, keepdims=True)).sum(axis=1).mean())


def accuracy(prediction: Any, target: Any) -> float:
    """Share of the [N] predicted class labels (numbers or words) that equal the true ones."""
    first, second = to_numpy(prediction), to_numpy(target)
    if first.ndim != 1 or not first.size or first.shape != second.shape:
        raise ValueError(f"labels must be two vectors of one length, got shapes {first.shape} and {second.shape}")
    return float(np.mean(first == second))


class GroupMean(NamedTuple):
    """Mean over groups of a metric within each: `value`, `groups` behind it, `undefined` ones left out."""

    value: float
    groups: int
    undefined: int


def within_groups(metric: Callable[[Any, Any], float], prediction: Any, target: Any, groups: Any) -> GroupMean:
    """Mean over groups of a metric computed within each group (within a distortion type, a photograph, a class).

    Args:
        metric: of (prediction, target), `srcc` for example; a NaN means that it is undefined for the group.
        prediction, target: [N] finite numbers.
        groups: [N] group of each item.

    Returns:
        GroupMean; every group counts the same whatever its size, and the value is NaN if all are undefined.

    Raises:
        ValueError: lengths that differ, or see `metric`.

    Example:
        >>> within_groups(srcc, [1, 2, 2, 1, 5], [1, 2, 1, 2, 3], ["a", "a", "b", "b", "alone"])
        GroupMean(value=0.0, groups=2, undefined=1)
    """
    first, second = paired(prediction, target)
    names, index = np.unique(to_numpy(groups), return_inverse=True)
    if index.shape != first.shape:
        raise ValueError(f"groups must name one group per item ({first.size}), got shape {index.shape}")
    values = np.array([metric(first[index == group], second[index == group]) for group in range(names.size)])
    defined = values[~np.isnan(values)]
    value = float(defined.mean()) if defined.size else float("nan")
    return GroupMean(value, defined.size, names.size - defined.size)


class SplitSummary(NamedTuple):
    """Median, quartiles and extremes over splits. They show the spread between splits and are no interval."""

    median: float
    lower: float
    upper: float
    least: float
    most: float
    n: int


def median_over_splits(values: Any) -> SplitSummary:
    """Summarise one value per split as the field reports it, by the median.

    Raises:
        ValueError: no value, or one that is not finite: dropping the splits in which a model collapsed would
            flatter it, so decide what they count (0 for a correlation).

    Example:
        >>> median_over_splits([0.8, 0.9, 0.7]).median
        0.8
    """
    array = to_numpy(values).astype(np.float64)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise ValueError(
            f"values must be finite, one per split, got {array.tolist()}; decide what an undefined one counts"
        )
    middle, lower, upper = np.percentile(array, [50, 25, 75])
    return SplitSummary(float(middle), float(lower), float(upper), float(array.min()), float(array.max()), array.size)


class HumanCeiling(NamedTuple):
    """What a perfect predictor reaches: `reliability` of the mean scores (0..1), `srcc` and `plcc`."""

    reliability: float
    srcc: float
    plcc: float


def human_ceiling(spread: Any, votes: Any, target: Any, draws: int = 20, seed: int = 0) -> HumanCeiling:
    """Correlation with mean opinion scores that the true scores themselves would have.

    The noise of a mean score is spread^2 / votes. Reliability is the share of the variance of the scores that is
    not noise, and its square root the ceiling of PLCC. The ceiling of SRCC depends on how the scores lie: it
    is the mean SRCC of the scores, shrunk to the variance of the true ones, with noise added anew.

    Args:
        spread: standard deviation of the ratings of an item, one number or [N]. (The root of KADID's `var`.)
        votes: ratings behind a score, one number or [N].
        target: [N] mean opinion scores.
        draws, seed: of the added noise.

    Returns:
        HumanCeiling; all 0 where the noise accounts for all variance.

    Raises:
        ValueError: negative spread, less than one vote, shapes that do not fit, or scores that do not vary.

    Source: classical test theory (Spearman, 1904); attenuation by unreliability of one side.

    Example:
        >>> human_ceiling(1.0, 10, [1, 2, 3, 4, 5] * 20).plcc.__round__(3)
        0.975
    """
    scores = finite(target, "target")
    noise, count = to_numpy(spread).astype(np.float64), to_numpy(votes).astype(np.float64)
    for name, array, least in (("spread", noise, 0), ("votes", count, 1)):
        if array.shape not in ((), scores.shape) or not (array >= least).all():
            raise ValueError(f"{name} must be one number or one per score ({scores.size}), of at least {least}")
    if not varies(scores):
        raise ValueError("target is constant: its reliability is undefined")
    error = np.broadcast_to(noise / np.sqrt(count), scores.shape)
    reliability = float(max(0.0, 1 - np.mean(error**2) / scores.var(ddof=1)))
    if reliability == 0:
        return HumanCeiling(0.0, 0.0, 0.0)
    true = np.sqrt(reliability) * (scores - scores.mean())
    rng = np.random.default_rng(seed)
    ranks = np.mean([srcc(true, true + rng.normal(0, error)) for _ in range(draws)])
    return HumanCeiling(reliability, float(ranks), float(np.sqrt(reliability)))

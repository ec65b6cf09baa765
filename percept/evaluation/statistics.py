"""Intervals and controls. Every interval is an `Interval(value, low, high, n)`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from percept.evaluation.arrays import to_numpy

Statistic = Callable[[np.ndarray], Any]


class Interval(NamedTuple):
    """A measured value, its interval, and the number of independent units behind it.

    Example:
        >>> str(Interval(0.5, 0.4, 0.6, 100))
        '0.500 [0.400, 0.600], n = 100'
    """

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}], n = {self.n}"


def _vector(values: Any, name: str = "values") -> np.ndarray:
    array = to_numpy(values).astype(np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must be a non-empty 1-D array, got shape {array.shape}")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise ValueError(f"{name}[{bad[0]}] is not a finite number ({bad.size} such values)")
    return array


def _check(n: int, level: float) -> None:
    if n < 100:
        raise ValueError(f"n must be at least 100 resamples for percentile limits, got {n}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")


def _percentiles(value: float, draws: np.ndarray, level: float, count: int) -> Interval:
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(draws, [tail, 100 - tail])
    return Interval(float(value), float(low), float(high), int(count))


def _mean_draws(values: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Bootstrap means; with few distinct values (0/1 above all) drawing their counts is exact and instant."""
    levels, counts = np.unique(values, return_counts=True)
    if levels.size <= 64:
        drawn = rng.multinomial(values.size, counts / values.size, size=n)
        return np.asarray(drawn @ levels / values.size)
    block = max(1, 2_000_000 // values.size)
    parts = [
        values[rng.integers(values.size, size=(min(block, n - start), values.size))].mean(axis=1)
        for start in range(0, n, block)
    ]
    return np.concatenate(parts)


def _cluster_draws(
    values: np.ndarray, groups: np.ndarray, statistic: Statistic, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, int]:
    names, index = np.unique(groups, return_inverse=True)
    if statistic is np.mean:
        sums, sizes = np.bincount(index, weights=values), np.bincount(index)
        drawn = rng.multinomial(names.size, np.full(names.size, 1 / names.size), size=n)
        return (drawn @ sums) / (drawn @ sizes), names.size
    members = [np.flatnonzero(index == g) for g in range(names.size)]
    rows = (np.concatenate([members[g] for g in rng.integers(names.size, size=names.size)]) for _ in range(n))
    return np.array([statistic(values[row]) for row in rows], dtype=np.float64), names.size


def bootstrap_interval(
    values: Any, statistic: Statistic = np.mean, n: int = 2000, seed: int = 0, level: float = 0.95, groups: Any = None
) -> Interval:
    """Percentile bootstrap interval of a statistic of independent items, or of groups of items.

    Args:
        values: [N] finite numbers, one per item (0/1 correctness, scores, errors).
        statistic: function of a 1-D array; the mean has a vectorised path, others run once per resample.
        n: resamples.  seed: of the resampling.  level: coverage, 0.95 = 95 %.
        groups: [N] group of each item (scene, person, reference image). Whole groups are then resampled,
            because items that share a group are not independent; `Interval.n` counts groups.

    Returns:
        Interval around the statistic of the full sample.

    Raises:
        ValueError: for an empty, non-finite or wrongly shaped input.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 8 and 13.

    Example:
        >>> bootstrap_interval([1, 1, 0, 1] * 25).value
        0.75
    """
    array = _vector(values)
    _check(n, level)
    rng = np.random.default_rng(seed)
    value = float(statistic(array))
    if groups is not None:
        names = to_numpy(groups)
        if names.shape != array.shape:
            raise ValueError(f"groups must have shape {array.shape} to match values, got {names.shape}")
        draws, count = _cluster_draws(array, names, statistic, n, rng)
        return _percentiles(value, draws, level, count)
    if statistic is np.mean:
        draws = _mean_draws(array, n, rng)
    else:
        resampled = (array[rng.integers(array.size, size=array.size)] for _ in range(n))
        draws = np.array([statistic(sample) for sample in resampled], dtype=np.float64)
    return _percentiles(value, draws, level, array.size)


def paired_difference(
    a: Any, b: Any, n: int = 2000, seed: int = 0, level: float = 0.95, groups: Any = None
) -> Interval:
    """Interval of mean(a - b) where a[i] and b[i] measure the same item; pairs are resampled together.

    Args:
        a, b: [N] per-item values of the two methods, same items in the same order.
        n, seed, level, groups: as in `bootstrap_interval`.

    Example:
        >>> paired_difference([1, 1, 1], [0, 0, 0]).value
        1.0
    """
    first, second = _vector(a, "a"), _vector(b, "b")
    if first.shape != second.shape:
        raise ValueError(f"a and b must measure the same items: got {first.size} and {second.size}")
    return bootstrap_interval(first - second, n=n, seed=seed, level=level, groups=groups)


def crossed_interval(values: Any, n: int = 2000, seed: int = 0, level: float = 0.95) -> Interval:
    """Interval of the mean of a [runs, items] table, resampling runs and items independently.

    For R seeds (or few-shot draws) scored on the same N items: both sources of luck count. With a single run
    it is the item bootstrap. For a paired comparison pass the difference of the two tables. With few runs the
    share of the runs is somewhat underestimated; `seed_interval` is the cautious alternative.

    Args:
        values: [R, N] finite numbers.

    Returns:
        Interval; `n` is the number of items N.

    Source: two-way (pigeonhole) bootstrap, Owen, Annals of Applied Statistics 1(2), 2007.
    """
    table = to_numpy(values).astype(np.float64)
    if table.ndim != 2 or 0 in table.shape:
        raise ValueError(f"values must be a non-empty [runs, items] table, got shape {table.shape}")
    if not np.isfinite(table).all():
        raise ValueError(f"values has a non-finite entry in run {np.argwhere(~np.isfinite(table))[0][0]}")
    _check(n, level)
    rng = np.random.default_rng(seed)
    runs, items = table.shape
    # Items with the same results are interchangeable: drawing how often each pattern comes is exact and fast.
    patterns, counts = np.unique(table, axis=1, return_counts=True)
    draws = []
    for start in range(0, n, 250):  # blocks keep the [n, items] weights small
        size = min(250, n - start)
        run_weight = rng.multinomial(runs, np.full(runs, 1 / runs), size=size)
        item_weight = rng.multinomial(items, counts / items, size=size)
        draws.append(((run_weight @ patterns) * item_weight).sum(axis=1) / (runs * items))
    return _percentiles(float(table.mean()), np.concatenate(draws), level, items)


def seed_interval(values: Any, level: float = 0.95) -> Interval:
    """Student t interval of the mean over seeds (runs), the run being the unit.

    Args:
        values: [S] one result per seed, S >= 2.

    Raises:
        ValueError: for fewer than two seeds, which say nothing about the spread.
    """
    from scipy.stats import t

    array = _vector(values)
    if array.size < 2:
        raise ValueError("one seed has no interval: run more seeds, or use bootstrap_interval over items")
    _check(100, level)
    half = t.ppf((1 + level) / 2, array.size - 1) * array.std(ddof=1) / np.sqrt(array.size)
    mean = float(array.mean())
    return Interval(mean, float(mean - half), float(mean + half), array.size)


def wilson_interval(hits: Any, n: int | None = None, level: float = 0.95) -> Interval:
    """Wilson score interval of a proportion: stays inside 0..1 and has width even at 0 or 100 %.

    Args:
        hits: [N] array of 0/1, or the count of hits when `n` is given.

    Source: Wilson, JASA 22 (1927).

    Example:
        >>> [round(v, 3) for v in wilson_interval(10, 10)[:3]]
        [1.0, 0.722, 1.0]
    """
    from scipy.stats import norm

    if n is None:
        array = _vector(hits, "hits")
        if not np.isin(array, (0.0, 1.0)).all():
            raise ValueError("hits must be 0 or 1 for each item")
        count, n = float(array.sum()), array.size
    else:
        count = float(hits)
    if n < 1 or not 0 <= count <= n:
        raise ValueError(f"hits must lie in 0..n with n >= 1, got {count:g} of {n}")
    _check(100, level)
    z, p = norm.ppf((1 + level) / 2), count / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return Interval(p, float(max(0.0, min(centre - half, p))), float(min(1.0, max(centre + half, p))), int(n))


def shuffled_control(
    score: Callable[[np.ndarray], float], labels: Any, n: int = 100, seed: int = 0, level: float = 0.95
) -> Interval:
    """Negative control: the score when the answers are dealt out at random; it must lie at chance.

    Args:
        score: maps a relabelled [N] array to a number (for example accuracy of fixed predictions).
        labels: [N] true answers; every shuffle keeps their frequencies.
        n: shuffles, at least 100.

    Returns:
        Interval: mean over shuffles and the central `level` range of single shuffles (a null range, so a
        real result should lie outside it); `n` is the number of shuffles.
    """
    array = to_numpy(labels)
    _check(n, level)
    rng = np.random.default_rng(seed)
    null = np.array([score(rng.permutation(array)) for _ in range(n)], dtype=np.float64)
    return _percentiles(float(null.mean()), null, level, n)

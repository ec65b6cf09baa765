"""Differences between two methods on the same items, with their bootstrap distribution."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from percept.evaluation.arrays import to_numpy
from percept.evaluation.scores import TaskScore, summarise
from percept.evaluation.statistics import Interval


class VerdictError(ValueError):
    """Results that cannot be compared; the message names the task or the argument."""


@dataclass(frozen=True, eq=False)
class Difference:
    """After minus before, turned so that above 0 is an improvement, with its bootstrap distribution.

    Attributes:
        value: of the full sample.  draws: float64 [B], bootstrap values.  n: independent items (or groups).
        before, after: the figures compared, in the task's own unit and direction.
        level: coverage of `low` and `high`.
    """

    value: float
    draws: np.ndarray
    n: int
    before: float = math.nan
    after: float = math.nan
    level: float = 0.95

    @property
    def low(self) -> float:
        """Lower percentile limit."""
        return float(np.percentile(self.draws, 50 * (1 - self.level)))

    @property
    def high(self) -> float:
        """Upper percentile limit."""
        return float(np.percentile(self.draws, 50 * (1 + self.level)))

    @property
    def interval(self) -> Interval:
        """The difference as an `Interval`."""
        return Interval(self.value, self.low, self.high, self.n)

    def _tail(self, outside: np.ndarray) -> float:
        return float((1 + outside.sum()) / (1 + self.draws.size))

    @property
    def p_value(self) -> float:
        """Two-sided bootstrap p value of "no difference"; its smallest value is 2 / (B + 1)."""
        return min(1.0, 2 * min(self._tail(self.draws <= 0), self._tail(self.draws >= 0)))

    def p_no_worse(self, tolerance: float) -> float:
        """One-sided p value against "worse by the tolerance or more" (non-inferiority)."""
        return self._tail(self.draws <= -tolerance)

    def p_equal(self, tolerance: float) -> float:
        """P value of equivalence by two one-sided tests against a difference of the tolerance or more."""
        return max(self.p_no_worse(tolerance), self._tail(self.draws >= tolerance))


def _tables(items: Any, name: str) -> np.ndarray:
    """Per-item statistics as [runs, items, k]."""
    table = to_numpy(items).astype(np.float64)
    table = table[:, None] if table.ndim == 1 else table
    table = table[None] if table.ndim == 2 else table
    if table.ndim != 3 or 0 in table.shape or not np.isfinite(table).all():
        raise VerdictError(f"{name} must be finite [N], [N, k] or [runs, N, k], got shape {to_numpy(items).shape}")
    return table


def _resampler(tables: np.ndarray, names: np.ndarray, crossed: bool) -> Callable[[np.random.Generator, int], Any]:
    """Return a function (rng, B) -> means over items [2, B, runs, k] and weights of the runs [B, runs]."""
    both, runs, _, width = tables.shape
    sizes: np.ndarray = np.bincount(names)
    order = np.argsort(names, kind="stable")
    sums = np.add.reduceat(tables[:, :, order], np.r_[0, np.cumsum(sizes)[:-1]], axis=2)
    units = sums.transpose(2, 1, 0, 3).reshape(sizes.size, -1)  # [U, runs * 2 * k]
    counts: np.ndarray = np.ones(sizes.size)
    if crossed:
        # Units with the same results are interchangeable: drawing how often each pattern comes is exact and fast.
        patterns, counts = np.unique(np.column_stack([units, sizes]), axis=0, return_counts=True)
        units, sizes = patterns[:, :-1], patterns[:, -1]
    total, chance = int(counts.sum()), counts / counts.sum()

    def draw(rng: np.random.Generator, block: int) -> tuple[np.ndarray, np.ndarray]:
        weight = rng.multinomial(total, chance, size=block if crossed else block * runs).astype(float)
        if crossed:
            means, share = weight @ units, rng.multinomial(runs, np.full(runs, 1 / runs), size=block) / runs
        else:  # a run that is drawn twice draws its items twice
            picked, share = rng.integers(runs, size=block * runs), np.full((block, runs), 1 / runs)
            means = np.empty((block * runs, both * width))
            for run, own in enumerate(np.split(units, runs, axis=1)):
                means[picked == run] = weight[picked == run] @ own
        means /= (weight @ sizes)[:, None]
        return means.reshape(block, runs, both, width).transpose(2, 0, 1, 3), share

    return draw


def _unit_names(groups: Any, count: int) -> np.ndarray:
    """Number of the independent unit of each item, [N]."""
    names: np.ndarray = np.arange(count) if groups is None else np.unique(to_numpy(groups), return_inverse=True)[1]
    if names.shape != (count,):
        raise VerdictError(f"groups must name one group for each of the {count} items, got {names.shape}")
    return names


def difference(
    after: Any,
    before: Any,
    *,
    summary: str = "mean",
    higher: bool = True,
    groups: Any = None,
    items: str = "crossed",
    n: int = 20_000,
    seed: int = 0,
    level: float = 0.95,
) -> Difference:
    """Bootstrap the difference between two methods measured on the same items (and runs).

    Args:
        after, before: [N], [N, k] or [runs, N, k] per-item statistics (as in `TaskScore.items`), same items in the
            same order; runs (seeds, simulated raters) paired as well.
        summary: "mean", "root" or "iou", how the mean over items becomes a figure; runs are averaged afterwards.
        higher: whether a larger figure is better.
        groups: [N] what items share; whole groups are resampled.
        items: "crossed" (all runs saw the same items) or "nested" (each run has its own, `groups` not possible).
        n: resamples.  seed: of the resampling.  level: coverage.

    Returns:
        Difference. Runs and items are resampled independently; with few runs their share is underestimated, so with
        2 to 4 runs read the interval as one over items.

    Raises:
        VerdictError: for shapes that do not match or values that are not finite.

    Example:
        >>> difference([1.0, 1, 1, 0] * 25, [0.0, 1, 1, 0] * 25).value
        0.25
    """
    new, old = _tables(after, "after"), _tables(before, "before")
    if new.shape != old.shape:
        raise VerdictError(
            f"after and before must measure the same items: {new.shape} and {old.shape} (runs, items, k)"
        )
    if items not in ("crossed", "nested") or (items == "nested" and groups is not None):
        raise VerdictError("items must be 'crossed' or 'nested', and groups need 'crossed'")
    if n < 100 or not 0 < level < 1:
        raise VerdictError(f"n must be at least 100 and level between 0 and 1, got {n} and {level}")
    names = _unit_names(groups, new.shape[1])
    draw = _resampler(np.stack([new, old]), names, crossed=items == "crossed")
    figures = [np.mean([summarise(run.mean(axis=0), summary) for run in table]) for table in (new, old)]
    rng, draws = np.random.default_rng(seed), []
    for start in range(0, n, 250):  # blocks keep the weights small
        means, share = draw(rng, min(250, n - start))
        values = np.apply_along_axis(summarise, -1, means, summary) if summary == "iou" else means[..., 0]
        values = np.sqrt(values) if summary == "root" else values
        draws.append((share * (values[0] - values[1])).sum(axis=1))
    sign = 1.0 if higher else -1.0
    found = sign * np.concatenate(draws)
    found[np.abs(found) < 1e-12 * max(np.abs(figures))] = 0.0  # rounding must not decide the sign of "no difference"
    if not np.isfinite(found).all():
        raise VerdictError("some resamples have no figure (a class without pixels): use fewer classes or more items")
    value = float(sign * (figures[0] - figures[1]))
    return Difference(value, found, len(np.unique(names)), float(figures[1]), float(figures[0]), level)


def compare(after: Mapping[str, TaskScore], before: Mapping[str, TaskScore], **options: Any) -> dict[str, Difference]:
    """Difference of every task of two batteries (same tasks, same items); `options` go to `difference`.

    Raises:
        VerdictError: when a task is missing on one side, or measured differently.
    """
    if set(after) != set(before):
        raise VerdictError(f"task {sorted(set(after) ^ set(before))[0]!r} is in one battery only")
    result = {}
    for name, old in before.items():
        new = after[name]
        if (new.summary, new.higher, new.items.shape) != (old.summary, old.higher, old.items.shape):
            raise VerdictError(f"task {name!r} was measured on other items or in another way")
        result[name] = difference(
            new.items, old.items, summary=old.summary, higher=old.higher, groups=old.groups, **options
        )
    return result

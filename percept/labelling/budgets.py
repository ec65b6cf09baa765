"""What choosing the questions is worth: held-out score against the number of judgments, by simulated campaigns."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from percept.evaluation.statistics import Interval, seed_interval
from percept.labelling.sampling import SamplingError, ask_next


@dataclass(frozen=True, eq=False)
class BudgetCurve:
    """Held-out score after each budget: `values` [seeds, budgets]; `asked` lists the positions chosen per seed."""

    strategy: str
    budgets: tuple[int, ...]
    values: np.ndarray
    asked: tuple[np.ndarray, ...]

    def table(self) -> pd.DataFrame:
        """Return budget, score, low, high, seeds (Student t over seeds; NaN limits for a single seed)."""
        rows = []
        for budget, column in zip(self.budgets, self.values.T, strict=True):
            low, high = seed_interval(column)[1:3] if len(column) > 1 else (math.nan, math.nan)
            rows.append((budget, column.mean(), low, high, len(column)))
        return pd.DataFrame(rows, columns=["budget", "score", "low", "high", "seeds"])


def budget_curve(
    strategy: str,
    budgets: Sequence[int],
    fit: Callable[[np.ndarray, int], Any],
    score: Callable[[Any], float],
    *,
    size: int,
    signals: Callable[[Any], dict[str, Any]] | None = None,
    seeds: Sequence[int] = (0,),
    **options: Any,
) -> BudgetCurve:
    """Simulate a labelling campaign: ask, fit, score, ask again where the fitted model is unsure.

    Args:
        strategy: as in `ask_next`.  budgets: increasing total numbers of judgments; each is one round.
        fit: (positions int64 [n], seed) -> model fitted to the judgments of these items.
        score: model -> held-out score. It must not use the pool.
        size: number of items in the pool.
        signals: model -> keywords for `ask_next` (d_left and d_right, or choices), over the whole pool. The first
            round has no model and is random, for every strategy the same items at the same seed.
        seeds: one campaign each.  options: strata, explore, minimum for `ask_next`.

    Raises:
        SamplingError: for budgets that do not increase, or a strategy without `signals`.
    """
    if not len(budgets) or list(budgets) != sorted(set(budgets)) or budgets[0] < 1:
        raise SamplingError(f"budgets must be increasing numbers of at least 1, got {list(budgets)}")
    if strategy != "random" and signals is None:
        raise SamplingError(f"strategy {strategy!r} needs signals(model), which gives what ask_next asks for")
    values, campaigns = np.empty((len(seeds), len(budgets))), []
    for row, seed in enumerate(seeds):
        asked, model = np.empty(0, np.int64), None
        for column, budget in enumerate(budgets):
            first = column == 0 or signals is None or strategy == "random"
            known = {} if first or signals is None else signals(model)
            number = int(np.random.SeedSequence([seed, column]).generate_state(1)[0])
            method = "random" if first else strategy
            new = ask_next(method, budget - len(asked), size, asked=asked, seed=number, **known, **options)
            asked = np.concatenate([asked, new])
            model = fit(asked, seed)
            values[row, column] = score(model)
        campaigns.append(asked)
    return BudgetCurve(strategy, tuple(budgets), values, tuple(campaigns))


def _reached(budgets: np.ndarray, scores: np.ndarray, level: float) -> float:
    """Budget from which the curve stays at or above the level, by straight lines between budgets."""
    below = np.flatnonzero(scores < level)
    if not below.size:
        return float(budgets[0])
    last = below[-1]
    if last == len(scores) - 1:
        return math.inf
    part = (level - scores[last]) / (scores[last + 1] - scores[last])
    return float(budgets[last] + part * (budgets[last + 1] - budgets[last]))


def needed(curve: BudgetCurve, level: float, n: int = 2000, seed: int = 0) -> Interval:
    """Judgments needed to reach a held-out score.

    Args:
        curve: from `budget_curve`.  level: score to reach.  n, seed: bootstrap over the campaigns.

    Returns:
        Interval of the budget from which the mean curve stays at or above the level (straight lines between
        budgets); infinity where it is never reached, the smallest budget where it always is. With a single campaign
        the limits are NaN. `n` is the number of campaigns.
    """
    budgets, count = np.asarray(curve.budgets, float), len(curve.values)
    value = _reached(budgets, curve.values.mean(axis=0), level)
    if count < 2:
        return Interval(value, math.nan, math.nan, count)
    drawn = np.random.default_rng(seed).integers(count, size=(n, count))
    draws = np.sort([_reached(budgets, curve.values[rows].mean(axis=0), level) for rows in drawn])
    # Ranks rather than percentiles: between a number and infinity there is nothing to interpolate.
    return Interval(value, float(draws[int(0.025 * (n - 1))]), float(draws[math.ceil(0.975 * (n - 1))]), count)

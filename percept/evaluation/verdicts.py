"""What got better, what got worse, what was only not shown, and how strong an alignment may be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from percept.evaluation.arrays import to_numpy
from percept.evaluation.differences import Difference, VerdictError
from percept.evaluation.scores import TaskScore
from percept.evaluation.statistics import Interval, wilson_interval

VERDICTS = ("better", "no change", "worse", "undecided")


def holm(p_values: Any) -> np.ndarray:
    """Adjust p values for testing several hypotheses at once (Holm's step-down rule).

    Args:
        p_values: [M] numbers in 0..1.

    Returns:
        float64 [M] in the order given; rejecting those below a keeps the chance of any false rejection below a.

    Source: Holm, Scandinavian Journal of Statistics 6, 1979.

    Example:
        >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
        [0.03, 0.06, 0.06]
    """
    p = to_numpy(p_values).astype(float)
    if p.ndim != 1 or not p.size or not ((p >= 0) & (p <= 1)).all():
        raise VerdictError("p_values must be a non-empty 1-D array of numbers in 0..1 without NaN")
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def tolerances(base: Mapping[str, TaskScore], share: float = 0.02, error: float = 0.03) -> dict[str, float]:
    """Size of a difference that does not matter, for every task, fixed before anything is compared.

    Args:
        base: results of the encoder before alignment.
        share: tolerance of tasks where more is better (all are shares in 0..1).
        error: tolerance of tasks where less is better, as a part of the base's value.

    Returns:
        Task to tolerance, in the unit of the task.

    Raises:
        VerdictError: for sizes that are not above 0, or an error of 0, of which no part is above 0.
    """
    if not share > 0 or not error > 0:
        raise VerdictError(f"share and error must be above 0, got {share} and {error}")
    found = {name: share if score.higher else error * score.value for name, score in base.items()}
    if none := [name for name, size in found.items() if not size > 0]:
        raise VerdictError(f"task {none[0]!r} has no error before alignment: name its tolerance yourself")
    return found


def _tolerance(tolerance: float | Mapping[str, float], task: str) -> float:
    value = tolerance if isinstance(tolerance, int | float) else tolerance.get(task)
    if value is None or not value > 0:
        raise VerdictError(f"task {task!r} needs a tolerance above 0, got {value}")
    return float(value)


def verdict_table(
    differences: Mapping[str, Difference], tolerance: float | Mapping[str, float], alpha: float = 0.05
) -> pd.DataFrame:
    """Judge every task: better, no change, worse, or undecided.

    Args:
        differences: task -> Difference.
        tolerance: size below which a difference does not matter, in the unit of the task; one for all or per task.
        alpha: level of each family of tests after Holm's correction over the tasks.

    Returns:
        DataFrame indexed by task: before, after, difference (above 0 = improvement), low, high, n, p (Holm), p_equal
        (Holm), tolerance, no_worse (low > -tolerance, uncorrected), verdict. "better"/"worse": the difference is
        shown. "no change": shown to lie within the tolerance. "undecided": neither; more items are needed. A
        difference that is shown and yet lies within the tolerance keeps its sign, `small` is then True.
    """
    if not differences:
        raise VerdictError("no differences given: the verdict table would be empty")
    sizes = {task: _tolerance(tolerance, task) for task in differences}
    p = holm([d.p_value for d in differences.values()])
    equal = holm([d.p_equal(sizes[task]) for task, d in differences.items()])
    rows = []
    for (task, d), p_difference, p_equal in zip(differences.items(), p, equal, strict=True):
        verdict = ("better" if d.value > 0 else "worse") if p_difference < alpha else "undecided"
        small = bool(p_equal < alpha)
        rows.append({
            "task": task, "before": d.before, "after": d.after, "difference": d.value, "low": d.low, "high": d.high,
            "n": d.n, "p": p_difference, "p_equal": p_equal, "tolerance": sizes[task],
            "no_worse": d.low > -sizes[task], "small": small,
            "verdict": "no change" if verdict == "undecided" and small else verdict,
        })  # fmt: skip
    return pd.DataFrame(rows).set_index("task")


def verdict_shares(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Distribution of verdicts over (simulated) raters.

    Args:
        verdicts: one row per rater and task with the columns `rater`, `task`, `verdict`.

    Returns:
        DataFrame with task, verdict (all four), share, low, high (Wilson over raters), n raters; tasks in order.

    Raises:
        VerdictError: for a missing column, an unknown verdict, or a rater who has a task twice.
    """
    if missing := [name for name in ("rater", "task", "verdict") if name not in verdicts]:
        raise VerdictError(f"verdicts lack the column(s) {', '.join(missing)}; found {list(verdicts)}")
    if unknown := set(verdicts["verdict"]) - set(VERDICTS):
        raise VerdictError(f"verdict {min(map(str, unknown))!r} is none of {', '.join(VERDICTS)}")
    if verdicts.duplicated(["rater", "task"]).any():
        raise VerdictError("a rater has two verdicts for one task")
    rows = []
    for task, mine in verdicts.groupby("task", sort=False):
        for verdict in VERDICTS:
            rows.append((task, verdict, *wilson_interval(mine["verdict"].eq(verdict).sum(), len(mine))))
    return pd.DataFrame(rows, columns=["task", "verdict", "share", "low", "high", "n"])


@dataclass(frozen=True, eq=False)
class Guard:
    """The chosen strength, the table behind it, and the tasks that stop the next strength ("" = none does)."""

    strength: float
    table: pd.DataFrame
    blocking: str


def guard(
    strengths: Sequence[float],
    differences: Mapping[str, Sequence[Difference | Interval]],
    tolerance: float | Mapping[str, float],
    conservative: bool = True,
) -> Guard:
    """Find the largest alignment strength at which no guarded task is worse than the tolerance.

    Rule: a strength passes when for every guarded task the lower limit of (aligned - base) lies above -tolerance, so
    "not shown to be worse" is not enough. All tasks must pass, therefore no correction over tasks is needed
    (intersection-union). Strength 0 is the base itself and always passes.

    Args:
        strengths: increasing numbers, 0 or more.
        differences: guarded task -> one Difference (or Interval) per strength, above 0 = improvement.
        tolerance: largest loss that is accepted, in the unit of the task; one for all or per task.
        conservative: stop at the first strength that fails (tests in a fixed order, so choosing among strengths needs
            no correction either). False: the largest that passes, even beyond one that fails.

    Returns:
        Guard; `table` has strength, worst_task (smallest room), low, room (low + tolerance), passes.

    Raises:
        VerdictError: for strengths that do not increase, no guarded task, or a missing or NaN difference.
    """
    if not len(strengths) or list(strengths) != sorted(set(strengths)) or strengths[0] < 0:
        raise VerdictError(f"strengths must be increasing numbers of 0 or more, got {list(strengths)}")
    if not differences:
        raise VerdictError("no guarded task: name at least one")
    low = {task: [float(d.low) for d in values] for task, values in differences.items()}
    for task, limits in low.items():
        if len(limits) != len(strengths) or not np.isfinite(limits).all():
            raise VerdictError(
                f"task {task!r} needs one finite difference per strength ({len(strengths)}), got {limits}"
            )
    limits = pd.DataFrame(low, index=list(strengths))
    room = limits + pd.Series({task: _tolerance(tolerance, task) for task in low})
    room.loc[room.index == 0] = room.loc[room.index == 0].clip(lower=np.finfo(float).tiny)
    worst = room.idxmin(axis=1)
    table = pd.DataFrame({"strength": strengths, "worst_task": worst.to_numpy(), "room": room.min(axis=1).to_numpy()})
    table.insert(2, "low", [limits.loc[s, task] for s, task in worst.items()])
    table["passes"] = table["room"] > 0
    allowed = table["passes"].cummin() if conservative else table["passes"]
    chosen = float(table.loc[allowed, "strength"].max()) if allowed.any() else 0.0
    beyond = room[(room.index > chosen) & (room.min(axis=1) <= 0)]
    stops = "" if beyond.empty else ", ".join(beyond.columns[beyond.iloc[0] <= 0])
    return Guard(chosen, table, stops)

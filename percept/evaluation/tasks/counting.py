"""Counting on frozen features: the counts of the nearest labelled pictures, and a linear read-out.

Sources: nearest-neighbour counting as in Sundaram et al., NeurIPS 2024, section 4 (their k is not published).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from percept.evaluation.arrays import unit_rows
from percept.evaluation.scores import TaskScore, score
from percept.evaluation.tasks.ridge import fit_ridge

NEIGHBOURS = 5


def neighbours(x: Any, test: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k most similar rows by cosine, best first; of equal ones the earlier row.

    Args:
        x: [N, D] labelled rows.
        test: [M, D] queries.
        k: 1 to N.

    Returns:
        int64 [M, k] positions in `x` and float64 [M, k] cosines.

    Raises:
        ValueError: if there are fewer than k labelled rows.
    """
    if not 1 <= k <= len(x):
        raise ValueError(f"k must be 1 to {len(x)}, the number of labelled pictures, got {k}")
    similarity = unit_rows(test, "test").astype(np.float64) @ unit_rows(x, "x").astype(np.float64).T
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(similarity, order, 1)


def nearest_counts(x: Any, counts: Any, test: Any, k: int = NEIGHBOURS) -> np.ndarray:
    """Mean count of the k nearest labelled pictures, float64 [M]; arguments as in `neighbours`."""
    return np.asarray(np.asarray(counts, np.float64)[neighbours(x, test, k)[0]].mean(1))


def blind_counts(train: Any, areas: Any, test_areas: Any) -> dict[str, np.ndarray]:
    """Counts that need no recognition: the mean count, and a line through the covered share of the picture.

    Args:
        train: counts [N].
        areas: covered share [N], 0..1; test_areas: likewise [M].

    Returns:
        Name of the rule to float64 [M].
    """
    counts = np.asarray(train, np.float64)
    guesses = {"mean count": np.full(len(test_areas), counts.mean())}
    if np.ptp(areas) > 0:
        guesses["covered area"] = np.polyval(np.polyfit(areas, counts, 1), test_areas)
    return guesses


def counting_scores(
    x: Any, counts: Any, test: Any, truth: Any, blind: dict[str, np.ndarray], prefix: str = "counting", **more: Any
) -> list[TaskScore]:
    """MAE and RMSE of both read-outs, in things.

    Args:
        x: [N, D] labelled features; counts: [N].
        test: [M, D]; truth: [M].
        blind: name of a rule to its counts [M]; the best one is the blind figure of each score.
        prefix: of the names.
        more: further fields of `TaskScore`.
    """
    k = min(NEIGHBOURS, len(x))
    wanted = np.asarray(truth, np.float64)
    answers = {f"{k} nearest": nearest_counts(x, counts, test, k), "linear": fit_ridge(x, counts).predict(test)[:, 0]}
    scores = []
    for way, guess in answers.items():
        for figure, power in (("MAE", 1), ("RMSE", 2)):
            summary = "mean" if power == 1 else "root"
            others = {rule: np.mean(np.abs(value - wanted) ** power) ** (1 / power) for rule, value in blind.items()}
            rule = min(others, key=lambda name: others[name])
            scores.append(
                score(
                    f"{prefix} {way} {figure}",
                    "counting",
                    np.abs(guess - wanted) ** power,
                    others[rule],
                    higher=False,
                    summary=summary,
                    note=f"blind: {rule}",
                    **more,
                )
            )
    return scores

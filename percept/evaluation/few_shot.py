"""Linear probes and few-shot curves on frozen features.

Shapes: N items, D feature width, C classes. The probe is scikit-learn's multinomial logistic regression
(L-BFGS) on the features as they are: the published recipe does not standardise them, so neither do we; unit
rows simply find their optimum at a larger C.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from percept.evaluation.linear import best_c, fit_probe, labelled, sweep_c
from percept.evaluation.statistics import crossed_interval
from percept.evaluation.zero_shot import mean_per_class

MAX_ITER = 300  # of the many small fits of a curve


def linear_probe(
    train_x: Any,
    train_y: Any,
    val_x: Any,
    val_y: Any,
    test_x: Any,
    test_y: Any,
    *,
    C: float | None = None,
    steps_per_decade: int = 8,
    max_iter: int = 1000,
) -> dict[str, Any]:
    """Linear probe with the published protocol: C on validation, refit on train + validation, test once.

    Args:
        train_x, val_x, test_x: [N, D] features.  train_y, val_y, test_y: int [N].
        C: skip the sweep and use this value.
        steps_per_decade, max_iter: see `sweep_c`; (1, 200) costs about a fifth.

    Returns:
        dict with `acc1`, `mean_per_class_recall`, `C`, `val_accuracy`, `sweep` {C: accuracy}, `converged`
        (of the final fit), `n`, and the arrays `correct` (bool [N]) and `predictions` (int [N]).
    """
    train, val, test = (
        labelled(train_x, train_y, "train"),
        labelled(val_x, val_y, "val"),
        labelled(test_x, test_y, "test"),
    )
    sweep: dict[float, float] = {}
    if C is None:
        sweep = sweep_c(train, val, steps_per_decade=steps_per_decade, max_iter=max_iter)
        C = best_c(sweep)
    both = np.concatenate([train[0], val[0]]), np.concatenate([train[1], val[1]])
    model, converged = fit_probe(both, C, max_iter)
    predictions = model.predict(test[0])
    correct = predictions == test[1]
    return {
        "acc1": float(correct.mean()),
        "mean_per_class_recall": mean_per_class(correct, test[1]),
        "C": float(C),
        "val_accuracy": sweep.get(C, float("nan")),
        "sweep": sweep,
        "converged": converged,
        "n": int(test[1].size),
        "correct": correct,
        "predictions": predictions,
    }


def few_shot_draws(labels: Any, shots: Sequence[int], draws: int, seed: int = 0) -> list[dict[int, np.ndarray]]:
    """Choose the training items of a few-shot curve from labels alone, so that all encoders share them.

    Draws are nested: the 2-shot set of a draw holds its 1-shot set.

    Args:
        labels: int [N] of the pool.  shots: images per class.  draws: independent repetitions.

    Returns:
        List (one per draw) of {shots: int indices into the pool}.

    Raises:
        ValueError: when a class has fewer images than the largest shot count.
    """
    array = np.asarray(labels)
    names, counts = np.unique(array, return_counts=True)
    if draws < 1 or not shots or min(shots) < 1:
        raise ValueError(f"need draws >= 1 and shots >= 1, got {draws} and {list(shots)}")
    if counts.min() < max(shots):
        poor = names[counts.argmin()]
        raise ValueError(f"class {poor} has {counts.min()} images, {max(shots)} shots need {max(shots)}")
    chosen = []
    for draw in range(draws):
        rng = np.random.default_rng([seed, draw])
        order = [rng.permutation(np.flatnonzero(array == name)) for name in names]
        chosen.append({k: np.sort(np.concatenate([items[:k] for items in order])) for k in shots})
    return chosen


def few_shot_curve(
    train_x: Any,
    train_y: Any,
    val_x: Any,
    val_y: Any,
    test_x: Any,
    test_y: Any,
    *,
    shots: Sequence[int] = (1, 2, 4, 8, 16),
    draws: int = 3,
    seed: int = 0,
    grid: Sequence[float] = (0.1, 1.0, 10.0, 100.0, 1000.0),
) -> dict[str, Any]:
    """Accuracy of a linear probe against labelled images per class, over several shared draws.

    C is picked once per shot count, by accuracy on the validation items with the first draw, and then kept for the
    other draws. The validation labels are part of the label budget: say so beside the curve. They never enter the fit.

    Args:
        train_x, train_y: the pool that shots are drawn from.  val_x, val_y: for C.  test_x, test_y: scored.
        shots, draws, seed: see `few_shot_draws`; equal values give every encoder the same images.
        grid: values of C to try.

    Returns:
        dict with `shots` (list), `accuracy` (float [draws, shots]), `interval` (list of Interval over draws
        and test items, crossed), `C` (list), `n`, and `correct` (bool [draws, shots, N]). Subtract two
        encoders' `correct` and give `[:, k]` to `crossed_interval` for a paired comparison.
    """
    pool, val, test = (
        labelled(train_x, train_y, "train"),
        labelled(val_x, val_y, "val"),
        labelled(test_x, test_y, "test"),
    )
    chosen = few_shot_draws(pool[1], shots, draws, seed)
    correct = np.zeros((draws, len(shots), test[1].size), dtype=bool)
    kept = []
    for column, k in enumerate(shots):
        first = pool[0][chosen[0][k]], pool[1][chosen[0][k]]
        kept.append(best_c({c: float(fit_probe(first, c, MAX_ITER)[0].score(*val)) for c in sorted(grid)}))
        for draw in range(draws):
            rows = chosen[draw][k]
            model, _ = fit_probe((pool[0][rows], pool[1][rows]), kept[-1], MAX_ITER)
            correct[draw, column] = model.predict(test[0]) == test[1]
    return {
        "shots": list(shots),
        "accuracy": correct.mean(axis=2),
        "interval": [crossed_interval(correct[:, column]) for column in range(len(shots))],
        "C": kept,
        "n": int(test[1].size),
        "correct": correct,
    }

"""Linear classifiers on frozen features: one fit, and the published sweep over C.

Shapes: N items, D feature width. C is scikit-learn's inverse penalty strength.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from percept.evaluation.arrays import class_labels, matrix

Data = tuple[np.ndarray, np.ndarray]


def labelled(x: Any, y: Any, name: str) -> Data:
    """Return (features float64 [N, D], labels int64 [N]), checked."""
    features = matrix(x, f"{name}_x").astype(np.float64)
    return features, class_labels(y, features.shape[0])


def _threads(features: np.ndarray) -> Any:
    """Limit BLAS to one thread for small fits.

    Their thousands of tiny products gain nothing from more, and beside another busy process the threads'
    waiting for one another made fits 20 to 200 times slower (measured on two cores).
    """
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1 if features.size < 4_000_000 else None)


def fit_probe(train: Data, C: float, max_iter: int, start: Any = None) -> tuple[Any, bool]:
    """Fit scikit-learn's multinomial logistic regression; say whether L-BFGS converged.

    `start` is a fitted model of a *smaller* C: L-BFGS stops at a fixed gradient size, so coming down from
    large coefficients would leave noise as large as the small solution.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=C, max_iter=max_iter, warm_start=True)
    if start is not None and np.array_equal(start.classes_, np.unique(train[1])):
        model.coef_, model.intercept_, model.classes_ = start.coef_, start.intercept_, start.classes_
    with warnings.catch_warnings(), _threads(train[0]):
        warnings.simplefilter("ignore", ConvergenceWarning)  # returned instead
        warnings.filterwarnings("ignore", message="The number of unique classes is greater")  # one shot
        model.fit(*train)
    return model, bool(np.max(model.n_iter_) < max_iter)


def sweep_c(train: Data, val: Data, *, steps_per_decade: int = 8, max_iter: int = 1000) -> dict[float, float]:
    """Search C as published: {1e-6, 1e-4, ..., 1e6}, then halve the spacing around the peak.

    Args:
        train, val: (features [N, D], labels [N]).
        steps_per_decade: 8 is the published end point; 1 or 2 is the cheap setting. A power of two.
        max_iter: L-BFGS iterations per fit (published: 1,000).

    Returns:
        {C: validation accuracy} of all fits, in order of C. The choice is `best_c` of it.

    Source: Radford et al. 2021 (CLIP), appendix A.3.
    """
    if steps_per_decade not in (1, 2, 4, 8):
        raise ValueError(f"steps_per_decade must be 1, 2, 4 or 8, got {steps_per_decade}")
    found: dict[float, float] = {}
    models: dict[float, Any] = {}

    def visit(exponents: Sequence[float]) -> None:
        for exponent in exponents:
            c = float(10.0**exponent)
            if c not in found and -6 <= exponent <= 6:
                below = max((tried for tried in models if tried < c), default=None)
                models[c], _ = fit_probe(train, c, max_iter, None if below is None else models[below])
                found[c] = float(models[c].score(*val))

    visit([-6, -4, -2, 0, 2, 4, 6])
    spacing = 2.0
    while spacing > 1 / steps_per_decade:
        spacing /= 2
        peak = np.log10(best_c(found))
        visit([peak - spacing, peak + spacing])
    return dict(sorted(found.items()))


def best_c(found: dict[float, float]) -> float:
    """Return the C with the highest validation accuracy; among equal ones the smallest (simplest model)."""
    top = max(found.values())
    return min(c for c, accuracy in found.items() if accuracy == top)

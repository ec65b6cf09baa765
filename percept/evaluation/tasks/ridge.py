"""Closed-form linear read-outs of frozen features: one eigendecomposition serves every penalty and every target."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from percept.evaluation.arrays import matrix

PENALTIES = tuple(float(10**exponent) for exponent in np.arange(-4, 2.01, 0.5))  # times the number of rows
_CUT = 10.0


class Ridge(NamedTuple):
    """A fitted read-out.

    Attributes:
        mean: float64 [D], subtracted from the features.
        scale: float64 [D], then divided by; results are cut at 10, so that a feature that hardly moved in training
            cannot outvote all others elsewhere.
        coefficient: float64 [D, T].
        offset: float64 [T].
        penalty: the one chosen, times the number of rows.
        errors: mean squared error for each of `PENALTIES`.
    """

    mean: np.ndarray
    scale: np.ndarray
    coefficient: np.ndarray
    offset: np.ndarray
    penalty: float
    errors: np.ndarray

    def predict(self, x: Any) -> np.ndarray:
        """Targets [N, T] of features [N, D]."""
        return np.asarray(_scaled(matrix(x, "x"), self.mean, self.scale) @ self.coefficient + self.offset)


def fit_ridge(x: Any, y: Any, validate: tuple[Any, Any] | None = None) -> Ridge:
    """Ridge regression on standardised features, with the penalty chosen by squared error.

    Args:
        x: [N, D].
        y: [N] or [N, T].
        validate: features and targets to choose the penalty on; without them, by exact leave-one-out errors (rows
            must then be independent).

    Source: leave-one-out by the hat matrix, Allen, Technometrics 16(1), 1974.

    Example:
        >>> x = np.arange(6.0)[:, None]
        >>> fit_ridge(x, 2 * x).predict([[7.0]]).round(2).tolist()
        [[14.0]]
    """
    features, targets = matrix(x, "x").astype(np.float64), _targets(y, "y")
    if len(features) != len(targets):
        raise ValueError(f"{len(features)} rows of features for {len(targets)} targets")
    mean, scale = features.mean(0), features.std(0)
    scale[scale < 1e-6] = 1.0
    scaled, offset = _scaled(features, mean, scale), targets.mean(0)
    shift = scaled.mean(0)  # 0 but for what was cut
    left, roots, right = _svd(scaled - shift)
    inner = left.T @ (targets - offset)

    def weights(penalty: float) -> np.ndarray:
        return np.asarray(right @ ((roots / (roots**2 + penalty * len(features)))[:, None] * inner))

    if validate is None:
        errors = _left_out(left, roots, inner, targets - offset)
    else:
        rows, wanted = _scaled(matrix(validate[0], "x"), mean, scale) - shift, _targets(validate[1], "y") - offset
        errors = np.array([np.mean((rows @ weights(penalty) - wanted) ** 2) for penalty in PENALTIES])
    best = PENALTIES[int(np.argmin(errors))]
    coefficient = weights(best)
    return Ridge(mean, scale, coefficient, offset - shift @ coefficient, best, errors)


def _targets(y: Any, name: str) -> np.ndarray:
    values = np.asarray(y, np.float64)
    return matrix(values[:, None] if values.ndim == 1 else values, name)


def _scaled(x: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip((x - mean) / scale, -_CUT, _CUT))


def _svd(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thin singular value decomposition through the smaller of the two Gram matrices: much faster than the direct."""
    tall = len(x) >= x.shape[1]
    squares, vectors = np.linalg.eigh(x.T @ x if tall else x @ x.T)
    kept = squares > max(squares.max(), 1e-300) * 1e-10
    roots, vectors = np.sqrt(squares[kept]), vectors[:, kept]
    other = (x @ vectors if tall else x.T @ vectors) / roots
    return (other, roots, vectors) if tall else (vectors, roots, other)


def _left_out(left: np.ndarray, roots: np.ndarray, inner: np.ndarray, centred: np.ndarray) -> np.ndarray:
    squared, rows, errors = left**2, len(left), []
    for penalty in PENALTIES:
        shrink = roots**2 / (roots**2 + penalty * rows)
        own = squared @ shrink + 1 / rows  # how far a row's prediction follows its own target
        residual = (centred - left @ (shrink[:, None] * inner)) / np.maximum(1 - own, 1e-6)[:, None]
        errors.append(np.mean(residual**2))
    return np.array(errors)


def classify_ridge(x: Any, labels: Any, test: Any, validate: tuple[Any, Any] | None = None) -> np.ndarray:
    """Class predictions int64 [M] for `test` [M, D]: ridge regression on one-hot targets, the largest output wins.

    Args:
        x: [N, D].
        labels: int [N].
        test: [M, D].
        validate: see `fit_ridge`, with labels.
    """
    names, index = np.unique(np.asarray(labels), return_inverse=True)
    held = None if validate is None else (validate[0], (np.asarray(validate[1])[:, None] == names) * 1.0)
    found = fit_ridge(x, np.eye(len(names))[index], held).predict(test)
    return np.asarray(names[found.argmax(1)])

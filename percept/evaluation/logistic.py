"""Logistic maps from raw predictions to the scale of the ratings, fitted from several starts, stalls detected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from percept.evaluation.arrays import to_numpy

PARAMETERS = {"logistic4": 4, "logistic5": 5}


def finite(values: Any, name: str) -> np.ndarray:
    """Return a non-empty float64 [N] of finite numbers, or raise a ValueError that names argument and place."""
    array = to_numpy(values).astype(np.float64)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"{name} must be a non-empty vector, got shape {array.shape}")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise ValueError(f"{name}[{bad[0]}] is not a finite number ({bad.size} such values)")
    return array


def paired(prediction: Any, target: Any, name: str = "prediction") -> tuple[np.ndarray, np.ndarray]:
    """Return both as `finite` vectors of one length."""
    first, second = finite(prediction, name), finite(target, "target")
    if first.size != second.size:
        raise ValueError(f"{name} and target must score the same items: got {first.size} and {second.size}")
    return first, second


def varies(*sides: np.ndarray) -> bool:
    """Whether each side differs by more than the rounding of its values."""
    return all(np.ptp(side) > 4 * np.finfo(side.dtype).eps * np.abs(side).max() for side in sides)


@dataclass(frozen=True)
class LogisticFit:
    """A fitted map from predictions to the scale of the targets.

    Attributes:
        kind: "logistic4": (b1 - b2) / (1 + exp(-(x - b3) / b4)) + b2, or
            "logistic5": b1 (1/2 - 1 / (1 + exp(b2 (x - b3)))) + b4 x + b5.
        parameters: b1, b2, ...
        rmse: of the map, on the items it was fitted to.
        line_rmse: of the best straight line on them.
        stalled: the fit did not converge, or is no better than the straight line. (Where targets follow
            predictions linearly this is no fault: the map then adds nothing.)
        start: "published" or the centre and width of the start that won.
    """

    kind: str
    parameters: tuple[float, ...]
    rmse: float
    line_rmse: float
    stalled: bool
    start: str

    def predict(self, x: Any) -> np.ndarray:
        """Mapped predictions, float64, of the shape of x."""
        return _curve(self.kind, np.array(self.parameters), to_numpy(x).astype(np.float64))


def _curve(kind: str, b: np.ndarray, x: np.ndarray) -> np.ndarray:
    if kind == "logistic4":
        return np.asarray((b[0] - b[1]) * expit((x - b[2]) / b[3]) + b[1])
    return np.asarray(b[0] * (expit(b[1] * (x - b[2])) - 0.5) + b[3] * x + b[4])


def need_kind(kind: str) -> None:
    """Raise a ValueError for a map that is not known."""
    if kind not in PARAMETERS:
        raise ValueError(f"fit must be None or one of {', '.join(PARAMETERS)}, got {kind!r}")


def _starts(x: np.ndarray, y: np.ndarray, kind: str) -> dict[str, np.ndarray]:
    """The published start, and the best of a grid: for a given centre and width all else is linear least squares."""
    spread = x.std()
    published = {"logistic4": [y.max(), y.min(), x.mean(), spread / 4], "logistic5": [10.0, 0.0, y.mean(), 0.1, 0.1]}
    found = []
    for centre in np.quantile(x, [0.1, 0.3, 0.5, 0.7, 0.9]):
        for width in spread * np.array([0.05, 0.2, 0.5, 1.5]):
            rise = expit((x - centre) / width)
            columns = [rise, np.ones_like(x)] if kind == "logistic4" else [rise - 0.5, x, np.ones_like(x)]
            design = np.stack(columns, axis=1)
            solved = np.linalg.lstsq(design, y, rcond=None)[0]
            if kind == "logistic4":
                start = [solved[0] + solved[1], solved[1], centre, width]
            else:
                start = [solved[0], 1 / width, centre, solved[1], solved[2]]
            found.append((np.mean((design @ solved - y) ** 2), f"centre {centre:.3g}, width {width:.3g}", start))
    best = sorted(found, key=lambda each: each[0])[:4]
    return {name: np.array(start) for name, start in [("published", published[kind]), *(each[1:] for each in best)]}


def fit_logistic(prediction: Any, target: Any, kind: str = "logistic4") -> LogisticFit:
    """Fit the map of the field by least squares from several starts, and keep the best.

    The published start of the 5-parameter map often ends in its straight line; a grid of starts avoids that, and
    `stalled` tells when nothing helped.

    Args:
        prediction: [N] model outputs.
        target: [N] scores.
        kind: "logistic4" or "logistic5".

    Raises:
        ValueError: unknown map, a constant side, not more items than parameters, or see `srcc`.

    Source: VQEG's 4-parameter map; the 5-parameter one is that of Sheikh et al., IEEE TIP 15(11), 2006.

    Example:
        >>> x = np.linspace(-3, 3, 50)
        >>> fitted = fit_logistic(x, 1 + 4 / (1 + np.exp(-(x - 1) / 0.5)))
        >>> [round(b, 3) for b in fitted.parameters], fitted.stalled
        ([5.0, 1.0, 1.0, 0.5], False)
    """
    from scipy.optimize import least_squares

    need_kind(kind)
    x, y = paired(prediction, target)
    if x.size <= PARAMETERS[kind]:
        raise ValueError(f"{kind} has {PARAMETERS[kind]} parameters and needs more items than that, got {x.size}")
    if not varies(x, y):
        raise ValueError("prediction or target is constant: there is no map to fit")
    line = float(np.sqrt(np.mean((np.polynomial.Polynomial.fit(x, y, 1)(x) - y) ** 2)))
    best, name = None, ""
    with np.errstate(all="ignore"):  # a search may pass through a width of 0
        for label, start in _starts(x, y, kind).items():
            found = least_squares(lambda b: _curve(kind, b, x) - y, start, method="lm", x_scale="jac", max_nfev=2000)
            if np.isfinite(found.cost) and (best is None or found.cost < best.cost):
                best, name = found, label
    if best is None:
        raise ValueError("no start gave a finite fit: bring prediction and target to an ordinary range")
    error = float(np.sqrt(2 * best.cost / x.size))
    # The second term: where the line is exact, both errors are rounding.
    stalled = best.status <= 0 or line - error <= 1e-4 * line + 1e-9 * np.ptp(y)
    return LogisticFit(kind, tuple(float(b) for b in best.x), error, line, bool(stalled), name)

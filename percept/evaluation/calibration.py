"""From the raw output of a score model to the user's scale, with an interval: plain numbers that go into a file."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from percept.evaluation.arrays import to_numpy
from percept.evaluation.logistic import LogisticFit, finite, fit_logistic, paired

KINDS = ("isotonic", "logistic4")


@dataclass(frozen=True)
class Scale:
    """A rising map from raw outputs to low..high, and how far off it is on rows it has not seen.

    Attributes:
        kind: "isotonic" (steps and slopes through knots) or "logistic4" (see `percept.evaluation.logistic`).
        low, high: ends of the label range.
        parameters: isotonic: the raw positions of the knots, then their heights; logistic4: b1..b4.
        half_width: of the interval; infinite (None in the file) until `with_interval` finds a finite one.
        coverage: of the interval; 0 until it is set.
    """

    kind: str
    low: float
    high: float
    parameters: tuple[float, ...]
    half_width: float = math.inf
    coverage: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(f"the label range must have finite ends, low below high, got {self.low}..{self.high}")
        if not (self.half_width >= 0 and 0 <= self.coverage < 1):
            raise ValueError(f"half_width {self.half_width} or coverage {self.coverage} is out of range")
        count = len(self.parameters)
        if not (count == 4 if self.kind == "logistic4" else count and count % 2 == 0):
            raise ValueError(f"{self.kind} cannot have {count} parameters")
        if not all(map(math.isfinite, self.parameters)):
            raise ValueError("parameters must be finite numbers")
        if self.kind == "isotonic" and (np.diff(np.reshape(self.parameters, (2, -1))) < 0).any():
            raise ValueError("isotonic knots must not fall")

    def predict(self, raw: Any) -> np.ndarray:
        """Scores float64 [N] in low..high for raw outputs [N]; beyond the fitted ones the map stays level or clips.

        Raises:
            ValueError: raw is no vector of finite numbers.
        """
        x, half = finite(raw, "raw"), len(self.parameters) // 2
        if self.kind == "isotonic":
            mapped = np.interp(x, self.parameters[:half], self.parameters[half:])
        else:
            mapped = LogisticFit(self.kind, self.parameters, 0.0, 0.0, False, "stored").predict(x)
        return np.clip(mapped, self.low, self.high)

    def interval(self, raw: Any) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper limits, float64 [N] each, cut at the label range (all of it without a half-width)."""
        score = self.predict(raw)
        return np.maximum(score - self.half_width, self.low), np.minimum(score + self.half_width, self.high)

    def with_interval(self, raw: Any, target: Any, coverage: float = 0.9) -> Scale:
        """Return a copy whose interval holds a new label with probability `coverage` or more, on average over draws.

        Args:
            raw: [N] outputs for rows that neither the model nor this map was fitted to.
            target: [N] their labels.
            coverage: between 0 and 1. Below N = coverage / (1 - coverage) rows (9 for 0.9, 19 for 0.95) the interval
                is the whole range.
        """
        outputs, labels = paired(raw, target, "raw")
        _within(labels, self.low, self.high)
        return replace(
            self, half_width=conformal_half_width(self.predict(outputs) - labels, coverage), coverage=coverage
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        whole = math.isinf(self.half_width)
        return asdict(self) | {"parameters": list(self.parameters), "half_width": None if whole else self.half_width}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Scale:
        """Read what `to_dict` wrote.

        Raises:
            ValueError: keys missing or unknown, or values that make no scale.
        """
        names = set(cls.__dataclass_fields__)
        if set(values) != names:
            raise ValueError(f"a stored scale has the keys {sorted(names)}, got {sorted(values)}")
        try:
            numbers = {name: float(values[name]) for name in ("low", "high", "coverage")}
            parameters = tuple(float(each) for each in values["parameters"])
            half = math.inf if values["half_width"] is None else float(values["half_width"])
        except (TypeError, ValueError) as error:
            raise ValueError(f"a stored scale must hold plain numbers: {error}") from error
        return cls(kind=values["kind"], parameters=parameters, half_width=half, **numbers)


def fit_scale(raw: Any, target: Any, low: float, high: float, kind: str = "isotonic") -> Scale:
    """Fit the rising map from raw outputs to labels.

    Args:
        raw: [N] outputs of the model, higher for higher labels.
        target: [N] labels, all in low..high.
        low, high: label range of the user's scale.
        kind: "isotonic" (any rising shape; ties close outputs, so rank with the raw ones) or "logistic4" (smooth,
            keeps the order; for few labels).

    Returns:
        Scale without interval; see `Scale.with_interval`.

    Raises:
        ValueError: labels outside the range, an unknown kind, or a logistic map that would fall.

    Source: Barlow et al., Statistical Inference under Order Restrictions (1972), by scikit-learn.

    Example:
        >>> scale = fit_scale([0.0, 1.0, 2.0, 3.0], [1, 3, 2, 5], low=1, high=5)
        >>> scale.predict([-9.0, 1.0, 2.5]).tolist()
        [1.0, 2.5, 3.75]
    """
    x, y = paired(raw, target, "raw")
    empty = Scale(kind, float(low), float(high), (0.0,) * 4)  # refuses an unknown kind or range before any fit
    _within(y, empty.low, empty.high)
    if kind == "logistic4":
        fitted = fit_logistic(x, y, kind)
        if not (fitted.parameters[0] - fitted.parameters[1]) * fitted.parameters[3] > 0:
            raise ValueError("the labels fall as the raw output rises: turn one of them, or use kind='isotonic'")
        return replace(empty, parameters=fitted.parameters)
    from sklearn.isotonic import IsotonicRegression

    steps = IsotonicRegression(y_min=empty.low, y_max=empty.high).fit(x, y)
    return replace(empty, parameters=(*steps.X_thresholds_.tolist(), *steps.y_thresholds_.tolist()))


def _within(labels: np.ndarray, low: float, high: float) -> None:
    bad = np.flatnonzero((labels < low) | (labels > high))
    if bad.size:
        raise ValueError(f"target[{bad[0]}] is {labels[bad[0]]:g}, outside the label range {low:g}..{high:g}")


def conformal_half_width(residuals: Any, coverage: float = 0.9) -> float:
    """The ceil((n + 1) coverage)-th smallest absolute residual, infinite if there are too few.

    A new label then lies within it of its prediction with probability `coverage` or more, if it and the n held-out
    rows could as well have come in any other order. That is a promise on average, not for every kind of image.

    Args:
        residuals: [n] prediction less label (sign does not matter) on rows used for no fit.
        coverage: between 0 and 1.

    Source: split conformal prediction; Lei et al., JASA 113, 2018.

    Example:
        >>> conformal_half_width([3, -1, 2, 5, 4, -6, 7, 8, 9], 0.9), conformal_half_width([1, 2], 0.9)
        (9.0, inf)
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage must lie between 0 and 1, got {coverage}")
    if not to_numpy(residuals).size:
        return math.inf
    sizes = np.sort(np.abs(finite(residuals, "residuals")))
    # Less a trifle: 25 * 0.56 is 14.000000000000002 in floats and is not meant to be 15.
    rank = math.ceil((sizes.size + 1) * coverage - 1e-9)
    return float(sizes[rank - 1]) if rank <= sizes.size else math.inf

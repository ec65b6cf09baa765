"""Alternative texts: what a figure shows, in words and with its numbers."""

from collections.abc import Mapping, Sequence
from typing import Any


def number(value: Any) -> str:
    """Write a number, or an Interval as "value (low to high)".

    Example:
        >>> number((0.5, 0.4, 0.6, 10))
        '0.50 (0.40 to 0.60)'
    """
    if isinstance(value, tuple):
        return f"{value[0]:.2f} ({value[1]:.2f} to {value[2]:.2f})"
    return f"{float(value):.2f}"


def describe_values(title: str, values: Mapping[str, Any], chance: float | None = None) -> str:
    """Alt text of bars or points: the title, then every name with its number and interval.

    Args:
        title: what is shown and in which unit.  values: {name: number or Interval}.

    Example:
        >>> describe_values("Accuracy", {"tiny": 0.8}, chance=0.1)
        'Accuracy. tiny: 0.80. Chance: 0.10.'
    """
    parts = "; ".join(f"{name}: {number(value)}" for name, value in values.items())
    return f"{title}. {parts}." + ("" if chance is None else f" Chance: {number(chance)}.")


def describe_series(title: str, series: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> str:
    """Alt text of curves: where each begins and ends, and its highest point.

    Args:
        series: {name: (x, y)}.

    Example:
        >>> describe_series("Accuracy by shots", {"probe": ([1, 2, 4], [0.2, 0.5, 0.4])})
        'Accuracy by shots. probe: from 0.20 at 1 to 0.40 at 4, highest 0.50 at 2.'
    """
    parts = []
    for name, (x, y) in series.items():
        top = max(range(len(y)), key=lambda index: float(y[index]))
        ends = f"from {number(y[0])} at {x[0]:g} to {number(y[-1])} at {x[-1]:g}"
        parts.append(f"{name}: {ends}, highest {number(y[top])} at {x[top]:g}")
    return f"{title}. {'; '.join(parts)}."

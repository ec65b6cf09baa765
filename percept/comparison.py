"""What moved between two runs, told apart from what merely wobbled."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

# A row without an interval claims to be exact; what is left is the last digits of floating-point sums.
_EXACT = 1e-6
_STATUSES = ("moved", "within", "machine", "only in A", "only in B")
_MACHINE_UNITS = {"machine", "s", "ms", "min", "h", "kB", "MB", "GB", "MiB", "GiB"}


def compare_rows(rows_a: Sequence[Mapping[str, Any]], rows_b: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Compare two lists of result rows by notebook and name.

    A row has moved when the difference of its values is larger than both intervals allow together: the
    half-widths that face each other, added in quadrature (the interval of a difference of two independent
    estimates). A row without an interval has moved when it differs by more than one part in a million.
    Times, sizes, rates and what has the unit "machine" (cores, memory) describe the machine, not the result: they
    are listed and never count as moved.

    Args:
        rows_a: Rows with "notebook", "name", "value", "low", "high", "unit".
        rows_b: The same of the other run.

    Returns:
        One dict per row: notebook, name, unit, a, b, difference, allowed, and status: "moved", "within",
        "machine", "only in A" or "only in B".

    Example:
        >>> row = {"notebook": "02", "name": "accuracy", "value": 0.8, "low": 0.7, "high": 0.9}
        >>> compare_rows([row], [row | {"value": 0.5, "low": 0.4, "high": 0.6}])[0]["status"]
        'moved'
    """
    by_key_a = {(row["notebook"], row["name"]): row for row in rows_a}
    by_key_b = {(row["notebook"], row["name"]): row for row in rows_b}
    return [_compare(key, by_key_a.get(key), by_key_b.get(key)) for key in sorted({*by_key_a, *by_key_b})]


def report(rows: Sequence[Mapping[str, Any]], everything: bool = False) -> str:
    """Rows of `compare_rows` as text: what moved or is missing, or everything, and a line of counts."""
    lines = [_line(row) for row in rows if everything or row["status"] not in ("within", "machine")]
    counts = {status: sum(row["status"] == status for row in rows) for status in _STATUSES}
    return "\n".join([*lines, ", ".join(f"{count} {status}" for status, count in counts.items())])


def _line(row: Mapping[str, Any]) -> str:
    values = " -> ".join("none" if row[side] is None else f"{row[side]:.6g}" for side in ("a", "b"))
    text = f"{row['status']:<9} {row['notebook']}  {row['name']}  {values} {row['unit']}".rstrip()
    if row["difference"] is None:
        return text
    return f"{text} (difference {row['difference']:+.3g}, {row['allowed']:.3g} allowed)"


def _compare(key: tuple[str, str], a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> dict[str, Any]:
    unit = (a or b or {}).get("unit", "")
    out = {"notebook": key[0], "name": key[1], "unit": unit, "a": a and a["value"], "b": b and b["value"]}
    if a is None or b is None:
        status = "only in B" if a is None else "only in A"
        return out | {"difference": None, "allowed": None, "status": status}
    difference = b["value"] - a["value"]
    allowed = _allowed(a, b, difference)
    moved = "moved" if abs(difference) > allowed else "within"
    machine = unit in _MACHINE_UNITS or unit.endswith("/s")
    return out | {"difference": difference, "allowed": allowed, "status": "machine" if machine else moved}


def _allowed(a: Mapping[str, Any], b: Mapping[str, Any], difference: float) -> float:
    facing_a, facing_b = ("high", "low") if difference > 0 else ("low", "high")
    half_widths = [
        abs(row[side] - row["value"]) for row, side in ((a, facing_a), (b, facing_b)) if row.get(side) is not None
    ]
    return max(math.hypot(*half_widths), _EXACT * max(abs(a["value"]), abs(b["value"])))

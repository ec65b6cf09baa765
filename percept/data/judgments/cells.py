"""Cells of CSV files: read by column name with the row to blame, and written so that a spreadsheet runs nothing."""

from __future__ import annotations

import contextlib
import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from percept.data.judgments.file import JudgmentError

# Spreadsheets run a cell that begins so as a formula. One apostrophe goes before it and is taken off again.
FORMULA = re.compile(r"'*[=+\-@\t\r]")
_TRUTH = {"": None, "true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def read_rows(path: Path, needed: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Rows of a CSV (comma, semicolon or tab), blank ones skipped; UTF-8, UTF-16 with mark, or Shift-JIS (cp932).

    Returns:
        Row number as a spreadsheet shows it (the header is row 1), and cells by lower-case column name.

    Raises:
        JudgmentError: names the file, and the row where there is one.
    """
    text = _decoded(path)
    first = text.splitlines()[0] if text.strip() else ""
    try:
        lines = list(csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count), strict=True))
    except csv.Error as error:
        raise JudgmentError(f"{path}: not a readable table ({error}); check the quotation marks") from error
    names = [name.strip().lower() for name in lines[0]] if lines else []
    for name in needed:
        if names.count(name) != 1:
            problem = "has no column" if name not in names else "has two columns"
            raise JudgmentError(f"{path}: {problem} {name!r} (columns: {', '.join(names) or 'none'})")
    rows = []
    for number, cells in enumerate(lines[1:], start=2):
        if len(cells) != len(names) and any(cells):
            raise JudgmentError(f"{path}, row {number}: has {len(cells)} cells, the header has {len(names)}")
        if any(cell.strip() for cell in cells):
            rows.append((number, {name: _unguarded(cell.strip(" ")) for name, cell in zip(names, cells, strict=True)}))
    if not rows:
        raise JudgmentError(f"{path}: has no rows below its header")
    return rows


def _decoded(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise JudgmentError(f"{path}: cannot be read ({error.strerror})") from error
    for codec in ("utf-16",) if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp932"):
        with contextlib.suppress(UnicodeDecodeError):
            return raw.decode(codec)
    raise JudgmentError(f"{path}: is neither UTF-8 nor Shift-JIS text; save it as 'CSV UTF-8'")


def csv_text(header: Iterable[str], lines: Iterable[Iterable[Any]]) -> str:
    """A table as CSV text."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return stream.getvalue()


def guarded(value: Any) -> Any:
    """A value as a cell: missing is empty, times to the millisecond, no text that a spreadsheet would run.

    >>> guarded("=1+1"), guarded(float("nan")), guarded(-2)
    ("'=1+1", '', -2)
    """
    if isinstance(value, str):
        return f"'{value}" if FORMULA.match(value) else value
    if pd.isna(value):
        return ""
    return value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else value


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


@contextlib.contextmanager
def blaming(path: Path, row: int) -> Iterator[None]:
    """Name file and row in an error."""
    try:
        yield
    except JudgmentError as error:
        raise type(error)(f"{path}, row {row}: {error}") from error


def number(cell: str, name: str) -> float:
    """A finite number."""
    with contextlib.suppress(ValueError):
        if math.isfinite(value := float(cell)):
            return value
    raise JudgmentError(f"{name} {cell!r} is not a number")


def truth(cell: str, name: str) -> bool | None:
    """True or false in any form that spreadsheets write; None for an empty cell."""
    if cell.lower() not in _TRUTH:
        raise JudgmentError(f"{name} {cell!r} must be True or False")
    return _TRUTH[cell.lower()]


def moment(cell: str, name: str) -> str | None:
    """A time as the store writes it; one without a zone is taken for UTC."""
    if not cell:
        return None
    try:
        value = datetime.fromisoformat(cell)
    except ValueError as error:
        raise JudgmentError(f"{name} {cell!r} is no ISO 8601 time such as 2026-01-31T12:00:00+00:00") from error
    value = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return value.isoformat(timespec="milliseconds")

"""`labels.csv`: what a user's spreadsheet says about a folder of images."""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

# Python's cp932 maps bytes that no Shift-JIS text holds to these instead of failing.
_STRAY = re.compile("[\x80\xa0\uf8f0-\uf8f3]")
KNOWN_COLUMNS = ("label", "count", "score", "group", "caption")


class LabelsError(ValueError):
    """A labels file that cannot be used.

    Args:
        path: the labels file.
        reason: what is wrong and what to do.
        row: row number as a spreadsheet shows it (the header is row 1), if one row is to blame.
    """

    def __init__(self, path: Path, reason: str, row: int | None = None) -> None:
        self.path, self.reason, self.row = path, reason, row
        super().__init__(f"{path}{'' if row is None else f', row {row}'}: {reason}")


def read_labels(path: str | Path, encoding: str | None = None) -> pd.DataFrame:
    """Read a labels file: a column `file` and any of label, count, score, group, caption.

    Encoding rule: a byte-order mark decides (UTF-8 or UTF-16, as Excel writes them); otherwise UTF-8; if the
    bytes are not valid UTF-8, cp932 (Shift-JIS, Japanese Excel's plain CSV). `encoding` overrides the rule.
    The separator is whichever of comma, semicolon or tab occurs most in the header. Blank rows are skipped,
    other columns are kept as text, and file names are normalised to `/` and Unicode NFC so that a list
    written on Windows or macOS finds its files.

    Args:
        path: the csv file.
        encoding: Python codec name that overrides the rule.

    Returns:
        One line per row: `row` (spreadsheet row number), `file`, then the other columns; count is a
        float column with whole numbers >= 0, score float; empty cells are missing values.

    Raises:
        LabelsError: names the file, and the row where there is one.
    """
    path = Path(path)
    text = _decode(path, encoding)
    header_line = text.splitlines()[0] if text.strip() else ""
    separator = max(",;\t", key=header_line.count)
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=separator, strict=True))
    except csv.Error as error:
        raise LabelsError(path, f"not a readable table ({error}); check the quotation marks") from error
    if not header_line.strip():
        raise LabelsError(path, "is empty; write a header row with a column 'file'")
    columns = _columns(path, rows[0])
    records = [
        _record(path, number, columns, cells)
        for number, cells in enumerate(rows[1:], start=2)
        if any(cell.strip() for cell in cells)
    ]
    if not records:
        raise LabelsError(path, "has a header but no rows; list at least one image")
    _refuse_duplicates(path, records)
    return pd.DataFrame(records, columns=["row", *columns])


def _decode(path: Path, encoding: str | None) -> str:
    raw = path.read_bytes()
    if encoding is None and raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    for name in [encoding] if encoding else ["utf-8-sig", "cp932"]:
        try:
            text = raw.decode(name)
        except UnicodeDecodeError as error:
            line = raw[: error.start].count(b"\n") + 1
            continue
        if name != "cp932" or encoding or not (stray := _STRAY.search(text)):
            return text
        line = text[: stray.start()].count("\n") + 1
    tried = encoding or "UTF-8 nor cp932 (Shift-JIS)"
    raise LabelsError(path, f"text is not {tried}; save it as 'CSV UTF-8' or pass encoding=", line)


def _columns(path: Path, header: list[str]) -> list[str]:
    columns = [name.strip().lower() for name in header]
    if "file" not in columns:
        raise LabelsError(path, f"has no column 'file' (columns: {', '.join(columns)}); add or rename it", 1)
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    if repeated:
        raise LabelsError(path, f"column {repeated[0]!r} appears twice; keep one", 1)
    if "row" in columns:
        raise LabelsError(path, "column 'row' is reserved for the row number; rename it", 1)
    return columns


def _record(path: Path, row: int, columns: list[str], cells: list[str]) -> dict[str, Any]:
    if len(cells) != len(columns):
        raise LabelsError(path, f"has {len(cells)} cells, the header has {len(columns)}; quote text with commas", row)
    record: dict[str, Any] = {"row": row}
    for name, cell in zip(columns, cells, strict=True):
        record[name] = _PARSERS.get(name, _text)(cell.strip(), path, row)
    return record


def _text(cell: str, path: Path, row: int) -> str | None:
    return cell or None


def _file(cell: str, path: Path, row: int) -> str:
    name = unicodedata.normalize("NFC", cell.replace("\\", "/")).removeprefix("./")
    if not name:
        raise LabelsError(path, "the 'file' cell is empty", row)
    if name.startswith("/") or name[1:2] == ":" or ".." in name.split("/"):
        raise LabelsError(path, f"{cell!r} must be a path inside the data folder", row)
    return name


def _number(name: str, whole: bool) -> Callable[[str, Path, int], float | None]:
    def parse(cell: str, path: Path, row: int) -> float | None:
        if not cell:
            return None
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or (whole and (value < 0 or value != int(value))):
            kind = "a whole number of 0 or more" if whole else "a finite number"
            raise LabelsError(path, f"{name} {cell!r} is not {kind}", row)
        return value

    return parse


_PARSERS: dict[str, Callable[[str, Path, int], Any]] = {
    "file": _file,
    "count": _number("count", whole=True),
    "score": _number("score", whole=False),
}


def _refuse_duplicates(path: Path, records: list[dict[str, Any]]) -> None:
    first: dict[str, int] = {}
    for record in records:
        earlier = first.setdefault(record["file"], record["row"])
        if earlier != record["row"]:
            raise LabelsError(path, f"{record['file']!r} is already listed in row {earlier}; keep one", record["row"])

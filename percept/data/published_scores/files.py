"""What the readers of published scores share: tables with and without header, shares of votes, pictures, parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
import pandas as pd

from percept.data import triplet_files
from percept.data.ratings import RatingsError
from percept.data.triplets import TripletsError

P = ParamSpec("P")
R = TypeVar("R")


def _about_ratings(function: Callable[P, R]) -> Callable[P, R]:
    """The same function of the readers of triplets, whose errors are about ratings."""

    @wraps(function)
    def call(*args: P.args, **options: P.kwargs) -> R:
        try:
            return function(*args, **options)
        except TripletsError as error:
            raise RatingsError(error.reason, error.path, error.row) from error

    return call


need_file = _about_ratings(triplet_files.need_file)
numbers = _about_ratings(triplet_files.numbers)
inside = _about_ratings(triplet_files.inside)
_read_table = _about_ratings(triplet_files.read_table)
_find_pictures = _about_ratings(triplet_files.find_pictures)


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Columns of a table with header and commas by name, as text, indexed by row; at least one row."""
    table = _read_table(path, columns)
    if table.empty:
        raise RatingsError("has a header but no rows; get the file again", path)
    return table


def read_lines(path: Path, columns: Sequence[str], separator: str | None = None, skip: int = 0) -> pd.DataFrame:
    """Lines whose columns are known by position, as text, indexed by the number of the line counted from 1.

    Args:
        path: UTF-8 text.
        columns: name to give to each column; every line must have so many.
        separator: between columns; white space unless given.
        skip: lines of a header, which are not read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise RatingsError("is no UTF-8 text; get the file again", path) from error
    rows = {number: line.split(separator) for number, line in enumerate(lines, 1) if number > skip and line.strip()}
    for number, cells in rows.items():
        if len(cells) != len(columns):
            form = f"{len(columns)} ({', '.join(columns)})"
            raise RatingsError(f"has {len(cells)} columns instead of {form}", path, number)
    if not rows:
        raise RatingsError("has no rows; get the file again", path)
    return pd.DataFrame(list(rows.values()), index=list(rows), columns=list(columns))


def find_pictures(path: Path, folder: Path, names: Iterable[str], rows: Iterable[int]) -> list[Path]:
    """`percept.data.triplet_files.find_pictures`, and no picture twice, since it could land in two parts."""
    rows = list(rows)
    found = _find_pictures(path, folder, names, rows)
    first: dict[Path, int] = {}
    for picture, row in zip(found, rows, strict=True):
        if first.setdefault(picture, row) != row:
            raise RatingsError(
                f"picture {picture.name!r} is already listed in row {first[picture]}; keep one", path, row
            )
    return found


def read_shares(path: Path, table: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Columns that hold shares of votes, float64 [N, K]; every row adds up to 1 within 1e-3."""
    shares = np.stack([numbers(path, table[name], 0, 1, "a share of votes from 0 to 1") for name in columns], axis=1)
    bad = np.flatnonzero(np.abs(shares.sum(axis=1) - 1) > 1e-3)
    if bad.size:
        total = shares[bad[0]].sum()
        raise RatingsError(f"the shares of votes add up to {total:g}, not to 1", path, int(table.index[bad[0]]))
    return shares


def join_parts(parts: dict[str, list[Path]]) -> tuple[list[Path], np.ndarray]:
    """Pictures of all official parts, and the part of each, str [N]; no picture may be in two parts."""
    home: dict[Path, str] = {}
    for part, pictures in parts.items():
        for picture in pictures:
            if picture in home:
                raise RatingsError(f"is listed in both {home[picture]} and {part}; keep it in one part", picture)
            home[picture] = part
    return list(home), np.array(list(home.values()))

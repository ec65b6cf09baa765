"""What the readers of published probes share: entries of JSON files, usable pictures, things stored once, notes."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from percept.data.opening import MAX_PIXELS, ImageError, header
from percept.data.probe_set import ProbeError
from percept.data.scanning import SUFFIXES
from percept.data.triplet_files import inside, need_file
from percept.data.triplets import TripletsError

H = TypeVar("H", bound=Hashable)
Key = int | str
Entry = dict[str, Any]
_KINDS = {str: "a text", int: "a whole number", bool: "true or false", list: "a list", dict: "an object"}


@contextmanager
def about_probes() -> Iterator[None]:
    """Turn errors of the functions shared with other readers into `ProbeError`."""
    try:
        yield
    except (TripletsError, ImageError) as error:
        raise ProbeError(str(error)) from error


def place(path: Path, key: Key) -> str:
    """Where an entry stands, for messages: a row counted from 1, or the key of an object."""
    return f"{path}, row {key}" if isinstance(key, int) else f"{path}, item {key!r}"


def read_text(path: Path, what: str) -> str:
    """A UTF-8 text file; `what` says which one to name where it is absent."""
    with about_probes():
        need_file(path, what)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProbeError(f"{path}: is no UTF-8 text; get the file again") from error
    if text.startswith("version https://git-lfs"):
        raise ProbeError(f"{path}: is a Git LFS pointer, not the data; run 'git lfs pull'")
    return text


def read_entries(path: Path, wanted: Mapping[str, type], what: str) -> dict[Key, Entry]:
    """Entries of a JSON list or JSON lines by row, counted from 1, or of a JSON object by key.

    Args:
        path: JSON, or JSON lines where the name ends in `.jsonl`.
        wanted: keys that every entry needs, and the type of their values; texts must not be empty.
        what: which file to name where it is absent.
    """
    text = read_text(path, what)
    if path.suffix == ".jsonl":
        lines = enumerate(text.split("\n"), 1)  # a JSON text may hold the other line breaks that splitlines knows
        entries: Any = {row: _parse(path, line, row) for row, line in lines if line.strip()}
    else:
        parsed = _parse(path, text, None)
        entries = dict(enumerate(parsed, 1)) if isinstance(parsed, list) else parsed
    if not isinstance(entries, dict) or not entries:
        raise ProbeError(f"{path}: holds no entries; get the file again")
    for key, entry in entries.items():
        if not isinstance(entry, dict):
            raise ProbeError(f"{place(path, key)}: must be an object with {', '.join(wanted)}, got {entry!r}")
        for name, kind in wanted.items():
            if name not in entry:
                raise ProbeError(f"{place(path, key)}: has no {name!r}; get the file again as published")
            if type(entry[name]) is not kind or entry[name] == "":  # exact: true is no whole number
                raise ProbeError(f"{place(path, key)}: {name} {entry[name]!r} is not {_KINDS[kind]}")
    return entries


def _parse(path: Path, text: str, row: int | None) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = place(path, row) if row else f"{path}, line {error.lineno}"
        raise ProbeError(f"{where}: is no JSON ({error.msg}, column {error.colno}); get the file again") from error


def number(values: Iterable[H]) -> tuple[list[H], np.ndarray]:
    """The distinct values in the order of their first appearance, and int64 [N] the position of each.

    >>> number(["b", "a", "b"])
    (['b', 'a'], array([0, 1, 0]))
    """
    seen: dict[H, int] = {}
    rows = [seen.setdefault(value, len(seen)) for value in values]
    return list(seen), np.array(rows, dtype=np.int64)


def number_rows(rows: Sequence[Sequence[H]]) -> tuple[list[H], np.ndarray]:
    """As `number`, for rows of equal length: int64 [N, length]."""
    distinct, positions = number(value for row in rows for value in row)
    return distinct, positions.reshape(len(rows), -1)


def first_asked(asked: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The first place that asks for each picture, from names and places in order."""
    wanted: dict[str, str] = {}
    for name, where in asked:
        wanted.setdefault(name, where)
    return wanted


def look_up(folder: Path, wanted: Mapping[str, str]) -> tuple[dict[str, Path], dict[str, str]]:
    """Find pictures by name below a folder; only their headers are read.

    Args:
        folder: searched with its subfolders; links to folders are not followed.
        wanted: names, with or without suffix and subfolder, each with the place that asks for it.

    Returns:
        The file of every usable picture, and the reason for every other, both by name.
    """
    there = _files_by_name(folder)
    found, trouble = {}, {}
    for name, asked in wanted.items():
        with about_probes():
            clean = inside(Path(asked), name, None)
        files = [file for file in there.get(clean.rpartition("/")[2], ()) if _ends_in(file, clean)]
        if len(files) != 1:
            trouble[name] = f"{len(files)} files of that name in {folder}" if files else f"not found in {folder}"
            continue
        try:
            with header(files[0], MAX_PIXELS):
                found[name] = files[0]
        except ImageError as error:
            trouble[name] = error.reason
    return found, trouble


def _files_by_name(folder: Path) -> dict[str, list[Path]]:
    """Picture files below a folder, under their name and under their name without suffix."""
    if not folder.is_dir():
        raise ProbeError(f"{folder}: no such folder; unpack the pictures there, or name their folder")
    there: dict[str, list[Path]] = {}
    for root, _, names in os.walk(folder):
        for name in names:
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in SUFFIXES:
                for key in (name, stem):
                    there.setdefault(key, []).append(Path(root, name))
    return there


def _ends_in(file: Path, name: str) -> bool:
    return any(f"/{path.as_posix()}".endswith(f"/{name}") for path in (file, file.with_suffix("")))


def need_pictures(folder: Path, wanted: Mapping[str, str]) -> dict[str, Path]:
    """As `look_up`, where every picture is needed; the first that cannot be used is named."""
    found, trouble = look_up(folder, wanted)
    if trouble:
        name, reason = next(iter(trouble.items()))
        more = f" ({len(trouble) - 1} more have trouble)" if len(trouble) > 1 else ""
        raise ProbeError(f"{wanted[name]}: picture {name!r}{more}: {reason}; unpack all pictures, or name their folder")
    return found


def same_note(pairs: Sequence[Sequence[str]]) -> list[str]:
    """A note on items of which a false sentence is the true one, which stands first, but for case; else none."""
    same = sum(pair[0].lower() in [other.lower() for other in pair[1:]] for pair in pairs)
    return [f"{same} items have a false sentence equal to the true one: strict rules count them wrong"] if same else []


def size_note(sizes: Mapping[str, tuple[int, int]]) -> str:
    """A note that compares sizes found with sizes published, both by name of the part."""
    other = [f"{name} {found:,} ({published:,})" for name, (found, published) in sizes.items() if found != published]
    return f"not the published number of items: {', '.join(other)}" if other else "numbers of items as published"

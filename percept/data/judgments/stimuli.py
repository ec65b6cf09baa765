"""Studies, their questions (triplets, pairs, single pictures) and hashes of their pictures in the file of judgments."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from percept.data.judgments.file import JudgmentError
from percept.data.judgments.rows import TASKS, now, task_of, whole_number
from percept.data.opening import MAX_PIXELS, ImageError, header

ITEM_COLUMNS = ("id", "reference", "left", "right", "category", "split", "is_imagenet", "votes_left", "votes_right")
Item = tuple[str, str, str, str, str, str, int | None, int, int]


def checked_item(cells: Mapping[str, Any], task: str = "two_alternative") -> Item:
    """One question as a row of the store; names and defaults as `Judgments.add_study` says."""
    known = {name: cell for name, cell in cells.items() if not pd.isna(cell)}
    texts = [str(known.get(name, "")) for name in ITEM_COLUMNS[:6]]
    for name, text in zip(ITEM_COLUMNS[:4], texts[:4], strict=True):
        needed = name in ("id", *TASKS[task].pictures)
        if needed != bool(text.strip()):
            raise JudgmentError(f"{name} is empty" if needed else f"{name} must be empty in the task {task!r}")
    if texts[2] and texts[2] == texts[3]:
        raise JudgmentError(f"left and right are the same picture {texts[2]!r}; there is nothing to choose")
    flag = int(bool(known["is_imagenet"])) if "is_imagenet" in known else None
    votes = [whole_number(known.get(name, 0), name) for name in ("votes_left", "votes_right")]
    return texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], flag, votes[0], votes[1]


def checked_items(triplets: pd.DataFrame, task: str = "two_alternative") -> list[Item]:
    """Questions of one task as rows of the store.

    Raises:
        JudgmentError: names the column, or the row counted from 1; or there is no such task.
    """
    noun = TASKS[checked_task(task)].noun
    missing = [name for name in ("id", *TASKS[task].pictures) if name not in triplets.columns]
    if missing:
        there = ", ".join(map(str, triplets.columns))
        raise JudgmentError(f"{noun}s have no column {missing[0]!r} (columns: {there})")
    items: dict[str, Item] = {}
    for number, cells in enumerate(triplets.to_dict("records"), start=1):
        try:
            item = checked_item({str(name): cell for name, cell in cells.items()}, task)
        except JudgmentError as error:
            raise JudgmentError(f"{noun} in row {number}: {error}") from error
        if item[0] in items:
            raise JudgmentError(f"{noun} in row {number}: id {item[0]!r} is there already; ids must differ")
        items[item[0]] = item
    if not items:
        raise JudgmentError(f"the study has no {noun}s")
    return list(items.values())


def hash_images(items: Iterable[Item], folder: str | Path, known: dict[str, str] | None = None) -> dict[str, str]:
    """SHA-256 of every picture of the questions, added to those already `known`.

    Raises:
        JudgmentError: a file is missing, outside the folder, or no image.
    """
    folder = Path(folder)
    hashes = {} if known is None else known
    for item in items:
        for name in item[1:4]:
            if not name or name in hashes:
                continue
            if not (folder / name).resolve().is_relative_to(folder.resolve()):
                raise JudgmentError(f"item {item[0]!r}: {name!r} is outside the image folder; use a path inside it")
            try:
                with header(folder / name, MAX_PIXELS):
                    hashes[name] = sha256(folder / name)
            except ImageError as error:
                raise JudgmentError(f"item {item[0]!r}: {error}") from error
    return hashes


def sha256(path: Path) -> str:
    """SHA-256 of a file, as hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def insert_study(
    connection: sqlite3.Connection, name: str, note: str = "", sampling: str = "", task: str = "two_alternative"
) -> None:
    """Store a study unless there is one of that name; it must have the same task then."""
    row = name, checked_task(task), sampling, note, now()
    connection.execute("INSERT OR IGNORE INTO studies VALUES (?, ?, ?, ?, ?)", row)
    if (known := task_of(connection, name)) != task:
        raise JudgmentError(f"study {name!r} has the task {known!r}, not {task!r}; choose another name")


def checked_task(task: str) -> str:
    """Refuse a kind of task that is not there."""
    if task not in TASKS:
        raise JudgmentError(f"task must be one of {', '.join(TASKS)}, not {task!r}")
    return task


def enter_study(
    connection: sqlite3.Connection, name: str, items: list[Item], hashes: Mapping[str, str], *about: str
) -> None:
    """Store a study (`about`: note, sampling, task) with its questions; other ones than it has are an error."""
    insert_study(connection, name, *about)
    known = read_items(connection, name)
    if known and known != items:
        noun = TASKS[task_of(connection, name)].noun
        raise JudgmentError(f"study {name!r} exists with other {noun}s; choose another name")
    insert_items(connection, name, items, hashes)


def insert_items(connection: sqlite3.Connection, study: str, items: Iterable[Item], hashes: Mapping[str, str]) -> int:
    """Store questions, and hashes of their pictures, that are not there yet: number of new ones.

    Raises:
        JudgmentError: a question has other pictures than before, or a picture has changed.
    """
    added, noun = 0, TASKS[task_of(connection, study)].noun
    for item in items:
        query = 'SELECT reference, "left", "right" FROM items WHERE study = ? AND id = ?'
        known = connection.execute(query, (study, item[0])).fetchone()
        if known is None:
            columns = ", ".join(f'"{name}"' for name in ("study", *ITEM_COLUMNS))
            marks = ", ".join("?" * (1 + len(item)))
            connection.execute(f"INSERT INTO items ({columns}) VALUES ({marks})", (study, *item))
            added += 1
        elif known != item[1:4]:
            raise JudgmentError(f"study {study!r} has a {noun} {item[0]!r} of other pictures; give it another id")
        for file in set(item[1:4]) & hashes.keys():
            _insert_hash(connection, study, file, hashes[file])
    return added


def _insert_hash(connection: sqlite3.Connection, study: str, file: str, digest: str) -> None:
    connection.execute("INSERT OR IGNORE INTO images VALUES (?, ?, ?)", (study, file, digest))
    kept = connection.execute("SELECT sha256 FROM images WHERE study = ? AND file = ?", (study, file)).fetchone()[0]
    if kept != digest:
        raise JudgmentError(f"study {study!r}: {file!r} is no longer the picture that was shown; restore it")


def read_items(connection: sqlite3.Connection, study: str) -> list[Item]:
    """Questions of a study in their order."""
    columns = ", ".join(f'"{name}"' for name in ITEM_COLUMNS)
    return connection.execute(f"SELECT {columns} FROM items WHERE study = ? ORDER BY number", (study,)).fetchall()

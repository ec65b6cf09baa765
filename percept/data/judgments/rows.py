"""Rows of the store of judgments: checked before they go in, so that nothing half right is ever stored."""

from __future__ import annotations

import hashlib
import math
import sqlite3
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from percept.data.judgments.file import JudgmentError
from percept.data.opening import MAX_PIXELS, header

# What may be answered in each kind of task; a further task needs a line here, the tables hold it already.
ANSWERS = {"two_alternative": ("left", "right", "skip")}
KINDS = ("ask", "repeat")
ITEM_COLUMNS = ("id", "reference", "left", "right", "category", "split", "is_imagenet", "votes_left", "votes_right")
Item = tuple[str, str, str, str, str, str, int | None, int, int]
ONE_RATER = "study = ? AND rater = ? AND undone IS NULL"


class Answer(NamedTuple):
    """One row of answers; `undone` is the time at which it was taken back."""

    study: str
    rater: str
    item: str
    position: int
    answer: str
    swapped: bool
    seconds: float | None
    kind: str
    time: str | None
    undone: str | None = None


class AnsweredError(JudgmentError):
    """The position, or the triplet, already has another answer of this rater."""


def now() -> str:
    """Present time in UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def checked_name(name: str, what: str) -> str:
    """A name in Unicode NFC without blanks around it; empty, very long or unprintable ones are refused."""
    name = unicodedata.normalize("NFC", name).strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise JudgmentError(f"{what} must be a name of 1 to 100 printable characters, not {name[:120]!r}")
    return name


def checked_item(cells: Mapping[str, Any]) -> Item:
    """One triplet as a row of the store; names and defaults as `Judgments.add_study` says."""
    known = {name: cell for name, cell in cells.items() if not pd.isna(cell)}
    texts = [unicodedata.normalize("NFC", str(known.get(name, ""))).strip() for name in ITEM_COLUMNS[:6]]
    empty = [name for name, text in zip(ITEM_COLUMNS[:4], texts[:4], strict=True) if not text]
    if empty:
        raise JudgmentError(f"{empty[0]} is empty")
    if texts[2] == texts[3]:
        raise JudgmentError(f"left and right are the same picture {texts[2]!r}; there is nothing to choose")
    flag = int(bool(known["is_imagenet"])) if "is_imagenet" in known else None
    votes = [whole_number(known.get(name, 0), name) for name in ("votes_left", "votes_right")]
    return texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], flag, votes[0], votes[1]


def checked_items(triplets: pd.DataFrame) -> list[Item]:
    """Triplets as rows of the store.

    Raises:
        JudgmentError: names the column, or the row counted from 1.
    """
    missing = [name for name in ITEM_COLUMNS[:4] if name not in triplets.columns]
    if missing:
        raise JudgmentError(
            f"triplets have no column {missing[0]!r} (columns: {', '.join(map(str, triplets.columns))})"
        )
    items: dict[str, Item] = {}
    for number, cells in enumerate(triplets.to_dict("records"), start=1):
        try:
            item = checked_item({str(name): cell for name, cell in cells.items()})
        except JudgmentError as error:
            raise JudgmentError(f"triplet in row {number}: {error}") from error
        if item[0] in items:
            raise JudgmentError(f"triplet in row {number}: id {item[0]!r} is there already; ids must differ")
        items[item[0]] = item
    if not items:
        raise JudgmentError("the study has no triplets")
    return list(items.values())


def hash_images(items: Iterable[Item], folder: str | Path, known: dict[str, str] | None = None) -> dict[str, str]:
    """SHA-256 of every picture of the triplets, added to those already `known`.

    Raises:
        JudgmentError: a file is outside the folder.
        ImageError: a file is missing or no image.
    """
    folder = Path(folder)
    hashes = {} if known is None else known
    for item in items:
        for name in item[1:4]:
            if name in hashes:
                continue
            if not (folder / name).resolve().is_relative_to(folder.resolve()):
                raise JudgmentError(f"triplet {item[0]!r}: {name!r} is outside the image folder; use a path inside it")
            with header(folder / name, MAX_PIXELS):
                hashes[name] = sha256(folder / name)
    return hashes


def sha256(path: Path) -> str:
    """SHA-256 of a file, as hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def insert_study(
    connection: sqlite3.Connection, name: str, note: str = "", sampling: str = "", task: str = "two_alternative"
) -> None:
    """Store a study unless there is one of that name."""
    if task not in ANSWERS:
        raise JudgmentError(f"task must be one of {', '.join(ANSWERS)}, not {task!r}")
    row = name, task, sampling, note, now()
    connection.execute("INSERT OR IGNORE INTO studies VALUES (?, ?, ?, ?, ?)", row)


def enter_study(
    connection: sqlite3.Connection, name: str, items: list[Item], hashes: Mapping[str, str], *about: str
) -> None:
    """Store a study (`about`: note, sampling, task) with its triplets; other ones than it has are an error."""
    known = read_items(connection, name)
    if known and known != items:
        raise JudgmentError(f"study {name!r} exists with other triplets; choose another name or use add_items")
    insert_study(connection, name, *about)
    insert_items(connection, name, items, hashes)


def insert_items(connection: sqlite3.Connection, study: str, items: Iterable[Item], hashes: Mapping[str, str]) -> int:
    """Store triplets, and hashes of their pictures, that are not there yet: number of new ones.

    Raises:
        JudgmentError: a triplet has other pictures than before, or a picture has changed.
    """
    added = 0
    for item in items:
        query = 'SELECT reference, "left", "right" FROM items WHERE study = ? AND id = ?'
        known = connection.execute(query, (study, item[0])).fetchone()
        if known is None:
            columns = ", ".join(f'"{name}"' for name in ("study", *ITEM_COLUMNS))
            marks = ", ".join("?" * (1 + len(item)))
            connection.execute(f"INSERT INTO items ({columns}) VALUES ({marks})", (study, *item))
            added += 1
        elif known != item[1:4]:
            raise JudgmentError(f"study {study!r} has a triplet {item[0]!r} of other pictures; give it another id")
        for file in set(item[1:4]) & hashes.keys():
            _insert_hash(connection, study, file, hashes[file])
    return added


def _insert_hash(connection: sqlite3.Connection, study: str, file: str, digest: str) -> None:
    connection.execute("INSERT OR IGNORE INTO images VALUES (?, ?, ?)", (study, file, digest))
    kept = connection.execute("SELECT sha256 FROM images WHERE study = ? AND file = ?", (study, file)).fetchone()[0]
    if kept != digest:
        raise JudgmentError(f"study {study!r}: {file!r} is no longer the picture that was shown; restore it")


def read_items(connection: sqlite3.Connection, study: str) -> list[Item]:
    """Triplets of a study in their order."""
    columns = ", ".join(f'"{name}"' for name in ITEM_COLUMNS)
    return connection.execute(f"SELECT {columns} FROM items WHERE study = ? ORDER BY number", (study,)).fetchall()


def insert_rater(
    connection: sqlite3.Connection, rater: str, group: str, language: str, consent: str, time: str
) -> None:
    """Store a rater, or a further consent of a known one."""
    found = connection.execute('SELECT "group" FROM raters WHERE name = ?', (rater,)).fetchone()
    if found is None:
        connection.execute("INSERT INTO raters VALUES (?, ?, ?)", (rater, group, time))
    elif group and group != found[0]:
        message = f"rater {rater!r} is registered in group {found[0]!r}, not {group!r}"
        raise JudgmentError(f"{message}; another person needs another pseudonym")
    last = connection.execute(
        "SELECT language, consent FROM consents WHERE rater = ? ORDER BY number DESC LIMIT 1", (rater,)
    ).fetchone()
    if consent and last != (language, consent):
        columns = "rater, language, consent, time"
        connection.execute(f"INSERT INTO consents ({columns}) VALUES (?, ?, ?, ?)", (rater, language, consent, time))


def insert_answer(connection: sqlite3.Connection, values: Answer) -> tuple[int, bool]:
    """Store one answer unless the very same is there.

    Args:
        connection: Inside a transaction that holds the write lock.
        values: The answer; the study, its triplet and the rater must exist.

    Returns:
        Number of the answer, and whether it is new.

    Raises:
        AnsweredError: the place is taken by another answer.
        JudgmentError: the answer is none, or something is unknown.
    """
    _check_answer(values)
    require(connection, "rater", values.rater)
    require(connection, "study", values.study)
    if not connection.execute("SELECT 1 FROM items WHERE study = ? AND id = ?", (values.study, values.item)).fetchone():
        raise JudgmentError(f"study {values.study!r} has no triplet {values.item!r}")
    same = "study = ? AND rater = ? AND position = ? AND undone IS ?"
    place = (values.study, values.rater, values.position, values.undone)
    found = connection.execute(f"SELECT id, item, answer, swapped, kind FROM answers WHERE {same}", place).fetchone()
    if found and found[1:] == (values.item, values.answer, values.swapped, values.kind):
        return found[0], False
    who = f"rater {values.rater!r}, study {values.study!r}"
    if found:
        raise AnsweredError(
            f"{who}: position {values.position} has the answer {found[2]!r} to {found[1]!r}; undo it first"
        )
    if values.kind == "ask" and values.undone is None:
        query = f"SELECT position FROM answers WHERE {ONE_RATER} AND item = ? AND kind = 'ask'"
        earlier = connection.execute(query, (values.study, values.rater, values.item)).fetchone()
        if earlier:
            raise AnsweredError(f"{who}: triplet {values.item!r} was asked at position {earlier[0]}; this is a repeat")
    columns = ", ".join(Answer._fields)
    marks = ", ".join("?" * len(values))
    done = connection.execute(f"INSERT INTO answers ({columns}) VALUES ({marks})", values)
    return int(done.lastrowid or 0), True


def require(connection: sqlite3.Connection, what: str, name: str) -> None:
    """Refuse a study or rater that the store does not know."""
    table = {"study": "studies", "rater": "raters"}[what]
    if connection.execute(f"SELECT 1 FROM {table} WHERE name = ?", (name,)).fetchone():
        return
    known = [row[0] for row in connection.execute(f"SELECT name FROM {table} ORDER BY rowid LIMIT 5")]
    advice = "add_study" if what == "study" else "register"
    raise JudgmentError(f"no {what} {name!r} (there are: {', '.join(known) or 'none'}); call {advice} first")


def _check_answer(values: Answer) -> None:
    if values.answer not in ANSWERS["two_alternative"]:
        raise JudgmentError(f"answer must be one of {', '.join(ANSWERS['two_alternative'])}, not {values.answer!r}")
    if values.kind not in KINDS:
        raise JudgmentError(f"kind must be one of {', '.join(KINDS)}, not {values.kind!r}")
    whole_number(values.position, "position")
    if values.seconds is not None and not 0 <= values.seconds < math.inf:
        raise JudgmentError(f"seconds must be a number of 0 or more, not {values.seconds}")


def whole_number(value: Any, what: str) -> int:
    """A whole number of 0 or more."""
    try:
        number = int(value)
        if number == float(value) and number >= 0:
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise JudgmentError(f"{what} must be a whole number of 0 or more, not {value!r}")

"""Raters and answers in the file of judgments: checked before they go in, so that nothing half right is stored."""

from __future__ import annotations

import math
import sqlite3
import unicodedata
from datetime import UTC, datetime
from typing import Any, NamedTuple

from percept.data.judgments.file import JudgmentError

# What may be answered in each kind of task; a further task needs a line here, the tables hold it already.
ANSWERS = {"two_alternative": ("left", "right", "skip")}
KINDS = ("ask", "repeat")
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

"""Raters and answers in the file of judgments: checked before they go in, so that nothing half right is stored."""

from __future__ import annotations

import contextlib
import math
import sqlite3
import unicodedata
from datetime import UTC, datetime
from typing import Any, NamedTuple

from percept.data.judgments.entries import parsed_entry
from percept.data.judgments.file import JudgmentError


class Task(NamedTuple):
    """A kind of question: what one is called, its pictures (columns of the items, others are empty), its answers."""

    noun: str
    pictures: tuple[str, ...]
    choices: tuple[str | int, ...]
    scale: tuple[float, float] | None = None  # any number from the first to the second is an answer too
    kinds: tuple[str, ...] = ("ask", "repeat")


# A further kind of task needs a line here; the tables hold it already.
TASKS = {
    "two_alternative": Task("triplet", ("reference", "left", "right"), ("left", "right", "skip")),
    "pair": Task("pair", ("left", "right"), ("left", "right", "skip")),
    "rating": Task("picture", ("reference",), (1, 2, 3, 4, 5, "skip")),
    "slider": Task("picture", ("reference",), ("skip",), (0.0, 100.0)),
    # What was written is in answers of the kind "entry" (`percept.data.judgments.entries`); these close a picture.
    "describe": Task("picture", ("reference",), ("done", "skip"), kinds=("ask", "entry")),
}
ONE_RATER = "study = ? AND rater = ? AND undone IS NULL"


class Answer(NamedTuple):
    """One row of answers; `undone` is the time at which it was taken back."""

    study: str
    rater: str
    item: str
    position: int
    answer: str | float
    swapped: bool
    seconds: float | None
    kind: str
    time: str | None
    undone: str | None = None


class AnsweredError(JudgmentError):
    """The position, or the question, already has another answer of this rater."""


def now() -> str:
    """Present time in UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def checked_name(name: str, what: str) -> str:
    """A name in Unicode NFC without blanks around it; empty, very long or unprintable ones are refused."""
    name = unicodedata.normalize("NFC", name).strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise JudgmentError(f"{what} must be a name of 1 to 100 printable characters, not {name[:120]!r}")
    return name


def checked_answer(task: str, answer: Any) -> str | float:
    """An answer as the store keeps it: left, right or skip as text, ratings as numbers (also if given as text).

    >>> checked_answer("rating", "4.0"), checked_answer("slider", 62.5), checked_answer("pair", "left")
    (4, 62.5, 'left')
    """
    choices, scale = TASKS[task].choices, TASKS[task].scale
    if (text := str(answer)) in choices:
        return text
    with contextlib.suppress(ValueError):
        number = float(text)
        if number in choices:
            return int(number)
        if scale and scale[0] <= number <= scale[1]:
            return number
    raise JudgmentError(f"answer must be {answers_of(task)}, not {answer!r}")


def _of_kind(task: str, kind: str, answer: Any) -> str | float:
    if kind not in TASKS[task].kinds:
        raise JudgmentError(f"kind must be one of {', '.join(TASKS[task].kinds)}, not {kind!r}")
    return parsed_entry(answer).encoded() if kind == "entry" else checked_answer(task, answer)


def answers_of(task: str) -> str:
    """What may be answered, in words."""
    choices, scale = TASKS[task].choices, TASKS[task].scale
    return f"a number from {scale[0]:g} to {scale[1]:g}, or skip" if scale else f"one of {', '.join(map(str, choices))}"


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
        values: The answer; the study, its question and the rater must exist.

    Returns:
        Number of the answer, and whether it is new.

    Raises:
        AnsweredError: the place is taken by another answer.
        JudgmentError: the answer is none, or something is unknown.
    """
    _check_place(values)
    require(connection, "rater", values.rater)
    task = task_of(connection, values.study)
    values = values._replace(answer=_of_kind(task, values.kind, values.answer))
    noun = TASKS[task].noun
    if not connection.execute("SELECT 1 FROM items WHERE study = ? AND id = ?", (values.study, values.item)).fetchone():
        raise JudgmentError(f"study {values.study!r} has no {noun} {values.item!r}")
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
            raise AnsweredError(f"{who}: {noun} {values.item!r} was asked at position {earlier[0]}; this is a repeat")
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


def task_of(connection: sqlite3.Connection, study: str) -> str:
    """The kind of task of a study."""
    require(connection, "study", study)
    return str(connection.execute("SELECT task FROM studies WHERE name = ?", (study,)).fetchone()[0])


def _check_place(values: Answer) -> None:
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

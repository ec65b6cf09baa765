"""What people said about pictures: one SQLite file that a kill, a closed tab or a second kernel cannot harm.

Every answer is on the disk before `record` returns. Several processes may use the file at once, on a local disk
(SQLite's write-ahead log does not work over network folders). Between calls no connection stays open.
"""

from __future__ import annotations

import math
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import pandas as pd

from percept.data.judgments import rows, stimuli
from percept.data.judgments.file import JudgmentError, JudgmentFile
from percept.data.judgments.rows import AnsweredError

__all__ = ["AnsweredError", "JudgmentError", "Judgments", "Progress"]

ANSWER_COLUMNS = (
    "id", "study", "rater", "group", "triplet", "position", "answer", "swapped", "seconds", "kind", "time", "undone",
)  # fmt: skip


class Progress(NamedTuple):
    """How far a rater is: counts of answers without undone ones and entries, and the median response time (or NaN)."""

    answered: int
    skipped: int
    repeats: int
    next_position: int
    items: int
    seconds: float


class Judgments:
    """A store of human judgments in one SQLite file.

    Args:
        path: The file; made if absent, with its folder.

    Raises:
        JudgmentError: The file is not ours, was written by a newer percept, or cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.file = JudgmentFile(self.path)

    def add_study(
        self,
        name: str,
        triplets: pd.DataFrame,
        note: str = "",
        *,
        folder: str | Path | None = None,
        sampling: str = "",
        task: str = "two_alternative",
    ) -> int:
        """Store the stimuli of a study. The same study once more changes nothing; other stimuli are an error.

        Args:
            name: Of the study.
            triplets: One row per question: `id`, its pictures `reference`, `left`, `right` (a pair has no reference,
                a picture to rate is a reference alone), and if known `category`, `split`, `is_imagenet`, `votes_left`,
                `votes_right` (votes counted elsewhere, without their raters).
            note: What the data card shall say about it.
            folder: Image folder that the file names start from; each file's SHA-256 is kept (see
                `changed_images`). None: names are keys of generated pictures.
            sampling: How the questions were chosen, for the data card.
            task: `two_alternative` (triplets), `pair`, `rating` (five categories), `slider` (0 to 100) or `describe`.

        Returns:
            Number of questions.

        Raises:
            JudgmentError: names the column, row or file; or the study has another task.
        """
        name = rows.checked_name(name, "study")
        items = stimuli.checked_items(triplets, task)
        hashes = {} if folder is None else stimuli.hash_images(items, folder)
        with self.file.transaction() as connection:
            stimuli.enter_study(connection, name, items, hashes, note, sampling, task)
        return len(items)

    def studies(self) -> pd.DataFrame:
        """One row per study: name, task, sampling, note, time (UTC)."""
        with self.file.transaction(write=False) as connection:
            found = connection.execute("SELECT name, task, sampling, note, time FROM studies ORDER BY rowid").fetchall()
        return pd.DataFrame(found, columns=["name", "task", "sampling", "note", "time"])

    def items(self, study: str) -> pd.DataFrame:
        """The questions of a study in their order: id, reference, left, right, category and what else is known."""
        with self.file.transaction(write=False) as connection:
            rows.require(connection, "study", study)
            return pd.DataFrame(stimuli.read_items(connection, study), columns=list(stimuli.ITEM_COLUMNS))

    def changed_images(self, study: str, folder: str | Path) -> list[str]:
        """Names of the study's images that `folder` does not hold with the same bytes; empty if all is well."""
        with self.file.transaction(write=False) as connection:
            rows.require(connection, "study", study)
            found = connection.execute("SELECT file, sha256 FROM images WHERE study = ? ORDER BY file", (study,))
            known = dict(found.fetchall())
        paths = {file: Path(folder) / file for file in known}
        return [file for file, path in paths.items() if not path.is_file() or stimuli.sha256(path) != known[file]]

    def register(self, rater: str, group: str = "", language: str = "en", consent: str = "") -> None:
        """Store a rater with the consent text that was shown. Registering again is how one comes back.

        Args:
            rater: Any pseudonym; no real name is needed.
            group: Whose eyes ("inspectors", "customers"); empty when coming back keeps the group.
            language: Language of the text, such as "en" or "ja".
            consent: The text that was shown and agreed to; a new text is kept beside the old one.

        Raises:
            JudgmentError: no pseudonym, no consent text, or another group than before.
        """
        rater = rows.checked_name(rater, "rater")
        if not consent.strip():
            raise JudgmentError(f"rater {rater!r}: give the consent text that was shown (or say 'simulated rater')")
        with self.file.transaction() as connection:
            rows.insert_rater(connection, rater, group.strip(), language, consent, rows.now())

    def raters(self) -> pd.DataFrame:
        """One row per rater: rater, group, language, consent (the last ones), time of registration (UTC)."""
        query = """SELECT r.name, r."group", c.language, c.consent, r.time FROM raters r LEFT JOIN consents c
            ON c.number = (SELECT max(number) FROM consents WHERE rater = r.name) ORDER BY r.rowid"""
        with self.file.transaction(write=False) as connection:
            found = connection.execute(query).fetchall()
        return pd.DataFrame(found, columns=["rater", "group", "language", "consent", "time"])

    def record(
        self,
        study: str,
        rater: str,
        triplet: str,
        position: int,
        answer: str | float,
        swapped: bool = False,
        seconds: float | None = None,
        kind: str = "ask",
    ) -> int:
        """Store one answer; it is on the disk when this returns. The same answer once more is not doubled.

        Args:
            study: Name of the study.
            rater: A registered rater.
            triplet: Id of the question: of a triplet, a pair or a single picture.
            position: Place in the rater's own order, from 0.
            answer: "left" or "right" as the study's table has them, however they were shown; 1 (bad) to 5 (excellent),
                or 0 to 100 with a slider; or "skip". A picture to describe is "done" or "skip"; entries are JSON.
            swapped: Whether the table's left picture was shown on the right.
            seconds: Response time.
            kind: "ask", "repeat" for an attention check on a question asked before, or "entry" (a description).

        Returns:
            Number of the answer.

        Raises:
            AnsweredError: the position has another answer, or the question was asked at another position.
            JudgmentError: anything unknown or out of range.
        """
        number = rows.whole_number(position, "position")
        study, rater = rows.checked_name(study, "study"), rows.checked_name(rater, "rater")
        time = None if seconds is None else float(seconds)
        values = rows.Answer(study, rater, str(triplet), number, answer, bool(swapped), time, kind, rows.now())
        with self.file.transaction() as connection:
            return rows.insert_answer(connection, values)[0]

    def undo(self, study: str, rater: str) -> dict[str, Any] | None:
        """Take back the rater's last answer (the highest position); it stays in the history, marked undone.

        Returns:
            What was taken back: id, triplet, position, answer, swapped, kind; None if there was nothing.
        """
        names = ("id", "triplet", "position", "answer", "swapped", "kind")
        query = f"""SELECT id, item, position, answer, swapped, kind FROM answers
            WHERE {rows.ONE_RATER} ORDER BY position DESC LIMIT 1"""
        with self.file.transaction() as connection:
            rows.require(connection, "study", study)
            rows.require(connection, "rater", rater)
            found = connection.execute(query, (study, rater)).fetchone()
            if found is None:
                return None
            connection.execute("UPDATE answers SET undone = ? WHERE id = ?", (rows.now(), found[0]))
        return dict(zip(names, found, strict=True)) | {"swapped": bool(found[4])}

    def progress(self, study: str, rater: str) -> Progress:
        """How far a rater is; `next_position` is the first without an answer, `items` all questions."""
        query = f"SELECT position, answer, kind, seconds FROM answers WHERE {rows.ONE_RATER}"
        with self.file.transaction(write=False) as connection:
            rows.require(connection, "study", study)
            rows.require(connection, "rater", rater)
            found = connection.execute(query, (study, rater)).fetchall()
            items = connection.execute("SELECT count(*) FROM items WHERE study = ?", (study,)).fetchone()[0]
        taken = {row[0] for row in found}
        return Progress(
            answered=sum(row[2] != "entry" for row in found),
            skipped=sum(row[1] == "skip" for row in found),
            repeats=sum(row[2] == "repeat" for row in found),
            next_position=next(i for i in range(len(found) + 1) if i not in taken),
            items=items,
            seconds=median([row[3] for row in found if row[3] is not None] or [math.nan]),
        )

    def answers(self, study: str | None = None, rater: str | None = None, include_undone: bool = False) -> pd.DataFrame:
        """Answers in the order in which they were given.

        Args:
            study, rater: One, or None for all.
            include_undone: Also those taken back; their `undone` is the time of that.

        Returns:
            Columns id, study, rater, group, triplet, position (int), answer (ratings: numbers), swapped (bool),
            seconds (float), kind, time and undone (UTC, NaT when not known or not undone).
        """
        query = """SELECT a.id, a.study, a.rater, r."group", a.item, a.position, a.answer, a.swapped, a.seconds,
            a.kind, a.time, a.undone FROM answers a JOIN raters r ON r.name = a.rater
            WHERE (?1 IS NULL OR a.study = ?1) AND (?2 IS NULL OR a.rater = ?2) AND (?3 OR a.undone IS NULL)
            ORDER BY a.id"""
        with self.file.transaction(write=False) as connection:
            if study is not None:
                rows.require(connection, "study", study)
            if rater is not None:
                rows.require(connection, "rater", rater)
            found = connection.execute(query, (study, rater, include_undone)).fetchall()
        frame = pd.DataFrame(found, columns=list(ANSWER_COLUMNS))
        for name in ("time", "undone"):
            frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601").dt.as_unit("us")
        return frame.astype({"id": "int64", "position": "int64", "swapped": "bool", "seconds": "float64"})

    def delete_rater(self, rater: str) -> int:
        """Remove a rater with all answers and consents, and overwrite their bytes in the file.

        Exports and copies made before still hold them, and so may the disk itself below the file.

        Returns:
            Number of answers removed, undone ones included.

        Raises:
            JudgmentError: no such rater, or another program keeps the file from being rewritten.
        """
        with self.file.transaction() as connection:
            rows.require(connection, "rater", rater)
            removed = connection.execute("DELETE FROM answers WHERE rater = ?", (rater,)).rowcount
            connection.execute("DELETE FROM consents WHERE rater = ?", (rater,))
            connection.execute("DELETE FROM raters WHERE name = ?", (rater,))
        self.file.erase_traces()
        return removed

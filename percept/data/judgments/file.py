"""The SQLite file under `percept.data.judgments`: its tables, and transactions that wait instead of failing."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

VERSION = 1
WAIT_SECONDS = 60.0
_APPLICATION = 0x70637074  # "pcpt": tells our files from SQLite files of other programs
# "answer" has no type on purpose: text and numbers are kept as they are given.
_TABLES = """
CREATE TABLE studies (name TEXT PRIMARY KEY, task TEXT NOT NULL, sampling TEXT NOT NULL, note TEXT NOT NULL,
    time TEXT NOT NULL);
CREATE TABLE images (study TEXT NOT NULL REFERENCES studies (name), file TEXT NOT NULL, sha256 TEXT NOT NULL,
    PRIMARY KEY (study, file));
CREATE TABLE items (number INTEGER PRIMARY KEY, study TEXT NOT NULL REFERENCES studies (name), id TEXT NOT NULL,
    reference TEXT NOT NULL, "left" TEXT NOT NULL, "right" TEXT NOT NULL, category TEXT NOT NULL, split TEXT NOT NULL,
    is_imagenet INTEGER, votes_left INTEGER NOT NULL, votes_right INTEGER NOT NULL, UNIQUE (study, id));
CREATE TABLE raters (name TEXT PRIMARY KEY, "group" TEXT NOT NULL, time TEXT NOT NULL);
CREATE TABLE consents (number INTEGER PRIMARY KEY, rater TEXT NOT NULL REFERENCES raters (name),
    language TEXT NOT NULL, consent TEXT NOT NULL, time TEXT NOT NULL);
CREATE TABLE answers (id INTEGER PRIMARY KEY, study TEXT NOT NULL, rater TEXT NOT NULL REFERENCES raters (name),
    item TEXT NOT NULL, position INTEGER NOT NULL, answer NOT NULL, swapped INTEGER NOT NULL, seconds REAL,
    kind TEXT NOT NULL, time TEXT, undone TEXT, FOREIGN KEY (study, item) REFERENCES items (study, id));
CREATE UNIQUE INDEX one_answer_per_position ON answers (study, rater, position) WHERE undone IS NULL;
CREATE UNIQUE INDEX one_vote_per_item ON answers (study, rater, item) WHERE undone IS NULL AND kind = 'ask';
"""


class JudgmentError(ValueError):
    """Judgments that cannot be stored, found, read or written; the message says which and what to do."""


class JudgmentFile:
    """One SQLite file of judgments, made if absent.

    Args:
        path: The file; a missing parent folder is made.

    Raises:
        JudgmentError: The file is none of ours, newer than this program, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Without it the first transaction of a read-only folder would fail with a message nobody understands.
            path.touch()
        except OSError as error:
            raise JudgmentError(f"{path}: cannot be written ({error.strerror}); choose a folder of yours") from error
        with self.transaction(create=True) as connection:
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in _TABLES.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {VERSION}")

    @contextlib.contextmanager
    def transaction(self, write: bool = True, create: bool = False) -> Iterator[sqlite3.Connection]:
        """All or nothing: committed to the disk when the block ends, rolled back when it raises.

        Args:
            write: Take the write lock at once, so that a second writer waits instead of failing half-way.
            create: Accept an empty file.

        Raises:
            JudgmentError: SQLite cannot do it (full disk, damaged file, locked for longer than a minute).
        """
        try:
            connection = self._begin(write, create)
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                connection.close()  # rolls back what was not committed
        except sqlite3.IntegrityError as error:
            raise JudgmentError(f"{self.path}: refused by the rules of the store ({error})") from error
        except sqlite3.Error as error:
            raise JudgmentError(f"{self.path}: {_advice(error)}") from error

    def erase_traces(self) -> None:
        """Rewrite the file without the space of deleted rows and empty the log, so that their bytes are gone.

        Raises:
            JudgmentError: another program kept the file open for longer than a minute.
        """
        deadline = time.monotonic() + WAIT_SECONDS
        try:
            with contextlib.closing(self._begin(write=False)) as connection:
                connection.execute("COMMIT")
                connection.execute("VACUUM")
                while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                    if time.monotonic() > deadline:
                        raise sqlite3.OperationalError("database is locked")
                    time.sleep(0.05)
        except sqlite3.Error as error:
            message = f"{self.path}: the answers are deleted, but their bytes are not yet overwritten"
            raise JudgmentError(f"{message} ({_advice(error)}); then call file.erase_traces()") from error

    def _begin(self, write: bool, create: bool = False) -> sqlite3.Connection:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            # mode=rw: a file that was moved away is an error, not a new empty one.
            uri = f"{self.path.resolve().as_uri()}?mode=rw"
            connection = sqlite3.connect(uri, uri=True, timeout=WAIT_SECONDS, isolation_level=None)
            try:
                self._check(connection, create)
                for setting in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON", "foreign_keys = ON"):
                    connection.execute(f"PRAGMA {setting}")
                connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                return connection
            except sqlite3.OperationalError as error:
                connection.close()
                # While another process opens, closes or recovers the log, SQLite may report "busy" without waiting.
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            except BaseException:
                connection.close()
                raise

    def _check(self, connection: sqlite3.Connection, create: bool) -> None:
        # One transaction: another process may be making the tables just now.
        connection.execute("BEGIN")
        empty = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        connection.execute("COMMIT")
        if application != _APPLICATION and not (create and empty):
            raise JudgmentError(f"{self.path}: is an SQLite file, but not of judgments; choose another name")
        if version > VERSION:
            forms = f"form {version}, this one knows {VERSION}"
            raise JudgmentError(f"{self.path}: was written by a newer percept ({forms}); update percept")


def _advice(error: sqlite3.Error) -> str:
    text = str(error)
    if "not a database" in text:
        return "is not an SQLite file; choose another name, or import it with percept.data.judgments.import_csv"
    if "readonly" in text:
        return "cannot be written; check the permissions of the file and of its folder"
    if "unable to open" in text:
        return "cannot be opened; was it moved or deleted?"
    if "locked" in text:
        return "is held by another program; close that program and try again"
    if "malformed" in text:
        return f"is damaged ({text}); restore the last copy"
    return f"SQLite reports: {text}"

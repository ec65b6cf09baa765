"""What a run says while it works: JSON rows of metrics, and progress lines fit for a saved notebook."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from percept import storage


class Metrics:
    """Rows of a run, in memory and appended to a `metrics.jsonl`.

    Args:
        path: file to append to, or None to keep rows in memory only.
        after: step from which the run resumes; later rows of the file, which the run will write again, and a
            line cut short by a kill are dropped.
    """

    def __init__(self, path: Path | None, log: Callable[[dict[str, Any]], object] | None, after: int) -> None:
        self.path, self.log = path, log
        self.rows = [row for row in read(path) if row["step"] <= after] if path else []
        if path:
            text = "".join(json.dumps(row) + "\n" for row in self.rows)
            storage.write_atomic(path, text)

    def add(self, row: dict[str, Any]) -> None:
        """Keep one row of plain values."""
        self.rows.append(row)
        if self.path:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
        if self.log:
            self.log(row)


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of a `metrics.jsonl`; a line that a kill cut short is left out, a missing file has no rows."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise ValueError(f"{path} line {number} is not JSON ({error}); remove the line") from error
    return rows


class Progress:
    """Says where the run is: in a terminal one line that rewrites itself, else a plain line now and then.

    Carriage returns and bars become unreadable in a saved notebook or a CI log, so there each line stands
    alone.

    Args:
        say: receives each line; None is silent, "auto" writes to standard output.
        every: seconds between two plain lines.
    """

    def __init__(self, steps: int, say: Callable[[str], object] | str | None, every: float = 10.0) -> None:
        self.steps, self.every = steps, every
        self.live = say == "auto" and sys.stdout.isatty() and "PAPERMILL_OUTPUT_PATH" not in os.environ
        self.say = _standard_output if say == "auto" else say
        self.started = self.said = time.monotonic()
        self.first: int | None = None

    def note(self, text: str) -> None:
        """Say one line that stays."""
        if callable(self.say):
            self.say(text)

    def update(self, step: int, loss: float) -> None:
        """Say how far the run is, if it is time for that."""
        now = time.monotonic()
        if self.first is None:
            self.first, self.started = step - 1, now
        due = now - self.said >= (0.2 if self.live else self.every)
        if not callable(self.say) or not (due or step == self.steps):
            return
        self.said = now
        done = step - self.first - 1
        pace = (now - self.started) / done if done else 0.0
        left = f", about {_duration(pace * (self.steps - step))} left" if done and step < self.steps else ""
        line = f"step {step:,} of {self.steps:,}: loss {loss:.4f}, {_duration(now - self.started)}{left}"
        if self.live:
            sys.stdout.write(f"\r\x1b[K{line}" + ("\n" if step == self.steps else ""))
            sys.stdout.flush()
        else:
            self.say(line)


def _standard_output(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

"""The real workbook, executed once per test session in its `quick` profile.

Each notebook has a test file of its own here, `test_NN_name.py`, which asserts values of its `results.json`:

    def test_accuracy_is_far_above_chance(workbook_run):
        row = workbook_run.row("02_language_supervision", "zero_shot_accuracy")
        assert row["low"] > 0.5

Tolerances must be able to fail: one-sided against a baseline, or smaller than the distance to chance.
"""

import io
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from percept import runs
from percept.workbook import runner

RUN = "test"


@dataclass(frozen=True)
class WorkbookRun:
    """Where the executed workbook lies, and its rows."""

    folder: Path
    outcomes: dict

    def rows(self, notebook):
        content = json.loads((self.folder / notebook / "results.json").read_text("utf-8"))
        return {row["name"]: row for row in content["rows"]}

    def row(self, notebook, name):
        rows = self.rows(notebook)
        assert name in rows, f"{notebook} records no {name!r}, only {', '.join(rows)}"
        return rows[name]


@pytest.fixture(scope="session")
def workbook_run():
    """Execute what changed since the last test session; name the cells that failed."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        # The reader's own place, so that unchanged notebooks are reused, and the reader's plots.
        monkeypatch.delenv("PERCEPT_HOME", raising=False)
        monkeypatch.delenv("MPLBACKEND", raising=False)
        folder = runs.home() / RUN
        out = io.StringIO()
        outcomes = runner.run_workbook(runner.plan(run=RUN), out=out)
    failures = [outcome.reason for outcome in outcomes if outcome.status not in ("ran", "reused")]
    assert not failures, "\n".join([*failures, out.getvalue()])
    return WorkbookRun(folder, {outcome.notebook: outcome for outcome in outcomes})

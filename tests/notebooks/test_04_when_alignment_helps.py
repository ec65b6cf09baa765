"""Values of the executed notebook 04, each against a baseline or a limit of the same run."""

import pytest

pytestmark = [pytest.mark.notebook, pytest.mark.timeout(3600)]
NOTEBOOK = "04_when_alignment_helps"
VERDICTS = ("better", "no change", "worse", "undecided")


def test_every_task_has_one_verdict(workbook_run):
    counts = [workbook_run.row(NOTEBOOK, f"tasks {verdict}") for verdict in VERDICTS]
    assert sum(row["value"] for row in counts) == counts[0]["n"] >= 30


def test_what_is_paid_is_seen(workbook_run):
    """Alignment of the embedding costs naming from sentences; a battery that cannot see it would be blind."""
    assert workbook_run.row(NOTEBOOK, "change: noun zero-shot")["high"] < -0.1


def test_the_guard_recommends_no_strength_that_ruins_a_task(workbook_run):
    assert workbook_run.row(NOTEBOOK, "strength recommended, study")["value"] < 1


def test_votes_pull_more_than_shuffled_votes(workbook_run):
    rows = workbook_run.rows(NOTEBOOK)
    assert rows["2AFC gain, aligned"]["value"] > rows["2AFC gain, shuffled votes"]["value"]

"""Values of the executed notebook 01, each against a baseline or a limit of the same run."""

import pytest

pytestmark = [pytest.mark.notebook, pytest.mark.timeout(3600)]
NOTEBOOK = "01_collect_judgments"


def test_the_careless_rater_is_flagged_and_not_everybody(workbook_run):
    row = workbook_run.row(NOTEBOOK, "raters_flagged")
    assert 1 <= row["value"] <= row["n"] / 3


def test_the_ceiling_is_found_without_knowing_the_truth(workbook_run):
    rows = workbook_run.rows(NOTEBOOK)
    truth = rows["ceiling: the truth"]["value"]
    low = rows["ceiling: one by the others, without flagged"]["value"]
    high = rows["ceiling: majority oracle, without flagged"]["value"]
    assert low - 0.03 < truth < high + 0.03
    assert high - low < 0.2


def test_a_careless_rater_costs_agreement(workbook_run):
    rows = workbook_run.rows(NOTEBOOK)
    with_all, careful = (rows[f"krippendorff_alpha, {who}"]["value"] for who in ("all raters", "without flagged"))
    assert 0.1 < with_all < careful


def test_stratified_questions_look_like_the_pool(workbook_run):
    rows = workbook_run.rows(NOTEBOOK)
    assert rows["unlike the pool: unsure first, by category"]["value"] < rows["unlike the pool: unsure first"]["value"]

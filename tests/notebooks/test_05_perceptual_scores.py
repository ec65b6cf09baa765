"""Values of the executed notebook 05, each against a baseline or a limit of the same run."""

import pytest

pytestmark = [pytest.mark.notebook, pytest.mark.timeout(3600)]
NOTEBOOK = "05_perceptual_scores"


def test_shuffled_labels_teach_nothing_and_knowing_the_level_much(workbook_run):
    rows = workbook_run.rows(NOTEBOOK)
    assert rows["quality SRCC: LoRA, shuffled labels"]["low"] < 0.3
    assert rows["quality SRCC: oracle: level"]["value"] > 0.5


def test_memorability_is_learned_below_its_ceiling(workbook_run):
    rows = workbook_run.rows(NOTEBOOK)
    ceiling = rows["ceiling, memorability: SRCC of the panel's own tendency"]["value"]
    assert rows["memorability SRCC, LoRA"]["low"] > 0
    assert rows["memorability SRCC, LoRA"]["low"] < ceiling < 1


def test_the_model_of_raters_is_nearer_to_the_truth_than_the_mean(workbook_run):
    assert workbook_run.row(NOTEBOOK, "error of the true score, model minus mean, paired")["high"] < 0


def test_maps_depend_on_the_weights(workbook_run):
    assert abs(workbook_run.row(NOTEBOOK, "rank correlation of maps, trained and random")["value"]) < 0.3


def test_intervals_hold_what_they_promise(workbook_run):
    assert workbook_run.row(NOTEBOOK, "coverage of the 90 % interval")["high"] > 0.88

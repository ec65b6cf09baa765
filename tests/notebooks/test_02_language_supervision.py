"""Values of the executed notebook 02, each against its chance level or a baseline of the same run."""

import pytest

from percept.data.scenes import nouns

pytestmark = [pytest.mark.notebook, pytest.mark.timeout(3600)]
NOTEBOOK = "02_language_supervision"
CHANCE = 1 / len(nouns())


@pytest.mark.parametrize("code", ["en", "ja"])
def test_learning_happens_live(workbook_run, code):
    """19 classes: three times chance is 0.16."""
    assert workbook_run.row(NOTEBOOK, f"live_accuracy_{code}")["value"] > 3 / 19


@pytest.mark.parametrize("code", ["en", "ja"])
def test_held_out_objects_are_named(workbook_run, code):
    assert workbook_run.row(NOTEBOOK, f"zero_shot_{code}")["low"] > 0.5


def test_shuffled_labels_are_at_chance(workbook_run):
    row = workbook_run.row(NOTEBOOK, "zero_shot_shuffled_labels")
    assert row["low"] <= CHANCE <= row["high"]
    assert row["high"] < 4 * CHANCE


def test_other_drawings_are_harder_and_not_hopeless(workbook_run):
    seen = workbook_run.row(NOTEBOOK, "shift en seen drawings")
    for shift in ("outlines only", "another artist"):
        row = workbook_run.row(NOTEBOOK, f"shift en {shift}")
        assert row["low"] > CHANCE
        assert row["high"] < seen["low"]


def test_sentences_find_pictures(workbook_run):
    chance = workbook_run.row(NOTEBOOK, "search_chance_first_1")["value"]
    for code in ("en", "ja"):
        assert workbook_run.row(NOTEBOOK, f"search_{code}_first_1")["low"] > 5 * chance


def test_a_category_can_be_added_by_its_name(workbook_run):
    assert workbook_run.row(NOTEBOOK, "add_category_new_recall")["low"] > CHANCE
    assert workbook_run.row(NOTEBOOK, "add_category_old_change")["low"] > -0.1


def test_real_input_is_above_chance_for_every_way(workbook_run):
    for way in ("percept-tiny", "efficientnet-lite0", "statistics"):
        for task, chance in (("handwritten digits", 0.1), ("texture photographs", 1 / 3), ("textile inspection", 0.5)):
            assert workbook_run.row(NOTEBOOK, f"probe {task} {way}")["low"] > chance, (way, task)

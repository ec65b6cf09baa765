"""Values of the executed notebook 03, each against a baseline or a limit of the same run."""

import pytest

pytestmark = [pytest.mark.notebook, pytest.mark.timeout(3600)]
NOTEBOOK = "03_perceptual_alignment"


def test_alignment_agrees_better_than_the_frozen_encoder_and_its_control(workbook_run):
    rows = workbook_run.rows(NOTEBOOK)
    assert rows["2AFC, LoRA minus frozen encoder"]["low"] > 0
    assert rows["2AFC, LoRA minus LoRA, shuffled votes"]["value"] > 0


def test_nothing_beats_the_ceiling_and_the_oracle_comes_near(workbook_run):
    rows = workbook_run.rows(NOTEBOOK)
    ceiling = rows["noise ceiling"]["high"]
    ways = ("LoRA", "linear read-out", "heads only", "gLocal-type", "pixels", "frozen encoder")
    assert all(rows[f"2AFC, {way}"]["low"] < ceiling for way in ways)
    assert rows["2AFC, attribute oracle"]["value"] > rows["2AFC, LoRA"]["value"]


def test_the_dial_at_zero_is_the_frozen_encoder(workbook_run):
    rows = workbook_run.rows(NOTEBOOK)
    assert abs(rows["2AFC at strength 0.0"]["value"] - rows["2AFC, frozen encoder"]["value"]) < 0.005
    likeness = [rows[f"cosine to the frozen features at strength {s}"]["value"] for s in (0.0, 0.5, 1.0)]
    assert likeness == sorted(likeness, reverse=True)


def test_what_is_exported_gives_the_same_embeddings(workbook_run):
    rows = workbook_run.rows(NOTEBOOK)
    assert rows["largest difference, reloaded adapter"]["value"] <= 1e-6
    assert rows["largest difference, merged weights"]["value"] <= 1e-5


def test_no_group_is_served_better_by_the_votes_of_the_other(workbook_run):
    rows = workbook_run.rows(NOTEBOOK)
    lost = [rows[f"what {group} lose by the other's read-out"] for group in ("objects", "appearance")]
    assert all(row["high"] > 0 for row in lost)
    assert any(row["low"] > 0 for row in lost)

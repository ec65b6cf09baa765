import numpy as np
import pytest

from percept.data import panel
from percept.data.scenes import nouns
from percept.data.stimuli import _objects
from percept.evaluation import questions


class Told:
    """Stands in for an encoder: features that somebody else made, picture by picture."""

    def __init__(self, rows):
        self.rows = rows


@pytest.fixture
def told(monkeypatch):
    monkeypatch.setattr(questions, "encoder_features", lambda encoder, triplets, kind: encoder.rows)


PEOPLE = panel.raters(12, 3)


def test_features_that_hold_the_concepts_find_the_odd_one(told):
    asked = panel.judged("concept-level", "test", 120, 3, PEOPLE)
    used = np.unique(asked.shown.items)
    labels = _objects("test", 3)[1][used]
    names = sorted({kind.category for kind in nouns()})
    rows = 0.3 + np.eye(len(names))[[names.index(nouns()[label].category) for label in labels]]
    noise = np.random.default_rng(0).normal(size=(len(rows), 8))
    found = questions.odd_one_out_scores({"told": Told(rows), "noise": Told(noise)}, PEOPLE, 60, 3)
    assert found["told"]["correct"] > 0.75
    assert found["told"]["wrong"] <= found["told"]["correct"], "categories tie where all three differ"
    assert found["noise"]["correct"] == found["noise"]["wrong"] < 0.6


def test_pixels_find_what_looks_the_same_and_noise_does_not(told):
    shown = panel.judged("low-level", "test", 60, 3, PEOPLE)
    rows = shown.shown.pictures[:, ::4, ::4].reshape(len(shown.shown.pictures), -1).astype(float)
    noise = np.random.default_rng(0).normal(size=(len(rows), 8))
    found, same = questions.noticeable_difference_scores({"pixels": Told(rows), "noise": Told(noise)}, PEOPLE, 60, 3)
    assert 0.1 < same < 0.9
    assert found["pixels"] > same + 0.15
    assert found["noise"] < found["pixels"]

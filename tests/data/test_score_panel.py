from dataclasses import replace

import numpy as np
import pytest

from percept.data import panel, score_panel
from percept.data.score_panel import EMOTIONS, emotion_opinions, memorability_opinions, probabilities


@pytest.fixture(scope="module")
def feelings():
    return emotion_opinions("tune", 40, seed=1)


@pytest.fixture(scope="module")
def memory():
    return memorability_opinions("tune", 60, seed=1)


def test_shares_are_the_counted_answers(feelings, memory):
    counts = feelings.answers.groupby(["item", "answer"]).size().unstack(fill_value=0).reindex(columns=range(8))
    assert np.allclose(feelings.shares, counts.fillna(0).to_numpy() / 12)
    assert np.allclose(memory.shares[:, 0], memory.answers.groupby("item")["answer"].mean())
    assert memory.answers.groupby("item")["rater"].nunique().eq(20).all()


def test_truth_is_what_many_votes_tend_to():
    few = memorability_opinions("validate", 8, votes=24)
    seen = memorability_opinions("validate", 8, panel=few.panel * 40, votes=960).shares
    error = np.sqrt(few.truth * (1 - few.truth) / 960)
    assert (np.abs(seen - few.truth) < 4 * error).all()


def test_probabilities_match_a_loop(feelings):
    rater, row = feelings.panel[3], feelings.factors[5]
    rng = np.random.default_rng([rater.seed, rater.number, rater.group == "objects", 12])
    table = np.array(list(score_panel.EMOTION_WEIGHTS.values()))
    own = table * np.exp(rng.normal(0, panel.WEIGHT_SPREAD, table.shape))
    inclined = rng.normal(0, score_panel.BASE_SPREAD, 8)
    logits = [
        sum(row[f] * own[f, k] for f in range(len(row))) * rater.sensitivity / panel.SENSITIVITY + inclined[k]
        for k in range(8)
    ]
    odds = np.exp(logits)
    wanted = rater.lapse / 8 + (1 - rater.lapse) * odds / odds.sum()
    assert np.allclose(probabilities("emotion", rater, feelings.factors)[5], wanted)


def test_half_of_the_scenes_show_a_face_and_it_pulls_towards_its_emotion(feelings):
    faces = [made.emotion for made in feelings.scenes]
    assert sum(bool(name) for name in faces) == 20
    own = [feelings.truth[row, EMOTIONS.index(name)] for row, name in enumerate(faces) if name]
    assert np.mean(own) > 2 / len(EMOTIONS)


def test_two_terms_are_read_from_the_pixels_alone(feelings):
    """The same scene in other light has the same captions, and other factors."""
    made = feelings.scenes[0]
    darker = replace(made, gain=made.gain * 0.5)
    assert made.captions() == darker.captions()
    before, after = score_panel._factors(made), score_panel._factors(darker)
    changed = {name for name in before if before[name] != after[name]}
    assert {"dark", "colourful"} <= changed <= {"dark", "colourful", "contrast"}


def test_raters_differ_and_a_panel_is_the_same_again(feelings, memory):
    one, other = (probabilities("emotion", rater, feelings.factors) for rater in feelings.panel[:2])
    assert np.abs(one - other).max() > 0.05
    again = memorability_opinions("tune", 60, seed=1)
    assert np.array_equal(again.shares, memory.shares)
    assert not np.array_equal(memorability_opinions("tune", 60, seed=2).shares, memory.shares)


def test_the_task_can_be_learned_but_not_perfectly(memory):
    from scipy.stats import spearmanr

    ceiling = spearmanr(memory.truth[:, 0], memory.shares[:, 0]).statistic
    assert 0.4 < ceiling < 0.95


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "tuna"}, "unknown split 'tuna'; known: "),
        ({"n": 0}, "n must be at least 1, got 0"),
        ({"votes": 0}, "votes must be at least 1, got 0"),
        ({"n": 30_000}, "has only .* suitable scenes"),
    ],
)
def test_bad_arguments(arguments, message, monkeypatch):
    monkeypatch.setattr(score_panel, "_BLOCK", 50)
    score_panel._drawn.cache_clear()
    with pytest.raises(ValueError, match=message):
        memorability_opinions(**{"split": "tune", "n": 4} | arguments)

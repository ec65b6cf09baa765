import numpy as np
import pytest

from percept.data import panel, stimuli
from percept.data.scenes import nouns

RIGHTWARD = panel.Rater("x", "objects", 0, 0, sensitivity=10.0, bias=0.0, lapse=0.0)


@pytest.fixture(scope="module")
def sets():
    return {source: panel.judged(source, "tune", 120) for source in stimuli.SOURCES}


@pytest.mark.parametrize("source", stimuli.SOURCES)
def test_the_same_seed_gives_the_same_judgments_and_another_seed_others(source):
    again, other = panel.judged(source, "tune", 12), panel.judged(source, "tune", 12, seed=1)
    once_more = panel.judged(source, "tune", 12)
    assert np.array_equal(again.triplets.vote_right, once_more.triplets.vote_right)
    assert np.array_equal(again.shown.pictures, once_more.shown.pictures)
    assert not np.array_equal(other.triplets.vote_right, again.triplets.vote_right)


@pytest.mark.parametrize("source", stimuli.SOURCES)
def test_votes_follow_the_true_probability(sets, source):
    made = sets[source]
    assert len(made.triplets) == len(made.probability) == len(made.contrast) == 120
    assert np.corrcoef(made.triplets.vote_right, made.probability)[0, 1] > 0.85
    assert 0.35 < made.triplets.vote_right.mean() < 0.65  # neither side is the usual answer
    assert 0.75 < made.ceiling <= 1


@pytest.mark.parametrize("source", stimuli.SOURCES)
def test_the_contrast_points_to_the_nearer_candidate(sets, source):
    made = sets[source]
    weights = np.mean([rater.weights(source) for rater in made.panel], 0)
    leaning = made.contrast @ weights  # above 0: left is farther, so right is preferred
    clear = np.abs(leaning) > 0.2
    assert np.mean((leaning > 0)[clear] == (made.probability > 0.5)[clear]) > 0.97


def test_choice_probability_is_the_formula_of_the_docstring(sets):
    shown = sets["mid-level"].shown
    rater = panel.raters(4, seed=3)[3]
    weights = rater.weights("mid-level")
    for row in range(5):
        left, right = (sum(w * a for w, a in zip(weights, shown.attributes[row, side], strict=True)) for side in (0, 1))
        sigmoid = 1 / (1 + np.exp(-(rater.sensitivity * (left - right) + rater.bias)))
        expected = rater.lapse / 2 + (1 - rater.lapse) * sigmoid
        assert rater.prefers_right(shown)[row] == pytest.approx(expected)


def test_odd_one_out_probabilities_sum_to_one_and_follow_the_distances(sets):
    shown = sets["concept-level"].shown
    kept, apart = RIGHTWARD.keeps_together(shown), RIGHTWARD.distances(shown)
    assert np.allclose(kept.sum(1), 1)
    assert np.array_equal(kept.argmax(1), apart.argmin(1))


def test_odd_one_out_triplets_put_the_odd_item_on_either_side(sets):
    made = sets["concept-level"]
    trials = {tuple(sorted(row)) for row in made.shown.items.tolist()}
    assert {tuple(sorted(row)) for row in made.triplets.items.tolist()} <= trials
    sides = made.triplets.vote_right > 0.5
    assert 0.3 < sides.mean() < 0.7
    # The item that most raters singled out is never the preferred candidate.
    odd = made.answers.groupby("item")["answer"].agg(lambda votes: votes.mode().iloc[0]).astype(int)
    for row, trial in enumerate(made.shown.items[:20]):
        for at in (2 * row, 2 * row + 1):
            reference, left, right = made.triplets.items[at]
            assert reference != trial[odd[row]]
            preferred = right if made.triplets.vote_right[at] > 0.5 else left
            if made.triplets.vote_right[at] != 0.5:
                assert preferred != trial[odd[row]]


def test_category_triplets_hold_two_of_one_noun(sets):
    made = sets["category"]
    assert np.array_equal(made.shown.attributes[:, 0, 0] + made.shown.attributes[:, 1, 0], np.ones(120))
    preferred_left = made.shown.attributes[:, 0, 0] == 0
    assert np.mean((made.triplets.vote_right < 0.5) == preferred_left) > 0.97


def test_the_two_groups_disagree_more_than_either_with_itself(sets):
    shown = sets["mid-level"].shown
    means = {
        (group, seed): np.mean([rater.prefers_right(shown) for rater in panel.raters(12, seed, group)], 0)
        for group in panel.GROUPS
        for seed in (0, 1)
    }
    between = np.abs(means["objects", 0] - means["appearance", 0]).mean()
    within = max(np.abs(means[group, 0] - means[group, 1]).mean() for group in panel.GROUPS)
    assert between > 2 * within


def test_raters_scatter_around_the_stated_prior():
    many = panel.raters(400, group="objects")
    weights = np.stack([rater.weights("mid-level") for rater in many])
    prior = np.array([pair[0] for pair in panel.WEIGHTS["mid-level"].values()])
    assert np.allclose(np.exp(np.log(weights).mean(0)), prior, rtol=0.06)
    assert np.log(weights).std(0) == pytest.approx(panel.WEIGHT_SPREAD, abs=0.04)
    assert np.mean([rater.lapse for rater in many]) == pytest.approx(0.04, abs=0.005)


def test_every_source_has_weights_for_its_attributes(sets):
    for source, made in sets.items():
        assert tuple(panel.WEIGHTS[source]) == made.shown.names


def test_answers_name_raters_once_per_item(sets):
    answers = sets["mid-level"].answers
    assert len(answers) == 120 * panel.VOTES
    assert not answers.duplicated(["rater", "item"]).any()
    shares = answers.groupby("item")["answer"].mean().to_numpy()
    assert np.allclose(shares, sets["mid-level"].triplets.vote_right)


def test_pictures_come_from_the_split_alone():
    tune, test = stimuli.stimuli("mid-level", "tune", 5), stimuli.stimuli("mid-level", "test", 5)
    assert not np.array_equal(tune.pictures[0], test.pictures[0])


def test_distortions_do_nothing_much_at_zero_and_more_with_level():
    picture = stimuli.stimuli("low-level", "tune", 1).pictures[0]
    for kind in stimuli.DISTORTIONS:
        errors = [
            np.square(stimuli.distorted(picture, kind, level, np.random.default_rng(0)).astype(float) - picture).mean()
            for level in (0.0, 0.5, 1.0)
        ]
        assert errors[0] < errors[1] < errors[2], kind


def test_concepts_do_not_depend_on_the_pictures(sets):
    shown = sets["concept-level"].shown
    assert shown.attributes[:, :, 0].max() == 1
    assert len({kind.category for kind in nouns()}) > 8


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stimuli.stimuli("high-level", "tune", 2), "unknown source of judgments 'high-level'"),
        (lambda: stimuli.stimuli("category", "train", 2), "unknown split 'train'"),
        (lambda: stimuli.stimuli("category", "tune", 0), "n must be at least 1"),
        (lambda: panel.raters(0), "n must be at least 1"),
        (lambda: panel.raters(2, group="cats"), "unknown group 'cats'"),
        (lambda: panel.judged("category", "tune", 2, votes=0), "votes must be at least 1"),
        (lambda: stimuli.distorted(np.zeros((8, 8, 3), np.uint8), "fog", 1, np.random.default_rng(0)), "'fog'"),
    ],
)
def test_bad_requests_say_what_is_known(call, message):
    with pytest.raises(ValueError, match=message):
        call()

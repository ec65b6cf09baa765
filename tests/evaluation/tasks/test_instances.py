"""Individuals found again, and scenes found by what they show."""

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from percept.evaluation.tasks import instances, scene_tasks


@pytest.fixture(scope="module")
def found():
    return instances.individuals(10, 6, seed=3)


def test_half_of_the_distractors_share_the_noun(found):
    assert len(set(found.identities)) == len(found.identities) == 60
    for row, shown in enumerate(found.shown):
        others = np.flatnonzero(shown & (np.arange(60) != row))
        assert len(others) == 10
        assert (found.nouns[others] == found.nouns[row]).sum() == 5
        assert shown[row]


def test_individuals_appear_elsewhere_and_follow_the_seed(found):
    assert (found.queries != found.gallery).any((1, 2, 3)).all()
    again, other = instances.individuals.__wrapped__(10, 6, 3), instances.individuals(10, 6, 4)
    assert np.array_equal(again.gallery, found.gallery)
    assert np.array_equal(again.shown, found.shown)
    assert not np.array_equal(other.queries, found.queries)


def test_ranks_equal_a_loop(found):
    rng = np.random.default_rng(0)
    queries, gallery = rng.normal(size=(60, 5)), rng.normal(size=(60, 5))
    slow = []
    for row in range(60):
        cosines = [float(queries[row] @ g / np.linalg.norm(queries[row]) / np.linalg.norm(g)) for g in gallery]
        slow.append(1 + sum(found.shown[row, j] and cosines[j] > cosines[row] for j in range(60)))
    assert instances.identity_ranks(queries, gallery, found.shown).tolist() == slow


def test_oracle_finds_all_noun_alone_does_not_and_chance_is_blind(found):
    oracle = np.eye(60)
    assert [s.value for s in instances.instance_scores(oracle, oracle, found)] == [1, 1, 1]
    nouns = (found.nouns[:, None] == np.unique(found.nouns)) * 1.0
    assert instances.instance_scores(nouns, nouns, found)[0].value == 0  # ties count against it
    rng = np.random.default_rng(0)
    tries = [instances.instance_scores(*rng.normal(size=(2, 60, 8)), found) for _ in range(20)]
    for column in range(3):
        mean = np.mean([scores[column].value for scores in tries])
        assert mean == pytest.approx(tries[0][column].blind, abs=0.04)


def test_relevance_equals_a_loop():
    pool = scene_tasks.mixed_scenes(4, 25, 0).test
    relevance = instances.scene_relevance(pool.scenes)
    for i, first in enumerate(pool.scenes):
        for j, second in enumerate(pool.scenes):
            a = sorted(first.things[p].noun for p in first.named)
            b = sorted(second.things[p].noun for p in second.named)
            shared, rest = 0, list(b)
            for noun in a:
                if noun in rest:
                    rest.remove(noun)
                    shared += 1
            overlap = shared / (len(a) + len(b) - shared)
            assert relevance[i, j] == pytest.approx((overlap + (first.background == second.background)) / 2)


def test_graded_gain_equals_scikit_learn_and_its_chance_is_the_mean_of_random_orders():
    rng = np.random.default_rng(0)
    relevance, similarity = rng.choice([0, 0.2, 1], (30, 40)), rng.normal(size=(30, 40))
    gain, blind = instances.graded_gain(similarity, relevance)
    assert gain.mean() == pytest.approx(ndcg_score(relevance, similarity, k=10))
    tries = [instances.graded_gain(rng.normal(size=(30, 40)), relevance)[0].mean() for _ in range(200)]
    assert np.mean(tries) == pytest.approx(blind, abs=0.01)


def test_the_query_itself_is_no_find():
    relevance = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0], [0.5, 0.0, 1.0]])
    similarity = np.where(np.eye(3) == 1, -np.inf, relevance)
    assert instances.graded_gain(similarity, relevance)[0].tolist() == [1, 0, 1]


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="2 to 8 individuals"):
        instances.individuals(5, 9, 0)

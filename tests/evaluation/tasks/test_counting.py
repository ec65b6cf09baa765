"""Counting on features."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from percept.evaluation.tasks import counting


def _rows(n, seed):
    return np.random.default_rng(seed).normal(size=(n, 6))


def test_neighbours_equal_scikit_learn():
    x, test = _rows(50, 0), _rows(8, 1)
    rows, similarity = counting.neighbours(x, test, 4)
    distances, slow = NearestNeighbors(n_neighbors=4, metric="cosine").fit(x).kneighbors(test)
    assert np.array_equal(rows, slow)
    assert similarity == pytest.approx(1 - distances)


def test_nearest_counts_are_the_mean_of_the_neighbours():
    x, test, counts = _rows(30, 0), _rows(5, 1), np.random.default_rng(2).integers(1, 7, 30)
    unit = [row / np.linalg.norm(row) for row in x]
    for query, found in zip(test, counting.nearest_counts(x, counts, test, 3), strict=True):
        order = sorted(range(30), key=lambda i: -float(unit[i] @ query))
        assert found == pytest.approx(np.mean([counts[i] for i in order[:3]]))


def _scores(make, n=200):
    rng = np.random.default_rng(0)
    known, truth = rng.integers(1, 7, n), rng.integers(1, 7, n)
    blind = counting.blind_counts(known, rng.random(n), rng.random(n))
    scores = counting.counting_scores(make(known, rng), known, make(truth, rng), truth, blind)
    return {score.name: score for score in scores}


def test_oracle_features_count_perfectly():
    scores = _scores(lambda counts, rng: np.eye(7)[counts])
    assert len(scores) == 4
    for score in scores.values():
        assert score.value < 0.02 < score.blind
        assert not score.higher


def test_random_features_count_like_the_mean():
    scores = _scores(lambda counts, rng: rng.normal(size=(len(counts), 5)))
    for name in ("counting linear MAE", "counting linear RMSE"):
        assert scores[name].value == pytest.approx(scores[name].blind, rel=0.06)
    assert scores["counting 5 nearest RMSE"].value > scores["counting linear RMSE"].value


def test_the_best_blind_rule_stands_beside():
    known, areas = np.array([1, 2, 3, 4]), np.array([0.1, 0.2, 0.3, 0.4])
    blind = counting.blind_counts(known, areas, np.array([0.15, 0.4]))
    assert blind["mean count"].tolist() == [2.5, 2.5]
    assert blind["covered area"] == pytest.approx([1.5, 4])
    scores = counting.counting_scores(np.eye(4), known, np.eye(4)[:2], np.array([1.5, 4]), blind)
    assert scores[0].blind == pytest.approx(0)
    assert "covered area" in scores[0].note
    assert list(counting.blind_counts(known, np.zeros(4), np.zeros(2))) == ["mean count"]


def test_more_neighbours_than_pictures_is_an_error():
    with pytest.raises(ValueError, match="k must be 1 to 4"):
        counting.neighbours(np.eye(4), np.eye(4), 5)

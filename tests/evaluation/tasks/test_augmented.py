"""Votes of retrieved examples."""

import numpy as np
import pytest

from percept.evaluation.tasks.augmented import augmented_score, augmented_sweep, vote


def test_vote_equals_a_loop():
    rng = np.random.default_rng(0)
    x, test, labels = rng.normal(size=(40, 4)), rng.normal(size=(25, 4)), rng.integers(0, 3, 40)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    slow = []
    for query in test / np.linalg.norm(test, axis=1, keepdims=True):
        order = sorted(range(40), key=lambda i: -float(unit[i] @ query))
        s = [float(unit[i] @ query) for i in order[:6]]
        support = {}
        for place in range(5):
            label = labels[order[place]]
            support[label] = support.get(label, 0) + (s[place] - s[5]) / (s[0] - s[5])
        slow.append(max(support, key=support.get))
    assert vote(x, labels, test, 5).tolist() == slow


def test_near_examples_outvote_a_far_majority():
    angles = np.deg2rad([0, 25, 26, 40])
    x = np.c_[np.cos(angles), np.sin(angles)]
    assert vote(x, np.array([1, 2, 2, 0]), np.array([[1.0, 0.0]]), 3).tolist() == [2]
    angles = np.deg2rad([0, 39, 39.5, 40])
    x = np.c_[np.cos(angles), np.sin(angles)]
    assert vote(x, np.array([1, 2, 2, 0]), np.array([[1.0, 0.0]]), 3).tolist() == [1]


def test_equally_similar_examples_weigh_the_same():
    assert vote(np.ones((4, 2)), np.array([5, 7, 7, 5]), np.ones((1, 2)), 3).tolist() == [7]


def test_oracle_random_and_sweep():
    rng = np.random.default_rng(0)
    labels, truth = rng.integers(0, 4, 300), rng.integers(0, 4, 200)
    oracle = np.eye(4)[labels] + 0.01 * rng.normal(size=(300, 4))
    asked = np.eye(4)[truth] + 0.01 * rng.normal(size=(200, 4))
    assert augmented_score("x", oracle, labels, asked, truth).value == 1
    noise = augmented_score("x", rng.normal(size=(300, 4)), labels, rng.normal(size=(200, 4)), truth)
    assert abs(noise.value - 0.25) < 0.1
    assert abs(noise.blind - 0.25) < 0.1
    sweep = augmented_sweep("x", oracle, labels, asked, truth, ks=(1, 10), contexts=(10, 100, 500))
    assert list(sweep) == [(10, 1), (100, 1), (100, 10)]


def test_too_small_a_context_is_an_error():
    with pytest.raises(ValueError, match="k must be 1 to 3"):
        vote(np.eye(3), np.arange(3), np.eye(3), 3)

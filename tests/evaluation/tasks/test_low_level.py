"""Distortions and thumbnails."""

import numpy as np
import pytest

from percept.data import scenes
from percept.evaluation.tasks import low_level


@pytest.fixture(scope="module")
def pictures():
    return scenes.render(range(1_250_000, 1_250_012))


def test_a_higher_level_is_further_from_the_original(pictures):
    many = np.tile(pictures, (20, 1, 1, 1))
    changed, levels = low_level.distorted(many, seed=3)
    errors = ((changed.astype(float) - many) ** 2).mean((1, 2, 3))
    means = [errors[levels == level].mean() for level in range(low_level.LEVELS)]
    assert means[0] == 0
    assert np.diff(means).min() > 1


def test_distortions_follow_the_seed(pictures):
    first, again, other = (low_level.distorted(pictures, seed) for seed in (1, 1, 2))
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[1], other[1])
    same = first[1] == 0
    assert np.array_equal(first[0][same], pictures[same])


def test_oracle_and_random_features():
    rng = np.random.default_rng(0)
    levels, truth = rng.integers(0, 5, 200), rng.integers(0, 5, 100)
    oracle = low_level.distortion_scores(levels[:, None] * 1.0, levels, truth[:, None] * 1.0, truth)[0]
    assert oracle.value < 0.02
    noise = low_level.distortion_scores(rng.normal(size=(200, 4)), levels, rng.normal(size=(100, 4)), truth)[0]
    assert noise.value == pytest.approx(noise.blind, rel=0.05)
    assert noise.blind == pytest.approx(truth.std(), rel=0.05)


def test_thumbnails_are_means_of_blocks_and_are_read_back(pictures):
    small = low_level.thumbnails(pictures)
    slow = np.rint(pictures.reshape(12, 16, 4, 16, 4, 3).astype(float).mean((2, 4))) / 255
    assert small == pytest.approx(slow.reshape(12, -1), abs=1.01 / 255)
    score = low_level.thumbnail_scores(small, pictures, small, pictures)[0]
    assert score.value < 0.03 < score.blind
    by_hand = np.sqrt(np.mean((small - small.mean(0)) ** 2))
    assert score.blind == pytest.approx(by_hand)

"""Scenes of the battery: drawn by the seed, labelled by their truth."""

import numpy as np
import pytest

from percept.data.scenes import SPLITS, STUFF, truth
from percept.evaluation.tasks import classification, scene_tasks


def _indices(pool):
    return [made.index for made in pool.scenes]


@pytest.mark.parametrize("make", [scene_tasks.mixed_scenes, scene_tasks.single_scenes, scene_tasks.pair_scenes])
def test_parts_keep_to_their_splits_and_follow_the_seed(make):
    parts, other = make(8, 6, 0), make(8, 6, 1)
    assert (len(parts.train), len(parts.test)) == (8, 6)
    assert all(index in SPLITS["tune"] for index in _indices(parts.train))
    assert all(index in SPLITS["test"] for index in _indices(parts.test))
    assert make.__wrapped__(8, 6, 0).test.scenes == parts.test.scenes
    assert not set(_indices(parts.test)) & set(_indices(other.test))
    assert parts.test.pictures.shape == (6, 64, 64, 3)


def test_no_scene_twice():
    drawn = scene_tasks.drawn("validate", 0, 7)
    indices = [next(drawn).index for _ in range(50)]
    assert len(set(indices)) == 50


def test_dense_maps_follow_the_truth():
    pool = scene_tasks.dense_scenes(3, 2, 12, 0)[2]
    classes, depth = pool.dense
    for row, made in enumerate(pool.scenes):
        facts = truth(made)
        bare = facts.instances == 0
        assert np.array_equal(classes[row][bare], facts.stuff[bare])
        for position, thing in enumerate(made.things):
            here = classes[row][facts.instances == position + 1]
            if position not in made.named:
                assert (here == scene_tasks.VOID).all()
            elif thing.kind.category == "sea animal":
                assert (here == scene_tasks.CLASSES.index("animal")).all()
            else:
                assert (here >= len(STUFF)).all()
        known = np.isfinite(depth[row])
        assert np.array_equal(known, facts.depth < 7.99)
        assert np.array_equal(depth[row][known], facts.depth[known])
    shares = [(facts.instances > 0).mean() for facts in map(truth, pool.scenes)]
    assert pool.areas == pytest.approx(shares)


def test_pairs_are_balanced_and_their_labels_true():
    parts = scene_tasks.pair_scenes(40, 60, 0)
    labels = classification.pair_labels(parts.test)
    for values in labels.values():
        assert 0.3 < values.mean() < 0.7
    for row, made in enumerate(parts.test.scenes):
        animal, item = made.things
        assert animal.kind.has("a")
        assert not item.kind.has("n")
        assert labels["animal left or right"][row] == (animal.x > item.x)
        assert labels["animal nearer or farther"][row] == (animal.depth > item.depth)
        assert labels["animal faces left or right"][row] == (animal.facing > 0)
    both = np.corrcoef(labels["animal left or right"], labels["animal nearer or farther"])[0, 1]
    assert abs(both) < 0.35


def test_labels_of_single_scenes():
    pool = scene_tasks.single_scenes(4, 40, 0).test
    labels = classification.labels_of(pool)
    for row, made in enumerate(pool.scenes):
        (thing,), (_, (left, top, right, bottom)) = made.things, made.visibility[0]
        assert labels["noun"][row] == thing.noun
        assert labels["quadrant"][row] == (left + right >= 64) + 2 * (top + bottom >= 64)
        assert labels["distance"][row] == sum(thing.depth >= edge for edge in (1.2, 1.5))
    assert set(labels["distance"]) == {0, 1, 2}

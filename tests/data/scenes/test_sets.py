"""Pairs, single-object sets, blind baselines."""

import numpy as np

from percept.data.scenes import SPLITS, captions, nouns, picture, scene
from percept.data.scenes.baselines import blind_baselines
from percept.data.scenes.sets import ScenePairs, single_objects


def test_pairs_give_a_scene_and_one_of_its_captions():
    pairs = ScenePairs(SPLITS["pretrain"][:30])
    for _ in range(2):  # the second time from memory
        images, texts = pairs.batch(np.array([3, 17, 3]), np.random.default_rng(5))
        for image, text, row in zip(images, texts, (3, 17, 3), strict=True):
            made = scene(row)
            assert np.array_equal(image, picture(made))
            assert text in captions(made, "en") + captions(made, "ja")


def test_language_can_be_chosen():
    rows = np.arange(30)
    japanese = ScenePairs(SPLITS["pretrain"][:30], languages=("ja",)).batch(rows, np.random.default_rng(0))[1]
    assert not any(text.isascii() for text in japanese)
    english = ScenePairs(SPLITS["pretrain"][:30], languages=("en",)).batch(rows, np.random.default_rng(0))[1]
    assert all(text.isascii() for text in english)


def test_single_objects_are_single_named_and_balanced():
    chosen = single_objects("validate", 2)
    assert np.bincount(chosen.labels, minlength=len(nouns())).tolist() == [2] * len(nouns())
    for index, label in zip(chosen.indices[:50], chosen.labels[:50], strict=True):
        made = scene(int(index))
        assert made.named == (0,)
        assert len(made.things) == 1
        assert made.things[0].noun == label


def test_blind_baselines_beat_a_constant_and_leave_room():
    for blind in blind_baselines(200, 100):
        better = blind.score > blind.trivial if "higher" in blind.unit else blind.score < blind.trivial
        assert better, blind.task
        assert len(blind.per_item) == 100
        assert blind.score < 0.95 if "higher" in blind.unit else blind.score > 0.1

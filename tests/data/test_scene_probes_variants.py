"""Variants of scene probes: other pictures of the same items, in which everything asked about can still be seen."""

import numpy as np
import pytest

from percept.data.scene_probes import VARIANTS, scene_probes, scene_twins
from percept.data.scene_probes.variants import _turned, shown
from percept.data.scenes import picture
from percept.data.scenes.world import instance_map


@pytest.mark.parametrize("variant", VARIANTS[1:])
def test_a_variant_changes_the_pictures_and_nothing_else(variant):
    for skill in ("spatial relations", "counting", "actant swap"):
        plain, changed = scene_probes(skill, 12), scene_probes(skill, 12, variant=variant)
        assert changed.sentences == plain.sentences
        assert (changed.sentence == plain.sentence).all()
        assert (changed.picture == plain.picture).all()
        assert list(changed.ids) == list(plain.ids)
        assert changed.pictures.shape == plain.pictures.shape
        same = (changed.pictures == plain.pictures).all(axis=(1, 2, 3))
        assert same.mean() < 0.2  # things that reach all edges leave no other window
        assert (changed.pictures == scene_probes(skill, 12, variant=variant).pictures).all()


def test_the_line_variant_says_that_colours_are_gone():
    assert any("colour" in note for note in scene_probes("attribute binding", 2, size=16, variant="line").notes)
    assert len(scene_probes("attribute binding", 2, size=16).notes) == 1


def test_turning_keeps_everything_in_sight():
    lost = []
    for twin in scene_twins("foil nouns", 20):
        for made in twin.scenes:
            ids = instance_map(made.things, 64)
            for position in range(len(made.things)):
                mask = np.repeat(((ids == position + 1) * np.uint8(255))[..., None], 3, -1)
                left = [(_turned(mask, angle) > 127).sum() / (mask > 127).sum() for angle in (-8.0, 8.0)]
                lost.append(min(left) * made.visibility[position][0])
    assert min(lost) >= 0.4


def test_turning_goes_round_the_middle():
    corner = np.zeros((64, 64, 3), np.uint8)
    corner[30:34, 56:60] = 255
    for angle in (-8.0, 8.0):
        rows, columns = np.nonzero(_turned(corner, angle)[..., 0] > 100)
        turn = np.degrees(np.arctan2(32 - (rows.mean() + 0.5), columns.mean() + 0.5 - 32))
        assert turn == pytest.approx(angle, abs=1.5)
    assert (_turned(np.full((64, 64, 3), 90, np.uint8), 8.0) == 90).all()


def test_plain_pictures_are_the_scenes():
    probes = scene_probes("coreference", 8)
    for row, twin in enumerate(scene_twins("coreference", 4)):
        for side in range(2):
            assert (probes.pictures[2 * row + side] == picture(twin.scenes[side])).all()
    assert (shown(twin.scenes, "plain", 32, np.random.default_rng(0))[1] == picture(twin.scenes[1], 32)).all()

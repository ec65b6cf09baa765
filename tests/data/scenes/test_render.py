"""Pixels and dense truth."""

import numpy as np
import pytest

from percept.data.scenes import COLOURS, SPLITS, STUFF, grayscale, nouns, picture, render, scene, truth
from percept.data.scenes.artwork import STYLES, sprite
from percept.data.scenes.render import Truth
from percept.data.scenes.world import MIN_PIXELS, MIN_VISIBLE, draw_order, place

SOME = SPLITS["validate"][:40]


def test_render_does_not_depend_on_batch_or_workers():
    whole = render(SOME)
    assert whole.dtype == np.uint8
    assert whole.shape == (40, 64, 64, 3)
    assert np.array_equal(whole[7:9], render(SOME[7:9]))
    many = SPLITS["validate"][:300]
    assert np.array_equal(render(many, workers=2), render(many))


def test_styles_share_the_layout_but_not_the_pixels():
    shown = {style: render(SOME[:8], style=style) for style in STYLES}
    for first, second in (("color", "line"), ("color", "twemoji"), ("line", "twemoji")):
        assert (shown[first] != shown[second]).any((1, 2, 3)).all()
    with pytest.raises(ValueError, match="unknown rendering style 'sketch'"):
        render(SOME[:1], style="sketch")
    with pytest.raises(ValueError, match="at least 16"):
        render(SOME[:1], size=8)


def test_paste_equals_a_plain_alpha_blend():
    """The shift of the fast blend against exact arithmetic, at most one grey level apart."""
    drawing = sprite("1F415", "color", 30, 30)
    cover = (256 - drawing.keep.astype(float)) / 256
    ground = np.full((*drawing.solid.shape, 3), 120.0)
    ours = (ground.astype(np.uint8) * drawing.keep + drawing.paint) >> 8
    colour = drawing.paint / np.maximum(256.0 - drawing.keep, 1)
    assert np.abs(ours - (colour * cover + ground * (1 - cover))).max() <= 1


def _slow_instances(made, size):
    ids = np.zeros((size, size), np.uint8)
    for position in draw_order(made.things):
        placed = place(made.things[position], size)
        height, width = placed.sprite.solid.shape
        for row in range(height):
            for column in range(width):
                y, x = placed.top + row, placed.left + column
                if 0 <= y < size and 0 <= x < size and placed.sprite.solid[row, column]:
                    ids[y, x] = position + 1
    return ids


@pytest.mark.parametrize("index", SOME[:6])
def test_instances_equal_a_slow_loop(index):
    assert np.array_equal(truth(scene(index)).instances, _slow_instances(scene(index), 64))


@pytest.mark.parametrize("size", [64, 96])
def test_dense_truth_is_consistent(size):
    for index in SOME:
        made = scene(index)
        dense: Truth = truth(made, size)
        assert dense.depth.shape == dense.stuff.shape == (size, size)
        assert len(dense.boxes) == len(dense.labels) <= len(made.named)
        assert set(np.unique(dense.segments)) - {0} <= set(range(1, len(dense.classes)))
        assert (dense.classes[1 : len(dense.labels) + 1] == dense.labels).all()
        for number, (left, top, right, bottom) in enumerate(dense.boxes.astype(int), 1):
            rows, columns = np.nonzero(dense.segments == number)
            assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (left, top, right, bottom)
        for position, thing in enumerate(made.things):
            assert (dense.depth[dense.instances == position + 1] == np.float32(thing.depth)).all()
        void = dense.segments == 0
        assert set(np.unique(dense.instances[void])) <= set(range(1, len(made.things) + 1))
        assert set(np.unique(dense.stuff)) <= set(range(len(STUFF)))


def test_nearer_ground_is_lower_and_sky_is_farthest():
    dense = truth(scene(SOME[0]))
    column = np.where(dense.instances == 0, dense.depth, np.nan)
    profile = np.nanmedian(column, 1)
    assert (np.diff(profile[~np.isnan(profile)]) <= 1e-6).all()
    assert profile[0] == profile.max()


def test_named_things_are_visible():
    for index in SPLITS["tune"][:300]:
        made = scene(index)
        for position in made.named:
            share, (left, top, right, bottom) = made.visibility[position]
            assert share >= MIN_VISIBLE
            assert min(right - left, bottom - top) >= MIN_PIXELS


def test_painted_things_have_their_colour():
    """The fill of a painted bucket is nearer to its colour than to any other named colour."""
    table = np.array([rgb for rgb, _, _ in COLOURS.values()], float)
    for position, (rgb, _, _) in enumerate(COLOURS.values()):
        drawing = sprite("1FAA3", "color", 60, 60, colour=rgb)
        opaque = drawing.keep[..., 0] == 0
        pixels = drawing.paint[opaque] / 256.0
        bright = pixels[pixels.sum(1) >= np.percentile(pixels.sum(1), 60)]
        assert np.abs(table - np.median(bright, 0)).sum(1).argmin() == position


def test_grayscale_is_the_rec601_luma():
    shown = render(SOME[:3])
    luma = shown @ np.array([0.299, 0.587, 0.114])
    assert np.abs(grayscale(shown)[..., 0] - luma).max() <= 0.51
    assert (grayscale(shown)[..., 0] == grayscale(shown)[..., 2]).all()


def test_every_noun_can_be_drawn_in_every_style():
    for noun in nouns():
        if noun.codepoint != "-":
            for style in STYLES:
                assert sprite(noun.codepoint, style, 24, 24).solid.any() or style == "line"


def test_flipping_a_thing_mirrors_its_sprite():
    left, right = sprite("1F415", "color", 24, 20), sprite("1F415", "color", 24, 20, flip=True)
    assert np.array_equal(left.solid[:, ::-1], right.solid)
    assert not np.array_equal(left.solid, right.solid)


def test_picture_is_one_row_of_render():
    assert np.array_equal(picture(scene(SOME[3])), render([SOME[3]])[0])

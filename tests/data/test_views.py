import numpy as np
import pytest
from PIL import ExifTags, Image

from percept.data.opening import ImageError, open_image
from percept.data.views import Views, grid_views, random_views, view_corners

RNG = np.random.default_rng(0)


def picture(height, width):
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("length", range(16, 70))
@pytest.mark.parametrize("most", [1, 2, 3, 9])
def test_corners_touch_both_edges_and_leave_no_gap_where_there_are_enough(length, most):
    corners = view_corners(length, 16, most)
    assert corners[0] == 0
    assert len(corners) == min(most, -(-length // 16))
    if len(corners) > 1:
        assert corners[-1] == length - 16
    if most * 16 >= length:
        assert (np.diff(corners) <= 16).all()


def test_grid_views_are_the_pixels_of_the_picture():
    given = picture(40, 64)
    views = grid_views(given, 32)
    assert views.shape == (4, 32, 32, 3)
    assert np.array_equal(views[0], given[:32, :32])
    assert np.array_equal(views[3], given[8:, 32:])
    assert np.array_equal(grid_views(given, 32, most=1)[0], given[4:36, 16:48])


def test_small_pictures_are_enlarged_and_nothing_else_is():
    small = picture(10, 20)
    assert grid_views(small, 32).shape == (2, 32, 32, 3)
    same = picture(32, 32)
    assert np.array_equal(grid_views(same, 32)[0], same)


def test_random_views_follow_the_seed():
    given = picture(50, 60)
    one, again, other = (random_views(given, 16, 5, seed) for seed in (0, 0, 1))
    assert one.shape == (5, 16, 16, 3)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_views_of_many_pictures(tmp_path):
    pictures = [picture(40, 64), picture(16, 16), picture(33, 16)]
    views = Views(pictures, 16)
    assert len(views) == 9 + 1 + 3
    assert np.array_equal(views.owner, [0] * 9 + [1] + [2] * 3)
    every = np.concatenate([grid_views(one, 16) for one in pictures])
    order = RNG.permutation(len(views))
    assert np.array_equal(views(order), every[order])
    paths = [tmp_path / f"{row}.png" for row in range(3)]
    for path, one in zip(paths, pictures, strict=True):
        Image.fromarray(one).save(path)
    assert np.array_equal(Views(paths, 16)(order), every[order])
    lying = tmp_path / "lying.jpg"
    turned = Image.fromarray(picture(16, 48))
    turned.getexif()[ExifTags.Base.Orientation] = 6
    turned.save(lying, exif=turned.getexif())
    assert len(Views([lying], 16, 2)) == len(Views([np.asarray(open_image(lying))], 16, 2)) == 2
    means = views.mean(np.arange(13.0))
    assert means.tolist() == [4.0, 9.0, 11.0]
    assert np.allclose(views.mean(np.arange(26.0).reshape(13, 2)), [[8, 9], [18, 19], [22, 23]])


def test_one_random_view_of_each_picture():
    views = Views([picture(40, 64), picture(16, 16), picture(33, 16)], 16)
    drawn = np.stack([views.of(np.array([2, 0, 1]), np.random.default_rng(seed)) for seed in range(200)])
    assert [sorted(set(column)) for column in drawn.T] == [[10, 11, 12], list(range(9)), [9]]


@pytest.mark.parametrize(
    ("given", "side", "message"),
    [
        (np.zeros((4, 4, 3)), 2, r"must be uint8 \[H, W, 3\], got float64 \[4, 4, 3\]"),
        (np.zeros((4, 4), np.uint8), 2, r"got uint8 \[4, 4\]"),
        (picture(4, 4), 0, "side and number of views must be at least 1, got 0"),
    ],
)
def test_bad_pictures(given, side, message):
    with pytest.raises(ValueError, match=message):
        grid_views(given, side)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "broken.png").write_text("no picture")
    with pytest.raises(ImageError, match=r"broken.png: is not an image"):
        Views([tmp_path / "broken.png"], 16)

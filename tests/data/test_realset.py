"""The real mini-set: what is inside the wheels, and that no test pixel is a training pixel."""

import numpy as np
import pytest
from scipy import ndimage
from skimage import data as skimage_data
from skimage.filters import threshold_local, threshold_otsu
from skimage.morphology import closing, footprint_rectangle
from sklearn import datasets

from percept.data import realset


def test_photographs_are_the_originals():
    photographs = realset.photographs()
    assert {name: image.shape for name, image in photographs.items()} == {
        "astronaut": (512, 512, 3),
        "cat": (300, 451, 3),
        "coffee": (400, 600, 3),
        "motorcycle": (500, 741, 3),
        "rocket": (427, 640, 3),
        "temple": (427, 640, 3),
        "flower": (427, 640, 3),
    }
    assert np.array_equal(photographs["cat"], skimage_data.chelsea())
    assert np.array_equal(photographs["flower"], datasets.load_sample_image("flower.jpg"))


def test_everything_has_an_attribution():
    shown = {*realset.PHOTOGRAPHS, *realset.TEXTURES, "coins", "digits"}
    assert shown == set(realset.ATTRIBUTIONS)


@pytest.mark.parametrize(("size", "counts"), [(64, (96, 48, 48)), (128, (24, 12, 12)), (50, (150, 60, 60))])
def test_texture_crops_are_balanced(size, counts):
    for split, count in zip(realset.TEXTURE_REGIONS, counts, strict=True):
        images, labels = realset.texture_crops(size, split=split)
        assert images.shape == (count, size, size, 3)
        assert np.bincount(labels).tolist() == [count // 3] * 3


def test_texture_crops_never_share_pixels_between_splits():
    """Crops of gravel are found again in the photograph; the columns they cover belong to one split each."""
    photograph = skimage_data.gravel()
    windows = np.lib.stride_tricks.sliding_window_view(photograph[::64], 64, axis=1)[:, ::64]
    covered = {}
    for split in realset.TEXTURE_REGIONS:
        images, labels = realset.texture_crops(64, split=split)
        first_rows = images[labels == 2][:, 0, :, 0]
        hits = [np.argwhere((windows == row).all(axis=-1)) for row in first_rows]
        assert all(len(hit) == 1 for hit in hits)
        covered[split] = {tuple(hit[0]) for hit in hits}
        assert len(covered[split]) == len(first_rows)
    cells = [cell for split in covered.values() for cell in split]
    assert len(cells) == len(set(cells)) == 64


def test_seed_orders_the_crops_only():
    first, second = realset.texture_crops(seed=0)[0], realset.texture_crops(seed=1)[0]
    assert not np.array_equal(first, second)
    assert sorted(crop.tobytes() for crop in first) == sorted(crop.tobytes() for crop in second)
    assert np.array_equal(first, realset.texture_crops(seed=0)[0])


def test_wrong_arguments_name_the_choices():
    with pytest.raises(ValueError, match="train, validate, test, got 'val'"):
        realset.texture_crops(split="val")
    with pytest.raises(ValueError, match="1 to 128"):
        realset.texture_crops(size=129)
    with pytest.raises(ValueError, match="got 'all'"):
        realset.digits("all")


def test_digits_are_all_1797_once_and_in_order():
    reference = datasets.load_digits()
    parts = [realset.digits(split, size=8, paper=False) for split in realset.DIGIT_RANGES]
    assert [len(labels) for _, labels in parts] == [1097, 300, 400]
    assert np.concatenate([labels for _, labels in parts]).tolist() == reference.target.tolist()
    images = np.concatenate([images for images, _ in parts])
    assert np.array_equal(images[..., 0], np.rint(reference.images * 255 / 16))
    assert np.array_equal(images[..., 0], images[..., 2])


def test_paper_digits_are_dark_on_white():
    images, labels = realset.digits("test")
    assert images.shape == (400, 64, 64, 3)
    assert images.dtype == np.uint8
    assert np.median(images) > 200
    assert set(labels) == set(range(10))


def test_names_fit_the_classes():
    assert {lang: len(names) for lang, names in realset.DIGIT_NAMES.items()} == {"en": 10, "ja": 10}
    assert {lang: len(names) for lang, names in realset.TEXTURE_NAMES.items()} == {"en": 3, "ja": 3}
    assert realset.DIGIT_NAMES["en"][3] == "the digit 3"
    assert realset.DIGIT_NAMES["ja"][3] == "数字の3"


def test_twenty_four_coins_by_segmentation():
    image, count = realset.coins()
    gray = image[..., 0]
    local = gray > np.maximum(threshold_local(gray, 101, offset=0), 0.8 * threshold_otsu(gray))
    solid = ndimage.binary_fill_holes(closing(local, footprint_rectangle((3, 3))))
    labels, _ = ndimage.label(ndimage.binary_opening(solid, iterations=4))
    sizes = np.bincount(labels.ravel())[1:]
    # A coin's radius is 12 to 33 px; the one larger region is the bright corner of the ground.
    assert ((sizes > 500) & (sizes < 3500)).sum() == count == 24


def test_stereo_depth_follows_the_disparity():
    pair = realset.stereo()
    assert pair.left.shape == pair.right.shape == (500, 741, 3)
    known = np.isfinite(pair.disparity)
    assert np.array_equal(known, np.isfinite(pair.depth))
    assert known.mean() == pytest.approx(0.9265, abs=1e-3)
    assert 2 < pair.depth[known].min() < pair.depth[known].max() < 5.1
    row, column = np.argwhere(known)[len(pair.depth)]
    by_hand = 994.978 * 0.193001 / (float(pair.disparity[row, column]) + 31.086)
    assert pair.depth[row, column] == pytest.approx(by_hand, rel=1e-5)


def test_disparity_points_at_the_same_thing_in_both_images():
    pair = realset.stereo()
    rows, columns = np.nonzero(np.isfinite(pair.disparity))
    target = columns - np.rint(pair.disparity[rows, columns]).astype(int)
    inside = target >= 0
    left = pair.left[rows[inside], columns[inside]].astype(float)
    matched = pair.right[rows[inside], target[inside]].astype(float)
    unmatched = pair.right[rows[inside], columns[inside]].astype(float)
    assert np.abs(left - matched).mean() < 0.5 * np.abs(left - unmatched).mean()


def test_a_missing_wheel_file_says_what_to_do():
    with pytest.raises(FileNotFoundError, match="install the locked version"):
        realset._wheel_file("skimage/data/no_such_image.png")
    with pytest.raises(FileNotFoundError, match="'no_such_package' is not installed"):
        realset._wheel_file("no_such_package/a.png")

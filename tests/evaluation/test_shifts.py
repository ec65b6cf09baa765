import numpy as np
import pytest
from skimage.filters import gaussian

from percept.evaluation.shifts import accuracy_by_shift, blur


@pytest.fixture
def pictures():
    from skimage.data import astronaut
    from skimage.transform import resize

    small = resize(astronaut(), (64, 64), anti_aliasing=True)
    return np.stack([(small * 255).astype(np.uint8), (small[::-1] * 200).astype(np.uint8)])


def test_blur_keeps_shape_and_dtype_and_leaves_its_input_alone(pictures):
    before = pictures.copy()
    shifted = blur(pictures)
    assert (shifted.shape, shifted.dtype) == (pictures.shape, np.uint8)
    assert (shifted != pictures).any()
    assert (pictures == before).all()
    with pytest.raises(ValueError, match="uint8"):
        blur(pictures / 255)


def test_blur_equals_scikit_image_and_scales_with_the_height(pictures):
    theirs = gaussian(pictures[0], sigma=1.5, channel_axis=2, preserve_range=True, mode="nearest")
    assert np.abs(blur(pictures, 1.5)[0] - theirs).max() <= 1
    large = pictures.repeat(2, axis=1).repeat(2, axis=2)
    theirs = gaussian(large[0], sigma=3, channel_axis=2, preserve_range=True, mode="nearest")
    assert np.abs(blur(large, 1.5)[0] - theirs).max() <= 1


def test_table_pairs_pixel_shifts_and_leaves_other_image_sets_unpaired(pictures):
    clean = pictures.repeat(20, axis=0)
    sets = {"clean": clean, "darker": clean // 10}
    table = accuracy_by_shift(lambda images: images.mean(axis=(1, 2, 3)) > 30, sets).set_index("shift")
    assert list(table.index) == ["clean", "darker"]
    assert (table.loc["clean", "value"], table.loc["darker", "value"]) == (1, 0)
    assert table.loc["darker", ["change", "change_low", "change_high"]].tolist() == [-1, -1, -1]

    labelled = {"seen": (pictures, np.array([1, 1])), "unseen": (pictures[:1], np.array([0]))}
    table = accuracy_by_shift(lambda images, labels: labels, labelled)
    assert table["value"].tolist() == [1, 0]
    assert table["change"].isna().tolist() == [True, True]
    table = accuracy_by_shift(lambda images, labels: labels, labelled, paired=["seen"])
    assert table["change"].isna().tolist() == [False, True]

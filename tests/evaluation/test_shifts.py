import numpy as np
import pytest
from skimage.color import rgb2gray
from skimage.filters import gaussian

from percept.evaluation.shifts import (
    accuracy_by_shift,
    apply_shifts,
    blur,
    brightness,
    grayscale,
    jpeg,
    noise,
    pixel_shifts,
)


@pytest.fixture
def pictures():
    from skimage.data import astronaut
    from skimage.transform import resize

    small = resize(astronaut(), (64, 64), anti_aliasing=True)
    return np.stack([(small * 255).astype(np.uint8), (small[::-1] * 200).astype(np.uint8)])


def test_every_shift_keeps_shape_and_dtype_and_leaves_its_input_alone(pictures):
    before = pictures.copy()
    for name, shift in pixel_shifts().items():
        shifted = shift(pictures)
        assert (shifted.shape, shifted.dtype) == (pictures.shape, np.uint8), name
        assert (shifted != pictures).any(), name
        assert (shift(pictures) == shifted).all(), name
    assert (pictures == before).all()


def test_blur_equals_scikit_image_and_scales_with_the_height(pictures):
    theirs = gaussian(pictures[0], sigma=1.5, channel_axis=2, preserve_range=True, mode="nearest")
    assert np.abs(blur(pictures, 1.5)[0] - theirs).max() <= 1
    large = pictures.repeat(2, axis=1).repeat(2, axis=2)
    theirs = gaussian(large[0], sigma=3, channel_axis=2, preserve_range=True, mode="nearest")
    assert np.abs(blur(large, 1.5)[0] - theirs).max() <= 1


def test_grayscale_has_equal_channels_and_the_weights_of_bt601(pictures):
    gray = grayscale(pictures)
    assert (gray[..., 0] == gray[..., 1]).all()
    assert (gray[..., 0] == gray[..., 2]).all()
    assert grayscale(np.array([[[[0, 255, 0]]]], dtype=np.uint8))[0, 0, 0, 0] == 150
    assert np.corrcoef(gray[0, ..., 0].ravel(), rgb2gray(pictures[0]).ravel())[0, 1] > 0.99


def test_brightness_noise_and_jpeg_do_what_they_say(pictures):
    flat = np.full((1, 64, 64, 3), 200, dtype=np.uint8)
    assert (brightness(flat, 0.5) == 100).all()
    assert (brightness(flat, 2) == 255).all()
    mid = np.full((4, 64, 64, 3), 128, dtype=np.uint8)
    assert noise(mid, 20).std() == pytest.approx(20, rel=0.03)
    assert (noise(mid, 20, seed=1) != noise(mid, 20)).any()
    error = [np.abs(jpeg(pictures, q).astype(int) - pictures).mean() for q in (90, 10)]
    assert error[0] < error[1]
    with pytest.raises(ValueError, match="uint8"):
        blur(pictures / 255)


def test_table_pairs_pixel_shifts_and_leaves_other_image_sets_unpaired(pictures):
    sets = {**apply_shifts(pictures.repeat(20, axis=0), {"darker": lambda x: brightness(x, 0.1)})}
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

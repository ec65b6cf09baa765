import math

import numpy as np
import pytest
from scipy.stats import gennorm

from percept.data.distortions.apply import distort
from percept.data.natural_scene import asymmetric_gaussian, generalised_gaussian, mscn, natural_scene_statistics
from percept.data.realset import photographs
from percept.data.statistics import to_gray


def noisy(count=3, height=20, width=26, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def slow_mscn(luma):
    """Transcribed pixel by pixel from the paper, with the nearest pixel beyond the edge."""
    weights = {
        (k, m): math.exp(-(k * k + m * m) / (2 * (7 / 6) ** 2)) for k in range(-3, 4) for m in range(-3, 4)
    }  # fmt: skip
    total = sum(weights.values())
    height, width = luma.shape
    out = np.zeros(luma.shape)
    for i in range(height):
        for j in range(width):
            near = {
                (k, m): luma[min(max(i + k, 0), height - 1), min(max(j + m, 0), width - 1)] for k, m in weights
            }  # fmt: skip
            mean = sum(weights[at] * near[at] for at in weights) / total
            spread = math.sqrt(sum(weights[at] * (near[at] - mean) ** 2 for at in weights) / total)
            out[i, j] = (luma[i, j] - mean) / (spread + 1)
    return out


def slow_products(values, down, right):
    height, width = values.shape
    return np.array([
        values[i, j] * values[i + down, j + right]
        for i in range(height - down) for j in range(width) if 0 <= j + right < width
    ])  # fmt: skip


def test_coefficients_equal_a_plain_loop():
    luma = to_gray(noisy()).astype(np.float64)
    luma[2, :, :13] = 77  # one half without any contrast
    expected = np.stack([slow_mscn(each) for each in luma])
    assert np.abs(mscn(luma) - expected).max() < 1e-9
    assert np.ptp(expected) > 2


def test_the_36_numbers_are_those_of_two_scales_and_four_neighbours():
    pictures = noisy(2, 21, 27, seed=1)  # odd sides: the last row and column have no block
    rows = natural_scene_statistics(pictures)
    assert rows.shape == (2, 36)
    assert rows.dtype == np.float64
    for row, luma in zip(rows, to_gray(pictures).astype(np.float64), strict=True):
        small = np.array([[luma[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean() for j in range(13)] for i in range(10)])
        expected = []
        for scale in (luma, small):
            values = slow_mscn(scale)
            expected += generalised_gaussian(values.reshape(1, -1))[0].tolist()
            for offset in ((0, 1), (1, 0), (1, 1), (1, -1)):
                expected += asymmetric_gaussian(slow_products(values, *offset)[None])[0].tolist()
        assert row == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("shape", "width"), [(0.5, 1.0), (1.0, 3.0), (2.0, 0.2), (4.0, 10.0)])
def test_the_fit_finds_the_shape_and_variance_of_a_generalised_gaussian(shape, width):
    samples = gennorm(shape, scale=width).rvs((2, 400_000), random_state=0)
    found = generalised_gaussian(samples)
    assert found[:, 0] == pytest.approx([shape] * 2, rel=0.04)
    assert found[:, 1] == pytest.approx([gennorm(shape, scale=width).var()] * 2, rel=0.03)


@pytest.mark.parametrize(("shape", "left", "right"), [(0.6, 1.0, 2.0), (1.0, 3.0, 0.5), (2.0, 1.0, 1.0), (3.0, 2, 1)])
def test_the_fit_finds_the_sides_of_an_asymmetric_gaussian(shape, left, right):
    rng = np.random.default_rng(0)
    wide = math.sqrt(math.gamma(1 / shape) / math.gamma(3 / shape))  # of a side with deviation 1
    size = rng.gamma(1 / shape, size=400_000) ** (1 / shape) * wide
    samples = np.where(rng.random(len(size)) < left / (left + right), -left * size, right * size)
    found = asymmetric_gaussian(np.stack([samples, -samples]))
    assert found[0] == pytest.approx([shape, samples.mean(), left**2, right**2], rel=0.04, abs=0.02)
    assert found[1] == pytest.approx(found[0, [0, 1, 3, 2]] * [1, -1, 1, 1], rel=1e-12), "mirrored"


def test_one_sided_and_empty_samples_are_finite():
    one = np.abs(np.random.default_rng(0).normal(size=(1, 5000)))
    found = asymmetric_gaussian(one)[0]
    assert found[0] == pytest.approx(2, rel=0.1)
    assert found[2] == 0
    assert found[3] == pytest.approx(1, rel=0.1)
    assert asymmetric_gaussian(np.zeros((1, 9))).tolist() == [[10, 0, 0, 0]]
    assert generalised_gaussian(np.zeros((1, 9))).tolist() == [[10, 0]]


@pytest.mark.parametrize("level", [0, 1, 77, 100, 255])
def test_constant_pictures_give_finite_numbers_free_of_rounding(level):
    rows = natural_scene_statistics(np.full((2, 33, 48, 3), level, np.uint8))
    assert np.array_equal(rows, np.tile([10, 0] + [10, 0, 0, 0] * 4, (2, 2)))


def test_arrays_lists_and_chunks_give_the_same_numbers():
    pictures = noisy(5, 400, 300, seed=2)  # more than one chunk
    rows = natural_scene_statistics(pictures)
    assert np.allclose(natural_scene_statistics(list(pictures)), rows, rtol=1e-10)
    mixed = natural_scene_statistics([pictures[1], noisy(1, 16, 40)[0]])
    assert np.allclose(mixed[0], rows[1], rtol=1e-10)


def test_blur_lowers_and_noise_raises_the_local_variance_of_photographs():
    crops = [photograph[64:192, 64:192] for photograph in photographs().values()]
    blurred, plain, noise = (
        natural_scene_statistics([distort(crop, kind, 4) if kind else crop for crop in crops])[:, 1]
        for kind in ("gaussian_blur", None, "white_noise")
    )
    assert (blurred < plain).all()
    assert (plain < noise).all()


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        ([], "pictures is empty"),
        (np.zeros((0, 32, 32, 3), np.uint8), "pictures is empty"),
        (np.zeros((2, 32, 32, 3)), r"pictures must be uint8 \[N, H, W, 3\], got float64 \[2, 32, 32, 3\]"),
        (np.zeros((32, 32, 3), np.uint8), r"pictures must be uint8 \[N, H, W, 3\], got uint8 \[32, 32, 3\]"),
        (np.zeros((2, 15, 32, 3), np.uint8), "pictures must have sides of at least 16 px, got 15 x 32"),
        ([noisy()[0], noisy()[0, :, :, 0]], r"picture 1 must be uint8 \[H, W, 3\], got uint8 \[20, 26\]"),
        ([noisy()[0], "a.png"], r"picture 1 must be uint8 \[H, W, 3\], got <class 'str'>"),
    ],
)
def test_bad_pictures_are_named(pictures, message):
    with pytest.raises(ValueError, match=message):
        natural_scene_statistics(pictures)

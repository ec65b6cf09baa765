"""Pixel and texture statistics against scikit-image, NumPy and cases known by hand."""

import numpy as np
import pytest
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern

from percept.data import statistics


def gray_images():
    """Noise, near-ties, a flat image and a ramp: ties and borders are where implementations differ."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (3, 33, 41))
    ties = rng.integers(100, 103, (3, 33, 41))
    flat = np.full((1, 33, 41), 7)
    ramp = np.tile(np.arange(41) * 6, (1, 33, 1))
    return np.concatenate([noise, ties, flat, ramp]).astype(np.uint8)


def test_local_binary_patterns_equal_scikit_image():
    gray = gray_images()
    expected = np.stack([local_binary_pattern(image, 8, 1, "uniform") for image in gray])
    assert np.array_equal(statistics.local_binary_patterns(gray), expected)


@pytest.mark.parametrize("offset", statistics.OFFSETS)
def test_cooccurrence_equals_scikit_image(offset):
    levels = gray_images() // 16
    angle, distance = np.arctan2(offset[0], offset[1]), max(np.abs(offset))
    distance = distance * (np.sqrt(2) if all(offset) else 1)
    ours = statistics.cooccurrence(levels, offset)
    values = statistics.cooccurrence_statistics(levels, offset)
    for index, image in enumerate(levels):
        matrix = graycomatrix(image, [distance], [angle], levels=16, symmetric=True, normed=True)
        np.testing.assert_allclose(ours[index], matrix[:, :, 0, 0], atol=1e-12)
        names = ("contrast", "homogeneity", "energy", "correlation")
        expected = [graycoprops(matrix, name)[0, 0] for name in names]
        np.testing.assert_allclose(values[index], expected, atol=1e-9)


def test_cooccurrence_by_hand():
    levels = np.array([[[0, 0, 1], [1, 1, 1]]])
    matrix = statistics.cooccurrence(levels, (0, 1), size=2)
    # Pairs to the right: 00, 01, 11, 11; counted both ways: 00 twice, 01 and 10 once each, 11 four times.
    assert matrix.tolist() == [[[0.25, 0.125], [0.125, 0.5]]]
    with pytest.raises(ValueError, match="2 x 3 px"):
        statistics.cooccurrence(levels, (2, 0))


def test_pixel_statistics_against_numpy():
    images = np.random.default_rng(3).integers(0, 256, (4, 30, 20, 3), dtype=np.uint8)
    result = statistics.pixel_statistics(images)
    assert result.shape == (4, 54)
    assert result.dtype == np.float32
    for row, image in zip(result, images / 255, strict=True):
        np.testing.assert_allclose(row[:3], image.mean(axis=(0, 1)), rtol=1e-5)
        np.testing.assert_allclose(row[3:6], image.std(axis=(0, 1)), rtol=1e-4)
        for channel in range(3):
            shares = np.histogram(image[..., channel] * 255, bins=16, range=(0, 256))[0] / 600
            np.testing.assert_allclose(row[6 + 16 * channel : 22 + 16 * channel], shares, rtol=1e-5)


def stripes(angle, cycles=8, size=64):
    y, x = np.mgrid[:size, :size] / size
    wave = np.sin(2 * np.pi * cycles * (x * np.cos(angle) + y * np.sin(angle)))
    return np.rint(127 + 100 * wave).astype(np.uint8)


@pytest.mark.parametrize("direction", range(8))
def test_gradient_directions_find_the_stripes(direction):
    gray = stripes(direction * np.pi / 8)[None]
    shares = statistics.gradient_directions(gray)[0]
    assert shares.argmax() == direction
    assert shares[direction] > 0.5
    assert shares.sum() == pytest.approx(1)


@pytest.mark.parametrize("ring", range(1, 12))
def test_radial_power_finds_the_frequency(ring):
    cycles = 64 * (ring + 0.5) / 24  # ring r covers r/24 to (r+1)/24 cycles per pixel
    assert statistics.radial_power(stripes(0.0, cycles)[None])[0].argmax() == ring


@pytest.mark.parametrize("angle", [0.0, np.pi / 2])
def test_cut_waves_do_not_leak_into_far_rings(angle):
    """A wave that does not fit the image jumps at the border; the window takes the jump away."""
    power = statistics.radial_power(stripes(angle, cycles=8.5)[None])[0]
    assert power.argmax() == 3
    assert power[-1] < power.max() - 4.5


def test_flat_images_give_finite_statistics():
    images = np.full((2, 16, 16, 3), 200, np.uint8)
    for function in (statistics.pixel_statistics, statistics.texture_statistics):
        assert np.isfinite(function(images)).all()
    assert statistics.gradient_directions(images[..., 0]).tolist() == [[0.0] * 8] * 2


def test_texture_statistics_do_not_depend_on_the_batch(monkeypatch):
    images = np.random.default_rng(5).integers(0, 256, (7, 24, 20, 3), dtype=np.uint8)
    whole = statistics.texture_statistics(images)
    assert whole.shape == (7, 54)
    monkeypatch.setattr(statistics, "_CHUNK_PIXELS", 2 * 24 * 20)
    np.testing.assert_allclose(statistics.texture_statistics(images), whole, rtol=1e-5, atol=1e-6)
    alone = np.concatenate([statistics.texture_statistics(image[None]) for image in images])
    np.testing.assert_allclose(alone, whole, rtol=1e-5, atol=1e-6)


def test_gray_is_luma_and_keeps_gray_values():
    values = np.arange(256, dtype=np.uint8)
    same = np.repeat(values[None, :, None, None], 3, axis=3)
    assert np.array_equal(statistics.to_gray(same)[0, :, 0], values)
    red = np.zeros((1, 1, 1, 3), np.uint8)
    red[..., 0] = 255
    assert statistics.to_gray(red).item() == 76


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((2, 8, 8), np.uint8),
        np.zeros((0, 8, 8, 3), np.uint8),
        np.zeros((2, 8, 8, 1), np.uint8),
    ],
)
def test_wrong_images_are_refused(images):
    for function in (statistics.pixel_statistics, statistics.texture_statistics):
        with pytest.raises(ValueError, match=r"must be uint8 \[N, H, W, 3\]"):
            function(images)


def test_texture_needs_eight_pixels():
    with pytest.raises(ValueError, match="at least 8 px, got 7 x 9"):
        statistics.texture_statistics(np.zeros((1, 7, 9, 3), np.uint8))

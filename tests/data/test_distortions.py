"""The 25 distortions: what they promise to every picture, and each against an independent way to make it."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from scipy.interpolate import BarycentricInterpolator
from skimage import color, filters, util
from skimage.metrics import peak_signal_noise_ratio

from percept.data import distortions
from percept.data.distortions import (
    DISTORTIONS,
    KADID_CELL_MEANS,
    blur,
    colour,
    compression,
    distort,
    distort_strength,
    distortion,
    noise,
    spatial,
    tone,
)
from percept.data.realset import photographs

EVERY = pytest.mark.parametrize("row", DISTORTIONS, ids=[row.name for row in DISTORTIONS])
RANDOM = {3, 5, 11, 12, 13, 14, 15, 19, 20, 23}


@pytest.fixture(scope="module")
def crops():
    """One crop of each real photograph, uint8 [7, 96, 96, 3]."""
    return np.stack([picture[128:224, 160:256] for picture in photographs().values()])


@pytest.fixture(scope="module")
def values(crops):
    return crops[1].astype(np.float32) / 255


def plain(name, strength, picture, seed=0):
    return distort_strength(picture, name, strength, seed).astype(float) / 255


def test_the_table_holds_the_anchors_rows():
    assert [row.number for row in DISTORTIONS] == list(range(1, 26))
    assert len({row.name for row in DISTORTIONS}) == 25
    assert {row.number for row in DISTORTIONS if row.random} == RANDOM
    assert [row.number for row in DISTORTIONS if not row.monotone] == [18, 25]
    assert distortion(10).levels == (43, 36, 24, 7, 4)
    assert distortion("mean_shift").levels == (0.15, 0.08, 0, -0.08, -0.15)
    assert distortion(np.int64(25)) is distortion("contrast")
    for row in DISTORTIONS:
        steps = np.diff(np.abs(np.array(row.levels) - row.neutral))
        assert (steps > 0).all() == (row.monotone and row.number != 6), row.name  # type 6: fewer is stronger, 0 is off


def test_kadid_cell_means():
    assert KADID_CELL_MEANS.shape == (25, 5)
    assert KADID_CELL_MEANS.dtype == np.float64
    spots = {(1, 1): 4.61, (1, 5): 1.30, (5, 5): 1.86, (10, 4): 1.95, (18, 3): 4.60, (23, 1): 2.69, (25, 3): 4.29}
    assert {cell: KADID_CELL_MEANS[cell[0] - 1, cell[1] - 1] for cell in spots} == spots
    falling = (np.diff(KADID_CELL_MEANS) < 0.02).all(axis=1)
    assert [number + 1 for number in np.flatnonzero(~falling)] == [18, 25]
    with pytest.raises(ValueError, match="read-only"):
        KADID_CELL_MEANS[0, 0] = 5


@EVERY
def test_bytes_in_bytes_out_seeded_and_the_input_stays(row, crops):
    picture = crops[0].copy()
    for level in (1, 5):
        made = distort(picture, row.number, level, seed=3)
        assert made.dtype == np.uint8
        assert made.shape == picture.shape
        assert not np.shares_memory(made, picture)
        assert np.array_equal(made, distort(picture, row.name, np.int64(level), seed=3))
        assert np.array_equal(picture, crops[0])
    assert np.array_equal(made, distort(picture, row.number, 5, seed=4)) == (not row.random)
    assert not np.array_equal(made, picture)


@EVERY
def test_read_only_and_sliced_pictures_give_the_same(row, crops):
    wide = np.repeat(crops[0], 2, axis=1)
    view = wide[:, ::2]
    view.flags.writeable = False
    assert np.array_equal(distort(view, row.number, 4, 1), distort(crops[0], row.number, 4, 1))


@EVERY
def test_zero_strength_is_the_identity(row, crops):
    """Exact, but one grey level is allowed to types 4, 8, 16 and 24, which go to CIELAB and back."""
    rng = np.random.default_rng(0)
    allowed = 1 if row.number in (4, 8, 16, 24) else 0
    for picture in (*crops, rng.integers(256, size=(33, 20, 3), dtype=np.uint8)):
        change = np.abs(distort_strength(picture, row.number, row.neutral, 1).astype(int) - picture)
        assert change.max() <= allowed


@EVERY
def test_a_small_strength_is_a_small_change(row, crops):
    """The identity above is no special case: close to the neutral point little happens."""
    if row.number in (6, 10):  # here it is one, and says so: nothing but a switch leaves colours or a JPEG alone
        return
    step = {9: 0.01, 13: 1e-4, 21: 1e-4, 22: -1.0}.get(row.number, 1e-3 if row.levels[-1] > row.neutral else -1e-3)
    if row.parameter == "variance, values in 0..1":
        step = 1e-6
    near = np.stack([distort_strength(picture, row.number, row.neutral + step) for picture in crops])
    assert np.mean((near.astype(float) - crops) ** 2) < 255**2 / 10**3.5  # 35 dB


@EVERY
def test_psnr_falls_with_the_level(row, crops):
    errors = []
    for level in (1, 2, 3, 4, 5):
        made = np.stack([distort(picture, row.number, level, seed) for seed, picture in enumerate(crops)])
        errors.append(np.mean((made.astype(float) - crops) ** 2))
    psnr = 10 * np.log10(255**2 / np.maximum(errors, 1e-9))
    assert (np.diff(psnr) < 0).all() == row.monotone
    if row.number == 18:
        assert errors[2] == 0
        assert errors[0] > errors[1]
        assert errors[4] > errors[3]


@EVERY
@pytest.mark.parametrize("shape", [(16, 16), (1, 1), (5, 40)])
def test_gray_flat_and_tiny_pictures_work(row, shape):
    gray = np.repeat(np.random.default_rng(0).integers(256, size=(*shape, 1), dtype=np.uint8), 3, axis=2)
    for picture in (gray, np.zeros_like(gray), np.full_like(gray, 255)):
        for level in (1, 5):
            made = distort(picture, row.number, level)
            assert made.shape == picture.shape
            if row.number in (4, 6, 7, 8):  # colour distortions find no colour to change
                assert np.ptp(made.astype(int), axis=2).max() <= 1


def test_gaussian_blur_equals_two_passes_of_the_kernel(values):
    across, sigma = np.arange(-8, 9), 2.0
    kernel = np.exp(-(across**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    expected = values.astype(float)
    for axis in (0, 1):
        expected = ndimage.correlate1d(expected, kernel, axis=axis, mode="nearest")
    assert np.abs(blur.gaussian_blur(values, sigma) - expected).max() < 1e-5


def test_lens_and_motion_kernels():
    dot = np.zeros((41, 41, 3), np.float32)
    dot[20, 20] = 1
    disk = blur.lens_blur(dot, 6.0)[..., 0]
    assert disk.sum() == pytest.approx(1, abs=1e-5)
    assert 1 / disk.max() == pytest.approx(np.pi * 6**2, rel=0.05)
    assert np.abs(disk - disk.T).max() < 1e-6
    rng = np.random.default_rng(0)
    for length in (2.0, 6.0, 10.0):
        line = blur.motion_blur(dot, length, rng)[..., 0].astype(float)
        assert line.sum() == pytest.approx(1, abs=1e-5)
        y, x = np.mgrid[:41, :41] - 20
        spread = np.linalg.eigvalsh([[(line * a * b).sum() for a in (y, x)] for b in (y, x)])
        assert spread[1] == pytest.approx((length - 1) ** 2 / 12, abs=0.6)  # a line, blurred by half a pixel
        assert spread[0] < 0.3


def test_filters_equal_a_direct_convolution(values):
    kernel = np.array([[0, 0.5, 0], [0.5, 1, 0.5], [0, 0.5, 0]])
    kernel[[0, 0, 2, 2], [0, 2, 0, 2]] = 1.5 - np.sqrt(2)
    kernel[[0, 1, 1, 2], [1, 0, 2, 1]] = 0.5
    kernel[1, 1] = 1
    expected = ndimage.convolve(values, (kernel / kernel.sum())[..., None], mode="nearest")
    assert np.abs(blur.lens_blur(values, 1.0) - expected).max() < 1e-5


def test_colour_diffusion_blurs_and_amplifies_ab_only(values):
    lab = color.rgb2lab(values)
    for amount, sigma, gain in ((1, 3.5, 1), (3, 6.5, 3), (0.5, 1.75, 1)):
        expected = lab.copy()
        for channel in (1, 2):
            expected[..., channel] = gain * ndimage.gaussian_filter(lab[..., channel], sigma, mode="nearest")
        assert np.abs(colour.colour_diffusion(values, amount) - colour.from_lab(expected)).max() < 1e-5


def test_colour_shift_touches_green_near_edges_only():
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, 32:] = 200
    made = distort(picture, "colour_shift", 4)
    assert np.array_equal(made[..., [0, 2]], picture[..., [0, 2]])
    changed = np.flatnonzero((made[..., 1] != picture[..., 1]).any(axis=0))
    assert changed.size
    assert changed.min() >= 32 - 9
    assert changed.max() <= 32 + 9


@pytest.mark.parametrize("factor", [0.4, 0.0, 1.0])
def test_hsv_saturation_equals_the_way_through_hsv(factor, crops):
    hsv = color.rgb2hsv(crops[2])
    hsv[..., 1] *= factor
    assert np.abs(plain("saturation_hsv", factor, crops[2]) - color.hsv2rgb(hsv)).max() <= 0.51 / 255


def test_negative_saturation_turns_hues_around(crops):
    red = np.full((2, 2, 3), (200, 100, 100), np.uint8)
    assert distort_strength(red, "saturation_hsv", -0.2)[0, 0].tolist() == [200, 220, 220]


def test_lab_saturation(crops):
    lab = color.rgb2lab(crops[2]) * (1, 2, 2)
    assert np.abs(plain("saturation_lab", 2, crops[2]) - colour.from_lab(lab)).max() <= 0.6 / 255


def test_few_colours_and_few_levels(crops):
    for level, count in enumerate((64, 48, 32, 16, 8), start=1):
        made = distort(crops[0], "colour_quantisation", level)
        assert count // 2 <= len(np.unique(made.reshape(-1, 3), axis=0)) <= count
    for level, count in enumerate((20, 16, 13, 10, 7), start=1):
        made = distort(crops[0], "quantisation", level)
        assert set(np.unique(made)) <= {round(255 * k / (count - 1)) for k in range(count)}
        assert np.abs(made.astype(int) - crops[0]).max() <= 255 / (count - 1) / 2 + 1


def test_jpeg_is_pillows_jpeg(crops):
    buffer = io.BytesIO()
    Image.fromarray(crops[0]).save(buffer, "JPEG", quality=24)
    assert np.array_equal(distort(crops[0], "jpeg", 3), np.asarray(Image.open(buffer)))


@pytest.mark.parametrize("ratio", [32, 170])
def test_jpeg2000_keeps_its_rate_without_the_header(ratio):
    """Close to plain Pillow on a whole photograph."""
    whole = photographs()["astronaut"][:384]
    buffer = io.BytesIO()
    Image.fromarray(whole).save(
        buffer, "JPEG2000", quality_mode="rates", quality_layers=[ratio], irreversible=True, no_jp2=True
    )
    assert buffer.tell() == pytest.approx(whole.size / ratio, rel=0.02)
    made = distort_strength(whole, "jpeg2000", ratio)
    expected = peak_signal_noise_ratio(whole, np.asarray(Image.open(buffer)))
    assert expected <= peak_signal_noise_ratio(whole, made) + 0.01 < expected + 0.5


def test_jpeg2000_levels_differ_on_small_crops(crops):
    made = [distort(crops[0][:64, :64], "jpeg2000", level).astype(float) for level in (1, 2, 3, 4, 5)]
    errors = [np.mean((each - crops[0][:64, :64]) ** 2) for each in made]
    assert (np.diff(errors) > 1).all()  # with the header counted, levels 4 and 5 were the same and unrecognisable


def test_noise_has_its_variance_and_its_colours():
    middle = np.full((200, 200, 3), 0.5, np.float32)
    rng = np.random.default_rng(0)
    white = noise.white_noise(middle, 0.01, rng) - 0.5
    assert white.var() == pytest.approx(0.01, rel=0.03)
    assert np.abs(np.corrcoef(white.reshape(-1, 3).T) - np.eye(3)).max() < 0.02
    times = noise.multiplicative_noise(middle / 2, 0.05, rng) - 0.25
    assert times.var() == pytest.approx(0.05 * 0.25**2, rel=0.03)
    specks = (noise.colour_noise(middle, 0.003, rng) - 0.5).reshape(-1, 3).astype(float)
    luma = specks @ [0.299, 0.587, 0.114]
    assert luma.var() == pytest.approx(0.003, rel=0.04)
    for channel, scale in ((2, 1.772), (0, 1.402)):  # Cb and Cr
        assert ((specks[:, channel] - luma) / scale).var() == pytest.approx(0.003, rel=0.04)


def test_colour_noise_comes_from_ycbcr():
    luma = np.array([0.299, 0.587, 0.114])
    to_ycbcr = np.stack([luma, (np.array([0, 0, 1]) - luma) / 1.772, (np.array([1, 0, 0]) - luma) / 1.402])
    assert np.abs(noise._FROM_YCBCR @ to_ycbcr - np.eye(3)).max() < 1e-5


def test_impulse_noise_like_scikit_image():
    picture = np.full((300, 300, 3), 100, np.uint8)
    made = distort(picture, "impulse_noise", 5)
    expected = util.random_noise(picture, "s&p", amount=0.03, rng=0)
    for extreme, other in ((0, 0.0), (255, 1.0)):
        assert (made == extreme).mean() == pytest.approx((expected == other).mean(), rel=0.05)
    assert set(np.unique(made)) == {0, 100, 255}


def test_denoising_removes_noise_and_detail(crops):
    for picture in crops:
        noisy, clean = (distort(picture, name, 5, 1) for name in ("white_noise", "denoised"))
        assert peak_signal_noise_ratio(picture, clean) > peak_signal_noise_ratio(picture, noisy) + 1
        fine = [np.abs(filters.laplace(color.rgb2gray(each))).mean() for each in (picture, clean)]
        assert fine[1] < fine[0]


@pytest.mark.parametrize("amount", [0.3, -0.4, -0.2])
def test_tone_curves_pass_through_their_points(amount, values):
    spline = BarycentricInterpolator([0, 0.3, 0.7, 1], [0, 0.25 - amount / 4, 0.75 + amount / 4, 1])
    assert np.abs(tone.contrast(values, amount) - spline(values.astype(float))).max() < 1e-5
    bend = BarycentricInterpolator([0, 0.5, 1], [0, 0.5 - 0.4 / 2, 1])
    assert np.abs(tone.darken(values, 0.4) - np.clip(bend(values.astype(float)), 0, 1)).max() < 1e-5


def test_brighten_is_the_mean_of_two_curves(values):
    bend = BarycentricInterpolator([0, 0.5, 1], [0, 0.7, 1])
    lab = color.rgb2lab(values.astype(float))
    lab[..., 0] = 100 * bend(lab[..., 0] / 100)
    expected = (color.lab2rgb(lab) + bend(values.astype(float))) / 2
    assert np.abs(tone.brighten(values, 0.4) - expected).max() < 1e-4
    assert distort(np.full((2, 2, 3), 128, np.uint8), "mean_shift", 5)[0, 0].tolist() == [90, 90, 90]


def test_sharpen_is_scikit_images_unsharp_mask_of_lightness(values):
    lab = color.rgb2lab(values)
    mask = filters.unsharp_mask(lab[..., 0] / 100, radius=3, amount=2)
    expected = np.dstack([100 * mask, lab[..., 1:]])
    inside = (slice(12, -12), slice(12, -12))  # scikit-image mirrors the edge
    assert np.abs(tone.sharpen(values, 2.0) - colour.from_lab(expected))[inside].max() < 1e-3


def test_pixelate_is_two_nearest_neighbour_resizes(crops):
    for level, strength in enumerate((0.01, 0.05, 0.1, 0.2, 0.5), start=1):
        side = round(96 * (0.95 - strength**0.6))
        made = distort(crops[0], "pixelate", level)
        small = [(2 * place + 1) * side // (2 * 96) for place in range(96)]  # in whole numbers: no ties of rounding
        rows = [(2 * place + 1) * 96 // (2 * side) for place in small]
        assert np.array_equal(made, crops[0][rows][:, rows])
        resized = Image.fromarray(crops[0]).resize((side, side), Image.Resampling.NEAREST)
        resized = resized.resize((96, 96), Image.Resampling.NEAREST)
        assert (made == np.asarray(resized)).mean() > 0.9  # Pillow rounds some ties down


def test_jitter_equals_a_plain_loop():
    values = np.random.default_rng(1).random((9, 7, 3)).astype(np.float32)
    rng, expected = np.random.default_rng(5), values.astype(float)
    for _ in range(5):
        moves = 0.7 * rng.standard_normal((2, 9, 7), np.float32)
        before, expected = expected, np.empty_like(expected)
        for y, x in np.ndindex(9, 7):
            v = np.clip(y + moves[0, y, x], 0, 8)
            u = np.clip(x + moves[1, y, x], 0, 6)
            top, left = min(int(v), 7), min(int(u), 5)
            a, b = v - top, u - left
            rows = (1 - a) * before[top] + a * before[top + 1]
            expected[y, x] = (1 - b) * rows[left] + b * rows[left + 1]
    assert np.abs(spatial.jitter(values, 0.7, np.random.default_rng(5)) - expected).max() < 1e-4


def test_squares_have_kadids_size_on_kadids_pictures_and_its_share_on_crops():
    for height, width, side in ((384, 512, 32), (128, 128, 9), (16, 16, 1)):
        picture = np.full((height, width, 3), 128, np.uint8)
        one = (distort_strength(picture, "colour_blocks", 1, 2) != 128).any(axis=2)
        assert one.any(axis=0).sum() == one.any(axis=1).sum() == side
    whole = np.arange(384 * 512, dtype=np.uint32).reshape(384, 512)
    names = np.stack([whole % 256, whole // 256 % 256, whole // 65536], -1).astype(np.uint8)  # each pixel is unique
    made = distort(names, "patches", 1, 0).astype(int) @ [1, 256, 65536]
    moved = np.argwhere(made != whole)
    assert 10 * 256 < len(moved) <= 20 * 256
    away = np.column_stack(np.divmod(made[tuple(moved.T)], 512)) - moved
    assert np.hypot(*away.T).max() < 17


def test_higher_levels_keep_the_squares_of_lower_ones(crops):
    before = distort(crops[0], "patches", 1, 5) != crops[0]
    after = distort(crops[0], "patches", 2, 5) != crops[0]
    assert (after | ~before).mean() > 0.99  # a later square may restore a pixel by chance


def test_compression_takes_values_in_0_to_1(values):
    assert np.abs(compression.jpeg2000(values, 1) - values).max() < 1e-6
    assert compression.jpeg(values, 100) is values


PICTURE = np.zeros((8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((PICTURE / 255, 1, 1), "uint8 array with values 0 to 255, got float64"),
        ((PICTURE.astype(np.int64), 1, 1), "got int64"),
        ((Image.fromarray(PICTURE), 1, 1), "got Image"),
        ((PICTURE[..., 0], 1, 1), r"shape \[H, W, 3\] .*got \(8, 8\)"),
        ((np.zeros((8, 8, 4), np.uint8), 1, 1), r"got \(8, 8, 4\)"),
        ((PICTURE[None], 1, 1), r"got \(1, 8, 8, 3\)"),
        ((PICTURE[:0], 1, 1), r"got \(0, 8, 3\)"),
        ((PICTURE, 0, 1), "kind must be 1 to 25 or a name, got 0"),
        ((PICTURE, 26, 1), "kind must be 1 to 25 or a name, got 26"),
        ((PICTURE, "blur", 1), "unknown distortion 'blur'; known: gaussian_blur, "),
        ((PICTURE, 1.0, 1), r"kind must be a whole number, got 1\.0"),
        ((PICTURE, True, 1), "kind must be a whole number, got True"),
        ((PICTURE, 1, 0), "level must be 1 to 5, got 0"),
        ((PICTURE, 1, 6), "level must be 1 to 5, got 6"),
        ((PICTURE, 1, 2.5), r"level must be a whole number, got 2\.5"),
        ((PICTURE, 11, 1, -1), "seed must be 0 or more, got -1"),
        ((PICTURE, 1, 1, None), "seed must be a whole number, got None"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        distort(*arguments)


@pytest.mark.parametrize(
    ("kind", "strength", "message"),
    [
        ("jpeg", 0, r"strength of jpeg \(quality, 100 = not compressed\) must be 1 to 100, got 0"),
        ("gaussian_blur", -1, "must be 0 to inf, got -1"),
        ("white_noise", float("nan"), "got nan"),
        ("white_noise", float("inf"), "got inf"),
        ("white_noise", "strong", "got 'strong'"),
        ("colour_quantisation", 300, "must be 0 to 256"),
        ("quantisation", 1, "must be 2 to 256"),
    ],
)
def test_bad_strength_is_named(kind, strength, message):
    with pytest.raises(ValueError, match=message):
        distort_strength(PICTURE, kind, strength)


def test_names_are_public():
    assert {"distort", "distort_strength", "DISTORTIONS", "KADID_CELL_MEANS"} <= set(dir(distortions))
    with pytest.raises(AttributeError, match="no attribute 'distrot'"):
        distortions.distrot  # noqa: B018

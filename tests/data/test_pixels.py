"""Every stored pixel format against a hand-computed RGB value."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from percept.data.images import open_image, tile, tile_starts
from percept.data.pixels import PixelError, to_rgb, upright


def pixel(image, at=(0, 0)):
    return image.getpixel(at)


def saved(tmp_path, image, name, **options):
    path = tmp_path / name
    image.save(path, **options)
    return open_image(path)


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("RGB", (1, 2, 3), (1, 2, 3)),
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (100, 0, 200, 128), (177, 127, 227)),
        ("LA", (10, 255), (10, 10, 10)),
        ("LA", (0, 128), (127, 127, 127)),
        ("La", (0, 128), (127, 127, 127)),
        ("RGBa", (0, 0, 0, 0), (255, 255, 255)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("CMYK", (0, 0, 0, 255), (0, 0, 0)),
        ("YCbCr", (120, 128, 128), (120, 120, 120)),
        ("HSV", (0, 255, 255), (255, 0, 0)),
        ("I;16", 65535, (255, 255, 255)),
        ("I;16", 0x80FF, (128, 128, 128)),
        ("I", 0x12FF, (0x12, 0x12, 0x12)),
        ("F", 0.5, (128, 128, 128)),
        ("F", 200.4, (200, 200, 200)),
    ],
)
def test_one_pixel_of_each_mode(mode, value, expected):
    result = to_rgb(Image.new(mode, (1, 1), value))
    assert result.mode == "RGB"
    assert np.abs(np.subtract(pixel(result), expected)).max() <= (1 if "A" in mode or "a" in mode else 0)


def test_sixteen_bit_png_and_tiff_keep_the_high_byte(tmp_path):
    values = np.array([[0, 255, 256, 40_000, 65_535]], dtype=np.uint16)
    for name in ("a.png", "a.tif"):
        result = np.asarray(saved(tmp_path, Image.fromarray(values), name))
        assert result[0, :, 0].tolist() == [0, 0, 1, 156, 255]


def test_big_endian_sixteen_bit_is_the_same(tmp_path):
    values = np.array([[0, 256, 65_535]], dtype=">u2")
    image = Image.frombytes("I;16B", (3, 1), values.tobytes())
    assert np.asarray(saved(tmp_path, image, "b.tif"))[0, :, 1].tolist() == [0, 1, 255]


def test_twelve_bit_camera(tmp_path):
    path = tmp_path / "camera.png"
    Image.fromarray(np.array([[0, 16, 2048, 4095]], dtype=np.uint16)).save(path)
    assert np.asarray(open_image(path, bits=12))[0, :, 0].tolist() == [0, 1, 128, 255]
    assert np.asarray(open_image(path))[0, :, 0].tolist() == [0, 0, 8, 15]
    with pytest.raises(ValueError, match="bits must be 8 to 16, got 17"):
        open_image(path, bits=17)


def test_wide_integers_and_floats_are_stretched_to_their_own_range():
    wide = Image.fromarray(np.array([[-100, 0, 100_000]], dtype=np.int32))
    assert np.asarray(to_rgb(wide))[0, :, 0].tolist() == [0, 0, 255]
    signed = Image.fromarray(np.array([[-1.0, 0.0, 1.0]], dtype=np.float32))
    assert np.asarray(to_rgb(signed))[0, :, 0].tolist() == [0, 128, 255]


def test_palette_with_transparency(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    assert pixel(saved(tmp_path, image, "opaque.png")) == (255, 0, 0)
    for name in ("clear.png", "clear.gif"):
        result = saved(tmp_path, image, name, transparency=0)
        assert [pixel(result, (0, 0)), pixel(result, (1, 0))] == [(255, 255, 255), (0, 0, 255)]


def test_colour_key_transparency(tmp_path):
    image = Image.new("RGB", (2, 1), (9, 9, 9))
    image.putpixel((1, 0), (8, 8, 8))
    result = saved(tmp_path, image, "key.png", transparency=(9, 9, 9))
    assert [pixel(result, (0, 0)), pixel(result, (1, 0))] == [(255, 255, 255), (8, 8, 8)]


def test_adobe_cmyk_jpeg_is_not_inverted(tmp_path):
    path = tmp_path / "print.jpg"
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(path, quality=95)
    stored = path.read_bytes()
    assert b"Adobe" in stored
    assert np.abs(np.subtract(pixel(open_image(path)), (255, 0, 0))).max() <= 2


def test_cmyk_jpeg_without_the_adobe_marker_is_read_the_same_way(tmp_path):
    buffer = io.BytesIO()
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(buffer, "JPEG", quality=95)
    raw = buffer.getvalue()
    start = raw.index(b"\xff\xee")
    length = int.from_bytes(raw[start + 2 : start + 4], "big")
    path = tmp_path / "plain.jpg"
    path.write_bytes(raw[:start] + raw[start + 2 + length :])
    assert np.abs(np.subtract(pixel(open_image(path)), (255, 0, 0))).max() <= 2


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_rotation(turn, tmp_path):
    """Stored pixels are the inverse of the turn, so that every file shows the same scene."""
    scene = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6) * 10).convert("RGB")
    inverse = {6: 8, 8: 6}.get(turn, turn)
    exif = Image.Exif()
    exif[0x0112] = turn
    for name in ("a.png", "a.tif", "a.webp"):
        options = {"lossless": True} if name.endswith("webp") else {}
        result = saved(tmp_path, upright(scene, inverse), name, exif=exif.tobytes(), **options)
        assert result.size == (6, 4)
        assert np.array_equal(np.asarray(result), np.asarray(scene)), name


def test_damaged_exif_does_not_lose_the_picture(tmp_path):
    image = Image.new("RGB", (16, 16), (200, 10, 10))
    result = saved(tmp_path, image, "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff", quality=95)
    assert np.abs(np.subtract(pixel(result), (200, 10, 10))).max() <= 3


def test_unsupported_mode_says_so():
    with pytest.raises(PixelError, match="colour mode LAB"):
        to_rgb(Image.new("LAB", (1, 1)))


def test_metadata_and_profile_are_dropped_and_not_applied(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010E] = "somebody's kitchen"
    result = saved(tmp_path, Image.new("RGB", (2, 2), (5, 6, 7)), "a.png", icc_profile=profile, exif=exif)
    assert result.info == {}
    assert not dict(result.getexif())
    assert pixel(result) == (5, 6, 7)


def test_tile_starts_cover_the_side_and_end_at_the_edge():
    for length in (1, 5, 64, 65, 250):
        for size, stride in ((5, 5), (64, 64), (64, 32), (7, 3)):
            starts = tile_starts(length, size, stride)
            covered = {p for start in starts for p in range(start, start + size)}
            assert covered >= set(range(length))
            assert starts == sorted(set(starts))
            assert starts[-1] == max(length - size, 0)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        tile_starts(10, 0, 1)


def test_tiles_are_native_pixels_row_by_row():
    pixels = np.random.default_rng(0).integers(0, 256, (70, 130, 3), dtype=np.uint8)
    tiles = tile(Image.fromarray(pixels), 64)
    assert len(tiles) == 2 * 3
    assert np.array_equal(np.asarray(tiles[1]), pixels[:64, 64:128])
    assert np.array_equal(np.asarray(tiles[5]), pixels[6:70, 66:130])


def test_a_small_image_is_filled_by_mirroring():
    pixels = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    (only,) = tile(Image.fromarray(pixels), 4)
    expected = pixels[:, [0, 1, 1, 0]].repeat(4, axis=0)
    assert np.array_equal(np.asarray(only), expected)

"""Rules that turn any stored pixel format into 8-bit RGB.

Every rule depends on the stored values alone, so the same bytes give the same RGB on every machine. Embedded
colour profiles are not applied: the result would depend on the version of the colour engine.
"""

from __future__ import annotations

import numpy as np
from PIL import ExifTags, Image

SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PixelError(ValueError):
    """Pixels for which there is no rule; the message completes "<file>: ..."."""


def check_bits(bits: int) -> None:
    """Refuse a number of significant bits outside 8 to 16."""
    if not 8 <= bits <= 16:
        raise ValueError(f"bits must be 8 to 16, got {bits}")


def to_rgb(image: Image.Image, bits: int = 16) -> Image.Image:
    """Convert a decoded image of any mode to 8-bit RGB.

    - 1-bit, 8-bit gray, palette and YCbCr: the plain conversion.
    - Transparency (RGBA, LA, palette or colour-key): composited on white.
    - CMYK: `R = (255 - C)(255 - K) / 255`; in a JPEG Adobe's inverted storage is assumed.
    - 16-bit gray: the high byte, as Pillow does for 16-bit colour; `bits=12` keeps the top 8 of 12 bits.
    - 32-bit integers: as 16-bit when all values fit 0..65535, otherwise their own range stretched to 0..255.
    - Floats: times 255 when all values lie in 0..1, unchanged when they lie in 0..255, otherwise stretched.

    Args:
        image: decoded image, any Pillow mode.
        bits: significant bits of a 16-bit gray image, 8 to 16.

    Returns:
        A new RGB image without metadata.

    Raises:
        PixelError: the mode has no rule, or a float image holds NaN or infinity.

    >>> to_rgb(Image.new("LA", (1, 1), (0, 0))).getpixel((0, 0))
    (255, 255, 255)
    """
    if image.mode in SIXTEEN_BIT or image.mode in ("I", "F"):
        gray = _float_to_bytes(image) if image.mode == "F" else _integers_to_bytes(np.asarray(image), bits)
        rgb = Image.fromarray(gray).convert("RGB")
    elif image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        straight = {"La": "LA"}.get(image.mode, "RGBA")
        layer = image.convert(straight).convert("RGBA")
        rgb = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    elif image.mode in ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV"):
        rgb = image.convert("RGB")
    else:
        raise PixelError(f"has colour mode {image.mode}, which is not supported; save it as RGB")
    rgb.info = {}
    return rgb


def _integers_to_bytes(values: np.ndarray, bits: int) -> np.ndarray:
    check_bits(bits)
    if values.min() < 0 or values.max() > 65535:
        return _stretch(values.astype(np.float64))
    return np.minimum(values >> (bits - 8), 255).astype(np.uint8)


def _float_to_bytes(image: Image.Image) -> np.ndarray:
    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise PixelError("holds NaN or infinite values; replace them before use")
    low, high = values.min(), values.max()
    if low < 0 or high > 255:
        return _stretch(values)
    return np.rint(values * (255 if high <= 1 else 1)).astype(np.uint8)


def _stretch(values: np.ndarray) -> np.ndarray:
    low, high = values.min(), values.max()
    return np.rint((values - low) * (255 / max(high - low, 1e-30))).astype(np.uint8)


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; a damaged EXIF block counts as 1, since the pixels are still good."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # parsers of damaged metadata raise whatever they trip over
        return 1
    return value if value in _TURNS else 1


def upright(image: Image.Image, turn: int) -> Image.Image:
    """Rotate or flip the stored pixels so that the scene is upright.

    >>> upright(Image.new("RGB", (3, 1)), 6).size
    (1, 3)
    """
    return image.transpose(_TURNS[turn]) if turn in _TURNS else image


def tile_starts(length: int, size: int, stride: int) -> list[int]:
    """First pixel of each tile along one side; the last tile ends at the edge.

    >>> tile_starts(250, 64, 64)
    [0, 64, 128, 186]
    """
    if size < 1 or stride < 1:
        raise ValueError(f"tile size and stride must be at least 1, got {size} and {stride}")
    last = max(length - size, 0)
    return [*range(0, last, stride), last]


def tile(image: Image.Image, size: int, stride: int | None = None) -> list[Image.Image]:
    """Cut an image into square tiles at native resolution, row by row, covering every pixel.

    The last row and column are shifted back to end at the edge (they overlap their neighbours). A side
    shorter than `size` is filled up by mirroring.

    Args:
        image: any size.
        size: side of a tile in pixels.
        stride: step between tiles; default `size`.

    Returns:
        Tiles of `size` x `size` pixels.
    """
    stride = size if stride is None else stride
    rows, columns = (tile_starts(length, size, stride) for length in (image.height, image.width))
    missing = max(size - image.height, 0), max(size - image.width, 0)
    if any(missing):
        pixels = np.asarray(image)
        widths = [(0, missing[0]), (0, missing[1])] + [(0, 0)] * (pixels.ndim - 2)
        image = Image.fromarray(np.pad(pixels, widths, mode="symmetric"))
    return [image.crop((x, y, x + size, y + size)) for y in rows for x in columns]

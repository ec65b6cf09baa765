"""Opening one image file: every failure names the file and says what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from percept.data.pixels import PixelError, check_bits, orientation, to_rgb, upright

# EPS and the like run an interpreter or a foreign program, so only plain raster formats are ever tried.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "AVIF")
MAX_PIXELS = 80_000_000
_OTHER_KINDS = {
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"<svg": "an SVG drawing",
    b"<?xml": "an XML file",
    b"%pdf": "a PDF",
    b"%!ps": "a PostScript file",
    b"pk\x03\x04": "a zip archive",
}


class ImageError(ValueError):
    """A file or folder of images that cannot be used; has `.path` and `.reason`."""

    def __init__(self, path: str | Path, reason: str) -> None:
        self.path, self.reason = Path(path), reason
        super().__init__(f"{path}: {reason}")


def open_image(path: str | Path, *, max_pixels: int = MAX_PIXELS, bits: int = 16) -> Image.Image:
    """Open any image file as upright 8-bit RGB.

    JPEG, PNG, WebP, TIFF, GIF, BMP, PNM, AVIF; of several frames or pages the first. EXIF rotation is
    applied, metadata is dropped, transparency goes on white; `percept.data.pixels.to_rgb` states every rule.
    The content decides the format, not the suffix. Dimensions are checked before any pixel is decoded, and no
    file handle stays open. A JPEG whose data are damaged inside but complete decodes without complaint.

    Args:
        path: image file; any Unicode name.
        max_pixels: larger images are refused (decompression bombs); Pillow itself refuses above 178,956,970.
        bits: significant bits of 16-bit gray images (12 for a 12-bit camera).

    Returns:
        RGB image without metadata.

    Raises:
        ImageError: names the file and says why.
    """
    check_bits(bits)
    with header(Path(path), max_pixels) as image:
        try:
            image.load()
            return upright(to_rgb(image, bits), orientation(image))
        except Exception as error:  # decoders raise anything from struct.error to MemoryError
            raise ImageError(path, decoding_reason(error)) from error


@contextmanager
def header(path: Path, max_pixels: int) -> Iterator[Image.Image]:
    """Image with its header read and its size checked, no pixel decoded; closed on exit."""
    _require_file(path)
    try:
        file = path.open("rb")
    except OSError as error:
        raise ImageError(path, f"cannot be read ({error.strerror}); check its permissions") from error
    with file:
        start = file.read(512)
        file.seek(0)
        try:
            image = Image.open(file, formats=FORMATS)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ImageError(path, "far too many pixels (decompression bomb?); cut it into tiles") from error
        except Exception as error:
            raise ImageError(path, _not_an_image(start)) from error
        with image:
            pixels = image.width * image.height
            if pixels > max_pixels:
                size = f"{image.width} x {image.height} = {pixels:,} pixels"
                raise ImageError(path, f"{size}, more than max_pixels={max_pixels:,}; cut it into tiles")
            yield image


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise ImageError(path, "is a folder, not an image file; use scan_folder")
    if not path.exists():
        raise ImageError(path, "broken link" if path.is_symlink() else "no such file")
    if not path.is_file():
        raise ImageError(path, "is not a regular file")
    if path.stat().st_size == 0:
        raise ImageError(path, "is empty (0 bytes); copy it again")


def decoding_reason(error: Exception) -> str:
    """What to tell the user about an error that a decoder raised."""
    text = str(error)
    if isinstance(error, PixelError):
        return text
    if isinstance(error, MemoryError):
        return "does not fit into memory; cut it into tiles"
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return "is truncated; copy it again"
    return f"cannot be decoded ({text or type(error).__name__}); copy it again or save it as PNG"


def _not_an_image(start: bytes) -> str:
    text = start.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if text.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the image; run 'git lfs pull'"
    if start[4:8] == b"ftyp" and start[8:11] in (b"hei", b"hev", b"mif"):
        return "is a HEIC photo, which is not supported; export it as JPEG or PNG"
    kinds = {b"<!doctype": "a web page", b"<html": "a web page", b"<svg": "an SVG drawing"}
    kinds |= {b"<?xml": "an XML file", b"%pdf": "a PDF", b"%!ps": "a PostScript file", b"pk\x03\x04": "a zip archive"}
    for head, kind in kinds.items():
        if text.startswith(head):
            return f"is {kind}, not an image; replace it or save it as PNG"
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "is a damaged TIFF or a kind that is not supported; save it as 8-bit RGB or PNG"
    known = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"RIFF")
    if start.startswith(known):
        return "is damaged or truncated near its beginning; copy it again"
    return "is not an image; remove it or replace it"


def load_images(paths: Iterable[str | Path], *, max_pixels: int = MAX_PIXELS, bits: int = 16) -> list[Image.Image]:
    """Open several images as RGB, in order; the first bad one raises `ImageError`."""
    return [open_image(path, max_pixels=max_pixels, bits=bits) for path in paths]

"""Finding and verifying the images of a folder: problems are reported in a table, good files go on."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from percept.data.opening import MAX_PIXELS, ImageError, decoding_reason, header
from percept.data.pixels import SIXTEEN_BIT, check_bits, to_rgb

_PHOTO = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".avif")
SUFFIXES = (*_PHOTO, ".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".pbm", ".pnm")
# Pictures a person would count as images: reported as problems instead of being skipped in silence.
_RAW = (".dng", ".cr2", ".nef", ".arw", ".raw")
UNSUPPORTED = (*_RAW, ".heic", ".heif", ".jp2", ".psd", ".svg", ".eps", ".pdf")


@dataclass
class Scan:
    """What a folder holds.

    Attributes:
        folder: the folder scanned.
        paths: good images, sorted by their path inside the folder.
        problems: (path, reason) of images that cannot be used.
        notes: (path, remark) of good images with something to know: first frame used, extreme shape, 16 bit.
        ignored: files that are no images by their suffix.
    """

    folder: Path
    paths: list[Path] = field(default_factory=list)
    problems: list[tuple[Path, str]] = field(default_factory=list)
    notes: list[tuple[Path, str]] = field(default_factory=list)
    ignored: list[Path] = field(default_factory=list)

    def table(self, *, notes: bool = False) -> pd.DataFrame:
        """Problems as a table with columns file and reason; with `notes`, the notes instead."""
        rows = self.notes if notes else self.problems
        return pd.DataFrame([(inside(p, self.folder), r) for p, r in rows], columns=["file", "reason"])


def inside(path: Path, folder: Path) -> str:
    """Path of a file inside its folder, with `/` on every system."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


def scan_folder(
    folder: str | Path,
    *,
    strict: bool = False,
    decode: bool = True,
    threads: int | None = None,
    max_pixels: int = MAX_PIXELS,
    bits: int = 16,
) -> Scan:
    """Find and verify every image below a folder.

    A file is an image by its suffix, in any case: one that does not decode is a problem. Known picture
    formats that are not supported (HEIC, raw, PDF, ...) are problems too. Everything else (`labels.csv`,
    `Thumbs.db`) is listed in `ignored`. Names that begin with a dot and `__MACOSX` are skipped, links to
    folders are not followed.

    Args:
        folder: searched with its subfolders.
        strict: raise at the first bad file instead of going on.
        decode: decode every image fully; otherwise only read the headers (fast, misses truncated files).
        threads: decoding threads; default: processors, at most 8.
        max_pixels: as in `open_image`.
        bits: as in `open_image`.

    Returns:
        Good images, problems, notes and ignored files.

    Raises:
        ImageError: the folder is missing; with `strict`, the first problem.
    """
    check_bits(bits)
    folder = Path(folder)
    scan, images = _by_suffix(folder)
    if strict and scan.problems:
        raise ImageError(*scan.problems[0])
    with ThreadPoolExecutor(threads or min(8, os.cpu_count() or 1)) as pool:
        verdicts = pool.map(lambda path: _examine(path, decode, max_pixels, bits), images)
        for path, (problem, note) in zip(images, verdicts, strict=True):
            if problem and strict:
                pool.shutdown(wait=False, cancel_futures=True)
                raise ImageError(path, problem)
            if problem:
                scan.problems.append((path, problem))
            else:
                scan.paths.append(path)
                scan.notes.extend([(path, note)] if note else [])
    scan.problems.sort(key=lambda entry: inside(entry[0], folder))
    return scan


def _by_suffix(folder: Path) -> tuple[Scan, list[Path]]:
    """What the names alone decide, and the images still to be examined."""
    scan, images = Scan(folder), []
    for path, trouble in _walk(folder):
        suffix = path.suffix.lower()
        if trouble or suffix in UNSUPPORTED:
            scan.problems.append((path, trouble or f"{suffix} is not supported; save it as JPEG or PNG"))
        elif suffix in SUFFIXES:
            images.append(path)
        else:
            scan.ignored.append(path)
    return scan, images


def _walk(folder: Path) -> list[tuple[Path, str]]:
    if not folder.is_dir():
        raise ImageError(folder, "is a file, not a folder" if folder.exists() else "no such folder")
    found: list[tuple[Path, str]] = []

    def blocked(error: OSError) -> None:
        found.append((Path(error.filename), f"folder cannot be read ({error.strerror}); check its permissions"))

    for root, folders, files in os.walk(folder, onerror=blocked):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        found.extend((Path(root) / name, "") for name in files if not name.startswith("."))
    return sorted(found, key=lambda entry: inside(entry[0], folder))


def _examine(path: Path, decode: bool, max_pixels: int, bits: int) -> tuple[str, str]:
    """Problem and note of one file, each empty when there is none."""
    try:
        with header(path, max_pixels) as image:
            if decode:
                try:
                    image.load()
                    to_rgb(image, bits)
                except Exception as error:  # as in open_image
                    return decoding_reason(error), ""
            return "", "; ".join(_remarks(image, decode))
    except ImageError as error:
        return error.reason, ""


def _remarks(image: Image.Image, decoded: bool) -> list[str]:
    remarks = []
    short, long = sorted(image.size)
    if short < 8 or long > 20 * short:
        remarks.append(f"extreme shape, {image.width} x {image.height} pixels")
    if decoded and image.mode in SIXTEEN_BIT and (top := int(np.asarray(image).max())) < 2**15:
        bits = max(8, top.bit_length())
        remarks.append(f"16-bit gray with values up to {top} only: dark unless bits={bits} is passed")
    try:
        frames = getattr(image, "n_frames", 1)
    except Exception:  # later frames may be damaged; only the first is used
        frames = 1
    if frames > 1 and image.format != "MPO":  # phones and cameras add a preview to nearly every photo
        remarks.append(f"{frames} frames or pages, the first is used")
    return remarks

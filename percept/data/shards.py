"""Webdataset shards with random access: tar files of `name.jpg` + `name.txt` (or `.json` with a caption).

A stream cannot be resumed exactly; an index of where each image lies in its tar can. The index is built once,
by reading the headers, and images are then read by position. Nothing is unpacked and no pickle is read.
"""

from __future__ import annotations

import glob
import json
import tarfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from percept.data.images import ImageError
from percept.data.opening import FORMATS, MAX_PIXELS, decoding_reason
from percept.data.pairs import OpenedPairs, PairsError, Problem
from percept.data.pixels import orientation, to_rgb, upright

_IMAGES = ("jpg", "jpeg", "png", "webp")


class Member(NamedTuple):
    """Where an image lies: the bytes `start` ... `start + size` of a tar file."""

    shard: Path
    name: str
    start: int
    size: int

    def __str__(self) -> str:
        return f"{self.shard} member {self.name}"


def read_webdataset(
    shards: str | Path | Sequence[str | Path],
    *,
    caption_key: str = "caption",
    strict: bool = False,
    decode: bool = True,
) -> OpenedPairs:
    """Index local webdataset shards.

    Args:
        shards: a folder of `.tar` files, a pattern such as `data/*.tar`, one file, or a list of files.
        caption_key: field of the `.json` members that holds the caption (or a list of them). A `.txt` member,
            with one caption per line, is used in addition.
        strict: the first sample without image or caption, or bad image, raises.
        decode: open each image once now; without it a bad image raises when a batch needs it.

    Returns:
        The pairs, in the order of shards and members; `problems` tells what was left out.

    Raises:
        PairsError: No shard found, a shard is compressed or damaged, or nothing is usable.
    """
    sources: list[Member] = []
    captions: list[list[str]] = []
    problems: list[Problem] = []
    for path in _paths(shards):
        for name, image, texts in _samples(path, caption_key):
            if image is None or not texts:
                problems.append((f"{path} sample {name}", "has no caption" if image else "has no image"))
            else:
                sources.append(image)
                captions.append(texts)
    if problems and strict:
        raise PairsError(f"{problems[0][0]} {problems[0][1]} ({len(problems)} problems)")
    if not sources:
        raise PairsError(f"{shards}: no sample has an image ({', '.join(_IMAGES)}) and a caption (txt or json)")
    pairs = OpenedPairs(sources, captions, open_member, problems)
    return pairs.without_bad_images(strict=strict) if decode else pairs


def open_member(member: Member) -> Image.Image:
    """Open one image of a shard as upright RGB, by the rules of `percept.data.images.open_image`.

    Raises:
        ImageError: names the shard and the member, and says why.
    """
    with member.shard.open("rb") as stream:
        stream.seek(member.start)
        content = stream.read(member.size)
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(str(member), f"{image.width} x {image.height} is more than {MAX_PIXELS:,} pixels")
            image.load()
            return upright(to_rgb(image, 16), orientation(image))
    except ImageError:
        raise
    except Exception as error:  # decoders raise anything from struct.error to MemoryError
        raise ImageError(str(member), decoding_reason(error)) from error


def _paths(shards: str | Path | Sequence[str | Path]) -> list[Path]:
    if not isinstance(shards, str | Path):
        found = [Path(shard) for shard in shards]
    elif Path(shards).is_dir():
        found = sorted(Path(shards).glob("*.tar"))
    else:
        found = sorted(Path(name) for name in glob.glob(str(shards)))
    absent = [path for path in found if not path.is_file()]
    if absent or not found:
        raise PairsError(f"no shard at {absent[0] if absent else shards}; shards are local .tar files")
    return found


def _samples(path: Path, caption_key: str) -> list[tuple[str, Member | None, list[str]]]:
    """Members that share a name up to the first dot after the folder, in the order of the tar."""
    images: dict[str, Member | None] = {}
    texts: dict[str, list[str]] = {}
    try:
        # "r:" refuses compressed tars, in which a member has no position.
        with tarfile.open(path, "r:") as tar:
            for entry in tar:
                folder, _, last = entry.name.rpartition("/")
                stem, _, suffix = last.partition(".")
                name, suffix = f"{folder}/{stem}" if folder else stem, suffix.lower()
                if not entry.isfile() or suffix not in (*_IMAGES, "txt", "json"):
                    continue
                images.setdefault(name, None)
                if suffix in _IMAGES:
                    images[name] = Member(path, entry.name, entry.offset_data, entry.size)
                else:
                    stream = tar.extractfile(entry)
                    assert stream is not None
                    found = _texts(stream.read(), suffix, caption_key, f"{path} member {entry.name}")
                    texts.setdefault(name, []).extend(found)
    except tarfile.TarError as error:
        raise PairsError(f"{path} is not a plain tar file ({error}); unpack .tar.gz shards to .tar") from error
    return [(name, image, texts.get(name, [])) for name, image in images.items()]


def _texts(content: bytes, suffix: str, caption_key: str, where: str) -> list[str]:
    try:
        text = content.decode("utf-8")
        if suffix == "txt":
            return [line.strip() for line in text.splitlines() if line.strip()]
        value = json.loads(text).get(caption_key)
    except (UnicodeDecodeError, json.JSONDecodeError, AttributeError) as error:
        raise PairsError(f"{where} is not readable as {suffix} ({error})") from error
    found = value if isinstance(value, list) else [value]
    return [each.strip() for each in found if isinstance(each, str) and each.strip()]

"""Regions of a user's own pictures, in the published form of region records (X-VLM, Zeng et al. 2022).

A record is `{"image": "a.jpg", "caption": "...", "elems": [{"caption": "...", "bb": [x, y, w, h]}]}` with boxes in px
of the upright picture. The `caption` of the picture and `attributes` of an elem, which go before its caption, are
optional; texts may be lists. A file holds a JSON list of records, or one record per line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from percept.data.opening import MAX_PIXELS, ImageError, header, load_images
from percept.data.pixels import orientation
from percept.data.regions import Phrase, Region, Regions, RegionsError, draw_regions

_LEAST = 0.5  # of a box that must be left inside the square that encoders read (X-VLM)
_TURNED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height


class RegionRecords:
    """Pictures with captions and regions as a source (`percept.data.regions`); the centre square of each is shown.

    That is what encoders read of a picture that is not square. Make one with `read_regions`.

    Attributes:
        paths: the pictures.
        notes: what was left out and why.
    """

    def __init__(
        self, paths: Sequence[Path], captions: Sequence[Sequence[str]], found: Sequence[Sequence[Region]],
        notes: Sequence[str] = (), identity: str = "",
    ) -> None:  # fmt: skip
        self.paths, self.notes, self.identity = list(paths), list(notes), identity
        self._captions, self._regions = list(captions), list(found)
        self.caption_rows = np.flatnonzero([bool(each) for each in self._captions])
        self.region_rows = np.flatnonzero([bool(each) for each in self._regions])

    def __len__(self) -> int:
        return len(self.paths)

    def pictures(self, rows: np.ndarray) -> list[Image.Image]:
        """B square RGB images."""
        return [_square(image) for image in load_images(self.paths[row] for row in rows.tolist())]

    def captions(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[list[Image.Image], list[str]]:
        """Pictures of `caption_rows` and one of the captions of each."""
        options = [self._captions[row] for row in rows.tolist()]
        return self.pictures(rows), [each[int(rng.integers(len(each)))] for each in options]

    def false_captions(self, rows: np.ndarray, texts: Sequence[str], rng: np.random.Generator) -> list[str | None]:
        """Not known: what else is in a picture is not written down, so no edit is sure to be false.

        Raises:
            RegionsError: always.
        """
        raise RegionsError("hard-negative captions need the whole truth of a picture; use hard_captions=False")

    def regions(self, rows: np.ndarray, kind: str, per_picture: int, rng: np.random.Generator) -> Regions:
        """As `percept.data.regions.SceneRegions.regions`; descriptions have their attributes before them."""
        found = [self._regions[row] for row in rows.tolist()]
        return draw_regions(self.pictures(rows), found, kind, per_picture, rng)


def read_regions(path: str | Path, images: str | Path | None = None) -> RegionRecords:
    """Read region records.

    Boxes are cut to the centre square of their picture; one of which less than half is inside is left out and noted.

    Args:
        path: `.json`, a list of records, or `.jsonl`, one record per line.
        images: folder that image paths start from; the file's folder when None.

    Raises:
        RegionsError: A file that is not of this form, or a picture that cannot be opened; names file and record.
    """
    path = Path(path)
    root = Path(images) if images else path.parent
    paths, captions, found, notes = [], [], [], []
    for number, record in enumerate(_records(path), start=1):
        where = f"{path} record {number}"
        if not isinstance(record, dict) or not isinstance(record.get("image"), str):
            raise RegionsError(f'{where} has no "image"; give the path of the picture inside {root}')
        elems = record.get("elems", [])
        if not isinstance(elems, list) or not (elems or record.get("caption")):
            raise RegionsError(f'{where} needs a list "elems" of regions, or a "caption" of the picture')
        paths.append(root / record["image"])
        width, height = _size(paths[-1], where)
        captions.append(_texts(record["caption"], where) if record.get("caption") else [])
        regions = [_region(elem, width, height, f"{where} region {index}") for index, elem in enumerate(elems, start=1)]
        found.append([region for region in regions if region is not None])
        notes += [
            f"{where} region {index}: less than half of it is inside the centre square of {record['image']}"
            for index, region in enumerate(regions, start=1) if region is None
        ]  # fmt: skip
    if not paths:
        raise RegionsError(f"{path} holds no records")
    return RegionRecords(paths, captions, found, notes, f"records {hashlib.sha256(path.read_bytes()).hexdigest()}")


def _records(path: Path) -> list[Any]:
    if not path.is_file():
        raise RegionsError(f"{path}: no such file; name the .json or .jsonl file of region records")
    text = path.read_text(encoding="utf-8-sig")
    try:
        content = json.loads(text) if path.suffix.lower() == ".json" else None
    except json.JSONDecodeError as error:
        raise RegionsError(f"{path} is not JSON ({error}); one record per line needs the suffix .jsonl") from error
    if content is not None:
        if not isinstance(content, list):
            raise RegionsError(f"{path} holds one {type(content).__name__}, not a list of records")
        return content
    records = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            records += [json.loads(line)] if line.strip() else []
        except json.JSONDecodeError as error:
            raise RegionsError(f"{path} line {number} is not JSON ({error})") from error
    return records


def _region(elem: Any, width: int, height: int, where: str) -> Region | None:
    """A region inside the centre square, or None if too little of it is."""
    box = elem.get("bb") if isinstance(elem, dict) else None
    if not isinstance(box, list) or len(box) != 4 or not all(_number(value) for value in box):
        raise RegionsError(f'{where} needs "bb": [x, y, width, height] in px, got {box!r}')
    x, y, wide, tall = map(float, box)
    if min(wide, tall) <= 0 or x >= width or y >= height or x + wide <= 0 or y + tall <= 0:
        raise RegionsError(f"{where}: box {box} has no area inside the picture of {width} x {height} px")
    texts = _texts(elem.get("caption"), where)
    attributes = _texts(elem["attributes"], where) if elem.get("attributes") else []
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    ends = ((x - left, x + wide - left), (y - top, y + tall - top))
    (x0, x1), (y0, y1) = ((min(max(low, 0), side), min(max(high, 0), side)) for low, high in ends)
    if (x1 - x0) * (y1 - y0) < _LEAST * wide * tall:
        return None
    inside = ((x0 + x1) / 2 / side, (y0 + y1) / 2 / side, (x1 - x0) / side, (y1 - y0) / side)
    phrases = tuple(Phrase(" ".join([*attributes, text]), inside) for text in texts)
    return Region(inside, texts[0], phrases)


def _texts(value: Any, where: str) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise RegionsError(f"{where} needs a text, or a list of texts that are not empty, got {value!r}")
    return [text.strip() for text in texts]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _size(path: Path, where: str) -> tuple[int, int]:
    try:
        with header(path, MAX_PIXELS) as image:
            return image.size[::-1] if orientation(image) in _TURNED else image.size
    except ImageError as error:
        raise RegionsError(f"{where}: picture {error}") from error


def _square(image: Image.Image) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))

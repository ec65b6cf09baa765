"""ARO on Visual Genome: a region, its true caption, and one with relation or attributes exchanged.

Source: Yuksekgonul et al., When and Why Vision-Language Models Behave like Bags-of-Words, and What to Do About It
(2023).
"""

from __future__ import annotations

import io
import math
from collections import Counter
from pathlib import Path
from typing import Any

from percept.data.opening import open_image
from percept.data.probe_set import ProbeError, ProbeSet
from percept.data.published_probes.files import (
    Entry,
    Key,
    about_probes,
    first_asked,
    need_pictures,
    number,
    number_rows,
    place,
    read_entries,
    same_note,
    size_note,
)
from percept.storage import write_atomic

BOX = ("bbox_x", "bbox_y", "bbox_w", "bbox_h")
Box = tuple[int, int, int, int]


def read_aro_relation(
    folder: str | Path, crops: str | Path | None = None, images: str | Path | None = None
) -> ProbeSet:
    """Read VG-Relation: `visual_genome_relation.json`, a list with image_path, bbox_x/y/w/h, captions, relation_name.

    A picture is what its box encloses, so these parts are cut once and kept as PNG files; a later call cuts only
    what is absent or older than its picture. A box that runs over the edge is filled with black there, as the authors'
    evaluator does. Scores that the authors store have the false caption at 0 and the true one at 1: turn them round.

    Args:
        folder: holds the list.
        crops: where the cut pictures go, about as much as the pictures themselves; `crops` in the folder unless given.
        images: holds the pictures; `images` in the folder unless given.

    Returns:
        Items of one picture and two sentences, the true one first; group `relation`. The published score is the mean
        over relations.

    Raises:
        ProbeError: names the file, and the row, counted from 1, where there is one.
    """
    path = Path(folder) / "visual_genome_relation.json"
    entries = _entries(path, {"relation_name": str})
    notes = [size_note({"VG-Relation": (len(entries), 23_937)})]
    groups = {"relation": [entry["relation_name"] for entry in entries.values()]}
    return _region_set("ARO VG-Relation", path, entries, groups, notes, crops, images)


def read_aro_attribution(
    folder: str | Path, crops: str | Path | None = None, images: str | Path | None = None, *, least: int = 25
) -> ProbeSet:
    """Read VG-Attribution: `visual_genome_attribution.json`, which has attributes (two) in place of relation_name.

    Args:
        folder: as in `read_aro_relation`.
        crops: as in `read_aro_relation`.
        images: as in `read_aro_relation`.
        least: pairs of attributes with fewer items are left out, as the authors do; 0 keeps all.

    Returns:
        Items of one picture and two sentences, the true one first; group `attributes` ("first_second"). The published
        score is the mean over these pairs.

    Raises:
        ProbeError: as in `read_aro_relation`, or no pair has enough items.
    """
    path = Path(folder) / "visual_genome_attribution.json"
    entries = _entries(path, {"attributes": list})
    for row, entry in entries.items():
        if len(entry["attributes"]) != 2 or not all(isinstance(name, str) for name in entry["attributes"]):
            raise ProbeError(f"{place(path, row)}: attributes {entry['attributes']!r} are not two texts")
    pairs = {row: "_".join(entry["attributes"]) for row, entry in entries.items()}
    counts = Counter(pairs.values())
    kept = {row: entry for row, entry in entries.items() if counts[pairs[row]] >= least}
    if not kept:
        raise ProbeError(
            f"{path}: no pair of attributes has {least} items (at most {max(counts.values())}); lower least"
        )
    notes = [
        size_note({"VG-Attribution": (len(entries), 28_748)}),
        f"{len(entries) - len(kept):,} items left out whose pair of attributes has fewer than {least} items",
    ]
    groups = {"attributes": [pairs[row] for row in kept]}
    return _region_set("ARO VG-Attribution", path, kept, groups, notes, crops, images)


def _entries(path: Path, kinds: dict[str, type]) -> dict[Key, Entry]:
    kinds = {"image_path": str, "true_caption": str, "false_caption": str} | kinds
    return read_entries(path, kinds, f"name the folder of ARO that holds {path.name}")


def _region_set(
    name: str, path: Path, entries: dict[Key, Entry], groups: dict[str, list[str]], notes: list[str],
    crops: str | Path | None, images: str | Path | None,
) -> ProbeSet:  # fmt: skip
    regions = {row: (entry["image_path"], _box(place(path, row), entry)) for row, entry in entries.items()}
    asked = [(image, place(path, row)) for row, (image, _) in regions.items()]
    files = need_pictures(Path(images or path.parent / "images"), first_asked(asked))
    distinct, picture = number(regions.values())
    target = Path(crops or path.parent / "crops")
    cut: dict[tuple[str, Box], Path] = {}
    for row, region in regions.items():
        if region not in cut:
            cut[region] = _cut(files[region[0]], region, target, place(path, row))
    pairs = [(entry["true_caption"], entry["false_caption"]) for entry in entries.values()]
    sentences, sentence = number_rows(pairs)
    return ProbeSet(
        name, [cut[region] for region in distinct], sentences, picture[:, None], sentence, groups,
        ids=[f"row {row}" for row in entries], notes=[*notes, *same_note(pairs)],
    )  # fmt: skip


def _box(where: str, entry: Entry) -> Box:
    values: list[Any] = [entry.get(key) for key in BOX]
    if not all(type(value) in (int, float) and math.isfinite(value) for value in values):
        raise ProbeError(f"{where}: {', '.join(BOX)} are {values}, not four numbers")
    x, y, width, height = (round(value) for value in values)
    if width < 1 or height < 1:
        raise ProbeError(f"{where}: bbox_w and bbox_h must be at least 1 pixel, got {width} and {height}")
    return x, y, width, height


def _cut(file: Path, region: tuple[str, Box], folder: Path, where: str) -> Path:
    """The file that holds what a box encloses; cut if it is absent or older than the picture."""
    image, (x, y, width, height) = region
    target = folder / f"{image.replace('/', '_')}_{x}_{y}_{width}_{height}.png"
    if target.is_file() and target.stat().st_mtime >= file.stat().st_mtime:
        return target
    with about_probes():
        whole = open_image(file)
    if x >= whole.width or y >= whole.height or x + width <= 0 or y + height <= 0:
        raise ProbeError(f"{where}: the box lies outside {file} of {whole.width} x {whole.height} pixels")
    stream = io.BytesIO()
    whole.crop((x, y, x + width, y + height)).save(stream, "PNG", compress_level=1)
    try:
        return write_atomic(target, stream.getvalue())
    except OSError as error:
        raise ProbeError(
            f"{folder}: cut pictures cannot be written ({error.strerror}); name a folder as crops="
        ) from error

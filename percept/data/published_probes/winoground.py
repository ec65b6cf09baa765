"""Winoground: two pictures and two captions of the same words in another order, to be matched.

Gated and not to be passed on: nothing of it may be stored with code or used as a test fixture.
Source: Thrush et al., Winoground: Probing Vision and Language Models for Visio-Linguistic Compositionality (2022).
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from percept.data.probe_set import ProbeError, ProbeSet
from percept.data.published_probes.files import Entry, Key, first_asked, need_pictures, number_rows, place, read_entries

PAIR = (0, 1)
ITEMS = 400
SIZES = {"collapsed_tag": {"Relation": 233, "Object": 141, "Both": 26}, "num_main_preds": {1: 292, 2: 108}}


def read_winoground(folder: str | Path, images: str | Path | None = None) -> ProbeSet:
    """Read Winoground: `examples.jsonl` with id, caption_0, caption_1, image_0, image_1, collapsed_tag, num_main_preds.

    Caption i belongs to picture i. Pictures that stand in the wrong order would turn every score round without any
    other sign, so the published names (`ex_<n>_img_<0 or 1>`) are held against their places; a picture must not be
    the other one of its item, by name or by content, nor serve two items.

    Args:
        folder: the `data` folder, with `examples.jsonl`.
        images: holds the unpacked `images.zip`; `images` in the folder unless given.

    Returns:
        Items of two pictures and two sentences; groups `tag` (Relation, Object, Both) and `predicates` (1, 2).

    Raises:
        ProbeError: names the file and row; or 400 items whose tags do not add up to the published numbers.
    """
    folder = Path(folder)
    path = folder / "examples.jsonl"
    kinds: dict[str, type] = {f"{part}_{i}": str for part in ("caption", "image") for i in PAIR}
    kinds |= {"id": int, "collapsed_tag": str, "num_main_preds": int}
    entries = read_entries(path, kinds, "name the folder of Winoground's examples.jsonl (gated: ask for it at the Hub)")
    named = sum(_order_checked(place(path, row), entry) for row, entry in entries.items())
    for parts in (["id"], ["image_0", "image_1"]):
        _no_repeats(path, entries, parts)
    _sizes_checked(path, entries)
    asked = [(entry[f"image_{i}"], place(path, row)) for row, entry in entries.items() for i in PAIR]
    files = need_pictures(Path(images or folder / "images"), first_asked(asked))
    for row, entry in entries.items():
        one, other = (files[entry[f"image_{i}"]] for i in PAIR)
        if one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes():
            raise ProbeError(f"{place(path, row)}: {one.name} and {other.name} are the same picture; unpack them again")
    names, picture = number_rows([[entry[f"image_{i}"] for i in PAIR] for entry in entries.values()])
    sentences, sentence = number_rows([[entry[f"caption_{i}"] for i in PAIR] for entry in entries.values()])
    notes = [f"order of the pictures checked by name in {named} of {len(entries)} items"]
    notes += [f"not the published {ITEMS} items"] if len(entries) != ITEMS else ["numbers of items as published"]
    return ProbeSet(
        "Winoground", [files[name] for name in names], sentences, picture, sentence,
        {
            "tag": [entry["collapsed_tag"] for entry in entries.values()],
            "predicates": [str(entry["num_main_preds"]) for entry in entries.values()],
        },
        ids=[str(entry["id"]) for entry in entries.values()], notes=notes,
    )  # fmt: skip


def _no_repeats(path: Path, entries: dict[Key, Entry], parts: list[str]) -> None:
    first: dict[int | str, Key] = {}
    for row, entry in entries.items():
        for part in parts:
            if first.setdefault(entry[part], row) != row:
                also = first[entry[part]]
                raise ProbeError(f"{place(path, row)}: {part} {entry[part]!r} stands in row {also} too; keep one")


def _order_checked(where: str, entry: Entry) -> bool:
    """Whether both names say which of the pair they are; raises where the item contradicts them or itself."""
    for part in ("caption", "image"):
        if entry[f"{part}_0"] == entry[f"{part}_1"]:
            raise ProbeError(f"{where}: {part}_0 and {part}_1 are the same; get the file again")
    matches = [re.fullmatch(r"ex_(\d+)_img_([01])(\.\w+)?", entry[f"image_{i}"]) for i in PAIR]
    for i, match in enumerate(matches):
        if match and int(match[2]) != i:
            raise ProbeError(
                f"{where}: image_{i} is {entry[f'image_{i}']!r}: the pictures are swapped; turn them round"
            )
    if all(matches) and len({match[1] for match in matches if match}) == 2:
        raise ProbeError(f"{where}: {entry['image_0']!r} and {entry['image_1']!r} are of two items; get the file again")
    return all(matches)


def _sizes_checked(path: Path, entries: dict[Key, Entry]) -> None:
    for part, published in SIZES.items():
        found = Counter(entry[part] for entry in entries.values())
        if len(entries) == ITEMS and found != published:
            raise ProbeError(
                f"{path}: {ITEMS} items, but {part} has {dict(found)} instead of {published}; get it again"
            )

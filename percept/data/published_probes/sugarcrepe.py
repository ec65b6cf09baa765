"""SugarCrepe: a picture, its caption and a fluent negative, made by replacing, swapping or adding something.

Source: Hsieh et al., SugarCrepe: Fixing Hackable Benchmarks for Vision-Language Compositionality (2023).
"""

from __future__ import annotations

from pathlib import Path

from percept.data.probe_set import ProbeSet
from percept.data.published_probes.files import (
    first_asked,
    need_pictures,
    number,
    number_rows,
    place,
    read_entries,
    same_note,
    size_note,
)

SIZES = {
    "add_att": 692,
    "add_obj": 2062,
    "replace_att": 788,
    "replace_obj": 1652,
    "replace_rel": 1406,
    "swap_att": 666,
    "swap_obj": 245,
}
SWAP_OBJ_IN_PAPER = 246


def read_sugarcrepe(folder: str | Path, images: str | Path | None = None) -> ProbeSet:
    """Read SugarCrepe: seven files of objects {filename, caption, negative_caption} by index.

    The indices have gaps, so they serve as names only. The published `swap_obj` has 245 items where the paper counts
    246. In `add_*` the negative is nearly always the longer sentence: a baseline that picks the shorter one is due.

    Args:
        folder: holds `add_att.json` and the six other files.
        images: holds the pictures of COCO 2017 val; `images` in the folder unless given.

    Returns:
        Items of one picture and two sentences, the true one first; groups `file` and `edit` (add, replace, swap);
        ids `file/index`. The authors' summary is the mean over items.

    Raises:
        ProbeError: names the file and the item.
    """
    folder, items, asked, sizes = Path(folder), [], [], {}
    for part, published in SIZES.items():
        path = folder / f"{part}.json"
        kinds = {"filename": str, "caption": str, "negative_caption": str}
        entries = read_entries(
            path, kinds, "name the folder of SugarCrepe's seven files, add_att.json to swap_obj.json"
        )
        asked += [(entry["filename"], place(path, key)) for key, entry in entries.items()]
        items += [(part, key, entry) for key, entry in entries.items()]
        as_in_paper = part == "swap_obj" and len(entries) == SWAP_OBJ_IN_PAPER
        sizes[part] = (len(entries), SWAP_OBJ_IN_PAPER if as_in_paper else published)
    files = need_pictures(Path(images or folder / "images"), first_asked(asked))
    names, picture = number(entry["filename"] for _, _, entry in items)
    pairs = [(entry["caption"], entry["negative_caption"]) for _, _, entry in items]
    sentences, sentence = number_rows(pairs)
    found = sizes["swap_obj"][0]
    return ProbeSet(
        "SugarCrepe", [files[name] for name in names], sentences, picture[:, None], sentence,
        {"file": [part for part, _, _ in items], "edit": [part.split("_")[0] for part, _, _ in items]},
        ids=[f"{part}/{key}" for part, key, _ in items],
        notes=[
            size_note(sizes), f"swap_obj has {found} items; 245 are in the published file, 246 in the paper",
            *same_note(pairs),
        ],
    )  # fmt: skip

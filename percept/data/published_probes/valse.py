"""VALSE: a picture, its caption and a foil, in eleven instruments for six linguistic phenomena and FOIL-it.

Source: Parcalabescu et al., VALSE: A Task-Independent Benchmark for Vision and Language Models Centered on
Linguistic Phenomena (2022).
"""

from __future__ import annotations

from pathlib import Path

from percept.data.probe_set import ProbeError, ProbeSet
from percept.data.published_probes.files import (
    Entry,
    Key,
    first_asked,
    need_pictures,
    number,
    number_rows,
    place,
    read_entries,
    same_note,
    size_note,
)

# Instrument, which is the name of its file: piece, published items, published valid items.
INSTRUMENTS = {
    "existence": ("existence", 534, 505),
    "plurals": ("plurality", 1000, 851),
    "counting-hard": ("counting", 1000, 868),
    "counting-small-quant": ("counting", 1000, 900),
    "counting-adversarial": ("counting", 756, 691),
    "relations": ("relations", 614, 535),
    "action-replacement": ("actions", 779, 648),
    "actant-swap": ("actions", 1042, 949),
    "coreference-standard": ("coreference", 916, 708),
    "coreference-hard": ("coreference", 141, 104),
    "foil-it": ("foil-it", 1000, 943),
}
MIN_VOTES = 2
SHORT_CUT = 30


def read_valse(folder: str | Path, images: str | Path | None = None, *, valid_only: bool = True) -> ProbeSet:
    """Read VALSE: one JSON object per instrument, by id, with image_file, caption, foil and mturk.

    The published files hold invalid items too: an item is valid if at least two of three annotators said that the
    caption, and not the foil, describes the picture (`mturk.caption` >= 2). All published scores are on these.

    Args:
        folder: holds `existence.json` and the ten other files.
        images: holds the pictures of Visual7W, SWiG, COCO 2014 and 2017 and VisDial, in subfolders or not; `images`
            in the folder unless given.
        valid_only: leave the invalid items out. Otherwise they stay in, with those whose foil is the caption.

    Returns:
        Items of one picture and two sentences, the caption first; groups `instrument` (named as its file) and
        `piece`; ids `instrument/id`. The mean over items and the mean over instruments differ: report both.

    Raises:
        ProbeError: names the file and the item.
    """
    folder, all_items = Path(folder), []
    sizes = {}
    for instrument, (_, raw, valid) in INSTRUMENTS.items():
        path = folder / f"{instrument}.json"
        entries = read_entries(
            path,
            {"image_file": str, "caption": str, "foil": str, "mturk": dict},
            "name the folder of VALSE's JSON files",
        )
        found = [(instrument, key, entry) for key, entry in entries.items() if _votes(path, key, entry) >= MIN_VOTES]
        sizes[instrument] = (len(entries), raw)
        sizes[f"{instrument} (valid)"] = (len(found), valid)
        all_items += found if valid_only else [(instrument, key, entry) for key, entry in entries.items()]
    if not all_items:
        raise ProbeError(f"{folder}: no item is valid (mturk.caption >= {MIN_VOTES}); get the files again")
    asked = [(entry["image_file"], place(folder / f"{name}.json", key)) for name, key, entry in all_items]
    files = need_pictures(Path(images or folder / "images"), first_asked(asked))
    names, picture = number(entry["image_file"] for _, _, entry in all_items)
    pairs = [(entry["caption"], entry["foil"]) for _, _, entry in all_items]
    sentences, sentence = number_rows(pairs)
    instruments = [instrument for instrument, _, _ in all_items]
    total = sum(found for name, (found, _) in sizes.items() if name in INSTRUMENTS)
    return ProbeSet(
        "VALSE" if valid_only else "VALSE with invalid items", [files[name] for name in names], sentences,
        picture[:, None], sentence,
        {"instrument": instruments, "piece": [INSTRUMENTS[instrument][0] for instrument in instruments]},
        ids=[f"{instrument}/{key}" for instrument, key, _ in all_items],
        notes=[_left_out(total, len(all_items), valid_only), size_note(sizes), *same_note(pairs), *_short_note(pairs)],
    )  # fmt: skip


def _votes(path: Path, key: Key, entry: Entry) -> int:
    votes = entry["mturk"].get("caption")
    if type(votes) is not int or not 0 <= votes <= 3:
        raise ProbeError(f"{place(path, key)}: mturk.caption {votes!r} is not a number of votes from 0 to 3")
    return votes


def _left_out(total: int, kept: int, valid_only: bool) -> str:
    if not valid_only:
        return f"all {total:,} items, valid or not: no published score is on these"
    return f"{total - kept:,} of {total:,} items left out as invalid (mturk.caption < {MIN_VOTES})"


def _short_note(pairs: list[tuple[str, str]]) -> list[str]:
    """Pairs that a text tower cannot tell apart if it is fed no more than the first words, as one published one is."""
    cut = [[text.lower().split()[:SHORT_CUT] for text in pair] for pair in pairs]
    same = sum(caption == foil for caption, foil in cut)
    return [f"{same} pairs are the same in their first {SHORT_CUT} words: cut no text there"] if same else []

"""VSR: a picture and a sentence about where two things are to each other, true or false.

Source: Liu et al., Visual Spatial Reasoning (2023).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from percept.data.judgments.stimuli import sha256
from percept.data.probe_set import ProbeError, ProbeSet
from percept.data.published_probes.files import first_asked, need_pictures, number, place, read_entries, read_text

VARIANTS = ("random", "zeroshot")
PARTS = ("train", "dev", "test")
UNALLOCATED = "unallocated"
# Variant, part, items, true items: scores of different versions are not comparable.
VERSIONS = {
    ("random", "dev", 1012, 535): "that of the evaluation at ACL 2023",
    ("random", "test", 2024, 1053): "that of the evaluation at ACL 2023",
    ("random", "dev", 1097, 564): "the current one",
    ("random", "test", 2195, 1181): "the current one",
    ("zeroshot", "dev", 340, 167): "the current one",
    ("zeroshot", "test", 1222, 629): "the current one",
}
MAPPING = Path("analysis_scripts") / "rel_meta_category_dict.txt"


def read_vsr(
    folder: str | Path, variant: str = "random", part: str = "test", images: str | Path | None = None
) -> ProbeSet:
    """Read one part of VSR: `data/splits/<variant>/<part>.jsonl` with image, caption, label (0 or 1) and relation.

    The seven families of relations (adjacency, directional, orientation, projective, proximity, topological,
    unallocated) come from the authors' mapping. As in their script, a relation that is listed twice ("among") belongs
    to the last family that names it; one that is not listed is unallocated.

    Args:
        folder: the repository, with `data/splits/` and `analysis_scripts/rel_meta_category_dict.txt`.
        variant: "random", or "zeroshot", whose parts share no concept.
        part: train, dev or test. Report dev and test: they correlate little.
        images: holds the pictures (COCO 2017 train and val); `data/images` in the folder unless given.

    Returns:
        Items of one picture and one sentence with label; groups `family` and `relation`. `notes` has the version by
        content hash and number of items.

    Raises:
        ProbeError: names the file, and the row where there is one.
    """
    for name, value, known in (("variant", variant, VARIANTS), ("part", part, PARTS)):
        if value not in known:
            raise ProbeError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    folder = Path(folder)
    path = folder / "data" / "splits" / variant / f"{part}.jsonl"
    kinds = {"image": str, "caption": str, "label": int, "relation": str}
    entries = read_entries(path, kinds, "name the VSR repository, the folder above data/splits")
    for row, entry in entries.items():
        if entry["label"] not in (0, 1):
            raise ProbeError(f"{place(path, row)}: label {entry['label']} is neither 0 (false) nor 1 (true)")
    family, listed_twice = _families(folder / MAPPING)
    asked = [(entry["image"], place(path, row)) for row, entry in entries.items()]
    files = need_pictures(Path(images or folder / "data" / "images"), first_asked(asked))
    names, picture = number(entry["image"] for entry in entries.values())
    sentences, sentence = number(entry["caption"] for entry in entries.values())
    label = np.array([entry["label"] == 1 for entry in entries.values()])
    relations = [entry["relation"] for entry in entries.values()]
    unlisted = sorted({relation for relation in relations if relation not in family})
    notes = [_version(path, variant, part, label), *listed_twice]
    notes += [f"relations in no family, so {UNALLOCATED}: {', '.join(unlisted)}"] if unlisted else []
    return ProbeSet(
        f"VSR {variant}, {part}", [files[name] for name in names], sentences, picture[:, None], sentence[:, None],
        {"family": [family.get(relation, UNALLOCATED) for relation in relations], "relation": relations}, label,
        [f"row {row}" for row in entries], notes,
    )  # fmt: skip


def _families(path: Path) -> tuple[dict[str, str], list[str]]:
    """The family of each relation, and a note on those listed twice."""
    family: dict[str, str] = {}
    twice = []
    for row, line in enumerate(
        read_text(path, "it maps relations to families; get it with the repository").split("\n"), 1
    ):
        if not line.strip():
            continue
        name, colon, relations = line.partition(":")
        if not colon:
            raise ProbeError(f"{place(path, row)}: {line.strip()!r} is not 'family: relation, relation, ...'")
        for relation in (part.strip() for part in relations.split(",")):
            if relation in family:
                twice.append(f"relation {relation!r} is listed twice, counted as {name.strip().lower()}")
            family[relation] = name.strip().lower()
    return family, twice


def _version(path: Path, variant: str, part: str, label: np.ndarray) -> str:
    known = VERSIONS.get((variant, part, len(label), int(label.sum())), "none that is known")
    share = max(label.mean(), 1 - label.mean())
    return (
        f"version {sha256(path)[:12]}, {known}: {len(label):,} items, {label.sum():,} of them true "
        f"(one answer throughout is right for {share:.1%})"
    )

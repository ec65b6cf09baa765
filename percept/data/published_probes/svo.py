"""SVO-Probes: one sentence, a picture it is true of, and one in which subject, verb or object is another.

The pictures are web addresses of which many are dead, and nobody may pass copies on: what a user could still get
decides the items, so that the share found belongs to every score.
Source: Hendricks and Nematzadeh, Probing Image-Language Transformers for Verb Understanding (2021).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from percept.data.probe_set import ProbeError, ProbeSet
from percept.data.published_probes.files import (
    about_probes,
    first_asked,
    look_up,
    number,
    number_rows,
    place,
    read_entries,
)
from percept.data.triplet_files import read_table

FLAGS = {"subj_neg": "subject", "verb_neg": "verb", "obj_neg": "object"}
_TRUTH = {"true": True, "1": True, "false": False, "0": False}
_CSV = {"pos_image_id": "true", "neg_image_id": "false", "index": "id"}
_LINES = {"caption": "sentence", "pos_image": "true", "neg_image": "false", "svo_index": "id"}


def read_svo(folder: str | Path, images: str | Path | None = None, *, single_change: bool = True) -> ProbeSet:
    """Read SVO-Probes as items of one sentence and two pictures, of which the first is the true one.

    `svo_probes.csv` (sentence, pos_image_id, neg_image_id, subj_neg, verb_neg, obj_neg), or `annotations/test.jsonl`
    as the evaluation of 2023 stores it (caption, pos_image, neg_image, the three flags). Rows without both pictures
    are left out; `name` and `notes` state the share of pictures found, and a web page or an empty file saved in
    place of a picture counts as missing.

    Args:
        folder: holds one of the two files; the table is preferred.
        images: holds the pictures, named by their id; `images` in the folder unless given.
        single_change: keep rows with exactly one flag, as the authors do. Otherwise all rows are kept, and the
            group of the others names all changes or "none".

    Returns:
        Items whose group `changed` is subject, verb or object.

    Raises:
        ProbeError: no picture is there; otherwise names the file, and the row where there is one.
    """
    rows, files, notes, share = _covered(Path(folder), images, single_change)
    names, picture = number_rows(rows[["true", "false"]].to_numpy().tolist())
    sentences, sentence = number(rows["sentence"])
    return ProbeSet(
        f"SVO-Probes ({share:.1%} of the pictures)", [files[name] for name in names], sentences, picture,
        sentence[:, None], {"changed": rows["changed"].tolist()}, ids=rows["id"].tolist(), notes=notes,
    )  # fmt: skip


def read_svo_pairs(folder: str | Path, images: str | Path | None = None) -> dict[str, ProbeSet]:
    """Read SVO-Probes as single pairs with labels, by the authors' rule.

    Rows with exactly one flag; then every pair of a sentence and a picture counts once among the true pairs and once
    among the false ones, in each part anew. The authors' accuracy is the mean of the shares of true and of false
    pairs judged right, so that both labels weigh the same.

    Args:
        folder: as in `read_svo`.
        images: as in `read_svo`.

    Returns:
        Sets "all", "subject", "verb" and "object" (those that have rows) of one picture and one sentence with label;
        group `kind` is true or false.

    Raises:
        ProbeError: as in `read_svo`.
    """
    rows, files, notes, share = _covered(Path(folder), images, single_change=True)
    parts = {"all": rows} | {part: rows[rows["changed"] == part] for part in FLAGS.values()}
    sets = {}
    for part, chosen in parts.items():
        kinds = [chosen[["sentence", kind]].drop_duplicates().set_axis(["sentence", "image"], axis=1).assign(kind=kind)
                 for kind in ("true", "false")]  # fmt: skip
        pairs = pd.concat(kinds)
        if len(pairs):
            names, picture = number(pairs["image"])
            sentences, sentence = number(pairs["sentence"])
            sets[part] = ProbeSet(
                f"SVO-Probes pairs: {part} ({share:.1%} of the pictures)", [files[name] for name in names], sentences,
                picture[:, None], sentence[:, None], {"kind": pairs["kind"].tolist()},
                (pairs["kind"] == "true").to_numpy(), notes=notes,
            )  # fmt: skip
    return sets


def _rows(folder: Path) -> tuple[Path, pd.DataFrame]:
    """Columns sentence, true and false (pictures), changed and id; the index is the row in the file."""
    path = folder / "svo_probes.csv"
    if path.is_file():
        with about_probes():
            table = read_table(path, ["sentence", "pos_image_id", "neg_image_id", *FLAGS], ["index"])
        table = table.rename(columns=_CSV)
    else:
        path = folder / "annotations" / "test.jsonl"
        kinds = {"caption": str, "pos_image": str, "neg_image": str} | dict.fromkeys(FLAGS, bool)
        what = "name the SVO-Probes folder that holds svo_probes.csv, or annotations/test.jsonl"
        table = pd.DataFrame.from_dict(read_entries(path, kinds, what), orient="index").rename(columns=_LINES)
    if table.empty:
        raise ProbeError(f"{path}: has a header but no rows; get the file again")
    for column in ("sentence", "true", "false"):
        if (table[column] == "").any():
            row = int((table[column] == "").idxmax())
            raise ProbeError(f"{place(path, row)}: has an empty cell; sentence and both pictures are needed")
    flags = table[list(FLAGS)].apply(lambda cells: cells.astype(str).str.lower().map(_TRUTH))
    if flags.isna().any(axis=None):
        row = int(flags.isna().any(axis=1).idxmax())
        raise ProbeError(f"{place(path, row)}: {', '.join(FLAGS)} must be true or false; get the file again")
    names = np.array(list(FLAGS.values()))
    changed = ["+".join(names[row]) or "none" for row in flags.to_numpy(dtype=bool)]
    ids = table.get("id", table.index)
    return path, table[["sentence", "true", "false"]].assign(changed=changed, id=[str(name) for name in ids])


def _covered(
    folder: Path, images: str | Path | None, single_change: bool
) -> tuple[pd.DataFrame, dict[str, Path], list[str], float]:
    """Rows that have both pictures, files by name, notes, and the share of pictures found."""
    path, table = _rows(folder)
    rows = table[table["changed"].isin(FLAGS.values())] if single_change else table
    asked = [(name, place(path, row)) for row, *names in rows[["true", "false"]].itertuples() for name in names]
    wanted = first_asked(asked)
    folder = Path(images or folder / "images")
    found, trouble = look_up(folder, wanted)
    kept = rows[rows["true"].isin(found) & rows["false"].isin(found)]
    if kept.empty:
        raise ProbeError(
            f"{folder}: coverage is 0, no row of {path} has both pictures ({len(found)} of {len(wanted)} are there); "
            "get what is still online from image_urls.txt and name each file by its id"
        )
    share = len(found) / len(wanted)
    notes = [
        f"image coverage {share:.1%}: {len(found):,} of {len(wanted):,} pictures; {len(rows) - len(kept):,} of "
        f"{len(rows):,} rows left out for a missing picture (dead links)"
    ]
    broken = [f"{name}: {reason}" for name, reason in trouble.items() if not reason.startswith("not found")]
    if broken:
        notes.append(f"{len(broken):,} of the missing pictures are files that cannot be used, first {broken[0]}")
    if single_change:
        notes.append(f"{len(table) - len(rows):,} rows left out that have not exactly one of {', '.join(FLAGS)}")
    return kept, found, notes, share

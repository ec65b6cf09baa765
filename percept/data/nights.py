"""NIGHTS: 20,019 triplets of synthetic pictures with human 2AFC votes, as the authors publish them.

`data.csv` beside `ref/` and `distort/`; columns are read by name, since their order differs between copies.
Source: Fu et al., DreamSim: Learning New Dimensions of Human Visual Similarity (2023).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from percept.data.triplet_files import find_pictures, need_file, numbers, read_table
from percept.data.triplets import Triplets, TripletsError

SPLITS = ("train", "val", "test")
SUBSETS = {None: "", "imagenet": ", ImageNet categories", "no_imagenet": ", other categories"}
PATHS = ["ref_path", "left_path", "right_path"]


def read_nights(folder: str | Path, split: str, *, min_votes: int = 6, subset: str | None = None) -> Triplets:
    """Read one split of NIGHTS, or of judgments that `percept` exported in the same form.

    Args:
        folder: holds `data.csv` (id, left_vote, right_vote, votes, ref_path, left_path, right_path, split,
            is_imagenet, and perhaps prompt or category) and the pictures it names; backslashes are allowed.
        split: train, val or test.
        min_votes: rows with fewer votes are left out. The published test score uses 6, which leaves 1,824 of
            the test rows; 0 keeps all rows. `Triplets.name` states the filter.
        subset: "imagenet" or "no_imagenet" by the column is_imagenet, None for both.

    Returns:
        Triplets with files as pictures; groups are the prompt or category where the file has one.

    Raises:
        TripletsError: names the file, and the row where there is one.
    """
    if split not in SPLITS:
        raise TripletsError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    if subset not in SUBSETS:
        raise TripletsError(f"subset must be 'imagenet', 'no_imagenet' or None, got {subset!r}")
    path = need_file(Path(folder) / "data.csv", "name the NIGHTS folder that holds data.csv, ref/ and distort/")
    needed = ["left_vote", "right_vote", "votes", *PATHS, "split", *(["is_imagenet"] if subset else [])]
    table = read_table(path, needed, optional=("prompt", "category"))
    rows = _filtered(path, table, split, min_votes, subset)
    right = numbers(path, rows["right_vote"], 0, 1, "a share of votes from 0 to 1")
    left = numbers(path, rows["left_vote"], 0, 1, "a share of votes from 0 to 1")
    bad = np.flatnonzero(np.abs(left + right - 1) > 1e-3)
    if bad.size:
        raise TripletsError("left_vote and right_vote do not add up to 1", path, int(rows.index[bad[0]]))
    names, items = np.unique(rows[PATHS].to_numpy(dtype=str), return_inverse=True)
    items = items.reshape(-1, 3)
    first = np.unique(items, return_index=True)[1] // 3
    pictures = find_pictures(path, folder, names, rows.index[first])
    same = np.flatnonzero(items[:, 1] == items[:, 2])
    if same.size:
        raise TripletsError("left_path and right_path are the same picture", path, int(rows.index[same[0]]))
    group = next((rows[name] for name in ("category", "prompt") if name in rows), pd.Series("", index=rows.index))
    name = f"NIGHTS (votes >= {min_votes}{SUBSETS[subset]})"
    votes = np.maximum(rows["votes"].to_numpy(dtype=np.float64), 1)
    return Triplets(pictures, items, right, votes, group.to_numpy(dtype=str), name, split)


def _filtered(path: Path, table: pd.DataFrame, split: str, min_votes: int, subset: str | None) -> pd.DataFrame:
    unknown = table[~table["split"].isin(SPLITS)]
    if len(unknown):
        cell = unknown["split"].iloc[0]
        raise TripletsError(f"split {cell!r} is none of {', '.join(SPLITS)}", path, int(unknown.index[0]))
    rows = table[table["split"] == split]
    if not len(rows):
        raise TripletsError(f"has no row of split {split!r}", path)
    votes = numbers(path, rows["votes"], 0, np.inf, "a number of votes")
    rows = rows.assign(votes=votes)[votes >= min_votes]
    if not len(rows):
        raise TripletsError(f"no row of {split} has {min_votes} votes (at most {votes.max():g}); lower min_votes", path)
    if subset is None:
        return rows
    flags = rows["is_imagenet"].str.lower().map({"true": 1, "1": 1, "1.0": 1, "false": 0, "0": 0, "0.0": 0})
    if flags.isna().any():
        row = int(flags.index[flags.isna()][0])
        raise TripletsError(f"is_imagenet {rows.loc[row, 'is_imagenet']!r} is neither true nor false", path, row)
    rows = rows[flags == (subset == "imagenet")]
    if not len(rows):
        raise TripletsError(f"no row of {split} is in subset {subset!r}", path)
    return rows

"""Memorability: how well people know a picture again. LaMem (photographs) and THINGS (objects)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from percept.data.published_scores.files import (
    find_pictures,
    inside,
    join_parts,
    need_file,
    numbers,
    read_lines,
    read_table,
)
from percept.data.ratings import Ratings, RatingsError

LAMEM_FOLDS = range(1, 6)
LAMEM_FILES = {"train": "train", "validate": "val", "test": "test"}


def read_lamem(folder: str | Path, fold: int) -> Ratings:
    """Read one of the five folds of LaMem: `splits/{train,val,test}_<fold>.txt` and `images/`.

    Lines hold a name and a score from 0 to 1, separated by a space. The published figure is the mean over the folds
    of Spearman's correlation on the test part.

    Args:
        folder: holds `splits/` and `images/`.
        fold: 1 to 5.

    Raises:
        RatingsError: an unknown fold; otherwise names the file and line.

    Source: Khosla et al., Understanding and Predicting Image Memorability at a Large Scale (2015).
    """
    if fold not in LAMEM_FOLDS:
        raise RatingsError(f"fold must be 1 to 5, got {fold!r}")
    parts, scores = {}, []
    for part, name in LAMEM_FILES.items():
        path = need_file(Path(folder) / "splits" / f"{name}_{fold}.txt", "name the LaMem folder that holds splits/")
        table = read_lines(path, ["name", "score"])
        scores.append(numbers(path, table["score"], 0, 1, "a score from 0 to 1"))
        parts[part] = find_pictures(path, Path(folder) / "images", table["name"], table.index)
    images, split = join_parts(parts)
    return Ratings(images, np.concatenate(scores), split=split, name=f"LaMem fold {fold}")


def read_things_memorability(file: str | Path, folder: str | Path) -> Ratings:
    """Read `THINGS_Memorability_Scores.csv`, of which the columns file_path and cr count.

    cr is corrected recognition, hits less false alarms, -1 to 1. Rows without it are left out; `name` counts them.
    `groups` is the concept, the folder of a picture, so that a split does not test on a concept it has trained on.

    Args:
        file: the table; its paths are `images/aardvark/aardvark_01b.jpg`.
        folder: what stands for `images/`, the folder with one subfolder per concept (`object_images` in the archive).

    Raises:
        RatingsError: names the file, and the row where there is one.

    Source: Kramer et al., The features underlying the memorability of objects, Science Advances 9 (2023).
    """
    path = need_file(file, "name the table THINGS_Memorability_Scores.csv")
    everything = read_table(path, ["file_path", "cr"])
    table = everything[~everything["cr"].str.lower().isin(["", "nan", "na"])]
    if table.empty:
        raise RatingsError("gives no picture a score in cr", path)
    score = numbers(path, table["cr"], -1, 1, "a corrected recognition from -1 to 1")
    names = [inside(path, name, row).removeprefix("images/") for row, name in table["file_path"].items()]
    for row, name in zip(table.index, names, strict=True):
        if "/" not in name:
            raise RatingsError(f"file_path {name!r} names no folder of a concept", path, row)
    images = find_pictures(path, Path(folder), names, table.index)
    left_out = len(everything) - len(table)
    said = f"THINGS memorability ({left_out} rows without score left out)" if left_out else "THINGS memorability"
    return Ratings(images, score, groups=np.array([image.parent.name for image in images]), low=-1, name=said)

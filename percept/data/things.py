"""THINGS odd-one-out choices in the three forms in which they are published; each choice gives two triplets.

Source: Hebart et al., THINGS-data (2023), 4.70 million choices among 1,854 object concepts.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from percept.data.triplet_files import find_pictures, load_array, need_file, numbers, read_table
from percept.data.triplets import Triplets, TripletsError, from_odd_one_out

COLUMNS = ["image1", "image2", "image3", "choice"]


def read_things_csv(file: str | Path, names: str | Path, folder: str | Path, split: str = "") -> Triplets:
    """Read the behaviour release: `triplets_large_final_correctednc_correctedorder.csv`.

    Args:
        file: separated by tabs, with the columns image1, image2, image3 (objects, counted from 1) and choice
            (1 to 3, the position of the odd one); other columns are not read.
        names: list of the pictures in the order of the objects: one name per line, or a `.tsv` with a column
            uniqueID. A name without suffix finds a .png, .jpg and so on.
        folder: where the pictures are.
        split: name to give.

    Returns:
        Two triplets per choice (`from_odd_one_out`), files as pictures.

    Raises:
        TripletsError: names the file and row.
    """
    path = need_file(file, "name the table of choices")
    pictures = _pictures(names, folder)
    table = read_table(path, COLUMNS, separator="\t")
    if table.empty:
        raise TripletsError("has a header but no choices", path)
    limit = f"the number of an object, counted from 1 to {len(pictures)}"
    cells = [numbers(path, table[name], 1, len(pictures), limit) for name in COLUMNS[:3]]
    objects = _whole(path, np.stack(cells, axis=1), table.index) - 1
    choice = numbers(path, table["choice"], 1, 3, "1, 2 or 3, the position of the odd one")
    odd = _whole(path, choice[:, None], table.index)[:, 0] - 1
    order = np.array([[1, 2, 0], [0, 2, 1], [0, 1, 2]])[odd]
    return _choices(path, pictures, np.take_along_axis(objects, order, axis=1), table.index, split)


def read_things_npy(file: str | Path, names: str | Path, folder: str | Path, split: str = "") -> Triplets:
    """Read the form of VICE and gLocal: `train_90.npy`, `test_10.npy`, whole numbers [M, 3] counted from 0.

    The odd one is last. Arguments, result and errors as in `read_things_csv`; `names` is `things_concepts.tsv`.
    """
    path = Path(file)
    objects = load_array(path)
    if objects.ndim != 2 or objects.shape[1] != 3 or not len(objects) or not np.issubdtype(objects.dtype, np.number):
        raise TripletsError(f"must hold whole numbers [M, 3] with the odd one last, got {list(objects.shape)}", path)
    rows = pd.RangeIndex(len(objects))
    objects = _whole(path, objects, rows)
    pictures = _pictures(names, folder)
    bad = np.flatnonzero(((objects < 0) | (objects >= len(pictures))).any(axis=1))
    if bad.size:
        row = objects[bad[0]].tolist()
        hint = "; they seem to be counted from 1" if objects.min() >= 1 and objects.max() == len(pictures) else ""
        raise TripletsError(f"objects {row} are not all in 0..{len(pictures) - 1}{hint}", path, int(bad[0]))
    return _choices(path, pictures, objects, rows, split)


def read_things_stems(file: str | Path, folder: str | Path, split: str = "val") -> Triplets:
    """Read DreamSim's `things_valset.txt`: three file stems per line, the third is the odd one."""
    path = need_file(file, "name the list of triplets")
    lines = [(row, line.split()) for row, line in enumerate(_lines(path), start=1) if line.strip()]
    if not lines:
        raise TripletsError("is empty", path)
    for row, stems in lines:
        if len(stems) != 3:
            raise TripletsError(f"has {len(stems)} names instead of three", path, row)
    names, objects = np.unique(np.array([stems for _, stems in lines]), return_inverse=True)
    objects = objects.reshape(-1, 3)
    rows = pd.Index([row for row, _ in lines])
    pictures = find_pictures(path, folder, names, rows[np.unique(objects, return_index=True)[1] // 3])
    return _choices(path, pictures, objects, rows, split)


def _choices(path: Path, pictures: list[Path], objects: np.ndarray, rows: pd.Index, split: str) -> Triplets:
    a, b, c = objects.T
    twice = np.flatnonzero((a == b) | (a == c) | (b == c))
    if twice.size:
        raise TripletsError("names one object twice; the three must differ", path, int(rows[twice[0]]))
    return from_odd_one_out(pictures, objects, "THINGS", split)


def _whole(path: Path, values: np.ndarray, rows: pd.Index) -> np.ndarray:
    bad = np.flatnonzero((values != np.floor(values)).any(axis=1))
    if bad.size:
        raise TripletsError(f"{values[bad[0]].tolist()} must be whole numbers", path, int(rows[bad[0]]))
    return values.astype(np.int64)


def _pictures(names: str | Path, folder: str | Path) -> list[Path]:
    path = need_file(names, "name the list of the 1,854 pictures")
    if path.suffix.lower() == ".tsv":
        table = read_table(path, ["uniqueid"], separator="\t")
        return find_pictures(path, folder, table["uniqueid"], table.index)
    lines = [(row, line.strip()) for row, line in enumerate(_lines(path), start=1) if line.strip()]
    if not lines:
        raise TripletsError("is empty", path)
    return find_pictures(path, folder, [name for _, name in lines], [row for row, _ in lines])


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise TripletsError("is no UTF-8 text; save it as UTF-8", path) from error

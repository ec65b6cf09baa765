"""Image quality: KADID-10k, TID2013 and LIVE (synthetic distortions), KonIQ-10k and SPAQ (photographs as they are).

`groups` of the synthetic sets is the reference picture, which must not be in two parts of a split.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from percept.data.published_scores.files import find_pictures, need_file, numbers, read_lines, read_shares, read_table
from percept.data.ratings import Ratings, RatingsError

KONIQ_CATEGORIES = ("bad", "poor", "fair", "good", "excellent")
KONIQ_SETS = {"training": "train", "validation": "validate", "test": "test"}
# MOS per step of the five-point scale: regression of MOS on the mean vote over KonIQ's 10,073 pictures (r = 0.995).
KONIQ_STEP = 27.82
LIVE_KINDS = ("jp2k", "jpeg", "wn", "gblur", "fastfading")


def read_kadid10k(folder: str | Path) -> Ratings:
    """Read KADID-10k: `dmos.csv` (dist_img, ref_img, dmos, var) and `images/`.

    Despite its name dmos is higher for better pictures, 1 to 5. `var` is a variance, so spread is its root. Names
    `Iss_tt_ll.png` give kind (1 to 25, as in `percept.data.distortions`) and level (1 to 5).

    Args:
        folder: holds `dmos.csv` and `images/`.

    Raises:
        RatingsError: names the file, and the row where there is one.

    Source: Lin et al., KADID-10k: A Large-scale Artificially Distorted IQA Database (2019).
    """
    path = need_file(Path(folder) / "dmos.csv", "name the KADID-10k folder that holds dmos.csv and images/")
    table = read_table(path, ["dist_img", "ref_img", "dmos", "var"])
    parsed = _parsed(path, table["dist_img"], r"(?P<group>I\d\d)_(?P<kind>\d\d)_(?P<level>\d\d)\.png", "I01_01_01.png")
    wrong = np.flatnonzero(parsed["group"] + ".png" != table["ref_img"])
    if wrong.size:
        row = table.iloc[wrong[0]]
        raise RatingsError(f"ref_img {row['ref_img']!r} is not that of {row['dist_img']!r}", path, int(row.name))
    score = numbers(path, table["dmos"], 1, 5, "a score from 1 to 5")
    spread = np.sqrt(numbers(path, table["var"], 0, 16, "a variance of scores from 1 to 5"))
    images = find_pictures(path, Path(folder) / "images", table["dist_img"], table.index)
    return Ratings(images, score, spread, low=1, high=5, name="KADID-10k", **_columns(parsed))


def read_koniq10k(folder: str | Path, pictures: str = "1024x768") -> Ratings:
    """Read KonIQ-10k: `koniq10k_distributions_sets.csv` and a folder of pictures.

    Columns image_name, c1 .. c5, MOS, SD, set. MOS is 0 to 100, made from z-scores of about 100 people; c1 .. c5 are
    shares of the votes for bad to excellent. SD is in steps of that five-point scale, so it is multiplied by
    ``KONIQ_STEP`` to become the spread. `set` is the official part (7,058 / 1,000 / 2,015).

    Args:
        folder: holds the table and the folder of the pictures.
        pictures: name of that folder, "1024x768" or "512x384".

    Raises:
        RatingsError: names the file, and the row where there is one.

    Source: Hosu et al., KonIQ-10k, IEEE Transactions on Image Processing 29 (2020).
    """
    path = need_file(Path(folder) / "koniq10k_distributions_sets.csv", "name the KonIQ-10k folder that holds it")
    votes = [f"c{step}" for step in range(1, 6)]
    table = read_table(path, ["image_name", *votes, "mos", "sd", "set"])
    score = numbers(path, table["mos"], 0, 100, "a score from 0 to 100")
    spread = KONIQ_STEP * numbers(path, table["sd"], 0, 4, "a standard deviation of votes from 1 to 5")
    split = _mapped(path, table["set"], KONIQ_SETS)
    shares = read_shares(path, table, votes)
    images = find_pictures(path, Path(folder) / pictures, table["image_name"], table.index)
    return Ratings(
        images, score, spread, shares, KONIQ_CATEGORIES, split=split, low=0, high=100,
        name="KonIQ-10k",
    )  # fmt: skip


def read_tid2013(folder: str | Path) -> Ratings:
    """Read TID2013: `mos_with_names.txt` (MOS and name, no header) and `distorted_images/`.

    MOS is 0 to 9, higher for better pictures. Names `Inn_tt_l.bmp`, whose case differs between copies, give kind (1
    to 24, in TID's own order) and level (1 to 5). `mos_std.txt` is not read: its values (0.13 for the first picture)
    are the error of a mean, not the spread of people.

    Args:
        folder: holds `mos_with_names.txt` and `distorted_images/`.

    Raises:
        RatingsError: names the file and line.

    Source: Ponomarenko et al., Image database TID2013, Signal Processing: Image Communication 30 (2015).
    """
    path = need_file(Path(folder) / "mos_with_names.txt", "name the TID2013 folder that holds it")
    table = read_lines(path, ["mos", "name"])
    form = r"(?P<group>I\d\d)_(?P<kind>\d\d)_(?P<level>\d)\.BMP"
    parsed = _parsed(path, table["name"].str.upper(), form, "I01_01_1.BMP")
    score = numbers(path, table["mos"], 0, 9, "a score from 0 to 9")
    pictures = Path(folder) / "distorted_images"
    there = {file.name.upper(): file.name for file in pictures.iterdir()} if pictures.is_dir() else {}
    images = find_pictures(path, pictures, [there.get(name.upper(), name) for name in table["name"]], table.index)
    return Ratings(images, score, low=0, high=9, name="TID2013", **_columns(parsed))


def read_live(folder: str | Path) -> Ratings:
    """Read LIVE release 2 by `LIVE.txt`, the table in which its MATLAB files are commonly passed on.

    Columns dis_img_path, ref_img_path, dis_type, score; paths are `LIVE/jp2k/img2.bmp`, of which the last two parts
    count. The score is the realigned DMOS: LOWER is better, and it runs from -2.64 to 111.77, so that the scale is
    -3 to 112. kind is the position in ``LIVE_KINDS``, counted from 1; there is no level.

    Args:
        folder: holds `LIVE.txt` and `jp2k/`, `jpeg/`, `wn/`, `gblur/`, `fastfading/`.

    Raises:
        RatingsError: names the file, and the row where there is one.

    Source: Sheikh et al., LIVE Image Quality Assessment Database release 2; IEEE TIP 15 (2006).
    """
    path = need_file(Path(folder) / "LIVE.txt", "put the table of scores there; see read_live for its form")
    table = read_table(path, ["dis_img_path", "ref_img_path", "dis_type", "score"])
    kind = _mapped(path, table["dis_type"], dict(zip(LIVE_KINDS, range(1, 6), strict=True)))
    score = numbers(path, table["score"], -3, 112, "a DMOS from -3 to 112")
    parts = {name: table[name].str.replace("\\", "/").str.split("/") for name in ("dis_img_path", "ref_img_path")}
    images = find_pictures(path, Path(folder), parts["dis_img_path"].str[-2:].str.join("/"), table.index)
    return Ratings(
        images, score, groups=parts["ref_img_path"].str[-1].to_numpy(dtype=str), kind=kind,
        low=-3, high=112, higher_is_better=False, name="LIVE release 2",
    )  # fmt: skip


def read_spaq(folder: str | Path) -> Ratings:
    """Read SPAQ: `Annotations/MOS and Image attribute scores.csv` (Image name, MOS, ...) and `TestImage/`.

    The table is published as an Excel file of the same name, which has to be saved as CSV: nothing that reads Excel
    is installed with this package. MOS is 0 to 100; spread, votes and official parts are not published.

    Args:
        folder: holds `Annotations/` and `TestImage/`. The field shrinks the pictures to a short side of 448 to 512.

    Raises:
        RatingsError: names the file, and the row where there is one.

    Source: Fang et al., Perceptual Quality Assessment of Smartphone Photography (2020).
    """
    name = "MOS and Image attribute scores"
    hint = f"open '{name}.xlsx' in a spreadsheet and save it beside as 'CSV UTF-8' (Excel files are not read)"
    path = need_file(Path(folder) / "Annotations" / f"{name}.csv", hint)
    table = read_table(path, ["image name", "mos"])
    score = numbers(path, table["mos"], 0, 100, "a score from 0 to 100")
    images = find_pictures(path, Path(folder) / "TestImage", table["image name"], table.index)
    return Ratings(images, score, low=0, high=100, name="SPAQ")


def _mapped(path: Path, cells: pd.Series, known: dict[str, Any]) -> np.ndarray:
    """What the words of a column stand for."""
    unknown = ~cells.isin(list(known))
    if unknown.any():
        row = int(unknown.idxmax())
        raise RatingsError(f"{cells.name} {cells[row]!r} is none of {', '.join(known)}", path, row)
    return np.array([known[cell] for cell in cells])


def _parsed(path: Path, names: pd.Series, form: str, example: str) -> pd.DataFrame:
    """Columns group, kind and level of file names."""
    parsed = names.str.extract(f"^{form}$")
    bad = parsed["group"].isna()
    if bad.any():
        row = int(bad.idxmax())
        raise RatingsError(f"{names[row]!r} has not the form of {example} (reference, type, level)", path, row)
    return parsed


def _columns(parsed: pd.DataFrame) -> dict[str, Any]:
    numbered = {name: parsed[name].to_numpy(dtype=np.int64) for name in ("kind", "level")}
    return {"groups": parsed["group"].to_numpy(dtype=str), **numbered}

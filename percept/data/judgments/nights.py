"""Votes in the column form of NIGHTS (DreamSim, Fu et al. 2023): `data.csv` beside `ref/` and `distort/`.

A row of it holds the votes on one triplet, without raters. Columns are found by name.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from percept.data.judgments import cells, rows, stimuli
from percept.data.judgments.card import NOT_STATED, data_card
from percept.data.judgments.file import JudgmentError
from percept.data.judgments.store import Judgments
from percept.data.judgments.votes import require_task, tally
from percept.data.opening import open_image
from percept.storage import write_atomic

COLUMNS = (
    "id", "left_vote", "right_vote", "votes", "prompt", "ref_path", "left_path", "right_path", "split", "is_imagenet",
)  # fmt: skip
_OPTIONAL = ("prompt", "split", "is_imagenet")
_SIDES = {"reference": "ref_path", "left": "left_path", "right": "right_path"}


def export_nights(
    store: Judgments,
    study: str,
    folder: str | Path,
    *,
    split: str | Mapping[str, float] = "train",
    pictures: str | Path | Mapping[str, np.ndarray] | None = None,
    copy: bool = False,
    licence: str = NOT_STATED,
) -> dict[str, int]:
    """Write `data.csv` and a data card, `DATA_CARD.md`, beside it; `percept.data.nights.read_nights` reads it.

    Several raters become votes (`tally`). `left_vote` and `right_vote` are 0 or 1 as published where all agree, and
    otherwise the shares of the votes, 0.5 for a tie. Triplets without votes are left out.

    Args:
        store, study: Where the answers are.
        folder: Where to write. Paths in `data.csv` start from the image folder: write there, or copy.
        split: train, val or test for all triplets that have none yet; or shares such as `{"train": 0.8, "test":
            0.2}`, drawn by the reference picture, so that triplets of one reference stay together.
        pictures: Image folder, or uint8 [H, W, 3] arrays by the names that the study uses; needed to copy.
        copy: Copy the pictures as PNG without metadata, laid out as in NIGHTS.
        licence: Of the answers, for the card.

    Returns:
        Counts: triplets, votes, and triplets not unanimous; left out: skips, and triplets without votes.

    Raises:
        JudgmentError: unknown study, no triplets, no answers, bad shares, or copying without pictures.
    """
    require_task(store, study, "two_alternative")
    folder, table = Path(folder), tally(store, study)
    shares = _shares(split)
    kept = table[table["right_share"].notna()]
    if not len(kept):
        raise JudgmentError(f"study {study!r} has no votes yet; nothing was written")
    lines = []
    for number, row in enumerate(kept.to_dict("records")):
        paths = [row[side] for side in _SIDES]
        if copy:
            paths = _copied(pictures, paths, folder, number)
        lines.append(_line(row, paths, row["split"] or _drawn(shares, f"{study}/{row['reference']}")))
    counts = {
        "triplets": len(kept),
        "votes": int(kept["n_left"].sum() + kept["n_right"].sum()),
        "not unanimous": int((~kept["right_share"].isin([0, 1])).sum()),
        "skips left out": int(table["n_skip"].sum()),
        "triplets without votes left out": len(table) - len(kept),
    }
    write_atomic(folder / "data.csv", cells.csv_text(COLUMNS, lines))
    write_atomic(folder / "DATA_CARD.md", data_card(store, study, licence=licence, written=counts))
    return counts


def import_nights(store: Judgments, study: str, folder: str | Path, *, sampling: str = "", hashed: bool = True) -> int:
    """Enter a folder in the form of NIGHTS as a study; its votes are kept as votes without raters.

    Args:
        store, study: Where to.
        folder: With `data.csv`; `prompt` or `category`, `split` and `is_imagenet` are used if there.
        sampling: How the triplets were chosen, for the data card.
        hashed: Open every picture and keep its hash; False is quick for a large set.

    Returns:
        Number of triplets. No filter by the number of votes is applied.

    Raises:
        JudgmentError: names file and row; nothing is stored then.
    """
    path = Path(folder) / "data.csv"
    study = rows.checked_name(study, "study")
    items: dict[str, stimuli.Item] = {}
    hashes: dict[str, str] = {}
    for number, row in cells.read_rows(path, [name for name in COLUMNS if name not in _OPTIONAL]):
        with cells.blaming(path, number):
            item = _item(row)
            if items.setdefault(item[0], item) is not item:
                raise JudgmentError(f"id {item[0]!r} is there already; ids must differ")
            if hashed:
                stimuli.hash_images([item], folder, hashes)
    with store.file.transaction() as connection:
        note = "imported from the column form of NIGHTS"
        stimuli.enter_study(connection, study, list(items.values()), hashes, note, sampling)
    return len(items)


def _item(row: Mapping[str, str]) -> stimuli.Item:
    count = rows.whole_number(row["votes"], "votes")
    left, share = (cells.number(row[name], name) for name in ("left_vote", "right_vote"))
    if abs(left + share - 1) > 1e-3 or min(left, share) < 0:
        raise JudgmentError(f"left_vote {left:g} and right_vote {share:g} must be 0 or more and add up to 1")
    right = round(share * count)
    if abs(share * count - right) > 0.1:  # rounded shares such as 0.67 of 3 are common
        raise JudgmentError(f"right_vote {share:g} is not a share of {count} votes")
    known = {
        "id": row["id"],
        **{name: row[column].removeprefix("./") for name, column in _SIDES.items()},
        "category": row.get("prompt") or row.get("category", ""),
        "split": row.get("split", ""),
        "is_imagenet": cells.truth(row.get("is_imagenet", ""), "is_imagenet"),
        "votes_left": count - right,
        "votes_right": right,
    }
    return stimuli.checked_item(known)


def _line(row: Mapping[str, Any], paths: Sequence[str], split: str) -> list[Any]:
    right = row["right_share"]
    votes = [int(share) if share in (0, 1) else share for share in (1 - right, right)]
    # "./" keeps a path a path where an apostrophe, as in other cells, would point to another file.
    safe = [f"./{path}" if cells.FORMULA.match(path) else path for path in paths]
    flag = "" if pd.isna(row["is_imagenet"]) else bool(row["is_imagenet"])
    count = row["n_left"] + row["n_right"]
    return [cells.guarded(row["id"]), *votes, count, cells.guarded(row["category"]), *safe, split, flag]


def _shares(split: str | Mapping[str, float]) -> dict[str, float]:
    shares = {split: 1.0} if isinstance(split, str) else dict(split)
    total = sum(shares.values()) if min(shares.values(), default=-1) >= 0 else math.nan
    if not set(shares) <= {"train", "val", "test"} or not math.isclose(total, 1):
        raise JudgmentError(f"split must be train, val or test, or shares of them that add up to 1, not {split!r}")
    return shares


def _drawn(shares: Mapping[str, float], key: str) -> str:
    draw, total = int.from_bytes(hashlib.sha256(key.encode()).digest()[:6]) / 2**48, 0.0
    for name, share in shares.items():
        total += share
        if draw < total:
            return name
    return name


def _copied(
    pictures: str | Path | Mapping[str, np.ndarray] | None, names: Sequence[str], folder: Path, number: int
) -> list[str]:
    stem = f"{number // 1000:03d}/{number % 1000:03d}"
    paths = [f"ref/{stem}.png", f"distort/{stem}_0.png", f"distort/{stem}_1.png"]
    for name, path in zip(names, paths, strict=True):
        if pictures is None or (isinstance(pictures, Mapping) and name not in pictures):
            raise JudgmentError(f"copy=True needs pictures= (the image folder, or arrays by name) that has {name!r}")
        image = Image.fromarray(pictures[name]) if isinstance(pictures, Mapping) else open_image(Path(pictures) / name)
        stream = io.BytesIO()
        image.save(stream, format="PNG")
        write_atomic(folder / path, stream.getvalue())
    return paths

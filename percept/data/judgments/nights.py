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

from percept.data.judgments import cells, rows
from percept.data.judgments.card import NOT_STATED, data_card
from percept.data.judgments.file import JudgmentError
from percept.data.judgments.store import Judgments
from percept.data.opening import open_image
from percept.storage import write_atomic

COLUMNS = (
    "id", "left_vote", "right_vote", "votes", "prompt", "ref_path", "left_path", "right_path", "split", "is_imagenet",
)  # fmt: skip
_OPTIONAL = ("prompt", "split", "is_imagenet")


def tally(store: Judgments, study: str) -> pd.DataFrame:
    """Votes on each triplet: first answers of the raters, plus votes imported without raters.

    Repeats and undone answers do not count.

    Returns:
        The columns of `Judgments.items`, then `n_left`, `n_right`, `n_skip` (int64) and `right_share` (float64,
        0..1, NaN without a vote).
    """
    items, answers = store.items(study), store.answers(study)
    asked = answers[answers["kind"] == "ask"]
    for answer in rows.ANSWERS["two_alternative"]:
        counts = asked.loc[asked["answer"] == answer, "triplet"].value_counts()
        items[f"n_{answer}"] = items["id"].map(counts).fillna(0).astype("int64")
    for side in ("left", "right"):
        items[f"n_{side}"] += items[f"votes_{side}"]
    votes = items["n_left"] + items["n_right"]
    return items.assign(right_share=items["n_right"] / votes.where(votes > 0))


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
    """Write `data.csv` and a data card, `DATA_CARD.md`, beside it.

    Several raters become votes (`tally`). `left_vote` and `right_vote` are the majority, 0 or 1; a column
    `right_share` is added where some triplet is not unanimous. A tie has no majority and a triplet without votes
    nothing to say: both are left out and counted.

    Args:
        store, study: Where the answers are.
        folder: Where to write. Paths in `data.csv` start from the image folder: write there, or copy.
        split: Name for all triplets that have none yet; or shares such as `{"train": 0.8, "test": 0.2}`, drawn by
            the reference picture, so that triplets of one reference stay together.
        pictures: Image folder, or uint8 [H, W, 3] arrays by the names that the study uses; needed to copy.
        copy: Copy the pictures as PNG without metadata, laid out as in NIGHTS.
        licence: Of the answers, for the card.

    Returns:
        Counts: triplets and votes written; ties, unanswered (triplets) and skips left out.

    Raises:
        JudgmentError: unknown study, bad shares, or copying without pictures.
    """
    folder, table = Path(folder), tally(store, study)
    if copy and pictures is None:
        raise JudgmentError("copy=True needs pictures= (the image folder, or arrays by name)")
    shares = {split: 1.0} if isinstance(split, str) else dict(split)
    if not shares or min(shares.values()) < 0 or not math.isclose(sum(shares.values()), 1):
        raise JudgmentError(f"shares of split must be 0 or more and add up to 1, not {shares}")
    answered = table["n_left"] + table["n_right"] > 0
    tied = answered & (table["n_left"] == table["n_right"])
    kept = table[answered & ~tied]
    lines = []
    for number, row in enumerate(kept.to_dict("records")):
        paths = [row["reference"], row["left"], row["right"]]
        if copy and pictures is not None:
            paths = _copied(pictures, paths, folder, number)
        lines.append(_line(row, paths, row["split"] or _drawn(shares, f"{study}/{row['reference']}")))
    soft = not kept["right_share"].isin([0, 1]).all()
    header = (*COLUMNS, "right_share") if soft else COLUMNS
    counts = {
        "triplets": len(kept),
        "votes": int(kept["n_left"].sum() + kept["n_right"].sum()),
        "ties": int(tied.sum()),
        "unanswered": int((~answered).sum()),
        "skips": int(table["n_skip"].sum()),
    }
    write_atomic(folder / "data.csv", cells.csv_text(header, (line[: len(header)] for line in lines)))
    write_atomic(folder / "DATA_CARD.md", data_card(store, study, licence=licence, written=counts))
    return counts


def import_nights(store: Judgments, study: str, folder: str | Path, *, sampling: str = "", hashed: bool = True) -> int:
    """Enter a folder in the form of NIGHTS as a study; its votes are kept as votes without raters.

    Args:
        store, study: Where to.
        folder: With `data.csv`; `prompt` or `category`, `split`, `is_imagenet` and `right_share` are used if there.
        sampling: How the triplets were chosen, for the data card.
        hashed: Open every picture and keep its hash; False is quick for a large set.

    Returns:
        Number of triplets. No filter by the number of votes is applied.

    Raises:
        JudgmentError: names file and row; nothing is stored then.
    """
    path = Path(folder) / "data.csv"
    study = rows.checked_name(study, "study")
    items: dict[str, rows.Item] = {}
    hashes: dict[str, str] = {}
    for number, row in cells.read_rows(path, [name for name in COLUMNS if name not in _OPTIONAL]):
        with cells.blaming(path, number):
            item = _item(row)
            if items.setdefault(item[0], item) is not item:
                raise JudgmentError(f"id {item[0]!r} is there already; ids must differ")
            if hashed:
                rows.hash_images([item], folder, hashes)
    with store.file.transaction() as connection:
        note = "imported from the column form of NIGHTS"
        rows.enter_study(connection, study, list(items.values()), hashes, note, sampling)
    return len(items)


def _item(row: Mapping[str, str]) -> rows.Item:
    count = rows.whole_number(row["votes"], "votes")
    left, right = (cells.number(row[name], name) for name in ("left_vote", "right_vote"))
    if left + right != 1 or min(left, right) < 0:
        raise JudgmentError(f"left_vote {left:g} and right_vote {right:g} must be 0 or more and add up to 1")
    share = cells.number(row["right_share"], "right_share") if row.get("right_share") else right
    if not 0 <= share <= 1 or abs(share * count - round(share * count)) > 1e-3:
        raise JudgmentError(f"right_share {share:g} is not a share of {count} votes")
    known = {
        "id": row["id"],
        **{name: row[f"{short}_path"].removeprefix("./") for name, short in _SIDES.items()},
        "category": row.get("prompt") or row.get("category", ""),
        "split": row.get("split", ""),
        "is_imagenet": cells.truth(row.get("is_imagenet", ""), "is_imagenet"),
        "votes_left": count - round(share * count),
        "votes_right": round(share * count),
    }
    return rows.checked_item(known)


_SIDES = {"reference": "ref", "left": "left", "right": "right"}


def _line(row: Mapping[str, Any], paths: Sequence[str], split: str) -> list[Any]:
    right = int(row["n_right"] > row["n_left"])
    # "./" keeps a path a path where an apostrophe, as in other cells, would point to another file.
    safe = [f"./{path}" if cells.FORMULA.match(path) else path for path in paths]
    flag = "" if pd.isna(row["is_imagenet"]) else bool(row["is_imagenet"])
    texts = cells.guarded(row["id"]), 1 - right, right, row["n_left"] + row["n_right"], cells.guarded(row["category"])
    return [*texts, *safe, split, flag, row["right_share"]]


def _drawn(shares: Mapping[str, float], key: str) -> str:
    draw, total = int.from_bytes(hashlib.sha256(key.encode()).digest()[:6]) / 2**48, 0.0
    for name, share in shares.items():
        total += share
        if draw < total:
            return name
    return name


def _copied(
    pictures: str | Path | Mapping[str, np.ndarray], names: Sequence[str], folder: Path, number: int
) -> list[str]:
    block, place = divmod(number, 1000)
    stem = f"{block:03d}/{place:03d}"
    paths = [f"ref/{stem}.png", f"distort/{stem}_0.png", f"distort/{stem}_1.png"]
    for name, path in zip(names, paths, strict=True):
        if isinstance(pictures, Mapping):
            if name not in pictures:
                raise JudgmentError(f"pictures has no array for {name!r}")
            image = Image.fromarray(pictures[name])
        else:
            image = open_image(Path(pictures) / name)
        stream = io.BytesIO()
        image.save(stream, format="PNG")
        write_atomic(folder / path, stream.getvalue())
    return paths

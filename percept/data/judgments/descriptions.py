"""Descriptions as files to train on: open_clip's caption csv, and region records (X-VLM, Zeng et al. 2022).

`percept.data.pair_files.read_csv` reads the first, `percept.data.region_files.read_regions` the second.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from percept.data.judgments import cells
from percept.data.judgments.card import NOT_STATED, data_card
from percept.data.judgments.file import JudgmentError
from percept.data.judgments.store import Judgments
from percept.data.judgments.votes import descriptions_table
from percept.storage import write_atomic


def export_captions(
    store: Judgments, study: str, folder: str | Path, *, language: str = "", licence: str = NOT_STATED
) -> Path:
    """Write `captions.csv` - a picture's path (`filepath`) and a sentence about the whole of it (`title`) per row.

    A data card, `captions.card.md`, is written beside it. Descriptions of boxes are left out.

    Args:
        store, study: Where the descriptions are.
        folder: Where to write. Paths start from the image folder: write there, or name it to the reader (`images=`).
        language: Only descriptions written in a panel of this language, such as "ja".
        licence: Of the descriptions, for the card.

    Returns:
        Path of the csv. A sentence that a spreadsheet would run as a formula has a blank before it, which readers
        take off.

    Raises:
        JudgmentError: no such study, one of another task, or no captions yet.
    """
    table = _chosen(store, study, language)
    captions = table[table["box"].isna()]
    if not len(captions):
        raise JudgmentError(f"study {study!r} has no captions of whole pictures yet; nothing was written")
    lines = ([_path_cell(name), _text_cell(text)] for name, text in captions[["image", "text"]].to_numpy())
    path = write_atomic(Path(folder) / "captions.csv", cells.csv_text(("filepath", "title"), lines))
    counts = {
        "captions": len(captions),
        "pictures": captions["image"].nunique(),
        "descriptions left out": len(table) - len(captions),
    }
    write_atomic(path.with_suffix(".card.md"), data_card(store, study, licence=licence, written=counts))
    return path


def export_regions(
    store: Judgments, study: str, folder: str | Path, *, language: str = "", licence: str = NOT_STATED
) -> Path:
    """Write `regions.json`, a list of records, one per picture that has a description, and `regions.card.md`.

    A record is `{"image": path, "caption": [...], "elems": [{"caption": text, "bb": [x, y, width, height]}]}`, boxes in
    px of the upright picture; without sentences about the whole picture it has no `caption`. What several raters wrote
    about a picture is in one record.

    Args:
        store, study, folder, language, licence: As in `export_captions`.

    Raises:
        JudgmentError: no such study, one of another task, or no box described yet.
    """
    table = _chosen(store, study, language)
    boxes = int(table["box"].notna().sum())
    if not boxes:
        raise JudgmentError(f"study {study!r} has no descriptions of boxes yet; nothing was written")
    records = [_record(str(image), rows) for image, rows in table.groupby("image", sort=False)]
    lines = ",\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    path = write_atomic(Path(folder) / "regions.json", f"[\n{lines}\n]\n")
    counts = {"regions": boxes, "captions": len(table) - boxes, "pictures": len(records)}
    write_atomic(path.with_suffix(".card.md"), data_card(store, study, licence=licence, written=counts))
    return path


def _chosen(store: Judgments, study: str, language: str) -> pd.DataFrame:
    table = descriptions_table(store, study)
    return table[table["language"] == language] if language else table


def _record(image: str, rows: pd.DataFrame) -> dict[str, Any]:
    captions = rows.loc[rows["box"].isna(), "text"].tolist()
    parts = rows[rows["box"].notna()]
    elems = [{"caption": text, "bb": list(box)} for text, box in zip(parts["text"], parts["box"], strict=True)]
    return {"image": image, **({"caption": captions} if captions else {}), "elems": elems}


def _path_cell(name: str) -> str:
    """A path that stays one where readers strip blanks and spreadsheets run formulas."""
    return f"./{name}" if cells.FORMULA.match(name) or name[0].isspace() else name


def _text_cell(text: str) -> str:
    return f" {text}" if cells.FORMULA.match(text) else text

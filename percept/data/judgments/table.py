"""A plain CSV with one answer per row, written and read without loss."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from percept.data.judgments import cells, rows, stimuli
from percept.data.judgments.card import NOT_STATED, data_card
from percept.data.judgments.store import Judgments
from percept.storage import write_atomic

_NEEDED = ("rater", "triplet", "reference", "left", "right", "answer")
COLUMNS = (
    "study", "task", "rater", "group", "language", "consent", "triplet", "reference", "left", "right", "category",
    "position", "answer", "swapped", "seconds", "kind", "time", "undone",
)  # fmt: skip


def export_csv(
    store: Judgments, path: str | Path, study: str | None = None, *, rater: str | None = None, licence: str = NOT_STATED
) -> Path:
    """Write one answer per row - repeats, skips and undone ones too - and a data card beside it.

    Args:
        store: Where the answers are.
        path: The file; UTF-8 with the mark by which Excel knows it. The card is `<name>.card.md`.
        study: One study, or all.
        rater: One rater only, for those who ask for their data.
        licence: Of the answers, for the card.

    Returns:
        Path of the CSV. Cells that a spreadsheet would run as a formula begin with an apostrophe.

    Raises:
        JudgmentError: unknown study or rater.
    """
    path = Path(path)
    table = store.answers(study, rater, include_undone=True)
    items = [store.items(name).assign(study=name) for name in table["study"].unique()]
    if items:
        pictures = pd.concat(items)[["study", "id", "reference", "left", "right", "category"]]
        table = table.merge(pictures.rename(columns={"id": "triplet"}), on=["study", "triplet"], how="left")
        table = table.merge(store.studies()[["name", "task"]].rename(columns={"name": "study"}), on="study", how="left")
        table = table.merge(store.raters()[["rater", "language", "consent"]], on="rater", how="left")
    lines = ([cells.guarded(row[name]) for name in COLUMNS] for row in table.to_dict("records"))
    write_atomic(path, "\ufeff" + cells.csv_text(COLUMNS, lines))
    write_atomic(path.with_suffix(".card.md"), data_card(store, study, rater=rater, licence=licence))
    return path


def import_csv(store: Judgments, path: str | Path, study: str = "", *, folder: str | Path | None = None) -> int:
    """Store the answers of a CSV; those already there are not doubled.

    Args:
        store: Where to.
        path: As `export_csv` writes it, or any CSV (comma, semicolon or tab; UTF-8) with the columns `rater`,
            `triplet`, `reference`, `left`, `right`, `answer`; without `position` the order of the rows counts, without
            `task` they are triplets. Studies, questions and raters that the store does not know are entered.
        study: Name for a file without a column `study`.
        folder: Image folder, to keep the hashes of the pictures.

    Returns:
        Number of new answers.

    Raises:
        JudgmentError: names file and row; nothing of the file is stored then.
    """
    path = Path(path)
    turns: Counter[tuple[str, str]] = Counter()
    hashes: dict[str, str] = {}
    records = []
    for number, row in cells.read_rows(path, _NEEDED):
        with cells.blaming(path, number):
            name = rows.checked_name(row.get("study") or study, "study (a column, or the argument)")
            rater = rows.checked_name(row["rater"], "rater")
            task = stimuli.checked_task(row.get("task") or "two_alternative")
            item = stimuli.checked_item(row | {"id": row["triplet"], "split": ""}, task)
            if folder is not None:
                stimuli.hash_images([item], folder, hashes)
            records.append((number, row, task, item, _answer(row, name, rater, item[0], turns[name, rater])))
            turns[name, rater] += 1
    added = 0
    with store.file.transaction() as connection:
        for number, row, task, item, answer in records:
            with cells.blaming(path, number):
                stimuli.insert_study(connection, answer.study, f"imported from {path.name}", task=task)
                stimuli.insert_items(connection, answer.study, [item], hashes)
                _insert_rater(connection, row, answer)
                added += rows.insert_answer(connection, answer)[1]
    return added


def _answer(row: Mapping[str, str], study: str, rater: str, item: str, turn: int) -> rows.Answer:
    position = cells.number(row["position"], "position") if row.get("position") else turn
    return rows.Answer(
        study=study,
        rater=rater,
        item=item,
        position=rows.whole_number(position, "position"),
        answer=row["answer"] if row.get("kind") == "entry" else row["answer"].lower(),
        swapped=bool(cells.truth(row.get("swapped", ""), "swapped")),
        seconds=cells.number(row["seconds"], "seconds") if row.get("seconds") else None,
        kind=row.get("kind") or "ask",
        time=cells.moment(row.get("time", ""), "time"),
        undone=cells.moment(row.get("undone", ""), "undone"),
    )


def _insert_rater(connection: sqlite3.Connection, row: Mapping[str, str], answer: rows.Answer) -> None:
    details = row.get("group", ""), row.get("language") or "en", row.get("consent", "")
    rows.insert_rater(connection, answer.rater, *details, answer.time or rows.now())

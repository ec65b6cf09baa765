"""What the answers say about each question, in the forms that the methods of `percept.labelling` take."""

from __future__ import annotations

import math

import pandas as pd

from percept.data.judgments.entries import parsed_entry, standing
from percept.data.judgments.file import JudgmentError
from percept.data.judgments.rows import TASKS
from percept.data.judgments.store import Judgments


def coded(answers: pd.DataFrame) -> pd.DataFrame:
    """Choices between left and right as the methods of `percept.labelling` take them.

    Args:
        answers: As `Judgments.answers` returns them, without undone ones, of triplets or pairs.

    Returns:
        Columns rater, group, item, answer (float: 0 left, 1 right, NaN can't tell), order (the position),
        seconds, kind, swapped; repeats are in it, kept apart by their kind.

    Raises:
        JudgmentError: an answer is a rating or a description.
    """
    codes = {"left": 0.0, "right": 1.0, "skip": math.nan}
    for row in answers[~answers["answer"].isin(list(codes))].head(1).itertuples():
        what = "descriptions" if row.kind == "entry" or row.answer == "done" else "ratings"
        raise JudgmentError(f"study {row.study!r} has {what} ({row.answer!r} of {row.triplet!r}): use {what}_table")
    frame = answers.rename(columns={"triplet": "item", "position": "order"})
    frame = frame.assign(answer=frame["answer"].map(codes).astype("float64"))
    return frame[["rater", "group", "item", "answer", "order", "seconds", "kind", "swapped"]]


def tally(store: Judgments, study: str) -> pd.DataFrame:
    """Votes on each triplet or pair: first answers of the raters, plus votes imported without raters.

    Repeats and undone answers do not count.

    Returns:
        The columns of `Judgments.items`, then `n_left`, `n_right`, `n_skip` (int64) and `right_share` (float64,
        0..1, NaN without a vote).

    Raises:
        JudgmentError: no such study, or one of ratings.
    """
    require_task(store, study, "two_alternative", "pair")
    items, answers = store.items(study), store.answers(study)
    asked = answers[answers["kind"] == "ask"]
    for answer in TASKS["two_alternative"].choices:
        counts = asked.loc[asked["answer"] == answer, "triplet"].value_counts()
        items[f"n_{answer}"] = items["id"].map(counts).fillna(0).astype("int64")
    for side in ("left", "right"):
        items[f"n_{side}"] += items[f"votes_{side}"]
    votes = items["n_left"] + items["n_right"]
    return items.assign(right_share=items["n_right"] / votes.where(votes > 0))


def ratings_table(store: Judgments, study: str) -> pd.DataFrame:
    """Ratings as `percept.labelling.opinion` takes them.

    Returns:
        Columns rater, group, item (name of the picture), score (float64: 1..5 or 0..100, NaN can't tell), order (the
        position), seconds, kind; repeats are in it, kept apart by their kind.

    Raises:
        JudgmentError: no such study, or one of another task.
    """
    frame = _with_pictures(store, study, "rating", "slider").rename(columns={"reference": "item", "position": "order"})
    frame = frame.assign(score=pd.to_numeric(frame["answer"], errors="coerce").astype("float64"))
    return frame[["rater", "group", "item", "score", "order", "seconds", "kind"]]


def pairs_table(store: Judgments, study: str) -> pd.DataFrame:
    """First choices between two pictures as `percept.labelling.aggregate.bradley_terry` takes them.

    Returns:
        Columns rater, group, winner and loser (names of pictures), order (the position), seconds; without repeats and
        without "can't tell".

    Raises:
        JudgmentError: no such study, or one of another task.
    """
    frame = _with_pictures(store, study, "pair").rename(columns={"position": "order"})
    frame = frame[(frame["kind"] == "ask") & (frame["answer"] != "skip")].reset_index(drop=True)
    left = frame["answer"] == "left"
    frame = frame.assign(
        winner=frame["left"].where(left, frame["right"]), loser=frame["right"].where(left, frame["left"])
    )
    return frame[["rater", "group", "winner", "loser", "order", "seconds"]]


def descriptions_table(store: Judgments, study: str) -> pd.DataFrame:
    """Descriptions that hold - not taken back, replaced or removed - in the order of the study's pictures.

    Returns:
        Columns rater, group, image (name of the picture), text, box ((x, y, width, height) in px of the upright
        picture, None: the whole picture), fields (choices from a template), language, order (the position), seconds.

    Raises:
        JudgmentError: no such study, or one of another task.
    """
    require_task(store, study, "describe")
    items, answers = store.items(study), store.answers(study)
    pictures, lines = dict(zip(items["id"], enumerate(items["reference"]), strict=True)), []
    written = answers[answers["kind"] == "entry"]
    for (image, rater, group), rows in written.groupby(["triplet", "rater", "group"], sort=False):
        given = dict(zip(rows["position"], map(parsed_entry, rows["answer"]), strict=True))
        seconds = dict(zip(rows["position"], rows["seconds"], strict=True))
        number, name = pictures[image]
        for place, entry in standing(given).items():
            about = entry.text, entry.box, dict(entry.fields or {}), entry.language
            lines.append((number, rater, group, name, *about, place, seconds[place]))
    lines.sort(key=lambda line: line[0])
    columns = ["rater", "group", "image", "text", "box", "fields", "language", "order", "seconds"]
    return pd.DataFrame([line[1:] for line in lines], columns=columns)


def _with_pictures(store: Judgments, study: str, *tasks: str) -> pd.DataFrame:
    """Answers of a study with the names of the pictures."""
    require_task(store, study, *tasks)
    pictures = store.items(study)[["id", "reference", "left", "right"]].rename(columns={"id": "triplet"})
    return store.answers(study).merge(pictures, on="triplet", how="left")


def require_task(store: Judgments, study: str, *tasks: str) -> None:
    """Refuse a study that does not exist or asks for something else."""
    store.items(study)  # says which studies there are
    task = store.studies().set_index("name").at[study, "task"]
    if task not in tasks:
        raise JudgmentError(f"study {study!r} has the task {task!r}; this needs {' or '.join(map(repr, tasks))}")

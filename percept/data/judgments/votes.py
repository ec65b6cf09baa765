"""What the answers say about each triplet."""

from __future__ import annotations

import math

import pandas as pd

from percept.data.judgments.rows import ANSWERS
from percept.data.judgments.store import Judgments


def coded(answers: pd.DataFrame) -> pd.DataFrame:
    """Answers as the methods of `percept.labelling` take them.

    Args:
        answers: As `Judgments.answers` returns them, without undone ones.

    Returns:
        Columns rater, group, item, answer (float: 0 left, 1 right, NaN can't tell), order (the position),
        seconds, kind, swapped; repeats are in it, kept apart by their kind.
    """
    codes = {"left": 0.0, "right": 1.0, "skip": math.nan}
    frame = answers.rename(columns={"triplet": "item", "position": "order"})
    frame = frame.assign(answer=frame["answer"].map(codes).astype("float64"))
    return frame[["rater", "group", "item", "answer", "order", "seconds", "kind", "swapped"]]


def tally(store: Judgments, study: str) -> pd.DataFrame:
    """Votes on each triplet: first answers of the raters, plus votes imported without raters.

    Repeats and undone answers do not count.

    Returns:
        The columns of `Judgments.items`, then `n_left`, `n_right`, `n_skip` (int64) and `right_share` (float64,
        0..1, NaN without a vote).
    """
    items, answers = store.items(study), store.answers(study)
    asked = answers[answers["kind"] == "ask"]
    for answer in ANSWERS["two_alternative"]:
        counts = asked.loc[asked["answer"] == answer, "triplet"].value_counts()
        items[f"n_{answer}"] = items["id"].map(counts).fillna(0).astype("int64")
    for side in ("left", "right"):
        items[f"n_{side}"] += items[f"votes_{side}"]
    votes = items["n_left"] + items["n_right"]
    return items.assign(right_share=items["n_right"] / votes.where(votes > 0))

"""What a rater will see and in which order, and how a study's stimuli are written into the store."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from percept.data.judgments import Judgments

if TYPE_CHECKING:
    from percept.data.triplets import Triplets


class SessionError(ValueError):
    """A session that does not fit the stored answers, or an answer that means nothing."""


@dataclass(frozen=True)
class Trial:
    """One question as the rater sees it.

    Attributes:
        position: place in this rater's order, from 0.
        triplet: row of the study's triplets.
        reference, left, right: rows of its images, as shown.
        swapped: whether left and right have changed places against the triplet.
        kind: "ask", or "repeat" for an attention check.
    """

    position: int
    triplet: int
    reference: int
    left: int
    right: int
    swapped: bool
    kind: str = "ask"

    @property
    def rows(self) -> tuple[int, int, int]:
        """Reference, left and right as shown."""
        return self.reference, self.left, self.right


def plan_trials(
    items: Any, key: Sequence[Any], *, repeats: float = 0.1, distance: int = 10, swap_repeats: bool = True
) -> list[Trial]:
    """Order, sides and repeats of one rater, from hashes of `key`: the same on every machine and version.

    Args:
        items: int [T, 3] reference, left, right.
        key: what the plan depends on, such as (seed, study, rater).
        repeats: share of the triplets that come twice, 0..1. Only triplets with `distance` others after them
            can be repeated, so a short study has fewer.
        distance: at least so many trials lie between a triplet and its repeat.
        swap_repeats: a repeat shows the sides exchanged, which also unmasks raters who always press one side.

    Example:
        >>> trials = plan_trials([[0, 1, 2], [3, 4, 5], [6, 7, 8]], (0, "study", "ann"), repeats=0.5, distance=1)
        >>> len(trials), sum(trial.kind == "repeat" for trial in trials)
        (5, 2)
    """
    rows = np.asarray(items, dtype=np.int64).reshape(-1, 3)
    if not len(rows):
        raise SessionError("the study has no triplets; there is nothing to ask")
    if not 0 <= repeats <= 1 or distance < 0:
        raise SessionError(f"repeats={repeats} must lie in 0..1 and distance={distance} be at least 0")

    def draw(purpose: str, row: int) -> float:
        text = "\0".join(map(str, [*key, purpose, row]))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48

    order = sorted(range(len(rows)), key=lambda row: draw("order", row))
    room = len(rows) - distance  # the last `distance` trials have too few others after them
    chosen = sorted(range(max(0, room)), key=lambda place: draw("repeat", order[place]))[: round(repeats * len(rows))]
    # Trial i of the first showing sits at i; a repeat anywhere from `distance` places later to the end.
    slots = [(float(place), 0, row, draw("side", row) < 0.5) for place, row in enumerate(order)]
    for place in chosen:
        row = order[place]
        later = place + distance + draw("slot", row) * (room - place)
        slots.append((later, 1, row, (draw("side", row) < 0.5) != swap_repeats))
    trials = []
    for position, (_, repeat, row, swapped) in enumerate(sorted(slots)):
        reference, left, right = map(int, rows[row])
        sides = (right, left) if swapped else (left, right)
        trials.append(Trial(position, row, reference, *sides, swapped, "repeat" if repeat else "ask"))
    return trials


def rater_name(name: str) -> str:
    """A pseudonym as the store writes it: no outer blanks, one Unicode form."""
    return unicodedata.normalize("NFC", name).strip()


def study_table(triplets: Triplets, folder: str | Path | None = None) -> pd.DataFrame:
    """Triplets as the store keeps them: id (the row), reference, left, right, category.

    Args:
        triplets: of files, then names are paths inside `folder`; or of an array, then a picture's name is its
            position and a hash, so that other pictures are noticed.
        folder: image folder; default: the deepest that holds all files.

    Raises:
        SessionError: a file lies outside the folder.
    """
    if isinstance(triplets.images, np.ndarray):
        names = [f"{i}-{hashlib.sha256(image.tobytes()).hexdigest()[:12]}" for i, image in enumerate(triplets.images)]
    else:
        base = Path(folder) if folder is not None else common_folder(triplets.images)
        outside = [path for path in triplets.images if not Path(path).is_relative_to(base)]
        if outside:
            raise SessionError(f"{outside[0]} lies outside the image folder {base}; name a folder that holds all files")
        names = [Path(path).relative_to(base).as_posix() for path in triplets.images]
    columns = {side: [names[i] for i in triplets.items[:, k]] for k, side in enumerate(("reference", "left", "right"))}
    ids = [str(row) for row in range(len(triplets))]
    return pd.DataFrame({"id": ids, **columns, "category": triplets.groups.astype(object)})


def common_folder(paths: Sequence[Path]) -> Path:
    """Deepest folder that holds all files."""
    return Path(os.path.commonpath([Path(path).parent for path in paths]))


def enter_study(
    store: Judgments, study: str, triplets: Triplets, folder: str | Path | None = None, sampling: str = ""
) -> None:
    """Enter the study's stimuli into the store unless the same ones are there.

    Raises:
        percept.data.judgments.JudgmentError: the study is there with other triplets; or a file is missing.
    """
    if not isinstance(triplets.images, np.ndarray) and folder is None:
        folder = common_folder(triplets.images)
    table = study_table(triplets, folder)
    if study in set(store.studies()["name"]):
        columns = ["id", "reference", "left", "right"]
        if store.items(study)[columns].to_numpy().tolist() == table[columns].to_numpy().tolist():
            return  # the usual way back in; the store would hash every file again
    files = None if isinstance(triplets.images, np.ndarray) else folder
    store.add_study(study, table, folder=files, sampling=sampling)

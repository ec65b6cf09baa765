"""What a rater will see and in which order, and how a study's stimuli are written into the store."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from percept.data.judgments import TASKS, Judgments
from percept.data.triplets import Triplets


class SessionError(ValueError):
    """A session that does not fit the stored answers, or an answer that means nothing."""


@dataclass(frozen=True, eq=False)
class Questions:
    """What to ask of pictures that have no reference: a rating or description of each, or which of two is better.

    Attributes:
        images: uint8 [N, H, W, 3], or N image files.
        items: int64 [T, 1], pictures to rate or describe, or [T, 2], left and right; positions in `images`.
        task: "rating" (five categories), "slider" (0 to 100), "pair" or "describe".
        groups: str [T], category, "" without one.

    Raises:
        SessionError: another task, or positions that do not fit it.
        percept.data.triplets.TripletsError: images that are none.

    Example:
        >>> Questions(np.zeros((3, 8, 8, 3), np.uint8), [[0, 1], [1, 2]], "pair").items.tolist()
        [[0, 1], [1, 2]]
    """

    images: np.ndarray | list[Path]
    items: np.ndarray
    task: str
    groups: np.ndarray = None  # type: ignore[assignment]  # none

    def __post_init__(self) -> None:
        if self.task not in ("rating", "slider", "pair", "describe"):
            message = f"task must be rating, slider, pair or describe, not {self.task!r}"
            raise SessionError(f"{message}; triplets are `Triplets`")
        images = Triplets(self.images, np.zeros((0, 3)), np.zeros(0)).images  # the same checks of pictures
        items, count = np.asarray(self.items), len(TASKS[self.task].pictures)
        if items.ndim != 2 or items.shape[1] != count or not np.issubdtype(items.dtype, np.integer):
            form = f"whole numbers [T, {count}]"
            raise SessionError(f"items of the task {self.task!r} must be {form}, got {items.dtype} {list(items.shape)}")
        odd = ((items < 0) | (items >= len(images))).any(axis=1) | (items[:, :1] == items[:, 1:]).any(axis=1)
        for row in np.flatnonzero(odd)[:1]:
            positions = f"different positions from 0 to {len(images) - 1}"
            raise SessionError(f"item {row} names pictures {items[row].tolist()}; they must be {positions}")
        groups = np.full(len(items), "") if self.groups is None else np.asarray(self.groups).astype(str)
        if groups.shape != (len(items),):
            raise SessionError(f"groups must hold one name per item ({len(items)}), got shape {groups.shape}")
        for name, value in {"images": images, "items": items.astype(np.int64), "groups": groups}.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.items)


def task_of(triplets: Triplets | Questions) -> str:
    """The task as the store names it."""
    return triplets.task if isinstance(triplets, Questions) else "two_alternative"


@dataclass(frozen=True)
class Trial:
    """One question as the rater sees it.

    Attributes:
        position: place in this rater's order, from 0.
        triplet: row of the study's triplets, or other questions.
        rows: of its images, as shown: reference, left and right; left and right; or the one picture.
        swapped: whether left and right have changed places against the study's table.
        kind: "ask", or "repeat" for an attention check.
    """

    position: int
    triplet: int
    rows: tuple[int, ...]
    swapped: bool
    kind: str = "ask"

    @property
    def reference(self) -> int:
        """Row of a triplet's reference, or of the picture to rate."""
        return self.rows[0]

    @property
    def left(self) -> int:
        """Row of the left one of two."""
        return self.rows[-2]

    @property
    def right(self) -> int:
        """Row of the right one of two."""
        return self.rows[-1]


def plan_trials(
    items: Any, key: Sequence[Any], *, repeats: float = 0.1, distance: int = 10, swap_repeats: bool = True
) -> list[Trial]:
    """Order, sides and repeats of one rater, from hashes of `key`: the same on every machine and version.

    Args:
        items: int [T, 3] reference, left, right; [T, 2] left, right; or [T, 1].
        key: what the plan depends on, such as (seed, study, rater).
        repeats: share of the questions that come twice, 0..1. Only those with `distance` others after them can be
            repeated, so a short study has fewer.
        distance: at least so many trials lie between a question and its repeat.
        swap_repeats: a repeat shows the sides exchanged, which also unmasks raters who always press one side.

    Example:
        >>> trials = plan_trials([[0, 1, 2], [3, 4, 5], [6, 7, 8]], (0, "study", "ann"), repeats=0.5, distance=1)
        >>> len(trials), sum(trial.kind == "repeat" for trial in trials)
        (5, 2)
    """
    rows = np.asarray(items, dtype=np.int64)
    if not len(rows):
        raise SessionError("the study has no triplets, pairs or pictures; there is nothing to ask")
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
        shown = rows[row].tolist()
        swapped = swapped and len(shown) > 1  # a single picture has no sides
        if swapped:
            shown[-2:] = shown[-1], shown[-2]
        trials.append(Trial(position, row, tuple(shown), swapped, "repeat" if repeat else "ask"))
    return trials


def rater_name(name: str) -> str:
    """A pseudonym as the store writes it: no outer blanks, one Unicode form."""
    return unicodedata.normalize("NFC", name).strip()


def study_table(triplets: Triplets | Questions, folder: str | Path | None = None) -> pd.DataFrame:
    """Questions as the store keeps them: id (the row), reference, left, right ("" where there is none), category.

    Args:
        triplets: or other questions: of files, then names are paths inside `folder`; or of an array, then a picture's
            name is its position and a hash, so that other pictures are noticed.
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
    sides = TASKS[task_of(triplets)].pictures
    shown = {side: [names[i] for i in triplets.items[:, k]] for k, side in enumerate(sides)}
    columns = {"reference": "", "left": "", "right": ""} | shown
    ids = [str(row) for row in range(len(triplets))]
    return pd.DataFrame({"id": ids, **columns, "category": triplets.groups.astype(object)})


def common_folder(paths: Sequence[Path]) -> Path:
    """Deepest folder that holds all files."""
    return Path(os.path.commonpath([Path(path).parent for path in paths]))


def enter_study(
    store: Judgments, study: str, triplets: Triplets | Questions, folder: str | Path | None = None, sampling: str = ""
) -> None:
    """Enter the study's stimuli into the store unless the same ones are there.

    Raises:
        percept.data.judgments.JudgmentError: the study is there with another task or other stimuli; or a file is
            missing.
    """
    task = task_of(triplets)
    if not isinstance(triplets.images, np.ndarray) and folder is None:
        folder = common_folder(triplets.images)
    table = study_table(triplets, folder)
    if store.studies().set_index("name")["task"].get(study) == task:
        columns = ["id", "reference", "left", "right"]
        if store.items(study)[columns].to_numpy().tolist() == table[columns].to_numpy().tolist():
            return  # the usual way back in; the store would hash every file again
    files = None if isinstance(triplets.images, np.ndarray) else folder
    store.add_study(study, table, folder=files, sampling=sampling, task=task)

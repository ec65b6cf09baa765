"""From a folder of images to a labelling panel in one call."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from percept import runs
from percept.data.images import FolderData, read_folder
from percept.data.judgments import TASKS, Judgments
from percept.data.triplets import Triplets
from percept.labelling.plan import Questions, SessionError, enter_study

if TYPE_CHECKING:
    from percept.labelling.widget import Labeller

log = logging.getLogger(__name__)


def label_folder(
    data_dir: str | Path,
    rater: str = "",
    *,
    task: str = "triplet",
    n: int = 200,
    study: str = "",
    seed: int = 0,
    within_class: bool = False,
    triplets: Triplets | None = None,
    store: Judgments | str | Path | None = None,
    **panel: Any,
) -> Labeller:
    """Judge one's own images: show what this returns as the last line of a cell.

    The first call draws the questions and stores them; every later call with the same folder and study, by the
    same or another rater, goes on with those, also when images have been added since.

    Args:
        data_dir: folder of images as in `percept.data.images.read_folder`.
        rater: pseudonym; empty: the first page asks.
        task: "triplet" (which of two looks more like a third), "pair" (which of two is better), "rating" (five
            categories, bad to excellent) or "slider" (0 to 100).
        n: number of questions; pictures to rate are at most those of the folder, pairs as in `random_pairs`.
        study: its name; default: the folder's name, and the task unless it is triplets.
        seed: of the random questions, and of order and sides.
        within_class: for triplets: draw both candidates from the reference's class, where there are classes.
        triplets: own ones of files in `data_dir` (for example chosen by `percept.labelling.sampling`).
        store: the judgments, or their file; default: `judgments.sqlite` beside the run folders.
        **panel: group, groups, language, consent, size, repeats, ... of `Labeller`.

    Raises:
        percept.data.images.ImageError: no folder, no images.
        SessionError: too few images, images of a known study are gone or have changed, the study has another task, or
            an option that the task does not have.
        percept.data.judgments.JudgmentError: the study is there with other triplets than those given.

    Example:
        >>> from percept.labelling import label_folder
        >>> label_folder("photos", groups=["inspector", "designer"], language="ja")  # doctest: +SKIP
    """
    from percept.labelling.widget import Labeller  # the panel needs ipywidgets, the triplets do not

    kind = "two_alternative" if task == "triplet" else task
    if task in ("two_alternative", "describe") or kind not in TASKS:
        advice = "; use describe_folder" if task == "describe" else ""
        raise SessionError(f"task must be triplet, pair, rating or slider, not {task!r}{advice}")
    if task != "triplet" and (within_class or triplets is not None):
        raise SessionError(f"within_class and triplets= belong to the task 'triplet', not to {task!r}")
    folder = Path(data_dir).resolve()
    study = study or (folder.name if task == "triplet" else f"{folder.name} {task}")
    store = opened_store(store)
    asked = questions_of(
        store, study, kind, folder, lambda data: _drawn(data, task, n, seed, within_class), given=triplets
    )
    return Labeller(store, study, asked, rater, seed=seed, **panel)


def opened_store(store: Judgments | str | Path | None) -> Judgments:
    """The judgments, or those in a file; default: `judgments.sqlite` beside the run folders."""
    return store if isinstance(store, Judgments) else Judgments(store or runs.home() / "judgments.sqlite")


def questions_of(
    store: Judgments, study: str, kind: str, folder: Path,
    draw: Callable[[FolderData], tuple[Triplets | Questions, str]], given: Triplets | None = None,
) -> Triplets | Questions:  # fmt: skip
    """What a study asks about the images of a folder: as it is stored, `given`, or drawn now; stored if it is new.

    Args:
        store, study: where the questions are kept.
        kind: task as the store names it.
        folder: of the images.
        draw: makes the questions, and says how, from the usable images.
        given: questions of one's own.

    Raises:
        SessionError, percept.data.judgments.JudgmentError: as in `label_folder`.
    """
    known = store.studies().set_index("name")["task"]
    if known.get(study, kind) != kind:
        raise SessionError(f"study {study!r} has the task {known[study]!r}, not {kind!r}: give another study name")
    asked: Triplets | Questions
    if given is not None:
        asked, sampling = given, "given"
    elif study in known:
        asked, sampling = stored_questions(store, study, folder), ""
    else:
        data = read_folder(folder)
        if problems := len(data.problems):
            log.warning("%s: %d images cannot be used; scan_folder(...).table() lists them", folder, problems)
        asked, sampling = draw(data)
    enter_study(store, study, asked, folder, sampling)
    return asked


def _drawn(data: FolderData, task: str, n: int, seed: int, within_class: bool) -> tuple[Triplets | Questions, str]:
    """Random questions, and how they were drawn."""
    if task == "triplet":
        how = f"each image in turn as reference{', candidates of its class' * within_class}"
        return random_triplets(data, n, seed, within_class=within_class), f"random (seed {seed}, {how})"
    if task == "pair":
        return random_pairs(data, n, seed), f"random (seed {seed}, every image in several pairs, all connected)"
    return random_pictures(data, n, seed, task), f"random (seed {seed}, each image once)"


def random_pictures(data: FolderData, n: int, seed: int = 0, task: str = "rating") -> Questions:
    """Pictures to rate or describe, each once: n of them, or all of a smaller folder.

    Raises:
        SessionError: n below 1.
    """
    if n < 1:
        raise SessionError(f"{data.folder}: n must be at least 1 (n={n})")
    chosen = np.sort(np.random.default_rng(seed).permutation(len(data.paths))[:n])
    paths = [data.paths[row] for row in chosen]
    return Questions(paths, np.arange(len(paths))[:, None], task, _labels(data)[chosen])


def random_pairs(data: FolderData, n: int, seed: int = 0) -> Questions:
    """Pairs from which one scale can be made: every image is in several, and all are connected.

    The images lie on a ring in random order. Each meets its neighbour, which connects all, and then the one that is
    two, three, ... steps further, the steps in random order; so no pair comes twice.

    Args:
        data: images.
        n: number of pairs, fewer if there are not so many. Of a large folder about n / 2 images are drawn, so that
            each is in four pairs, give or take two.
        seed: of the draw.

    Raises:
        SessionError: fewer than three images, or n below 3.
    """
    count = min(len(data.paths), max(-(-n // 2), min(n, 5)))
    if count < 3:
        raise SessionError(f"{data.folder}: pairs need 3 images and n at least 3 (n={n})")
    rng = np.random.default_rng(seed)
    ring = rng.permutation(len(data.paths))[:count]
    steps = [1, *rng.permutation(np.arange(2, count // 2 + 1))]
    # Half-way round the ring, both ends would name the same pair.
    pairs = ((i, (i + step) % count) for step in steps for i in range(count // 2 if 2 * step == count else count))
    return Questions(data.paths, ring[np.array([*islice(pairs, n)])], "pair")


def random_triplets(data: FolderData, n: int, seed: int = 0, *, within_class: bool = False) -> Triplets:
    """Unjudged triplets: every image is the reference equally often, the candidates are drawn at random.

    Args:
        data: images, perhaps with labels, which become the groups.
        n: number of triplets.
        seed: of the draw.
        within_class: candidates share the reference's label; references without two such are left out.

    Returns:
        Triplets of files with `vote_right` 0.5, which means nothing yet.

    Raises:
        SessionError: fewer than three images (with `within_class`: in every class), or n below 1.
    """
    labels = _labels(data)
    pools = {name: np.flatnonzero((labels == name) | (not within_class)) for name in np.unique(labels)}
    usable = [row for row, name in enumerate(labels) if len(pools[name]) >= 3]
    if not usable or n < 1:
        where = "one class" if within_class else "the folder"
        raise SessionError(f"{data.folder}: a triplet needs 3 images in {where} and n at least 1 (n={n})")
    rng = np.random.default_rng(seed)
    rounds = [rng.permutation(usable) for _ in range(-(-n // len(usable)))]
    references = np.concatenate(rounds)[:n]
    items = []
    for reference in references:
        pool = pools[labels[reference]]
        items.append([reference, *rng.choice(pool[pool != reference], 2, replace=False)])
    return Triplets(data.paths, np.array(items), np.full(n, 0.5), groups=labels[references])


def _labels(data: FolderData) -> np.ndarray:
    """Label of every image, "" without one."""
    return np.asarray(data.table["label"].fillna("") if "label" in data.table else [""] * len(data.paths), dtype=str)


def stored_questions(store: Judgments, study: str, folder: str | Path) -> Triplets | Questions:
    """The questions of a study whose images lie in `folder`.

    Raises:
        SessionError: an image is gone or is not the one that the study began with.
    """
    if changed := store.changed_images(study, folder):
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise SessionError(
            f"study {study!r} began with another {changed[0]!r}{more} than {folder} holds now: put the images back, "
            "or give the new ones another study name"
        )
    table, task = store.items(study), store.studies().set_index("name").at[study, "task"]
    sides = table[list(TASKS[task].pictures)].to_numpy()
    names, rows = np.unique(sides.astype(str), return_inverse=True)
    paths, rows, groups = (
        [Path(folder) / name for name in names],
        rows.reshape(sides.shape),
        table["category"].to_numpy(),
    )
    if task != "two_alternative":
        return Questions(paths, rows, task, groups)
    return Triplets(paths, rows, np.full(len(table), 0.5), groups=groups)

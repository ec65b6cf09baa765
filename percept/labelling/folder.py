"""From a folder of images to a labelling panel in one call."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from percept import runs
from percept.data.images import FolderData, read_folder
from percept.data.judgments import Judgments
from percept.data.triplets import Triplets
from percept.labelling.plan import SessionError, enter_study

if TYPE_CHECKING:
    from percept.labelling.widget import Labeller

log = logging.getLogger(__name__)


def label_folder(
    data_dir: str | Path,
    rater: str = "",
    *,
    n: int = 200,
    study: str = "",
    seed: int = 0,
    within_class: bool = False,
    triplets: Triplets | None = None,
    store: Judgments | str | Path | None = None,
    **panel: Any,
) -> Labeller:
    """Judge triplets of one's own images: show what this returns as the last line of a cell.

    The first call draws the triplets and stores them; every later call with the same folder and study, by the
    same or another rater, goes on with those, also when images have been added since.

    Args:
        data_dir: folder of images as in `percept.data.images.read_folder`.
        rater: pseudonym; empty: the first page asks.
        n: number of triplets.
        study: its name; default: the folder's name.
        seed: of the random triplets, and of order and sides.
        within_class: draw both candidates from the reference's class, where there are classes.
        triplets: own ones of files in `data_dir` (for example chosen by `percept.labelling.sampling`).
        store: the judgments, or their file; default: `judgments.sqlite` beside the run folders.
        **panel: group, groups, language, consent, size, repeats, ... of `Labeller`.

    Raises:
        percept.data.images.ImageError: no folder, no images.
        SessionError: too few images, or images of a known study are gone or have changed.
        percept.data.judgments.JudgmentError: the study is there with other triplets than those given.

    Example:
        >>> from percept.labelling import label_folder
        >>> label_folder("photos", groups=["inspector", "designer"], language="ja")  # doctest: +SKIP
    """
    from percept.labelling.widget import Labeller  # the panel needs ipywidgets, the triplets do not

    folder = Path(data_dir).resolve()
    study = study or folder.name
    if not isinstance(store, Judgments):
        store = Judgments(store or runs.home() / "judgments.sqlite")
    sampling = "given"
    if triplets is None and study in set(store.studies()["name"]):
        triplets = stored_triplets(store, study, folder)
    elif triplets is None:
        triplets, sampling = random_triplets(read_folder(folder), n, seed, within_class=within_class), "random"
        sampling += f" (seed {seed}, each image in turn as reference{', candidates of its class' * within_class})"
    enter_study(store, study, triplets, folder, sampling)
    return Labeller(store, study, triplets, rater, seed=seed, **panel)


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
    labels = np.asarray(data.table["label"].fillna("") if "label" in data.table else [""] * len(data.paths), dtype=str)
    pools = {name: np.flatnonzero((labels == name) | (not within_class)) for name in np.unique(labels)}
    usable = [row for row, name in enumerate(labels) if len(pools[name]) >= 3]
    if not usable or n < 1:
        where = "one class" if within_class else "the folder"
        raise SessionError(f"{data.folder}: a triplet needs 3 images in {where} and n at least 1 (n={n})")
    if problems := len(data.problems):
        log.warning("%s: %d images cannot be used; scan_folder(...).table() lists them", data.folder, problems)
    rng = np.random.default_rng(seed)
    rounds = [rng.permutation(usable) for _ in range(-(-n // len(usable)))]
    references = np.concatenate(rounds)[:n]
    items = []
    for reference in references:
        pool = pools[labels[reference]]
        items.append([reference, *rng.choice(pool[pool != reference], 2, replace=False)])
    return Triplets(data.paths, np.array(items), np.full(n, 0.5), groups=labels[references])


def stored_triplets(store: Judgments, study: str, folder: str | Path) -> Triplets:
    """The triplets of a study whose images lie in `folder`.

    Raises:
        SessionError: an image is gone or is not the one that the study began with.
    """
    if changed := store.changed_images(study, folder):
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise SessionError(
            f"study {study!r} began with another {changed[0]!r}{more} than {folder} holds now: put the images back, "
            "or give the new ones another study name"
        )
    table = store.items(study)
    sides = table[["reference", "left", "right"]].to_numpy()
    names, rows = np.unique(sides.astype(str), return_inverse=True)
    paths = [Path(folder) / name for name in names]
    return Triplets(paths, rows.reshape(-1, 3), np.full(len(table), 0.5), groups=table["category"].to_numpy())

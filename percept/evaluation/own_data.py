"""The battery on a user's own folder, with whatever it says about its pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from percept.data.images import FolderData, open_image, read_folder
from percept.data.inspection import pooled_tile_features
from percept.data.opening import ImageError, header
from percept.evaluation.scores import TaskScore, score
from percept.evaluation.tasks import dense
from percept.evaluation.tasks.classification import linear_score
from percept.evaluation.tasks.counting import counting_scores, neighbours
from percept.evaluation.tasks.reading import Kind, Reader
from percept.evaluation.tasks.ridge import fit_ridge

VOID, LARGEST_CLASS, FEWEST_IMAGES, MAP_SIDE = 255, 64, 8, 64


class OwnDataError(ValueError):
    """A folder that gives the battery nothing to score; the message says what to add."""


def folder_battery(
    encoder: Any, folder: str | Path, seed: int = 0, cache: Any = None, kind: Kind = "global", largest: int = 400
) -> dict[str, TaskScore]:
    """Score an encoder on a folder (see `read_folder`): half of the pictures train the read-outs, half are scored.

    Whole pictures are read in 64 px tiles at native resolution (middle 512 px), mean and maximum pooled; dense tasks
    read the middle square.

    Args:
        encoder: as in `battery`.
        folder: of it are used: label (linear classes, retrieval), count, score; ``masks/NAME.png`` (class ids 0 to 63,
            255 = void) and ``depth/NAME.npy`` or ``.png`` (any unit; 0 or NaN = unknown), NAME being the picture's
            path in the folder without its suffix. Pictures that share a `group` stay in one half.
        seed: of the halves, and of the pictures drawn from a larger folder.
        cache: as in `battery`.
        kind: as in `battery`.
        largest: pictures used of each kind of truth.

    Raises:
        OwnDataError: no truth for at least 8 pictures, or a mask or depth map that does not fit; names the file.
    """
    own, reader = read_folder(folder), Reader(encoder, cache, kind)
    rng = np.random.default_rng(seed)
    scores: list[TaskScore] = []
    makers = {"label": _label_scores, "count": _count_scores, "score": _score_scores}
    for column, make in makers.items():
        if column in own.table:
            rows = rng.permutation(np.flatnonzero(own.table[column].notna().to_numpy()))[:largest]
            scores += _whole(own, reader, rows, column, make, rng)
    for name, read, task in (("masks", read_mask, _mask_scores), ("depth", read_depth, _depth_scores)):
        files = _maps(own, name)
        if len(files) >= FEWEST_IMAGES:
            scores += _dense(own, reader, dict(list(files.items())[:largest]), read, task, rng)
    if not scores:
        raise OwnDataError(
            f"{folder}: no label (two classes), count, score, masks/ or depth/ for at least {FEWEST_IMAGES} pictures; "
            "add class folders, columns to labels.csv, or maps"
        )
    return {found.name: found for found in scores}


def _halves(
    own: FolderData, rows: Sequence[int] | np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Positions in ``rows`` to train on and to score, and the groups of the latter; a group lies in one of them."""
    unit = np.array([f"row {row}" for row in rows], dtype=object)
    if "group" in own.table:
        named = own.table["group"].iloc[list(rows)]
        unit = np.where(named.notna(), named.astype(str), unit)
    units = rng.permutation(np.unique(unit.astype(str)))
    first = np.isin(unit.astype(str), units[: len(units) // 2])
    groups = unit[~first].astype(str) if "group" in own.table else None
    return np.flatnonzero(first), np.flatnonzero(~first), groups


def _whole(
    own: FolderData, reader: Reader, rows: np.ndarray, column: str, make: Callable, rng: np.random.Generator
) -> list[TaskScore]:
    known, asked, groups = _halves(own, rows, rng)
    values = own.table[column].to_numpy()[rows]
    enough = min(len(known), len(asked)) >= FEWEST_IMAGES // 2
    if not enough or (column == "label" and len(set(values[known])) < 2):
        return []
    pictures = [_middle(open_image(own.paths[row]), 512) for row in rows]
    features = pooled_tile_features(reader.once, pictures)
    found = make(features[known], values[known], features[asked], values[asked])
    return [replace(one, groups=groups) for one in found]


def _middle(image: Image.Image, side: int) -> Image.Image:
    left, top = max((image.width - side) // 2, 0), max((image.height - side) // 2, 0)
    return image.crop((left, top, min(left + side, image.width), min(top + side, image.height)))


def _label_scores(x: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray) -> list[TaskScore]:
    k = min(3, len(x))
    hits = (labels[neighbours(x, test, k)[0]] == truth[:, None]).mean(1)
    chance = np.mean([np.mean(labels == label) for label in truth])
    note = f"share of the {k} nearest of the same class; blind: random order"
    return [
        linear_score("own label", "own", (x, labels.astype(str)), (test, truth.astype(str))),
        score(f"own retrieval precision@{k}", "own", hits, chance, note=note),
    ]


def _count_scores(x: np.ndarray, counts: np.ndarray, test: np.ndarray, truth: np.ndarray) -> list[TaskScore]:
    known = counts.astype(float)
    return counting_scores(x, known, test, truth, {"mean count": np.full(len(truth), known.mean())}, "own counting")


def _score_scores(x: np.ndarray, values: np.ndarray, test: np.ndarray, truth: np.ndarray) -> list[TaskScore]:
    known, wanted = values.astype(float), truth.astype(float)
    squares = (fit_ridge(x, known).predict(test)[:, 0] - wanted) ** 2
    blind = np.mean((known.mean() - wanted) ** 2) ** 0.5
    return [score("own score RMSE", "own", squares, blind, higher=False, summary="root", note="blind: mean score")]


# --- masks and depth -------------------------------------------------------------------------------------------------


def _maps(own: FolderData, name: str) -> dict[int, Path]:
    """Row of the table to the map that belongs to it."""
    found: dict[int, Path] = {}
    for row, file in enumerate(own.table["file"]):
        stem = own.folder / name / Path(file).with_suffix("")
        options = [stem.with_name(stem.name + suffix) for suffix in (".png", ".npy")]
        if path := next((option for option in options if option.is_file()), None):
            found[row] = path
    return found


def read_mask(path: Path) -> np.ndarray:
    """Class ids of an 8-bit gray or palette image: uint8 [H, W].

    Raises:
        OwnDataError: not such an image, or a class id from 64 to 254.
    """
    values = _plain(path, ("L", "P", "1"), "an 8-bit image of class ids (gray or palette)")
    worst = int(values[values != VOID].max(initial=0))
    if worst >= LARGEST_CLASS:
        raise OwnDataError(f"{path}: class id {worst}; use 0 to {LARGEST_CLASS - 1}, and {VOID} for void")
    return values.astype(np.uint8)


def read_depth(path: Path) -> np.ndarray:
    """Depth float32 [H, W] in the file's unit, NaN where it is unknown (0, negative, not finite).

    Raises:
        OwnDataError: not a 2-D array or gray image, or no known pixel.
    """
    if path.suffix == ".npy":
        try:
            values = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise OwnDataError(f"{path}: not a readable array ({error}); save it with numpy.save") from error
    else:
        values = _plain(path, ("L", "I", "F", "I;16", "I;16B", "I;16L"), "a gray image of depths")
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values):
        raise OwnDataError(f"{path}: depth has shape {values.shape} and type {values.dtype}; it must be numbers [H, W]")
    depth = values.astype(np.float32)
    known = np.isfinite(depth) & (depth > 0)
    if not known.any():
        raise OwnDataError(f"{path}: no pixel of known depth (above 0); remove the file")
    return np.where(known, depth, np.float32(np.nan))


def _plain(path: Path, modes: tuple[str, ...], wanted: str) -> np.ndarray:
    try:
        with header(path, 80_000_000) as image:
            if image.mode not in modes:
                raise OwnDataError(f"{path}: has colour mode {image.mode}; it must be {wanted}")
            return np.asarray(image)
    except (ImageError, OSError, SyntaxError) as error:
        raise OwnDataError(str(error) if isinstance(error, ImageError) else f"{path}: {error}") from error


def _dense(
    own: FolderData, reader: Reader, files: dict[int, Path], read: Callable, task: Callable, rng: np.random.Generator
) -> list[TaskScore]:
    rows = list(files)
    train, test, groups = _halves(own, rows, rng)
    cut = max(1, len(train) // 5)
    if min(len(train) - cut, len(test)) < 2:
        return []
    pictures, maps = zip(*(_square(own.paths[row], files[row], read) for row in rows), strict=True)
    found = reader.patches(list(pictures))
    labels = np.stack(maps)
    parts = dense.Parts(*(dense.Dense(found[part], labels[part]) for part in (train[cut:], train[:cut], test)))
    return [replace(one, groups=groups) for one in task(parts, reader.window())]


def _square(picture: Path, label: Path, read: Callable) -> tuple[Image.Image, np.ndarray]:
    """The middle square of a picture and of its map, the map at 64 px (nearest value)."""
    image, values = open_image(picture), read(label)
    if values.shape != (image.height, image.width):
        sizes = f"is {values.shape[1]} x {values.shape[0]} px, {picture.name} {image.width} x {image.height}"
        raise OwnDataError(f"{label}: {sizes}; make them the same size")
    side = min(values.shape)
    top, left = (values.shape[0] - side) // 2, (values.shape[1] - side) // 2
    steps = ((np.arange(MAP_SIDE) + 0.5) * side / MAP_SIDE).astype(int)
    return _middle(image, side), values[top + steps][:, left + steps]


def _mask_scores(parts: dense.Parts, window: Any) -> list[TaskScore]:
    labelled = [part.labels[part.labels != VOID] for part in parts]
    classes = max(int(values.max(initial=0)) for values in labelled) + 1
    return dense.segmentation_scores(parts, classes, window, prefix="own ") if classes > 1 else []


def _depth_scores(parts: dense.Parts, window: Any) -> list[TaskScore]:
    return dense.depth_scores(parts, window, prefix="own ")

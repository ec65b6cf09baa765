"""Dense tasks on frozen feature maps: a linear read-out per place, enlarged to pixels and scored there.

Training targets are pooled over each cell of the map (shares of the classes, mean log depth); outputs are enlarged
bilinearly. Both know which part of the picture the encoder sees; beyond it the nearest output is repeated.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from percept.evaluation.scores import TaskScore, score, summarise
from percept.evaluation.tasks.reading import Window
from percept.evaluation.tasks.ridge import fit_ridge

WHOLE: Window = (0.0, 0.0, 1.0, 1.0)
_LEAST = 0.25  # share of a cell that must be labelled for it to be trained on


class Dense(NamedTuple):
    """Feature maps [N, D, h, w] with labels of their pictures [N, S, S]."""

    maps: np.ndarray
    labels: np.ndarray


class Parts(NamedTuple):
    """Pictures to train on, to choose the penalty on, and to score; none in two parts."""

    train: Dense
    validate: Dense
    test: Dense


def cell_weights(cells: int, size: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Averaging from pixels to cells along one side: float64 [cells, size], rows sum to 1.

    Args:
        cells: cells that share the part ``low`` to ``high`` (0..1) of the side equally.
        size: pixels of the whole side.
        low: start of the part.
        high: its end.

    Example:
        >>> cell_weights(2, 4).tolist()
        [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    edges = (low + (high - low) * np.arange(cells + 1) / cells) * size
    pixels = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    overlap = np.maximum(overlap, 0)
    return np.asarray(overlap / overlap.sum(1, keepdims=True))


def pixel_weights(cells: int, size: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Linear interpolation from cells to pixels along one side: float64 [size, cells], rows sum to 1."""
    places = ((np.arange(size) + 0.5) / size - low) / (high - low) * cells - 0.5
    places = np.clip(places, 0, cells - 1)
    return np.asarray(np.maximum(1 - np.abs(places[:, None] - np.arange(cells)), 0))


def pool_labels(values: np.ndarray, grid: tuple[int, ...], window: Window = WHOLE) -> np.ndarray:
    """Mean over each cell: [N, S, S, T] to [N, h, w, T]."""
    left, top, right, bottom = window
    rows, columns = (
        cell_weights(grid[0], values.shape[1], top, bottom),
        cell_weights(grid[1], values.shape[2], left, right),
    )
    return np.einsum("hs,nstc,wt->nhwc", rows, values, columns, optimize=True)


def enlarge(values: np.ndarray, size: tuple[int, ...], window: Window = WHOLE) -> np.ndarray:
    """Bilinear enlargement: [N, h, w, T] to [N, S, S, T]."""
    left, top, right, bottom = window
    rows, columns = (
        pixel_weights(values.shape[1], size[0], top, bottom),
        pixel_weights(values.shape[2], size[1], left, right),
    )
    return np.einsum("sh,nhwc,tw->nstc", rows, values, columns, optimize=True)


def _rows(maps: np.ndarray) -> np.ndarray:
    return maps.transpose(0, 2, 3, 1).reshape(-1, maps.shape[1])


def _fit(parts: Parts, targets: Any) -> np.ndarray:
    """Outputs [N, h, w, T] for the test maps; ``targets(part)`` gives [N, h, w, T] and the labelled share of cells."""
    pairs = []
    for part in (parts.train, parts.validate):
        wanted, share = targets(part)
        good = share.reshape(-1) >= _LEAST
        pairs.append((_rows(part.maps)[good], wanted.reshape(-1, wanted.shape[-1])[good]))
    maps = parts.test.maps
    return fit_ridge(*pairs[0], validate=pairs[1]).predict(_rows(maps)).reshape(len(maps), *maps.shape[2:], -1)


# --- semantic segmentation -------------------------------------------------------------------------------------------


def segment(parts: Parts, classes: int, window: Window = WHOLE) -> np.ndarray:
    """Class of each pixel by a linear read-out of the shares of the classes in each cell.

    Args:
        parts: feature maps and class ids 0..classes-1; anything else is void. The test labels are not read.
        classes: number of classes.
        window: part of the picture that the maps cover.

    Returns:
        int64 [M, S, S].
    """

    def shares(part: Dense) -> tuple[np.ndarray, np.ndarray]:
        hot = part.labels[..., None] == np.arange(classes)
        pooled = pool_labels(hot.astype(np.float32), part.maps.shape[2:], window)
        labelled = pooled.sum(-1)
        return pooled / np.maximum(labelled, 1e-6)[..., None], labelled

    return np.asarray(enlarge(_fit(parts, shares), parts.test.labels.shape[1:], window).argmax(-1))


def confusions(truth: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    """Confusion matrix of each picture, flattened: float64 [N, C * C], rows = truth, void pixels left out."""
    tables = []
    for real, guess in zip(truth.reshape(len(truth), -1), found.reshape(len(found), -1), strict=True):
        good = real < classes
        pairs = real[good].astype(np.int64) * classes + guess[good]
        tables.append(np.bincount(pairs, minlength=classes * classes))
    return np.array(tables, np.float64)


def position_prior(labels: np.ndarray, classes: int) -> np.ndarray:
    """Commonest class of each pixel: int64 [S, S]."""
    return np.stack([(labels == number).sum(0) for number in range(classes)]).argmax(0)


def segmentation_scores(
    parts: Parts, classes: int, window: Window = WHOLE, prefix: str = "", **more: Any
) -> list[TaskScore]:
    """Mean IoU over classes (confusions summed over pictures) and pixel accuracy, both of pixels."""
    train, _, test = parts
    found = segment(parts, classes, window)
    tables = confusions(test.labels, found, classes)
    prior = np.broadcast_to(position_prior(train.labels, classes), test.labels.shape)
    blind = confusions(test.labels, prior, classes)
    note = "linear on the map's cells, scored on pixels; blind: commonest class of the pixel"
    right, blind_right = _accuracy(tables, classes), _accuracy(blind, classes)
    miou = summarise(blind.mean(0), "iou")
    return [
        score(f"{prefix}segmentation mIoU", "dense", tables, miou, summary="iou", note=note, **more),
        score(f"{prefix}segmentation accuracy", "dense", right, blind_right.mean(), note=note, **more),
    ]


def _accuracy(tables: np.ndarray, classes: int) -> np.ndarray:
    right = tables.reshape(-1, classes, classes).diagonal(axis1=1, axis2=2).sum(1)
    return np.asarray(right / np.maximum(tables.sum(1), 1))


# --- depth -----------------------------------------------------------------------------------------------------------


def predict_depth(parts: Parts, window: Window = WHOLE) -> np.ndarray:
    """Depth of each pixel by a linear read-out of the mean log depth of each cell: float64 [M, S, S].

    Args:
        parts: feature maps and depth > 0, NaN where unknown. The test labels are not read.
        window: part of the picture that the maps cover.
    """

    def logs(part: Dense) -> tuple[np.ndarray, np.ndarray]:
        known = np.isfinite(part.labels)
        values = np.stack([np.where(known, np.log(np.where(known, part.labels, 1)), 0), known], -1)
        pooled = pool_labels(values, part.maps.shape[2:], window)
        return pooled[..., :1] / np.maximum(pooled[..., 1:], 1e-6), pooled[..., 1]

    found = enlarge(_fit(parts, logs), parts.test.labels.shape[1:], window)[..., 0]
    known = parts.train.labels
    return np.asarray(np.exp(np.clip(found, *np.log([np.nanmin(known), np.nanmax(known)]))))


def row_depth(labels: np.ndarray) -> np.ndarray:
    """What the image row alone says: exp of the row's mean log depth, float64 [S, 1]; rows without any: of all rows."""
    logs = np.log(labels)
    known = np.isfinite(logs).sum((0, 2))
    sums = np.nansum(logs, (0, 2))
    return np.asarray(np.exp(np.where(known > 0, sums / np.maximum(known, 1), sums.sum() / known.sum())))[:, None]


def depth_errors(truth: np.ndarray, found: np.ndarray) -> dict[str, np.ndarray]:
    """Per-picture statistics [N] over the known pixels: squared error, |error| / truth, share with ratio < 1.25.

    Source: Eigen, Puhrsch and Fergus, NeurIPS 2014.
    """
    known = np.isfinite(truth)
    if not known.any((1, 2)).all():
        raise ValueError(f"picture {int(np.argmin(known.any((1, 2))))} has no pixel of known depth")
    real, guess = np.where(known, truth, 1.0), np.where(known, found, 1.0)
    ratio = np.maximum(real / guess, guess / real)
    measures = {
        "RMSE": (real - guess) ** 2,
        "AbsRel": np.abs(real - guess) / real,
        "delta<1.25": (ratio < 1.25) & known,
    }
    return {name: values.sum((1, 2)) / known.sum((1, 2)) for name, values in measures.items()}


def depth_scores(parts: Parts, window: Window = WHOLE, prefix: str = "", **more: Any) -> list[TaskScore]:
    """RMSE (root of the mean over pictures of the mean square), AbsRel and delta < 1.25, of pixels."""
    train, _, test = parts
    found = depth_errors(test.labels, predict_depth(parts, window))
    blind = depth_errors(test.labels, np.broadcast_to(row_depth(train.labels), test.labels.shape))
    note = "linear on the map's cells, log depth, scored on pixels of known depth; blind: the image row"
    scores = []
    for name, values in found.items():
        summary = "root" if name == "RMSE" else "mean"
        figure, higher = summarise([blind[name].mean()], summary), name.startswith("delta")
        label = f"{prefix}depth {name}"
        scores.append(score(label, "dense", values, figure, higher=higher, summary=summary, note=note, **more))
    return scores

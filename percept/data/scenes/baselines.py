"""Blind baselines: what can be scored on scene tasks without looking at what is in the picture.

Each scene task prints its blind baseline beside it; a model that does not beat it has learned a shortcut.
"""

from typing import NamedTuple

import numpy as np

from percept.data.scenes.layout import scene
from percept.data.scenes.render import Truth, truth
from percept.data.scenes.splits import SPLITS
from percept.data.scenes.vocabulary import nouns
from percept.data.scenes.world import CANONICAL


class Blind(NamedTuple):
    """One blind baseline on held-out scenes.

    Attributes:
        task: what is predicted.
        rule: what the baseline looks at.
        score: its error or accuracy.
        trivial: the same for a constant guess.
        unit: of both, with the better direction.
        per_item: float64 ``[N]``, the baseline's score of each held-out scene, for intervals.
    """

    task: str
    rule: str
    score: float
    trivial: float
    unit: str
    per_item: np.ndarray


def blind_baselines(train: int = 1000, held_out: int = 500, size: int = CANONICAL) -> list[Blind]:
    """Fit the three blind baselines on ``tune`` scenes and score them on ``validate`` scenes.

    Args:
        train: scenes to fit on.
        held_out: scenes to score.
        size: side in px.

    Returns:
        Depth from the image row alone, count from the covered area alone, semantic map from the position alone.
    """
    fit, test = (
        [_facts(index, size) for index in SPLITS[split][:n]] for split, n in (("tune", train), ("validate", held_out))
    )
    return [_row_depth(fit, test), _area_count(fit, test), _position_map(fit, test)]


class _Facts(NamedTuple):
    depth: np.ndarray
    semantic: np.ndarray
    things: int
    area: float


def _facts(index: int, size: int) -> _Facts:
    made = scene(index)
    dense: Truth = truth(made, size)
    semantic = np.where(dense.segments > 0, dense.classes[dense.segments], len(nouns()) + dense.stuff)
    return _Facts(dense.depth, semantic, len(made.named), float((dense.instances > 0).mean()))


def _row_depth(fit: list[_Facts], test: list[_Facts]) -> Blind:
    depth = np.stack([facts.depth for facts in fit])
    rows, constant = np.median(depth, (0, 2))[:, None], np.median(depth)
    errors = np.array([np.abs(facts.depth - rows).mean() for facts in test])
    trivial = np.mean([np.abs(facts.depth - constant).mean() for facts in test])
    return Blind(
        "depth",
        "median depth of the image row",
        errors.mean(),
        float(trivial),
        "mean error, camera heights (lower)",
        errors,
    )


def _area_count(fit: list[_Facts], test: list[_Facts]) -> Blind:
    slope, offset = np.polyfit([facts.area for facts in fit], [facts.things for facts in fit], 1)
    counts = np.array([facts.things for facts in test])
    errors = np.abs(slope * np.array([facts.area for facts in test]) + offset - counts)
    trivial = np.abs(np.median([facts.things for facts in fit]) - counts).mean()
    return Blind(
        "count", "line through the covered area", errors.mean(), float(trivial), "mean error, things (lower)", errors
    )


def _position_map(fit: list[_Facts], test: list[_Facts]) -> Blind:
    labels = np.stack([facts.semantic for facts in fit])
    classes = np.unique(labels)
    votes = np.stack([(labels == label).sum(0) for label in classes])
    prior = classes[votes.argmax(0)]
    commonest = classes[votes.sum((1, 2)).argmax()]
    right = np.array([(facts.semantic == prior).mean() for facts in test])
    trivial = np.mean([(facts.semantic == commonest).mean() for facts in test])
    return Blind(
        "semantic map", "commonest class of the pixel", right.mean(), float(trivial), "pixel accuracy (higher)", right
    )

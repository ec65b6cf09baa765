"""Linear and zero-shot classification in three families: natural, specialised, structured (the division of VTAB).

Source of the families: Zhai et al., arXiv:1910.04867, 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from percept.data import realset, scenes
from percept.data.scenes.vocabulary import nouns
from percept.evaluation import zero_shot
from percept.evaluation.few_shot import few_shot_draws
from percept.evaluation.scores import TaskScore, score
from percept.evaluation.tasks.reading import Reader
from percept.evaluation.tasks.ridge import classify_ridge
from percept.evaluation.tasks.scene_tasks import Parts, Pool, quadrant, side_of
from percept.evaluation.transfer import Task

_CATEGORIES = sorted({kind.category for kind in nouns()})
NEAR = (1.2, 1.5)  # camera heights; things stand at 1 to 1.8, log-uniformly
_PHOTO = ("a photo of {}", "a picture of {}")


def linear_score(
    name: str, family: str, train: tuple[Any, Any], test: tuple[Any, Any], note: str = "", blind: float = 0.0,
    **more: Any,
) -> TaskScore:  # fmt: skip
    """Accuracy of `classify_ridge` (penalty by leave-one-out); blind: at least that of the commonest training class.

    Args:
        name: of the task; " linear" is added.
        family: of the task.
        train: features [N, D] and labels [N].
        test: features [M, D] and labels [M].
        note: added to the protocol.
        blind: accuracy of another rule that does not look at the picture.
        more: further fields of `TaskScore`.
    """
    truth = np.asarray(test[1])
    right = classify_ridge(*train, test[0]) == truth
    common = majority(train[1], truth)
    note = f"ridge on one-hot labels; blind: {'covered area' if blind > common else 'commonest class'}{note}"
    return score(f"{name} linear", family, right, max(blind, common), note=note, **more)


def majority(labels: Any, truth: Any) -> float:
    """Accuracy on ``truth`` of the commonest of ``labels``."""
    names, counts = np.unique(np.asarray(labels), return_counts=True)
    return float(np.mean(np.asarray(truth) == names[counts.argmax()]))


def labels_of(pool: Pool) -> dict[str, np.ndarray]:
    """Labels int64 [N] of scenes of one thing: noun, category, quadrant, distance (near, middle, far)."""
    return {
        "noun": pool.of_first(lambda _, thing: thing.noun),
        "category": pool.of_first(lambda _, thing: _CATEGORIES.index(thing.kind.category)),
        "quadrant": pool.of_first(quadrant),
        "distance": pool.of_first(lambda _, thing: int(np.digitize(thing.depth, NEAR))),
    }


def pair_labels(pool: Pool) -> dict[str, np.ndarray]:
    """Labels int64 [N] of scenes of an animal and a lifeless thing (see `scene_tasks.pair_scenes`)."""
    return {
        "animal left or right": np.array([int(side_of(made) == "right of") for made in pool.scenes], np.int64),
        "animal nearer or farther": np.array(
            [int(s.things[0].depth > s.things[1].depth) for s in pool.scenes], np.int64
        ),
        "animal faces left or right": pool.of_first(lambda _, thing: int(thing.facing > 0)),
    }


def scene_classification(reader: Reader, mixed: Parts, single: Parts, pairs: Parts) -> list[TaskScore]:
    """All classification tasks on scenes, linear and (with a text tower) zero-shot."""
    scores = []
    sets = ((single, labels_of), (pairs, pair_labels), (mixed, lambda pool: {"count": pool.counts}))
    for parts, labels in sets:
        train, test = (labels(pool) for pool in parts)
        for name in train:
            family = "natural" if name in ("noun", "category") else "structured"
            known = reader.vectors(parts.train.pictures), train[name]
            asked = reader.vectors(parts.test.pictures), test[name]
            blind = count_by_area(*parts) if name == "count" else 0.0
            scores.append(linear_score(name, family, known, asked, blind=blind))
    if reader.reads_text:
        scores.append(_noun_zero_shot(reader, single))
        scores.append(_side_zero_shot(reader, pairs))
    return scores


def count_by_area(train: Pool, test: Pool) -> float:
    """Share of scenes whose count is told by the share of the picture that things cover."""
    from percept.evaluation.tasks.counting import blind_counts

    guesses = blind_counts(train.counts, train.areas, test.areas)
    return float(max(np.mean(np.round(guess) == test.counts) for guess in guesses.values()))


def _noun_zero_shot(reader: Reader, single: Parts) -> TaskScore:
    truth = labels_of(single.test)["noun"]
    weights = zero_shot.class_weights(reader.encoder, scenes.noun_phrases("en"), scenes.TEMPLATES["en"])
    right = zero_shot.classify(reader.embeddings(single.test.pictures), weights) == truth
    blind = majority(labels_of(single.train)["noun"], truth)
    return score("noun zero-shot", "natural", right, blind, note="English prompts; blind: commonest class")


def _side_zero_shot(reader: Reader, pairs: Parts) -> TaskScore:
    """Which of two sentences fits: the animal to the left, or to the right, of the thing; equal ones count as half."""
    made = pairs.test.scenes
    texts = [
        f"{a.things[0].kind.en} to the {side} of {a.things[1].kind.en}" for a in made for side in ("left", "right")
    ]
    rows = np.asarray(reader.encoder.encode_texts(texts), np.float64).reshape(len(made), 2, -1)
    images = reader.embeddings(pairs.test.pictures).astype(np.float64)
    margin = np.einsum("nd,nd->n", images, rows[:, 1] - rows[:, 0])
    truth = pair_labels(pairs.test)["animal left or right"]
    right = np.where(margin == 0, 0.5, (margin > 0) == truth)
    return score("animal left or right zero-shot", "structured", right, 0.5, note="two sentences; blind: one half")


# --- real pictures ---------------------------------------------------------------------------------------------------


def real_scores(reader: Reader, textures: Task, digits: Task, shots: int = 5, draws: int = 3) -> list[TaskScore]:
    """Texture photographs and handwritten digits.

    Linear and zero-shot classes; texture crops searched by crops (are the three nearest of the same surface?); digits
    from few examples.

    Args:
        reader: the encoder.
        textures: `transfer.texture_task`.
        digits: `transfer.digit_task`.
        shots: examples per digit of the few-shot task.
        draws: of these examples; an item is a test digit's mean over them.
    """
    scores = []
    names = {"texture": realset.TEXTURE_NAMES["en"], "digit": realset.DIGIT_NAMES["en"]}
    for kind, task, family in (("texture", textures, "natural"), ("digit", digits, "specialised")):
        known, asked = ((reader.vectors(task.images[part]), task.labels[part]) for part in ("train", "test"))
        # Crops of one photograph are no independent pictures.
        groups = task.labels["test"] if kind == "texture" else None
        scores.append(linear_score(kind, family, known, asked, groups=groups))
        if reader.reads_text:
            scores.append(_named(reader, kind, family, task, names[kind], groups))
    scores.append(_texture_search(reader, textures))
    scores.append(_few_digits(reader, digits, shots, draws))
    return scores


def _named(
    reader: Reader, kind: str, family: str, task: Task, names: Sequence[str], groups: np.ndarray | None
) -> TaskScore:
    weights = zero_shot.class_weights(reader.encoder, list(names), list(_PHOTO))
    right = zero_shot.classify(reader.embeddings(task.images["test"]), weights) == task.labels["test"]
    blind = majority(task.labels["train"], task.labels["test"])
    note = "English prompts; blind: commonest class"
    return score(f"{kind} zero-shot", family, right, blind, note=note, groups=groups)


def _texture_search(reader: Reader, task: Task) -> TaskScore:
    from percept.evaluation.tasks.counting import neighbours

    known, asked = reader.vectors(task.images["train"]), reader.vectors(task.images["test"])
    hits = task.labels["train"][neighbours(known, asked, 3)[0]] == task.labels["test"][:, None]
    chance = np.mean([np.mean(task.labels["train"] == label) for label in task.labels["test"]])
    note = "share of the 3 nearest crops from the same surface; three photographs in all; blind: random order"
    return score(
        "texture retrieval precision@3", "retrieval", hits.mean(1), chance, note=note, groups=task.labels["test"]
    )


def _few_digits(reader: Reader, task: Task, shots: int, draws: int) -> TaskScore:
    known, asked = reader.vectors(task.images["train"]), reader.vectors(task.images["test"])
    labels, truth = task.labels["train"], task.labels["test"]
    rows = [chosen[shots] for chosen in few_shot_draws(labels, [shots], draws)]
    right = np.mean([classify_ridge(known[few], labels[few], asked) == truth for few in rows], 0)
    note = f"{shots} examples of each, mean of {draws} draws; blind: chance"
    return score("digit few-shot linear", "specialised", right, 1 / len(np.unique(labels)), note=note)


def textile_scores(reader: Reader, task: Task) -> list[TaskScore]:
    """Textile inspection at native resolution (tiles, mean and maximum pooled; simulated by their authors)."""
    from percept.data.inspection import pooled_tile_features

    known, asked = (
        (pooled_tile_features(reader.once, task.images[part]), task.labels[part]) for part in ("train", "test")
    )
    return [linear_score("textile defect", "specialised", known, asked, note="; simulated pictures, tiles")]

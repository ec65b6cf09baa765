"""The frozen-feature battery: the same pictures, probes and items for every encoder, before and after alignment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from percept.evaluation import transfer
from percept.evaluation.scores import TaskScore
from percept.evaluation.tasks import (
    augmented,
    classification,
    counting,
    dense,
    instances,
    low_level,
    one_photograph,
    scene_tasks,
)
from percept.evaluation.tasks.reading import Kind, Reader

if TYPE_CHECKING:
    import pandas as pd


class BatteryError(ValueError):
    """The battery cannot be run as asked, with the way out."""


@dataclass(frozen=True)
class Sizes:
    """How many pictures each set has.

    Attributes:
        mixed: scenes of 1 to 6 things, to train on and to score.
        dense: scenes for segmentation and depth: to train on, to choose the penalty, to score.
        single: scenes of one thing.
        pairs: scenes of an animal and a lifeless thing.
        individuals: nouns, and individuals of each.
        distorted: distorted scenes (at most as many as mixed ones).
        digits: real digits.
        textile: textile images, to train on and to score, of each class; (0, 0) leaves them out.
    """

    mixed: tuple[int, int] = (500, 400)
    dense: tuple[int, int, int] = (200, 50, 150)
    single: tuple[int, int] = (600, 400)
    pairs: tuple[int, int] = (350, 300)
    individuals: tuple[int, int] = (36, 8)
    distorted: tuple[int, int] = (300, 200)
    digits: tuple[int, int] = (200, 200)
    textile: tuple[int, int] = (12, 24)


SIZES = {
    "study": Sizes(),
    "quick": Sizes((300, 250), (120, 30, 80), (350, 200), (200, 160), (24, 6), (180, 120), (120, 100), (6, 10)),
    "tiny": Sizes((24, 20), (12, 4, 6), (24, 12), (16, 12), (3, 3), (12, 8), (100, 20), (2, 2)),
}


def battery(
    encoder: Any,
    sizes: str | Sizes = "study",
    seed: int = 0,
    cache: Any = None,
    tasks: Sequence[str] | None = None,
    kind: Kind = "global",
) -> dict[str, TaskScore]:
    """Score an encoder on every task.

    Args:
        encoder: `percept.models.encoders.Encoder`; without a text tower the zero-shot tasks are absent.
        sizes: "study", "quick", "tiny" (to try out) or a `Sizes`.
        seed: of all pictures. The same seed gives every encoder the same items, another seed other scenes.
        cache: folder of an embedding cache, or an `EmbeddingCache`.
        tasks: keys of `TASKS`; all unless given.
        kind: features that tasks on whole pictures read; dense tasks read feature maps.

    Returns:
        Name of the task to its result.

    Raises:
        BatteryError: unknown sizes or tasks.
    """
    amounts = _sized(sizes)
    chosen = list(TASKS) if tasks is None else list(tasks)
    unknown = [name for name in chosen if name not in TASKS]
    if unknown or not chosen:
        raise BatteryError(f"unknown task {', '.join(unknown) or '(none given)'}; known: {', '.join(TASKS)}")
    reader = Reader(encoder, cache, kind)
    scores = [found for name in chosen for found in TASKS[name](reader, amounts, seed)]
    return {found.name: found for found in scores}


def _sized(sizes: str | Sizes) -> Sizes:
    if isinstance(sizes, Sizes):
        return sizes
    if sizes not in SIZES:
        raise BatteryError(f"sizes must be one of {', '.join(SIZES)} or a Sizes, got {sizes!r}")
    return SIZES[sizes]


def table(scores: dict[str, TaskScore]) -> pd.DataFrame:
    """One row per task: family, value, blind, better ("higher" or "lower"), n, note; indexed by name."""
    import pandas as pd

    rows = {
        name: (s.family, s.value, s.blind, "higher" if s.higher else "lower", s.n, s.note) for name, s in scores.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["family", "value", "blind", "better", "n", "note"])


def _instances(reader: Reader, sizes: Sizes, seed: int) -> list[TaskScore]:
    found = instances.individuals(*sizes.individuals, seed)
    return instances.instance_scores(reader.vectors(found.queries), reader.vectors(found.gallery), found)


def _scenes(reader: Reader, sizes: Sizes, seed: int) -> list[TaskScore]:
    test = scene_tasks.mixed_scenes(*sizes.mixed, seed).test
    return instances.image_scores(reader.vectors(test.pictures), test)


def _counting(reader: Reader, sizes: Sizes, seed: int) -> list[TaskScore]:
    train, test = scene_tasks.mixed_scenes(*sizes.mixed, seed)
    blind = counting.blind_counts(train.counts, train.areas, test.areas)
    rows = reader.vectors(train.pictures), train.counts, reader.vectors(test.pictures), test.counts
    return counting.counting_scores(*rows, blind)


def _dense(reader: Reader, sizes: Sizes, seed: int) -> list[TaskScore]:
    pools = scene_tasks.dense_scenes(*sizes.dense, seed)
    maps = [reader.patches(pool.pictures) for pool in pools]
    semantic, depth = (
        dense.Parts(*(dense.Dense(found, pool.dense[part]) for found, pool in zip(maps, pools, strict=True)))
        for part in (0, 1)
    )
    window, classes = reader.window(), len(scene_tasks.CLASSES)
    return dense.segmentation_scores(semantic, classes, window) + dense.depth_scores(depth, window)


def _low_level(reader: Reader, sizes: Sizes, seed: int) -> list[TaskScore]:
    pools = scene_tasks.mixed_scenes(*sizes.mixed, seed)
    pairs = [_distorted(pool, n, seed) for pool, n in zip(pools, sizes.distorted, strict=True)]
    found = [value for pictures, levels in pairs for value in (reader.vectors(pictures), levels)]
    clean = [value for pool in pools for value in (reader.vectors(pool.pictures), pool.pictures)]
    return low_level.distortion_scores(*found) + low_level.thumbnail_scores(*clean)


@lru_cache(maxsize=8)
def _distorted(pool: scene_tasks.Pool, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return low_level.distorted(pool.pictures[:n], seed)


def augmented_curves(
    encoder: Any, sizes: str | Sizes = "study", seed: int = 0, cache: Any = None, kind: Kind = "global", **sweep: Any
) -> dict[str, dict[tuple[int, int], TaskScore]]:
    """Retrieval-augmented prediction of noun, category and count: {name: {(context, k): result}}.

    Args:
        encoder: this and the next four as in `battery`.
        sizes: of the sets.
        seed: of all pictures.
        cache: of embeddings.
        kind: of features.
        sweep: ``ks`` and ``contexts``, see `augmented.augmented_sweep`.
    """
    examples = _examples(Reader(encoder, cache, kind), _sized(sizes), seed)
    return {name: augmented.augmented_sweep(name, *rows, **sweep) for name, rows in examples.items()}


def _augmented(reader: Reader, sizes: Sizes, seed: int) -> list[TaskScore]:
    by_area = classification.count_by_area(*scene_tasks.mixed_scenes(*sizes.mixed, seed))
    return [
        augmented.augmented_score(name, *rows, blind=by_area if name == "count" else 0.0)
        for name, rows in _examples(reader, sizes, seed).items()
    ]


def _examples(
    reader: Reader, sizes: Sizes, seed: int
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Features and labels to retrieve from, features and labels to predict."""
    single, mixed = scene_tasks.single_scenes(*sizes.single, seed), scene_tasks.mixed_scenes(*sizes.mixed, seed)
    labels = [classification.labels_of(pool) for pool in single]
    sets = {name: (single, [part[name] for part in labels]) for name in ("noun", "category")}
    sets["count"] = mixed, [pool.counts for pool in mixed]
    return {
        name: (reader.vectors(parts.train.pictures), known, reader.vectors(parts.test.pictures), truth)
        for name, (parts, (known, truth)) in sets.items()
    }


def _classification(reader: Reader, sizes: Sizes, seed: int) -> list[TaskScore]:
    return classification.scene_classification(
        reader,
        scene_tasks.mixed_scenes(*sizes.mixed, seed),
        scene_tasks.single_scenes(*sizes.single, seed),
        scene_tasks.pair_scenes(*sizes.pairs, seed),
    )


def _real(reader: Reader, sizes: Sizes, seed: int) -> list[TaskScore]:
    return classification.real_scores(reader, _textures(seed), _digits(*sizes.digits, seed))


def _one_photograph(reader: Reader, sizes: Sizes, seed: int) -> list[TaskScore]:
    return one_photograph.stereo_scores(reader) + one_photograph.coin_scores(reader)


def _textile(reader: Reader, sizes: Sizes, seed: int) -> list[TaskScore]:
    return classification.textile_scores(reader, _textiles(*sizes.textile, seed)) if min(sizes.textile) else []


_textures = lru_cache(maxsize=2)(transfer.texture_task)
_digits = lru_cache(maxsize=2)(transfer.digit_task)


@lru_cache(maxsize=2)
def _textiles(train: int, test: int, seed: int) -> transfer.Task:
    return transfer.textile_task(train, 2, test, 2025 + seed)


TASKS: dict[str, Callable[[Reader, Sizes, int], list[TaskScore]]] = {
    "instances": _instances,
    "scenes": _scenes,
    "counting": _counting,
    "dense": _dense,
    "low level": _low_level,
    "augmented": _augmented,
    "classification": _classification,
    "real": _real,
    "textile": _textile,
    "one photograph": _one_photograph,
}

"""Retrieval by cosine: the same individual in another scene, and scenes that show the same things."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from percept.data.scenes import COLOURS, Scene, Thing, nouns, picture
from percept.data.scenes.layout import colours_for
from percept.data.scenes.world import CANONICAL, zoom
from percept.evaluation.arrays import unit_rows
from percept.evaluation.retrieval import ROUNDING, relevant_ranks
from percept.evaluation.scores import TaskScore, score
from percept.evaluation.tasks.scene_tasks import Pool, drawn

BUILDS = [(tone, build) for tone in range(4) for build in range(2)]
RANKS = (1, 3, 5)
DEPTH = 10  # of the graded retrieval


class Individuals(NamedTuple):
    """Each individual twice, in two scenes with another place, light, size, side and company.

    Attributes:
        queries: uint8 [N, 64, 64, 3], one close-up of each individual.
        gallery: uint8 [N, 64, 64, 3], the other, in the same order.
        nouns: int64 [N], class ids.
        identities: names, see `Thing.identity`.
        shown: bool [N, N], row i: which gallery pictures query i is compared with: its own, all others of its noun,
            and as many individuals of other nouns.
    """

    queries: np.ndarray
    gallery: np.ndarray
    nouns: np.ndarray
    identities: tuple[str, ...]
    shown: np.ndarray


@lru_cache(maxsize=4)
def individuals(kinds: int, each: int, seed: int) -> Individuals:
    """Draw individuals and their pictures from scenes of the split "test".

    Args:
        kinds: number of nouns.
        each: individuals of each noun, 2 to 8; they differ in colour (where it may be painted), tone or build.
        seed: of the battery.
    """
    rng = np.random.default_rng([seed, 11])
    usable = [noun for noun, kind in enumerate(nouns()) if kind.codepoint != "-"]
    if not (2 <= each <= len(BUILDS) and 2 <= kinds <= len(usable)):
        raise ValueError(f"need 2 to {len(usable)} nouns with 2 to {len(BUILDS)} individuals, got {kinds} and {each}")
    chosen = rng.permutation(usable)[:kinds]
    cast = [thing for noun in chosen for thing in _cast(int(noun), each, rng)]
    hosts = drawn("test", seed, 12, things=2)
    views = []
    for thing in cast * 2:
        view = None
        while view is None:
            view = _view(next(hosts), thing, rng)
        views.append(picture(view))
    ids = np.array([thing.noun for thing in cast])
    pictures = np.stack(views)
    return Individuals(
        pictures[: len(cast)], pictures[len(cast) :], ids, tuple(thing.identity for thing in cast), _shown(ids, rng)
    )


def _cast(noun: int, each: int, rng: np.random.Generator) -> list[Thing]:
    paints = ("", *colours_for(noun, novel=False)) if nouns()[noun].has("c") else ("",)
    options = [(paint, *build) for paint in paints if paint in ("", *COLOURS) for build in BUILDS]
    return [Thing(noun, "", *options[row]) for row in rng.permutation(len(options))[:each]]


def _view(host: Scene, thing: Thing, rng: np.random.Generator) -> Scene | None:
    """A close-up of the individual in the first thing's place, 1.2 to 2 times as large; None if it is hidden there."""
    first = host.things[0]
    size = first.length / first.kind.size * thing.kind.size
    placed = replace(first, noun=thing.noun, variant="", colour=thing.colour, tone=thing.tone, build=thing.build)
    made = replace(host, things=(replace(placed, angle=0, length=size), *host.things[1:]), action=None)
    factor, across, down = rng.uniform(1.2, 2.0), rng.random(), rng.random()
    if 0 not in made.named:
        return None
    left, top, right, bottom = (edge / CANONICAL for edge in made.visibility[0][1])
    side = min(max(right - left, bottom - top) * factor, 1.0)
    return zoom(made, right - side + across * (left - right + side), bottom - side + down * (top - bottom + side), side)


def _shown(ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    shown = ids[:, None] == ids
    for row, same in enumerate(shown):
        others = rng.permutation(np.flatnonzero(ids != ids[row]))[: same.sum() - 1]
        shown[row, others] = True
    return np.asarray(shown)


def identity_ranks(queries: Any, gallery: Any, shown: np.ndarray) -> np.ndarray:
    """Rank (1 = first) of each query's own gallery row among those it is compared with; ties count against it.

    Args:
        queries: [N, D].
        gallery: [N, D], row i belongs to query i.
        shown: bool [N, N].

    Returns:
        int64 [N].
    """
    similarity = unit_rows(queries, "queries") @ unit_rows(gallery, "gallery").T
    return relevant_ranks(np.where(shown, similarity, -np.inf), np.arange(len(shown)), tolerance=ROUNDING)


def instance_scores(queries: Any, gallery: Any, found: Individuals) -> list[TaskScore]:
    """Recall at 1, 3 and 5; the blind figure is a random order's."""
    ranks, sizes = identity_ranks(queries, gallery, found.shown), found.shown.sum(1)
    note = f"{sizes[0] - 1} distractors, half of them of the query's noun; blind: random order"
    return [
        score(
            f"instance recall@{k}",
            "retrieval",
            ranks <= k,
            np.mean(np.minimum(k / sizes, 1)),
            note=note,
            groups=found.nouns,
        )
        for k in RANKS
    ]


def scene_relevance(scenes: Sequence[Scene]) -> np.ndarray:
    """How much two scenes show the same, float64 [N, N], 0..1.

    The mean of the overlap of the multisets of nouns that can be seen (intersection / union), and of whether the place
    is the same (0 or 1).
    """
    table = np.zeros((len(scenes), len(nouns())))
    for row, made in enumerate(scenes):
        for noun, count in made.counts.items():
            table[row, noun] = count
    places = np.array([made.background.key for made in scenes])
    shared = np.stack([np.minimum(row, table).sum(1) for row in table])
    sizes = table.sum(1)
    overlap = shared / np.maximum(sizes[:, None] + sizes - shared, 1)
    return np.asarray((overlap + (places[:, None] == places)) / 2)


def graded_gain(similarity: np.ndarray, relevance: np.ndarray, depth: int = DEPTH) -> tuple[np.ndarray, float]:
    """Normalised discounted cumulative gain of each query, and the mean that a random order expects.

    Args:
        similarity: [Q, N]; -inf takes an item (the query itself) out.
        relevance: [Q, N], 0..1.
        depth: places that count.

    Returns:
        float64 [Q] in 0..1, and the expected value. A query with nothing relevant scores 0.

    Source: Jarvelin and Kekalainen, ACM TOIS 20(4), 2002; gain = relevance, discount 1 / log2(place + 1).
    """
    out = np.isneginf(similarity)
    gains = np.where(out, 0.0, relevance)
    discount = 1 / np.log2(np.arange(2, depth + 2))[: min(depth, similarity.shape[1])]
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :depth]
    ideal = (-np.sort(-gains, axis=1)[:, :depth]) @ discount
    gained = np.take_along_axis(gains, order, 1) @ discount
    expected = gains.sum(1) / np.maximum((~out).sum(1), 1) * discount.sum()
    safe = np.where(ideal > 0, ideal, 1)
    return gained / safe, float(np.mean(expected / safe))


def image_scores(vectors: Any, pool: Pool) -> list[TaskScore]:
    """Scenes searched by a scene: nDCG at 10 with `scene_relevance`; the blind figure is a random order's."""
    rows = unit_rows(vectors, "vectors")
    similarity = rows @ rows.T
    np.fill_diagonal(similarity, -np.inf)
    gain, blind = graded_gain(similarity, scene_relevance(pool.scenes))
    note = "graded by shared nouns and place; blind: random order"
    return [score(f"scene retrieval nDCG@{DEPTH}", "retrieval", gain, blind, note=note)]

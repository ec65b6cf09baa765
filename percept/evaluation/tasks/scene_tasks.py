"""Pictures of scenes for the battery: drawn by the seed alone, so that every encoder is scored on the same items.

Probes are trained on scenes of the split "tune" and scored on "test"; another seed draws other scenes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from percept.data.scenes import SPLITS, STUFF, Scene, Thing, number_of_things, picture, scene, truth
from percept.data.scenes.splits import actors
from percept.data.scenes.vocabulary import nouns
from percept.data.scenes.world import instance_map

CLASSES = (*STUFF, "animal", "vehicle", "food", "clothing", "utensil", "plant", "building", "person")
VOID = 255
SKY_DEPTH = 7.99  # sky and wall have no depth that could be measured
_MERGED = {
    "land animal": "animal",
    "winged animal": "animal",
    "sea animal": "animal",
    "household item": "utensil",
    "tool": "utensil",
    "toy or instrument": "utensil",
    "face": "person",
}


class Pool:
    """Scenes and their pictures.

    Args:
        scenes: the scenes.
        size: side of the pictures in px.
    """

    def __init__(self, scenes: list[Scene], size: int = 64) -> None:
        self.scenes, self.size = scenes, size

    def __len__(self) -> int:
        return len(self.scenes)

    @cached_property
    def pictures(self) -> np.ndarray:
        """uint8 [N, S, S, 3]."""
        return np.stack([picture(made, self.size) for made in self.scenes])

    @cached_property
    def counts(self) -> np.ndarray:
        """int64 [N], number of things that can be seen."""
        return np.array([len(made.named) for made in self.scenes], np.int64)

    @cached_property
    def areas(self) -> np.ndarray:
        """float64 [N], share of the picture that things cover, 0..1."""
        return np.array([(instance_map(made.things, self.size) > 0).mean() for made in self.scenes])

    @cached_property
    def dense(self) -> tuple[np.ndarray, np.ndarray]:
        """Classes uint8 and depth float32, both [N, S, S].

        Classes are positions in `CLASSES`, or `VOID` (things hardly seen); depth is in camera heights, NaN for sky and
        wall.
        """
        maps = [_dense(made, self.size) for made in self.scenes]
        return np.stack([classes for classes, _ in maps]), np.stack([depth for _, depth in maps])

    def of_first(self, fact: Callable[[Scene, Thing], int]) -> np.ndarray:
        """int64 [N], a fact about the first thing of each scene."""
        return np.array([fact(made, made.things[0]) for made in self.scenes], np.int64)


class Parts(NamedTuple):
    """Scenes to train on and scenes to score."""

    train: Pool
    test: Pool


def _dense(made: Scene, size: int) -> tuple[np.ndarray, np.ndarray]:
    facts = truth(made, size)
    lookup = np.full(len(made.things) + 1, VOID, np.uint8)
    for position in made.named:
        category = made.things[position].kind.category
        lookup[position + 1] = CLASSES.index(_MERGED.get(category, category))
    classes = np.where(facts.instances > 0, lookup[facts.instances], facts.stuff)
    return classes, np.where(facts.depth > SKY_DEPTH, np.float32(np.nan), facts.depth)


def drawn(split: str, seed: int, stream: int, things: int | None = None) -> Iterator[Scene]:
    """Scenes of a split in an order drawn by (seed, stream), none twice.

    Args:
        split: name in ``SPLITS``.
        seed: of the battery.
        stream: tells the sets of one battery apart.
        things: only scenes of so many things.
    """
    order = np.random.default_rng([seed, stream]).permutation(len(SPLITS[split]))
    for index in order:
        found = SPLITS[split].start + int(index)
        if things is None or number_of_things(found) == things:
            yield scene(found)


def _take(scenes: Iterator[Scene], n: int) -> Pool:
    kept = []
    for made in scenes:
        if made.named:
            kept.append(made)
        if len(kept) == n:
            break
    return Pool(kept)


@lru_cache(maxsize=4)
def mixed_scenes(train: int, test: int, seed: int) -> Parts:
    """Scenes as they come, 1 to 6 things, of which at least one can be seen."""
    return Parts(_take(drawn("tune", seed, 1), train), _take(drawn("test", seed, 1), test))


@lru_cache(maxsize=4)
def dense_scenes(train: int, validate: int, test: int, seed: int) -> tuple[Pool, Pool, Pool]:
    """Scenes for the dense tasks; those to choose the penalty on are of the split "validate"."""
    return (
        _take(drawn("tune", seed, 2), train),
        _take(drawn("validate", seed, 2), validate),
        _take(drawn("test", seed, 2), test),
    )


@lru_cache(maxsize=4)
def single_scenes(train: int, test: int, seed: int) -> Parts:
    """Scenes of one thing."""
    return Parts(_take(drawn("tune", seed, 3, things=1), train), _take(drawn("test", seed, 3, things=1), test))


@lru_cache(maxsize=4)
def pair_scenes(train: int, test: int, seed: int) -> Parts:
    """Scenes of two things side by side, one clearly nearer: an animal drawn in profile, and something lifeless.

    The scenes are drawn ones of two things; what the things are, their sides and depths are drawn anew, each
    independently of the others.
    """
    return Parts(_take(_recast("tune", seed), train), _take(_recast("test", seed), test))


def _recast(split: str, seed: int) -> Iterator[Scene]:
    """Scenes whose first thing is the animal."""
    rng = np.random.default_rng([seed, 5, SPLITS[split].start])
    lifeless = [noun for noun, kind in enumerate(nouns()) if not kind.has("n") and kind.codepoint != "-"]
    for made in drawn(split, seed, 4, things=2):
        cast = int(rng.choice(actors())), int(rng.choice(lifeless))
        sides = rng.permutation([rng.uniform(0.18, 0.4), rng.uniform(0.6, 0.82)])
        near = rng.uniform(1.0, 1.25)
        depths = rng.permutation([near, near * rng.uniform(1.2, 1.45)])
        places = zip(made.things, cast, sides.tolist(), depths.tolist(), strict=True)
        things = tuple(_moved(made, *place) for place in places)
        changed = replace(made, things=things, action=None)
        if len(changed.named) == 2 and side_of(changed):
            yield changed


def _moved(made: Scene, thing: Thing, noun: int, x: float, depth: float) -> Thing:
    """Another thing on the ground there, as large as perspective makes it."""
    y, length = min(made.horizon + made.camera / depth, 1.0), thing.length * thing.depth / depth
    return Thing(noun, x=x, y=y, length=length, depth=depth, facing=thing.facing, tone=thing.tone, build=thing.build)


def side_of(made: Scene) -> str:
    """How the first thing lies to the second: "left of", "right of", or "" if neither."""
    between = [relation for first, relation, second in made.relations if (first, second) == (0, 1)]
    return next((relation for relation in between if relation in ("left of", "right of")), "")


def quadrant(made: Scene, thing: Thing) -> int:
    """Quarter of the picture that holds the middle of what is seen of the first thing: 0..3, row by row."""
    left, top, right, bottom = made.visibility[0][1]
    return int(left + right >= 64) + 2 * int(top + bottom >= 64)

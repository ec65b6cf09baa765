"""How a scene is drawn up: a pure function of (seed, index).

Sizes are drawn before, and independently of, the number of things; horizon and camera height vary, so that neither
row nor size alone gives the depth. Left and right are never mirrored after a caption is made.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import TypeVar

import numpy as np

from percept.data.scenes.splits import actors, backgrounds_of, held_out_colour, held_out_pose, held_out_triple, split_of
from percept.data.scenes.vocabulary import (
    ANIMAL_ACTIVITIES,
    COLOURS,
    FACES,
    INTERACTIONS,
    PERSON_ACTIVITIES,
    noun_id,
    nouns,
)
from percept.data.scenes.world import CANONICAL, Scene, Thing, instance_map

_T = TypeVar("_T")
_COUNTS = (0.34, 0.54, 0.70, 0.82, 0.92, 1.0)  # cumulative probability of 1..6 things
_LENGTH = 0.42  # length of a thing of relative size 1 at depth 1
_NEAR, _DEEP = 1.0, 1.8  # depth range of things
_TRIES = 10


class Dice:
    """Named draws from one stream of uniform numbers; the stream is the only source of chance in a scene."""

    def __init__(self, seed: int, index: int) -> None:
        self._generator = np.random.Generator(np.random.PCG64([seed, index]))
        self._block: list[float] = []

    def unit(self) -> float:
        """Uniform in [0, 1)."""
        if not self._block:
            self._block = self._generator.random(64).tolist()[::-1]
        return self._block.pop()

    def between(self, low: float, high: float) -> float:
        """Uniform in [low, high)."""
        return low + (high - low) * self.unit()

    def choice(self, options: Sequence[_T]) -> _T:
        """One of the options, equally likely."""
        return options[int(self.unit() * len(options))]


def number_of_things(index: int, seed: int = 0) -> int:
    """How many things (1..6) scene ``index`` has; cheap, it draws nothing else."""
    return _how_many(Dice(seed, index))


def _how_many(dice: Dice) -> int:
    draw = dice.unit()
    return 1 + sum(draw >= bound for bound in _COUNTS[:-1])


def scene(index: int, seed: int = 0) -> Scene:
    """Scene ``index`` of the world ``seed``.

    Args:
        index: position in the split table; the split decides which combinations and backgrounds may appear.
        seed: world seed; the workbook's world is 0.

    Raises:
        IndexError: if the index is outside every split.

    Example:
        >>> scene(3) == scene(3)
        True
    """
    split = split_of(index)
    dice = Dice(seed, index)
    count = _how_many(dice)
    background = dice.choice(backgrounds_of(split))
    horizon = dice.between(0.18, 0.5)
    camera = dice.between(0.36, 0.97 - horizon)
    gain, warmth, texture = dice.between(0.72, 1.12), int(dice.between(-2, 3)), int(dice.between(0, 1 << 16))
    groups, action = _cast(dice, count, split)
    groups = [[_stand(dice, thing, horizon, camera) for thing in group] for group in groups]
    if action:
        groups[0] = _pose(dice, action, groups[0])
    things = _arrange(dice, groups)
    return Scene(
        index,
        seed,
        split,
        background,
        horizon,
        camera,
        gain,
        warmth,
        texture,
        things,
        (0, action, 1) if action else None,
    )


# --- who is in the scene ---------------------------------------------------------------------------------------------


def _cast(dice: Dice, count: int, split: str) -> tuple[list[list[Thing]], str]:
    """Groups of things that move together: an acting pair first, if there is one, then single things."""
    novel = split == "test_combinations"
    groups: list[list[Thing]] = []
    action = ""
    novel_action = novel and count >= 2 and dice.unit() < 0.4
    pair_fits = count >= 3 if novel else count >= 2  # a novel thing needs a place beside a seen pair
    if novel_action or (pair_fits and dice.unit() < 0.45):
        action, subject, target = _triple(dice, novel_action)
        groups.append([_individual(dice, subject, posed=False), _individual(dice, target, posed=False)])
        novel = novel and not novel_action
    while (left := count - sum(map(len, groups))) > 0:
        noun = _any_noun(dice) if not novel else dice.choice(_novel_nouns())
        repeats = 1 + int(dice.unit() * min(left, 4)) if dice.unit() < 0.45 else 1
        for _ in range(min(repeats, left)):
            groups.append([_individual(dice, noun, novel=novel)])
            novel = False
    return groups, action


def _any_noun(dice: Dice) -> int:
    """Persons and faces have many variants and are drawn more often than one noun in ninety."""
    draw = dice.unit()
    if draw < 0.12:
        return noun_id("person") if draw < 0.075 else noun_id("face")
    return int(dice.unit() * (len(nouns()) - 2))


@cache
def _novel_nouns() -> tuple[int, ...]:
    """Nouns that have a colour or a pose held out for ``test_combinations``."""
    return tuple(
        position
        for position, noun in enumerate(nouns())
        if noun.has("c") or (noun.has("a") and poses_for(position, novel=True))
    )


@cache
def colours_for(noun: int, novel: bool) -> tuple[str, ...]:
    """Colours this noun may be painted in: the trained-on ones, or those held out for ``test_combinations``."""
    return tuple(colour for colour in COLOURS if held_out_colour(noun, colour) == novel)


@cache
def poses_for(noun: int, novel: bool) -> tuple[str, ...]:
    """Poses of this animal: the trained-on ones, or those held out for ``test_combinations``."""
    return tuple(pose for pose in ANIMAL_ACTIVITIES if held_out_pose(noun, pose) == novel)


def _individual(dice: Dice, noun: int, *, novel: bool = False, posed: bool = True) -> Thing:
    """One individual; with ``novel`` it shows a held-out colour or pose."""
    kind = nouns()[noun]
    variant = colour = ""
    if kind.key == "person":
        variant = dice.choice(PERSON_ACTIVITIES).key
    elif kind.key == "face":
        variant = dice.choice(FACES).key
    elif kind.has("a") and posed and (poses := poses_for(noun, novel)) and (novel or dice.unit() < 0.4):
        variant = dice.choice(poses)
    elif kind.has("c") and (colours := colours_for(noun, novel)) and (novel or dice.unit() < 0.6):
        colour = dice.choice(colours)
    facing = 1 if dice.unit() < 0.5 else -1
    return Thing(noun, variant, colour, tone=int(dice.unit() * 4), build=int(dice.unit() * 2), facing=facing)


@cache
def targets_for(verb: str) -> tuple[int, ...]:
    """Class ids of what an actor can do ``verb`` to."""
    if verb in ("chase", "face"):
        return actors()
    if verb == "carry":
        return tuple(position for position, noun in enumerate(nouns()) if noun.has("s"))
    excluded = {"person", "face", "rocket", "airplane", "helicopter"}
    return tuple(position for position, noun in enumerate(nouns()) if noun.key not in excluded)


def _triple(dice: Dice, novel: bool) -> tuple[str, int, int]:
    """Verb, subject and target; half of the targets are actors too, so that the roles could be swapped."""
    while True:
        verb = dice.choice(tuple(INTERACTIONS))
        subject = dice.choice(actors())
        swappable = verb != "carry" and dice.unit() < 0.5
        target = dice.choice(actors() if swappable else targets_for(verb))
        if subject != target and held_out_triple(subject, verb, target) == novel:
            return verb, subject, target


# --- where everything stands -----------------------------------------------------------------------------------------


def _stand(dice: Dice, thing: Thing, horizon: float, camera: float) -> Thing:
    """Depth, size and height of one thing; nearer is larger and lower."""
    depth = _NEAR * (_DEEP / _NEAR) ** dice.unit()
    length = _LENGTH * thing.kind.size * dice.between(0.92, 1.1) / depth
    base = horizon + camera / depth
    angle = 0
    if thing.variant == "run":
        angle = -14 * thing.facing
    elif thing.variant == "sleep":
        angle = 90 * thing.facing
    elif thing.variant == "jump":
        base -= dice.between(0.10, 0.16)
    floating = thing.kind.has("f") and dice.unit() < 0.6
    if floating:
        base = max(base - dice.between(0.2, 0.5), length * 1.15)
    return replace(thing, y=min(base, 1.0), length=length, depth=depth, angle=angle, floating=floating)


def _extent(thing: Thing) -> tuple[float, float]:
    """Width and height of a thing as drawn, fractions of the image side."""
    height, width = thing.sprite(CANONICAL).solid.shape
    return width / CANONICAL, height / CANONICAL


def _pose(dice: Dice, verb: str, pair: list[Thing]) -> list[Thing]:
    """Geometry that shows who does what to whom, made smaller if the pair would not fit into the image."""
    gap = dice.between(0.05, 0.1)
    posed = _posed(verb, pair, gap)
    width = _span(posed)[1] - _span(posed)[0]
    if width > 0.98:
        pair = [replace(thing, length=thing.length * 0.96 / width) for thing in pair]
        posed = _posed(verb, pair, gap)
    return posed


def _posed(verb: str, pair: list[Thing], gap: float) -> list[Thing]:
    """The pair with x relative to the subject; both stand at the subject's depth."""
    subject, target = pair
    way = subject.facing
    leans = verb in ("chase", "push", "pull")
    subject = replace(
        subject, x=0.0, angle=-12 * way if leans else 18 * way if verb == "jump over" else 0, floating=False
    )
    follows = target.kind.has("a") and verb in ("chase", "face", "push", "pull")
    target = replace(
        target,
        facing=way if follows else target.facing,
        angle=-12 * way if verb == "chase" else 0,
        depth=subject.depth * 0.999,
        y=subject.y,
        floating=False,
        length=max(target.length * 0.62, 0.17) if verb == "carry" else target.length,
    )
    (wide, tall), (target_wide, target_tall) = _extent(subject), _extent(target)
    beside = way * (wide + target_wide) / 2
    if verb in ("chase", "face"):
        target = replace(target, x=beside + way * gap)
    elif verb == "push":
        target = replace(target, x=beside - way * 0.02)
    elif verb == "pull":
        target = replace(target, x=-beside - way * (gap + 0.04))
    elif verb == "carry":
        target = replace(target, x=way * wide * 0.42, y=subject.y - tall * 0.42, depth=subject.depth * 0.99)
    elif verb == "stand on":
        subject = replace(subject, y=subject.y - target_tall + 0.02)
    elif verb == "jump over":
        subject = replace(subject, y=subject.y - target_tall - gap)
    return [subject, target]


def _span(group: list[Thing]) -> tuple[float, float]:
    """Left and right edge of a group."""
    halves = [_extent(thing)[0] / 2 for thing in group]
    return (
        min(thing.x - half for thing, half in zip(group, halves, strict=True)),
        max(thing.x + half for thing, half in zip(group, halves, strict=True)),
    )


def _spread(dice: Dice, group: list[Thing]) -> list[Thing]:
    """Put a group at a random x so that it lies inside the image."""
    left, right = _span(group)
    lift = min(0.0, min(thing.y - _extent(thing)[1] for thing in group))
    shift = dice.between(-left, max(1.0 - right, -left + 1e-6))
    return [replace(thing, x=thing.x + shift, y=min(thing.y - lift, 1.0)) for thing in group]


def _arrange(dice: Dice, groups: list[list[Thing]]) -> tuple[Thing, ...]:
    """Try positions until everything can be seen; sizes and number stay as drawn, so neither betrays the other."""
    best: tuple[Thing, ...] = ()
    best_share = -1.0
    centred = [[replace(thing, x=0.0) if len(group) == 1 else thing for thing in group] for group in groups]
    for _ in range(_TRIES):
        things = tuple(thing for group in centred for thing in _spread(dice, group))
        shares = _shares(things)
        if min(shares) > best_share:
            best, best_share = things, min(shares)
        if best_share >= 0.5:
            break
    return best


def _shares(things: tuple[Thing, ...]) -> list[float]:
    ids = instance_map(things, CANONICAL)
    shown = np.bincount(ids.ravel(), minlength=len(things) + 1)
    return [shown[i + 1] / max(int(thing.sprite(CANONICAL).solid.sum()), 1) for i, thing in enumerate(things)]

"""Twins: two scenes alike but for one thing, and a sentence for each that is false of the other.

Every scene probe is made of twins, so that each picture and each sentence is right as often as it is wrong. A twin
stands on the background, in the light and with some of the things of a scene of its split; what is asked about is
cast and placed anew. Everything in both pictures can be seen, by the world's rule (``Scene.named``) and a stricter one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

# The world's own grammar and geometry, so that probes read and look like what is trained on.
from percept.data.scenes.captions import _English, _Japanese
from percept.data.scenes.layout import Dice, _individual, _spread, _stand, colours_for
from percept.data.scenes.vocabulary import nouns
from percept.data.scenes.world import Scene, Thing

Grammar = _English | _Japanese
Say = Callable[[Grammar], str]
_TRIES = 6
_LEAST_SHOWN = 0.6  # share of each thing that is seen: more than captions ask for, so that nobody needs to guess
_KEYS = 1 << 50
# A thing that a viewer could also call by another noun of the vocabulary, or whose drawing shows one.
_ALSO = {
    "owl": "bird", "penguin": "bird", "duck": "bird", "rooster": "bird", "palm tree": "tree", "boot": "shoe",
    "person": "face", "ride": "horse", "cycle": "bicycle",
}  # fmt: skip


class Twin(NamedTuple):
    """Two scenes and what is said of them.

    Attributes:
        scenes: the two.
        says: what is true of the first and false of the second, and the reverse; made by the scene's own grammar.
        kinds: what results are broken down by, of the first sentence and of the second.
    """

    scenes: tuple[Scene, Scene]
    says: tuple[Say, Say]
    kinds: tuple[str, str]

    def sentences(self, language: str) -> tuple[str, str]:
        """What is said of the first scene and of the second."""
        grammar = _English if language == "en" else _Japanese
        first, second = (say(grammar(scene)) for say, scene in zip(self.says, self.scenes, strict=True))
        return first, second


def called(thing: Thing) -> set[str]:
    """Nouns that a viewer could find in a thing: a palm tree is a tree, a person who rides shows a horse."""
    names = {thing.kind.key}
    return names | {_ALSO[key] for key in (thing.kind.key, thing.variant) if key in _ALSO}


def distinct(things: Iterable[Thing]) -> bool:
    """Whether no thing could be taken for another by its noun."""
    return all(called(one).isdisjoint(called(other)) for one, other in combinations(things, 2))


# --- casting ---------------------------------------------------------------------------------------------------------


def standing(dice: Dice, base: Scene, noun: int, posed: bool = False) -> Thing:
    """An individual of a noun, on the ground of the scene at a depth of its own, in trained-on colours and poses."""
    key = draw_key(dice)
    thing = _individual(dice, noun, posed=posed)
    placed = on_ground(base, thing, key)
    return at_depth(base, placed, placed.depth) if placed.floating else placed


def on_ground(base: Scene, thing: Thing, key: int) -> Thing:
    """The thing as the world would place it; things placed with one key have one depth and one scale."""
    return _stand(Dice(key, 0), thing, base.horizon, base.camera)


def at_depth(base: Scene, thing: Thing, depth: float) -> Thing:
    """The thing on the ground there, as large as perspective makes it."""
    y = base.horizon + base.camera / depth
    return replace(thing, y=y, length=thing.length * thing.depth / depth, depth=depth, floating=False)


def draw_key(dice: Dice) -> int:
    """Seed of draws that both scenes of a twin share."""
    return int(dice.unit() * _KEYS)


def recast(thing: Thing, noun: int) -> Thing:
    """Another noun in the same place; the colour stays where it may."""
    old, new = thing.kind, nouns()[noun]
    colour = thing.colour if new.has("c") and thing.colour in colours_for(noun, novel=False) else ""
    return replace(thing, noun=noun, colour=colour, length=thing.length * new.size / old.size)


def bystanders(dice: Dice, base: Scene, cast: Sequence[Thing], most: int = 2) -> list[Thing]:
    """Up to so many things of the scene behind the cast, which nobody could take for one of it or for each other."""
    acting = (base.action[0], base.action[2]) if base.action else ()
    wanted, chosen = int(dice.unit() * (most + 1)), list[Thing]()
    for position, thing in enumerate(base.things):
        apart = all(called(thing).isdisjoint(called(other)) for other in (*cast, *chosen))
        behind = thing.depth > max(other.depth for other in cast)
        if len(chosen) < wanted and position not in acting and apart and behind:
            chosen.append(thing)
    return chosen


# --- placing ---------------------------------------------------------------------------------------------------------


def settle(
    dice: Dice,
    base: Scene,
    first: Sequence[list[Thing]],
    second: Sequence[list[Thing]],
    action: tuple[str, str] | None = None,
) -> tuple[Scene, Scene] | None:
    """Put the groups of both scenes at the same random places, so that everything in both can be seen.

    Args:
        dice: source of chance.
        base: scene that gives the background and the light.
        first: groups of things that keep their distances; the n-th groups of both go to one place.
        second: the other scene's; groups at the end that the first lacks do not move the rest.
        action: verbs of the first group's things in both scenes, the first thing acting on the second.

    Returns:
        The two scenes, or None if some thing always hides another.
    """
    key = draw_key(dice)
    for attempt in range(_TRIES if len(second) > 1 else 1):  # things of one group hide each other anywhere
        made = []
        for turn, groups in enumerate((first, second)):
            here = Dice(key, attempt)
            things = tuple(thing for group in groups for thing in _spread(here, _centred(group)))
            made.append(replace(base, things=things, action=(0, action[turn], 1) if action else None))
            if not in_sight(made[-1]):
                break
        else:
            return made[0], made[1]
    return None


def _centred(group: list[Thing]) -> list[Thing]:
    return [replace(group[0], x=0.0)] if len(group) == 1 else group


def in_sight(scene: Scene) -> bool:
    """Whether everything may be named and mostly shows, and nothing was pushed out of its pose at the edge."""
    clear = len(scene.named) == len(scene.things) and min(share for share, _ in scene.visibility) >= _LEAST_SHOWN
    return clear and all(thing.y < 1 for thing in scene.things)


# --- words -----------------------------------------------------------------------------------------------------------


def number_of(noun: int) -> Say:
    """Say "there are two dogs on the grass", said of a scene's dogs."""

    def say(grammar: Grammar) -> str:
        lines = zip(grammar.existing(), grammar.existence(), strict=True)
        return next(line for (thing, _, _), line in lines if thing.noun == noun)

    return say


def everything(grammar: Grammar) -> str:
    """Say "a red car and a blue house", with the place where it is true of all."""
    return grammar.listing(detail=True, placed=True)


def plain_list(grammar: Grammar) -> str:
    """Say "two dogs and three cats"."""
    return grammar.listing(detail=False)

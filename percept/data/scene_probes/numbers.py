"""Twins about what there is and how many: existence, negation, plurality, counting, foil nouns."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np

from percept.data.scene_probes.twins import (
    Grammar,
    Say,
    Twin,
    at_depth,
    bystanders,
    called,
    distinct,
    everything,
    in_sight,
    number_of,
    plain_list,
    recast,
    settle,
    standing,
)
from percept.data.scenes.captions import _English
from percept.data.scenes.layout import Dice, colours_for, poses_for
from percept.data.scenes.vocabulary import nouns
from percept.data.scenes.world import Scene, Thing

_PAIRS = tuple(combinations(range(1, 5), 2))  # captions hardly ever say "five" or "six"
_SMALL = tuple(combinations(range(1, 4), 2))
_CROWDED = (1.45, 1.8)  # depths at which six things can all be seen
_MOST = 6  # things in a picture, as in the world


def _edited(dice: Dice, base: Scene) -> tuple[Scene, Thing] | None:
    """A scene of several things as it is, and one of them that is put last and is the only one of its noun."""
    if base.action or not 2 <= len(base.things) <= 4 or not in_sight(base):
        return None
    chosen = dice.choice(base.things)
    rest = tuple(thing for thing in base.things if thing is not chosen)
    if any(called(chosen) & called(thing) for thing in rest):
        return None
    return replace(base, things=(*rest, chosen)), chosen


def existence(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """Ask "there is a dog on the grass" or "there is a chair on the grass", standing elsewhere."""
    found = _edited(dice, base)
    if found is None:
        return None
    scene, chosen = found
    other = standing(dice, base, int(dice.unit() * len(nouns())), posed=True)
    if any(called(other) & called(thing) for thing in scene.things):
        return None
    moved = replace(other, x=dice.between(0.15, 0.85))
    second = replace(base, things=(*scene.things[:-1], moved))
    if not in_sight(second):
        return None
    says = number_of(chosen.noun), number_of(other.noun)
    return Twin((scene, second), says, (chosen.kind.category, other.kind.category))


def negation(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """Ask "there is a dog on the grass" or "there is no dog on the grass", as VALSE asks for existence."""
    found = _edited(dice, base)
    if found is None:
        return None
    scene, chosen = found
    second = replace(base, things=scene.things[:-1])
    if not in_sight(second):
        return None
    placed = _English(scene).grounded(len(scene.things) - 1)
    return Twin((scene, second), (number_of(chosen.noun), _none_of(chosen, placed)), (chosen.kind.category,) * 2)


def _none_of(thing: Thing, placed: bool) -> Say:
    def say(grammar: Grammar) -> str:
        place, kind = grammar.place(placed), thing.kind
        if isinstance(grammar, _English):
            return f"there is no {kind.en.partition(' ')[2]}{place}"
        return f"{place}{kind.ja}は{'いない' if kind.has('n') else 'ない'}"

    return say


def foil_noun(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """All that is seen, with one noun or another of its category: "a red car, a dog and two apples on the grass"."""
    found = _edited(dice, base)
    if found is None:
        return None
    scene, chosen = found
    options = [noun for noun in range(len(nouns())) if _stands_in(noun, chosen)]
    if not options:
        return None
    other = recast(chosen, dice.choice(options))
    second = replace(base, things=(*scene.things[:-1], other))
    if not distinct([other, chosen]) or any(called(other) & called(t) for t in scene.things) or not in_sight(second):
        return None
    return Twin((scene, second), (everything,) * 2, (chosen.kind.category,) * 2)


def _stands_in(noun: int, thing: Thing) -> bool:
    """Whether a noun of the same category can take a thing's place in its colour and pose."""
    kind = nouns()[noun]
    return (
        noun != thing.noun
        and kind.category == thing.kind.category
        and (not thing.colour or (kind.has("c") and thing.colour in colours_for(noun, novel=False)))
        and (not thing.variant or thing.variant in poses_for(noun, novel=False))
        and (not thing.floating or kind.has("f"))
    )


# --- how many --------------------------------------------------------------------------------------------------------


def _counted(dice: Dice, base: Scene, few: int, many: int) -> Twin | None:
    """Few of a noun, or the same and more."""
    noun = int(dice.unit() * len(nouns()))
    crowd = [[standing(dice, base, noun, posed=True)] for _ in range(many)]
    cast = [thing for group in crowd for thing in group]
    company = [[thing] for thing in bystanders(dice, base, cast, most=1)]
    scenes = settle(dice, base, [*company, *crowd[:few]], [*company, *crowd])
    if scenes is None or not all(_countable(scene) for scene in scenes):
        return None
    return Twin(scenes, (number_of(noun),) * 2, (f"{few} or {many}",) * 2)


def _countable(scene: Scene) -> bool:
    """Whether no two things of a noun lie so close together that they could be one: half a box shared at most."""
    for (one, (_, box)), (other, (_, other_box)) in combinations(zip(scene.things, scene.visibility, strict=True), 2):
        low, high = np.maximum(box[:2], other_box[:2]), np.minimum(box[2:], other_box[2:])
        smaller = min(np.prod(np.subtract(b[2:], b[:2])) for b in (box, other_box))
        if one.noun == other.noun and np.prod(np.maximum(high - low, 0)) > smaller / 2:
            return False
    return True


def plurality(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """Ask "there is a dog" or "there are three dogs"; captions say "a dog" where there is exactly one."""
    return _counted(dice, base, 1, 2 + turn % 3)


def counting(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """Ask "there are two dogs" or "there are four dogs", all pairs of numbers from one to four equally often."""
    return _counted(dice, base, *_PAIRS[turn % len(_PAIRS)])


def small_numbers(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """As `counting`, from one to three."""
    return _counted(dice, base, *_SMALL[turn % len(_SMALL)])


def rival_numbers(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """Adversarial counting: there are as many cats as the foil says there are dogs, and as many things in both.

    VALSE's own rule (small numbers true, large ones false) would tell a reader of the sentences which is which.
    """
    few, many = [pair for pair in _PAIRS if sum(pair) <= _MOST][turn % 5]
    scenes, noun = _exchanged(dice, base, few, many)
    return Twin(scenes, (number_of(noun),) * 2, (f"{few} or {many}",) * 2) if scenes else None


def number_swap(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """Ask "two dogs and three cats" or "three dogs and two cats"."""
    scenes, _ = _exchanged(dice, base, 2, 3 + turn % 2)
    return Twin(scenes, (plain_list,) * 2, ("number",) * 2) if scenes else None


def _exchanged(dice: Dice, base: Scene, few: int, many: int) -> tuple[tuple[Scene, Scene] | None, int]:
    """Few of one noun and many of another, and the same with the nouns exchanged; and the first noun."""
    one, other = (int(dice.unit() * (len(nouns()) - 2)) for _ in range(2))  # people and faces come in variants
    crowd = [standing(dice, base, noun) for noun in [one] * few + [other] * many]
    if not distinct([crowd[0], crowd[-1]]):
        return None, one
    places = sorted(range(len(crowd)), key=lambda _: dice.unit())
    first = [
        replace(at_depth(base, thing, dice.between(*_CROWDED)), x=(place + dice.between(-0.3, 0.3)) * 0.8 / len(crowd))
        for thing, place in zip(crowd, places, strict=True)
    ]
    second = [recast(thing, other if thing.noun == one else one) for thing in first]
    scenes = settle(dice, base, [first], [second])
    return (scenes if scenes and all(_countable(scene) for scene in scenes) else None), one

"""Twins about what belongs to what: attribute binding, coreference, and squares of swapped words."""

from __future__ import annotations

from dataclasses import replace

from percept.data.scene_probes.actions import role_swap
from percept.data.scene_probes.numbers import number_swap
from percept.data.scene_probes.places import place_swap
from percept.data.scene_probes.twins import (
    Grammar,
    Say,
    Twin,
    bystanders,
    distinct,
    draw_key,
    everything,
    on_ground,
    settle,
)
from percept.data.scenes.layout import Dice, _individual, colours_for, poses_for
from percept.data.scenes.splits import actors
from percept.data.scenes.vocabulary import nouns
from percept.data.scenes.world import Scene, Thing


def _exchanged(dice: Dice, base: Scene, trait: str) -> tuple[Scene, Scene] | None:
    """Two things with a "colour" each, or two animals with a "pose" each, and the same exchanged."""
    options = actors() if trait == "pose" else tuple(n for n, kind in enumerate(nouns()) if kind.has("c"))
    looks = poses_for if trait == "pose" else colours_for
    cast = [_individual(dice, dice.choice(options), posed=False) for _ in range(2)]
    shared = [look for look in looks(cast[0].noun, novel=False) if look in looks(cast[1].noun, novel=False)]
    if not distinct(cast) or len(shared) < 2:
        return None
    one = dice.choice(shared)
    other = dice.choice([look for look in shared if look != one])
    keys = draw_key(dice), draw_key(dice)
    first, second = (
        [on_ground(base, _with(thing, trait, look), key) for thing, look, key in zip(cast, looks_, keys, strict=True)]
        for looks_ in ((one, other), (other, one))
    )
    company = [[thing] for thing in bystanders(dice, base, first, most=1)]
    return settle(dice, base, [first[:1], first[1:], *company], [second[:1], second[1:], *company])


def _with(thing: Thing, trait: str, look: str) -> Thing:
    return replace(thing, variant=look, colour="") if trait == "pose" else replace(thing, colour=look)


def binding(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """Ask "a red car and a blue house" or "a blue car and a red house"; every fourth: "a running dog and ..."."""
    kind = "pose" if turn % 4 == 3 else "colour"
    scenes = _exchanged(dice, base, kind)
    return Twin(scenes, (everything,) * 2, (kind,) * 2) if scenes else None


def coreference(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """Ask "there is a car. it is red", where a house is blue: the foil says "it is blue", or "there is a house"."""
    trait, swapped = ("pose" if turn % 2 else "colour"), turn // 2 % 2
    if (scenes := _exchanged(dice, base, trait)) is None:
        return None
    kind = f"{trait}, {'antecedent' if swapped else 'property'}"
    return Twin(scenes, (_it(0), _it(swapped)), (kind,) * 2)


def _it(position: int) -> Say:
    def say(grammar: Grammar) -> str:
        return grammar.property(position)[1]

    return say


def word_swap(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """Two pictures and two sentences of the same words: roles, places, numbers, colours or poses swapped."""
    turn, kind = divmod(turn, 5)
    if kind < 3:
        twin = (role_swap, place_swap, number_swap)[kind](dice, base, turn)
        return twin._replace(kinds=("role",) * 2) if twin and kind == 0 else twin
    trait = "colour" if kind == 3 else "pose"
    scenes = _exchanged(dice, base, trait)
    return Twin(scenes, (everything,) * 2, (trait,) * 2) if scenes else None

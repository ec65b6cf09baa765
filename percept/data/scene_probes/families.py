"""Twins for true and false sentences about places, in the seven families of VSR (Liu et al., TACL 2023).

What is not asked because flat drawings in profile cannot show it: what is inside, around, part of or attached to
something; parallel and perpendicular; paths (into, through, across, along). Left out as needing more than two things:
between and among.
"""

from __future__ import annotations

from dataclasses import replace

from percept.data.scene_probes.actions import role_pair
from percept.data.scene_probes.places import among, relation, row, said, two
from percept.data.scene_probes.twins import Grammar, Twin, at_depth, distinct, draw_key, on_ground, standing
from percept.data.scenes.captions import _English
from percept.data.scenes.layout import Dice, _extent, _individual, _pose, poses_for
from percept.data.scenes.splits import actors, backgrounds_of
from percept.data.scenes.vocabulary import nouns
from percept.data.scenes.world import Scene

FAMILIES: dict[str, tuple[str, ...]] = {
    "adjacency": ("at the left side of", "at the right side of"),
    "directional": ("running toward", "running away from"),
    "orientation": ("facing",),
    "projective": ("left of", "right of", "above", "below", "in front of", "behind"),
    "proximity": ("near", "far from"),
    "topological": ("on", "in"),
    "unallocated": ("next to",),
}
FAMILY = {relation: family for family, relations in FAMILIES.items() for relation in relations}
IN_CAPTIONS = ("orientation", "projective", "topological")  # the others' words are in no caption of the world
_SMALL = (1.7, 1.8)  # depths at which three things fit side by side


def place(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """One of the families in turn."""
    makers = (_adjacency, _directional, _orientation, _projective, _proximity, _topological, _unallocated)
    return makers[turn % 7](dice, base, turn // 7)


def _projective(dice: Dice, base: Scene, turn: int) -> Twin | None:
    return relation(dice, base, turn % 3)


def _adjacency(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """Close by, on one side or on the other."""
    if (pair := two(dice, base, (1.2, 1.8))) is None:
        return None
    scenes = among(dice, base, (row(pair, 0.02), row(pair[::-1], 0.02)[::-1]))
    left, right = FAMILIES["adjacency"]
    return Twin(scenes, (said(0, left, 1), said(0, right, 1)), (left, right)) if scenes else None


def _proximity(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """Nearly touching, or at opposite ends of the picture."""
    pair = two(dice, base, _SMALL)
    room = 0.97 - sum(_extent(thing)[0] for thing in pair or [])
    if pair is None or room < 0.4:
        return None
    mirror = -1 if dice.unit() < 0.5 else 1
    near, far = (row(pair[::mirror], gap)[::mirror] for gap in (0.03, room))
    scenes = among(dice, base, (near, far))
    return Twin(scenes, (said(0, "near", 1), said(0, "far from", 1)), ("near", "far from")) if scenes else None


def _unallocated(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """Three in a row: the first is next to one of the others, and that one is next to the last."""
    if (pair := two(dice, base, _SMALL)) is None:
        return None
    third = at_depth(base, standing(dice, base, int(dice.unit() * len(nouns()))), pair[0].depth)
    if not distinct([*pair, third]) or sum(_extent(thing)[0] for thing in (*pair, third)) > 0.88:
        return None
    mirror = -1 if dice.unit() < 0.5 else 1
    orders = ([*pair, third], [pair[0], third, pair[1]])
    first, second = (row(order[::mirror], 0.04)[::mirror] for order in orders)
    scenes = among(dice, base, (first, second))
    return Twin(scenes, (said(0, "next to", 1),) * 2, ("next to",) * 2) if scenes else None


def _orientation(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """Two animals one behind the other: the one that looks at the other's back is facing it."""
    pair = role_pair(dice, base, dice.choice(actors()), dice.choice(actors()))
    if not distinct(pair):
        return None
    gap = dice.between(0.05, 0.12)
    right, left = (row([replace(thing, facing=way) for thing in pair], gap) for way in (1, -1))
    scenes = among(dice, base, (right, left))
    return Twin(scenes, (said(0, "facing", 1), said(1, "facing", 0)), ("facing",) * 2) if scenes else None


def _directional(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """An animal that runs, and something that it runs to or from."""
    runners = [noun for noun in actors() if "run" in poses_for(noun, novel=False)]
    runner = replace(_individual(dice, dice.choice(runners), posed=False), variant="run")
    goal = standing(dice, base, int(dice.unit() * len(nouns())))
    if not distinct([runner, goal]):
        return None
    way, key, gap = 1 if dice.unit() < 0.5 else -1, draw_key(dice), dice.between(0.1, 0.2)
    poses = []
    for facing in (way, -way):
        running = on_ground(base, replace(runner, facing=facing), key)
        poses.append(row([running, at_depth(base, goal, running.depth)][::way], gap)[::way])
    scenes = among(dice, base, (poses[0], poses[1]))
    toward, away = FAMILIES["directional"]
    return Twin(scenes, (said(0, toward, 1), said(0, away, 1)), (toward, away)) if scenes else None


def _topological(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """One animal on another, or (every other twin) a thing in two places."""
    if turn % 2 and not base.background.held_out:
        return _backgrounds(dice, base)
    pair = role_pair(dice, base, dice.choice(actors()), dice.choice(actors()))
    if not distinct(pair):
        return None
    key = draw_key(dice)
    first, second = (_pose(Dice(key, 0), "stand on", order) for order in (pair, pair[::-1]))
    scenes = among(dice, base, (first, second[::-1]))
    return Twin(scenes, (said(0, "on", 1), said(1, "on", 0)), ("on", "on")) if scenes else None


def _backgrounds(dice: Dice, base: Scene) -> Twin | None:
    """Ask "the dog is on the grass" or "the dog is in the snow"."""
    others = [other for other in backgrounds_of("test") if other != base.background]
    thing = standing(dice, base, int(dice.unit() * len(nouns())), posed=True)
    scenes = among(dice, base, ([thing], [thing]), most=2)
    if scenes is None:
        return None
    second = replace(scenes[1], background=dice.choice(others))
    kinds = base.background.en.split()[0], second.background.en.split()[0]
    return Twin((scenes[0], second), (_where, _where), kinds)


def _where(grammar: Grammar) -> str:
    """Say "the dog is on the grass"."""
    if isinstance(grammar, _English):
        return f"{grammar.the(0)} is{grammar.place()}"
    kind = grammar.scene.things[0].kind
    return f"{kind.ja}は{grammar.place()}{grammar.be(kind)}"

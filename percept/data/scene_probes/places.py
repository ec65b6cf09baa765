"""Twins about where one thing is to another, in the six relations that captions of the world tell."""

from __future__ import annotations

from dataclasses import replace

from percept.data.scene_probes.twins import Grammar, Say, Twin, at_depth, bystanders, distinct, settle, standing
from percept.data.scenes.captions import _English
from percept.data.scenes.layout import Dice, _extent
from percept.data.scenes.vocabulary import SPATIAL, nouns
from percept.data.scenes.world import Scene, Thing

Pose = list[Thing]  # things whose x counts from the first of them
# relation -> (English after "is", Japanese after the landmark; one that ends with に goes on with いる or ある)
PHRASES = {relation: (en, f"{ja}に") for relation, (en, ja) in SPATIAL.items()} | {
    "at the left side of": ("at the left side of", "の左側に"),
    "at the right side of": ("at the right side of", "の右側に"),
    "running toward": ("running toward", "の方へ走っている"),
    "running away from": ("running away from", "から走って遠ざかっている"),
    "facing": ("facing", "の方を向いている"),
    "near": ("near", "の近くに"),
    "far from": ("far from", "から遠くに"),
    "on": ("on", "の上に"),
    "next to": ("next to", "の隣に"),
}


def said(subject: int, relation: str, landmark: int) -> Say:
    """Say "the dog is near the cat", of two positions in a scene."""
    english, japanese = PHRASES[relation]

    def say(grammar: Grammar) -> str:
        if isinstance(grammar, _English):
            return f"{grammar.the(subject)} is {english} {grammar.the(landmark)}"
        one, other = (grammar.scene.things[position].kind for position in (subject, landmark))
        return f"{one.ja}は{other.ja}{japanese}{grammar.be(one) if japanese.endswith('に') else ''}"

    return say


def row(things: list[Thing], gap: float) -> Pose:
    """Things side by side, from left to right."""
    placed = [replace(things[0], x=0.0)]
    for thing in things[1:]:
        step = (_extent(placed[-1])[0] + _extent(thing)[0]) / 2 + gap
        placed.append(replace(thing, x=placed[-1].x + step))
    return placed


def two(dice: Dice, base: Scene, depths: tuple[float, float], traits: tuple[str, str] = ("", "")) -> Pose | None:
    """Two things with these traits, at one depth between these; None if one could be taken for the other."""
    depth = dice.between(*depths)
    chosen = [dice.choice([n for n, kind in enumerate(nouns()) if not t or kind.has(t)]) for t in traits]
    pair = [at_depth(base, standing(dice, base, noun), depth) for noun in chosen]
    return pair if distinct(pair) else None


def _stacked(upper: Thing, lower: Thing, gap: float, shift: float) -> Pose:
    """One thing in the air over another on the ground."""
    above = replace(upper, x=shift, y=lower.y - _extent(lower)[1] - gap, floating=True)
    return [above, replace(lower, x=0.0)]


def _overlapping(base: Scene, near: Thing, far: Thing, ratio: float, shift: float) -> Pose:
    """One thing before the other, which is so many times as far away."""
    return [replace(near, x=0.0), replace(at_depth(base, far, near.depth * ratio), x=shift)]


def _sides(dice: Dice, base: Scene) -> tuple[Pose, Pose] | None:
    if (pair := two(dice, base, (1.2, 1.8))) is None:
        return None
    gap = dice.between(0.08, 0.25)
    return row(pair, gap), row(pair[::-1], gap)[::-1]


def _heights(dice: Dice, base: Scene) -> tuple[Pose, Pose] | None:
    if (pair := two(dice, base, (1.5, 1.8), ("f", "f"))) is None:
        return None
    gap, shift = dice.between(0.06, 0.12), dice.between(-0.08, 0.08)
    return _stacked(pair[0], pair[1], gap, shift), _stacked(pair[1], pair[0], gap, shift)[::-1]


def _depths(dice: Dice, base: Scene) -> tuple[Pose, Pose] | None:
    if (pair := two(dice, base, (1.0, 1.3))) is None:
        return None
    ratio, shift = dice.between(1.3, 1.5), dice.between(-0.12, 0.12)
    nearer = _overlapping(base, pair[0], pair[1], ratio, shift)
    return nearer, _overlapping(base, pair[1], pair[0], ratio, shift)[::-1]


def _side_or_height(dice: Dice, base: Scene) -> tuple[Pose, Pose] | None:
    if (pair := two(dice, base, (1.5, 1.8), ("f", ""))) is None:
        return None
    gap, height, shift = dice.between(0.08, 0.25), dice.between(0.06, 0.12), dice.between(-0.08, 0.08)
    beside = row(pair, gap) if dice.unit() < 0.5 else row(pair[::-1], gap)[::-1]
    return beside, _stacked(pair[0], pair[1], height, shift)


_AXES = (_sides, _heights, _depths, _side_or_height)


def _related(dice: Dice, base: Scene, axis: int) -> tuple[tuple[Scene, Scene], tuple[str, str]] | None:
    """Two scenes, and how the first thing lies to the second in each, by the world's own definition."""
    poses = _AXES[axis](dice, base)
    if poses is None or (scenes := among(dice, base, poses, most=1)) is None:
        return None
    names = [next((name for one, name, other in scene.relations if (one, other) == (0, 1)), "") for scene in scenes]
    return (scenes, (names[0], names[1])) if all(names) and names[0] != names[1] else None


def among(dice: Dice, base: Scene, poses: tuple[Pose, Pose], most: int = 0) -> tuple[Scene, Scene] | None:
    """Both scenes, with the posed things first and up to so many others."""
    company = [[thing] for thing in bystanders(dice, base, poses[0], most)]
    return settle(dice, base, [poses[0], *company], [poses[1], *company])


def relation(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """Ask "the dog is to the left of the cat" or "... to the right of ..."; a quarter: "left of" or "above"."""
    if (found := _related(dice, base, turn % 4)) is None:
        return None
    scenes, kinds = found
    return Twin(scenes, (said(0, kinds[0], 1), said(0, kinds[1], 1)), kinds)


def place_swap(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """Ask "the dog is to the left of the cat" or "the cat is to the left of the dog"."""
    if (found := _related(dice, base, turn % 3)) is None:
        return None
    scenes, (kind, _) = found
    return Twin(scenes, (said(0, kind, 1), said(1, kind, 0)), ("place",) * 2)

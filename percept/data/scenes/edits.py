"""Edited twins of a scene, and how far apart a scene and its twin are, attribute by attribute.

An edit changes what a person would call one thing about the picture (where something stands, its colour, its pose,
the place, the light), so that two edits of one scene can be compared with it, as the generated variations in NIGHTS
(Fu et al., 2023) can.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from percept.data.scenes.layout import colours_for, poses_for
from percept.data.scenes.splits import backgrounds_of
from percept.data.scenes.vocabulary import FACES, PERSON_ACTIVITIES, nouns
from percept.data.scenes.world import CANONICAL, Scene, Thing

SAME_CATEGORY = 0.6  # dissimilarity of two nouns of one category; of two categories it is 1
_LAYOUT_SPAN, _SIZE_SPAN, _COLOUR_SPAN = 0.35, np.log(2.0), 50.0  # changes that count as 1
_LEAST_SEEN = 0.35  # a thing that an edit hides further than this is placed anew
_TRIES = 8


class Edited(NamedTuple):
    """A twin of a scene.

    Attributes:
        scene: the twin.
        match: for each thing of the original its position in the twin, or None if it was removed.
    """

    scene: Scene
    match: tuple[int | None, ...]


# --- edits -----------------------------------------------------------------------------------------------------------


def _put(scene: Scene, position: int, thing: Thing) -> Scene:
    things = list(scene.things)
    things[position] = thing
    return replace(scene, things=tuple(things))


def _pick(scene: Scene, rng: np.random.Generator) -> int:
    return int(rng.choice(scene.named or range(len(scene.things))))


def _move(edited: Edited, rng: np.random.Generator) -> Edited:
    """Push a thing sideways and towards or away from the viewer; size and height follow the perspective."""
    scene, position = edited.scene, _pick(edited.scene, rng)
    thing = scene.things[position]
    depth = float(np.clip(thing.depth * np.exp(rng.normal(0, 0.22)), 0.9, 2.2))
    x = float(np.clip(thing.x + rng.normal(0, 0.16), 0.12, 0.88))
    y = thing.y if thing.floating else min(thing.y + scene.camera * (1 / depth - 1 / thing.depth), 1.0)
    moved = replace(thing, x=x, y=y, depth=depth, length=thing.length * thing.depth / depth)
    return edited._replace(scene=_put(scene, position, moved))


def _pose(edited: Edited, rng: np.random.Generator) -> Edited:
    """Turn a thing round, or give it another pose, activity or expression."""
    scene, position = edited.scene, _pick(edited.scene, rng)
    thing = scene.things[position]
    options = _variants(thing)
    if options and rng.random() < 0.6:
        variant = str(rng.choice(options))
        angle = {"run": -14 * thing.facing, "sleep": 90 * thing.facing}.get(variant, 0) if thing.kind.has("a") else 0
        return edited._replace(scene=_put(scene, position, replace(thing, variant=variant, angle=angle)))
    return edited._replace(scene=_put(scene, position, replace(thing, facing=-thing.facing, angle=-thing.angle)))


def _variants(thing: Thing) -> list[str]:
    if thing.kind.key == "person":
        names = [activity.key for activity in PERSON_ACTIVITIES]
    elif thing.kind.key == "face":
        names = [face.key for face in FACES]
    elif thing.kind.has("a") and not thing.colour:
        names = ["", *(pose for pose in poses_for(thing.noun, novel=False) if pose != "jump")]
    else:
        names = []
    return [name for name in names if name != thing.variant]


def _paint(edited: Edited, rng: np.random.Generator) -> Edited:
    """Another colour where the noun may be painted, else another tone."""
    scene, position = edited.scene, _pick(edited.scene, rng)
    thing = scene.things[position]
    colours = [c for c in colours_for(thing.noun, novel=False) if c != thing.colour] if thing.kind.has("c") else []
    if colours:
        return edited._replace(scene=_put(scene, position, replace(thing, colour=str(rng.choice(colours)))))
    return edited._replace(scene=_put(scene, position, replace(thing, tone=(thing.tone + int(rng.integers(1, 4))) % 4)))


def _swap(edited: Edited, rng: np.random.Generator) -> Edited:
    """Another noun in the same place, three times out of four of the same category."""
    scene, position = edited.scene, _pick(edited.scene, rng)
    thing = scene.things[position]
    same = rng.random() < 0.75
    options = [
        noun
        for noun, kind in enumerate(nouns())
        if noun != thing.noun and kind.key not in ("person", "face") and (kind.category == thing.kind.category) == same
    ]
    noun = int(rng.choice(options or range(len(nouns()) - 2)))
    colour = thing.colour if nouns()[noun].has("c") and thing.colour in colours_for(noun, novel=False) else ""
    return edited._replace(scene=_put(scene, position, replace(thing, noun=noun, colour=colour, variant="", angle=0)))


def _number(edited: Edited, rng: np.random.Generator) -> Edited:
    """Take a thing away, or put a copy of one beside it."""
    scene = edited.scene
    position = _pick(scene, rng)
    if len(scene.things) > 1 and rng.random() < 0.5:
        match = tuple(None if old == position else _closed_up(old, position) for old in edited.match)
        return Edited(replace(scene, things=scene.things[:position] + scene.things[position + 1 :]), match)
    thing = scene.things[position]
    twin = replace(thing, x=float(rng.uniform(0.12, 0.88)), depth=thing.depth * 1.01)
    return edited._replace(scene=replace(scene, things=(*scene.things, twin)))


def _closed_up(old: int | None, removed: int) -> int | None:
    return old if old is None or old < removed else old - 1


def _place(edited: Edited, rng: np.random.Generator) -> Edited:
    """Another background of the trained-on ones."""
    scene = edited.scene
    others = [background for background in backgrounds_of("pretrain") if background != scene.background]
    return edited._replace(scene=replace(scene, background=others[int(rng.integers(len(others)))]))


def _light(edited: Edited, rng: np.random.Generator) -> Edited:
    """Brighter or darker, warmer or colder."""
    gain = float(np.clip(edited.scene.gain * np.exp(rng.normal(0, 0.22)), 0.5, 1.4))
    warmth = int(np.clip(edited.scene.warmth + rng.integers(-3, 4), -4, 4))
    return edited._replace(scene=replace(edited.scene, gain=gain, warmth=warmth))


_EDITS: tuple[tuple[Callable[[Edited, np.random.Generator], Edited], float], ...] = (
    (_move, 0.30), (_pose, 0.18), (_paint, 0.16), (_light, 0.14), (_place, 0.08), (_number, 0.07), (_swap, 0.07),
)  # fmt: skip


def edit(scene: Scene, rng: np.random.Generator) -> Edited:
    """A twin of the scene with one to three edits; mostly the nouns stay.

    Args:
        scene: the original; one without an action, whose marks would not follow the edit.
        rng: source of every choice.

    Raises:
        ValueError: if the scene has an action.
    """
    if scene.action is not None:
        raise ValueError(f"scene {scene.index} shows an action; edits are defined for scenes without one")
    twin = Edited(scene, tuple(range(len(scene.things))))
    weights = [weight for _, weight in _EDITS]
    for chosen in rng.choice(len(_EDITS), size=int(rng.integers(1, 4)), replace=False, p=weights):
        for _ in range(_TRIES):
            candidate = _EDITS[chosen][0](twin, rng)
            if candidate.scene.named and min(share for share, _ in candidate.scene.visibility) >= _LEAST_SEEN:
                twin = candidate
                break
    return twin


# --- how far apart ---------------------------------------------------------------------------------------------------

ATTRIBUTES = ("category", "number", "colour", "layout", "pose", "background")


def differences(scene: Scene, twin: Edited) -> np.ndarray:
    """How far a twin is from its original, float64 ``[6]`` in the order of ``ATTRIBUTES``, each about 0..1.

    Things count by the area they show. *category*: 0 same noun, 0.6 same category, 1 another. *number*: things added
    or removed, over the number of things. *colour*: CIE76 difference of the drawings' mean colours, 50 units = 1.
    *layout*: half the way moved (0.35 image sides = 1) and half the change of size (a factor of 2 = 1). *pose*: half
    for facing the other way, half for another pose. *background*: 1 for another place.
    """
    kept = [(old, new) for old, new in enumerate(twin.match) if new is not None]
    pairs = [(scene.things[old], twin.scene.things[new]) for old, new in kept]
    areas = np.array([scene.visibility[old][0] * scene.things[old].length ** 2 for old, _ in kept]) + 1e-9
    table = np.array([_between(one, other) for one, other in pairs]).reshape(-1, 4)
    category, colour, layout, pose = (areas / areas.sum()) @ table if kept else np.zeros(4)
    changed = len(scene.things) - len(kept) + len(twin.scene.things) - len(kept)
    number = changed / max(len(scene.things), len(twin.scene.things))
    return np.array([category, number, colour, layout, pose, float(scene.background != twin.scene.background)])


def _between(one: Thing, other: Thing) -> tuple[float, float, float, float]:
    same_category = one.kind.category == other.kind.category
    category = 0.0 if one.noun == other.noun else SAME_CATEGORY if same_category else 1.0
    colour = min(float(np.linalg.norm(_lab(one) - _lab(other))) / _COLOUR_SPAN, 1.0)
    moved = np.hypot(one.x - other.x, (one.y - one.length / 2) - (other.y - other.length / 2))
    grown = abs(np.log(one.length / other.length))
    layout = 0.5 * min(float(moved) / _LAYOUT_SPAN, 1.0) + 0.5 * min(float(grown / _SIZE_SPAN), 1.0)
    pose = 0.5 * (one.facing != other.facing) + 0.5 * (one.variant != other.variant)
    return category, colour, layout, pose


def _lab(thing: Thing) -> np.ndarray:
    from skimage.color import rgb2lab

    drawing = thing.sprite(CANONICAL)
    coverage = 256.0 - drawing.keep.sum(dtype=np.float64) / drawing.keep.size
    mean = drawing.paint.reshape(-1, 3).mean(0, dtype=np.float64) / max(coverage, 1e-9)
    lab: np.ndarray = rgb2lab(np.clip(mean / 255.0, 0, 1))
    return lab

"""What a scene is: things placed in perspective before a background, with everything about them known.

Lengths are fractions of the image side, measured from the top left corner; depth is in camera heights.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from percept.data.scenes.artwork import BUILDS, Sprite, aspect, sprite
from percept.data.scenes.vocabulary import COLOURS, FACES, PERSON_ACTIVITIES, Background, Noun, nouns

CANONICAL = 64  # px; visibility is judged at this size, so that captions do not depend on the rendering size
MIN_VISIBLE = 0.4  # share of a thing that must be seen before a caption or target may name it
MIN_PIXELS = 8  # and the least height and width of what is seen, px at the canonical size
FAR, SKY = 6.0, 8.0  # depth of the far ground and of sky or wall, camera heights

_VARIANTS = {variant.key: variant for variant in (*PERSON_ACTIVITIES, *FACES)}


@dataclass(frozen=True)
class Thing:
    """One object of a scene.

    Attributes:
        noun: class id, position in ``nouns()``.
        variant: activity of a person, expression of a face, pose of an animal ("run", "jump", "sleep"), or "".
        colour: name in ``COLOURS`` it was painted in, or "" for its own colours.
        tone: index into ``artwork.TONES``; with ``build`` it tells individuals of one noun apart.
        build: index into ``artwork.BUILDS``.
        x: centre, 0..1.
        y: lower edge, 0..1.
        length: square root of the area of its box, 0..1.
        depth: distance in camera heights.
        facing: -1 left, +1 right.
        angle: tilt in degrees counter-clockwise.
        floating: in the air.
    """

    noun: int
    variant: str = ""
    colour: str = ""
    tone: int = 0
    build: int = 0
    x: float = 0.5
    y: float = 1.0
    length: float = 0.3
    depth: float = 1.0
    facing: int = -1
    angle: int = 0
    floating: bool = False

    @property
    def kind(self) -> Noun:
        """The noun's entry in the vocabulary."""
        return nouns()[self.noun]

    @property
    def codepoint(self) -> str:
        """File stem of its drawing."""
        return _VARIANTS[self.variant].codepoint if self.kind.codepoint == "-" else self.kind.codepoint

    @property
    def identity(self) -> str:
        """Name of the individual: the same one appears in many scenes, elsewhere, in other poses and company."""
        return f"{self.kind.key}/{self.colour or 'natural'}/{self.tone}{self.build}"

    @property
    def emotion(self) -> str:
        """Emotion of a face (one of Mikels' eight), else ""."""
        return _VARIANTS[self.variant].emotion if self.kind.key == "face" else ""

    def sprite(self, size: int, style: str = "color") -> Sprite:
        """Its drawing as it appears in an image of ``size`` px."""
        ratio = min(max(aspect(self.codepoint) * BUILDS[self.build], 0.5), 2.0)
        side = self.length * size
        return sprite(
            self.codepoint,
            style,
            max(2, round(side * ratio**0.5)),
            max(2, round(side / ratio**0.5)),
            colour=COLOURS[self.colour][0] if self.colour else None,
            tone=self.tone,
            flip=self.facing > 0,
            angle=self.angle,
        )


@dataclass(frozen=True)
class Placed:
    """A sprite at integer pixel coordinates of its upper left corner (which may lie outside the image)."""

    sprite: Sprite
    left: int
    top: int

    def window(self, size: int) -> tuple[slice, slice, slice, slice]:
        """Rows and columns in the image, then rows and columns in the sprite."""
        height, width = self.sprite.solid.shape
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.top + height, size), min(self.left + width, size)
        bottom, right = max(bottom, top), max(right, left)
        return (
            slice(top, bottom),
            slice(left, right),
            slice(top - self.top, bottom - self.top),
            slice(left - self.left, right - self.left),
        )


def place(thing: Thing, size: int, style: str = "color") -> Placed:
    """Where a thing's sprite goes in an image of ``size`` px."""
    drawing = thing.sprite(size, style)
    height, width = drawing.solid.shape
    return Placed(drawing, round(thing.x * size - width / 2), round(thing.y * size) - height)


def draw_order(things: tuple[Thing, ...]) -> list[int]:
    """Positions of the things from far to near."""
    return sorted(range(len(things)), key=lambda position: -things[position].depth)


def instance_map(things: tuple[Thing, ...], size: int, style: str = "color") -> np.ndarray:
    """Which thing each pixel shows: uint8 ``[size, size]``, 0 = background, i + 1 = thing i."""
    ids = np.zeros((size, size), np.uint8)
    for position in draw_order(things):
        placed = place(things[position], size, style)
        rows, columns, inner_rows, inner_columns = placed.window(size)
        ids[rows, columns][placed.sprite.solid[inner_rows, inner_columns]] = position + 1
    return ids


@dataclass(frozen=True)
class Scene:
    """One scene: its layout and its truth; pixels are made by ``render``.

    Attributes:
        index: position in the split table.
        seed: world seed.
        split: name of the split.
        background: the place.
        horizon: row of the horizon, 0..1.
        camera: drop of the ground below the horizon at depth 1, as a fraction of the image side.
        gain: brightness of the lighting, 1 = as drawn.
        warmth: colour of the lighting, -2 (cold) .. 2 (warm).
        texture: position in the background texture.
        things: all things, named or not.
        action: (subject, verb, object) with positions in ``things``, or None.
    """

    index: int
    seed: int
    split: str
    background: Background
    horizon: float
    camera: float
    gain: float
    warmth: int
    texture: int
    things: tuple[Thing, ...]
    action: tuple[int, str, int] | None = None

    @cached_property
    def visibility(self) -> tuple[tuple[float, tuple[int, int, int, int]], ...]:
        """Per thing: share seen (0..1) and box of what is seen, (left, top, right, bottom) px at the canonical size."""
        ids = instance_map(self.things, CANONICAL)
        return tuple(seen(thing, ids == position + 1) for position, thing in enumerate(self.things))

    @cached_property
    def named(self) -> tuple[int, ...]:
        """Positions of the things that captions and targets may name."""
        return tuple(
            position
            for position, (share, (left, top, right, bottom)) in enumerate(self.visibility)
            if share >= MIN_VISIBLE and min(right - left, bottom - top) >= MIN_PIXELS
        )

    @cached_property
    def counts(self) -> dict[int, int]:
        """Number of named things per class id."""
        tally: dict[int, int] = {}
        for position in self.named:
            noun = self.things[position].noun
            tally[noun] = tally.get(noun, 0) + 1
        return tally

    @property
    def emotion(self) -> str:
        """Emotion of the nearest named face, else ""."""
        faces = [self.things[position] for position in self.named if self.things[position].emotion]
        return min(faces, key=lambda thing: thing.depth).emotion if faces else ""

    @property
    def relations(self) -> list[tuple[int, str, int]]:
        """Spatial relations and the action between named things, as (subject, relation, object) positions."""
        from percept.data.scenes.relations import relations

        return relations(self)

    def captions(self, language: str = "en") -> list[str]:
        """Several reference captions that name only what can be seen.

        Args:
            language: "en" or "ja".
        """
        from percept.data.scenes.captions import captions

        return captions(self, language)


def zoom(scene: Scene, left: float, top: float, side: float) -> Scene:
    """The same world through a narrower window: everything is placed, seen, named and rendered anew in it.

    Args:
        scene: the scene.
        left: left edge of the window, 0..1 in the scene (the world goes on beyond its edges).
        top: upper edge.
        side: side of the window; 1 is the scene itself.
    """
    things = tuple(
        replace(thing, x=(thing.x - left) / side, y=(thing.y - top) / side, length=thing.length / side)
        for thing in scene.things
    )
    return replace(scene, horizon=(scene.horizon - top) / side, camera=scene.camera / side, things=things)


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the pixels of a bool mask ``[S, S]``; right and bottom are exclusive."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def seen(thing: Thing, mask: np.ndarray) -> tuple[float, tuple[int, int, int, int]]:
    """Share of a thing that a bool mask ``[S, S]`` shows, and the mask's box (left, top, right, bottom)."""
    total = int(thing.sprite(mask.shape[0]).solid.sum())
    shown = int(mask.sum())
    if not shown or not total:
        return 0.0, (0, 0, 0, 0)
    return shown / total, box_of(mask)

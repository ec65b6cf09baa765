"""Pixels and dense truth of scenes."""

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import cache, lru_cache
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
from PIL import Image

from percept.data.scenes.artwork import STYLES, Sprite, as_sprite, sprite
from percept.data.scenes.layout import scene as scene_at
from percept.data.scenes.vocabulary import BACKGROUNDS, STUFF, nouns
from percept.data.scenes.world import CANONICAL, FAR, SKY, Placed, Scene, Thing, box_of, draw_order, instance_map, place

_TEXTURES = 4  # texture variants per background
_MARK = "1F4A4"  # the "Zz" drawing over a sleeping animal


class Truth(NamedTuple):
    """Dense truth of one scene at one size.

    Attributes:
        instances: uint8 ``[S, S]``, 0 = background, i + 1 = thing i (named or not).
        stuff: uint8 ``[S, S]``, position in ``STUFF`` of what lies behind the things.
        depth: float32 ``[S, S]``, camera heights.
        segments: uint8 ``[S, S]``, panoptic segment ids: 1.. = named things in order, then the stuff regions; 0 = void
            (things that are hardly seen).
        classes: class of each segment id, things 0..len(nouns())-1, stuff from len(nouns()); entry 0 is unused (-1).
        boxes: float32 ``[K, 4]``, left, top, right, bottom in px of the K named things.
        labels: int64 ``[K]``, their class ids.
    """

    instances: np.ndarray
    stuff: np.ndarray
    depth: np.ndarray
    segments: np.ndarray
    classes: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


# --- background ------------------------------------------------------------------------------------------------------


def _noise(generator: np.random.Generator, height: int, width: int, cells: tuple[int, int]) -> np.ndarray:
    """Smooth noise in -1..1: a coarse random grid, enlarged."""
    grid = generator.integers(0, 256, cells, dtype=np.uint8)
    return np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC), np.float32) / 127.5 - 1


@cache
def _texture(place_key: str, part: str, variant: int, size: int) -> np.ndarray:
    """Part of a background, uint8 ``[size, 2 * size, 3]``: ``top`` ends at the horizon, ``ground`` starts there."""
    position = next(i for i, background in enumerate(BACKGROUNDS) if background.key == place_key)
    near, far = BACKGROUNDS[position].colours[:2] if part == "top" else BACKGROUNDS[position].colours[2:]
    material = BACKGROUNDS[position].top if part == "top" else BACKGROUNDS[position].ground
    generator = np.random.Generator(np.random.PCG64([position, variant, part == "top"]))
    height, width = size, 2 * size
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    toward_far = ramp if part == "top" else (1 - ramp) ** 2
    picture = np.array(near, np.float32) * (1 - toward_far) + np.array(far, np.float32) * toward_far
    picture = np.broadcast_to(picture, (height, width, 3)).copy()
    strength, cells = {
        "sky": (10, (3, 6)), "wall": (5, (2, 30)), "sea": (22, (28, 5)), "grass": (16, (24, 48)),
        "sand": (9, (20, 26)), "snow": (5, (8, 12)), "road": (6, (24, 40)), "floor": (16, (14, 3)),
    }[material]  # fmt: skip
    picture += strength * _noise(generator, height, width, cells)[..., None]
    if material == "road":  # pale dashes that widen towards the viewer
        for row in (0.12, 0.34, 0.68):
            top, bottom = int(row * height), int((row + 0.05 + 0.08 * row) * height)
            picture[top:bottom, :: max(1, width // 40)] = 225
    return np.clip(picture, 0, 255).astype(np.uint8)


def _background(scene: Scene, size: int) -> np.ndarray:
    rows = _horizon_row(scene, size)
    variant, shift = scene.texture % _TEXTURES, (scene.texture // _TEXTURES) % size
    canvas = np.empty((size, size, 3), np.uint8)
    columns = slice(shift, shift + size)
    canvas[:rows] = _texture(scene.background.key, "top", variant, size)[size - rows :, columns]
    canvas[rows:] = _texture(scene.background.key, "ground", variant, size)[: size - rows, columns]
    return canvas


def _horizon_row(scene: Scene, size: int) -> int:
    return min(max(round(scene.horizon * size), 0), size)


# --- things ----------------------------------------------------------------------------------------------------------


def _paste(canvas: np.ndarray, placed: Placed) -> None:
    rows, columns, inner_rows, inner_columns = placed.window(canvas.shape[0])
    region = canvas[rows, columns]
    keep, paint = (placed.sprite.keep[inner_rows, inner_columns], placed.sprite.paint[inner_rows, inner_columns])
    canvas[rows, columns] = (region * keep + paint) >> 8


@lru_cache(maxsize=2048)
def _shadow(width: int, height: int) -> Sprite:
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    radius = ((columns + 0.5) / width * 2 - 1) ** 2 + ((rows + 0.5) / height * 2 - 1) ** 2
    rgba = np.zeros((height, width, 4), np.uint8)
    rgba[..., 3] = np.where(radius < 1, 90 * (1 - radius / 2), 0).astype(np.uint8)
    return as_sprite(rgba)


@lru_cache(maxsize=2048)
def _speed_lines(width: int, height: int) -> Sprite:
    rgba = np.zeros((height, width, 4), np.uint8)
    thickness = max(1, height // 12)
    for share, start in ((0.25, 0.3), (0.5, 0.0), (0.75, 0.45)):
        row = int(share * height)
        rgba[row : row + thickness, int(start * width) :] = (60, 60, 70, 230)
    return as_sprite(rgba)


def _paste_ground_shadow(canvas: np.ndarray, scene: Scene, thing: Thing, placed: Placed) -> None:
    """A soft shadow on the ground below a thing; it shows that a jumping thing is in the air."""
    size = canvas.shape[0]
    width = placed.sprite.solid.shape[1]
    height = max(2, width // 5)
    ground = (scene.horizon + scene.camera / thing.depth) * size
    if not thing.floating:
        _paste(canvas, Placed(_shadow(width, height), placed.left, round(ground) - height // 2 - 1))


def _paste_marks(canvas: np.ndarray, scene: Scene, position: int, placed: Placed, style: str) -> None:
    """Speed lines behind what runs or chases, a mark over what sleeps."""
    thing = scene.things[position]
    height, width = placed.sprite.solid.shape
    chasing = scene.action is not None and scene.action[1] == "chase" and position == scene.action[0]
    if (thing.variant == "run" and thing.kind.has("a")) or chasing:
        span = max(3, width // 3)
        left = placed.left - span if thing.facing > 0 else placed.left + width
        _paste(canvas, Placed(_speed_lines(span, max(6, height)), left, placed.top))
    if thing.variant == "sleep":
        side = max(6, canvas.shape[0] // 7)
        _paste(canvas, Placed(sprite(_MARK, style, side, side), placed.left + width // 2, placed.top - side * 2 // 3))


def _draw_rope(canvas: np.ndarray, scene: Scene, style: str) -> None:
    """The rope by which the subject of ``pull`` draws the object."""
    if scene.action is None or scene.action[1] != "pull":
        return
    size = canvas.shape[0]
    ends = []
    for position in (scene.action[0], scene.action[2]):
        thing, placed = scene.things[position], place(scene.things[position], size, style)
        ends.append((thing.x * size, placed.top + placed.sprite.solid.shape[0] * 0.55))
    (x0, y0), (x1, y1) = sorted(ends)
    columns = np.arange(max(0, round(x0)), min(size, round(x1)))
    rows = np.round(y0 + (y1 - y0) * (columns - x0) / max(x1 - x0, 1)).astype(int)
    for offset in range(max(1, size // 48)):
        canvas[np.clip(rows + offset, 0, size - 1), columns] = (90, 60, 30)


@cache
def _lighting(gain: int, warmth: int) -> np.ndarray:
    levels = np.arange(256) * (gain / 100.0)
    tint = np.array([1 + 0.035 * warmth, 1.0, 1 - 0.035 * warmth])
    return np.clip(levels[:, None] * tint, 0, 255).astype(np.uint8)


def picture(scene: Scene, size: int = CANONICAL, style: str = "color") -> np.ndarray:
    """Render one scene.

    Args:
        scene: the scene.
        size: side in px, at least 16.
        style: one of ``STYLES``.

    Returns:
        uint8 ``[size, size, 3]``, RGB.
    """
    _check(size, style)
    canvas = _background(scene, size)
    order = draw_order(scene.things)
    placed = {position: place(scene.things[position], size, style) for position in order}
    for position in order:
        _paste_ground_shadow(canvas, scene, scene.things[position], placed[position])
    _draw_rope(canvas, scene, style)
    for position in order:
        _paste_marks(canvas, scene, position, placed[position], style)
        _paste(canvas, placed[position])
    table = _lighting(round(scene.gain * 100), scene.warmth)
    return np.stack([table[canvas[..., channel], channel] for channel in range(3)], -1)


def _check(size: int, style: str) -> None:
    if style not in STYLES:
        raise ValueError(f"unknown rendering style {style!r}; known: {', '.join(STYLES)}")
    if size < 16:
        raise ValueError(f"size must be at least 16 px, got {size}")


def truth(scene: Scene, size: int = CANONICAL, style: str = "color") -> Truth:
    """Dense truth of one scene, for the same ``size`` and ``style`` as its picture."""
    _check(size, style)
    ids = instance_map(scene.things, size, style)
    rows = _horizon_row(scene, size)
    stuff = np.full((size, size), STUFF.index(scene.background.ground), np.uint8)
    stuff[:rows] = STUFF.index(scene.background.top)
    drop = (np.arange(size, dtype=np.float32) + 0.5) / size - scene.horizon
    ground = np.where(drop > 0, np.clip(scene.camera / np.maximum(drop, 1e-6), 0, FAR), SKY)
    depth = np.repeat(ground.astype(np.float32)[:, None], size, 1)
    for position, thing in enumerate(scene.things):
        depth[ids == position + 1] = thing.depth
    segments, classes = _panoptic(scene, ids, stuff)
    named = [position for position in scene.named if (ids == position + 1).any()]
    boxes = np.array([box_of(ids == position + 1) for position in named], np.float32).reshape(-1, 4)
    labels = np.array([scene.things[position].noun for position in named], np.int64)
    return Truth(ids, stuff, depth, segments, classes, boxes, labels)


def _panoptic(scene: Scene, ids: np.ndarray, stuff: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    segments, classes = np.zeros_like(ids), [-1]
    for position in scene.named:
        mask = ids == position + 1
        if mask.any():
            segments[mask] = len(classes)
            classes.append(scene.things[position].noun)
    for material in np.unique(stuff[ids == 0]):
        segments[(ids == 0) & (stuff == material)] = len(classes)
        classes.append(len(nouns()) + int(material))
    return segments, np.array(classes, np.int64)


def render(
    indices: Iterable[int], *, seed: int = 0, size: int = CANONICAL, style: str = "color", workers: int = 1
) -> np.ndarray:
    """Render many scenes.

    Args:
        indices: positions in the split table.
        seed: world seed.
        size: side in px.
        style: one of ``STYLES``.
        workers: processes to share the work; the result does not depend on it.

    Returns:
        uint8 ``[N, size, size, 3]``, RGB.

    Example:
        >>> render(range(2), size=32).shape
        (2, 32, 32, 3)
    """
    _check(size, style)
    indices = [int(index) for index in indices]
    if workers > 1 and len(indices) >= 256:
        chunks = [indices[start : start + 256] for start in range(0, len(indices), 256)]
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            jobs = [pool.submit(render, chunk, seed=seed, size=size, style=style) for chunk in chunks]
            return np.concatenate([job.result() for job in jobs])
    pictures = np.empty((len(indices), size, size, 3), np.uint8)
    for row, index in enumerate(indices):
        pictures[row] = picture(scene_at(index, seed), size, style)
    return pictures


def grayscale(pictures: np.ndarray) -> np.ndarray:
    """Grayscale twin of RGB pictures, luma of ITU-R BT.601 in all three channels; uint8 in, uint8 out."""
    luma = (pictures.astype(np.uint32) @ np.array([299, 587, 114], np.uint32) + 500) // 1000
    return np.repeat(luma[..., None].astype(np.uint8), 3, -1)

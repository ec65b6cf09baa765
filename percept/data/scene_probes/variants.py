"""The pictures of a twin, as they are or under a change that leaves every sentence as true as it was.

Left and right, above and below, near and far stay: nothing is mirrored, and the largest turn is small.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from percept.data.distortions import distort_strength
from percept.data.scenes.render import picture
from percept.data.scenes.world import CANONICAL, Scene, zoom

VARIANTS = ("plain", "light", "scale", "rotation", "crop", "blur", "line", "artwork")
_STYLES = {"line": "line", "artwork": "twemoji"}
_BLUR = 1.2 / 64  # standard deviation, share of the side
_WIDER = (1.35, 1.25, 1.15, 1.08)  # sides of the window in which things look smaller
_TURN = (4.0, 8.0)  # degrees; running animals lean by 14
_BEYOND = 0.15  # of the side, how far a crop may reach beyond the frame; the world goes on there
_MARGIN = 0.1  # of the side, kept around things in a crop: shadows and marks tell what they do


def shown(scenes: tuple[Scene, Scene], kind: str, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Both pictures of a twin, changed alike.

    Args:
        scenes: the two.
        kind: one of `VARIANTS`. *light*: darker or brighter and of another warmth than any scene trained on; *scale*:
            from further away, as far as everything can still be seen; *crop*: a random window of 70 to 100 % of the
            side that holds all that can be seen and may lie a little beyond the frame; *rotation*: by 4 to 8 degrees;
            *blur*: Gaussian, 1.2 px at 64 px; *line*: outlines alone, which show no colours; *artwork*: the unseen
            artist's drawings.
        size: side in px.
        rng: source of chance.

    Returns:
        Two pictures, uint8 [size, size, 3].
    """
    if kind == "light":
        scenes = _relit(scenes, rng)
    elif kind == "scale":
        scenes = _further(scenes)
    elif kind == "crop":
        scenes = _cropped(scenes, rng)
    pictures = [picture(scene, size, _STYLES.get(kind, "color")) for scene in scenes]
    if kind == "blur":
        return [distort_strength(made, "gaussian_blur", _BLUR * size) for made in pictures]
    if kind == "rotation":
        angle = float(rng.uniform(*_TURN) * rng.choice([-1, 1]))
        return [_turned(made, angle) for made in pictures]
    return pictures


def _relit(scenes: tuple[Scene, Scene], rng: np.random.Generator) -> tuple[Scene, Scene]:
    """Scenes are trained on with a gain of 0.72 to 1.12 and a warmth of -2 to 2."""
    gain = float(rng.choice([rng.uniform(0.45, 0.6), rng.uniform(1.25, 1.4)]))
    warmth = int(rng.choice([-4, -3, 3, 4]))
    first, second = (replace(scene, gain=gain, warmth=warmth) for scene in scenes)
    return first, second


def _further(scenes: tuple[Scene, Scene]) -> tuple[Scene, Scene]:
    for side in _WIDER:
        first, second = (zoom(scene, (1 - side) / 2, (1 - side) / 2, side) for scene in scenes)
        if all(len(scene.named) == len(scene.things) for scene in (first, second)):
            return first, second
    return scenes


def _cropped(scenes: tuple[Scene, Scene], rng: np.random.Generator) -> tuple[Scene, Scene]:
    boxes = np.array([box for scene in scenes for _, box in scene.visibility]) / CANONICAL
    low, high = np.maximum(boxes[:, :2].min(0) - _MARGIN, 0), np.minimum(boxes[:, 2:].max(0) + _MARGIN, 1)
    side = float(rng.uniform(max(0.7, (high - low).max()), 1.0))
    left, top = rng.uniform(np.maximum(high - side, -_BEYOND), np.minimum(low, 1 + _BEYOND - side)).tolist()
    first, second = (zoom(scene, left, top, side) for scene in scenes)
    return first, second


def _turned(made: np.ndarray, angle: float) -> np.ndarray:
    """About the middle; what comes in at the corners continues the edge."""
    size = made.shape[0]
    margin = size // 8
    wide = Image.fromarray(np.pad(made, ((margin, margin), (margin, margin), (0, 0)), mode="edge"))
    turned = wide.rotate(angle, Image.Resampling.BICUBIC)
    return np.asarray(turned)[margin:-margin, margin:-margin]

"""What the simulated raters look at: triplets from four sources of judgment, with their attributes.

*mid-level*: a scene and two edited twins, layout, pose, colour and category varying together (like NIGHTS).
*low-level*: a scene and two distorted copies (like BAPPS). *concept-level*: three pictures of single objects, which
are told apart by what the objects are, not by how they look (like THINGS). *category*: two pictures of one noun and
one of another.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from percept.data.scenes import SPLITS, nouns, picture, render, scene
from percept.data.scenes.edits import ATTRIBUTES, differences, edit
from percept.data.scenes.sets import single_objects
from percept.data.scenes.world import Scene

SOURCES = ("mid-level", "low-level", "concept-level", "category")
DISTORTIONS = ("blur", "noise", "jpeg", "contrast", "colour cast", "pixelate")
_LIGHT_SPAN, _COARSE_SPAN = 20.0, 25.0  # CIELAB units that count as 1
_MOST_THINGS = 4
_BLOCK = 20_000  # scenes of a split that one seed may draw from
_POOL = 8_000  # of them, those that single objects are looked for in


class Stimuli(NamedTuple):
    """Triplets before anybody has judged them.

    Attributes:
        source: one of ``SOURCES``.
        pictures: uint8 ``[N, S, S, 3]``.
        items: int64 ``[T, 3]``: reference, left, right; positions in ``pictures``.
        attributes: float64 ``[T, 3, K]``: how far apart the pairs (reference, left), (reference, right) and
            (left, right) are.
        names: of the K attributes.
        groups: str ``[T]``: category of the reference's largest thing.
    """

    source: str
    pictures: np.ndarray
    items: np.ndarray
    attributes: np.ndarray
    names: tuple[str, ...]
    groups: np.ndarray


def stimuli(source: str, split: str, n: int, seed: int = 0) -> Stimuli:
    """Draw triplets; a pure function of its arguments.

    Args:
        source: one of ``SOURCES``.
        split: name in ``percept.data.scenes.SPLITS``; every picture comes from it.
        n: number of triplets.
        seed: another seed draws other scenes.

    Raises:
        ValueError: unknown source or split, or n below 1.

    Example:
        >>> stimuli("mid-level", "tune", 2).items.tolist()
        [[0, 1, 2], [3, 4, 5]]
    """
    if source not in SOURCES:
        raise ValueError(f"unknown source of judgments {source!r}; known: {', '.join(SOURCES)}")
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    rng = np.random.default_rng([seed, SOURCES.index(source), list(SPLITS).index(split)])
    makers = {"mid-level": _mid_level, "low-level": _low_level, "concept-level": _concepts, "category": _categories}
    return makers[source](split, n, seed, rng)


def _references(split: str, n: int, seed: int) -> list[Scene]:
    """Scenes of one to four things without an action, so that edits keep everything in sight."""
    found: list[Scene] = []
    offset = (seed * _BLOCK) % len(SPLITS[split])
    for index in SPLITS[split][offset:]:
        made = scene(index)
        if made.action is None and made.named and len(made.things) <= _MOST_THINGS:
            found.append(made)
        if len(found) == n:
            return found
    raise ValueError(f"split {split!r} has only {len(found)} suitable scenes from seed {seed} on, {n} were asked for")


def _category(made: Scene) -> str:
    return max((made.things[position] for position in made.named), key=lambda thing: thing.length).kind.category


def _rows(n: int) -> np.ndarray:
    return np.arange(3 * n).reshape(n, 3)


# --- mid-level -------------------------------------------------------------------------------------------------------


def _mid_level(split: str, n: int, seed: int, rng: np.random.Generator) -> Stimuli:
    shown, named = [], []
    references = _references(split, n, seed)
    for made in references:
        left, right = edit(made, rng), edit(made, rng)
        shown += [picture(made), picture(left.scene), picture(right.scene)]
        named.append([differences(made, left), differences(made, right)])
    pictures = np.stack(shown)
    attributes = np.zeros((n, 3, len(ATTRIBUTES) + 2))
    attributes[:, :2, : len(ATTRIBUTES)] = named
    attributes[:, :, len(ATTRIBUTES) :] = _seen(pictures, _rows(n))
    groups = np.array([_category(made) for made in references])
    return Stimuli("mid-level", pictures, _rows(n), attributes, (*ATTRIBUTES, "light", "coarse colour"), groups)


def _seen(pictures: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Two attributes that no caption names, read off the pixels: ``[T, 3, 2]``.

    *light*: distance of the pictures' mean colours, 20 CIELAB units = 1; *coarse colour*: root mean square distance
    of their 8x8 thumbnails after each mean is taken off, 25 units = 1.
    """
    thumbs = _thumbnails(pictures)
    means = thumbs.mean(1)
    flat = thumbs - means[:, None]
    out = np.empty((len(items), 3, 2))
    for column, (one, other) in enumerate(((0, 1), (0, 2), (1, 2))):
        a, b = items[:, one], items[:, other]
        out[:, column, 0] = np.linalg.norm(means[a] - means[b], axis=-1) / _LIGHT_SPAN
        out[:, column, 1] = np.sqrt(((flat[a] - flat[b]) ** 2).sum(-1).mean(-1)) / _COARSE_SPAN
    return np.minimum(out, 1.0)


def _thumbnails(pictures: np.ndarray) -> np.ndarray:
    """CIELAB values of 8x8 block means, ``[N, 64, 3]``."""
    from skimage.color import rgb2lab

    n, size = pictures.shape[:2]
    block = size // 8
    cells = pictures[:, : 8 * block, : 8 * block].reshape(n, 8, block, 8, block, 3).mean((2, 4)) / 255.0
    lab: np.ndarray = rgb2lab(cells).reshape(n, 64, 3)
    return lab


# --- low-level -------------------------------------------------------------------------------------------------------

_PIXEL_NAMES = ("error", "sharpness", "grain", "light")


def _low_level(split: str, n: int, seed: int, rng: np.random.Generator) -> Stimuli:
    references = _references(split, n, seed)
    shown = []
    for made in references:
        original = picture(made)
        kinds = rng.choice(DISTORTIONS, size=2)
        shown += [original, *(distorted(original, str(kind), float(rng.uniform(0.15, 1)), rng) for kind in kinds)]
    pictures = np.stack(shown)
    groups = np.array([_category(made) for made in references])
    return Stimuli("low-level", pictures, _rows(n), _pixel_attributes(pictures, _rows(n)), _PIXEL_NAMES, groups)


def distorted(picture_: np.ndarray, kind: str, level: float, rng: np.random.Generator) -> np.ndarray:
    """A copy of one picture, distorted.

    Args:
        picture_: uint8 ``[S, S, 3]``.
        kind: one of ``DISTORTIONS``.
        level: 0 (hardly seen) to 1 (strong).
        rng: for noise and the direction of a colour cast.
    """
    import io

    from PIL import Image
    from scipy.ndimage import gaussian_filter

    values = picture_.astype(np.float64)
    if kind == "blur":
        values = gaussian_filter(values, (0.3 + 1.7 * level, 0.3 + 1.7 * level, 0))
    elif kind == "noise":
        values = values + rng.normal(0, 3 + 27 * level, values.shape)
    elif kind == "jpeg":
        buffer = io.BytesIO()
        Image.fromarray(picture_).save(buffer, "JPEG", quality=round(60 - 54 * level))
        values = np.asarray(Image.open(buffer), np.float64)
    elif kind == "contrast":
        values = values.mean() + (values - values.mean()) * (1 - 0.75 * level)
    elif kind == "colour cast":
        values = values + rng.choice([-1, 1], 3) * (4 + 32 * level)
    elif kind == "pixelate":
        side = picture_.shape[0]
        small = Image.fromarray(picture_).resize((round(side / (1 + 3 * level)),) * 2, Image.Resampling.BOX)
        values = np.asarray(small.resize((side, side), Image.Resampling.NEAREST), np.float64)
    else:
        raise ValueError(f"unknown distortion {kind!r}; known: {', '.join(DISTORTIONS)}")
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def _pixel_attributes(pictures: np.ndarray, items: np.ndarray) -> np.ndarray:
    """``[T, 3, 4]``: root mean square error (of 64 grey levels), loss of gradient, gain of gradient, mean colour."""
    values = pictures.astype(np.float32)
    steps = np.abs(np.diff(values, axis=1)).mean((1, 2, 3)) + np.abs(np.diff(values, axis=2)).mean((1, 2, 3))
    energy = np.log(steps + 1.0)
    light = _seen(pictures, items)[..., 0]
    out = np.empty((len(items), 3, 4))
    for column, (one, other) in enumerate(((0, 1), (0, 2), (1, 2))):
        a, b = items[:, one], items[:, other]
        out[:, column, 0] = np.sqrt(((values[a] - values[b]) ** 2).mean((1, 2, 3))) / 64.0
        out[:, column, 1] = np.maximum(energy[a] - energy[b], 0) / np.log(2.0)
        out[:, column, 2] = np.maximum(energy[b] - energy[a], 0) / np.log(2.0)
        out[:, column, 3] = light[:, column]
    return np.minimum(out, 1.0)


# --- concepts and categories -----------------------------------------------------------------------------------------

_CONCEPT_NAMES = ("category", "animate", "size", "flies", "carried")


def _concepts(split: str, n: int, seed: int, rng: np.random.Generator) -> Stimuli:
    """Three different nouns; in three of four triplets two share a category."""
    pool, labels = _objects(split, seed)
    kinds = nouns()
    of_category: dict[str, list[int]] = {}
    for noun in sorted(set(labels.tolist())):
        of_category.setdefault(kinds[noun].category, []).append(noun)
    several = [category for category, members in of_category.items() if len(members) > 1]
    chosen = []
    for _ in range(n):
        if rng.random() < 0.75:
            near = rng.choice(of_category[str(rng.choice(several))], 2, replace=False).tolist()
            far = int(
                rng.choice([noun for noun in np.unique(labels) if kinds[noun].category != kinds[near[0]].category])
            )
            three = rng.permutation([*near, far])
        else:
            three = rng.choice(np.unique(labels), 3, replace=False)
        chosen.append([int(rng.choice(np.flatnonzero(labels == noun))) for noun in three])
    items = np.array(chosen)
    attributes = _concept_attributes(labels[items])
    groups = np.array([kinds[noun].category for noun in labels[items[:, 0]]])
    return Stimuli("concept-level", pool, items, attributes, _CONCEPT_NAMES, groups)


def _concept_attributes(labels: np.ndarray) -> np.ndarray:
    """``[T, 3, 5]`` from class ids ``[T, 3]``; nothing here depends on the pictures."""
    table = [(kind.category, kind.has("n"), kind.size, kind.has("f"), kind.has("s")) for kind in nouns()]
    category = np.unique([row[0] for row in table], return_inverse=True)[1]
    numbers = np.array([row[1:] for row in table], float)
    numbers[:, 1] /= 0.4  # sizes lie between 0.85 and 1.2
    out = np.empty((len(labels), 3, 5))
    for column, (one, other) in enumerate(((0, 1), (0, 2), (1, 2))):
        a, b = labels[:, one], labels[:, other]
        out[:, column, 0] = category[a] != category[b]
        out[:, column, 1:] = np.abs(numbers[a] - numbers[b])
    return out


def _categories(split: str, n: int, seed: int, rng: np.random.Generator) -> Stimuli:
    """Reference and left (or right) of one noun, the other of another noun."""
    pool, labels = _objects(split, seed)
    counts = np.bincount(labels, minlength=len(nouns()))
    usable = np.flatnonzero(counts >= 2)
    chosen, same = [], rng.random(n) < 0.5
    for left in same:
        noun, other = rng.choice(usable, 2, replace=False)
        reference, twin = rng.choice(np.flatnonzero(labels == noun), 2, replace=False)
        stranger = rng.choice(np.flatnonzero(labels == other))
        chosen.append([reference, twin, stranger] if left else [reference, stranger, twin])
    items = np.array(chosen)
    named = labels[items]
    differ = [named[:, 0] != named[:, 1], named[:, 0] != named[:, 2], named[:, 1] != named[:, 2]]
    attributes = np.stack(differ, 1).astype(float)[..., None]
    groups = np.array([nouns()[noun].category for noun in named[:, 0]])
    return Stimuli("category", pool, items, attributes, ("noun",), groups)


def _objects(split: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of single objects and their class ids."""
    offset = (seed * _BLOCK) % len(SPLITS[split])
    found = single_objects(split, 12, offset=offset, scan=_POOL)
    return render(found.indices), found.labels

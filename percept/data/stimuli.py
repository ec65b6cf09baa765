"""What the simulated raters look at: triplets from four sources of judgment, with their attributes.

*mid-level*: a scene and two edited twins, layout, pose, colour and category varying together (like NIGHTS).
*low-level*: a scene and two distorted copies (like BAPPS). *concept-level*: three pictures of single objects, which
are told apart by what the objects are, not by how they look (like THINGS). *category*: two pictures of one noun and
one of another.
"""

from __future__ import annotations

from itertools import combinations
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
_POOL = 8_000  # scenes that single objects are looked for in; the test split holds 12 such pools, validate 6


class Stimuli(NamedTuple):
    """Triplets before anybody has judged them.

    Attributes:
        source: one of ``SOURCES``.
        pictures: uint8 ``[N, S, S, 3]``.
        items: int64 ``[T, 3]``: reference, left, right; positions in ``pictures``.
        attributes: float64 ``[T, P, K]``: how far apart the pairs (reference, left) and (reference, right) are, and,
            for concept-level triplets, (left, right).
        names: of the K attributes.
        groups: str ``[T]``: category of the reference's largest thing.
    """

    source: str
    pictures: np.ndarray
    items: np.ndarray
    attributes: np.ndarray
    names: tuple[str, ...]
    groups: np.ndarray


def stimuli(source: str, split: str, n: int, seed: int = 0, candidates: int = 2) -> Stimuli:
    """Draw triplets; a pure function of its arguments.

    Args:
        source: one of ``SOURCES``.
        split: name in ``percept.data.scenes.SPLITS``; every picture comes from it.
        n: number of triplets.
        seed: another seed draws other scenes.
        candidates: twins of each mid-level or low-level reference. Every pair of them makes a triplet: with 4, six
            triplets show five pictures, where six references with two twins each show eighteen.

    Raises:
        ValueError: unknown source or split, n below 1 or candidates below 2.

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
    if candidates < 2:
        raise ValueError(f"candidates must be at least 2, got {candidates}")
    rng = np.random.default_rng([seed, SOURCES.index(source), list(SPLITS).index(split)])
    if source == "concept-level":
        return _concepts(split, n, seed, rng)
    if source == "category":
        return _categories(split, n, seed, rng)
    return (_mid_level if source == "mid-level" else _low_level)(split, n, seed, rng, candidates)


def _references(split: str, n: int, seed: int) -> list[Scene]:
    """Scenes of one to four things without an action, so that edits keep everything in sight."""
    found: list[Scene] = []
    # In an order of its own, so that two seeds share next to no scenes, however many seeds there are.
    for index in np.random.default_rng([seed, 5]).permutation(SPLITS[split]):
        made = scene(int(index))
        if made.action is None and made.named and len(made.things) <= _MOST_THINGS:
            found.append(made)
        if len(found) == n:
            return found
    raise ValueError(f"split {split!r} has only {len(found)} suitable scenes, {n} were asked for")


def _category(made: Scene) -> str:
    return max((made.things[position] for position in made.named), key=lambda thing: thing.length).kind.category


def _rows(n: int, candidates: int) -> np.ndarray:
    """Items of n triplets where every reference is followed by its candidates, all pairs of them in turn."""
    pairs = np.array(list(combinations(range(1, candidates + 1), 2)))
    references = -(-n // len(pairs))
    starts = (1 + candidates) * np.arange(references)[:, None, None]
    inside = np.insert(pairs, 0, 0, axis=1)[None]
    rows: np.ndarray = (starts + inside).reshape(-1, 3)[:n]
    return rows


def _number(n: int, candidates: int) -> int:
    return -(-n // (candidates * (candidates - 1) // 2))


# --- mid-level -------------------------------------------------------------------------------------------------------


def _mid_level(split: str, n: int, seed: int, rng: np.random.Generator, candidates: int) -> Stimuli:
    shown, apart = [], []
    references = _references(split, _number(n, candidates), seed)
    for made in references:
        twins = [edit(made, rng) for _ in range(candidates)]
        shown += [picture(made), *(picture(twin.scene) for twin in twins)]
        apart += [np.zeros(len(ATTRIBUTES)), *(differences(made, twin) for twin in twins)]
    pictures, items = np.stack(shown), _rows(n, candidates)
    attributes = np.concatenate([np.array(apart)[items[:, 1:]], _seen(pictures, items)], -1)
    names = (*ATTRIBUTES, "light", "coarse colour")
    return Stimuli("mid-level", pictures, items, attributes, names, _groups(references, items, candidates))


def _groups(references: list[Scene], items: np.ndarray, candidates: int) -> np.ndarray:
    return np.array([_category(made) for made in references])[items[:, 0] // (1 + candidates)]


def _seen(pictures: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Two attributes that no caption names, read off the pixels: ``[T, 2, 2]``.

    *light*: distance of the pictures' mean colours, 20 CIELAB units = 1; *coarse colour*: root mean square distance
    of their 8x8 thumbnails after each mean is taken off, 25 units = 1.
    """
    thumbs = _thumbnails(pictures)
    means = thumbs.mean(1)
    flat = thumbs - means[:, None]
    out = np.empty((len(items), 2, 2))
    for column in range(2):
        a, b = items[:, 0], items[:, 1 + column]
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


def _low_level(split: str, n: int, seed: int, rng: np.random.Generator, candidates: int) -> Stimuli:
    references = _references(split, _number(n, candidates), seed)
    shown = []
    for made in references:
        original = picture(made)
        kinds = rng.choice(DISTORTIONS, size=candidates)
        shown += [original, *(distorted(original, str(kind), float(rng.uniform(0.15, 1)), rng) for kind in kinds)]
    pictures, items = np.stack(shown), _rows(n, candidates)
    attributes, groups = _pixel_attributes(pictures, items), _groups(references, items, candidates)
    return Stimuli("low-level", pictures, items, attributes, _PIXEL_NAMES, groups)


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
    """``[T, 2, 4]``: root mean square error (of 64 grey levels), loss of gradient, gain of gradient, mean colour."""
    values = pictures.astype(np.float32)
    steps = np.abs(np.diff(values, axis=1)).mean((1, 2, 3)) + np.abs(np.diff(values, axis=2)).mean((1, 2, 3))
    energy = np.log(steps + 1.0)
    light = _seen(pictures, items)[..., 0]
    out = np.empty((len(items), 2, 4))
    for column in range(2):
        a, b = items[:, 0], items[:, 1 + column]
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
    attributes = (named[:, :1] != named[:, 1:]).astype(float)[..., None]
    groups = np.array([nouns()[noun].category for noun in named[:, 0]])
    return Stimuli("category", pool, items, attributes, ("noun",), groups)


def _objects(split: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of single objects and their class ids."""
    offset = (seed * _POOL) % (len(SPLITS[split]) - _POOL + 1)
    found = single_objects(split, 12, offset=offset, scan=_POOL)
    return render(found.indices), found.labels

"""Simulated raters who say how a scene feels, or whether they remember it. Nothing that they say is a human rating.

A scene's *factors* are read from its truth and from its pixels. Every rater weighs them in a way of their own, drawn
from a stated prior. *Emotion*: one of Mikels' eight (2005), drawn from the softmax of the weighted factors. The face
that is seen counts most, but also the company, the place, the light, and two terms that no caption names: colourfulness
and lightness of the pixels. *Memorability*: seen before or not, a coin whose odds follow the weighted factors (persons,
faces and single large things are remembered, places are not; Khosla et al. 2015 found that order in people), and the
contrast and colourfulness of the pixels. All constants were written down before any score was trained on them and
are not changed after results.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from percept.data.panel import SENSITIVITY, WEIGHT_SPREAD, Rater, raters
from percept.data.scenes import SPLITS, picture, scene
from percept.data.scenes.world import CANONICAL, Scene, instance_map

if TYPE_CHECKING:
    import pandas

EMOTIONS = ("amusement", "awe", "contentment", "excitement", "anger", "disgust", "fear", "sadness")
_ANIMALS = ("land animal", "winged animal", "sea animal")
_LIVELY = ("run", "jump", "dance", "surf", "cycle", "row", "ski", "ride", "juggle", "cartwheel", "swim")
_OPEN = ("sky", "sea", "snow")
_BLOCK = 20_000  # scenes of a split that one seed may draw from

# Pull of each factor towards the eight emotions, in logits for a factor of 1.
EMOTION_WEIGHTS: dict[str, tuple[float, ...]] = {
    **{f"face: {name}": tuple(2.5 if name == other else 0.0 for other in EMOTIONS) for name in EMOTIONS},
    "animals": (0.9, 0.0, 0.5, 0.3, 0.0, 0.0, 0.1, 0.0),
    "food": (0.1, 0.0, 0.9, 0.2, 0.0, 0.3, 0.0, 0.0),
    "movement": (0.4, 0.1, 0.0, 0.9, 0.0, 0.0, 0.2, 0.0),
    "openness": (0.0, 1.1, 0.5, 0.1, 0.0, 0.0, 0.1, 0.2),
    "crowd": (0.3, 0.0, -0.4, 0.6, 0.3, 0.2, 0.1, 0.0),
    "solitude": (0.0, 0.4, 0.3, 0.0, 0.0, 0.0, 0.2, 0.7),
    "colourful": (0.6, 0.1, 0.2, 0.6, 0.1, 0.0, -0.4, -0.8),
    "dark": (-0.5, 0.3, -0.6, -0.2, 0.4, 0.4, 1.2, 1.2),
    "cold light": (-0.2, 0.2, -0.4, -0.1, 0.0, 0.1, 0.3, 0.6),
}
# Pull of each factor towards "seen before", in logits for a factor of 1.
MEMORY_WEIGHTS: dict[str, float] = {
    "person": 1.2, "face": 1.5, "animals": 0.5, "largest": 1.4, "crowd": -0.8, "openness": -0.7, "movement": 0.5,
    "contrast": 1.0, "colourful": 0.8,
}  # fmt: skip
MEMORY_BASE = -0.6
BASE_SPREAD = 0.5  # standard deviation of a rater's own inclination, in logits


@dataclass(frozen=True, eq=False)
class Opinions:
    """Scenes with what a simulated panel said of them.

    Attributes:
        task: "emotion" or "memorability".
        pictures: uint8 [N, S, S, 3].
        scenes: the N scenes.
        factors: float64 [N, F], what the raters go by; an oracle may read it, no model does.
        names: of the F factors.
        shares: float64 [N, K], share of the votes for each emotion; for memorability [N, 1], share who knew it again.
        truth: the same for the panel's own probabilities; what votes would tend to.
        panel: the raters.
        answers: one row per answer: rater, group, item, answer (index of the emotion; 1 for seen before).
    """

    task: str
    pictures: np.ndarray
    scenes: list[Scene]
    factors: np.ndarray
    names: tuple[str, ...]
    shares: np.ndarray
    truth: np.ndarray
    panel: list[Rater]
    answers: pandas.DataFrame

    def __len__(self) -> int:
        return len(self.scenes)


def emotion_opinions(
    split: str, n: int, seed: int = 0, panel: list[Rater] | None = None, votes: int = 12, size: int = 64
) -> Opinions:
    """Scenes, half of them with a face in sight, and which emotion each rater names.

    Args:
        split: name in `percept.data.scenes.SPLITS`.
        n: number of scenes.
        seed: of scenes, choice of raters and their noise.
        panel: `percept.data.panel.raters(24, seed)` unless given.
        votes: different raters asked about each scene; all if the panel is smaller.
        size: of the pictures in pixels.
    """
    chosen = _scenes(split, n, seed, faces=True)
    return _asked("emotion", chosen, list(EMOTION_WEIGHTS), seed, panel, votes, size)


def memorability_opinions(
    split: str, n: int, seed: int = 0, panel: list[Rater] | None = None, votes: int = 20, size: int = 64
) -> Opinions:
    """Scenes, and whether each rater knew them again; arguments as for `emotion_opinions`."""
    chosen = _scenes(split, n, seed, faces=False)
    return _asked("memorability", chosen, list(MEMORY_WEIGHTS), seed, panel, votes, size)


def probabilities(task: str, rater: Rater, factors: np.ndarray) -> np.ndarray:
    """What one rater is likely to say: float64 [N, 8] over emotions, or [N, 1] of "seen before".

    Args:
        task: "emotion" or "memorability".
        rater: one of the panel.
        factors: float64 [N, F].
    """
    rng = np.random.default_rng([rater.seed, rater.number, rater.group == "objects", 11 + (task == "emotion")])
    table = (
        np.array(list(EMOTION_WEIGHTS.values())) if task == "emotion" else np.array([*MEMORY_WEIGHTS.values()])[:, None]
    )
    own = table * np.exp(rng.normal(0, WEIGHT_SPREAD, table.shape))
    inclined = rng.normal(0, BASE_SPREAD, table.shape[1])
    logits = rater.sensitivity / SENSITIVITY * (factors @ own) + inclined
    if task == "memorability":
        return rater.lapse / 2 + (1 - rater.lapse) / (1 + np.exp(-(logits + MEMORY_BASE)))
    share = np.exp(logits - logits.max(1, keepdims=True))
    named: np.ndarray = rater.lapse / len(EMOTIONS) + (1 - rater.lapse) * share / share.sum(1, keepdims=True)
    return named


def _asked(
    task: str, chosen: list[Scene], names: list[str], seed: int, panel: list[Rater] | None, votes: int, size: int
) -> Opinions:
    import pandas

    panel = raters(24, seed) if panel is None else panel
    if votes < 1:
        raise ValueError(f"votes must be at least 1, got {votes}")
    pictures = np.stack([picture(made, size) for made in chosen])
    table = [_factors(made) for made in chosen]
    factors = np.array([[row[name] for name in names] for row in table])
    rng = np.random.default_rng([seed, 17 + (task == "emotion")])
    asked = np.stack([rng.permutation(len(panel))[:votes] for _ in chosen])
    chances = np.stack([probabilities(task, rater, factors) for rater in panel], 1)  # [N, raters, K]
    own = np.take_along_axis(chances, asked[..., None], 1)
    drawn = rng.random((*asked.shape, 1))
    if task == "emotion":
        answers = (drawn > own.cumsum(-1)[..., :-1]).sum(-1)
        shares = np.stack([(answers == k).mean(1) for k in range(len(EMOTIONS))], 1)
    else:
        answers = (drawn < own)[..., 0].astype(np.int64)
        shares = answers.mean(1, keepdims=True)
    items, _ = np.indices(asked.shape)
    who = [panel[number] for number in asked.ravel()]
    rows = {"rater": [one.name for one in who], "group": [one.group for one in who], "item": items.ravel()}
    said = pandas.DataFrame(rows | {"answer": answers.ravel()})
    return Opinions(task, pictures, chosen, factors, tuple(names), shares, chances.mean(1), panel, said)


@lru_cache(maxsize=16)
def _drawn(split: str, n: int, seed: int, faces: bool) -> tuple[Scene, ...]:
    offset = (seed * _BLOCK) % len(SPLITS[split])
    # Without the wish for faces, every scene counts as one without.
    wanted = {True: n // 2, False: n - n // 2} if faces else {False: n}
    found: list[Scene] = []
    for index in SPLITS[split][offset : offset + _BLOCK]:
        made = scene(index)
        kind = faces and bool(made.emotion)
        if made.named and wanted[kind]:
            wanted[kind] -= 1
            found.append(made)
        if not any(wanted.values()):
            return tuple(found)
    raise ValueError(f"split {split!r} has only {len(found)} suitable scenes from seed {seed} on, {n} were asked for")


def _scenes(split: str, n: int, seed: int, faces: bool) -> list[Scene]:
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    return list(_drawn(split, n, seed, faces))


def _factors(made: Scene) -> dict[str, float]:
    """All factors of a scene, each 0..1."""
    things = [made.things[position] for position in made.named]
    categories = [thing.kind.category for thing in things]
    emotions = {thing.emotion for thing in things}
    largest = max(things, key=lambda thing: thing.length)
    lightness, colourful, contrast = _seen(made, made.things.index(largest))
    open_air = made.background.top in _OPEN or made.background.ground in _OPEN
    return {
        **{f"face: {name}": float(name in emotions) for name in EMOTIONS},
        "person": float("person" in categories),
        "face": float("face" in categories),
        "animals": min(sum(category in _ANIMALS for category in categories) / 2, 1.0),
        "food": float("food" in categories),
        "movement": float(made.action is not None or any(thing.variant in _LIVELY for thing in things)),
        "openness": open_air * max(0.0, 1 - sum(thing.length**2 for thing in things) / 0.5),
        "crowd": min((len(things) - 1) / 4, 1.0),
        "solitude": float(len(things) == 1 and largest.length < 0.35),
        "largest": min(largest.length / 0.6, 1.0),
        "dark": min(2 * max(0.0, 1 - lightness / 70), 1.0),
        "cold light": max(-made.warmth, 0) / 2,
        "colourful": min(colourful / 80, 1.0),
        "contrast": min(contrast / 40, 1.0),
    }


def _seen(made: Scene, position: int) -> tuple[float, float, float]:
    """Mean CIELAB lightness, colourfulness (Hasler and Suesstrunk 2003), contrast of a thing with all around it."""
    from skimage.color import rgb2lab

    pixels = picture(made, CANONICAL)
    lightness = rgb2lab(pixels / 255.0)[..., 0]
    mask = instance_map(made.things, CANONICAL) == position + 1
    red, green, blue = pixels.reshape(-1, 3).T.astype(np.float64)
    one, two = red - green, (red + green) / 2 - blue
    spread, mean = np.hypot(one.std(), two.std()), np.hypot(one.mean(), two.mean())
    return (
        float(lightness.mean()),
        float(spread + 0.3 * mean),
        float(abs(lightness[mask].mean() - lightness[~mask].mean())),
    )

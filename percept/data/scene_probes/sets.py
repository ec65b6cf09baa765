"""Probe sets of scenes: one skill at a time, from scene ground truth, balanced by construction."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from percept.data.probe_set import ProbeError, ProbeSet
from percept.data.scene_probes import actions, bindings, families, numbers, places
from percept.data.scene_probes.families import FAMILY, IN_CAPTIONS
from percept.data.scene_probes.twins import Twin
from percept.data.scene_probes.variants import VARIANTS, shown
from percept.data.scenes.layout import Dice, scene
from percept.data.scenes.splits import SPLITS
from percept.data.scenes.world import CANONICAL, Scene

Maker = Callable[[Dice, Scene, int], Twin | None]
_PROBES = 1 << 42  # seeds of the draws of probes, apart from the worlds' own
# skill -> (shape of its items, what draws its twins, what its groups are)
_SKILLS: dict[str, tuple[str, Maker, str]] = {
    "subject": ("pictures", actions.subject, "verb"),
    "verb": ("pictures", actions.verb, "verb"),
    "object": ("pictures", actions.target, "verb"),
    "existence": ("sentences", numbers.existence, "category"),
    "negation": ("sentences", numbers.negation, "category"),
    "plurality": ("sentences", numbers.plurality, "numbers"),
    "counting": ("sentences", numbers.counting, "numbers"),
    "counting small numbers": ("sentences", numbers.small_numbers, "numbers"),
    "counting adversarial": ("sentences", numbers.rival_numbers, "numbers"),
    "relations": ("sentences", places.relation, "relation"),
    "action replacement": ("sentences", actions.activity, "agent"),
    "actant swap": ("sentences", actions.role_swap, "verb"),
    "coreference": ("sentences", bindings.coreference, "attribute and foil"),
    "foil nouns": ("sentences", numbers.foil_noun, "category"),
    "spatial relations": ("truth", families.place, "relation"),
    "word swaps": ("square", bindings.word_swap, "swap"),
    "attribute binding": ("sentences", bindings.binding, "attribute"),
}
SKILLS = tuple(_SKILLS)
# Positions of a twin's pictures and sentences in its items.
_ITEMS = {
    "sentences": ([[0], [1]], [[0, 1], [1, 0]]),
    "pictures": ([[0, 1], [1, 0]], [[0], [1]]),
    "square": ([[0, 1]], [[0, 1]]),
    "truth": ([[0], [0], [1], [1]], [[0], [1], [0], [1]]),
}


def scene_probes(
    skill: str,
    n: int = 1000,
    *,
    seed: int = 0,
    split: str = "test",
    size: int = CANONICAL,
    language: str = "en",
    variant: str = "plain",
) -> ProbeSet:
    """Probes of one skill, a pure function of the arguments.

    Items come from twins, two scenes alike but for one thing and a sentence that is true of each and false of the
    other: every sentence is right as often as it is the foil, in the same company, and so is every picture. Whatever
    looks at the sentences alone, or at the pictures alone, is right half the time (ties aside). The skills follow
    SVO-Probes, VALSE, VSR, Winoground and ARO; see the modules of this package for what each asks.

    Args:
        skill: one of `SKILLS`.
        n: items; whole twins are made, so odd numbers (spatial relations: those not divisible by 4) are rounded up.
            The items of a smaller n are the first ones of a larger.
        seed: another seed draws other scenes.
        split: name in `percept.data.scenes.SPLITS`; "test_combinations" has no probes.
        size: side of the pictures in px.
        language: "en" or "ja"; the pictures are the same.
        variant: one of `VARIANTS`; the items and the sentences are the same.

    Returns:
        Probes whose pictures are uint8 [P, size, size, 3], grouped by what varies within the skill. Each id is the
        scene that a twin was made from, and the item's number in the twin.

    Raises:
        ProbeError: an unknown skill, split, language or variant, n below 1, or a split that holds too few scenes.

    Example:
        >>> probes = scene_probes("actant swap", 2)
        >>> [probes.sentences[row] for row in probes.sentence[0]]
        ['a giraffe is chasing a pig on the water', 'a pig is chasing a giraffe on the water']
    """
    _check(skill, n, seed, split, language, variant)
    shape = _SKILLS[skill][0]
    picture, sentence = (np.array(rows) for rows in _ITEMS[shape])
    made = scene_twins(skill, -(-n // len(picture)), seed, split)
    texts = [twin.sentences(language) for twin in made]
    row_of = {text: row for row, text in enumerate(dict.fromkeys(text for pair in texts for text in pair))}
    rows = np.array([[row_of[text] for text in pair] for pair in texts])
    return ProbeSet(
        name=f"scenes: {skill}",
        pictures=_pictures(made, variant, size, seed),
        sentences=list(row_of),
        picture=(2 * np.arange(len(made))[:, None, None] + picture).reshape(-1, picture.shape[1]),
        sentence=rows[:, sentence].reshape(-1, sentence.shape[1]),
        groups=_groups(skill, [twin.kinds[first] for twin in made for first in sentence[:, 0]]),
        label=np.tile(picture[:, 0] == sentence[:, 0], len(made)) if shape == "truth" else None,
        ids=[f"{twin.scenes[0].index}-{item}" for twin in made for item in range(len(picture))],
        notes=(
            f"simulated scenes of split {split}, seed {seed}, {variant}, {size} px, language {language}",
            *(["outlines show no colours: items that turn on a colour cannot be told"] if variant == "line" else []),
        ),
    )


def _check(skill: str, n: int, seed: int, split: str, language: str, variant: str) -> None:
    for name, value, known in (
        ("skill", skill, SKILLS),
        ("split", split, [name for name in SPLITS if name != "test_combinations"]),  # they show what is trained on
        ("language", language, ("en", "ja")),
        ("variant", variant, VARIANTS),
    ):
        if value not in known:
            raise ProbeError(f"scene probes: unknown {name} {value!r}; known: {', '.join(known)}")
    if n < 1 or seed < 0:
        raise ProbeError(f"scene probes: n must be at least 1 and seed at least 0, got {n} and {seed}")


@lru_cache(maxsize=2 * len(_SKILLS))
def scene_twins(skill: str, wanted: int, seed: int = 0, split: str = "test") -> tuple[Twin, ...]:
    """The scenes behind a probe set: its pictures 2k and 2k + 1 show the k-th twin (but for its variant).

    Args:
        skill, seed, split: as in `scene_probes`.
        wanted: number of twins; a smaller number gives the first ones.

    Raises:
        ProbeError: if the split holds too few scenes that can be made a twin.
    """
    number = SKILLS.index(skill)
    found = list[Twin]()
    for index in np.random.default_rng([seed, number, SPLITS[split].start]).permutation(SPLITS[split]).tolist():
        twin = _SKILLS[skill][1](Dice(_PROBES + 1000 * seed + number, index), scene(index), len(found))
        if twin is not None:
            found.append(twin)
        if len(found) == wanted:
            return tuple(found)
    raise ProbeError(f"scene probes: split {split} gives only {len(found)} twins of {skill!r}, {wanted} were needed")


def _pictures(made: tuple[Twin, ...], variant: str, size: int, seed: int) -> np.ndarray:
    changes = seed, VARIANTS.index(variant)
    pictures = np.empty((2 * len(made), size, size, 3), np.uint8)
    for row, twin in enumerate(made):
        rng = np.random.default_rng([*changes, twin.scenes[0].index])
        pictures[2 * row : 2 * row + 2] = shown(twin.scenes, variant, size, rng)
    return pictures


def _groups(skill: str, kinds: list[str]) -> dict[str, list[str]]:
    """By what varies within the skill; places by family too, and by whether captions of the world use the words."""
    groups = {_SKILLS[skill][2]: kinds}
    if skill == "spatial relations":
        groups["family"] = [FAMILY[kind] for kind in kinds]
        groups["words"] = ["in captions" if family in IN_CAPTIONS else "new" for family in groups["family"]]
    return groups

"""Every sentence of a probe is true of its picture and false of its twin: read again from the words and the pixels.

The judge here parses the English and looks at the rendered truth (masks, boxes, depth, what lies behind) and at which
drawing was pasted which way round. It shares nothing with the code that makes the probes but the vocabulary.
"""

import re
from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

from percept.data.scene_probes import SKILLS, scene_probes, scene_twins
from percept.data.scene_probes.variants import _cropped, _further
from percept.data.scenes import COLOURS, nouns, picture, truth
from percept.data.scenes.vocabulary import (
    ANIMAL_ACTIVITIES,
    BACKGROUNDS,
    FACES,
    INTERACTIONS,
    NUMBERS,
    PERSON_ACTIVITIES,
    SPATIAL,
)

SIDE = 128  # pixels are judged at twice the usual size; distances below are in 1/64 of the side
TWINS = 20
_KEYS = {kind.en.partition(" ")[2]: kind.key for kind in nouns()} | {kind.plural: kind.key for kind in nouns()}
_LOOKS = {variant.en: variant.key for variant in (*PERSON_ACTIVITIES, *FACES)}
_LOOKS |= {english: key for key, (english, _) in ANIMAL_ACTIVITIES.items()} | {colour: colour for colour in COLOURS}
_PLACES = {background.en: background.key for background in BACKGROUNDS}
_VERBS = {word: verb for verb, forms in INTERACTIONS.items() for word in (forms[0], f"is {forms[1]}")}
_RELATIONS = {english: relation for relation, (english, _) in SPATIAL.items()}
_AMOUNTS = {"a": 1, "an": 1, "no": 0} | {word: number for number, word in enumerate(NUMBERS)}


class Seen(NamedTuple):
    """One thing in the picture, lengths in 1/64 of the side."""

    key: str
    looks: set[str]
    left: float
    top: float
    right: float
    bottom: float
    depth: float
    facing: int
    upright: bool

    @property
    def middle(self):
        return (self.left + self.right) / 2


class View(NamedTuple):
    things: list[Seen]
    place: str

    def only(self, words):
        """The one thing of this noun, or None if there is none or are several."""
        found = [thing for thing in self.things if thing.key == _KEYS[words]]
        return found[0] if len(found) == 1 else None


def _look(made):
    dense = truth(made, SIDE)
    things = []
    for position, thing in enumerate(made.things):
        rows, columns = np.nonzero(dense.instances == position + 1)
        assert len(rows) >= 0.4 * thing.sprite(SIDE).solid.sum()
        edges = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) * 64 / SIDE
        assert min(edges[2] - edges[0], edges[3] - edges[1]) >= 6
        depth = float(np.median(dense.depth[rows, columns]))
        looks = {thing.variant, thing.colour} - {""}
        things.append(Seen(thing.kind.key, looks, *edges.tolist(), depth, thing.facing, thing.angle == 0))
    return View(things, made.background.key)


# --- the judge -------------------------------------------------------------------------------------------------------


def _holds(text, view):
    """Whether an English sentence of a probe is true of what is seen."""
    for read in (_is_it, _there_is, _relates, _acts, _is, _lists):
        verdict = read(text, view)
        if verdict is not None:
            return verdict
    raise AssertionError(f"the judge cannot read {text!r}")


def _place_off(text, view):
    """The text without its place, and whether the place is right."""
    for words, key in _PLACES.items():
        if text.endswith(f" {words}"):
            return text[: -len(words) - 1], key == view.place
    return text, True


def _there_is(text, view):
    match = re.fullmatch(r"there (?:is|are) (.+)", text)
    if match is None:
        return None
    text, placed = _place_off(match[1], view)
    amount, words = text.split(" ", 1)
    return placed and sum(thing.key == _KEYS[words] for thing in view.things) == _AMOUNTS[amount]


def _is_it(text, view):
    match = re.fullmatch(r"there is an? (.+)\. it is (.+)", text)
    if match is None:
        return None
    words, placed = _place_off(match[1], view)
    thing = view.only(words)
    return placed and thing is not None and _LOOKS[match[2]] in thing.looks


def _is(text, view):
    match = re.fullmatch(r"the (.+?) is (.+)", text)
    if match is None:
        return None
    thing = view.only(match[1])
    if match[2] in _PLACES:
        return thing is not None and _PLACES[match[2]] == view.place
    return thing is not None and _LOOKS[match[2]] in thing.looks


def _lists(text, view):
    text, placed = _place_off(text, view)
    said = Counter()
    for part in re.split(r", | and ", text):
        amount, rest = part.split(" ", 1)
        said[_described(rest)] += _AMOUNTS[amount]
    detailed = any(looks for _, looks in said)
    here = Counter((t.key, frozenset(t.looks if detailed or t.key in ("person", "face") else ())) for t in view.things)
    if not detailed:
        here = Counter({(key, frozenset()): sum(n for (k, _), n in here.items() if k == key) for key, _ in here})
    return placed and said == here


def _described(words):
    """ "red car", "people riding bikes" as noun and looks."""
    if words in _KEYS:
        return _KEYS[words], frozenset()
    for person in ("person ", "people "):
        if words.startswith(person):
            doing = words.removeprefix(person)
            doing = next(en for en in _LOOKS if en == doing or f"{en.replace(' a ', ' ')}s" == doing)
            return "person", frozenset({_LOOKS[doing]})
    look = next(look for look in _LOOKS if words.startswith(f"{look} ") and words[len(look) + 1 :] in _KEYS)
    return _KEYS[words[len(look) + 1 :]], frozenset({_LOOKS[look]})


# --- where -----------------------------------------------------------------------------------------------------------


def _apart(one, other):
    """Distance sideways between two things, below 0 where they overlap."""
    return max(one.left, other.left) - min(one.right, other.right)


def _over(one, other):
    """How far the first ends above where the second begins, where one is over the other; else None."""
    return other.top - one.bottom if _apart(one, other) < 0 else None


def _ahead(one, other):
    return (other.middle - one.middle) * one.facing > 0


def _next(one, other, view):
    between = [t for t in view.things if min(one.middle, other.middle) < t.middle < max(one.middle, other.middle)]
    return not between and 0 <= _apart(one, other) < 6


_WHERE = {
    "left of": lambda one, other, view: one.right <= other.left,
    "right of": lambda one, other, view: one.left >= other.right,
    "above": lambda one, other, view: (_over(one, other) or -1) > 0,
    "below": lambda one, other, view: (_over(other, one) or -1) > 0,
    "in front of": lambda one, other, view: one.depth * 1.2 < other.depth and one.bottom > other.bottom,
    "behind": lambda one, other, view: one.depth > 1.2 * other.depth and one.bottom < other.bottom,
    "at the left side of": lambda one, other, view: -1 <= other.left - one.right < 4,
    "at the right side of": lambda one, other, view: -1 <= one.left - other.right < 4,
    "near": lambda one, other, view: _apart(one, other) < 5,
    "far from": lambda one, other, view: _apart(one, other) > 20,
    "next to": _next,
    "on": lambda one, other, view: _apart(one, other) < 0 and abs(other.top - one.bottom) <= 3,
    "facing": lambda one, other, view: _ahead(one, other),
    "running toward": lambda one, other, view: "run" in one.looks and _ahead(one, other),
    "running away from": lambda one, other, view: "run" in one.looks and not _ahead(one, other),
}


def _relates(text, view):
    known = {**{english: english for english in _WHERE}, **_RELATIONS}
    match = re.fullmatch(rf"the (.+?) is ({'|'.join(sorted(known, key=len, reverse=True))}) the (.+)", text)
    if match is None or match[3] in ("grass", "sand", "snow", "road", "water"):
        return None
    one, other = view.only(match[1]), view.only(match[3])
    return one is not None and other is not None and bool(_WHERE[known[match[2]]](one, other, view))


_ACTS = {
    "chase": lambda one, other: _ahead(one, other) and not one.upright and _apart(one, other) > 1,
    "face": lambda one, other: _ahead(one, other) and one.upright and _apart(one, other) > 1,
    "push": lambda one, other: _ahead(one, other) and not one.upright and -4 < _apart(one, other) <= 1,
    "pull": lambda one, other: not _ahead(one, other) and not one.upright and _apart(one, other) > 1,
    "carry": lambda one, other: _ahead(one, other) and _apart(one, other) <= 1 and other.bottom < one.bottom - 3,
    "stand on": lambda one, other: one.upright and _apart(one, other) < 0 and abs(other.top - one.bottom) <= 3,
    "jump over": lambda one, other: not one.upright and (_over(one, other) or 0) > 1,
}


def _acts(text, view):
    text, placed = _place_off(text, view)
    match = re.fullmatch(rf"an? (.+?) ({'|'.join(_VERBS)}) an? (.+)", text)
    if match is None:
        return None
    one, other = view.only(match[1]), view.only(match[3])
    return placed and one is not None and other is not None and _ACTS[_VERBS[match[2]]](one, other)


# --- the proof -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skill", SKILLS)
def test_each_sentence_is_true_of_its_picture_and_false_of_the_other(skill):
    for twin in scene_twins(skill, TWINS):
        views, said = [_look(made) for made in twin.scenes], twin.sentences("en")
        verdicts = [[_holds(text, view) for text in said] for view in views]
        assert verdicts == [[True, False], [False, True]], (twin.scenes[0].index, said, views)


@pytest.mark.parametrize("skill", SKILLS)
def test_it_stays_so_from_further_away_and_in_a_crop(skill):
    rng = np.random.default_rng(0)
    for twin in scene_twins(skill, TWINS)[:10]:
        said = twin.sentences("en")
        for scenes in (_cropped(twin.scenes, rng), _further(twin.scenes)):
            side = scenes[0].camera / twin.scenes[0].camera
            for row, made in enumerate(scenes):
                assert len(made.named) == len(made.things)
                things = [_scaled(thing, side) for thing in _look(made).things]
                verdicts = [_holds(text, View(things, made.background.key)) for text in said]
                assert verdicts == [row == 0, row == 1], (side, said, things)


def _scaled(thing, by):
    """Lengths as they were before the zoom, so that distances mean what they did."""
    return thing._replace(**{edge: getattr(thing, edge) / by for edge in ("left", "top", "right", "bottom")})


@pytest.mark.parametrize("skill", ["subject", "relations", "spatial relations", "word swaps"])
def test_items_put_the_true_one_first(skill):
    probes, twins = scene_probes(skill, 24), scene_twins(skill, 24)
    views = [_look(made) for twin in twins for made in twin.scenes]
    for item in range(24):
        table = [[_holds(probes.sentences[s], views[p]) for s in probes.sentence[item]] for p in probes.picture[item]]
        expected = {
            "pictures": [[True], [False]], "sentences": [[True, False]], "square": [[True, False], [False, True]],
            "truth": [[probes.label[item]]] if probes.label is not None else None,
        }[probes.shape]  # fmt: skip
        assert table == expected


def test_colours_are_seen_in_the_pixels():
    """The thing said to be red is nearer to red than to the other colour, in light as drawn."""
    right = []
    for twin in scene_twins("attribute binding", 40):
        pixels = []
        for made in twin.scenes:
            plain = _daylight(made)
            masks = truth(plain, SIDE).instances
            pixels.append([_paint(picture(plain, SIDE)[masks == position + 1]) for position in (0, 1)])
        first, second = twin.scenes[0].things[:2]
        if not first.colour:
            continue
        red, blue = (np.array(COLOURS[thing.colour][0], float) for thing in (first, second))
        for seen, true, foil in ((pixels[0][0], red, blue), (pixels[0][1], blue, red), (pixels[1][0], blue, red)):
            right.append(np.linalg.norm(seen - true) < np.linalg.norm(seen - foil))
    assert len(right) > 60
    assert np.mean(right) > 0.95


def _daylight(made):
    return replace(made, gain=1.0, warmth=0, things=tuple(replace(thing, tone=0) for thing in made.things))


def _paint(pixels):
    """Mean of the brighter half: outlines and shades are dark whatever the colour."""
    light = pixels.astype(float).sum(1)
    return pixels[light >= np.median(light)].mean(0)

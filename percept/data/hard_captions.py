"""Captions of scenes made false by one edit, and captions of mirrored pictures.

Every edit is checked against the scene's truth, so that the new caption is false of the picture. None of them speaks of
a combination that is held out for the split "test_combinations": a model would learn that those are always false.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import numpy as np

from percept.data.scenes.layout import colours_for, poses_for, targets_for
from percept.data.scenes.splits import actors, held_out_triple
from percept.data.scenes.vocabulary import INTERACTIONS, NUMBERS, SPATIAL, Noun, nouns
from percept.data.scenes.world import Scene, Thing

EDITS = ("noun", "colour", "relation")
_SIDES = {"left": "right", "right": "left", "左": "右", "右": "左"}
_OPPOSITE = {"left of": "right of", "above": "below", "in front of": "behind"}
_OPPOSITE |= {after: before for before, after in _OPPOSITE.items()}


def mirrored(caption: str) -> str:
    """The caption of the picture's mirror image: left and right change places, in English and Japanese.

    Example:
        >>> mirrored("the dog is to the left of the bright car"), mirrored("犬は車の左にいる")
        ('the dog is to the right of the bright car', '犬は車の右にいる')
    """
    return re.sub(r"\b(?:left|right)(?=\b|most)|[左右]", lambda found: _SIDES[found[0]], caption)


def false_caption(scene: Scene, caption: str, rng: np.random.Generator) -> str | None:
    """One of `false_captions`: first the kind of edit is drawn, then the edit; None if there is none."""
    options = [found for found in false_captions(scene, caption).values() if found]
    if not options:
        return None
    chosen = options[int(rng.integers(len(options)))]
    return chosen[int(rng.integers(len(chosen)))]


def false_captions(scene: Scene, caption: str) -> dict[str, list[str]]:
    """Captions that differ from a true English one by one edit and are false of the scene.

    Args:
        scene: what the picture shows.
        caption: one of its captions.

    Returns:
        By kind: "noun", another noun of the same category that is nowhere in the scene; "colour", a colour that no such
        thing has there, or the colours of two things exchanged; "relation", the opposite relation, another act, or the
        two things exchanged. A list is empty where the caption has nothing of the kind.
    """
    shown = [scene.things[position] for position in scene.named if _form(scene.things[position].kind, caption)]
    edits = (_noun_edits(scene, shown, caption), _colour_edits(scene, shown, caption), _relation_edits(scene, caption))
    return {
        kind: sorted({_articles(text) for text in found} - {caption})
        for kind, found in zip(EDITS, edits, strict=True)
    }  # fmt: skip


def _noun_edits(scene: Scene, shown: list[Thing], caption: str) -> Iterator[str]:
    present = {thing.noun for thing in scene.things}
    for kind in {thing.kind for thing in shown}:
        form, alike = _form(kind, caption), [thing for thing in shown if thing.kind == kind]
        several = form == kind.plural and (form != _word(kind) or bool(_after_number(form).search(caption)))
        for noun, other in _of_category(kind.category):
            if noun not in present and all(_fits(scene, thing, noun, caption) for thing in alike):
                yield _whole(form).sub(other.plural if several else _word(other), caption)


def _fits(scene: Scene, thing: Thing, noun: int, caption: str) -> bool:
    """Whether another noun may be said in the place of a thing: its look and its act exist and are not held out."""
    kind = nouns()[noun]
    if thing.colour and not (kind.has("c") and thing.colour in colours_for(noun, novel=False)):
        return False
    if thing.variant and not (kind.has("a") and thing.variant in poses_for(noun, novel=False)):
        return False
    if scene.action is None:
        return True
    subject, verb, target = scene.action
    ends = scene.things[subject], scene.things[target]
    if thing not in ends or _act(verb, caption) is None:
        return True
    return _allowed(noun if thing is ends[0] else ends[0].noun, verb, noun if thing is ends[1] else ends[1].noun)


def _colour_edits(scene: Scene, shown: list[Thing], caption: str) -> Iterator[str]:
    painted = [thing for thing in shown if thing.colour and re.search(_painted(thing), caption)]
    for thing in painted:
        there = {other.colour for other in scene.things if other.noun == thing.noun}
        if "" in there:  # one in its own colours may well be what the false caption would say
            continue
        for colour in colours_for(thing.noun, novel=False):
            if colour not in there:
                yield re.sub(_painted(thing), colour, caption, count=1)
        for other in painted:
            if thing.noun < other.noun and _exchangeable(scene, thing, other, caption):
                yield _exchanged(caption, thing.colour, other.colour)


def _exchangeable(scene: Scene, one: Thing, other: Thing, caption: str) -> bool:
    if one.colour == other.colour or any(caption.count(thing.colour) > 1 for thing in (one, other)):
        return False
    for thing, colour in ((one, other.colour), (other, one.colour)):
        there = {each.colour for each in scene.things if each.noun == thing.noun}
        if there != {thing.colour} or colour not in colours_for(thing.noun, novel=False):
            return False
    return True


def _relation_edits(scene: Scene, caption: str) -> Iterator[str]:
    for relation, (words, _) in SPATIAL.items():
        one, between, other = caption.partition(f" is {words} ")
        if between:
            yield f"{one} is {SPATIAL[_OPPOSITE[relation]][0]} {other}"
            yield f"{other} is {words} {one}"
            return
    if scene.action is None or (found := _act(scene.action[1], caption)) is None:
        return
    subject, verb, target = scene.action
    doer, other_thing = scene.things[subject], scene.things[target]
    for another in INTERACTIONS:
        # Who chases or pushes another also faces it.
        if another not in (verb, "face") and _allowed(doer.noun, another, other_thing.noun):
            yield caption.replace(INTERACTIONS[verb][found], INTERACTIONS[another][found])
    if _allowed(other_thing.noun, verb, doer.noun) and not doer.colour and not other_thing.colour:
        yield _exchanged(caption, _word(doer.kind), _word(other_thing.kind))


def _exchanged(caption: str, one: str, other: str) -> str:
    return re.sub(rf"\b(?:{one}|{other})\b", lambda found: other if found[0] == one else one, caption)


def _allowed(subject: int, verb: str, target: int) -> bool:
    """Whether scenes of the training splits may show this act."""
    possible = subject in actors() and target in targets_for(verb) and subject != target
    return possible and not held_out_triple(subject, verb, target)


def _act(verb: str, caption: str) -> int | None:
    """Which form of a verb a caption has before its object: 0 "chases a", 1 "chasing a", or None ("two faces")."""
    return next((form for form in (0, 1) if re.search(rf"\b{INTERACTIONS[verb][form]} an? ", caption)), None)


def _word(kind: Noun) -> str:
    return kind.en.partition(" ")[2]


def _form(kind: Noun, caption: str) -> str:
    """How a caption says a noun: plural, singular, or "" if it does not."""
    return next((form for form in (kind.plural, _word(kind)) if _whole(form).search(caption)), "")


def _painted(thing: Thing) -> str:
    """Pattern of a thing's colour before its noun, or at the end ("the car is red", "it is red")."""
    return rf"\b{thing.colour}\b(?= {_word(thing.kind)}\b| {thing.kind.plural}\b|$)"


# Compiled once: the module re forgets patterns beyond its 512 newest, and there are more nouns than that allows.
@cache
def _whole(words: str) -> re.Pattern[str]:
    """The words as whole words; "tree" is not in "palm tree"."""
    return re.compile(rf"(?<!palm )\b{words}\b")


@cache
def _after_number(plural: str) -> re.Pattern[str]:
    """A plural after its number: tells "two fish" and "two blue fish" from "a fish"."""
    return re.compile(rf"\b(?:{'|'.join(NUMBERS[2:])}) (?:\w+ )?{plural}\b")


@cache
def _of_category(category: str) -> tuple[tuple[int, Noun], ...]:
    return tuple((noun, kind) for noun, kind in enumerate(nouns()) if kind.category == category)


def _articles(caption: str) -> str:
    """Write "a" and "an" as the grammar of the scenes does, by the next letter."""
    return re.sub(r"\ban? (?=([a-z]))", lambda found: "an " if found[1] in "aeiou" else "a ", caption)

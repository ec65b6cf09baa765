"""Captions name what is there, in both languages, and nothing that is not."""

import re

import pytest

from percept.data.scenes import COLOURS, SPLITS, captions, nouns, scene
from percept.data.scenes.vocabulary import NUMBERS, NUMBERS_JA
from percept.data.scenes.world import MIN_VISIBLE

SCENES = [scene(index) for index in SPLITS["tune"][:400]]


def _words(made):
    """English singulars and plurals of the named things."""
    kinds = [made.things[position].kind for position in made.named]
    return {kind.key for kind in kinds} | {kind.plural for kind in kinds}


def _glimpsed(made):
    """Nouns of things that are not named and yet show more than 15 %."""
    return {
        thing.noun
        for position, thing in enumerate(made.things)
        if position not in made.named and made.visibility[position][0] > 0.15
    }


def _glimpsed(made):
    """Nouns of things that are not named and yet show more than 15 %."""
    return {
        thing.noun
        for position, thing in enumerate(made.things)
        if position not in made.named and made.visibility[position][0] > 0.15
    }


def _mentioned(text):
    """Nouns of the vocabulary in an English caption, longest first so that "fire truck" is not "truck"."""
    found = set()
    for activity in ("riding a horse", " faces ", " facing "):  # words that are also nouns
        text = text.replace(activity, " ")
    for noun in sorted(nouns(), key=lambda noun: -len(noun.key)):
        for form in (noun.plural, noun.key):
            if re.search(rf"\b{form}\b", text):
                found.add(noun.key)
                text = re.sub(rf"\b{form}\b", "", text)
    return found


def test_only_visible_things_are_named():
    for made in SCENES:
        allowed = {made.things[position].kind.key for position in made.named}
        for text in captions(made):
            assert _mentioned(text) <= allowed, (made.index, text)


def test_hidden_things_are_left_out():
    hidden = [made for made in SCENES if len(made.named) < len(made.things)]
    assert hidden
    for made in hidden:
        for position in set(range(len(made.things))) - set(made.named):
            share, box = made.visibility[position]
            assert share < MIN_VISIBLE or min(box[2] - box[0], box[3] - box[1]) < 8


def test_counts_are_right_in_both_languages():
    checked = 0
    for made in SCENES:
        glimpsed = _glimpsed(made)
        for noun, count in made.counts.items():
            kind = nouns()[noun]
            english = f"there are {NUMBERS[count]} {kind.plural}"
            said = any(text.startswith(english) for text in captions(made))
            assert said == (count > 1 and noun not in glimpsed)
            if said:
                assert any(f"{kind.ja}が{NUMBERS_JA[count]}{kind.counter}" in text for text in captions(made, "ja"))
                checked += 1
    assert checked > 20


def test_what_is_in_the_air_is_not_said_to_be_on_the_ground():
    checked = 0
    for made in SCENES:
        for position in made.named:
            thing = made.things[position]
            carried = made.action and made.action[1] == "carry" and position == made.action[2]
            if (thing.floating or carried) and made.background.key != "room":
                claims = [text for text in captions(made) if text.startswith(f"there is {thing.kind.en} ")]
                assert not any(made.background.en in text for text in claims), made.index
                checked += 1
    assert checked > 10


def test_the_dog_is_said_only_of_one_dog():
    for made in SCENES:
        twins = {nouns()[noun].key for noun, count in made.counts.items() if count > 1}
        for text in captions(made):
            definite = re.findall(r"^the (.+?) (?:is|are) ", text)
            assert not set(definite) & twins, text


def test_colours_are_right():
    for made in SCENES:
        for position in made.named:
            thing = made.things[position]
            if thing.colour and made.counts[thing.noun] == 1 and thing.noun not in _glimpsed(made):
                word = thing.kind.en.partition(" ")[2]
                assert f"the {word} is {thing.colour}" in captions(made)
        shown = {made.things[position].colour for position in made.named}
        for text in captions(made):
            assert set(re.findall(r"\w+", text)) & set(COLOURS) <= shown


def test_roles_are_not_swapped():
    found = 0
    for made in SCENES:
        if made.action and {made.action[0], made.action[2]} <= set(made.named) and made.action[1] == "chase":
            subject, target = (made.things[made.action[k]].kind for k in (0, 2))
            assert f"{subject.en} chases {target.en}" in captions(made)
            assert f"{subject.ja}が{target.ja}を追いかけている" in captions(made, "ja")
            found += 1
    assert found


def test_left_and_right_agree_with_the_picture():
    for made in SCENES:
        for subject, relation, target in made.relations:
            one, other = made.visibility[subject][1], made.visibility[target][1]
            if relation == "left of":
                assert one[2] <= other[0]
            elif relation == "above":
                assert one[3] <= other[1]
            elif relation == "in front of":
                assert made.things[subject].depth < made.things[target].depth


def test_pronoun_captions_have_one_possible_referent():
    for made in SCENES:
        for text in captions(made):
            if ". it is" in text or ". they are" in text:
                assert len(_mentioned(text.partition(".")[0])) == 1


def test_unknown_language_is_refused():
    with pytest.raises(ValueError, match="'fr'"):
        captions(SCENES[0], "fr")


def test_articles():
    assert {noun.en for noun in nouns()} >= {
        "an owl",
        "a pair of scissors",
        "a loaf of bread",
        "an umbrella",
        "a bunch of grapes",
    }
    assert all(noun.en.startswith("an ") == (noun.en.split(" ", 1)[1][0] in "aeiou") for noun in nouns())

"""Probe sets of scenes: balanced both ways, deterministic, seen combinations only, variants of the same items."""

import re
from collections import Counter

import numpy as np
import pytest

from percept.data.probe_set import ProbeError
from percept.data.scene_probes import FAMILIES, SKILLS, scene_probes, scene_twins
from percept.data.scene_probes.twins import called, distinct
from percept.data.scenes import SPLITS, Thing, noun_id, nouns, scene
from percept.data.scenes.splits import held_out_colour, held_out_pose, held_out_triple
from percept.data.scenes.vocabulary import COLOURS, INTERACTIONS, NUMBERS, SPATIAL

N = 60
SETS = {skill: scene_probes(skill, N, size=16) for skill in SKILLS}
SHAPES = {"subject": "pictures", "verb": "pictures", "object": "pictures", "spatial relations": "truth"} | {
    "word swaps": "square"
}
each_skill = pytest.mark.parametrize("skill", SKILLS)


# --- balance ---------------------------------------------------------------------------------------------------------


def _decisions(probes, scores):
    """All decisions of `scores[picture, sentence]`, as (right, tied): a plain loop over the rule of each shape."""
    for item in range(len(probes)):
        pictures, sentences = probes.picture[item], probes.sentence[item]
        if probes.shape == "truth":
            yield (scores[pictures[0], sentences[0]] > 0) == probes.label[item], False
        for right in range(len(pictures) if len(sentences) == 2 else 0):
            true, foil = (scores[pictures[right], sentences[row]] for row in (right, 1 - right))
            yield true > foil, true == foil
        for right in range(len(sentences) if len(pictures) == 2 else 0):
            true, foil = (scores[pictures[row], sentences[right]] for row in (right, 1 - right))
            yield true > foil, true == foil


@each_skill
def test_a_scorer_that_sees_only_one_side_is_right_half_the_time_ties_aside(skill):
    probes = SETS[skill]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        text, image = rng.normal(size=(1, len(probes.sentences))), rng.normal(size=(len(probes.pictures), 1))
        for blind, all_tied in ((text + 0 * image, "pictures"), (image + 0 * text, "sentences")):
            decided = [right for right, tied in _decisions(probes, blind) if not tied]
            assert (not decided) if probes.shape == all_tied else np.mean(decided) == 0.5


@each_skill
def test_every_pair_occurs_in_both_roles_equally_often(skill):
    probes = SETS[skill]
    if probes.shape == "truth":
        said = Counter(zip(probes.sentence[:, 0].tolist(), probes.label.tolist(), strict=True))
        shown_ = Counter(zip(probes.picture[:, 0].tolist(), probes.label.tolist(), strict=True))
        for count in (said, shown_):
            assert all(count[key, True] == count[key, False] for key, _ in count)
    elif probes.shape == "square":
        assert (probes.picture == np.arange(2 * len(probes)).reshape(-1, 2)).all()
        assert (probes.sentence[:, 0] != probes.sentence[:, 1]).all()
    else:
        rows = probes.sentence if probes.shape == "sentences" else probes.picture
        pairs = Counter(map(tuple, rows.tolist()))
        assert all(pairs[one, other] == pairs[other, one] for one, other in pairs)
        assert all(one != other for one, other in pairs)


# --- what comes back -------------------------------------------------------------------------------------------------


@each_skill
def test_shapes_groups_and_names(skill):
    probes = SETS[skill]
    assert len(probes) == N == len(set(probes.ids))
    assert probes.shape == SHAPES.get(skill, "sentences")
    assert probes.pictures.dtype == np.uint8
    assert probes.pictures.shape[1:] == (16, 16, 3)
    assert len(set(probes.sentences)) == len(probes.sentences)
    assert probes.name == f"scenes: {skill}"
    assert "test" in probes.notes[0]
    assert set(probes.picture.ravel().tolist()) == set(range(len(probes.pictures)))
    assert set(probes.sentence.ravel().tolist()) == set(range(len(probes.sentences)))


def test_a_thousand_items_of_the_test_split():
    probes = scene_probes("action replacement", size=16)
    assert len(probes) == 1000
    assert all(int(name.split("-")[0]) in SPLITS["test"] for name in probes.ids)


def test_n_is_rounded_up_to_whole_twins_and_smaller_sets_are_the_first_items():
    for skill, n, items in (("spatial relations", 5, 8), ("subject", 5, 6), ("word swaps", 5, 5)):
        few, many = scene_probes(skill, n, size=16), SETS[skill]
        assert len(few) == items
        assert list(few.ids) == list(many.ids[:items])
        assert [few.sentences[row[0]] for row in few.sentence] == [many.sentences[r[0]] for r in many.sentence[:items]]
        assert (few.pictures == many.pictures[: len(few.pictures)]).all()


@each_skill
def test_the_same_arguments_give_the_same_twins(skill):
    for again, twin in zip(scene_twins.__wrapped__(skill, 3), scene_twins(skill, 3), strict=True):
        assert again.scenes == twin.scenes
        assert again.sentences("en") == twin.sentences("en")
    other = scene_probes(skill, 6, size=16, seed=1)
    assert set(other.ids).isdisjoint(SETS[skill].ids)


def test_families_of_places_are_equally_many_and_say_whether_captions_know_their_words():
    groups = scene_probes("spatial relations", 7 * 4 * 12, size=16).groups
    assert set(Counter(groups["family"]).values()) == {4 * 12}
    found = set(zip(groups["family"], groups["relation"], strict=True))
    assert found == {(family, relation) for family, relations in FAMILIES.items() for relation in relations}
    known = {"projective", "orientation", "topological"}
    assert set(zip(groups["family"], groups["words"], strict=True)) == {
        (family, "in captions" if family in known else "new") for family in FAMILIES
    }


def test_squares_swap_the_same_words():
    probes, kinds = SETS["word swaps"], Counter()
    for (first, second), kind in zip(probes.sentence, probes.groups["swap"], strict=True):
        one, other = (sorted(probes.sentences[row].replace(",", "").split()) for row in (first, second))
        assert one == other
        kinds[kind] += 1
    assert kinds == dict.fromkeys(("role", "place", "number", "colour", "pose"), N // 5)


def test_numbers_verbs_and_foils_come_equally_often():
    assert set(Counter(SETS["counting"].groups["numbers"]).values()) == {N // 6}
    assert set(Counter(SETS["counting adversarial"].groups["numbers"]).values()) == {N // 5}
    assert set(Counter(SETS["actant swap"].groups["verb"]).values()) == {N // 6}
    assert set(Counter(SETS["action replacement"].groups["agent"]).values()) == {N // 2}
    assert set(scene_probes("subject", 70, size=16).groups["verb"]) == set(INTERACTIONS)


@pytest.mark.parametrize("skill", ["subject", "verb", "actant swap", "coreference", "action replacement"])
def test_bystanders_hide_nobody(skill):
    cast = 1 if skill == "action replacement" else 2
    others = 0
    for twin in scene_twins(skill, 30):
        for made in twin.scenes:
            others += len(made.things) > cast
            assert all(thing.depth > max(t.depth for t in made.things[:cast]) for thing in made.things[cast:])
    assert others > 2


def test_coreference_changes_what_it_is_or_who_it_is():
    probes = SETS["coreference"]
    for (true, foil), kind in zip(probes.sentence, probes.groups["attribute and foil"], strict=True):
        (who, what), (other_who, other_what) = (probes.sentences[row].rsplit(". it is ", 1) for row in (true, foil))
        assert (who == other_who) == kind.endswith("property")
        assert (what == other_what) == kind.endswith("antecedent")
        assert (what in COLOURS) == kind.startswith("colour")


# --- words and worlds ------------------------------------------------------------------------------------------------


def test_captions_of_the_world_use_the_words():
    known = set(re.findall(r"[\w-]+", " ".join(text for i in SPLITS["pretrain"][:500] for text in scene(i).captions())))
    known |= {word for kind in nouns() for word in f"{kind.en} {kind.plural}".split()} | set(COLOURS) | set(NUMBERS)
    known |= {word for forms in INTERACTIONS.values() for word in f"{forms[0]} {forms[1]}".split()}
    known |= {word for english, _ in SPATIAL.values() for word in english.split()}
    new = Counter()
    for skill, probes in SETS.items():
        words = {word for text in probes.sentences for word in re.findall(r"[\w-]+", text)} - known
        new.update({(skill, word): 1 for word in words})
    allowed = {"no", "side", "at", "near", "far", "from", "away", "toward", "next"}
    assert {word for _, word in new} <= allowed, new
    assert {skill for skill, _ in new} == {"negation", "spatial relations"}


@pytest.mark.parametrize("split", ["validate", "test", "test_backgrounds"])
def test_only_what_the_split_may_show_and_everything_in_sight(split):
    for skill in SKILLS:
        for twin in scene_twins(skill, 10 if split == "test" else 3, 0, split):
            for made in twin.scenes:
                assert made.split == split
                assert made.background.held_out == (split == "test_backgrounds")
                assert len(made.named) == len(made.things)
                for thing in made.things:
                    assert not (thing.colour and held_out_colour(thing.noun, thing.colour))
                    assert not (thing.kind.has("a") and thing.variant and held_out_pose(thing.noun, thing.variant))
                if made.action:
                    subject, verb, target = made.action
                    assert not held_out_triple(made.things[subject].noun, verb, made.things[target].noun)


def test_nothing_can_be_taken_for_what_is_asked_about():
    rider, horse, owl, bird = (
        Thing(noun_id(key), variant) for key, variant in
        (("person", "ride"), ("horse", ""), ("owl", ""), ("bird", ""))
    )  # fmt: skip
    assert called(rider) == {"person", "face", "horse"}
    assert not distinct([rider, horse])
    assert not distinct([bird, owl])
    assert distinct([horse, bird])
    for skill in ("existence", "foil nouns"):
        for twin in scene_twins(skill, 30):
            asked = [made.things[-1] for made in twin.scenes]
            rest = twin.scenes[0].things[:-1]
            assert distinct(asked)
            assert all(distinct([one, other]) for one in asked for other in rest)


@each_skill
def test_japanese_asks_the_same_of_the_same_pictures(skill):
    english, japanese = SETS[skill], scene_probes(skill, N, size=16, language="ja")
    assert (english.pictures == japanese.pictures).all()
    assert (english.picture == japanese.picture).all()
    assert not any(re.search("[a-zA-Z]", text) for text in japanese.sentences)
    pairs = {
        tuple((probes.sentences[row] for probes, row in ((english, e), (japanese, j))))
        for e, j in zip(english.sentence.ravel(), japanese.sentence.ravel(), strict=True)
    }
    assert len({english for english, _ in pairs}) == len(english.sentences)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"skill": "colour"}, "unknown skill 'colour'; known: subject, verb"),
        ({"skill": "verb", "split": "train"}, "unknown split 'train'; known: pretrain, tune, validate, test"),
        ({"skill": "verb", "split": "test_combinations"}, "unknown split 'test_combinations'"),
        ({"skill": "verb", "language": "de"}, "unknown language 'de'; known: en, ja"),
        ({"skill": "verb", "variant": "fog"}, "unknown variant 'fog'; known: plain, light"),
        ({"skill": "verb", "n": 0}, "n must be at least 1 and seed at least 0, got 0 and 0"),
        ({"skill": "verb", "seed": -1}, "got 1000 and -1"),
    ],
)
def test_refusals_say_what_is_known(arguments, message):
    with pytest.raises(ProbeError, match=re.escape(message)):
        scene_probes(**arguments)


def test_a_split_that_is_too_small_says_so(monkeypatch):
    monkeypatch.setitem(SPLITS, "validate", SPLITS["validate"][:5])
    scene_twins.cache_clear()
    with pytest.raises(ProbeError, match=r"split validate gives only \d twins of 'subject', 10 were needed"):
        scene_probes("subject", 20, split="validate")
    scene_twins.cache_clear()

"""Layout: a pure function, honest splits, no shortcut from size to count."""

import subprocess
import sys

import numpy as np
import pytest

from percept.data.scenes import SPLITS, nouns, number_of_things, scene, split_of
from percept.data.scenes.splits import actors, held_out_colour, held_out_pose, held_out_triple


def _held_out_facts(made):
    """Everything in a scene that the split table reserves for test_combinations."""
    facts = [("colour", t.noun, t.colour) for t in made.things if t.colour and held_out_colour(t.noun, t.colour)]
    facts += [
        ("pose", t.noun, t.variant)
        for t in made.things
        if t.variant and t.kind.has("a") and held_out_pose(t.noun, t.variant)
    ]
    if made.action:
        subject, verb, target = made.action
        triple = made.things[subject].noun, verb, made.things[target].noun
        facts += [("triple", *triple)] if held_out_triple(*triple) else []
    return facts


def test_scene_is_a_pure_function_of_seed_and_index():
    assert scene(77) == scene(77)
    assert scene(77) != scene(78)
    assert scene(77) != scene(77, seed=1)


def test_another_process_draws_the_same_scene():
    code = "from percept.data.scenes import scene, render; print(scene(123)); print(int(render([123]).sum()))"
    runs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert len(runs) == 1


def test_splits_are_disjoint_and_cover_what_they_say():
    names = list(SPLITS)
    for first in names:
        for second in names:
            assert first == second or not set(SPLITS[first]) & {SPLITS[second][0], SPLITS[second][-1]}
    assert split_of(SPLITS["test"][0]) == "test"
    with pytest.raises(IndexError, match="outside every split"):
        scene(SPLITS["test_backgrounds"].stop)


@pytest.mark.parametrize("split", ["pretrain", "tune", "validate", "test", "test_backgrounds"])
def test_held_out_combinations_never_leak(split):
    assert not any(_held_out_facts(scene(index)) for index in SPLITS[split][:400])


def test_each_scene_of_the_novel_split_holds_a_held_out_combination():
    assert all(_held_out_facts(scene(index)) for index in SPLITS["test_combinations"][:400])


def test_held_out_backgrounds_appear_only_in_their_split():
    for split in SPLITS:
        held_out = {scene(index).background.held_out for index in SPLITS[split][:60]}
        assert held_out == {split == "test_backgrounds"}


def test_size_is_independent_of_count():
    scenes = [scene(index) for index in SPLITS["tune"][:2500]]
    count = np.array([len(made.things) for made in scenes])
    length = np.array([np.mean([thing.length for thing in made.things]) for made in scenes])
    shuffled = np.random.default_rng(0).permutation(count)
    bound = 4 / np.sqrt(len(scenes))  # four standard errors of a zero correlation
    assert abs(np.corrcoef(count, length)[0, 1]) < bound
    assert abs(np.corrcoef(shuffled, length)[0, 1]) < bound


def test_row_alone_does_not_give_depth():
    things = [thing for index in SPLITS["tune"][:1500] for thing in scene(index).things if not thing.floating]
    base, depth = np.array([(thing.y, thing.depth) for thing in things]).T
    assert np.corrcoef(base, depth)[0, 1] ** 2 < 0.6


def test_number_of_things_agrees_with_the_scene():
    indices = SPLITS["validate"][:200]
    assert [number_of_things(index) for index in indices] == [len(scene(index).things) for index in indices]
    assert {1, 2, 3, 4, 5, 6} == {number_of_things(index) for index in indices}


def test_noun_does_not_depend_on_background():
    pairs = [(made.background.key, made.things[0].noun) for made in map(scene, SPLITS["tune"][:4000])]
    table = np.zeros((6, len(nouns())))
    places = sorted({place for place, _ in pairs})
    for place, noun in pairs:
        table[places.index(place), noun] += 1
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    degrees = (table.shape[0] - 1) * ((table.sum(0) > 0).sum() - 1)
    chi_square = ((table - expected) ** 2 / np.maximum(expected, 1e-9))[:, table.sum(0) > 0].sum()
    assert chi_square < degrees + 5 * np.sqrt(2 * degrees)


def test_actions_point_the_right_way():
    """Chasing, facing and pushing: the subject is turned towards the object; pulling: away from it."""
    seen = set()
    for index in SPLITS["tune"][:3000]:
        made = scene(index)
        if made.action is None:
            continue
        subject, target = made.things[made.action[0]], made.things[made.action[2]]
        verb = made.action[1]
        seen.add(verb)
        towards = (target.x - subject.x) * subject.facing > 0
        if verb in ("chase", "face", "push", "carry"):
            assert towards, (index, verb)
        elif verb == "pull":
            assert not towards, index
        else:
            assert subject.y < target.y, (index, verb)
    assert seen == {"chase", "face", "push", "pull", "carry", "stand on", "jump over"}


def test_actors_are_land_animals():
    assert {nouns()[position].category for position in actors()} == {"land animal"}

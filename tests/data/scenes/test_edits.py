from dataclasses import replace

import numpy as np
import pytest

from percept.data.scenes import SPLITS, scene
from percept.data.scenes.edits import ATTRIBUTES, Edited, differences, edit
from percept.data.scenes.splits import held_out_colour, held_out_pose
from percept.data.scenes.vocabulary import BACKGROUNDS, noun_id


@pytest.fixture(scope="module")
def scenes():
    made = [scene(index) for index in SPLITS["tune"][:160]]
    return [each for each in made if each.action is None and each.named]


def same(one):
    return Edited(one, tuple(range(len(one.things))))


def changed(one, **thing):
    return same(replace(one, things=(replace(one.things[0], **thing), *one.things[1:])))


def test_a_scene_and_itself_do_not_differ(scenes):
    assert all(np.array_equal(differences(each, same(each)), np.zeros(6)) for each in scenes[:10])


def single(scenes, **traits):
    return next(each for each in scenes if len(each.things) == 1 and all(each.things[0].kind.has(t) for t in traits))


def test_each_attribute_answers_to_its_own_change(scenes):
    one = next(each for each in scenes if len(each.things) == 1 and each.things[0].kind.has("c"))
    thing = one.things[0]
    others = {
        "category": changed(one, noun=noun_id("hammer") if thing.kind.category != "tool" else noun_id("dog")),
        "colour": changed(one, colour="green" if thing.colour != "green" else "red"),
        "layout": changed(one, x=thing.x + 0.1),
        "pose": changed(one, facing=-thing.facing),
        "background": same(replace(one, background=next(b for b in BACKGROUNDS if b != one.background))),
        "number": Edited(replace(one, things=(thing, replace(thing, x=0.2))), (0,)),
    }
    for name, twin in others.items():
        values = dict(zip(ATTRIBUTES, differences(one, twin), strict=True))
        assert values[name] > 0.05, name
        unchanged = set(ATTRIBUTES) - {name, "colour" if name == "category" else name}
        assert max(values[other] for other in unchanged) < 1e-9, (name, values)


def test_values_that_can_be_worked_out_by_hand(scenes):
    one = next(each for each in scenes if len(each.things) == 1)
    thing = one.things[0]
    read = lambda twin, name: differences(one, twin)[ATTRIBUTES.index(name)]  # noqa: E731
    assert read(changed(one, x=thing.x + 0.175), "layout") == pytest.approx(0.25)  # half of half a span
    bigger = changed(one, length=thing.length * 2, y=thing.y + thing.length / 2)
    assert read(bigger, "layout") == pytest.approx(0.5)  # same centre, twice as large
    assert read(changed(one, facing=-thing.facing), "pose") == 0.5
    assert read(Edited(replace(one, things=(thing, thing, thing)), (0,)), "number") == pytest.approx(2 / 3)
    assert read(Edited(replace(one, things=(thing,)), (None,)), "number") == 2.0  # one gone, another come


def test_edits_are_a_function_of_the_generator_and_change_the_scene(scenes):
    for each in scenes[:30]:
        first, again = edit(each, np.random.default_rng(4)), edit(each, np.random.default_rng(4))
        assert first == again
        assert len(first.match) == len(each.things)
    twins = [edit(each, np.random.default_rng(5)) for each in scenes]
    assert np.mean([twin.scene != each for twin, each in zip(twins, scenes, strict=True)]) > 0.9
    assert np.mean([differences(each, twin)[0] == 0 for twin, each in zip(twins, scenes, strict=True)]) > 0.7


def test_edits_never_show_what_is_held_out_for_the_test_sets(scenes):
    rng = np.random.default_rng(0)
    for each in scenes:
        for _ in range(4):
            twin = edit(each, rng).scene
            assert not twin.background.held_out
            for thing in twin.things:
                assert not (thing.colour and held_out_colour(thing.noun, thing.colour))
                if thing.kind.has("a") and thing.variant:
                    assert not held_out_pose(thing.noun, thing.variant)


def test_something_stays_in_sight(scenes):
    rng = np.random.default_rng(1)
    assert all(edit(each, rng).scene.named for each in scenes)


def test_a_removed_thing_is_matched_with_nothing(scenes):
    rng = np.random.default_rng(2)
    twins = [(each, edit(each, rng)) for each in scenes * 3]
    removed = [(each, twin) for each, twin in twins if None in twin.match]
    assert removed
    for each, twin in removed:
        assert len([new for new in twin.match if new is not None]) < len(each.things)
        kept = [new for new in twin.match if new is not None]
        assert kept == sorted(set(kept))
        assert max(kept, default=0) < len(twin.scene.things)


def test_scenes_with_an_action_are_refused():
    acting = next(made for made in map(scene, SPLITS["tune"]) if made.action)
    with pytest.raises(ValueError, match="shows an action"):
        edit(acting, np.random.default_rng(0))

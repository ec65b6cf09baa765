"""Twins about who does what to whom: subject, verb, object, action replacement, actant swap."""

from __future__ import annotations

from dataclasses import replace

from percept.data.scene_probes.twins import Grammar, Twin, bystanders, distinct, draw_key, on_ground, recast, settle
from percept.data.scenes.layout import Dice, _individual, _pose, _triple, poses_for, targets_for
from percept.data.scenes.splits import actors, held_out_triple
from percept.data.scenes.vocabulary import INTERACTIONS, PERSON_ACTIVITIES, noun_id
from percept.data.scenes.world import Scene, Thing

# Who chases, pushes or carries something turns to it too, so "faces" is no foil of these.
_FACING = {"face", "chase", "push", "carry"}


def short_action(grammar: Grammar) -> str:
    """Say "a dog chases a cat"."""
    return grammar.action(*_roles(grammar))[0]


def long_action(grammar: Grammar) -> str:
    """Say "a dog is chasing a cat on the grass"."""
    return grammar.action(*_roles(grammar))[1]


def doing(grammar: Grammar) -> str:
    """Say "the dog is running", said of the first thing."""
    return grammar.property(0)[0]


def _roles(grammar: Grammar) -> tuple[int, str, int]:
    if grammar.scene.action is None:
        raise ValueError(f"scene {grammar.scene.index} shows no action")
    return grammar.scene.action


def _cast(dice: Dice, turn: int) -> tuple[str, int, int]:
    """Verb, subject and object as the world draws them, one verb after the other."""
    wanted = tuple(INTERACTIONS)[turn % len(INTERACTIONS)]
    while True:
        verb, doer, goal = _triple(dice, novel=False)
        if verb == wanted:
            return verb, doer, goal


def role_pair(dice: Dice, base: Scene, subject: int, target: int) -> list[Thing]:
    """Two individuals at one depth, looking the same way, to be posed."""
    key = draw_key(dice)
    first, second = (on_ground(base, _individual(dice, noun, posed=False), key) for noun in (subject, target))
    # The world leaves the x of what is stood on or jumped over as it finds it: there the two are apart, here not.
    return [replace(first, x=0.0), replace(second, x=0.0, facing=first.facing)]


def _acted(
    dice: Dice, base: Scene, first: tuple[str, list[Thing]], second: tuple[str, list[Thing]]
) -> tuple[Scene, Scene] | None:
    """Both scenes: a verb and its (subject, object) each, in the same company."""
    key = draw_key(dice)
    company = [[thing] for thing in bystanders(dice, base, [*first[1], *second[1]])]
    posed = [[_pose(Dice(key, 0), verb, pair), *company] for verb, pair in (first, second)]
    scenes = settle(dice, base, posed[0], posed[1], (first[0], second[0]))
    return scenes if scenes and not any(_parted(scene.things) for scene in scenes) else None


def _parted(things: tuple[Thing, ...]) -> bool:
    """Whether another thing stands between the first two, and might be the one that is chased."""
    low, high = sorted(thing.x for thing in things[:2])
    return any(low < thing.x < high for thing in things[2:])


def _other(dice: Dice, options: list[int], apart: list[Thing]) -> Thing | None:
    """The first thing with another noun, one that no other thing could be taken for."""
    thing = recast(apart[0], dice.choice(options)) if options else None
    return thing if thing and distinct([thing, *apart]) else None


def subject(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """Ask "a dog chases a cat" or "a horse chases a cat"."""
    verb, doer, target = _cast(dice, turn)
    pair = role_pair(dice, base, doer, target)
    options = [n for n in actors() if n not in (doer, target) and not held_out_triple(n, verb, target)]
    other = _other(dice, options, pair)
    if other is None or not distinct(pair):
        return None
    scenes = _acted(dice, base, (verb, pair), (verb, [other, pair[1]]))
    return Twin(scenes, (short_action,) * 2, (verb,) * 2) if scenes else None


def target(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """Ask "a dog chases a cat" or "a dog chases a horse"."""
    verb, doer, goal = _cast(dice, turn)
    pair = role_pair(dice, base, doer, goal)
    options = [n for n in targets_for(verb) if n not in (doer, goal) and not held_out_triple(doer, verb, n)]
    other = _other(dice, options, pair[::-1])
    if other is None or not distinct(pair):
        return None
    scenes = _acted(dice, base, (verb, pair), (verb, [pair[0], other]))
    return Twin(scenes, (short_action,) * 2, (verb,) * 2) if scenes else None


def verb(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """Ask "a dog chases a cat" or "a dog pulls a cat"."""
    act, doer, goal = _cast(dice, turn)
    options = [
        other
        for other in INTERACTIONS
        if other != act
        and goal in targets_for(other)
        and not held_out_triple(doer, other, goal)
        and not ("face" in (act, other) and {act, other} <= _FACING)
    ]
    pair = role_pair(dice, base, doer, goal)
    if not options or not distinct(pair):
        return None
    other = dice.choice(options)
    scenes = _acted(dice, base, (act, pair), (other, pair))
    return Twin(scenes, (short_action,) * 2, (act, other)) if scenes else None


def role_swap(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """Ask "a dog is chasing a cat on the grass" or "a cat is chasing a dog on the grass"."""
    act = [verb for verb in INTERACTIONS if verb != "carry"][turn % 6]
    doer, goal = dice.choice(actors()), dice.choice(actors())
    if doer == goal or held_out_triple(doer, act, goal) or held_out_triple(goal, act, doer):
        return None
    pair = role_pair(dice, base, doer, goal)
    scenes = _acted(dice, base, (act, pair), (act, pair[::-1]))
    return Twin(scenes, (long_action,) * 2, (act,) * 2) if scenes else None


def activity(dice: Dice, base: Scene, turn: int) -> Twin | None:
    """Ask "the person is walking" or "the person is dancing"; every other twin is of an animal and its poses."""
    noun = noun_id("person") if turn % 2 else dice.choice(actors())
    options = [act.key for act in PERSON_ACTIVITIES] if turn % 2 else list(poses_for(noun, novel=False))
    if len(options) < 2:
        return None
    first = dice.choice(options)
    second = dice.choice([option for option in options if option != first])
    key, plain = draw_key(dice), replace(_individual(dice, noun, posed=False), colour="")
    both = [on_ground(base, replace(plain, variant=variant), key) for variant in (first, second)]
    company = [[thing] for thing in bystanders(dice, base, both)]
    scenes = settle(dice, base, [[both[0]], *company], [[both[1]], *company])
    agent = "person" if turn % 2 else "animal"
    return Twin(scenes, (doing,) * 2, (agent,) * 2) if scenes else None

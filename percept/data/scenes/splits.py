"""The one split table of the workbook, and the combinations that appear only in test.

Every notebook, study and test takes its scenes from these index ranges; nothing is ever trained on a test index.
"""

from percept.data.scenes.vocabulary import BACKGROUNDS, COLOURS, Background, nouns

SPLITS: dict[str, range] = {
    "pretrain": range(0, 1_000_000),
    "tune": range(1_000_000, 1_200_000),
    "validate": range(1_200_000, 1_250_000),
    "test": range(1_250_000, 1_350_000),
    "test_combinations": range(1_350_000, 1_450_000),
    "test_backgrounds": range(1_450_000, 1_550_000),
}

_COLOUR_ID = {name: position for position, name in enumerate(COLOURS)}
_VERBS = ("chase", "face", "push", "pull", "carry", "stand on", "jump over")
_POSES = ("run", "jump", "sleep")


def split_of(index: int) -> str:
    """Name of the split that holds a scene index.

    Raises:
        IndexError: if no split holds it.
    """
    for name, indices in SPLITS.items():
        if index in indices:
            return name
    raise IndexError(f"scene index {index} is outside every split (0 to {SPLITS['test_backgrounds'].stop - 1})")


def held_out_colour(noun: int, colour: str) -> bool:
    """Whether this noun in this colour appears only in ``test_combinations`` (one pair in ten, fixed)."""
    return (noun + 3 * _COLOUR_ID[colour]) % 10 == 7


def held_out_pose(noun: int, pose: str) -> bool:
    """Whether this animal in this pose appears only in ``test_combinations`` (one pair in five, fixed)."""
    return (2 * noun + _POSES.index(pose)) % 5 == 0


def held_out_triple(subject: int, verb: str, target: int) -> bool:
    """Whether this subject-verb-object triple appears only in ``test_combinations`` (one in seven, fixed).

    The rule is not symmetric: a triple may be held out while the one with the roles swapped is trained on.
    """
    return (5 * subject + 2 * _VERBS.index(verb) + 3 * target) % 7 == 0


def backgrounds_of(split: str) -> tuple[Background, ...]:
    """Backgrounds that scenes of a split are placed in."""
    held_out = split == "test_backgrounds"
    return tuple(background for background in BACKGROUNDS if background.held_out == held_out)


def actors() -> tuple[int, ...]:
    """Class ids of the nouns that can act on others."""
    return tuple(position for position, noun in enumerate(nouns()) if noun.has("a"))

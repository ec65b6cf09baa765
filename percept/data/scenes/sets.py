"""Sets of scenes that several notebooks use: image-text pairs to train on, single objects to classify."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from percept.data.scenes.layout import Dice, number_of_things, scene
from percept.data.scenes.render import picture, render
from percept.data.scenes.splits import SPLITS
from percept.data.scenes.vocabulary import nouns
from percept.data.scenes.world import CANONICAL, Scene, zoom

LANGUAGES = ("en", "ja")


_WINDOWS, _CHOICES = 1 << 40, 1 << 41  # seeds of the draws about close-ups, apart from the worlds' own


def close_up(made: Scene, widest: float = 2.2) -> Scene:
    """A window of the scene around one of its named things; a pure function of the scene.

    Photographs have a subject; scenes show small things from afar, and a model that sees only those learns to name
    them many times more slowly.

    Args:
        made: the scene; one in which nothing is named is returned as it is.
        widest: the window is 1.1 to this many times as large as the thing.
    """
    if not made.named:
        return made
    dice = Dice(made.seed + _WINDOWS, made.index)
    left, top, right, bottom = (edge / CANONICAL for edge in made.visibility[dice.choice(made.named)][1])
    side = min(max(right - left, bottom - top) * dice.between(1.1, widest), 1.0)
    return zoom(made, dice.between(right - side, left), dice.between(bottom - side, top), side)


class ScenePairs:
    """Scenes and their captions as a source of image-text pairs; each scene is rendered once and kept.

    Args:
        indices: positions in the split table.
        seed: world seed.
        size: side in px.
        languages: languages of the captions; one is drawn for each pair.
        japanese: share of Japanese captions where both languages are asked for.
        close_ups: share of the scenes that are shown as a close-up instead.
        widest: see ``close_up``.
    """

    def __init__(
        self,
        indices: Sequence[int],
        *,
        seed: int = 0,
        size: int = CANONICAL,
        languages: Sequence[str] = LANGUAGES,
        japanese: float = 0.45,
        close_ups: float = 0.0,
        widest: float = 2.2,
    ) -> None:
        self.indices, self.seed, self.size = list(indices), seed, size
        self.languages = tuple(languages)
        self.japanese = japanese if len(self.languages) == 2 else float(self.languages == ("ja",))
        self.close_ups, self.widest = close_ups, widest
        self._pictures = np.empty((len(self.indices), size, size, 3), np.uint8)
        self._captions: list[dict[str, list[str]] | None] = [None] * len(self.indices)

    @property
    def identity(self) -> str:
        """What a resumed training must find unchanged."""
        ends = f"{self.indices[0]}-{self.indices[-1]}" if self.indices else "none"
        settings = f"{self.size} px, {'+'.join(self.languages)} {self.japanese}, close {self.close_ups} {self.widest}"
        return f"scenes {len(self.indices)} {ends}, seed {self.seed}, {settings}"

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, indices: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
        """Images uint8 ``[B, S, S, 3]`` and one caption each; language and caption are drawn from ``rng``."""
        draws = rng.random((len(indices), 2))
        texts = []
        for row, (language_draw, draw) in zip(indices.tolist(), draws, strict=True):
            options = self._remember(row)["ja" if language_draw < self.japanese else "en"]
            texts.append(options[int(draw * len(options))])
        return self._pictures[indices], texts

    def _remember(self, row: int) -> dict[str, list[str]]:
        known = self._captions[row]
        if known is None:
            made = scene(self.indices[row], self.seed)
            if Dice(self.seed + _CHOICES, made.index).unit() < self.close_ups:
                made = close_up(made, self.widest)
            self._pictures[row] = picture(made, self.size)
            known = {language: made.captions(language) for language in self.languages}
            self._captions[row] = known
        return known


class SingleObjects(NamedTuple):
    """Scenes with exactly one thing, to be classified.

    Attributes:
        indices: int64 ``[N]``, positions in the split table.
        labels: int64 ``[N]``, class ids, positions in ``nouns()``.
    """

    indices: np.ndarray
    labels: np.ndarray

    def pictures(self, size: int = CANONICAL, style: str = "color", workers: int = 1) -> np.ndarray:
        """Render them: uint8 ``[N, size, size, 3]``."""
        return render(self.indices, size=size, style=style, workers=workers)

    def close_ups(self, size: int = CANONICAL, widest: float = 2.2) -> np.ndarray:
        """Render a close-up of each (see ``close_up``): uint8 ``[N, size, size, 3]``."""
        return np.stack([picture(close_up(scene(int(index)), widest), size) for index in self.indices])


def single_objects(
    split: str, per_noun: int, *, classes: Sequence[int] | None = None, offset: int = 0, scan: int = 40_000
) -> SingleObjects:
    """The first ``per_noun`` scenes of each noun that show this one thing, large enough to be named, and nothing else.

    Args:
        split: name in ``SPLITS``.
        per_noun: scenes per class; a class has fewer where the split holds fewer (held-out combinations leave out
            nouns without colours and poses).
        classes: class ids to take; all unless given. Labels stay positions in ``nouns()``.
        offset: indices of the split to skip; other offsets give disjoint sets if they differ by ``scan`` or more.
        scan: indices looked at, at most.

    Returns:
        Ordered by index.
    """
    left = [per_noun if classes is None or noun in classes else 0 for noun in range(len(nouns()))]
    found: list[tuple[int, int]] = []
    for index in SPLITS[split][offset : offset + scan]:
        if number_of_things(index) != 1:
            continue
        candidate = scene(index)
        noun = candidate.things[0].noun
        if left[noun] and candidate.named:
            left[noun] -= 1
            found.append((index, noun))
            if not any(left):
                break
    table = np.array(found, np.int64).reshape(-1, 2)
    return SingleObjects(table[:, 0], table[:, 1])

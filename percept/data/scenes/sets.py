"""Sets of scenes that several notebooks use: image-text pairs to train on, single objects to classify."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from percept.data.scenes.layout import number_of_things, scene
from percept.data.scenes.render import picture, render
from percept.data.scenes.splits import SPLITS
from percept.data.scenes.vocabulary import nouns
from percept.data.scenes.world import CANONICAL

LANGUAGES = ("en", "ja")


class ScenePairs:
    """Scenes and their captions as a source of image-text pairs; each scene is rendered once and kept.

    Args:
        indices: positions in the split table.
        seed: world seed.
        size: side in px.
        languages: languages of the captions; one is drawn for each pair.
        japanese: share of Japanese captions where both languages are asked for.
    """

    def __init__(
        self,
        indices: Sequence[int],
        *,
        seed: int = 0,
        size: int = CANONICAL,
        languages: Sequence[str] = LANGUAGES,
        japanese: float = 0.45,
    ) -> None:
        self.indices, self.seed, self.size = list(indices), seed, size
        self.languages = tuple(languages)
        self.japanese = japanese if len(self.languages) == 2 else float(self.languages == ("ja",))
        self._pictures = np.empty((len(self.indices), size, size, 3), np.uint8)
        self._captions: list[dict[str, list[str]] | None] = [None] * len(self.indices)

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


def single_objects(split: str, per_noun: int, *, offset: int = 0, scan: int = 40_000) -> SingleObjects:
    """The first ``per_noun`` scenes of each noun that show this one thing and nothing else, seen well enough to be named.

    Args:
        split: name in ``SPLITS``.
        per_noun: scenes per class; a class has fewer where the split holds fewer (held-out combinations leave out
            nouns without colours and poses).
        offset: indices of the split to skip; other offsets give disjoint sets if they differ by ``scan`` or more.
        scan: indices looked at, at most.

    Returns:
        Ordered by index.
    """
    left = [per_noun] * len(nouns())
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

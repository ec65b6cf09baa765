"""Pictures with regions: boxes with a label or a description, beside the captions of the whole picture.

A source has `caption_rows` and `region_rows` (positions of pictures with either), `captions(rows, rng)`,
`false_captions(rows, texts, rng)` and `regions(rows, kind, per_picture, rng)`. Every choice is drawn from the generator
handed in. `SceneRegions` is made from scenes, `percept.data.region_files` reads a user's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from percept.data.hard_captions import false_caption
from percept.data.scenes.captions import _English as grammar
from percept.data.scenes.layout import scene
from percept.data.scenes.render import picture
from percept.data.scenes.vocabulary import INTERACTIONS, SPATIAL
from percept.data.scenes.world import CANONICAL, Scene

KINDS = ("labels", "descriptions")
_ANNOTATED = 5  # seed of the order in which pictures are annotated


class RegionsError(ValueError):
    """Regions that cannot be used; names the file and record where there is one."""


Box = tuple[float, float, float, float]


class Phrase(NamedTuple):
    """A description and the box it speaks of: centre x, centre y, width, height as shares of the picture."""

    text: str
    box: Box


class Region(NamedTuple):
    """A thing in a picture: its box as in `Phrase`, a label, and descriptions with boxes of their own."""

    box: Box
    label: str
    phrases: tuple[Phrase, ...]


class Regions(NamedTuple):
    """Regions of some pictures.

    Attributes:
        pictures: uint8 [B, H, W, 3], or B RGB images.
        owner: int64 [R], the picture of each region.
        boxes: float32 [R, 4], centre x, centre y, width, height as shares of the picture.
        texts: R labels or descriptions.
    """

    pictures: Any
    owner: np.ndarray
    boxes: np.ndarray
    texts: list[str]


class SceneRegions:
    """Scenes as a source; each is rendered once and kept. Captions are English.

    Args:
        indices: positions in the split table, of "pretrain" for what is trained on.
        seed: world seed.
        size: side in px.
        share: of the pictures, chosen once and for all so that a larger share holds a smaller one, that have regions.
        given: further regions by row, such as those a model found itself (`percept.training.localise.pseudo_regions`);
            they take the place of a picture's own.

    Raises:
        RegionsError: No indices, a share outside (0, 1], or rows that do not exist.
    """

    def __init__(
        self, indices: Sequence[int], *, seed: int = 0, size: int = CANONICAL, share: float = 1.0,
        given: Mapping[int, Sequence[Region]] | None = None,
    ) -> None:  # fmt: skip
        self.indices, self.seed, self.size, self.share = list(indices), seed, size, share
        self.given = {row: tuple(found) for row, found in (given or {}).items()}
        if not self.indices or not 0 < share <= 1:
            raise RegionsError(f"need scene indices and a share of them in (0, 1], got {len(self.indices)} and {share}")
        if outside := [row for row in self.given if not 0 <= row < len(self.indices)]:
            raise RegionsError(f"given has row {outside[0]}, rows are 0..{len(self.indices) - 1}")
        self.caption_rows = np.arange(len(self.indices))
        order = np.random.default_rng(_ANNOTATED).permutation(len(self.indices))
        own = order[: max(1, round(share * len(self.indices)))]
        extra = [row for row, found in self.given.items() if found]
        self.region_rows = np.union1d(own, np.array(extra, np.int64))
        self._pictures = np.empty((len(self.indices), size, size, 3), np.uint8)
        self._scenes: list[Scene | None] = [None] * len(self.indices)
        self._captions: list[list[str]] = [[]] * len(self.indices)
        self._regions: list[tuple[Region, ...]] = [()] * len(self.indices)

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def identity(self) -> str:
        """What a resumed training must find unchanged."""
        ends = f"{len(self.indices)} {self.indices[0]}-{self.indices[-1]}"
        return (
            f"scene regions {ends}, seed {self.seed}, {self.size} px, share {self.share}, given {_digest(self.given)}"
        )

    def with_regions(self, given: Mapping[int, Sequence[Region]]) -> SceneRegions:
        """The same source, rendered scenes shared, with `given` regions in the place of, or beside, its own."""
        other = SceneRegions(self.indices, seed=self.seed, size=self.size, share=self.share, given=given)
        other._pictures, other._scenes = self._pictures, self._scenes
        other._captions, other._regions = self._captions, self._regions
        return other

    def pictures(self, rows: np.ndarray) -> np.ndarray:
        """uint8 [B, size, size, 3]."""
        for row in rows.tolist():
            self._remember(row)
        return self._pictures[rows]

    def captions(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
        """Pictures uint8 [B, size, size, 3] and one of the captions of each."""
        pictures, draws = self.pictures(rows), rng.random(len(rows))
        options = [self._captions[row] for row in rows.tolist()]
        return pictures, [each[int(draw * len(each))] for each, draw in zip(options, draws, strict=True)]

    def false_captions(self, rows: np.ndarray, texts: Sequence[str], rng: np.random.Generator) -> list[str | None]:
        """A false version of each caption, or None where no edit applies (`percept.data.hard_captions`)."""
        self.pictures(rows)
        scenes = [self._scenes[row] for row in rows.tolist()]
        return [false_caption(made, text, rng) for made, text in zip(scenes, texts, strict=True) if made is not None]

    def regions(self, rows: np.ndarray, kind: str, per_picture: int, rng: np.random.Generator) -> Regions:
        """Up to `per_picture` regions of each picture; one in which nothing can be named has none.

        Args:
            rows: of `region_rows`.
            kind: "labels" or "descriptions".
            per_picture: at most.
            rng: source of chance.
        """
        pictures = self.pictures(rows)
        return draw_regions(pictures, [self.regions_of(row) for row in rows.tolist()], kind, per_picture, rng)

    def regions_of(self, row: int) -> tuple[Region, ...]:
        """All regions of a picture: given ones, else its own."""
        self._remember(row)
        return self.given.get(row, self._regions[row])

    def said(self, row: int, kind: str) -> list[str]:
        """What the captions of a picture name one by one: ["dog"], or for descriptions ["a running dog"].

        This is what can be looked for in a picture that has captions but no regions; numbers of things are left out.
        """
        self._remember(row)
        lines = self._captions[row]
        framed = [line.removeprefix("a picture of ") for line in lines if line.startswith("a picture of ")]
        listing = lines[:1] if kind == "labels" else framed
        parts = [part for line in listing for piece in line.split(", ") for part in piece.split(" and ")]
        single = [part for part in parts if part.startswith(("a ", "an ")) and not part.startswith("a view of ")]
        return [part.partition(" ")[2] for part in single] if kind == "labels" else single

    def _remember(self, row: int) -> None:
        if self._scenes[row] is None:
            made = scene(self.indices[row], self.seed)
            self._pictures[row] = picture(made, self.size)
            self._captions[row] = made.captions("en")
            self._regions[row] = scene_regions(made)
            self._scenes[row] = made


def scene_regions(made: Scene) -> tuple[Region, ...]:
    """The named things of a scene as regions: the box of what is seen, the noun, and phrases that are true of it.

    Descriptions are the noun phrase with its colour or activity ("a red car"), and that phrase with each relation or
    act of the thing ("a red car to the left of a dog", "a dog chasing a cat"), whose box holds both things, as boxes of
    people's descriptions do. One may fit elsewhere in the picture too. The grammar has no words for size.

    Example:
        >>> [phrase.text for phrase in scene_regions(scene(0))[1].phrases]
        ['a giraffe', 'a giraffe behind a clock']
    """
    english, corners = grammar(made), {position: made.visibility[position][1] for position in made.named}
    found = []
    for position in made.named:
        thing, own = made.things[position], _box(corners[position])
        phrases = [Phrase(english.one(thing, True), own)]
        for subject, relation, target in made.relations:
            if subject == position:
                words = INTERACTIONS[relation][1] if relation in INTERACTIONS else SPATIAL[relation][0]
                text = f"{phrases[0].text} {words} {english.one(made.things[target], False)}"
                phrases.append(Phrase(text, _box(corners[position], corners[target])))
        found.append(Region(own, thing.kind.en.partition(" ")[2], tuple(phrases)))
    return tuple(found)


def draw_regions(
    pictures: Any, regions: Sequence[Sequence[Region]], kind: str, per_picture: int, rng: np.random.Generator
) -> Regions:
    """Draw up to `per_picture` regions of each picture, and of each its label or one of its descriptions.

    Raises:
        RegionsError: An unknown kind.
    """
    if kind not in KINDS:
        raise RegionsError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    owner, drawn = [], []
    for index, options in enumerate(regions):
        for choice in rng.permutation(len(options))[:per_picture]:
            box, label, phrases = options[choice]
            phrase = phrases[int(rng.integers(len(phrases)))]
            owner.append(index)
            drawn.append(Phrase(label, box) if kind == "labels" else phrase)
    boxes = np.array([phrase.box for phrase in drawn], np.float32).reshape(-1, 4)
    return Regions(pictures, np.array(owner, np.int64), boxes, [phrase.text for phrase in drawn])


def _box(*corners: tuple[int, int, int, int]) -> Box:
    """The box around (left, top, right, bottom) px at the canonical size."""
    edges = np.array(corners) / CANONICAL
    (left, top), (right, bottom) = edges[:, :2].min(0).tolist(), edges[:, 2:].max(0).tolist()
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


def _digest(given: Mapping[int, Sequence[Region]]) -> str:
    return hashlib.sha256(repr(sorted(given.items())).encode()).hexdigest()[:12] if given else "none"

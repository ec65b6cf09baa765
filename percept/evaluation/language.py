"""What a model with a text tower makes of scenes: zero-shot naming under shifts, and search by sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from percept.data import scenes
from percept.data.scenes.sets import single_objects
from percept.evaluation import retrieval, shifts, zero_shot

if TYPE_CHECKING:
    import pandas as pd

TITLES = {"en": "English prompts", "ja": "Japanese prompts"}
SAME_SCENES = ("outlines only", "another artist", "grayscale", "blur")
ImageSets = dict[str, tuple[np.ndarray, np.ndarray]]


class LanguageEncoder(zero_shot.TextEncoder, Protocol):
    """Pictures and sentences to rows of one space (`percept.models.encoders.Encoder` is one)."""

    def encode_images(self, images: Any, /) -> Any:
        """Unit rows ``[N, D]``."""
        ...


def scene_weights(encoder: zero_shot.TextEncoder) -> dict[str, np.ndarray]:
    """Zero-shot classifier over all nouns for each language: ``[C, D]``, ensemble of all templates."""
    return {
        language: zero_shot.class_weights(encoder, scenes.noun_phrases(language), templates)
        for language, templates in scenes.TEMPLATES.items()
    }


def scene_sets(per_noun: int, block: int = 0) -> ImageSets:
    """Single-object test scenes as they were trained on, and shifted.

    Args:
        per_noun: scenes per class.
        block: 0 to 4; another block takes other scenes.

    Returns:
        Name -> (uint8 ``[N, 64, 64, 3]``, class ids ``[N]``): seen drawings; unseen backgrounds; unseen combinations,
        with the seen ones of the same nouns as their reference; and the scenes of the first set again as outlines
        alone, in another artist's drawings, gray, and blurred (`SAME_SCENES`).
    """
    splits = {
        "seen drawings": "test",
        "unseen combinations": "test_combinations",
        "unseen backgrounds": "test_backgrounds",
    }
    chosen = {
        name: single_objects(split, per_noun, offset=18_000 * block, scan=18_000) for name, split in splits.items()
    }
    test = chosen["seen drawings"]
    clean, labels = test.pictures(), test.labels
    # Only nouns with colours and poses have unseen combinations: the fair reference has no others.
    same = np.isin(labels, chosen["unseen combinations"].labels)
    return {
        "seen drawings": (clean, labels),
        "unseen backgrounds": (chosen["unseen backgrounds"].pictures(), chosen["unseen backgrounds"].labels),
        "seen combinations, same nouns": (clean[same], labels[same]),
        "unseen combinations": (chosen["unseen combinations"].pictures(), chosen["unseen combinations"].labels),
        "outlines only": (test.pictures(style="line"), labels),
        "another artist": (test.pictures(style="twemoji"), labels),
        "grayscale": (scenes.grayscale(clean), labels),
        "blur": (shifts.blur(clean), labels),
    }


def naming(encoder: LanguageEncoder, image_sets: ImageSets) -> dict[str, pd.DataFrame]:
    """Zero-shot accuracy on each set, for English and Japanese prompts; see `accuracy_by_shift` for the columns."""
    weights = scene_weights(encoder)
    rows = {name: encoder.encode_images(pixels) for name, (pixels, _) in image_sets.items()}

    def table(matrix: np.ndarray) -> pd.DataFrame:
        return shifts.accuracy_by_shift(
            lambda embedded, labels: zero_shot.zero_shot_accuracy(embedded, matrix, labels)["correct"],
            {name: (rows[name], labels) for name, (_, labels) in image_sets.items()},
            paired=[name for name in image_sets if name in SAME_SCENES],
        )

    return {TITLES[language]: table(matrix) for language, matrix in weights.items()}


class Search(NamedTuple):
    """Scenes searched by the sentences that describe them.

    Attributes:
        sentences: one per scene.
        ranks: int ``[N]``, place of each sentence's scene; scenes with the very same sentence count as right.
        best: int ``[N, 10]``, scenes in the order of similarity to each sentence.
        chance: recall at 1 of a random order.
    """

    sentences: list[str]
    ranks: np.ndarray
    best: np.ndarray
    chance: float

    def right(self, queries: Sequence[int], first: int) -> np.ndarray:
        """Whether each of the ``first`` scenes found for some sentences has that sentence: bool ``[Q, first]``."""
        return np.array([[self.sentences[j] == self.sentences[i] for j in self.best[i, :first]] for i in queries])


def search(encoder: LanguageEncoder, indices: Sequence[int], pictures: np.ndarray, language: str = "en") -> Search:
    """Search scenes by a full sentence: what is there, with colours, activities and place.

    Args:
        encoder: embeds pictures and sentences.
        indices: positions in the split table.
        pictures: the same scenes, uint8 ``[N, 64, 64, 3]``.
        language: "en" or "ja".
    """
    sentences = [_sentence(scenes.captions(scenes.scene(index), language)) for index in indices]
    images, texts = np.asarray(encoder.encode_images(pictures)), np.asarray(encoder.encode_texts(sentences))
    found: Mapping[str, Any] = retrieval.image_text_retrieval(images, texts, np.arange(len(sentences)), texts=sentences)
    best = np.argsort(-(texts @ images.T), axis=1)[:, :10]
    return Search(sentences, found["image_retrieval_ranks"], best, found["image_retrieval_chance@1"])


def _sentence(options: list[str]) -> str:
    """The longest of the plain listings that open a scene's captions: with detail and place, where it has them."""
    framed = ("a picture of", "の絵")
    return max((text for text in options[:3] if not (text.startswith(framed) or text.endswith(framed))), key=len)

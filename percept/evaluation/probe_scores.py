"""Scores of pairs of a picture and a sentence: what a scorer is, the cosine of an encoder, each pair computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from percept.data.opening import open_image
from percept.data.probe_set import ProbeSet
from percept.evaluation.arrays import to_numpy

if TYPE_CHECKING:
    from percept.models.cache import EmbeddingCache
    from percept.models.encoders import Encoder


class Scorer(Protocol):
    """What is evaluated. Larger means a better match.

    A scorer may also have `pairs(images, texts, picture, sentence) -> [M]`, the scores of pictures[m] and
    sentences[m] alone (int [M] rows of images and texts); it is used instead of `score` where it exists. One whose
    scores are probabilities of a match says so with `probability = True`.
    """

    def score(self, images: Any, texts: list[str], /) -> Any:
        """Scores [A, B] of every picture (uint8 [A, H, W, 3], or a list of PIL images) against every sentence."""
        ...


class CosineScorer:
    """Cosine of picture and sentence in float32: it ranks, and is no probability.

    Pictures may also be files. `percept.evaluation.probe_calibration` makes probabilities of cosines.

    Args:
        encoder: with a text tower.
        cache: keeps the rows of pictures on disk from one evaluation to the next.

    Sentences are encoded once and remembered as long as the scorer lives.
    """

    def __init__(self, encoder: Encoder, cache: EmbeddingCache | None = None) -> None:
        self.encoder, self.cache = encoder, cache
        self._rows: dict[str, np.ndarray] = {}

    def score(self, images: Any, texts: Sequence[str]) -> np.ndarray:
        """Cosines float32 [A, B] of A pictures and B sentences."""
        return np.asarray(self._pictures(images) @ self._sentences(texts).T)

    def pairs(self, images: Any, texts: Sequence[str], picture: np.ndarray, sentence: np.ndarray) -> np.ndarray:
        """Cosines float32 [M] of the given rows of images and texts."""
        return np.einsum("md,md->m", self._pictures(images)[picture], self._sentences(texts)[sentence])

    def _pictures(self, images: Any) -> np.ndarray:
        images = _opened(images)
        if self.cache is None:
            return to_numpy(self.encoder.encode_images(images))
        return to_numpy(self.cache.encode(self.encoder, images))

    def _sentences(self, texts: Sequence[str]) -> np.ndarray:
        fresh = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if fresh:
            self._rows |= zip(fresh, to_numpy(self.encoder.encode_texts(fresh)), strict=True)
        return np.stack([self._rows[text] for text in texts])


def pair_scores(
    scorer: Scorer, probes: ProbeSet, picture: np.ndarray, sentence: np.ndarray, batch_size: int = 256
) -> np.ndarray:
    """Scores float64 [M] of pairs, each distinct one computed once; the pairs of a picture share a call.

    Args:
        scorer: see `Scorer`.
        probes: whose pictures and sentences are meant.
        picture, sentence: int [M], rows of them.
        batch_size: pairs per call, more where one picture has more of them.

    Raises:
        ValueError: scores of a wrong shape or not finite; a batch size below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    keys, place = np.unique(picture * len(probes.sentences) + sentence, return_inverse=True)
    pictures, sentences = np.divmod(keys, len(probes.sentences))
    values = np.empty(keys.size)
    for part in _batches(pictures, batch_size):
        values[part] = _batch(scorer, probes, pictures[part], sentences[part])
    return values[place]


def _batches(pictures: np.ndarray, size: int) -> Iterator[slice]:
    """Cut sorted pairs where the picture changes, so that no picture is encoded twice."""
    ends = np.append(np.flatnonzero(np.diff(pictures)) + 1, pictures.size)
    start = 0
    while start < pictures.size:
        stop = int(ends[max(ends.searchsorted(start + size, "right") - 1, ends.searchsorted(start, "right"))])
        yield slice(start, stop)
        start = stop


def _batch(scorer: Scorer, probes: ProbeSet, picture: np.ndarray, sentence: np.ndarray) -> np.ndarray:
    used, rows = np.unique(picture, return_inverse=True)
    said, columns = np.unique(sentence, return_inverse=True)
    every = probes.pictures
    images = _opened(every[used] if isinstance(every, np.ndarray) else [every[index] for index in used])
    values = scored_pairs(scorer, images, [probes.sentences[index] for index in said], rows, columns)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        which = f"picture {picture[bad[0]]} and {probes.sentences[sentence[bad[0]]]!r}"
        raise ValueError(f"{probes.name}: the scorer gives {values[bad[0]]} for {which}")
    return values


def scored_pairs(
    scorer: Scorer, images: Any, texts: list[str], picture: np.ndarray, sentence: np.ndarray
) -> np.ndarray:
    """Ask a scorer for pairs, by `pairs` where it has it; float64 [M], checked for shape."""
    if hasattr(scorer, "pairs"):
        values, wanted = to_numpy(scorer.pairs(images, texts, picture, sentence)), picture.shape
    else:
        values, wanted = to_numpy(scorer.score(images, texts)), (len(images), len(texts))
    if values.shape != wanted:
        raise ValueError(f"the scorer must return scores of shape {list(wanted)}, got {list(values.shape)}")
    return (values if values.ndim == 1 else values[picture, sentence]).astype(np.float64)


def _opened(images: Any) -> Any:
    """Pictures with files among them opened; arrays as they are."""
    if not isinstance(images, list | tuple):
        return images
    return [open_image(image) if isinstance(image, str | Path) else image for image in images]

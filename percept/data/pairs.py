"""Sources of image-text pairs for pretraining, all with `len(pairs)` and `pairs.batch(indices, rng)`.

Access is random and every choice is drawn from the generator that is handed in, so that an interrupted
training can go on with exactly the batch it was at. Readers of csv and COCO files are in
`percept.data.pair_files`, of webdataset shards in `percept.data.shards`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image

from percept.data.images import ImageError, open_image

Problem = tuple[str, str]


class PairsError(ValueError):
    """A source of pairs cannot be used; the message names the file and the row."""


class ArrayPairs:
    """Images in memory, with one or more captions each.

    Args:
        images: uint8 `[N, H, W, 3]`.
        captions: N lists of captions; one of a list is drawn each time.

    Raises:
        PairsError: Shapes or counts do not fit, or an image has no caption; the message names the row.

    Example:
        >>> pairs = ArrayPairs(np.zeros((2, 8, 8, 3), np.uint8), [["a cat"], ["a dog", "a puppy"]])
        >>> pairs.batch(np.array([0]), np.random.default_rng(0))[1]
        ['a cat']
    """

    def __init__(self, images: np.ndarray, captions: Sequence[Sequence[str]]) -> None:
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise PairsError(f"images must be uint8 [N, H, W, 3], got {images.dtype} {list(images.shape)}")
        self.images, self.captions = images, _checked_captions(captions, len(images))

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
        """Images uint8 `[B, H, W, 3]` and one caption of each."""
        return self.images[indices], choose(self.captions, indices, rng)


class OpenedPairs:
    """Images that are opened when a batch needs them.

    Args:
        sources: what `opener` takes, one per image.
        captions: a list of captions for each.
        opener: source -> RGB image; raises `ImageError`.
        problems: (where, reason) of what the reader left out.
        threads: images decoded at the same time; Pillow releases Python's lock while it decodes.
    """

    def __init__(
        self, sources: Sequence[Any], captions: Sequence[Sequence[str]],
        opener: Callable[[Any], Image.Image] = open_image, problems: Sequence[Problem] = (), threads: int = 4,
    ) -> None:  # fmt: skip
        self.sources, self.captions = list(sources), _checked_captions(captions, len(sources))
        self.opener, self.problems, self.threads = opener, list(problems), threads

    def __len__(self) -> int:
        return len(self.sources)

    def batch(self, indices: np.ndarray, rng: np.random.Generator) -> tuple[list[Image.Image], list[str]]:
        """B RGB images of any size and one caption of each."""
        captions = choose(self.captions, indices, rng)
        with ThreadPoolExecutor(self.threads) as pool:
            images = list(pool.map(self.opener, [self.sources[int(index)] for index in indices]))
        return images, captions

    def without_bad_images(self, *, strict: bool = False) -> OpenedPairs:
        """Open every image once, so that no bad one ends a training hours later.

        Args:
            strict: raise at the first bad image instead of leaving it out.

        Returns:
            The pairs whose image opens; the others are added to `problems`.

        Raises:
            PairsError: No image is left, or one is bad under `strict`.
        """
        with ThreadPoolExecutor(self.threads) as pool:
            reasons = list(pool.map(self._reason, self.sources))
        bad = [(str(source), reason) for source, reason in zip(self.sources, reasons, strict=True) if reason]
        if bad and strict:
            raise PairsError(f"{bad[0][0]}: {bad[0][1]} ({len(bad)} bad images; strict=False leaves them out)")
        good = [index for index, reason in enumerate(reasons) if not reason]
        if not good:
            raise PairsError(f"no image can be opened; the first is {bad[0][0]}: {bad[0][1]}" if bad else "no images")
        sources, captions = [self.sources[index] for index in good], [self.captions[index] for index in good]
        return OpenedPairs(sources, captions, self.opener, [*self.problems, *bad], self.threads)

    def _reason(self, source: Any) -> str:
        try:
            self.opener(source)
        except ImageError as error:
            return error.reason
        return ""


def templated(labels: Sequence[str], templates: Sequence[str]) -> list[list[str]]:
    """Captions from class names and sentences of one's own vocabulary.

    Args:
        labels: one label per image.
        templates: sentences with `{}` where the label goes.

    Returns:
        One list of captions per label, for any of the sources above.

    Example:
        >>> templated(["scratch"], ["a {} on the cover", "{} seen from above"])
        [['a scratch on the cover', 'scratch seen from above']]
    """
    wrong = [template for template in templates if "{}" not in template]
    if wrong or not templates:
        raise PairsError(f"templates need a {{}} for the label, got {wrong or list(templates)}")
    return [[template.replace("{}", label) for template in templates] for label in labels]


def choose(captions: Sequence[Sequence[str]], indices: np.ndarray, rng: np.random.Generator) -> list[str]:
    """One caption of each row in `indices`, drawn evenly."""
    draws = rng.random(len(indices))
    rows = [captions[int(index)] for index in indices]
    return [options[int(draw * len(options))] for options, draw in zip(rows, draws, strict=True)]


def _checked_captions(captions: Sequence[Sequence[str]], count: int) -> Sequence[Sequence[str]]:
    if len(captions) != count:
        raise PairsError(f"{count} images but {len(captions)} caption lists")
    for row, options in enumerate(captions):
        if isinstance(options, str) or not options or not all(isinstance(text, str) and text for text in options):
            raise PairsError(f"row {row} needs a list of non-empty captions, got {options!r}")
    return captions

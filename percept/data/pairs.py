"""Sources of image-text pairs, all with `len(pairs)` and `pairs.batch(indices, rng)`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class ArrayPairs:
    """Images in memory, with one or more captions each.

    Args:
        images: uint8 `[N, H, W, 3]`.
        captions: N lists of captions; one of a list is drawn each time.

    Raises:
        ValueError: Shapes or counts do not fit, or an image has no caption; the message names the row.
    """

    def __init__(self, images: np.ndarray, captions: Sequence[Sequence[str]]) -> None:
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise ValueError(f"images must be uint8 [N, H, W, 3], got {images.dtype} {images.shape}")
        if len(images) != len(captions):
            raise ValueError(f"{len(images)} images but {len(captions)} caption lists")
        _check_captions(captions)
        self.images, self.captions = images, captions

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
        """Images uint8 `[B, H, W, 3]` and a caption of each."""
        return self.images[indices], choose(self.captions, indices, rng)


def choose(captions: Sequence[Sequence[str]], indices: np.ndarray, rng: np.random.Generator) -> list[str]:
    """One caption of each row in `indices`, drawn evenly."""
    draws = rng.random(len(indices))
    lists = [captions[int(index)] for index in indices]
    return [options[int(draw * len(options))] for options, draw in zip(lists, draws, strict=True)]


def _check_captions(captions: Sequence[Sequence[str]]) -> None:
    for row, options in enumerate(captions):
        if (
            isinstance(options, str)
            or not options
            or not all(isinstance(text, str) and text for text in options)
        ):
            raise ValueError(f"row {row} needs a list of non-empty captions, got {options!r}")

"""What the battery asks of an encoder: vectors, patch maps and, where there is a text tower, embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

from percept.evaluation.arrays import to_numpy

Window = tuple[float, float, float, float]
Kind = Literal["global", "cls_patch", "embedding"]


class Reader:
    """An encoder whose features of one set of pictures are computed once per kind.

    Args:
        encoder: `percept.models.encoders.Encoder`, or anything with its methods.
        cache: folder of an embedding cache or the `EmbeddingCache` itself; None computes anew.
        kind: "global", "cls_patch" or "embedding": what the tasks on whole pictures read.
        batch_size: pictures per forward pass.
    """

    def __init__(self, encoder: Any, cache: Any = None, kind: Kind = "global", batch_size: int = 64) -> None:
        if kind not in get_args(Kind):
            raise ValueError(f"kind must be {', '.join(get_args(Kind))}, got {kind!r}")
        if isinstance(cache, str | Path):
            from percept.models.cache import EmbeddingCache

            cache = EmbeddingCache(cache)
        self.encoder, self.cache, self.kind, self.batch_size = encoder, cache, kind, batch_size
        self._known: dict[tuple[str, int], tuple[Any, np.ndarray]] = {}

    @property
    def reads_text(self) -> bool:
        """Whether the encoder has a text tower."""
        return getattr(self.encoder, "tokenizer", None) is not None

    def vectors(self, images: Any) -> np.ndarray:
        """Features float32 [N, D] of pictures uint8 [N, H, W, 3], of the kind chosen."""
        return self._read(images, self.kind)

    def patches(self, images: Any) -> np.ndarray:
        """Feature maps float32 [N, D, h, w]."""
        return self._read(images, "patch")

    def embeddings(self, images: Any) -> np.ndarray:
        """Unit rows float32 [N, E] in the space shared with text."""
        return self._read(images, "embedding")

    def once(self, images: Any) -> np.ndarray:
        """As `vectors`, without keeping the result in memory."""
        return self._compute(images, self.kind)

    def _read(self, images: Any, kind: str) -> np.ndarray:
        key = kind, id(images)
        if key not in self._known:  # the pictures are kept with the result, so that their id stays theirs
            self._known[key] = images, self._compute(images, kind)
        return self._known[key][1]

    def _compute(self, images: Any, kind: str) -> np.ndarray:
        if self.cache is not None:
            rows = self.cache.encode(self.encoder, images, kind, batch_size=self.batch_size)
        elif kind == "embedding":
            rows = self.encoder.encode_images(images, batch_size=self.batch_size)
        else:
            rows = self.encoder.features(images, kind, batch_size=self.batch_size)
        return np.asarray(to_numpy(rows), np.float32)

    def window(self, size: int = 64) -> Window:
        """Part of a square picture that the encoder sees: left, top, right, bottom, 0..1 (some crop the edges)."""
        preprocess = getattr(self.encoder, "preprocess", None)
        if preprocess is None:
            return 0.0, 0.0, 1.0, 1.0
        ramp = np.arange(size) * (255 / (size - 1))
        wide = np.rint(np.tile(ramp, (size, 1))).astype(np.uint8)
        shown = [
            np.asarray(preprocess.geometry(Image.fromarray(side).convert("RGB"))) for side in (wide, wide.T.copy())
        ]
        (left, right), (top, bottom) = (_extent(shown[axis][..., 0].mean(axis), size) for axis in (0, 1))
        return left, top, right, bottom


def _extent(line: np.ndarray, size: int) -> tuple[float, float]:
    """First and last edge, 0..1, of a ramp 0..255 over ``size`` px after resizing and cropping."""
    places = (line.astype(np.float64) / 255 * (size - 1) + 0.5) / size
    middle = slice(len(places) // 4, len(places) - len(places) // 4)  # the resampling bends the ends
    slope, start = np.polyfit(np.arange(len(places))[middle] + 0.5, places[middle], 1)
    low, high = start, start + slope * len(places)
    return float(np.clip(round(low, 2), 0, 1)), float(np.clip(round(high, 2), 0, 1))

"""Triplets as batches: which judgments a step sees, each picture of them once, its frozen part computed once."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from percept.data.triplets import Triplets
from percept.models.encoders import Encoder

log = logging.getLogger(__name__)
_CHUNK = 128


class AlignError(ValueError):
    """Judgments, encoder or settings with which no alignment can be trained, with the way out."""


def triplet_distances(features: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine distances from each reference to its left and its right, every picture normalised once.

    Args:
        features: [N, D].
        items: int64 [T, 3], rows of reference, left, right.

    Returns:
        float32 [T] and [T], 0..2; differentiable.
    """
    rows = F.normalize(features.float(), dim=1)
    reference, left, right = rows[items.T].unbind(0)
    return 1 - (reference * left).sum(1), 1 - (reference * right).sum(1)


def soft_score(d_left: Tensor, d_right: Tensor, vote_right: Tensor) -> float:
    """2AFC score with soft votes, ties half: the share of votes that agree with the nearer side, mean over triplets."""
    agree = torch.where(d_right < d_left, vote_right, 1 - vote_right)
    return float(torch.where(d_left == d_right, 0.5, agree).double().mean())


def check_train(triplets: Triplets, name: str = "train") -> None:
    """Refuse judgments from which nothing can be learned or measured.

    Raises:
        AlignError: none at all, or not one that prefers a side.
    """
    if not len(triplets):
        raise AlignError(f"{name} holds no triplets; check the split, the filter on votes and the file")
    if (triplets.vote_right == 0.5).all():
        raise AlignError(
            f"all {len(triplets)} votes of {name} are 0.5: nobody preferred a side, nothing can be learned"
        )


def check_apart(train: Triplets, validate: Triplets) -> None:
    """Refuse validation on pictures that are trained on: the score would not be held out.

    Arrays are compared by content, files by path; an array and a file are not compared.

    Raises:
        AlignError: how many pictures are shared.
    """
    ours, theirs = (set(_keys(triplets.compact())) for triplets in (train, validate))
    if shared := len(ours & theirs):
        raise AlignError(
            f"{shared} of the {len(theirs)} pictures of validate are also in train, so its score would not be held "
            "out: split by picture (best by reference), or pass allow_shared=True if the published split is like that"
        )


def _keys(triplets: Triplets) -> list[Any]:
    if isinstance(triplets.images, np.ndarray):
        return [(image.shape, image.tobytes()) for image in triplets.images]
    return [Path(path).resolve() for path in triplets.images]


def epoch_rows(count: int, batch_size: int, seed: int, together: Any = None) -> Callable[[int], np.ndarray]:
    """`rows(step)`: which items a step sees; epochs are seeded permutations, the last batch of one may be smaller.

    Args:
        count: number of items.
        batch_size: items per step.
        seed: of the permutations.
        together: [count] what items share; items that share it then follow each other. None: each for itself.
    """
    per_epoch = math.ceil(count / batch_size)
    places = None if together is None else np.unique(together, return_inverse=True)[1]
    orders: dict[int, np.ndarray] = {}

    def rows(step: int) -> np.ndarray:
        epoch, batch = divmod(step, per_epoch)
        if epoch not in orders:
            orders.clear()
            rank = np.random.default_rng([seed, epoch]).permutation(count if places is None else places.max() + 1)
            orders[epoch] = rank if places is None else np.argsort(rank[places], kind="stable")
        return orders[epoch][batch * batch_size : (batch + 1) * batch_size]

    return rows


class Inputs:
    """What the trained part reads of N pictures: frozen states, pixels, or files, by what fits into memory.

    Args:
        pictures: `pictures(positions)` gives uint8 [K, H, W, 3] or K RGB images.
        count: N.
        encoder: for preprocessing.
        stem: uint8 pixels [K, H, W, 3] at model size -> states of the frozen leading blocks; None without such.
        budget: bytes that may be kept. States are kept if they fit, else pixels if they fit, else nothing
            and files are opened anew at every step.

    Attributes:
        kept: "states", "pixels" or "nothing".
        bytes: of what is kept.
    """

    def __init__(
        self, pictures: Callable[[np.ndarray], Any], count: int, encoder: Encoder,
        stem: Callable[[Tensor], Tensor] | None, budget: float,
    ) -> None:  # fmt: skip
        self.pictures, self.count, self.encoder = pictures, count, encoder
        self.kept, self.values = "nothing", torch.empty(0)
        probe = self._pixels(np.arange(1))
        kinds: dict[str, Callable[[np.ndarray], Tensor]] = {"pixels": self._pixels}
        if stem is not None:
            frozen = stem
            kinds = {"states": lambda part: frozen(self._pixels(part))} | kinds
        for kept, compute in kinds.items():
            one = compute(np.arange(1)) if kept == "states" else probe
            if one.nbytes * count <= budget:
                self.values = torch.empty((count, *one.shape[1:]), dtype=one.dtype, device=one.device)
                for part in np.array_split(np.arange(count), math.ceil(count / _CHUNK)):
                    self.values[part[0] : part[-1] + 1] = compute(part)
                self.kept = kept
                break
        if stem is not None and self.kept != "states":
            log.info("frozen states of %d pictures exceed the memory bound; they are computed at each step", count)

    @property
    def bytes(self) -> int:
        """Memory of what is kept."""
        return self.values.nbytes

    def __call__(self, positions: np.ndarray) -> Tensor:
        """Rows of some pictures: states [K, ...] where they were computed, or uint8 pixels [K, H, W, 3] on the CPU."""
        if self.kept == "nothing":
            return self._pixels(positions)
        return self.values[torch.from_numpy(np.asarray(positions)).to(self.values.device)]

    def _pixels(self, positions: np.ndarray) -> Tensor:
        return torch.from_numpy(self.encoder.preprocess.pixels(self.pictures(positions)))

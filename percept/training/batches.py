"""Batches of image-text pairs as a function of the step: order, captions, crops and this process's share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from accelerate import PartialState
from PIL import Image
from torch import Tensor

from percept.data import augment

if TYPE_CHECKING:
    from percept.training.pretrain import PretrainConfig

Images = np.ndarray | list[Image.Image]


class Pairs(Protocol):
    """A source of image-text pairs with random access (`percept.data.pairs` has several).

    A source may also have `identity: str`, which names its content (a recipe, or a hash). It is kept with the
    checkpoints, and a run is not resumed on a source with another one; without it only the number of pairs can be
    compared.
    """

    def __len__(self) -> int:
        """Number of images."""
        ...

    def batch(self, indices: np.ndarray, rng: np.random.Generator) -> tuple[Images, list[str]]:
        """Images (uint8 `[B, H, W, 3]`, or a list) and one caption each; every choice is drawn from `rng`."""
        ...


class Batches:
    """`batches(step)`: this process's share of the batch of one step, a function of the step alone.

    Args:
        pairs, tokenizer, config: as in `percept.training.pretrain.pretrain`.
        size: side of the images the model takes, in pixels.
    """

    def __init__(
        self, pairs: Pairs, tokenizer: Callable[[list[str]], Tensor], config: PretrainConfig, size: int
    ) -> None:
        self.pairs, self.tokenizer, self.config, self.size = pairs, tokenizer, config, size
        self.epoch, self.order = -1, np.empty(0, np.int64)
        if len(pairs) < config.batch_size:
            raise ValueError(f"{len(pairs)} pairs do not fill a batch of {config.batch_size}: lower batch_size")

    def indices(self, step: int) -> np.ndarray:
        """Positions in the source of all pairs of a step, over all processes: int64 `[batch_size]`."""
        size = self.config.batch_size
        epoch, batch = divmod(step, len(self.pairs) // size)
        if epoch != self.epoch:
            self.order = np.random.default_rng([self.config.seed, epoch]).permutation(len(self.pairs))
            self.epoch = epoch
        return self.order[batch * size : (batch + 1) * size]

    def __call__(self, step: int) -> dict[str, Tensor]:
        """Images uint8 `[b, 3, size, size]`, tokens int64 `[b, L]`, crops float32 `[b, 5]`."""
        config, state = self.config, PartialState()
        share, rest = divmod(config.batch_size, state.num_processes)
        if rest:
            raise ValueError(f"batch_size {config.batch_size} is not a multiple of {state.num_processes} processes")
        mine = self.indices(step)[state.process_index * share :][:share]
        rng = np.random.default_rng([config.seed, step, state.process_index, 1])
        images, captions = self.pairs.batch(mine, rng)
        return {
            "images": to_square(images, self.size, rng if config.min_crop < 1 else None),
            "tokens": torch.as_tensor(self.tokenizer(captions)),
            "crops": augment.draw(rng, share, min_scale=config.min_crop, jitter=config.jitter),
        }


def to_square(images: Images, size: int, rng: np.random.Generator | None = None) -> Tensor:
    """Images of any size to uint8 `[B, 3, size, size]`: shorter side resized, a square cut out.

    Resizing is bicubic with antialiasing.

    Args:
        images: uint8 `[B, H, W, 3]`, or a list of RGB images.
        size: side in pixels.
        rng: draws where along the longer side to cut; None cuts from the centre.
    """
    if isinstance(images, np.ndarray) and images.shape[1:3] == (size, size):
        return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    squares = [
        _square(image if isinstance(image, Image.Image) else Image.fromarray(image), size, rng) for image in images
    ]
    return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).contiguous()


def _square(image: Image.Image, size: int, rng: np.random.Generator | None) -> np.ndarray:
    shorter = min(image.size)
    width, height = (max(size, round(side * size / shorter)) for side in image.size)
    image = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    share = 0.5 if rng is None else rng.uniform()
    left, top = round((width - size) * share), round((height - size) * share)
    return np.asarray(image.crop((left, top, left + size, top + size)))

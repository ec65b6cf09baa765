"""What a step of `localise` sees: captions or regions of some pictures, a function of seed and step alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from percept.data.hard_captions import mirrored
from percept.data.regions import Regions
from percept.losses.regions import same_texts
from percept.models.dual import text_ends
from percept.models.encoders import Encoder

if TYPE_CHECKING:
    from percept.training.localise import LocaliseConfig

CAPTIONS, REGIONS = 0, 1
KINDS = ("captions", "regions")


class LocaliseError(ValueError):
    """A source, encoder or setting with which an arm cannot be trained, with the way out."""


class Source(Protocol):
    """Pictures with captions and regions; see `percept.data.regions`."""

    caption_rows: np.ndarray
    region_rows: np.ndarray

    @property
    def identity(self) -> str:
        """What a resumed training must find unchanged."""
        ...

    def captions(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[Any, list[str]]:
        """Pictures, and a caption of each."""
        ...

    def false_captions(self, rows: np.ndarray, texts: list[str], rng: np.random.Generator) -> list[str | None]:
        """A false version of each caption, or None."""
        ...

    def regions(self, rows: np.ndarray, kind: str, per_picture: int, rng: np.random.Generator) -> Regions:
        """Regions of each picture."""
        ...


class LocaliseBatches:
    """`batches(step)` for one arm; steps of the same kind and number are equal between arms of one seed.

    Args:
        encoder: for preprocessing, tokenizer and the end of a text.
        source: of pictures.
        config: the arm.

    Raises:
        LocaliseError: Fewer pictures than a batch.
    """

    def __init__(self, encoder: Encoder, source: Source, config: LocaliseConfig) -> None:
        self.encoder, self.source, self.config = encoder, source, config
        self.pools = (source.caption_rows, source.region_rows)
        for kind in (CAPTIONS, REGIONS) if config.region_steps else (CAPTIONS,):
            if len(self.pools[kind]) < config.batch_size:
                raise LocaliseError(
                    f"{len(self.pools[kind])} pictures with {KINDS[kind]} do not fill a batch of {config.batch_size}; "
                    "lower batch_size or give more"
                )

    def kind(self, step: int) -> tuple[int, int]:
        """Whether a step sees captions (0) or regions (1), and how many such steps were before it."""
        config, captions = self.config, self.config.steps - self.config.region_steps
        if not config.region_steps:
            return CAPTIONS, step
        if config.order == "mixed":
            return step % 2, step // 2
        begins = config.order.startswith("captions")
        first, length = (CAPTIONS, captions) if begins else (REGIONS, config.region_steps)
        return (first, step) if step < length else (1 - first, step - length)

    def __call__(self, step: int) -> dict[str, Any]:
        """Pixels, tokens, what is true of what, and words to guess."""
        kind, number = self.kind(step)
        rng, rows = self._rng(kind, number), self._rows(kind, number)
        flip = rng.random(len(rows)) < (0.0 if self.config.flips == "off" else 0.5)
        if kind == REGIONS:
            made = self._regions(rows, flip, rng)
        else:
            # The false captions have draws of their own, so that arms without them are the same in all else.
            made = self._captions(rows, flip, rng, self._rng(kind, number, 1))
        return made | {"step": step, "kind": kind}

    def _rng(self, *numbers: int) -> np.random.Generator:
        return np.random.default_rng([self.config.seed, *numbers])

    def _rows(self, kind: int, number: int) -> np.ndarray:
        """Rows of the source: epochs are seeded permutations, an incomplete last batch is left out."""
        pool, size = self.pools[kind], self.config.batch_size
        epoch, batch = divmod(number, len(pool) // size)
        order = self._rng(kind, epoch, 2).permutation(len(pool))
        rows: np.ndarray = pool[order[batch * size : (batch + 1) * size]]
        return rows

    def _captions(
        self, rows: np.ndarray, flip: np.ndarray, rng: np.random.Generator, other: np.random.Generator
    ) -> dict[str, Any]:
        pictures, texts = self.source.captions(rows, rng)
        made = self.source.false_captions(rows, texts, other) if self.config.hard_captions else []
        wrong = np.array([index for index, text in enumerate(made) if text is not None], np.int64)
        false = self._mirrored([text for text in made if text is not None], flip[wrong])
        texts = self._mirrored(texts, flip)
        ids = torch.from_numpy(np.unique(texts, return_inverse=True)[1])
        return {
            "pixels": self._pixels(pictures, flip), "hard_rows": torch.from_numpy(wrong), "same": same_texts(ids),
            **self._tokens(texts, false, rng),
        }  # fmt: skip

    def _regions(self, rows: np.ndarray, flip: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
        config = self.config
        pictures, owner, boxes, texts = self.source.regions(rows, config.regions, config.regions_per_image, rng)
        if not len(owner):
            raise LocaliseError("none of the pictures of a batch has a region; check the source")
        turned = flip[owner]
        boxes[turned, 0] = 1 - boxes[turned, 0]
        texts = self._mirrored(texts, turned)
        same = true_texts(owner, boxes, texts, masked=config.localisation in ("mask", "both"))
        return {
            "pixels": self._pixels(pictures, flip), "owner": torch.from_numpy(owner), "boxes": torch.from_numpy(boxes),
            "same": torch.from_numpy(same), **self._tokens(texts, [], rng),
        }  # fmt: skip

    def _pixels(self, pictures: Any, flip: np.ndarray) -> Tensor:
        pixels = self.encoder.preprocess.pixels(pictures).copy()
        pixels[flip] = pixels[flip, :, ::-1]
        return torch.from_numpy(pixels)

    def _mirrored(self, texts: list[str], flip: np.ndarray) -> list[str]:
        if self.config.flips != "guarded":
            return texts
        return [mirrored(text) if turned else text for text, turned in zip(texts, flip, strict=True)]

    def _tokens(self, texts: list[str], false: list[str], rng: np.random.Generator) -> dict[str, Tensor]:
        """Tokens of the true and then of the false texts, and the true ones with words to guess."""
        tokens = torch.as_tensor(self.encoder.tokenizer([*texts, *false]))
        true = tokens[: len(texts)]
        ends = text_ends(self.encoder.model, true).numpy()
        parts = hide_words(true.numpy(), ends, self.config.mask_share, rng)
        named = zip(("noisy", "hidden", "chosen"), parts, strict=True)
        return {"tokens": tokens, **{name: torch.from_numpy(part) for name, part in named}}


def true_texts(owner: np.ndarray, boxes: np.ndarray, texts: list[str], *, masked: bool) -> np.ndarray:
    """Which texts are true of which regions, as far as the batch knows: bool [R, R], regions in rows.

    A text is true of its own region, of every region of the picture that holds it, and wherever the same text is.

    Args:
        owner: int [R], the picture of each region.
        boxes: [R, 4], cxcywh.
        texts: R texts.
        masked: False takes every region for its whole picture.

    Example:
        >>> boxes = np.array([[0.5, 0.5, 1, 1], [0.2, 0.2, 0.1, 0.1], [0.5, 0.5, 1, 1]])
        >>> true_texts(np.array([0, 0, 1]), boxes, ["a street", "a dog", "a park"], masked=True).astype(int).tolist()
        [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    """
    ids = np.unique(texts, return_inverse=True)[1]
    held = owner[:, None] == owner
    if masked:
        low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
        held &= ((low[:, None] <= low + 1e-6) & (high[:, None] >= high - 1e-6)).all(-1)
    true: np.ndarray = (held.astype(np.float32) @ (ids[:, None] == ids).astype(np.float32)) > 0
    return true


def hide_words(
    tokens: np.ndarray, ends: np.ndarray, share: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Choose tokens to guess: of 10 that are chosen, 8 are hidden, 1 is another token of the batch, 1 stays (BERT).

    Args:
        tokens: int [B, L].
        ends: int [B], position of each end token, which is never chosen, nor is what follows it.
        share: of a text's tokens; at least one of each text.
        rng: source of chance.

    Returns:
        Tokens with the exchanged ones, bool [B, L] what is hidden, bool [B, L] what is to be guessed.
    """
    free = np.arange(tokens.shape[1]) < ends[:, None]
    rank = np.where(free, rng.random(tokens.shape), 2.0).argsort(1).argsort(1)
    chosen = free & (rank < np.maximum(1, np.rint(share * ends))[:, None])
    fate = rng.random(tokens.shape)
    other, noisy = chosen & (fate >= 0.9), tokens.copy()
    if other.any():
        noisy[other] = rng.choice(tokens[chosen], int(other.sum()))
    return noisy, chosen & (fate < 0.8), chosen

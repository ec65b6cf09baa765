"""A small cross-attention matcher on top of a dual encoder: does this text belong to this picture, and to which part?

The smallest faithful form of X-VLM (Zeng et al. 2022) on a CLIP-like model: text tokens look at patch tokens, all of
them or those of a region, through a few blocks; from the end token one head reads matched or not, another the box.
`percept.models.matched` scores, saves and loads.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from percept.models import dual
from percept.models.cross_attention import CrossBlock, KeysValues
from percept.models.encoders import Encoder, EncoderError

_GROUPS = 4


@dataclass(frozen=True)
class MatcherFacts:
    """What a matcher is and which encoder it began with.

    Attributes:
        blocks: cross-attention blocks.
        heads: of their attention.
        region_blocks: blocks of the image tower in which a region sees its own patches only; 0 leaves the tower whole
            and averages the region's final patches instead.
        base: name of the encoder.
        base_fingerprint: its fingerprint before training.
    """

    blocks: int
    heads: int
    region_blocks: int
    base: str
    base_fingerprint: str


class View(NamedTuple):
    """R pictures, or regions of pictures, as texts look at them.

    Attributes:
        embedding: unit rows [R, D] of the shared space.
        looked: keys and values [U, heads, 1 + P, width] of each block; pictures with several regions appear once.
        source: int64 [R], which of the U each row looks at.
        keep: bool [R, 1 + P], patches a region may be looked at by; None for all.
    """

    embedding: Tensor
    looked: list[KeysValues]
    source: Tensor
    keep: Tensor | None


class Words(NamedTuple):
    """Texts read by the text tower: tokens [B, L, W], unit rows [B, D], and the position [B] of each end token."""

    tokens: Tensor
    embedding: Tensor
    ends: Tensor


class Matcher(nn.Module):
    """A dual encoder with cross-attention blocks and heads for matching, boxes and hidden words.

    Args:
        clip: open_clip's model; trained along.
        facts: sizes.
    """

    def __init__(self, clip: nn.Module, facts: MatcherFacts) -> None:
        super().__init__()
        model: Any = clip
        self.clip, self.facts = model, facts
        width, context = model.token_embedding.embedding_dim, len(model.visual.class_embedding)
        self.blocks = nn.ModuleList(CrossBlock(width, context, facts.heads) for _ in range(facts.blocks))
        self.norm = nn.LayerNorm(width)
        self.match, self.box = _head(width, 2), _head(width, 4)
        self.word = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.word_bias = nn.Parameter(torch.zeros(model.token_embedding.num_embeddings))
        self.mask = nn.Parameter(torch.randn(width) * 0.02)

    def states(self, pixels: Tensor) -> Tensor:
        """What whole pictures and their regions share: states of preprocessed pictures [B, 3, H, W]."""
        return dual.image_states(self.clip, pixels, self.facts.region_blocks)

    def whole(self, states: Tensor, owner: Tensor | None = None) -> View:
        """Whole pictures; `owner` [R] repeats them, one row for each text that is about them."""
        tokens, embedding = dual.image_tokens(self.clip, states, self.facts.region_blocks)
        source = torch.arange(len(states), device=states.device) if owner is None else owner
        return View(embedding[source], self.look(tokens), source, None)

    def regions(self, states: Tensor, owner: Tensor, boxes: Tensor) -> View:
        """Regions of pictures.

        Args:
            states: of `states`, [B, ...].
            owner: int64 [R], the picture of each region.
            boxes: [R, 4], cxcywh as shares of the picture.
        """
        patches = dual.patch_mask(boxes, self.clip.visual.grid_size)
        keep = F.pad(patches, (1, 0), value=True)
        if self.facts.region_blocks:
            tokens, embedding = dual.image_tokens(self.clip, states[owner], self.facts.region_blocks, keep)
            return View(embedding, self.look(tokens), torch.arange(len(owner), device=owner.device), keep)
        tokens, _ = dual.image_tokens(self.clip, states, 0)
        share = patches.to(tokens.dtype) / patches.sum(1, keepdim=True)
        mean = (share[:, None] @ tokens[owner, 1:])[:, 0]
        return View(dual.project_image(self.clip, mean), self.look(tokens), owner, keep)

    def read(self, tokens: Tensor, hidden: Tensor | None = None) -> Words:
        """Texts as token ids [B, L], with the words where `hidden` [B, L] is True replaced by a learned vector."""
        ends = dual.text_ends(self.clip, tokens)
        longest = int(ends.max()) + 1
        cut = None if hidden is None else hidden[:, :longest]
        return Words(*dual.text_tokens(self.clip, tokens[:, :longest], ends, cut, self.mask), ends)

    def fuse(self, view: View, rows: Tensor, words: Words, texts: Tensor, trace: list[Tensor] | None = None) -> Tensor:
        """Let texts look at pictures, pair by pair.

        Args:
            view: pictures or regions.
            rows: int64 [K], rows of `view`.
            words: texts.
            texts: int64 [K], rows of `words`.
            trace: receives the weights [K, heads, L, 1 + P] with which each block's text tokens look at the picture.

        Returns:
            float [K, L, W], all text tokens up to the last end.
        """
        ends = words.ends[texts]
        longest = int(ends.max()) + 1
        x = words.tokens[texts, :longest]
        valid = torch.arange(longest, device=x.device) <= ends[:, None]
        source, keep = view.source[rows], None if view.keep is None else view.keep[rows]
        for block, (keys, values) in zip(self.blocks, view.looked, strict=True):
            x = block(x, valid, (keys[source], values[source]), keep, trace)
        out: Tensor = self.norm(x)
        return out

    def match_logits(self, view: View, rows: Tensor, words: Words, texts: Tensor) -> Tensor:
        """Logits [K, 2] of not matched and matched, arguments as in `fuse`."""
        logits: Tensor = self.match(self._ends(view, rows, words, texts))
        return logits

    def boxes(self, view: View, rows: Tensor, words: Words, texts: Tensor) -> Tensor:
        """Boxes [K, 4] of texts in whole pictures, cxcywh in 0..1, arguments as in `fuse`."""
        return self.box(self._ends(view, rows, words, texts)).float().sigmoid()

    def word_logits(self, fused: Tensor, chosen: Tensor) -> Tensor:
        """Logits [M, V] of the words at the M places where `chosen` [K, L] is True, of fused tokens [K, L, W]."""
        found: Tensor = self.word(fused[chosen[:, : fused.shape[1]]])
        return found @ self.clip.token_embedding.weight.T + self.word_bias

    def _ends(self, view: View, rows: Tensor, words: Words, texts: Tensor) -> Tensor:
        """End tokens [K, W] of fused pairs, in groups of like length: padding would be half of the work."""
        ends = words.ends[texts]
        order = ends.argsort(stable=True)
        found = []
        for part in order.chunk(_GROUPS):
            fused = self.fuse(view, rows[part], words, texts[part])
            found.append(fused[torch.arange(len(part), device=part.device), ends[part]])
        return torch.cat(found)[order.argsort()]

    def look(self, tokens: Tensor) -> list[KeysValues]:
        """Keys and values of each block, of image tokens [U, 1 + P, width]."""
        crossings: list[Any] = [block.cross for block in self.blocks]
        return [cross.look_at(tokens) for cross in crossings]


def _head(width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 2 * width), nn.LayerNorm(2 * width), nn.GELU(), nn.Linear(2 * width, outputs))


def new_matcher(
    encoder: Encoder, *, blocks: int = 2, heads: int = 6, region_blocks: int = 2, aligned: bool = True, seed: int = 0
) -> Matcher:
    """Put untrained blocks and heads on a copy of an encoder; the encoder itself stays as it is.

    Args:
        encoder: an open_clip model with a ViT (percept-tiny, ViT-B-32).
        blocks: cross-attention blocks.
        heads: of their attention; the width of the text tower must be a multiple.
        region_blocks: see `MatcherFacts`; X-VLM's ViT has a third of its blocks (4 of 12).
        aligned: text tokens begin by looking at the image tokens that the encoder's own two projections find alike,
            where widths allow it (percept-tiny, ViT-B-32). On percept-tiny the matching loss then leaves that of a
            constant guess within 3,000 pictures instead of 10,000. That is above all the class token (46 % of the
            weight), so that maps of where it looks are better without at first.
        seed: of the new weights; the global random state is left alone.

    Returns:
        On the encoder's device, all of it trainable, in training mode.

    Raises:
        EncoderError: If the encoder gives no tokens, or a size does not fit.
    """
    dual.check_dual(encoder)
    model: Any = encoder.model
    depth, width = len(model.visual.transformer.resblocks), model.token_embedding.embedding_dim
    if not 0 <= region_blocks <= depth:
        raise EncoderError(f"region_blocks must be 0 to {depth} for {encoder.name!r}, got {region_blocks}")
    if blocks < 1 or heads < 1 or width % heads:
        raise EncoderError(f"need at least one block, and heads that divide {width}, got {blocks} and {heads}")
    facts = MatcherFacts(blocks, heads, region_blocks, encoder.name, encoder.fingerprint)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        matcher = Matcher(copy.deepcopy(model), facts)
    if aligned:
        _align(matcher)
    return matcher.to(encoder.device).requires_grad_(True).train()


def _align(matcher: Matcher) -> None:
    text, image = matcher.clip.text_projection, matcher.clip.visual.proj
    crossings: list[Any] = [block.cross for block in matcher.blocks]
    for cross in crossings:
        fits = all(isinstance(each, Tensor) and each.shape[1] == len(cross.query.weight) for each in (text, image))
        if fits:
            with torch.no_grad():
                cross.query.weight.copy_(text.T)
                cross.key.weight.copy_(image.T)

"""Tokens, not only embeddings, of both towers of an open_clip model, for a whole picture or for a region of one.

A ViT is read in two parts, so that the leading blocks run once per picture and only the last ones once per region, as
in X-VLM (Zeng et al. 2022).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from percept.models.encoders import Encoder, EncoderError

_EDGE = 1e-4  # of a cell; a box edge on a cell's edge must not reach into the next cell by rounding


def check_dual(encoder: Encoder) -> None:
    """Refuse an encoder whose towers give no tokens.

    Raises:
        EncoderError: If it is not open_clip's plain CLIP with a ViT that has a class token.
    """
    from open_clip import CLIP
    from open_clip.transformer import VisionTransformer

    model: Any = encoder.model
    if encoder.tokenizer is None or not isinstance(model, CLIP):
        raise EncoderError(
            f"{encoder.name!r} has no text tower of open_clip's plain form; use percept-tiny or ViT-B-32"
        )
    visual: Any = model.visual
    if not isinstance(visual, VisionTransformer) or visual.attn_pool is not None or visual.pool_type != "tok":
        raise EncoderError(f"the image tower of {encoder.name!r} is no ViT that reads out a class token")
    if model.text_pool_type not in ("eos", "argmax"):
        raise EncoderError(f"the text tower of {encoder.name!r} pools by {model.text_pool_type!r}, not at an end token")


def image_states(model: Any, pixels: Tensor, last_blocks: int) -> Tensor:
    """States [B, 1 + P, W] before the last blocks, of preprocessed pictures [B, 3, H, W]."""
    visual = model.visual
    states: Tensor = visual._embeds(pixels)
    for block in _blocks(visual)[: len(_blocks(visual)) - last_blocks]:
        states = block(states)
    return states


def image_tokens(model: Any, states: Tensor, last_blocks: int, keep: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Run the last blocks.

    Args:
        model: of the encoder.
        states: of `image_states` with the same `last_blocks`.
        last_blocks: how many.
        keep: bool [B, 1 + P], tokens that may be attended to; None for all.

    Returns:
        float [B, 1 + P, W], class token and patches after the final norm, and unit rows [B, D] of the shared space.
    """
    visual = model.visual
    blocks = _blocks(visual)
    bias = None if keep is None else _attention_bias(keep, blocks[0].attn, states.dtype)
    for block in blocks[len(blocks) - last_blocks :]:
        states = block(states, attn_mask=bias)
    tokens: Tensor = visual.ln_post(states)
    return tokens, project_image(model, tokens[:, 0])


def project_image(model: Any, pooled: Tensor) -> Tensor:
    """Unit rows [B, D] of the shared space of pooled tokens [B, W]."""
    proj = model.visual.proj
    return F.normalize((pooled if proj is None else pooled @ proj).float(), dim=-1)


def text_ends(model: Any, tokens: Tensor) -> Tensor:
    """Position of the end token of each text: int64 [B] of token ids [B, L]."""
    if model.text_pool_type == "argmax":
        return tokens.argmax(-1)
    return (tokens == model.text_eos_id).int().argmax(-1)


def text_tokens(
    model: Any, tokens: Tensor, ends: Tensor, hidden: Tensor | None = None, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Run the text tower.

    Args:
        model: of the encoder.
        tokens: ids [B, L]; L may be cut to the longest text.
        ends: of `text_ends`.
        hidden: bool [B, L], words to put `mask` in the place of; None for none.
        mask: [W], what stands for a hidden word.

    Returns:
        float [B, L, W] after the final norm, and unit rows [B, D] of the shared space.
    """
    words: Tensor = model.token_embedding(tokens)
    if hidden is not None and mask is not None:
        words = torch.where(hidden[..., None], mask.to(words.dtype), words)
    length = tokens.shape[1]
    causal = None if model.attn_mask is None else model.attn_mask[:length, :length]
    states: Tensor = model.ln_final(model.transformer(words + model.positional_embedding[:length], attn_mask=causal))
    pooled = states[torch.arange(len(states), device=states.device), ends]
    head = model.text_projection
    if head is not None:
        pooled = head(pooled) if isinstance(head, torch.nn.Linear) else pooled @ head
    return states, F.normalize(pooled.float(), dim=-1)


def patch_mask(boxes: Tensor, grid: tuple[int, int]) -> Tensor:
    """Patches whose cell a box overlaps; at least one for every box.

    Args:
        boxes: [R, 4], centre x, centre y, width, height as shares of the picture.
        grid: rows and columns of patches.

    Returns:
        bool [R, rows * columns].

    Example:
        >>> patch_mask(torch.tensor([[0.5, 0.25, 0.4, 0.5]]), (2, 4)).view(2, 4).int().tolist()
        [[0, 1, 1, 0], [0, 0, 0, 0]]
    """
    rows, columns = grid
    x, y, width, height = boxes.double().unbind(1)
    across, down = _covered(x, width, columns), _covered(y, height, rows)
    return (down[:, :, None] & across[:, None, :]).flatten(1)


def _covered(centre: Tensor, size: Tensor, cells: int) -> Tensor:
    first = ((centre - size / 2) * cells + _EDGE).floor().clamp(0, cells - 1)
    end = torch.maximum(((centre + size / 2) * cells - _EDGE).ceil().clamp(max=cells), first + 1)
    cell = torch.arange(cells, device=centre.device)
    return (cell >= first[:, None]) & (cell < end[:, None])


def _blocks(visual: Any) -> Any:
    return visual.transformer.resblocks


def _attention_bias(keep: Tensor, attention: Any, dtype: torch.dtype) -> Tensor:
    """0 and minus infinity [B * heads, L, L]: open_clip's blocks turn any mask into numbers that are added."""
    count, length = keep.shape
    bias = torch.zeros(count, 1, 1, length, dtype=dtype, device=keep.device)
    bias.masked_fill_(~keep[:, None, None], float("-inf"))
    return bias.expand(count, attention.num_heads, length, length).flatten(0, 1)

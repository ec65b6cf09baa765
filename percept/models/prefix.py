"""An image tower cut in two: frozen leading blocks, whose output can be kept, and the trainable rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from percept.models.attention import AdapterError, SplitAttention
from percept.models.encoders import Encoder
from percept.models.towers import NoSuchFeature

KINDS = ("embedding", "global", "cls_patch")


class Stem(nn.Module):
    """The leading blocks, always in eval mode and without gradient: [N, 3, H, W] to states."""

    def __init__(self, begin: Callable[[torch.Tensor], torch.Tensor], parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self._begin = begin

    @torch.no_grad()
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the states after the leading blocks: [N, L, D], or [N, C, h, w] for conv nets."""
        self.eval()
        return self._begin(pixels)


class Rest(nn.Module):
    """The last blocks with everything after them; its parameters are the encoder's own.

    Where only the class token of the last block is read, that block computes no other: the same numbers but
    for rounding, for about a fifth of its work.
    """

    def __init__(
        self,
        blocks: Sequence[nn.Module],
        end: Callable[[torch.Tensor, str], torch.Tensor],
        tail: Sequence[nn.Module],
        projection: nn.Parameter | None = None,
        reads_class: bool = False,
    ) -> None:
        super().__init__()
        self.reads_class = reads_class
        self.blocks, self.tail = nn.ModuleList(blocks), nn.ModuleList(tail)
        self.register_parameter("projection", projection)
        self._end = end

    def forward(self, states: torch.Tensor, kind: str = "embedding") -> torch.Tensor:
        """Return features [N, D] (``cls_patch`` [N, 2D]), not normalised, for states of the stem."""
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
        for block in list(self.blocks)[:-1]:
            states = block(states)
        alone = self.reads_class and kind != "cls_patch"
        return self._end(_class_token(self.blocks[-1], states) if alone else self.blocks[-1](states), kind)


def split_tower(encoder: Encoder, last_blocks: int) -> tuple[Stem, Rest]:
    """Cut the image tower before its last blocks.

    ``rest(stem(pixels), kind)`` is what the whole tower gives: ``"embedding"`` as `Encoder.encode_images`
    before its rows are brought to length 1, ``"global"`` and ``"cls_patch"`` as `Encoder.features`. Both
    halves share the encoder's modules: what trains in ``rest`` is trained in the encoder.

    Args:
        encoder: An encoder whose tower is an open_clip or timm ViT or an EfficientNet (whose "blocks" are
            its stages).
        last_blocks: Number of blocks in ``rest``, from 1 to all.

    Returns:
        ``stem`` and ``rest``.

    Raises:
        AdapterError: If the tower is another one, ``last_blocks`` does not fit, or a parameter of the stem is
            trainable (it would get no gradient).
    """
    tower: Any = encoder.visual
    trunk, _, blocks = tower_blocks(tower)
    first = len(blocks) - check_last_blocks(last_blocks, len(blocks))
    stem, rest = _cut(encoder, tower, trunk, list(blocks), first)
    trained = [name for name, parameter in stem.named_parameters() if parameter.requires_grad]
    if trained:
        raise AdapterError(
            f"{len(trained)} parameters before the last {last_blocks} blocks are trainable (first: {trained[0]}); "
            "they would get no gradient. Use a larger last_blocks, or an adapter in the last blocks only"
        )
    return stem, rest


def tower_blocks(tower: nn.Module) -> tuple[Any, str, Any]:
    """Return the network inside a tower, the path of its blocks in the tower, and the blocks.

    Raises:
        AdapterError: If it is no ViT of open_clip or timm and no EfficientNet of timm.
    """
    from open_clip.timm_model import TimmModel
    from open_clip.transformer import VisionTransformer
    from timm.models.efficientnet import EfficientNet
    from timm.models.vision_transformer import VisionTransformer as TimmTransformer

    if isinstance(tower, VisionTransformer):
        return tower, "transformer.resblocks", tower.transformer.resblocks
    trunk = tower.trunk if isinstance(tower, TimmModel) else tower
    if isinstance(trunk, TimmTransformer | EfficientNet):
        return trunk, "trunk.blocks" if trunk is not tower else "blocks", trunk.blocks
    raise AdapterError(
        f"the blocks of a {type(trunk).__name__} are not known; ViTs of open_clip and timm (also DINOv2) "
        "and EfficientNets can be adapted. Heads on frozen features work for every encoder"
    )


def check_last_blocks(last_blocks: int, count: int) -> int:
    """Return ``last_blocks`` if it is a whole number from 1 to ``count``, or raise AdapterError."""
    if isinstance(last_blocks, bool) or not isinstance(last_blocks, int) or not 1 <= last_blocks <= count:
        raise AdapterError(f"last_blocks must be a whole number from 1 to {count} for this tower, got {last_blocks!r}")
    return last_blocks


def _cut(encoder: Encoder, tower: Any, trunk: Any, blocks: list[nn.Module], first: int) -> tuple[Stem, Rest]:
    if hasattr(trunk, "transformer"):
        before = [trunk.conv1, trunk.patch_dropout, trunk.ln_pre]
        begin, tail = partial(_clip_begin, trunk, blocks[:first]), [trunk.ln_post, trunk.attn_pool]
        end, projection = partial(_clip_end, trunk), trunk.proj
        reads_class = trunk.pool_type == "tok" and trunk.attn_pool is None
    else:
        head = tower.head if tower is not trunk else None
        if hasattr(trunk, "conv_stem"):
            before, tail = [trunk.conv_stem, trunk.bn1], [trunk.conv_head, trunk.bn2]
        else:
            before = [trunk.patch_embed, trunk.pos_drop, trunk.patch_drop, trunk.norm_pre]
            tail = [trunk.norm, trunk.fc_norm, trunk.attn_pool]
        reads_class = getattr(trunk, "global_pool", "") == "token" and trunk.attn_pool is None
        begin, tail = partial(_timm_begin, trunk, blocks[:first]), [*tail, head]
        end, projection = partial(_timm_end, trunk, head), None
    present = [module for module in tail if module is not None]
    return Stem(begin, [*before, *blocks[:first]]), Rest(blocks[first:], end, present, projection, reads_class)


def _class_token(block: Any, states: torch.Tensor) -> torch.Tensor:
    """The class token [N, 1, D] after a block that no other token is read from; all tokens of other blocks."""
    from open_clip.transformer import ResidualAttentionBlock
    from timm.models.vision_transformer import Block

    first: torch.Tensor = states[:, :1]
    if type(block) is Block:
        first = first + block.drop_path1(block.ls1(block.attn(block.norm1(states))[:, :1]))
        return first + block.drop_path2(block.ls2(block.mlp(block.norm2(first))))
    separate = isinstance(getattr(block, "attn", None), SplitAttention | nn.MultiheadAttention)
    if type(block) is ResidualAttentionBlock and separate and block.attn.batch_first:
        tokens = block.ln_1(states)
        first = first + block.ls_1(block.attention(tokens[:, :1], tokens, tokens))
        return first + block.ls_2(block.mlp(block.ln_2(first)))
    everything: torch.Tensor = block(states)
    return everything


def _clip_begin(tower: Any, blocks: list[nn.Module], pixels: torch.Tensor) -> torch.Tensor:
    states: torch.Tensor = tower._embeds(pixels)
    for block in blocks:
        states = block(states)
    return states


def _clip_end(tower: Any, states: torch.Tensor, kind: str) -> torch.Tensor:
    if kind == "cls_patch":
        return _class_and_mean(states, 1)
    pooled: torch.Tensor = tower._pool(states)[0]
    return pooled if kind == "global" or tower.proj is None else pooled @ tower.proj


def _timm_begin(trunk: Any, blocks: list[nn.Module], pixels: torch.Tensor) -> torch.Tensor:
    if hasattr(trunk, "conv_stem"):
        states: torch.Tensor = trunk.bn1(trunk.conv_stem(pixels))
    else:
        states = trunk.norm_pre(trunk.patch_drop(trunk._pos_embed(trunk.patch_embed(pixels))))
    for block in blocks:
        states = block(states)
    return states


def _timm_end(trunk: Any, head: nn.Module | None, states: torch.Tensor, kind: str) -> torch.Tensor:
    conv = hasattr(trunk, "conv_stem")
    if kind == "cls_patch":
        if conv or getattr(trunk, "cls_token", None) is None:
            raise NoSuchFeature(f"cls_patch needs a class token; this {type(trunk).__name__} has none")
        return _class_and_mean(states, trunk.num_prefix_tokens)
    last = trunk.bn2(trunk.conv_head(states)) if conv else trunk.norm(states)
    if kind == "embedding" and head is not None:
        projected: torch.Tensor = head(trunk.forward_head(last))
        return projected
    pooled: torch.Tensor = trunk.forward_head(last, pre_logits=True)
    return pooled


def _class_and_mean(tokens: torch.Tensor, prefix: int) -> torch.Tensor:
    return torch.cat([tokens[:, 0], tokens[:, prefix:].mean(1)], dim=-1)

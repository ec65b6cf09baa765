"""Attention with separate query, key and value projections, so that each can carry its own adapter.

open_clip's blocks hold ``nn.MultiheadAttention``, whose three input projections are one fused tensor that no
adapter can enter. `split` writes the same attention as four ``nn.Linear``, `fuse` goes back; both only cut
and join tensors.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from percept.models.encoders import EncoderError


class AdapterError(EncoderError):
    """An adapter cannot be made, changed, saved or loaded as asked, with the way out."""


class SplitAttention(nn.Module):
    """Multi-head attention with four linear layers; called like ``nn.MultiheadAttention``.

    Args:
        heads: Number of heads; the width must be a multiple.
        layers: Query, key, value and output projection, each width to width.
        dropout: Share of attention weights dropped in training.
        batch_first: Whether tensors are [N, L, D] (else [L, N, D]).
    """

    def __init__(
        self, heads: int, layers: tuple[nn.Linear, nn.Linear, nn.Linear, nn.Linear], dropout: float, batch_first: bool
    ) -> None:
        super().__init__()
        self.heads, self.dropout, self.batch_first = heads, dropout, batch_first
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = layers

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        need_weights: bool = False,
        attn_mask: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, None]:
        """Return the attended values and, in place of the weights, None.

        Args:
            query: Tokens [N, L, D] (or [L, N, D]).
            key: Tokens [N, S, D].
            value: Tokens [N, S, D].
            need_weights: Must be False: the weights never exist as a tensor.
            attn_mask: [L, S] or [N * heads, L, S]; added to the logits, or bool with True = left out.

        Returns:
            Tokens of the shape of ``query``, and None.
        """
        if need_weights:
            raise AdapterError("a split attention does not return its weights; call it with need_weights=False")
        if not self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        q, k, v = self._heads(self.q_proj(query)), self._heads(self.k_proj(key)), self._heads(self.v_proj(value))
        if attn_mask is not None:
            attn_mask = ~attn_mask if attn_mask.dtype == torch.bool else attn_mask
            attn_mask = attn_mask.unflatten(0, (-1, self.heads)) if attn_mask.ndim == 3 else attn_mask
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask, self.dropout if self.training else 0.0)
        out: torch.Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return (out if self.batch_first else out.transpose(0, 1)), None

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def split(attention: nn.Module) -> SplitAttention:
    """Return the attention with separate projections; the weights are copied.

    Raises:
        AdapterError: If it is no plain self-attention ``nn.MultiheadAttention``.
    """
    if not isinstance(attention, nn.MultiheadAttention) or not attention._qkv_same_embed_dim:
        raise AdapterError(
            f"only nn.MultiheadAttention with one width can be split, this block has a {type(attention).__name__}"
        )
    if attention.bias_k is not None or attention.add_zero_attn:
        raise AdapterError("an attention with bias_k or add_zero_attn cannot be split")
    biases: Any = [None] * 3 if attention.in_proj_bias is None else attention.in_proj_bias.chunk(3)
    inputs = [_linear(weight, bias) for weight, bias in zip(attention.in_proj_weight.chunk(3), biases, strict=True)]
    out = _linear(attention.out_proj.weight, attention.out_proj.bias)
    parts = SplitAttention(
        attention.num_heads, (inputs[0], inputs[1], inputs[2], out), attention.dropout, attention.batch_first
    )
    return parts.train(attention.training)


def fuse(parts: SplitAttention) -> nn.MultiheadAttention:
    """Return the ``nn.MultiheadAttention`` that computes the same; the weights are copied."""
    inputs = (parts.q_proj, parts.k_proj, parts.v_proj)
    # On the meta device nothing is drawn, so the caller's random numbers stay as they are.
    with torch.device("meta"):
        whole = nn.MultiheadAttention(
            parts.out_proj.out_features,
            parts.heads,
            dropout=parts.dropout,
            bias=parts.q_proj.bias is not None,
            batch_first=parts.batch_first,
        )
    whole.in_proj_weight = _copy(torch.cat([layer.weight for layer in inputs]))
    if whole.in_proj_bias is not None:
        whole.in_proj_bias = _copy(torch.cat([layer.bias for layer in inputs]))
        whole.out_proj.bias = _copy(parts.out_proj.bias)
    whole.out_proj.weight = _copy(parts.out_proj.weight)
    return whole.train(parts.training)


def _linear(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = _copy(weight)
    if bias is not None:
        layer.bias = _copy(bias)
    return layer


def _copy(tensor: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.detach().clone(), requires_grad=False)

"""Blocks in which text tokens look at each other and at a picture's tokens."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

KeysValues = tuple[Tensor, Tensor]


class Attention(nn.Module):
    """Multi-head attention whose keys and values can be computed once and looked at by many.

    Args:
        width: of what looks.
        context: width of what is looked at.
        heads: number of heads.
    """

    def __init__(self, width: int, context: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.key, self.value = nn.Linear(context, width), nn.Linear(context, width)

    def look_at(self, tokens: Tensor) -> KeysValues:
        """Keys and values [U, heads, S, width / heads] of tokens [U, S, context]."""
        return self._heads(self.key(tokens)), self._heads(self.value(tokens))

    def forward(
        self, x: Tensor, looked: KeysValues, keep: Tensor | None = None, trace: list[Tensor] | None = None
    ) -> Tensor:
        """What x [B, L, width] sees in keys and values [B, heads, S, ...] where `keep` [B, S] is True.

        The weights [B, heads, L, S] are added to a `trace`; without one they never exist as a tensor.
        """
        mask, query, (keys, values) = None if keep is None else keep[:, None, None], self._heads(self.query(x)), looked
        if trace is None:
            seen = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask)
        else:
            logits = query @ keys.transpose(-1, -2) / math.sqrt(query.shape[-1])
            trace.append((logits if mask is None else logits.masked_fill(~mask, -math.inf)).softmax(-1))
            seen = trace[-1] @ values
        out: Tensor = self.out(seen.transpose(1, 2).flatten(2))
        return out

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class CrossBlock(nn.Module):
    """Text tokens look at each other, then at the picture, then pass an MLP; norms come first."""

    def __init__(self, width: int, context: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.own, self.cross = Attention(width, width, heads), Attention(width, context, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(
        self, x: Tensor, valid: Tensor, looked: KeysValues, keep: Tensor | None, trace: list[Tensor] | None = None
    ) -> Tensor:
        """Next x [B, L, width]; `valid` [B, L] are tokens up to the end, `keep` [B, S] those of the picture."""
        own = self.norms[0](x)
        x = x + self.own(own, self.own.look_at(own), valid)
        x = x + self.cross(self.norms[1](x), looked, keep, trace)
        out: Tensor = x + self.mlp(self.norms[2](x))
        return out

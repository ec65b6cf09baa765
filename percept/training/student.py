"""The image tower in training: frozen parts stay frozen in every sense, and are computed without gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from percept.models.encoders import Encoder
from percept.models.prefix import split_tower, tower_blocks
from percept.models.towers import tower_features


class Student(nn.Module):
    """An encoder's image tower, from pixels or from the states of its frozen leading blocks.

    It stays in evaluation mode but for the adapters' dropout: batch norms keep their statistics, and a tower
    with dropout of its own computes what it will compute in use.

    Args:
        encoder: with an adapter, or plain.
        kind: of features, "embedding", "global" or "cls_patch".
        last_blocks: blocks that train; None for all.
        train_all: make every weight of these blocks (of the tower, for None) trainable.

    Attributes:
        has_prefix: whether whole blocks come before those that train, so that `stem` is worth keeping.
    """

    def __init__(self, encoder: Encoder, kind: str, last_blocks: int | None, *, train_all: bool) -> None:
        super().__init__()
        self.encoder, self.kind = encoder, kind
        self.tower = encoder.visual
        self.halves: tuple[Any, ...] = ()  # a tuple, because they are parts of the tower already
        self.has_prefix = False
        if last_blocks is not None or not train_all:
            count = len(tower_blocks(self.tower)[2])
            self.halves = split_tower(encoder, count if last_blocks is None else last_blocks)
            self.has_prefix = last_blocks is not None and last_blocks < count
        if train_all:
            (self.halves[1] if self.halves else self.tower).requires_grad_(True)

    def train(self, mode: bool = True) -> Student:
        """Switch the adapters' dropout on or off."""
        super().train(False)
        for name, module in self.named_modules():
            if "lora_dropout" in name:
                module.train(mode)
        self.training = mode
        return self

    def stem(self, pixels: Tensor) -> Tensor:
        """States after the frozen leading blocks, of uint8 pixels [B, H, W, 3] at the model's size."""
        states: Tensor = self.halves[0](self.encoder.preprocess.scale(pixels))
        return states

    def forward(self, parts: list[Tensor]) -> Tensor:
        """Features [B, D] of pictures in parts: uint8 pixels [b, H, W, 3] at the model's size, or states."""
        rows = [self._features(part) for part in parts]
        return rows[0] if len(rows) == 1 else torch.cat(rows)

    def _features(self, inputs: Tensor) -> Tensor:
        pixels = inputs.dtype == torch.uint8
        if self.halves:
            features: Tensor = self.halves[1](self.stem(inputs) if pixels else inputs, self.kind)
            return features
        scaled = self.encoder.preprocess.scale(inputs)
        if self.kind != "embedding":
            return tower_features(self.tower, scaled, self.kind)
        if self.encoder.tokenizer is None:
            return tower_features(self.tower, scaled, "global")
        embedding: Tensor = self.tower(scaled)
        return embedding

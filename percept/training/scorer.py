"""Tower and head as one module: from views, states or features of pictures to scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from percept.data.views import Views
from percept.device import autocast
from percept.models.encoders import Encoder
from percept.models.heads import MLPHead
from percept.training.student import Student

OF_SHARES = ("shares", "emd")


class Frozen(nn.Module):
    """A tower that does not train, in the place of `Student`: its features may be computed once and kept."""

    has_prefix = True

    def __init__(self, encoder: Encoder, kind: str) -> None:
        super().__init__()
        # In a tuple, so that its weights are no parameters of what trains and are in no checkpoint.
        self.hidden = (Student(encoder, kind, None, train_all=True).requires_grad_(False),)

    @torch.no_grad()
    def stem(self, pixels: Tensor) -> Tensor:
        """Features [B, D] of uint8 pixels [B, H, W, 3] at the model's size."""
        tower = self.hidden[0]
        features: Tensor = tower.train(False)([pixels]).float()
        return features

    def forward(self, parts: list[Tensor]) -> Tensor:
        """Features [B, D] of pixels, or the features themselves."""
        return torch.cat([self.stem(part) if part.dtype == torch.uint8 else part for part in parts])


class Scorer(nn.Module):
    """A tower in training (or a frozen one), and a head on its features."""

    def __init__(self, tower: Student | Frozen, head: MLPHead) -> None:
        super().__init__()
        self.tower, self.head = tower, head

    def train(self, mode: bool = True) -> Scorer:
        """Head and adapters drop out in training; the rest of the tower computes what it computes in use."""
        self.tower.train(mode)
        self.head.train(mode)
        self.training = mode
        return self

    def forward(self, part: Tensor) -> Tensor:
        """Raw outputs, float32 [B] or [B, K]."""
        out: Tensor = self.head(self.tower([part]))
        return out


def view_side(encoder: Encoder) -> int:
    """Side of the square views an encoder reads.

    Raises:
        ValueError: it reads pictures that are not square.
    """
    height, width = encoder.preprocess.size
    if height != width:
        raise ValueError(f"{encoder.name!r} reads {height} x {width} px; views are square, use another encoder")
    return height


def over_views(
    compute: Callable[[Tensor], Tensor], inputs: Any, count: int, device: torch.device, precision: str, chunk: int
) -> Tensor:
    """What is computed of `count` views, without gradient, float32 on the CPU: [M, ...].

    Args:
        compute: a module in evaluation mode: what `inputs` gives, on the device, to rows.
        inputs: `inputs(positions)`, such as `percept.training.triplet_batches.Inputs`.
        count: M.
        device, precision: where, and in which number format.
        chunk: views per forward pass.
    """
    rows = []
    with torch.no_grad(), autocast(device, precision):
        for start in range(0, count, chunk):
            part = torch.as_tensor(inputs(np.arange(start, min(start + chunk, count))))
            rows.append(compute(part.to(device)).float().cpu())
    return torch.cat(rows)


def of_pictures(rows: Tensor, views: Views, loss: str) -> np.ndarray:
    """Mean over the views of each picture, float64 [N] or shares [N, K]."""
    values = (rows.softmax(1) if loss in OF_SHARES else rows).double().numpy()
    return views.mean(values)

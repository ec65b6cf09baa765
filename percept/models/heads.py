"""The small network that reads a score, or shares of classes, from an encoder's features."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MLPHead(nn.Module):
    """Linear layers with ReLU and dropout between, and a linear output: the head of PerceptCLIP.

    Features are brought to unit mean square by one number taken from the training set, so that a head trains
    alike on encoders whose features differ in size.

    Args:
        width: D of the features.
        outputs: 1 for a score, K for classes.
        hidden: widths of the hidden layers; () is a linear head.
        dropout: after each hidden layer.
        normalise: bring every row of features to length 1 first. Published results differ in it: raw features
            keep the length, which can carry information.
    """

    def __init__(
        self, width: int, outputs: int = 1, hidden: Sequence[int] = (512, 256), dropout: float = 0.5,
        normalise: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.normalise = normalise
        self.scale = nn.Buffer(torch.ones(()))
        widths = [width, *hidden]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], outputs))

    def fit_scale(self, features: Tensor) -> None:
        """Take the size of features [N, D] as the unit."""
        self.scale.fill_(self._rows(features).square().mean().sqrt().clamp(min=1e-12).reciprocal())

    def forward(self, features: Tensor) -> Tensor:
        """float32 [N] for one output, else [N, K], of features [N, D]."""
        out: Tensor = self.layers(self._rows(features) * self.scale)
        return out[:, 0] if out.shape[1] == 1 else out

    def _rows(self, features: Tensor) -> Tensor:
        rows = features.float()
        return F.normalize(rows, dim=1) if self.normalise else rows

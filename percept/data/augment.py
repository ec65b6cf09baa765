"""Augmentation of image batches on their device, from parameters drawn beforehand.

Drawing and applying are apart: the draw belongs to the step (a seeded generator, so that a resumed run sees
the same crops), the work to the device. There is no horizontal flip here and must never be: captions say left
and right.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def draw(rng: np.random.Generator, count: int, *, min_scale: float = 0.8, jitter: float = 0.0) -> Tensor:
    """Random crop and colour parameters for `count` images.

    Args:
        rng: source of chance.
        count: number of images.
        min_scale: side of the smallest crop as a share of the image's, in (0, 1]; 1 does not crop.
        jitter: largest relative change of brightness and of contrast, in [0, 1); 0 leaves colours alone.

    Returns:
        float32 `[count, 5]`: side share, horizontal and vertical offset of the centre (-1 ... 1 spans the
        image), brightness factor, contrast factor.
    """
    if not 0 < min_scale <= 1 or not 0 <= jitter < 1:
        raise ValueError(f"min_scale must be in (0, 1] and jitter in [0, 1), got {min_scale} and {jitter}")
    side = rng.uniform(min_scale, 1.0, count)
    offset = rng.uniform(-1.0, 1.0, (count, 2)) * (1.0 - side)[:, None]
    colour = rng.uniform(1.0 - jitter, 1.0 + jitter, (count, 2))
    return torch.from_numpy(np.concatenate([side[:, None], offset, colour], axis=1).astype(np.float32))


def apply(images: Tensor, parameters: Tensor) -> Tensor:
    """Crop and colour each image by its row of parameters, at the size it had.

    Args:
        images: `[B, 3, H, W]`, uint8 or float in 0 ... 255.
        parameters: `[B, 5]` from `draw`.

    Returns:
        float32 `[B, 3, H, W]` in 0 ... 255.
    """
    side, across, down, brightness, contrast = parameters.to(images.device).unbind(dim=1)
    pixels = images.float()
    if bool((parameters[:, 0] < 1).any()):
        zero = torch.zeros_like(side)
        maps = torch.stack([side, zero, across, zero, side, down], dim=1).view(-1, 2, 3)
        grid = F.affine_grid(maps, list(pixels.shape), align_corners=False)
        pixels = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
    if bool((parameters[:, 3:] != 1).any()):
        grey = pixels.mean(dim=(1, 2, 3), keepdim=True)
        pixels = (pixels - grey) * contrast.view(-1, 1, 1, 1) + grey
        pixels = (pixels * brightness.view(-1, 1, 1, 1)).clamp(0.0, 255.0)
    return pixels

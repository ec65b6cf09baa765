"""Contrastive losses between matched images and texts: CLIP's softmax loss and SigLIP's sigmoid loss.

B pairs on this process, N pairs over all processes (N = B * processes), D width of the shared space.

Over several processes each rank scores its own B images and texts against the N of all ranks, and the gather
carries gradients back. Rank losses average to the loss of the whole batch, so that averaging gradients over
ranks, as DDP does, gives exactly the gradient of one process with the whole batch. (A gather without gradient
gives encoder gradients that are too small by the number of processes, which Adam hides and clipping does
not.)
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor


def clip_loss(image: Tensor, text: Tensor, logit_scale: Tensor | float) -> Tensor:
    """Mean of the image-to-text and text-to-image cross-entropies (CLIP, Radford et al. 2021, figure 3).

    Args:
        image: `[B, D]` unit rows; row i belongs to row i of `text`. Half precision is computed in float32.
        text: `[B, D]` unit rows.
        logit_scale: factor on the cosines, already exponentiated (between 1 and 100 in CLIP).

    Returns:
        Scalar loss of this process; its mean over processes is the loss of the whole batch.

    Raises:
        ValueError: The two are not matrices of one shape.

    Example:
        >>> rows = torch.eye(2)
        >>> round(clip_loss(rows, rows, 1.0).item(), 4)  # log(e + 1) - 1
        0.3133
    """
    image, text = _checked(image, text)
    with torch.autocast(image.device.type, enabled=False):
        all_image, all_text, first = _gather_pairs(image, text)
        target = torch.arange(first, first + len(image), device=image.device)
        to_text = F.cross_entropy(logit_scale * image @ all_text.T, target)
        to_image = F.cross_entropy(logit_scale * text @ all_image.T, target)
    return (to_text + to_image) / 2


def siglip_loss(image: Tensor, text: Tensor, logit_scale: Tensor | float, logit_bias: Tensor | float = 0.0) -> Tensor:
    """Sigmoid loss over all pairs, summed over texts and averaged over images (SigLIP, Zhai et al. 2023).

    -log sigmoid(x) on the matched pairs and -log sigmoid(-x) on all others is softplus(x) on every pair minus
    x on the matched ones, which neither overflows nor needs a matrix of signs.

    Args:
        image: `[B, D]` unit rows; row i belongs to row i of `text`. Half precision is computed in float32.
        text: `[B, D]` unit rows.
        logit_scale: factor on the cosines, already exponentiated (SigLIP starts at 10).
        logit_bias: added to every logit (SigLIP starts at -10).

    Returns:
        Scalar loss of this process; its mean over processes is the loss of the whole batch.

    Raises:
        ValueError: The two are not matrices of one shape.

    Example:
        >>> rows = torch.eye(1)
        >>> round(siglip_loss(rows, rows, 1.0, -1.0).item(), 4)  # one matched pair at logit 0: log 2
        0.6931
    """
    image, text = _checked(image, text)
    with torch.autocast(image.device.type, enabled=False):
        _, all_text, _ = _gather_pairs(image, text)
        logits = logit_scale * image @ all_text.T + logit_bias
        matched = logit_scale * (image * text).sum() + len(image) * logit_bias
        return (F.softplus(logits).sum() - matched) / len(image)


def _checked(image: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
    if image.ndim != 2 or image.shape != text.shape:
        raise ValueError(
            f"image and text embeddings must both be [B, D] with matched rows, got {tuple(image.shape)} and "
            f"{tuple(text.shape)}"
        )
    wide = torch.promote_types(torch.promote_types(image.dtype, text.dtype), torch.float32)
    return image.to(wide), text.to(wide)


def _gather_pairs(image: Tensor, text: Tensor) -> tuple[Tensor, Tensor, int]:
    """All N images and texts in rank order, and the position of this rank's first row among them."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return image, text, 0
    # One collective for both: half the latency, and the backward passes cannot run in different orders on
    # ranks.
    both = _GatherWithGradient.apply(torch.cat([image, text], dim=1))
    all_image, all_text = both.split(image.shape[1], dim=1)
    return all_image, all_text, dist.get_rank() * len(image)


class _GatherWithGradient(torch.autograd.Function):
    """`[B, W]` on every rank -> `[N, W]` on every rank; gradients are summed over the ranks' losses."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        ctx.batch = len(rows)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        first = dist.get_rank() * ctx.batch
        return total[first : first + ctx.batch]

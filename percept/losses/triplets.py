"""Losses on similarity judgments: DreamSim's hinge, gLocal's two terms, and distillation to a frozen model.

B triplets or pictures, D and E widths. Half precision is computed in float32, also under autocast.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def triplet_hinge_loss(d_left: Tensor, d_right: Tensor, vote_right: Any, margin: float = 0.05) -> Tensor:
    """Mean of max(0, margin - y (d_left - d_right)), y = +1 where right was chosen and -1 where left was.

    `y = 2 round(vote_right) - 1`, half rounded to even as in the reference: an even vote counts as left.

    Args:
        d_left: [B] distances from the reference to left (cosine distance in DreamSim).
        d_right: [B] likewise to right.
        vote_right: [B] share of the votes for right, 0..1.
        margin: by how much the chosen one must be nearer for the loss to vanish.

    Returns:
        Scalar.

    Raises:
        ValueError: the three are not vectors of one length.

    Source: Fu et al., DreamSim (2023); margin 0.05.

    Example:
        >>> near, far = torch.tensor([0.25]), torch.tensor([0.75])
        >>> triplet_hinge_loss(far, near, torch.tensor([0.0]), margin=0.5).item()  # wrong by 0.5, and the margin
        1.0
    """
    left, right = _wide(d_left), _wide(d_right)
    vote = torch.as_tensor(vote_right, device=left.device).to(left.dtype)
    if left.ndim != 1 or left.shape != right.shape or left.shape != vote.shape:
        shapes = ", ".join(str(tuple(each.shape)) for each in (left, right, vote))
        raise ValueError(f"d_left, d_right and vote_right must be vectors of one length, got {shapes}")
    sign = 2 * vote.round() - 1
    return F.relu(margin - sign * (left - right)).mean()


def glocal_triplet_loss(first: Tensor, second: Tensor, odd: Tensor) -> Tensor:
    """Mean of -log softmax over the three dot products of an odd-one-out choice, at the pair that was kept.

    Args:
        first, second: [B, D] representations of the pair (used as they are, not normalised).
        odd: [B, D] of the odd one.

    Returns:
        Scalar.

    Source: Muttenthaler et al., Improving neural network representations using human similarity judgments (2023).

    Example:
        >>> one = torch.ones(1, 1)
        >>> round(glocal_triplet_loss(one, one, one).item(), 4)  # log 3
        1.0986
    """
    a, b, c = _wide(first), _wide(second), _wide(odd)
    if a.ndim != 2 or a.shape != b.shape or a.shape != c.shape:
        raise ValueError(f"the three must all be [B, D], got {[tuple(each.shape) for each in (a, b, c)]}")
    products = torch.stack([(a * b).sum(1), (a * c).sum(1), (b * c).sum(1)], dim=1)
    return -products.log_softmax(dim=1)[:, 0].mean()


def local_similarity_loss(teacher: Tensor, student: Tensor, temperature: float = 1.0) -> Tensor:
    """Cross-entropy from the teacher's to the student's softmax over cosines with the other pictures of a batch.

    It keeps who is near whom within a batch, whatever the widths. Its least value is the entropy of the
    teacher's rows, not zero.

    Args:
        teacher: [B, D] features of the frozen model, B >= 3 (with two there is one neighbour and no choice).
        student: [B, E] features of the model in training, same pictures.
        temperature: divides the cosines of both.

    Returns:
        Scalar, mean over the B pictures.

    Source: Muttenthaler et al. (2023), local loss of gLocal.
    """
    _same_rows(teacher, student, least=3)
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    target = _neighbours(teacher.detach(), temperature).exp()
    return -(target * _neighbours(student, temperature)).sum(dim=1).mean()


def feature_distillation_loss(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean of 1 - cosine between what the frozen model and the model in training make of a picture, 0..2.

    Args:
        teacher: [B, D] features of the frozen model; gets no gradient.
        student: [B, D].
    """
    _same_rows(teacher, student, least=1)
    if teacher.shape != student.shape:
        raise ValueError(f"teacher and student differ in width: {teacher.shape[1]} and {student.shape[1]}")
    return (1 - F.cosine_similarity(_wide(teacher.detach()), _wide(student), dim=1)).mean()


def _neighbours(features: Tensor, temperature: float) -> Tensor:
    """Log softmax [B, B-1] of cosines to the others, the picture itself left out."""
    rows = F.normalize(_wide(features), dim=1)
    with torch.autocast(rows.device.type, enabled=False):
        cosines = rows @ rows.T
    count = len(rows)
    # Without its first entry, the flattened matrix has a diagonal entry at the end of every row of B + 1.
    others = cosines.flatten()[1:].view(count - 1, count + 1)[:, :-1].reshape(count, count - 1)
    return (others / temperature).log_softmax(dim=1)


def _wide(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _same_rows(teacher: Tensor, student: Tensor, least: int) -> None:
    if teacher.ndim != 2 or student.ndim != 2 or len(teacher) != len(student) or len(teacher) < least:
        shapes = f"{tuple(teacher.shape)} and {tuple(student.shape)}"
        raise ValueError(f"teacher and student must be [B, D] with the same B of at least {least}, got {shapes}")

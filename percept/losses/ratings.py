"""Losses on ratings: correlation, order of pairs, and label distributions.

B items, C classes or categories of a scale. Half precision is computed in float32. Losses over pairs and the
correlation see the items of one batch on one process, so a batch must hold several different scores.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST_SPREAD = 1e-6


def pearson_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """(1 - r) / 2 with Pearson's r over the batch: 0 in step, 1/2 unrelated, 1 in opposition.

    The output is free up to a positive factor and a shift, so it needs a map to the scale of the labels afterwards
    (`percept.evaluation.calibration`). Standard deviations below 1e-6 count as 1e-6: constant predictions then cost
    1/2 and still get a finite gradient towards the targets (a head that starts at zero can learn).

    Args:
        prediction: [B] model outputs, B >= 2.
        target: [B] scores.

    Returns:
        Scalar in 0..1.

    Raises:
        ValueError: the two are not vectors of one length of at least 2.

    Source: the loss of PerceptCLIP's quality model, in the form usual in the field.

    Example:
        >>> pearson_loss(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([30.0, 20.0, 10.0])).item()
        1.0
    """
    prediction, target = _scores(prediction, target)
    centred = [side - side.mean() for side in (prediction, target)]
    # Clamped before the root: at 0 the root has an infinite slope, which would make the gradient NaN.
    spread = [side.square().mean().clamp_min(LEAST_SPREAD**2).sqrt() for side in centred]
    correlation = ((centred[0] / spread[0]) * (centred[1] / spread[1])).mean()
    return (1 - correlation) / 2


def ranking_loss(
    prediction: Tensor, target: Tensor, kind: str = "logistic", margin: float = 0.0, tolerance: float = 0.0
) -> Tensor:
    """Mean cost of the pairs of the batch whose targets differ: is the better one predicted to be better?

    With d the prediction of the better one less that of the worse one, "logistic" costs log(1 + exp(margin - d))
    and "hinge" max(0, margin - d).

    Args:
        prediction, target: [B], B >= 2.
        kind: "logistic" or "hinge".
        margin: by how much the better one should lead; must be positive for the hinge, or constant predictions
            would cost nothing.
        tolerance: pairs whose targets differ by no more than this are left out (rating noise).

    Returns:
        Scalar; 0 with zero gradient if no pair differs.

    Raises:
        ValueError: shapes, an unknown kind, a hinge without margin.

    Source: Burges et al., RankNet (2005); hinge on quality pairs: Liu et al., RankIQA (2017).

    Example:
        >>> round(ranking_loss(torch.zeros(2), torch.tensor([1.0, 2.0])).item(), 4)  # log 2
        0.6931
    """
    if kind not in ("logistic", "hinge"):
        raise ValueError(f"kind must be 'logistic' or 'hinge', got {kind!r}")
    if kind == "hinge" and not margin > 0:
        raise ValueError(f"the hinge needs a margin above 0, got {margin}: without one a constant costs nothing")
    lead, better = _pairs(*_scores(prediction, target))
    short = margin - lead * better.sign()
    cost = F.softplus(short) if kind == "logistic" else F.relu(short)
    used = better.abs() > tolerance
    return torch.where(used, cost, 0.0).sum() / used.sum().clamp_min(1)


def fidelity_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean over pairs of 1 - sqrt(p q) - sqrt((1 - p)(1 - q)), with p what the targets and q what the predictions say.

    p is 1 where the first has the higher target, 0 where the second has it, and 1/2 for equal ones (LIQE counts
    those as 1, which depends on the order of the batch). q is Thurstone's: the normal distribution function of the
    difference of predictions over sqrt(2).

    Args:
        prediction, target: [B], B >= 2.

    Returns:
        Scalar in 0..1.

    Source: Tsai et al., FRank (2007); for quality: Zhang et al., LIQE (2023).

    Example:
        >>> round(fidelity_loss(torch.zeros(2), torch.tensor([1.0, 2.0])).item(), 4)  # 1 - sqrt(1/2)
        0.2929
    """
    lead, better = _pairs(*_scores(prediction, target))
    share = (better.sign() + 1) / 2
    # In logarithms: where q is too small for a float its root would have an infinite slope.
    first, second = (torch.special.log_ndtr(side * lead / 2**0.5).div(2).exp() for side in (1, -1))
    return (1 - share.sqrt() * first - (1 - share).sqrt() * second).mean()


def distribution_loss(logits: Tensor, shares: Tensor) -> Tensor:
    """Mean over items of sum(shares log(shares / predicted)): the divergence from label shares, 0 where they agree.

    Its gradient is that of the cross-entropy with soft labels, which is larger by the entropy of the shares.

    Args:
        logits: [B, C] model outputs, or log-probabilities (a log-softmax leaves those as they are).
        shares: [B, C] label shares, rows that add up to 1.

    Returns:
        Scalar, 0 or more.

    Raises:
        ValueError: the two are not matrices of one shape.

    Example:
        >>> round(distribution_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])).item(), 4)  # log 2
        0.6931
    """
    logits, shares = _distributions(logits, shares)
    return F.kl_div(logits.log_softmax(dim=1), shares, reduction="batchmean")


def emd_loss(logits: Tensor, shares: Tensor) -> Tensor:
    """Squared earth mover's distance of ordered categories: mean squared difference of the cumulated shares.

    Predicting a neighbour of the rated category costs less than one far away. NIMA takes the root per item, whose
    slope is infinite where both agree; the square, as trained with by Hou et al., has none.

    Args:
        logits: [B, C] model outputs or log-probabilities, categories from low to high.
        shares: [B, C] label shares, rows that add up to 1.

    Returns:
        Scalar in 0..1, mean over items and categories.

    Source: Hou et al. (2016), arXiv 1611.05916; Talebi and Milanfar, NIMA (2018).

    Example:
        >>> far = torch.tensor([[0.0, -99.0, -99.0]])
        >>> [round(emd_loss(far, torch.eye(3)[[k]]).item(), 3) for k in range(3)]
        [0.0, 0.333, 0.667]
    """
    logits, shares = _distributions(logits, shares)
    return (logits.softmax(dim=1) - shares).cumsum(dim=1).square().mean()


def _scores(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    if prediction.ndim != 1 or prediction.shape != target.shape or len(prediction) < 2:
        shapes = f"{tuple(prediction.shape)} and {tuple(target.shape)}"
        raise ValueError(f"prediction and target must be vectors of one length of at least 2, got {shapes}")
    return _wide(prediction, target)


def _distributions(logits: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    if logits.ndim != 2 or logits.shape != shares.shape or not logits.numel():
        shapes = f"{tuple(logits.shape)} and {tuple(shares.shape)}"
        raise ValueError(f"logits and shares must both be [B, C] and not empty, got {shapes}")
    return _wide(logits, shares)


def _wide(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    wide = torch.promote_types(torch.promote_types(first.dtype, second.dtype), torch.float32)
    return first.to(wide), second.to(wide)


def _pairs(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Differences [B (B - 1) / 2] of prediction and target, first less second, over all pairs."""
    first, second = torch.triu_indices(len(target), len(target), offset=1, device=target.device)
    return prediction[first] - prediction[second], target[first] - target[second]

"""Losses of region-text learning: boxes, matching, masked words, region contrast, hard-negative captions.

B pairs of a picture (or a region of one) and a text; row i of one belongs to row i of the other. D is the width of the
shared space. The losses are those of ALBEF (Li et al. 2021) and X-VLM (Zeng et al. 2022), whose weights are all 1, and
of NegCLIP (Yuksekgonul et al. 2023). They see the pairs of one process.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from percept.losses.contrastive import clip_loss


def box_loss(pred_cxcywh: Tensor, target_cxcywh: Tensor) -> dict[str, Tensor]:
    """L1 and GIoU losses between predicted and true boxes (GIoU: Rezatofighi et al. 2019).

    A box without area has an IoU of 0 with every box, and a negative size counts as 0 for GIoU (not for L1, which
    pulls it back). Such a box costs between 1 and 2 and changes no other box's loss; the reference instead drops the
    GIoU loss of the whole batch when one box is degenerate.

    Args:
        pred_cxcywh: `[N, 4]`, centre x, centre y, width, height as shares of the picture; N at least 1.
        target_cxcywh: `[N, 4]`.

    Returns:
        `l1`, summed over the four numbers, and `giou`, 1 - GIoU; scalars, means over boxes.

    Raises:
        ValueError: The two are not matrices `[N, 4]` of one shape.

    Example:
        >>> half, whole = torch.tensor([[0.25, 0.5, 0.5, 1.0]]), torch.tensor([[0.5, 0.5, 1.0, 1.0]])
        >>> {name: value.item() for name, value in box_loss(half, whole).items()}
        {'l1': 0.75, 'giou': 0.5}
    """
    if pred_cxcywh.ndim != 2 or pred_cxcywh.shape != target_cxcywh.shape or pred_cxcywh.shape[1] != 4:
        raise ValueError(
            f"boxes must be two [N, 4] tensors of one shape, got {tuple(pred_cxcywh.shape)} and "
            f"{tuple(target_cxcywh.shape)}"
        )
    if not len(pred_cxcywh):
        raise ValueError("there are no boxes; leave the box loss out where a batch has none")
    wide = _wide(pred_cxcywh, target_cxcywh)
    pred, target = pred_cxcywh.to(wide), target_cxcywh.to(wide)
    return {"l1": (pred - target).abs().sum(1).mean(), "giou": (1 - _giou(pred, target)).mean()}


def hard_negatives(
    similarity: Tensor, same: Tensor, smoothing: float = 1e-5, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Draw for each picture a wrong text and for each text a wrong picture, the likelier the more similar they are.

    Args:
        similarity: `[B, B]` logits, pictures in rows.
        same: bool `[B, B]`, which pairs are true: the diagonal and duplicates of it (`same_texts`).
        smoothing: added to the softmax of the similarities before the true pairs get zero (X-VLM 1e-5, BLIP 1e-4);
            without it a row whose softmax is all on true pairs has nothing to draw.
        generator: source of chance; torch's global one unless given.

    Returns:
        int64 `[B]`, a text for each picture, and int64 `[B]`, a picture for each text; -1 where every text (picture) is
        true and there is none to draw.

    Raises:
        ValueError: Shapes, no negative in the whole batch, or a row in which all of them have weight 0.
    """
    if similarity.ndim != 2 or similarity.shape[0] != similarity.shape[1] or similarity.shape != same.shape:
        raise ValueError(f"need two [B, B] matrices, got {tuple(similarity.shape)} and {tuple(same.shape)}")
    logits = similarity.detach().float()
    return _draw(logits, same, smoothing, generator, "picture"), _draw(logits.T, same.T, smoothing, generator, "text")


def same_texts(ids: Tensor) -> Tensor:
    """Which pairs of rows have one id: `[B]` ids -> bool `[B, B]`, for `hard_negatives` and `region_contrast_loss`.

    Example:
        >>> same_texts(torch.tensor([7, 4, 7])).int().tolist()
        [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    """
    return ids[:, None] == ids


def matching_loss(matched: Tensor, unmatched: Tensor) -> Tensor:
    """Cross-entropy over matched (class 1) and not matched (class 0), mean over all rows.

    Args:
        matched: `[B, 2]` logits of true pairs.
        unmatched: `[K, 2]` logits of false ones; `2 * B` with `hard_negatives`, more with hard-negative captions.
    """
    logits = torch.cat([matched, unmatched])
    labels = torch.arange(len(logits), device=logits.device) < len(matched)
    return F.cross_entropy(logits.to(_wide(logits)), labels.long())


def masked_language_loss(logits: Tensor, words: Tensor) -> Tensor:
    """Cross-entropy of the words that were hidden, mean over them; 0 where none was.

    Args:
        logits: `[M, V]` at the hidden places, of all texts together.
        words: int64 `[M]`, the token ids that stood there.
    """
    if not len(words):
        return logits.sum()
    return F.cross_entropy(logits.to(_wide(logits)), words)


def region_contrast_loss(
    region: Tensor, text: Tensor, logit_scale: Tensor | float, same: Tensor | None = None
) -> Tensor:
    """Contrast between regions and their texts; regions of one picture are each other's negatives.

    A text can be true of other regions than its own, above all where regions are shown as their whole picture. With
    `same` the target of a row is spread evenly over its true columns. (Texts that are equal cost the same either way.)

    Args:
        region: `[B, D]` unit rows.
        text: `[B, D]` unit rows.
        logit_scale: factor on the cosines.
        same: bool `[B, B]`, true pairs, regions in rows; None for the diagonal alone, which is `clip_loss`.

    Raises:
        ValueError: Shapes, or a row or column without a true pair.
    """
    if same is None:
        return clip_loss(region, text, logit_scale)
    if region.ndim != 2 or region.shape != text.shape or same.shape != (len(region), len(region)):
        raise ValueError(
            f"need regions [B, D], texts [B, D] and same [B, B], got {tuple(region.shape)}, {tuple(text.shape)} and "
            f"{tuple(same.shape)}"
        )
    if not bool(same.any(0).all() & same.any(1).all()):
        raise ValueError("every region and every text needs a true pair in same; its diagonal should be True")
    with torch.autocast(region.device.type, enabled=False):
        wide = _wide(region, text)
        logits = logit_scale * region.to(wide) @ text.to(wide).T
        return (_spread(logits, same) + _spread(logits.T, same.T)) / 2


def negclip_loss(image: Tensor, text: Tensor, negatives: Tensor, logit_scale: Tensor | float) -> Tensor:
    """CLIP's loss with captions made false by one edit as further columns for image to text (NegCLIP).

    A false caption has no picture of its own, so text to image stays as it is.

    Args:
        image: `[B, D]` unit rows.
        text: `[B, D]` unit rows.
        negatives: `[K, D]` unit rows, columns for every image; with K = 0 this is `clip_loss`.
        logit_scale: factor on the cosines.

    Raises:
        ValueError: Shapes do not fit.
    """
    if image.ndim != 2 or image.shape != text.shape or negatives.shape[1:] != text.shape[1:]:
        raise ValueError(
            f"need images [B, D], texts [B, D] and negatives [K, D], got {tuple(image.shape)}, {tuple(text.shape)} "
            f"and {tuple(negatives.shape)}"
        )
    with torch.autocast(image.device.type, enabled=False):
        wide = _wide(image, text, negatives)
        image, text, negatives = image.to(wide), text.to(wide), negatives.to(wide)
        target = torch.arange(len(image), device=image.device)
        to_text = F.cross_entropy(logit_scale * image @ torch.cat([text, negatives]).T, target)
        to_image = F.cross_entropy(logit_scale * text @ image.T, target)
    return (to_text + to_image) / 2


def _wide(*tensors: Tensor) -> torch.dtype:
    """The widest of the types, at least float32."""
    wide = torch.float32
    for tensor in tensors:
        wide = torch.promote_types(wide, tensor.dtype)
    return wide


def _giou(one: Tensor, other: Tensor) -> Tensor:
    """Generalised IoU, row by row, of cxcywh boxes `[N, 4]`."""
    (low, high), (low2, high2) = _corners(one), _corners(other)
    overlap = (torch.minimum(high, high2) - torch.maximum(low, low2)).clamp(min=0).prod(1)
    union = (high - low).prod(1) + (high2 - low2).prod(1) - overlap
    hull = (torch.maximum(high, high2) - torch.minimum(low, low2)).prod(1)
    return _ratio(overlap, union) - _ratio(hull - union, hull)


def _corners(boxes: Tensor) -> tuple[Tensor, Tensor]:
    centre, half = boxes[:, :2], boxes[:, 2:].clamp(min=0) / 2
    return centre - half, centre + half


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """0 where the whole is 0. The inner `where` keeps NaN out of the gradient of the branch not taken."""
    solid = whole > 0
    return torch.where(solid, part / torch.where(solid, whole, torch.ones_like(whole)), torch.zeros_like(whole))


def _draw(logits: Tensor, same: Tensor, smoothing: float, generator: torch.Generator | None, what: str) -> Tensor:
    weights, none = (logits.softmax(1) + smoothing).masked_fill(same, 0.0), same.all(1)
    if bool(none.all()):
        raise ValueError("every text of the batch is true of every picture: use a larger batch, or texts that differ")
    weights[none] = 1.0
    weightless = (weights.sum(1) == 0).nonzero().flatten()
    if len(weightless):
        raise ValueError(f"all negatives of {what} {int(weightless[0])} have weight 0; use smoothing above 0")
    return torch.multinomial(weights, 1, generator=generator)[:, 0].masked_fill(none, -1)


def _spread(logits: Tensor, same: Tensor) -> Tensor:
    share = same.to(logits.dtype)
    return F.cross_entropy(logits, share / share.sum(1, keepdim=True))

"""What drove a score: maps of a picture. Whether such a map says anything, `percept.evaluation.faithfulness` tests.

All is computed in float32, whatever the encoder's precision.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from percept.data.views import Views, view_corners
from percept.evaluation.arrays import to_numpy
from percept.models.heads import MLPHead
from percept.models.prefix import tower_blocks
from percept.models.towers import tower_features
from percept.training.rate import Rated
from percept.training.scorer import OF_SHARES, view_side

Score = Callable[[Tensor], Tensor]
METHODS = ("integrated_gradients", "gradient_attention", "occlusion")


@dataclass(frozen=True, eq=False)
class PixelScore:
    """A trained score as a differentiable function of preprocessed pixels; make it with `differentiable_score`."""

    rated: Rated
    head: MLPHead
    output: int | None

    def __call__(self, pixels: Tensor) -> Tensor:
        """float32 [B] of preprocessed pixels [B, 3, S, S] on any device: what `Rated.raw` says of each view."""
        encoder, kind = self.rated.encoder, self.rated.config.kind
        pixels = pixels.to(encoder.device)
        if kind == "embedding" and encoder.tokenizer is not None:
            features = encoder.visual(pixels)
        else:
            features = tower_features(encoder.visual, pixels, "global" if kind == "embedding" else kind)
        rows: Tensor = self.head(features)
        shares = self.output is not None
        return rows.softmax(1)[:, self.output] if shares else rows * self.rated.unit + self.rated.centre


class ViewPixels(NamedTuple):
    """Views of pictures: uint8 [M, S, S, 3], preprocessed float32 [M, 3, S, S], and which picture each is of [M]."""

    views: np.ndarray
    pixels: Tensor
    owner: np.ndarray


def differentiable_score(rated: Rated, output: int | None = None) -> PixelScore:
    """Return a trained score as a function whose gradient reaches the pixels.

    Args:
        rated: a trained score.
        output: which share, for a score of shares (an emotion, say); None for one score.

    Raises:
        ValueError: an output for one score, none for shares, or one that does not exist.
    """
    head = copy.deepcopy(rated.head).to(rated.encoder.device).eval()
    count = len(head.layers[-1].bias) if rated.config.loss in OF_SHARES else 0  # type: ignore[arg-type]
    if (output not in range(count)) if count else output is not None:
        wanted = f"one of 0..{count - 1}, it predicts shares" if count else "None, it is one score"
        raise ValueError(f"output of a score trained with loss {rated.config.loss!r} must be {wanted}; got {output}")
    return PixelScore(rated, head, output)


def view_pixels(rated: Rated, pictures: Any) -> ViewPixels:
    """Cut pictures, as in `percept.data.views.Views`, into the views that a score reads."""
    views = Views(pictures, view_side(rated.encoder), rated.config.most_views)
    cut = views(np.arange(len(views)))
    return ViewPixels(cut, rated.encoder.preprocess.scale(torch.from_numpy(cut)), views.owner)


def blurred(pixels: Tensor) -> Tensor:
    """Pixels [N, 3, H, W] under a Gaussian blur of H / 8: colours stay roughly where they are, things are gone."""
    from scipy.ndimage import gaussian_filter

    spread = pixels.shape[2] / 8
    return torch.from_numpy(gaussian_filter(to_numpy(pixels), (0, 0, spread, spread), mode="nearest"))


def score_map(
    score: Score, pixels: Tensor, method: str = "integrated_gradients", *, baseline: Tensor | None = None,
    steps: int = 32, tile: int = 8, batch_size: int = 64,
) -> np.ndarray:  # fmt: skip
    """Say which pixels of each picture raised (above 0) or lowered (below 0) its score.

    - "integrated_gradients" (Sundararajan et al. 2017): gradients along the straight way from baseline to picture,
      times the way. Complete: a map adds up to score(picture) - score(baseline), up to the error of `steps`.
    - "gradient_attention": gradient times state, summed over channels, of each patch that enters the last block
      (stage of a conv net), enlarged. Where a ViT reads its class token this is what the last attention takes from
      the patch; for a conv net it is close to Grad-CAM (Selvaraju et al. 2017). Coarse, and not complete.
    - "occlusion" (Zeiler and Fergus 2014): loss of score when a tile shows the baseline. Needs no gradient, so it is
      the check of the other two.

    Args:
        score: preprocessed pixels [B, 3, H, W] to [B], each picture for itself; "gradient_attention" needs one of
            `differentiable_score`.
        pixels: float [N, 3, H, W], as from `view_pixels`.
        method: one of the three.
        baseline: what "not there" looks like, like `pixels`; `blurred` unless given. Of a score of sharpness a
            blurred baseline explains sharpness and nothing else.
        steps: points on the way, of integrated gradients.
        tile: side in pixels, of occlusion.
        batch_size: pictures per pass.

    Returns:
        float64 [N, H, W].

    Raises:
        ValueError: pixels, baseline or settings that do not fit; a score that is not [B], not finite, or has no
            gradient.

    Example:
        >>> pixels = torch.rand(2, 3, 16, 16)
        >>> maps = score_map(lambda x: x[:, 0, :8].mean((1, 2)), pixels)
        >>> maps.shape, bool((maps[:, 8:] == 0).all())
        ((2, 16, 16), True)
    """
    start = checked_pixels(pixels, baseline)
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if steps < 1 or batch_size < 1 or not 1 <= tile <= min(pixels.shape[2:]):
        raise ValueError(f"steps and batch_size must be at least 1 and tile lie in 1..{min(pixels.shape[2:])}, got "
                         f"{steps}, {batch_size} and {tile}")  # fmt: skip
    maps = []
    for part, plain in zip(pixels.split(batch_size), start.split(batch_size), strict=True):
        if method == "integrated_gradients":
            found = _integrated_gradients(score, part, plain, steps)
        elif method == "occlusion":
            found = _occlusion(score, part, plain, tile)
        else:
            found = _gradient_attention(score, part)
        maps.append(found.detach().double().cpu())
    return torch.cat(maps).numpy()


def checked_pixels(pixels: Tensor, baseline: Tensor | None) -> Tensor:
    """Return the baseline, or raise a ValueError that says what is wrong with pixels or baseline."""
    if pixels.ndim != 4 or pixels.shape[1] != 3 or 0 in pixels.shape or not pixels.is_floating_point():
        raise ValueError(f"pixels must be preprocessed, float [N, 3, H, W], got {pixels.dtype} {list(pixels.shape)}")
    start = blurred(pixels).to(pixels.device) if baseline is None else baseline
    if start.shape != pixels.shape:
        raise ValueError(f"baseline must have the shape of pixels, {list(pixels.shape)}, got {list(start.shape)}")
    for name, values in {"pixels": pixels, "baseline": start}.items():
        if not bool(torch.isfinite(values).all()):
            raise ValueError(f"{name} hold a value that is not a finite number")
    return start


def values_of(score: Score, pixels: Tensor) -> Tensor:
    """Return the scores [B] of pixels [B, 3, H, W], or raise a ValueError if they are none."""
    out = score(pixels)
    if out.shape != (len(pixels),):
        raise ValueError(f"score must return one number per picture, [{len(pixels)}], got {list(out.shape)}")
    if not bool(torch.isfinite(out).all()):
        raise ValueError("score is not a finite number for some picture")
    return out


def _gradient(out: Tensor, inputs: Tensor) -> Tensor:
    if not out.requires_grad:
        raise ValueError("score has no gradient (is it computed under no_grad?); method 'occlusion' needs none")
    return torch.autograd.grad(out.sum(), inputs)[0]


def _integrated_gradients(score: Score, pixels: Tensor, start: Tensor, steps: int) -> Tensor:
    total = torch.zeros_like(pixels)
    for step in range(steps):
        point = torch.lerp(start, pixels, (step + 0.5) / steps).requires_grad_()
        total += _gradient(values_of(score, point), point)
    return ((pixels - start) * total / steps).sum(1)


def _gradient_attention(score: Score, pixels: Tensor) -> Tensor:
    if not isinstance(score, PixelScore):
        raise ValueError("gradient_attention reads inside the tower: pass a score of differentiable_score(rated)")
    kept: list[Tensor] = []
    last = tower_blocks(score.rated.encoder.visual)[2][-1]
    handle = last.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    try:
        out = values_of(score, pixels.detach().requires_grad_())
    finally:
        handle.remove()
    taken = kept[0] * _gradient(out, kept[0])
    if taken.ndim == 3:  # tokens [B, L, D]: class and register tokens come first, then a square of patches
        side = isqrt(taken.shape[1])
        taken = taken[:, -side * side :].transpose(1, 2).unflatten(2, (side, side))
    return F.interpolate(taken.sum(1, keepdim=True), size=pixels.shape[2:], mode="bilinear")[:, 0]


@torch.no_grad()
def _occlusion(score: Score, pixels: Tensor, start: Tensor, tile: int) -> Tensor:
    whole = values_of(score, pixels)
    lost, covered = torch.zeros_like(pixels[:, 0]), torch.zeros_like(pixels[:1, 0])
    rows, columns = (view_corners(length, tile, length).tolist() for length in pixels.shape[2:])
    for top in rows:
        for left in columns:
            place = (..., slice(top, top + tile), slice(left, left + tile))
            hidden = pixels.clone()
            hidden[place] = start[place]
            lost[place] += (whole - values_of(score, hidden)).to(lost)[:, None, None]
            covered[place] += 1
    return lost / covered

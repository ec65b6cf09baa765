"""What an image tower gives besides its embedding: global, class-and-patch, and patch features."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import nn

Kind = Literal["global", "cls_patch", "patch"]


class NoSuchFeature(ValueError):  # noqa: N818 - says what is missing
    """The image tower has no features of the kind that was asked for."""


def check_kind(kind: str) -> None:
    """Raise ValueError unless ``kind`` is one of the three kinds of features."""
    if kind not in get_args(Kind):
        raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}, got {kind!r}")


def tower_features(tower: nn.Module, pixels: torch.Tensor, kind: str) -> torch.Tensor:
    """Return features of an image tower.

    Args:
        tower: ``model.visual`` of an open_clip model, or a timm model.
        pixels: Preprocessed pictures, [N, 3, H, W].
        kind: ``"global"`` [N, D]: the pooled token after the final norm, before any projection to the
            text space (conv nets: the pooled last feature map; CLIP ResNets: their attention pool,
            which is pooling and projection in one). ``"patch"`` [N, D, h, w]: patch tokens after the
            final norm on their grid (conv nets: the last feature map). ``"cls_patch"`` [N, 2D]: class
            token and mean patch token of the last block *before* the final norm, side by side.

    Returns:
        The features.

    Raises:
        NoSuchFeature: If the tower has none of that kind; ``cls_patch`` needs a class token.
    """
    from open_clip.modified_resnet import ModifiedResNet
    from open_clip.timm_model import TimmModel
    from open_clip.transformer import VisionTransformer

    check_kind(kind)
    if isinstance(tower, VisionTransformer):
        return _clip_vit(tower, pixels, kind)
    if isinstance(tower, ModifiedResNet):
        return _clip_resnet(tower, pixels, kind)
    if isinstance(tower, TimmModel):
        return _timm(tower.trunk, pixels, kind)
    if hasattr(tower, "forward_features") and hasattr(tower, "forward_head"):
        return _timm(tower, pixels, kind)
    raise NoSuchFeature(f"features of a {type(tower).__name__} are not known; encode_images works")


def _clip_vit(tower: Any, pixels: torch.Tensor, kind: str) -> torch.Tensor:
    out = tower.forward_intermediates(pixels, indices=1, intermediates_only=True, output_extra_tokens=True)
    grid, prefix = out["image_intermediates"][-1], out["image_intermediates_prefix"][-1]
    if kind == "cls_patch":
        return torch.cat([prefix[:, 0], grid.flatten(2).mean(-1)], dim=-1)
    if kind == "patch":
        # With an attention pooler the final norm acts after pooling and does not fit the tokens.
        return grid if tower.attn_pool is not None else _norm_grid(tower.ln_post, grid)
    pooled, _ = tower._pool(torch.cat([prefix, grid.flatten(2).transpose(1, 2)], dim=1))
    return _need_vector(pooled, tower)


def _norm_grid(norm: nn.Module, grid: torch.Tensor) -> torch.Tensor:
    normed: torch.Tensor = norm(grid.permute(0, 2, 3, 1))
    return normed.permute(0, 3, 1, 2)


def _clip_resnet(tower: Any, pixels: torch.Tensor, kind: str) -> torch.Tensor:
    if kind == "cls_patch":
        raise NoSuchFeature("cls_patch needs a class token; a CLIP ResNet has none. Use 'global' or 'patch'")
    out = tower.forward_intermediates(pixels, indices=1, intermediates_only=kind == "patch")
    features: torch.Tensor = out["image_intermediates"][-1] if kind == "patch" else out["image_features"]
    return features


def _timm(trunk: Any, pixels: torch.Tensor, kind: str) -> torch.Tensor:
    if kind == "global":
        return _need_vector(trunk.forward_head(trunk.forward_features(pixels), pre_logits=True), trunk)
    prefix_tokens = getattr(trunk, "num_prefix_tokens", None)
    if prefix_tokens is None:
        return _timm_map(trunk, pixels, kind)
    if kind == "patch":
        grid: torch.Tensor = trunk.forward_intermediates(
            pixels, indices=1, norm=True, intermediates_only=True, output_fmt="NCHW"
        )[-1]
        return grid
    if not prefix_tokens or getattr(trunk, "cls_token", None) is None:
        raise NoSuchFeature(f"cls_patch needs a class token; this {type(trunk).__name__} has none")
    grid, prefix = trunk.forward_intermediates(
        pixels, indices=1, norm=False, intermediates_only=True, output_fmt="NCHW", return_prefix_tokens=True
    )[-1]
    return torch.cat([prefix[:, 0], grid.flatten(2).mean(-1)], dim=-1)


def _timm_map(trunk: Any, pixels: torch.Tensor, kind: str) -> torch.Tensor:
    if kind == "cls_patch":
        raise NoSuchFeature(
            f"cls_patch needs a class token; a {type(trunk).__name__} has none. Use 'global' or 'patch'"
        )
    features: torch.Tensor = trunk.forward_features(pixels)
    if features.ndim != 4:
        raise NoSuchFeature(f"a {type(trunk).__name__} gives no feature map (shape {list(features.shape)})")
    return features.permute(0, 3, 1, 2) if getattr(trunk, "output_fmt", "NCHW") == "NHWC" else features


def _need_vector(pooled: torch.Tensor, tower: nn.Module) -> torch.Tensor:
    if pooled.ndim != 2:
        raise NoSuchFeature(
            f"this {type(tower).__name__} pools to {list(pooled.shape)} instead of one vector per picture; "
            "use encode_images"
        )
    return pooled

"""Losses: pure functions of tensors."""

from percept.losses.contrastive import clip_loss, siglip_loss

__all__ = ["clip_loss", "siglip_loss"]

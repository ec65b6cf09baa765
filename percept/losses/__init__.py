"""Losses: pure functions of tensors."""

from percept import _lazy

_HOMES = {"clip_loss": "contrastive", "siglip_loss": "contrastive"}
__all__ = list(_HOMES)
__getattr__ = _lazy.names(__name__, _HOMES)

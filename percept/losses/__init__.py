"""Losses: pure functions of tensors."""

from percept.losses.contrastive import clip_loss, siglip_loss
from percept.losses.triplets import (
    feature_distillation_loss,
    glocal_triplet_loss,
    local_similarity_loss,
    triplet_hinge_loss,
)

__all__ = [
    "clip_loss",
    "feature_distillation_loss",
    "glocal_triplet_loss",
    "local_similarity_loss",
    "siglip_loss",
    "triplet_hinge_loss",
]

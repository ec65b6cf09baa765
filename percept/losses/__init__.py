"""Losses: pure functions of tensors. Names are imported when first used."""

from importlib import import_module
from typing import Any

_HOME = {
    "clip_loss": "contrastive",
    "siglip_loss": "contrastive",
    "feature_distillation_loss": "triplets",
    "glocal_triplet_loss": "triplets",
    "local_similarity_loss": "triplets",
    "triplet_hinge_loss": "triplets",
    "box_loss": "regions",
    "distribution_loss": "ratings",
    "emd_loss": "ratings",
    "fidelity_loss": "ratings",
    "pearson_loss": "ratings",
    "ranking_loss": "ratings",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])

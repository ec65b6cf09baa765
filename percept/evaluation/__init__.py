"""Measures: arrays in, numbers with intervals out. Nothing here trains."""

from percept import _lazy

_HOMES = {
    "bootstrap_interval": "statistics",
    "class_weights": "zero_shot",
    "few_shot_curve": "few_shot",
    "linear_probe": "few_shot",
    "paired_difference": "statistics",
    "recall_at_k": "retrieval",
    "seed_interval": "statistics",
    "zero_shot_accuracy": "zero_shot",
}
__all__ = list(_HOMES)
__getattr__ = _lazy.names(__name__, _HOMES)

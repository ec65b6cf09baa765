"""Measures: arrays in, plain numbers and intervals out. Names are imported when first used."""

from importlib import import_module
from typing import Any

_HOME = {
    "Interval": "statistics",
    "bootstrap_interval": "statistics",
    "crossed_interval": "statistics",
    "paired_difference": "statistics",
    "seed_interval": "statistics",
    "shuffled_control": "statistics",
    "wilson_interval": "statistics",
    "class_weights": "zero_shot",
    "classify": "zero_shot",
    "zero_shot_accuracy": "zero_shot",
    "add_category": "prompts",
    "compare_vocabularies": "prompts",
    "prompt_bias": "prompts",
    "prompt_spread": "prompts",
    "image_text_retrieval": "retrieval",
    "recall_at_k": "retrieval",
    "relevant_ranks": "retrieval",
    "few_shot_curve": "few_shot",
    "linear_probe": "few_shot",
    "accuracy_by_shift": "shifts",
    "jnd_map": "similarity",
    "odd_one_out_accuracy": "similarity",
    "two_alternative_items": "similarity",
    "two_alternative_score": "similarity",
    "accuracy": "correlation",
    "human_ceiling": "correlation",
    "kl_divergence": "correlation",
    "krcc": "correlation",
    "median_over_splits": "correlation",
    "plcc": "correlation",
    "rmse": "correlation",
    "srcc": "correlation",
    "within_groups": "correlation",
    "fit_logistic": "logistic",
    "Scale": "calibration",
    "conformal_half_width": "calibration",
    "fit_scale": "calibration",
    "pairwise_accuracy": "probe_rules",
    "winoground_scores": "probe_rules",
    "score_table": "probe_tables",
    "CosineScorer": "probe_scores",
    "ProbeResult": "probes",
    "CalibratedScorer": "probe_calibration",
    "expected_calibration_error": "probe_calibration",
    "platt": "probe_calibration",
    "siglip_curve": "probe_calibration",
    "TrigramModel": "text_baselines",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])

"""Study: who tells the quality of a photograph it has never seen, and from what?

Crops of seven photographs, each with KADID-10k's 25 distortions at 5 levels; the labels are KADID cell means (mean
opinion of KADID's raters for that distortion and level), no ratings of these photographs. Splits by photograph: four to
learn from, one to choose by, two to score on; a seed is another split. All ways see the same crops, in views at native
resolution (percept-tiny: four of 64 px, EfficientNet-Lite0: one of 128 px), and are scored by rank and linear
correlation: overall, within a distortion (across its levels) and within a level (across distortions). The oracles know
the distortion, the level, or both, and nothing of the picture. "LoRA" splits the attention's matrix into query, key
and value, "LoRA, fused" adapts it as one (peft's way). Shuffled labels are the negative control; it keeps its last
state, since true labels that choose an epoch would teach it. Predictions that are all the same correlate 0.
"""

from functools import cache

import numpy as np

from percept import load_encoder
from percept.data.natural_scene import natural_scene_statistics
from percept.data.quality import cell_oracle, every_split, level_oracle, quality_bench, type_oracle
from percept.evaluation.correlation import krcc, plcc, srcc, within_groups
from percept.models.adapters import adapter_parameters
from percept.training.prompt_tuning import learn_prompt
from percept.training.rate import RateConfig, rate
from percept.training.score_baselines import ANTONYMS, antonym_scores, features_of, kernel_scores, ridge_scores

BUDGET = {
    "size": 128, "crops_per_photograph": 4, "epochs": 8, "patience": 3, "learning_rate": 3e-4, "batch_size": 32,
    "full_learning_rate": 1e-4, "views": {"percept-tiny": 2, "efficientnet-lite0": 1},
}  # fmt: skip
ENCODERS = ("percept-tiny", "efficientnet-lite0")
WAYS = ("ridge", "kernel", "head", "LoRA", "full")
ARMS = [
    "oracles", "natural-scene statistics", *(f"{encoder}: {way}" for encoder in ENCODERS for way in WAYS),
    "percept-tiny: antonyms", "percept-tiny: learned prompt", "percept-tiny: LoRA, fused",
    "percept-tiny: LoRA, shuffled labels",
]  # fmt: skip
SEEDS = list(range(10))


@cache
def _bench():
    return quality_bench(BUDGET["size"], BUDGET["crops_per_photograph"])


@cache
def _splits():
    """Splits in an order of their own, so that ten of the 105 use every photograph for the test."""
    found = list(every_split(_bench()))
    return [found[row] for row in np.random.default_rng(0).permutation(len(found))]


@cache
def _encoder(name: str):
    return load_encoder(name, device="cpu", image_size=128 if name == "efficientnet-lite0" else None)


@cache
def _features(name: str) -> np.ndarray:
    if name == "natural-scene statistics":
        return natural_scene_statistics(_bench().pictures)
    return features_of(_encoder(name), _bench().pictures, most_views=BUDGET["views"][name])


def run(arm: str, seed: int, budget: dict) -> dict[str, float]:
    """Agreement with the cell means of the test photographs."""
    bench, split = _bench(), _splits()[seed]
    name, _, way = arm.partition(": ")
    if arm == "oracles":
        rows = (bench.score, split.train, split.test)
        return {
            f"{which}, {figure}": value
            for which, predicted in {
                "type": type_oracle(bench.kind, *rows), "level": level_oracle(bench.level, *rows),
                "type and level": cell_oracle(bench.kind, bench.level, *rows),
            }.items()
            for figure, value in _figures(predicted, split.test).items()
        }  # fmt: skip
    if way in ("head", "full") or way.startswith("LoRA"):
        return _trained(name, way, split, seed, budget)
    return _figures(_read_out(name, way, split, seed), split.test)


def _read_out(name: str, way: str, split, seed: int) -> np.ndarray:
    """Predictions from features that are computed once."""
    bench = _bench()
    if way == "antonyms":
        good, bad = ANTONYMS["en"]["quality"]
        return antonym_scores(_encoder(name), bench.pictures[split.test], good, bad)
    x = _features(name)
    parts = (x[split.train], bench.score[split.train], x[split.validate], bench.score[split.validate])
    if way == "learned prompt":
        good, bad = (words[0] for words in ANTONYMS["en"]["quality"])
        return learn_prompt(_encoder(name), *parts, good, bad, seed=seed).predict(x[split.test])
    if way == "kernel":
        return kernel_scores(*parts, x[split.test])
    return ridge_scores(*parts, x[split.test], standardise=name == "natural-scene statistics")


def _trained(name: str, way: str, split, seed: int, budget: dict) -> dict[str, float]:
    bench = _bench()
    given = bench.score[split.train]
    if way.endswith("shuffled labels"):
        given = np.random.default_rng(seed).permutation(given)
    method = {"head": "head", "full": "full"}.get(way, "lora")
    config = RateConfig(
        method, "pearson", epochs=budget["epochs"], patience=budget["patience"], batch_size=budget["batch_size"],
        learning_rate=budget["full_learning_rate" if method == "full" else "learning_rate"], seed=seed,
        most_views=budget["views"][name], precision="bf16", route="mha" if way == "LoRA, fused" else "auto",
    )  # fmt: skip
    held = None if "shuffled" in way else (bench.pictures[split.validate], bench.score[split.validate])
    rated = rate(_encoder(name), bench.pictures[split.train], given, held, config, device="cpu", progress=None)
    numbers = _figures(rated.raw(bench.pictures[split.test]), split.test)
    if method == "lora":
        numbers["adapter parameters"] = float(sum(each.numel() for each in adapter_parameters(rated.encoder).values()))
    return numbers | {"best epoch": float(rated.best_epoch), "seconds": rated.seconds}


def _figures(predicted: np.ndarray, rows: np.ndarray) -> dict[str, float]:
    bench = _bench()
    truth, kind, level = bench.score[rows], bench.kind[rows], bench.level[rows]
    found = {"SRCC": srcc(predicted, truth), "KRCC": krcc(predicted, truth), "PLCC": plcc(predicted, truth)}
    if np.ptp(predicted) > 0:
        found["PLCC, fitted"] = plcc(predicted, truth, fit="logistic4")
        found["SRCC within a distortion"] = within_groups(srcc, predicted, truth, kind).value
        found["SRCC within a level"] = within_groups(srcc, predicted, truth, level).value
    return {name: float(np.nan_to_num(value)) for name, value in found.items()}

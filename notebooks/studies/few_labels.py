"""Study: how many labels does a score need, and from how many on is it worth tuning the encoder itself?

Three tasks: quality of photographs (KADID cell means of distorted crops), memorability and emotion of scenes (simulated
raters; emotion as shares of eight answers). A number of labels counts everything: a fifth of them, at least five,
chooses the regularisation or the epoch. Ridge, kernel regression and a small network read cached features; LoRA tunes
the encoder at three of the numbers, for as many epochs as give few labels enough steps. "pseudo-labels" trains the
network again on its own answers to unlabelled pictures. Scores are measured by rank correlation (0 where all
predictions are the same), emotions by the Kullback-Leibler divergence of the shares and by how often the commonest
answer is named. A seed is another draw of pictures, raters and labels; quality is tested on two photographs that gave
no label.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from percept import load_encoder
from percept.data.quality import every_split, quality_bench
from percept.data.score_panel import emotion_opinions, memorability_opinions
from percept.evaluation.correlation import accuracy, kl_divergence, srcc
from percept.training.rate import RateConfig, rate
from percept.training.score_baselines import features_of, kernel_scores, ridge_scores

BUDGET = {
    "labels": [10, 20, 50, 100, 200, 800], "lora_labels": [50, 200, 800], "pseudo_labels": [50], "test": 600,
    "unlabelled": 800, "epochs": 40, "lora_epochs": [40, 20, 10], "patience": 5, "learning_rate": 1e-3,
    "batch_size": 16,
}  # fmt: skip
TASKS = ("quality", "memorability", "emotion")
WAYS = ("ridge", "kernel", "head", "head, shuffled labels", "head, pseudo-labels", "LoRA")
ARMS = [
    *(f"{task}: {way}" for task in TASKS for way in ("ceiling", *WAYS)),
    *(f"{task}: efficientnet-lite0: {way}" for task in TASKS for way in ("ridge", "head")),
]
SEEDS = list(range(10))


class Part(NamedTuple):
    """Pictures uint8 [N, S, S, 3] with what is said of them, [N] or shares [N, K], and what the panel tends to say."""

    pictures: np.ndarray
    labels: np.ndarray
    truth: np.ndarray


@cache
def _encoder(name: str):
    return load_encoder(name, device="cpu", image_size=64 if name == "efficientnet-lite0" else None)


@cache
def _bench():
    return quality_bench(64, 6)


@cache
def _parts(task: str, seed: int) -> dict[str, Part]:
    """Pictures to label, unlabelled ones, and test pictures."""
    sizes = {"label": max(BUDGET["labels"]), "unlabelled": BUDGET["unlabelled"], "test": BUDGET["test"]}
    if task == "quality":
        bench, splits = _bench(), list(every_split(_bench()))
        split = splits[int(np.random.default_rng([seed, 1]).integers(len(splits)))]
        rng = np.random.default_rng([seed, 2])
        known, asked = rng.permutation(np.r_[split.train, split.validate]), rng.permutation(split.test)
        first = sizes["label"]
        rows = {"label": known[:first], "unlabelled": known[first : first + sizes["unlabelled"]]}
        rows["test"] = asked[: sizes["test"]]
        return {part: Part(bench.pictures[own], bench.score[own], bench.score[own]) for part, own in rows.items()}
    ask = emotion_opinions if task == "emotion" else memorability_opinions
    made = {
        part: ask("test" if part == "test" else "tune", n, seed) for part, n in sizes.items() if part != "unlabelled"
    }
    made["unlabelled"] = ask("validate", sizes["unlabelled"], seed)
    column = slice(None) if task == "emotion" else 0
    return {part: Part(own.pictures, own.shares[:, column], own.truth[:, column]) for part, own in made.items()}


def run(arm: str, seed: int, budget: dict) -> dict[str, float]:
    """Figures of one way for every number of labels."""
    task, *rest = arm.split(": ")
    name, way = (rest[0], rest[1]) if len(rest) == 2 else ("percept-tiny", rest[0])
    parts = _parts(task, seed)
    if way == "ceiling":
        return _figures(parts["test"].truth, parts["test"])
    counts = {"LoRA": budget["lora_labels"], "head, pseudo-labels": budget["pseudo_labels"]}.get(way, budget["labels"])
    numbers = {}
    for count in counts:
        predicted = _predicted(name, way, task, count, seed, budget)
        numbers |= {f"{figure}@{count}": value for figure, value in _figures(predicted, parts["test"]).items()}
    return numbers


def _predicted(name: str, way: str, task: str, count: int, seed: int, budget: dict) -> np.ndarray:
    parts = _parts(task, seed)
    known = parts["label"]
    held = max(5, count // 5)
    labels = known.labels[:count]
    if "shuffled" in way:
        labels = np.random.default_rng(seed).permutation(labels)
    train, chosen = slice(held, count), slice(0, held)
    if way in ("ridge", "kernel"):
        rows, asked = (_features(name, task, seed, part) for part in ("label", "test"))
        given = rows[train], labels[train], rows[chosen], labels[chosen], asked
        return _read_out(ridge_scores if way == "ridge" else kernel_scores, *given)
    pictures, targets = known.pictures[train], labels[train]
    epochs = budget["lora_epochs"][budget["lora_labels"].index(count)] if way == "LoRA" else budget["epochs"]
    given = (known.pictures[chosen], labels[chosen]), seed, epochs, budget
    rated = _trained(name, way, pictures, targets, *given)
    if "pseudo" in way:
        more = parts["unlabelled"].pictures
        targets = np.concatenate([targets, _unit(rated.raw(more), labels)])
        pictures = np.concatenate([pictures, more])
        rated = _trained(name, way, pictures, targets, *given)
    return rated.raw(parts["test"].pictures)


def _unit(raw: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Answers to unlabelled pictures on the scale of the labels; shares are on it already."""
    if raw.ndim == 2:
        return raw
    spread = max(float(raw.std()), 1e-12)
    return (raw - raw.mean()) / spread * labels.std() + labels.mean()


@cache
def _features(name: str, task: str, seed: int, part: str) -> np.ndarray:
    return features_of(_encoder(name), _parts(task, seed)[part].pictures, most_views=1)


def _read_out(method, x, y, val_x, val_y, test_x) -> np.ndarray:
    if y.ndim == 1:
        return method(x, y, val_x, val_y, test_x)
    columns = []
    for k in range(y.shape[1]):
        if np.ptp(y[:, k]) == 0 or np.ptp(val_y[:, k]) == 0:  # nobody named it, or nothing to choose by
            columns.append(np.full(len(test_x), y[:, k].mean()))
        else:
            columns.append(method(x, y[:, k], val_x, val_y[:, k], test_x))
    shares = np.clip(np.stack(columns, 1), 1e-3, None)
    return shares / shares.sum(1, keepdims=True)


def _trained(name, way, pictures, targets, held, seed: int, epochs: int, budget: dict):
    config = RateConfig(
        "lora" if way == "LoRA" else "head", "shares" if targets.ndim == 2 else "pearson", seed=seed, most_views=1,
        epochs=epochs, patience=budget["patience"],
        batch_size=budget["batch_size"], learning_rate=budget["learning_rate"], precision="bf16",
    )  # fmt: skip
    return rate(_encoder(name), pictures, targets, held, config, device="cpu", progress=None)


def _figures(predicted: np.ndarray, test: Part) -> dict[str, float]:
    if predicted.ndim == 1:
        return {"SRCC": float(np.nan_to_num(srcc(predicted, test.labels)))}
    named = accuracy(predicted.argmax(1), test.labels.argmax(1))
    return {"KL": float(kl_divergence(predicted, test.labels)), "accuracy": float(named)}

"""Study: which way of using judgments agrees best with people, and what each pays for it.

Simulated raters judge edited scenes (mid-level). All ways learn from the same judgments and are scored on the same
held-out ones; "frozen" holds everything that leaves the encoder as it is: the read-outs of the features that are tuned,
and of the other kinds of features, because LoRA deserves credit only for what it adds to the best of them. "protected"
adds feature distillation and the preservation of local similarity, on the judged pictures. Shuffled votes are the
negative control: all epochs, the last state, so that stopping early cannot hide what such training does. LoRA sits in
the last four of the six blocks of percept-tiny and tunes its embedding (whose read-out is scored too, as "2AFC,
read-out"), full fine-tuning changes all blocks; the second backbone is EfficientNet-Lite0 at 96 px with LoRA in its
last four stages. Every way that changes an encoder goes through the frozen-feature battery, the same pictures as the
encoder before. Learning rates, blocks and features were chosen in prototypes on other draws of the same panel (LOG).
The strength of percept-tiny's LoRA is swept after its one training. A seed is another draw of raters, votes, scenes and
battery pictures.
"""

from functools import cache

import numpy as np

from percept import load_encoder
from percept.data import panel
from percept.data.triplets import shuffled_votes
from percept.evaluation import agreement, distances
from percept.evaluation.battery import battery
from percept.models.adapters import merged
from percept.training.align import AlignConfig, align
from percept.training.readout import fit_readout

BUDGET = {
    "train": 6_000, "candidates": 4, "validate": 1_800, "test": 3_000, "distill": 0.3, "local": 0.1,
    "strengths": [0.25, 0.5, 0.75, 1.0], "battery": "quick",
    "percept-tiny": {
        "kind": "embedding", "also": ["cls_patch", "global"], "last_blocks": 4, "epochs": 3, "patience": 2,
        "learning_rate": 1e-3, "full_learning_rate": 1e-4,
    },
    "efficientnet-lite0": {
        "kind": "global", "also": [], "last_blocks": 4, "epochs": 3, "patience": 2, "learning_rate": 1e-3,
    },
}  # fmt: skip
ARMS = [
    "frozen", "LoRA", "LoRA, shuffled votes", "LoRA, protected", "full fine-tuning",
    "efficientnet-lite0: frozen", "efficientnet-lite0: LoRA",
]  # fmt: skip
SEEDS = [0, 1, 2, 3, 4]


@cache
def _encoder(name: str):
    return load_encoder(name, device="cpu", image_size=96 if name == "efficientnet-lite0" else None)


@cache
def _judged(seed: int):
    """Simulated judgments to learn from, to choose by, and to score on; all of one panel of 24 raters."""
    sizes = {"tune": "train", "validate": "validate", "test": "test"}
    return [
        panel.judged("mid-level", split, BUDGET[size], seed, candidates=BUDGET["candidates"])
        for split, size in sizes.items()
    ]


def run(arm: str, seed: int, budget: dict) -> dict[str, float]:
    """Held-out agreement and battery of one arm."""
    name, _, way = arm.rpartition(": ")
    encoder, settings = _encoder(name or "percept-tiny"), budget[name or "percept-tiny"]
    if way == "frozen":
        return _frozen(encoder, settings, seed, budget)
    train, validate, test = (part.triplets for part in _judged(seed))
    if "shuffled" in way:
        train, validate = shuffled_votes(train, seed), None
    aligned = align(encoder, train, validate, _config(way, settings, seed, budget), device="cpu", progress=None)
    numbers = {"best epoch": aligned.best_epoch, "epochs": aligned.epochs, "seconds": aligned.seconds}
    for strength in budget["strengths"] if arm == "LoRA" else [1.0]:
        changed = aligned.encoder if way == "full fine-tuning" else merged(aligned.encoder, strength)
        at = "" if strength == 1.0 else f" @{strength}"
        numbers[f"2AFC{at}"] = float(agreement.encoder_way(changed, test, settings["kind"]).mean())
        numbers |= {f"{task}{at}": value for task, value in _battery(changed, seed, budget).items()}
    if arm == "LoRA":
        for kind in (settings["kind"], *settings["also"]):
            numbers[f"2AFC, read-out, {kind}"] = _read_out(merged(aligned.encoder), kind, train, validate, test)
    return {name: float(value) for name, value in numbers.items()}


def _read_out(encoder, kind: str, train, validate, test) -> float:
    """What can be read out after alignment, from the same judgments."""
    rows = [distances.encoder_features(encoder, part, kind) for part in (train, validate, test)]
    moved = fit_readout(rows[0], train, rows[1], validate).transform(rows[2]).numpy()
    return float(agreement.scored(test, distances.triplet_distances(moved, test.items)).mean())


def _frozen(encoder, settings: dict, seed: int, budget: dict) -> dict[str, float]:
    """Everything that leaves the encoder as it is, the attribute oracle and the ceiling."""
    train, validate, test = _judged(seed)
    parts = (train.triplets, validate.triplets, test.triplets)
    ways = agreement.frozen_ways(encoder, *parts, settings["kind"], seed)
    for kind in settings["also"]:
        others = agreement.frozen_ways(encoder, *parts, kind, seed)
        ways |= {f"{way}, {kind}": items for way, items in others.items()}
    if settings["also"]:  # once, with the first backbone
        ways |= agreement.plain_ways(encoder, test.triplets)
        ways["attribute oracle"] = agreement.attribute_oracle(train, test)
    numbers = {name: float(np.mean(items)) for name, items in ways.items()} | {"ceiling": test.ceiling}
    return numbers | _battery(encoder, seed, budget)


def _config(way: str, settings: dict, seed: int, budget: dict) -> AlignConfig:
    full = way == "full fine-tuning"
    return AlignConfig(
        method="full" if full else "lora", kind=settings["kind"], epochs=settings["epochs"],
        patience=settings["patience"], learning_rate=settings["full_learning_rate" if full else "learning_rate"],
        distill=budget["distill"] if "protected" in way else 0.0, local=budget["local"] if "protected" in way else 0.0,
        last_blocks=None if full else settings["last_blocks"], batch_size=48, keep_references=True, seed=seed,
        precision="bf16",
    )  # fmt: skip


def _battery(encoder, seed: int, budget: dict) -> dict[str, float]:
    scores = battery(encoder, budget["battery"], seed)
    return {name: score.value for name, score in scores.items() if score.testable}

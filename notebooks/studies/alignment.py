"""Study: which way of using judgments agrees best with people, and what each pays for it.

Simulated raters judge edited scenes (mid-level). All ways learn from the same judgments and are scored on the same
held-out ones; "frozen" holds everything that leaves the encoder as it is. "protected" adds feature distillation and the
preservation of local similarity; shuffled votes are the negative control. LoRA sits in the last three of six blocks (in
all six it was no better, see LOG), full fine-tuning changes all. Every way that changes the encoder goes
through the frozen-feature battery, the same pictures as the encoder before. The strength of LoRA is swept after its one
training. A seed is another draw of raters, votes, scenes and battery pictures.
"""

from functools import cache

import numpy as np

from percept import load_encoder
from percept.data import panel
from percept.data.triplets import shuffled_votes
from percept.evaluation import agreement
from percept.evaluation.battery import battery
from percept.models.adapters import merged
from percept.training.align import AlignConfig, align

BUDGET = {
    "train": 9_000, "candidates": 4, "validate": 900, "test": 4_800, "epochs": 4, "patience": 2,
    "learning_rate": 3e-4, "full_learning_rate": 1e-4, "last_blocks": 3, "kind": "cls_patch", "distill": 0.3,
    "local": 0.1, "strengths": [0.25, 0.5, 0.75, 1.0], "battery": "quick",
}  # fmt: skip
ARMS = ["frozen", "LoRA", "LoRA, shuffled votes", "LoRA, protected", "full fine-tuning"]
SEEDS = [0, 1, 2, 3, 4]


@cache
def _encoder():
    return load_encoder("percept-tiny", device="cpu")


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
    train, validate, test = _judged(seed)
    kind = budget["kind"]
    if arm == "frozen":
        ways = agreement.plain_ways(_encoder(), test.triplets)
        ways["embedding"] = agreement.encoder_way(_encoder(), test.triplets)
        ways |= agreement.frozen_ways(_encoder(), train.triplets, validate.triplets, test.triplets, kind, seed)
        ways["attribute oracle"] = agreement.attribute_oracle(train, test)
        numbers = {name: float(np.mean(items)) for name, items in ways.items()} | {"ceiling": test.ceiling}
        return numbers | _battery(_encoder(), seed, budget)
    parts = [part.triplets for part in (train, validate)]
    if "shuffled" in arm:
        parts = [shuffled_votes(part, seed) for part in parts]
    aligned = align(_encoder(), *parts, _config(arm, seed, budget), device="cpu", progress=None)
    numbers = {"validation": aligned.score, "best epoch": aligned.best_epoch, "seconds": aligned.seconds}
    for strength in budget["strengths"] if arm == "LoRA" else [1.0]:
        encoder = aligned.encoder if arm == "full fine-tuning" else merged(aligned.encoder, strength)
        at = "" if strength == 1.0 else f" @{strength}"
        numbers[f"2AFC{at}"] = float(agreement.encoder_way(encoder, test.triplets, kind).mean())
        numbers |= {f"{task}{at}": value for task, value in _battery(encoder, seed, budget).items()}
    return {name: float(value) for name, value in numbers.items()}


def _config(arm: str, seed: int, budget: dict) -> AlignConfig:
    full = arm == "full fine-tuning"
    return AlignConfig(
        method="full" if full else "lora", kind=budget["kind"], epochs=budget["epochs"], patience=budget["patience"],
        learning_rate=budget["full_learning_rate" if full else "learning_rate"], seed=seed, precision="bf16",
        distill=budget["distill"] if "protected" in arm else 0.0, local=budget["local"] if "protected" in arm else 0.0,
        last_blocks=None if full else budget["last_blocks"], batch_size=48, keep_references=True,
    )  # fmt: skip


def _battery(encoder, seed: int, budget: dict) -> dict[str, float]:
    scores = battery(encoder, budget["battery"], seed)
    return {name: score.value for name, score in scores.items() if score.testable}

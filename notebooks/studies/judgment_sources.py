"""Study: which judgments help which task? LoRA on equal numbers of judgments from four sources.

Simulated raters judge edited scenes (mid-level), distorted scenes (low-level), single objects by what they are
(concept-level odd-one-out), and nouns (category triplets). The same encoder, settings and number of judgments for all;
then the frozen-feature battery, and the agreement with held-out judgments of every source. "none" is the encoder as it
was; shuffled mid-level votes are the negative control. Equal numbers of judgments are no equal amounts of information:
sources differ in how far raters agree, in the number of pictures, and a concept-level choice makes two triplets. A seed
is another draw of raters, votes, scenes and battery pictures.
"""

from functools import cache

from percept import load_encoder
from percept.data import panel
from percept.data.stimuli import SOURCES
from percept.data.triplets import shuffled_votes
from percept.evaluation.agreement import encoder_way
from percept.evaluation.battery import battery
from percept.training.align import AlignConfig, align

BUDGET = {
    "train": 1_800, "candidates": 4, "validate": 600, "test": 900, "epochs": 3, "patience": 2, "learning_rate": 1e-3,
    "last_blocks": 4, "kind": "embedding", "battery": "quick",
}  # fmt: skip
ARMS = ["none", *SOURCES, "mid-level, shuffled votes"]
SEEDS = [0, 1, 2, 3, 4]


@cache
def _encoder():
    return load_encoder("percept-tiny", device="cpu")


@cache
def _tests(seed: int):
    return {source: panel.judged(source, "test", BUDGET["test"], seed).triplets for source in SOURCES}


def run(arm: str, seed: int, budget: dict) -> dict[str, float]:
    """Battery, and agreement with every source, after alignment to one."""
    encoder, numbers = _encoder(), {}
    if arm != "none":
        sizes = {"tune": "train", "validate": "validate"}
        source = arm.partition(",")[0]
        parts = [
            panel.judged(source, split, budget[size], seed, candidates=budget["candidates"]).triplets
            for split, size in sizes.items()
        ]
        if "shuffled" in arm:  # the last state of all epochs, so that stopping early cannot hide what it does
            parts = [shuffled_votes(parts[0], seed)]
        config = AlignConfig(
            kind=budget["kind"], epochs=budget["epochs"], patience=budget["patience"], batch_size=48, seed=seed,
            learning_rate=budget["learning_rate"], last_blocks=budget["last_blocks"], keep_references=True,
            precision="bf16",
        )  # fmt: skip
        aligned = align(encoder, *parts, config=config, device="cpu", progress=None)
        encoder = aligned.encoder
        numbers = {"best epoch": aligned.best_epoch, "seconds": aligned.seconds}
    for source, test in _tests(seed).items():
        numbers[f"2AFC {source}"] = encoder_way(encoder, test, budget["kind"]).mean()
    numbers |= {
        name: score.value for name, score in battery(encoder, budget["battery"], seed).items() if score.testable
    }
    return {name: float(value) for name, value in numbers.items()}

"""Study: the verdicts of the battery as a distribution over simulated raters, for two backbones.

Each of twenty raters is drawn from the stated prior, ten of either group, and judges mid-level triplets alone: one vote
each. The encoder is aligned to that one rater by LoRA and goes through the frozen-feature battery; the verdict on a
task is that of a paired bootstrap over its items with Holm's correction, against tolerances fixed beforehand. A seed is
a rater with scenes and battery pictures of its own. EfficientNet-Lite0 reads 96 px to fit two cores.
"""

from functools import cache

from percept import load_encoder
from percept.data import panel
from percept.evaluation.agreement import encoder_way
from percept.evaluation.battery import battery
from percept.evaluation.differences import compare
from percept.evaluation.verdicts import tolerances, verdict_table
from percept.training.align import AlignConfig, align

BUDGET = {
    "train": 1_800, "candidates": 4, "validate": 600, "test": 900, "epochs": 2, "patience": 2, "battery": "quick",
    "learning_rate": 1e-3, "last_blocks": 4, "kind": {"percept-tiny": "embedding", "efficientnet-lite0": "global"},
}  # fmt: skip
ARMS = ["percept-tiny", "efficientnet-lite0"]
SEEDS = list(range(20))
CODES = {"better": 1, "no change": 0, "worse": -1, "undecided": 2}


@cache
def _encoder(name: str):
    return load_encoder(name, device="cpu", image_size=96 if name == "efficientnet-lite0" else None)


def run(arm: str, seed: int, budget: dict) -> dict[str, float]:
    """Agreement and verdicts before and after alignment to one rater."""
    encoder, kind = _encoder(arm), budget["kind"][arm]
    rater = panel.raters(20)[seed]
    sizes = {"tune": "train", "validate": "validate", "test": "test"}
    train, validate, test = (
        panel.judged("mid-level", split, budget[size], seed, [rater], votes=1, candidates=budget["candidates"]).triplets
        for split, size in sizes.items()
    )
    config = AlignConfig(
        kind=kind, epochs=budget["epochs"], patience=budget["patience"], last_blocks=budget["last_blocks"],
        learning_rate=budget["learning_rate"], seed=seed, precision="bf16", batch_size=48, keep_references=True,
    )  # fmt: skip
    aligned = align(encoder, train, validate, config, device="cpu", progress=None)
    numbers = {f"2AFC {name}": encoder_way(each, test, kind).mean() for name, each in (
        ("before", encoder), ("after", aligned.encoder))}  # fmt: skip
    before, after = (
        {name: score for name, score in battery(each, budget["battery"], seed).items() if score.testable}
        for each in (encoder, aligned.encoder)
    )
    table = verdict_table(compare(after, before, seed=seed), tolerances(before))
    for task, row in table.iterrows():
        numbers |= {f"{task} | change": row["difference"], f"{task} | verdict": CODES[row["verdict"]]}
        numbers[f"{task} | tolerance"] = row["tolerance"]
    numbers |= {"best epoch": aligned.best_epoch, "seconds": aligned.seconds, "group": panel.GROUPS.index(rater.group)}
    return {name: float(value) for name, value in numbers.items()}

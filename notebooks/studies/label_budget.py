"""Study: how many judgments reach a given agreement, and whether choosing the questions saves any.

Simulated campaigns on simulated raters: ask, fit a diagonal read-out of percept-tiny's frozen features, ask again
where that read-out is unsure (smallest difference of distances) or where five read-outs of bootstrap samples disagree
(the committee). All strategies are stratified by category and begin with the same random round. The pool has one
triplet per reference scene. "random, LoRA" tunes the encoder itself on the judgments of "random" at three of the
budgets, with about the same number of steps at each; "shuffled votes" is the negative control of the read-out. Further
judgments ("validate"), the same for all, choose the regularisation and the epoch, and are not counted. A seed is
another draw of scenes, raters and votes.
"""

import math
from functools import cache

import numpy as np

from percept import load_encoder
from percept.data import panel
from percept.data.triplets import shuffled_votes
from percept.evaluation.agreement import encoder_way, scored
from percept.evaluation.similarity import encoder_features, triplet_distances
from percept.labelling.budgets import budget_curve
from percept.training.align import AlignConfig, align
from percept.training.readout import fit_readout

BUDGET = {
    "pool": 3200, "validate": 200, "test": 1500, "budgets": [50, 100, 200, 400, 800, 1600], "committee": 5,
    "lora_budgets": [100, 400, 1600], "steps": 100, "batch_size": 32, "learning_rate": 1e-3, "last_blocks": 4,
    "kind": "embedding",
}  # fmt: skip
ARMS = ["random", "uncertainty", "disagreement", "random, shuffled votes", "random, LoRA"]
SEEDS = [0, 1, 2, 3, 4]


@cache
def _encoder():
    return load_encoder("percept-tiny", device="cpu")


@cache
def _parts(seed: int):
    """Pool, validation and test judgments with their frozen features."""
    sizes = {"pool": "tune", "validate": "validate", "test": "test"}
    judged = {name: panel.judged("mid-level", split, BUDGET[name], seed) for name, split in sizes.items()}
    kind = BUDGET["kind"]
    return {name: (made, encoder_features(_encoder(), made.triplets, kind)) for name, made in judged.items()}


def run(arm: str, seed: int, budget: dict) -> dict[str, float]:
    """Held-out agreement after each budget of judgments, for one campaign."""
    parts = _parts(seed)
    (pool, features), (validate, known), (test, asked) = (parts[name] for name in ("pool", "validate", "test"))
    numbers = {"ceiling": test.ceiling, "frozen": float(_score(asked, test.triplets))}
    if arm == "random, LoRA":
        return numbers | _lora(pool.triplets, validate.triplets, test.triplets, seed, budget)
    source = shuffled_votes(pool.triplets, seed) if "shuffled" in arm else pool.triplets

    def fit(rows, fit_seed):
        rng = np.random.default_rng([fit_seed, len(rows)])
        draws = [rows] if arm != "disagreement" else [rows, *_bootstraps(rows, budget["committee"], rng)]
        return [
            fit_readout(features, source.select(draw), known, validate.triplets, forms=("diagonal",)) for draw in draws
        ]

    def signals(heads):
        found = [triplet_distances(head.transform(features).numpy(), pool.triplets.items) for head in heads]
        if arm == "disagreement":
            return {"choices": np.stack([(left > right).astype(float) for left, right in found[1:]])}
        return {"d_left": found[0][0], "d_right": found[0][1]}

    curve = budget_curve(
        arm.partition(",")[0], budget["budgets"], fit, lambda heads: _score(heads[0].transform(asked), test.triplets),
        size=len(pool.triplets), signals=signals, seeds=(seed,), strata=pool.triplets.groups,
    )  # fmt: skip
    return numbers | {f"2AFC@{n}": float(v) for n, v in zip(curve.budgets, curve.values[0], strict=True)}


def _bootstraps(rows, members, rng):
    return [rng.choice(rows, len(rows)) for _ in range(members)]


def _score(features, triplets) -> float:
    return float(scored(triplets, triplet_distances(np.asarray(features), triplets.items)).mean())


def _lora(pool, validate, test, seed: int, budget: dict) -> dict[str, float]:
    numbers = {}
    asked = budget_curve(
        "random", budget["budgets"], lambda rows, fit_seed: None, lambda model: 0.0, size=len(pool), seeds=(seed,),
        strata=pool.groups,
    ).asked[0]  # fmt: skip
    for count in budget["lora_budgets"]:
        rows, epochs = asked[:count], round(budget["steps"] / math.ceil(count / budget["batch_size"]))
        settings = {name: budget[name] for name in ("batch_size", "learning_rate", "last_blocks", "kind")}
        config = AlignConfig(seed=seed, precision="bf16", epochs=epochs, patience=max(2, epochs // 4), **settings)
        aligned = align(_encoder(), pool.select(rows).compact(), validate, config, device="cpu", progress=None)
        numbers[f"2AFC@{count}"] = float(encoder_way(aligned.encoder, test, budget["kind"]).mean())
    return numbers

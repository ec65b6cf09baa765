"""Study: a score was trained on pictures of which hardly any were dark. Where does it err, and does balancing mend it?

Memorability of scenes (simulated raters, who go by how light the pixels are, among other things). "even": 400 scenes as
the world has them, a third or so dark. "skewed": as many, of which 2 % are dark. "balanced": the skewed ones, drawn
again so that dark, normal and bright pictures count alike (`balanced_rows`). The control draws again by labels of
lighting that were shuffled, so that it repeats rows as often and balances nothing. Head on frozen features, and LoRA;
no early stopping, since held-out pictures would be as skewed. Tested on 900 scenes as the world has them.
"""

from functools import cache

import numpy as np

from percept import load_encoder
from percept.data.score_panel import memorability_opinions
from percept.evaluation.correlation import rmse, srcc
from percept.evaluation.slices import balanced_rows, scene_slices
from percept.training.rate import RateConfig, rate

BUDGET = {
    "train": 400, "dark": 8, "pool": 1600, "test": 900, "epochs": {"head": 30, "LoRA": 6}, "learning_rate": 1e-3,
    "batch_size": 16,
}  # fmt: skip
DRAWN = ("even", "skewed", "balanced", "balanced by shuffled lighting")
ARMS = [f"{way}: {drawn}" for way in ("head", "LoRA") for drawn in DRAWN]
SEEDS = list(range(10))


@cache
def _encoder():
    return load_encoder("percept-tiny", device="cpu")


@cache
def _parts(seed: int):
    """Opinions to draw training rows from, with their lighting, and the same of the test."""
    made = (memorability_opinions(part, BUDGET[size], seed) for part, size in (("tune", "pool"), ("test", "test")))
    return [(opinions, scene_slices(opinions.scenes)["lighting"]) for opinions in made]


def _rows(drawn: str, light: np.ndarray, seed: int, budget: dict) -> np.ndarray:
    rng = np.random.default_rng([seed, 1])
    order = rng.permutation(len(light))
    if drawn == "even":
        return order[: budget["train"]]
    dark = order[light[order] == "dark"][: budget["dark"]]
    other = order[light[order] != "dark"][: budget["train"] - len(dark)]
    rows = rng.permutation(np.concatenate([dark, other]))
    if drawn == "skewed":
        return rows
    labels = light[rows] if drawn == "balanced" else rng.permutation(light[rows])
    return rows[balanced_rows({"lighting": labels}, seed=seed)]


def run(arm: str, seed: int, budget: dict) -> dict[str, float]:
    """Error in the dark and elsewhere, in shares of raters who know the scene again."""
    way, drawn = arm.split(": ")
    (pool, light), (asked, asked_light) = _parts(seed)
    rows = _rows(drawn, light, seed, budget)
    config = RateConfig(
        "lora" if way == "LoRA" else "head", "mse", epochs=budget["epochs"][way], patience=0, seed=seed, most_views=1,
        batch_size=budget["batch_size"], learning_rate=budget["learning_rate"], precision="bf16",
    )  # fmt: skip
    rated = rate(_encoder(), pool.pictures[rows], pool.shares[rows, 0], None, config, device="cpu", progress=None)
    predicted, truth, dark = rated.raw(asked.pictures), asked.shares[:, 0], asked_light == "dark"
    error = predicted - truth
    return {
        "bias in the dark": float(error[dark].mean() - error[~dark].mean()),
        "RMSE in the dark": float(rmse(predicted[dark], truth[dark])),
        "RMSE elsewhere": float(rmse(predicted[~dark], truth[~dark])),
        "SRCC": float(srcc(predicted, truth)),
        "dark in training, share": float((light[rows] == "dark").mean()),
    }

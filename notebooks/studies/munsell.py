"""Study: how well each method agrees with the Munsell scale on hues it has never seen.

A seed is a fold: it holds out two neighbouring hue families for the test and two others for validation, so the five
seeds test every hue once. Along one axis the reference lies between the two candidates; the kind "nickerson" mixes
axes. All methods see the same 8-bit patches of percept-tiny's size. The scale was spaced by human observers, is about
colour only and holds no single judgments, so there is no ceiling; CIELAB and CIEDE2000 are not independent of it.
Shuffled votes are the negative control of LoRA: all epochs, the last state.
"""

from functools import cache

from percept import load_encoder
from percept.data import munsell
from percept.data.triplets import Triplets, shuffled_votes
from percept.evaluation.similarity import (
    encoder_distances,
    encoder_features,
    pixel_distances,
    triplet_distances,
    two_alternative_items,
)
from percept.training.align import AlignConfig, align
from percept.training.heads import fit_head
from percept.training.readout import fit_readout

BUDGET = {
    "train": 600, "val": 100, "test": 100, "epochs": 6, "patience": 2, "last_blocks": 4, "learning_rate": 1e-3,
}  # fmt: skip
ARMS = ["pixels", "CIELAB", "CIEDE2000", "base", "read-out", "head", "LoRA", "LoRA, shuffled votes"]
SEEDS = [0, 1, 2, 3, 4]
FORMULAS = {"CIELAB": "CIE 1976", "CIEDE2000": "CIE 2000"}


@cache
def _encoder():
    return load_encoder("percept-tiny", device="cpu")


def run(arm: str, seed: int, budget: dict) -> dict[str, float]:
    """Agreement on the held-out hues of one fold, all kinds together and each by itself."""
    sizes = {name: budget[name] for name in ("train", "val", "test")}
    sets = munsell.munsell_triplets(seed, seed, sizes, size=_encoder().image_size)
    test = sets["test"].triplets
    numbers: dict[str, float] = {}
    if arm == "pixels":
        distances = pixel_distances(test)
    elif arm in FORMULAS:
        distances = munsell.lab_distances(sets["test"], FORMULAS[arm])
    elif arm == "base":
        distances = encoder_distances(_encoder(), test)
    elif arm in ("read-out", "head"):
        distances, numbers = _on_features(arm, sets, seed)
    else:
        distances, numbers = _tuned(sets, arm.endswith("shuffled votes"), seed, budget)
    agree = two_alternative_items(*distances, test.vote_right)
    numbers["all"] = float(agree.mean())
    return numbers | {kind: float(agree[test.groups == kind].mean()) for kind in munsell.KINDS}


def _on_features(arm: str, sets: dict[str, munsell.MunsellSet], seed: int):
    """A map of the frozen features, fitted on the training hues and chosen on the validation hues."""
    train, val, test = (sets[name].triplets for name in ("train", "val", "test"))
    rows = [encoder_features(_encoder(), part) for part in (train, val, test)]
    options = {} if arm == "read-out" else {"seed": seed}
    fit = fit_readout if arm == "read-out" else fit_head
    head = fit(rows[0], train, rows[1], val, **options)
    return triplet_distances(head.transform(rows[2]), test.items), {"validation": float(head.score)}


def _tuned(sets: dict[str, munsell.MunsellSet], shuffled: bool, seed: int, budget: dict):
    """LoRA in the image tower."""
    parts: list[Triplets] = [sets[name].triplets for name in ("train", "val")]
    if shuffled:
        parts = [shuffled_votes(parts[0], seed)]
    config = AlignConfig(
        epochs=budget["epochs"],
        patience=budget["patience"],
        last_blocks=budget["last_blocks"],
        learning_rate=budget["learning_rate"],
        seed=seed,
        precision="bf16",
    )
    aligned = align(_encoder(), *parts, config=config, device="cpu", progress=None)
    numbers = {"best epoch": aligned.best_epoch, "triplets/s": aligned.triplets_per_second}
    return encoder_distances(aligned.encoder, sets["test"].triplets), {k: float(v) for k, v in numbers.items()}

"""Two other questions to simulated raters, which no encoder here is trained on: odd one out, and "the same or not?"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from percept.data import panel
from percept.data.triplets import Triplets
from percept.evaluation.distances import encoder_features, pair_distances
from percept.evaluation.similarity import TIES, jnd_map, odd_one_out_accuracy

NOTICED = 0.35  # mean distance to the panel at which half of the pairs look the same
SHARPNESS = 10.0  # how fast that share falls


def odd_one_out_scores(
    encoders: Mapping[str, Any], people: list[panel.Rater], n: int = 300, seed: int = 0, kind: str = "embedding"
) -> dict[str, dict[str, float]]:
    """Accuracy on concept-level choices of the odd one of three pictures, the truth being what most raters chose.

    Args:
        encoders: name to `percept.models.encoders.Encoder`; all see the same trials.
        people: the simulated panel.
        n: trials.
        seed: of the trials and the votes.
        kind: features to compare.

    Returns:
        Name to the share of trials by rule for ties of distances, "correct" (as DreamSim counts) or "wrong" (gLocal);
        chance is 1/3.
    """
    asked = panel.judged("concept-level", "test", 2 * n, seed, people)
    chosen = asked.answers.groupby("item")["answer"].agg(lambda said: said.mode()[0]).astype(int).to_numpy()
    order = np.array([[place for place in range(3) if place != odd] + [odd] for odd in chosen])
    items = np.take_along_axis(asked.shown.items, order, 1)
    used, places = np.unique(items, return_inverse=True)
    places = places.reshape(-1, 3)
    shown = Triplets(asked.shown.pictures[used], places, np.zeros(len(items)), np.ones(len(items)))
    found = {}
    for name, encoder in encoders.items():
        rows = encoder_features(encoder, shown, kind)
        kept, first, second = (pair_distances(rows, places[:, two]) for two in ([0, 1], [0, 2], [1, 2]))
        found[name] = {ties: odd_one_out_accuracy(kept, first, second, ties=ties) for ties in TIES}
    return found


def noticeable_difference_scores(
    encoders: Mapping[str, Any], people: list[panel.Rater], n: int = 300, seed: int = 0, kind: str = "embedding"
) -> tuple[dict[str, float], float]:
    """Mean precision of "these two look the same" by an encoder's distances, on scenes and distorted copies.

    A pair looks the same with the probability ``1 / (1 + exp(SHARPNESS (d - NOTICED)))``, where d is its mean
    distance to the panel.

    Args:
        encoders, people, n, seed, kind: as in `odd_one_out_scores`; n pairs.

    Returns:
        Name to JND mAP, and the share of pairs that look the same, which is its chance level.
    """
    shown = panel.judged("low-level", "test", n, seed, people)
    apart = np.mean([rater.distances(shown.shown)[:, 0] for rater in people], 0)
    same = np.random.default_rng([seed, 3]).random(n) < 1 / (1 + np.exp(SHARPNESS * (apart - NOTICED)))
    found = {}
    for name, encoder in encoders.items():
        rows = encoder_features(encoder, shown.triplets, kind)
        found[name] = jnd_map(pair_distances(rows, shown.shown.items[:, :2]), same)
    return found, float(same.mean())

"""Agreement with people, way by way on the same held-out triplets.

Plain distances, frozen features with the best that can be read out of them, the attributes themselves, and the noise
ceiling; aligned encoders stand beside these.

Every way gives the score of each triplet (`two_alternative_items`), so that ways can be paired.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from percept.evaluation import distances
from percept.evaluation.similarity import two_alternative_items
from percept.training import heads, readout

if TYPE_CHECKING:
    from percept.data.panel import Judged
    from percept.data.triplets import Triplets

KINDS = ("embedding", "cls_patch")
LAMBDAS = (0.1, 0.01)  # of the gLocal-type map, chosen on validation


def scored(triplets: Triplets, found: distances.Distances) -> np.ndarray:
    """Score of each triplet, float64 [T], for distances (d_left, d_right)."""
    return two_alternative_items(*found, triplets.vote_right)


def plain_ways(encoder: Any, test: Triplets, cache: Any = None) -> dict[str, np.ndarray]:
    """Ways that learn nothing from judgments: pixels, SSIM, colour histogram, deep features place by place.

    Args:
        encoder: gives the deep features.
        test: held-out judgments.
        cache: `percept.models.cache.EmbeddingCache`, or None.

    Returns:
        Name of the way to the score of each triplet, float64 [T].
    """
    return {
        "pixels": scored(test, distances.pixel_distances(test)),
        "structure (SSIM)": scored(test, distances.ssim_distances(test)),
        "colour histogram": scored(test, distances.histogram_distances(test)),
        "deep features, place by place": scored(test, distances.deep_distances(encoder, test, cache)),
    }


def encoder_way(encoder: Any, test: Triplets, kind: str = "embedding", cache: Any = None) -> np.ndarray:
    """Score of each triplet, float64 [T], by the cosine distances of an encoder."""
    return scored(test, distances.encoder_distances(encoder, test, kind, cache))


def frozen_ways(
    encoder: Any, train: Triplets, validate: Triplets, test: Triplets, kind: str, seed: int = 0, cache: Any = None
) -> dict[str, np.ndarray]:
    """What judgments add while the encoder stays frozen.

    Args:
        encoder: the frozen encoder.
        train: judgments to learn from.
        validate: judgments that choose regularisation and length of training.
        test: held-out judgments.
        kind: features: "embedding", "global" or "cls_patch".
        seed: of the heads.
        cache: as in `plain_ways`.

    Returns:
        "frozen encoder" (no learning), "linear read-out" (the best that is linear), "heads only" (a residual MLP),
        "gLocal-type": the score of each triplet, float64 [T].
    """
    features = [distances.encoder_features(encoder, part, kind, cache) for part in (train, validate, test)]
    fitted = {
        "linear read-out": readout.fit_readout(features[0], train, features[1], validate),
        "heads only": heads.fit_head(features[0], train, features[1], validate, seed=seed),
        "gLocal-type": heads.fit_glocal(features[0], train, features[1], validate, lambdas=LAMBDAS, seed=seed),
    }
    ways = {"frozen encoder": scored(test, distances.triplet_distances(features[2], test.items))}
    for name, head in fitted.items():
        moved = head.transform(features[2]).numpy()
        ways[name] = scored(test, distances.triplet_distances(moved, test.items))
    return ways


def attribute_oracle(train: Judged, test: Judged) -> np.ndarray:
    """Score of each triplet by a logistic regression on the simulated raters' own attributes, float64 [T].

    What it misses of the ceiling is noise in the votes it was fitted to and raters who differ, not vision.

    Args:
        train: simulated judgments with their attributes.
        test: held-out ones.
    """
    from sklearn.linear_model import LogisticRegression

    votes = train.triplets.vote_right
    rows, answers = np.concatenate([train.contrast] * 2), np.repeat([1, 0], len(votes))
    weights = np.concatenate([votes, 1 - votes])
    used = weights > 0
    fitted = LogisticRegression(C=100.0, max_iter=1000).fit(rows[used], answers[used], sample_weight=weights[used])
    leaning = fitted.decision_function(test.contrast)
    return two_alternative_items(leaning, -leaning, test.triplets.vote_right)


def closed_gap(score: float, base: float, ceiling: float) -> float:
    """Share of the way from base to ceiling that a score has gone: 0 = base, 1 = ceiling.

    Raises:
        ValueError: if the ceiling does not lie above the base.

    Example:
        >>> round(closed_gap(0.85, 0.75, 0.875), 2)
        0.8
    """
    if not ceiling > base:
        raise ValueError(f"there is no gap to close: base {base:.3f}, ceiling {ceiling:.3f}")
    return (score - base) / (ceiling - base)

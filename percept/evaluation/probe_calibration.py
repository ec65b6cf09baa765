"""From scores to probabilities, for yes/no probes: "is this sentence true of this picture?".

A contrastive encoder has no probability of its own: its softmax says which of the sentences at hand fits best, and a
cosine of 0.5 means nothing. Two ways lead to one. A model trained with the SigLIP loss has a scale and a bias that
make every pair a yes/no question. For any other, a curve is fitted on items that are not those of the report. Papers
print no accuracy for CLIP on VSR for this reason: say which way a number came about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

from percept.data.probe_set import ProbeSet
from percept.evaluation.arrays import to_numpy
from percept.evaluation.logistic import finite, varies
from percept.evaluation.probe_scores import Scorer, pair_scores, scored_pairs

if TYPE_CHECKING:
    from percept.models.encoders import Encoder


@dataclass(frozen=True)
class Sigmoid:
    """Probability of a match as a function of a score: 1 / (1 + exp(-(scale * score + bias)))."""

    scale: float
    bias: float

    def predict(self, scores: Any) -> np.ndarray:
        """Probabilities float64 of the shape of the scores."""
        return np.asarray(expit(self.scale * to_numpy(scores).astype(np.float64) + self.bias))


def platt(scores: Any, labels: Any) -> Sigmoid:
    """Fit scale and bias by maximum likelihood, on items that no figure is reported for.

    Where the scores separate the labels completely the likelihood has no maximum; a faint penalty then keeps the
    curve steep and finite. The scale is below 0 where false pairs score higher.

    Args:
        scores: [M] finite.
        labels: [M] of 0/1 or bool, both present.

    Raises:
        ValueError: lengths that differ, other labels or one only, constant or non-finite scores.

    Source: Platt (1999), without the smoothing of the labels.

    Example:
        >>> curve = platt([0.1, 0.2, 0.3, 0.2, 0.3, 0.4], [0, 0, 0, 1, 1, 1])
        >>> curve.predict([0.25]).round(3).tolist()
        [0.5]
    """
    from sklearn.linear_model import LogisticRegression

    x, y = finite(scores, "scores"), to_numpy(labels)
    if y.shape != x.shape:
        raise ValueError(f"labels must have shape {x.shape} to match the scores, got {y.shape}")
    if not np.isin(y, (0, 1)).all() or np.unique(y).size != 2:
        raise ValueError("labels must be 0 or 1 (or bool), and both must occur")
    if not varies(x):
        raise ValueError("all scores are equal: there is nothing to calibrate")
    centre, spread = x.mean(), x.std()
    fitted = LogisticRegression(C=1e6, tol=1e-8, max_iter=1000).fit((x - centre)[:, None] / spread, y.astype(int))
    scale = float(fitted.coef_[0, 0] / spread)
    return Sigmoid(scale, float(fitted.intercept_[0] - scale * centre))


def siglip_curve(encoder: Encoder) -> Sigmoid:
    """Probability of a match from a cosine, by the scale and bias that an encoder learned with the SigLIP loss.

    It is the probability among the pairs of a training batch, of which one in many is true; on other mixtures it
    ranks as well but its threshold 0.5 is strict. `platt` on items like those of the report corrects that.

    Raises:
        ValueError: the encoder has no bias: it was trained to rank, use `platt`.

    Source: Zhai et al., Sigmoid Loss for Language Image Pre-Training (2023).
    """
    bias = getattr(encoder.model, "logit_bias", None)
    if bias is None or encoder.logit_scale is None:
        raise ValueError(f"encoder {encoder.name!r} has no logit bias, so a cosine gives no probability; use platt")
    return Sigmoid(encoder.logit_scale, float(to_numpy(bias)))


class CalibratedScorer:
    """A scorer whose scores are probabilities: another scorer and a curve."""

    probability = True

    def __init__(self, scorer: Scorer, curve: Sigmoid) -> None:
        self.scorer, self.curve = scorer, curve

    def score(self, images: Any, texts: list[str]) -> np.ndarray:
        """Probabilities float64 [A, B] of A pictures and B sentences."""
        return self.curve.predict(self.scorer.score(images, texts))

    def pairs(self, images: Any, texts: Sequence[str], picture: np.ndarray, sentence: np.ndarray) -> np.ndarray:
        """Probabilities float64 [M] of the given rows of images and texts."""
        return self.curve.predict(scored_pairs(self.scorer, images, list(texts), picture, sentence))


def calibrate(scorer: Scorer, validate: ProbeSet, batch_size: int = 256) -> CalibratedScorer:
    """Fit `platt` to the pairs of a probe set from the validate split; report on one from the test split.

    True pairs are those of the labels, or of the first sentence and picture and (two of each) of the second ones.
    """
    _, many = validate.sentence.shape
    count, pictures = validate.picture.shape
    picture = np.repeat(validate.picture, many, axis=0).reshape(count, many, pictures)
    sentence = np.repeat(validate.sentence, pictures, axis=1).reshape(count, many, pictures)
    true = np.broadcast_to(np.eye(many, pictures, dtype=bool), picture.shape)
    if validate.label is not None:
        true = np.asarray(validate.label, dtype=bool)[:, None, None]
    values = pair_scores(scorer, validate, picture.ravel(), sentence.ravel(), batch_size)
    return CalibratedScorer(scorer, platt(values, true.ravel()))


def expected_calibration_error(probability: Any, label: Any, bins: int = 15) -> float:
    """Mean gap between stated probability and share of true pairs, over bins of equal width weighed by their pairs.

    Args:
        probability: [M] in 0..1.
        label: [M] of 0/1 or bool.
        bins: their number; a probability on an edge belongs to the bin above, 1 to the last.

    Returns:
        0 (calibrated) to 1. It is above 0 by chance too, the more the fewer pairs a bin has.

    Raises:
        ValueError: lengths that differ, values outside 0..1, no bin.

    Source: Naeini et al. (2015), for the probability of "true".

    Example:
        >>> round(expected_calibration_error([0.9, 0.9, 0.1, 0.1], [1, 1, 0, 1]), 3)
        0.25
    """
    p, y = finite(probability, "probability"), finite(label, "label")
    if p.shape != y.shape:
        raise ValueError(f"probability and label must have one length: got {p.size} and {y.size}")
    if min(p.min(), y.min()) < 0 or max(p.max(), y.max()) > 1 or bins < 1:
        raise ValueError(f"probability and label must lie in 0..1, and bins be at least 1 (got {bins})")
    place = np.minimum((p * bins).astype(int), bins - 1)
    gaps = np.bincount(place, p - y, minlength=bins)
    return float(np.abs(gaps).sum() / p.size)

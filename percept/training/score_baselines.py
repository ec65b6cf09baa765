"""What scores a trained tower must beat: ridge and kernel regression on frozen features, and plain words.

N training, V validation, M test pictures, D feature width. Whatever is chosen is chosen by rank correlation on the
validation pictures, as `percept.training.rate.rate` chooses its epoch; test scores are not even asked for. A frozen
tower with an MLP and full fine-tuning are methods of `rate`; learned prompts are in `percept.training.prompt_tuning`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from percept.data.views import Views
from percept.device import autocast
from percept.models.encoders import Encoder
from percept.training.rate import RateError
from percept.training.scorer import Frozen, view_side

STRENGTHS = tuple(np.geomspace(1e-3, 1e3, 100).tolist())  # ARNIQA's
BETAS = tuple(np.geomspace(0.1, 1e4, 51).tolist())  # from nearly the mean of all to nearly the nearest picture

# What is judged -> sentences for a high score, their opposites: pair p is sentence p of both.
ANTONYMS: dict[str, dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "en": {
        "quality": (("Good photo.", "High quality photo."), ("Bad photo.", "Low quality photo.")),
        "brightness": (("Bright photo.",), ("Dark photo.",)),
        "sharpness": (("Sharp photo.",), ("Blurry photo.",)),
        "noise": (("Noisy photo.",), ("Clean photo.",)),
        "contrast": (("High contrast photo.",), ("Low contrast photo.",)),
        "colourfulness": (("Colorful photo.",), ("Dull photo.",)),
        "mood": (("Happy photo.",), ("Sad photo.",)),
        "memorability": (("Memorable photo.",), ("Forgettable photo.",)),
    },
    "ja": {
        "quality": (("良い写真", "高画質な写真"), ("悪い写真", "低画質な写真")),
        "brightness": (("明るい写真",), ("暗い写真",)),
        "sharpness": (("くっきりした写真",), ("ぼやけた写真",)),
        "noise": (("ノイズの多い写真",), ("ノイズのない写真",)),
        "contrast": (("コントラストの高い写真",), ("コントラストの低い写真",)),
        "colourfulness": (("色鮮やかな写真",), ("くすんだ色の写真",)),
        "mood": (("楽しい写真",), ("悲しい写真",)),
        "memorability": (("記憶に残る写真",), ("印象の薄い写真",)),
    },
}


def features_of(
    encoder: Encoder, pictures: Any, kind: str = "embedding", normalise: bool = True, most_views: int = 3,
    batch_size: int = 128,
) -> np.ndarray:  # fmt: skip
    """Features of pictures: the mean over the views of each, every view encoded once.

    A linear score of the mean is the mean of the scores of the views, so ridge on these rows is the usual average
    over crops. The mean of rows of length 1 is shorter than 1 and is left so.

    Args:
        encoder: any.
        pictures: as in `percept.data.views.Views`.
        kind: "embedding", "global" or "cls_patch".
        normalise: bring the row of each view to length 1 before the mean; cosines with sentences need it.
        most_views: along an axis of a picture.
        batch_size: views per forward pass.

    Returns:
        float64 [N, D].
    """
    if not len(pictures):
        raise RateError("pictures is empty")
    views, tower = Views(pictures, view_side(encoder), most_views), Frozen(encoder, kind).eval()
    rows = []
    with autocast(encoder.device, encoder.precision):
        for part in np.array_split(np.arange(len(views)), math.ceil(len(views) / batch_size)):
            rows.append(tower.stem(torch.from_numpy(views(part)).to(encoder.device)).cpu())
    found = torch.cat(rows).double()
    return views.mean((F.normalize(found, dim=1) if normalise else found).numpy())


def ridge_scores(
    train_x: Any, train_y: Any, val_x: Any, val_y: Any, test_x: Any, *, standardise: bool = False
) -> np.ndarray:
    """Ridge regression, its strength one of 100 from 0.001 to 1,000; one decomposition serves all of them.

    Args:
        train_x, val_x, test_x: [N, D], [V, D], [M, D] features.
        train_y, val_y: [N], [V] scores.
        standardise: divide features by their deviation in training first. The published protocol does not; numbers
            in different units, such as natural-scene statistics, need it.

    Returns:
        float64 [M], on the scale of the scores. Of equally good strengths the smallest is taken, which
        shrinks the scale of the predictions least.

    Raises:
        RateError: shapes that do not fit, numbers that are not finite, or scores that are all the same.

    Source: Agnolucci et al., ARNIQA (2024).

    Example:
        >>> x = np.arange(8.0)[:, None]
        >>> ridge_scores(x, 2 * x[:, 0], x[:3], [0, 1, 2], [[10.0]], standardise=True).round(1).tolist()
        [20.0]
    """
    x, y, val, val_y, test = _parts(train_x, train_y, val_x, val_y, test_x)
    mean, scale = x.mean(0), x.std(0) if standardise else np.ones(x.shape[1])
    x, val, test = ((part - mean) / np.where(scale > 1e-12, scale, 1) for part in (x, val, test))
    left, roots, right = np.linalg.svd(x, full_matrices=False)
    shrunk = roots[:, None] / (roots[:, None] ** 2 + np.asarray(STRENGTHS))
    weights = right.T @ (shrunk * (left.T @ (y - y.mean()))[:, None])
    best = int(rank_agreement(val @ weights, val_y).argmax())
    return np.asarray(test @ weights[:, best] + y.mean())


def kernel_scores(train_x: Any, train_y: Any, val_x: Any, val_y: Any, test_x: Any) -> np.ndarray:
    """Mean of the training scores, weighted by exp(-beta (1 - cosine)) with the training features as cached keys.

    Nothing is trained; beta is one of `BETAS`. A prediction never leaves the range of the training scores.

    Args:
        train_x, train_y, val_x, val_y, test_x: as in `ridge_scores`.

    Returns:
        float64 [M]. Of equally good betas the smallest is taken, which averages most.

    Raises:
        RateError: as in `ridge_scores`, or a row of zeros, which has no direction.

    Source: the affinity of Zhang et al., Tip-Adapter (2022), with scores in the place of one-hot labels.

    Example:
        >>> keys = np.eye(3)
        >>> kernel_scores(keys, [1, 2, 3], keys, [1, 2, 3], keys[:1]).round(2).tolist()
        [1.97]
    """
    keys, y, val, val_y, test = _parts(train_x, train_y, val_x, val_y, test_x)
    keys, val, test = (_directions(x, name) for x, name in ((keys, "train"), (val, "validate"), (test, "test")))

    def scores(cosine: np.ndarray, beta: float) -> np.ndarray:
        # Less the largest cosine of the row, which divides out: a large beta would leave no weight but 0.
        weights = np.exp(beta * (cosine - cosine.max(1, keepdims=True)))
        return np.asarray(weights @ y / weights.sum(1))

    cosine = val @ keys.T
    found = rank_agreement(np.stack([scores(cosine, beta) for beta in BETAS], 1), val_y)
    return scores(test @ keys.T, BETAS[int(found.argmax())])


def antonym_scores(
    encoder: Encoder, pictures: Any, good: Sequence[str], bad: Sequence[str], most_views: int = 3
) -> np.ndarray:
    """Score pictures by two opposite sentences, without any label: how much of the two does "good" take?

    For each pair the softmax over the two cosines times the encoder's logit scale, a picture's cosine being the mean
    over its views; then the mean over pairs. CLIP-IQA also takes the position embedding from the image tower,
    which this does not.

    Args:
        encoder: with a text tower.
        pictures: as in `percept.data.views.Views`.
        good, bad: P sentences each; pair p is good[p] against bad[p]. `*ANTONYMS["en"]["quality"]`, for example.
        most_views: along an axis of a picture.

    Returns:
        float64 [N] in 0..1.

    Raises:
        percept.models.encoders.NoTextTower: the encoder reads pictures only.
        RateError: not one opposite for each sentence, or no pictures.

    Source: Wang et al., Exploring CLIP for Assessing the Look and Feel of Images (2023).
    """
    from scipy.special import expit

    if isinstance(good, str) or isinstance(bad, str) or len(good) != len(bad) or not len(good):
        raise RateError(f"good and bad must be lists with one opposite for each sentence, got {good!r} and {bad!r}")
    sentences = encoder.encode_texts([*good, *bad]).double().numpy()
    apart = sentences[: len(good)] - sentences[len(good) :]
    scale = encoder.logit_scale
    assert scale is not None  # there is a text tower
    return np.asarray(expit(scale * features_of(encoder, pictures, most_views=most_views) @ apart.T).mean(1))


def rank_agreement(predictions: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each column with the truth: [V, K] and [V] to float64 [K], 0 for a constant column.

    Example:
        >>> rank_agreement(np.array([[1, 3, 5], [2, 2, 5], [9, 1, 5]]), np.array([1, 2, 3])).round(9).tolist()
        [1.0, -1.0, 0.0]
    """
    from scipy.stats import rankdata

    ranks, wanted = rankdata(predictions, axis=0), rankdata(truth)
    ranks, wanted = ranks - ranks.mean(0), wanted - wanted.mean()
    length = np.sqrt((ranks**2).sum(0) * (wanted**2).sum())
    return np.asarray(wanted @ ranks / np.where(length > 0, length, 1))


def labelled(x: Any, y: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Features and scores as float64 [N, D] and [N], or a `RateError` that says what is wrong with `name`."""
    features, scores = _finite(x, name), np.asarray(y, np.float64)
    if scores.shape != (len(features),):
        raise RateError(f"scores of {name} must be [{len(features)}], one per row of features, got {scores.shape}")
    if not np.isfinite(scores).all():
        raise RateError(f"score {np.flatnonzero(~np.isfinite(scores))[0]} of {name} is not a finite number")
    if (scores == scores[0]).all():
        raise RateError(f"all {len(scores)} scores of {name} are the same; nothing can be learned or chosen")
    return features, scores


def _finite(x: Any, name: str) -> np.ndarray:
    features = np.asarray(x, np.float64)
    if features.ndim != 2 or 0 in features.shape:
        raise RateError(f"features of {name} must be [N, D] and not empty, got {list(features.shape)}")
    bad = np.flatnonzero(~np.isfinite(features).all(1))
    if bad.size:
        raise RateError(f"features of {name} are not finite in row {bad[0]} ({bad.size} such rows)")
    return features


def _parts(train_x: Any, train_y: Any, val_x: Any, val_y: Any, test_x: Any) -> tuple[np.ndarray, ...]:
    parts = *labelled(train_x, train_y, "train"), *labelled(val_x, val_y, "validate"), _finite(test_x, "test")
    widths = [parts[at].shape[1] for at in (0, 2, 4)]
    if len(set(widths)) > 1:
        raise RateError(f"features of train, validate and test must be of one kind; their widths are {widths}")
    return parts


def _directions(x: np.ndarray, name: str) -> np.ndarray:
    length = np.linalg.norm(x, axis=1, keepdims=True)
    if not length.all():
        raise RateError(f"row {np.flatnonzero(length == 0)[0]} of {name} is a zero vector: it has no direction")
    return np.asarray(x / length)

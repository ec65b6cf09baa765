"""Rules of the fine-grained benchmarks: scores of items in, outcomes and figures out; pure numpy.

Shapes: N items, L sentences, K pictures of an item. The true sentence and the true picture come first; where there
are two of each, sentence 0 belongs to picture 0 and sentence 1 to picture 1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from percept.evaluation.arrays import to_numpy
from percept.evaluation.logistic import finite

TIES = ("strict", "lenient")
THRESHOLD = 0.5  # of a probability: a pair counts as true above it
# Expected figure of scores drawn at random, where it does not depend on the number of foils.
CHANCE = {"text": 1 / 4, "image": 1 / 4, "group": 1 / 6, "accuracy": 1 / 2, "auroc": 1 / 2, "acc": 1 / 2}


class Measure(NamedTuple):
    """A figure as the mean of one number per item, so that an interval can resample items.

    Attributes:
        items: float64 [N]. 0 or 1 where the rule decides item by item; else the figure plus the part that the item
            has in its deviation (AUROC, and shares of pairs that several items have in common).
        tied: bool [N], whether a comparison of the item meets equal scores; None for figures that compare otherwise.
    """

    items: np.ndarray
    tied: np.ndarray | None = None

    @property
    def value(self) -> float:
        """The figure."""
        return float(self.items.mean())


def pairwise_accuracy(positive: Any, negative: Any, ties: str = "strict") -> float:
    """Share of items whose true pair scores higher than the false one: acc_r of VALSE and SVO, and SugarCrepe.

    Args:
        positive, negative: [N] finite scores.
        ties: "strict" (equal scores are wrong, so a constant scorer gets 0) or "lenient" (they are right).

    Returns:
        0..1; chance is 1/2 without ties.

    Raises:
        ValueError: unknown rule, lengths that differ, no or non-finite scores.

    Example:
        >>> [pairwise_accuracy([2, 1, 1], [1, 1, 2], ties) for ties in ("strict", "lenient")]
        [0.3333333333333333, 0.6666666666666666]
    """
    first, second = finite(positive, "positive"), finite(negative, "negative")
    if first.size != second.size:
        raise ValueError(f"positive and negative must score the same items: got {first.size} and {second.size}")
    return measures(np.stack([first, second], axis=1)[:, :, None], ties=ties)["acc_r"].value


def winoground_scores(scores: Any, ties: str = "strict") -> dict[str, float]:
    """Text, image and group score of items of two sentences and two pictures.

    Args:
        scores: [N, 2, 2] (item, caption, image), finite.
        ties: "strict" or "lenient", as in `pairwise_accuracy`.

    Returns:
        text (each picture prefers its caption), image (each caption prefers its picture), group (both), in 0..1.
        Chance is 1/4, 1/4 and 1/6: 4 of the 24 orders of four scores.

    Raises:
        ValueError: another shape, unknown rule, non-finite scores.

    Source: Thrush et al., Winoground (2022).

    Example:
        >>> winoground_scores([[[0.9, 0.8], [0.1, 0.7]]])  # caption 1 prefers image 1, image 1 prefers caption 0
        {'text': 0.0, 'image': 1.0, 'group': 0.0}
    """
    array = to_numpy(scores)
    if array.ndim != 3 or array.shape[1:] != (2, 2):
        raise ValueError(f"scores must be [N, 2, 2] (item, caption, image), got shape {array.shape}")
    return {name: measure.value for name, measure in measures(array, ties=ties).items()}


def measures(
    scores: Any, label: np.ndarray | None = None, keys: np.ndarray | None = None, *, probability: bool = False,
    ties: str = "strict",
) -> dict[str, Measure]:  # fmt: skip
    """Every figure that the shape of the items allows.

    Args:
        scores: [N, L, K], finite: [N, L, 1] sentences of one picture, [N, 1, 2] pictures of one sentence, [N, 2, 2],
            or with `label` [N, 1, 1].
        label: bool [N], whether the sentence is true of the picture.
        keys: int [N, M] that name the pair (sentence, picture) behind each score of an item, M = L * K. p_c and p_f
            then count equal keys once, as the original figure of SVO-Probes does.
        probability: whether scores are probabilities of a match, so that 0.5 means something.
        ties: "strict" or "lenient".

    Returns:
        - One sentence or one picture: `acc_r` (the true one beats all foils; with K captions this is precision@1)
          and `auroc` (true against false pairs of all items); with probabilities `p_c` (true pair above 0.5), `p_f`
          (false pair not above 0.5), `acc` = (p_c + p_f) / 2, `min` = the smaller of p_c and p_f.
        - Two of each: `text`, `image`, `group`.
        - Labels: `auroc` (where both labels occur); with probabilities `accuracy` (above 0.5 means true).

    Raises:
        ValueError: no items, another shape, unknown rule, scores that are not finite or no probabilities.

    Source: VALSE (Parcalabescu et al. 2022), VSR (Liu et al. 2023), SVO-Probes (Hendricks and Nematzadeh 2021), ARO
    (Yuksekgonul et al. 2023), SugarCrepe (Hsieh et al. 2023), Winoground (Thrush et al. 2022).
    """
    array = _checked(scores, probability, ties)
    flat = array.reshape(len(array), -1)
    if label is not None:
        if array.shape != (len(label), 1, 1):
            raise ValueError(f"items with labels need scores [{len(label)}, 1, 1], got shape {array.shape}")
        return _truth(flat, np.asarray(label, dtype=bool), probability)
    if array.shape[1:] == (2, 2):
        return _square(array, ties)
    if 1 not in array.shape[1:] or flat.shape[1] < 2:
        raise ValueError(f"no rule scores items of shape {array.shape[1:]} (sentences, pictures) without labels")
    true, foils = flat[:, 0], flat[:, 1:]
    found = {
        "acc_r": Measure(_beats(true, foils.max(axis=1), ties).astype(float), (true[:, None] == foils).any(axis=1))
    }
    if probability:
        found |= _decisions(flat, keys)
    mask = np.broadcast_to(np.arange(flat.shape[1]) == 0, flat.shape)
    return found | {"auroc": Measure(auroc_items(flat, mask))}


def _checked(scores: Any, probability: bool, ties: str) -> np.ndarray:
    if ties not in TIES:
        raise ValueError(f"ties must be 'strict' or 'lenient', got {ties!r}")
    array = to_numpy(scores).astype(np.float64)
    if array.ndim != 3 or not array.size:
        raise ValueError(f"scores must be a non-empty [N, L, K] (item, sentence, picture), got shape {array.shape}")
    bad = np.argwhere(~np.isfinite(array))
    if bad.size:
        raise ValueError(f"item {bad[0][0]} has a score that is not finite ({len(bad)} such scores)")
    if probability and not 0 <= array.min() <= array.max() <= 1:
        raise ValueError(f"probabilities must lie in 0..1, got {array.min():g}..{array.max():g}; calibrate the scores")
    return array


def _beats(first: np.ndarray, second: np.ndarray, ties: str) -> np.ndarray:
    return first > second if ties == "strict" else first >= second


def _square(scores: np.ndarray, ties: str) -> dict[str, Measure]:
    own, other_picture = (scores[:, 0, 0], scores[:, 1, 1]), (scores[:, 0, 1], scores[:, 1, 0])
    rivals = {"text": other_picture[::-1], "image": other_picture}  # of the same picture; of the same sentence
    found, tied = {}, {}
    for name, rival in rivals.items():
        found[name] = np.all([_beats(a, b, ties) for a, b in zip(own, rival, strict=True)], axis=0)
        tied[name] = np.any([a == b for a, b in zip(own, rival, strict=True)], axis=0)
    found["group"], tied["group"] = found["text"] & found["image"], tied["text"] | tied["image"]
    return {name: Measure(right.astype(float), tied[name]) for name, right in found.items()}


def _truth(flat: np.ndarray, label: np.ndarray, probability: bool) -> dict[str, Measure]:
    found = {}
    if probability:
        right = (flat[:, 0] > THRESHOLD) == label
        found["accuracy"] = Measure(right.astype(float), flat[:, 0] == THRESHOLD)
    if label.any() and not label.all():
        found["auroc"] = Measure(auroc_items(flat, label[:, None]))
    return found


def _decisions(flat: np.ndarray, keys: np.ndarray | None) -> dict[str, Measure]:
    above = (flat > THRESHOLD).astype(float)
    accepted, rejected = above[:, :1], 1 - above[:, 1:]
    if keys is not None:
        accepted, rejected = _once(accepted, keys[:, :1]), _once(rejected, keys[:, 1:])
    p_c, p_f = accepted[:, 0], rejected.mean(axis=1)
    smaller = p_c if p_c.mean() <= p_f.mean() else p_f
    found = {"p_c": p_c, "p_f": p_f, "acc": (p_c + p_f) / 2, "min": smaller}
    return {name: Measure(items) for name, items in found.items()}


def _once(values: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Values of which each distinct key has the same part in the mean, however often it occurs."""
    _, index, counts = np.unique(keys, return_inverse=True, return_counts=True)
    weight = (values.size / (counts[index] * counts.size)).reshape(values.shape)
    share = (weight * values).mean()
    return np.asarray(share + weight * (values - share))


def auroc_items(scores: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Area under the ROC curve, true against false scores (equal ones count half), as one number per item.

    Args:
        scores: [N, M] scores of the pairs of each item.
        true: bool [N, M]; both values must occur.

    Returns:
        float64 [N] with the area as mean: the area plus the item's part in its deviation, so that resampling items
        whole keeps the pairs of an item together.

    Source: placement values, DeLong et al. (1988); whole items, Obuchowski (1997).

    Example:
        >>> float(auroc_items(np.array([[3.0, 1.0], [2.0, 2.0]]), np.array([[True, False]] * 2)).mean())
        0.875
    """
    placed = np.where(true, _placed(scores, scores[~true]), 1 - _placed(scores, scores[true]))
    area = placed[true].mean()
    weight = len(scores) / np.where(true, true.sum(), (~true).sum())
    return np.asarray(area + (weight * (placed - area)).sum(axis=1))


def _placed(scores: np.ndarray, rivals: np.ndarray) -> np.ndarray:
    """Share of rivals below each score, equal ones counted half."""
    ordered = np.sort(rivals)
    below = [np.searchsorted(ordered, scores, side=side) for side in ("left", "right")]  # type: ignore[call-overload]
    return np.asarray((below[0] + below[1]) / (2 * ordered.size))


def other_pictures(picture: np.ndarray, seed: int = 0) -> np.ndarray | None:
    """Exchange pictures for one another so that no item keeps or swaps its own: the control of `evaluate`.

    Args:
        picture: int [N, K], pictures of each item.
        seed: of the permutation.

    Returns:
        int [N, K] of the same pictures, each mapped to another one that stands in none of its items; None where no
        such permutation was found (too few pictures).
    """
    rng = np.random.default_rng(seed)
    used, place = np.unique(picture, return_inverse=True)
    place = place.reshape(picture.shape)
    target = rng.permutation(used)
    for _ in range(1000):
        moved: np.ndarray = target[place]
        clash = (moved[:, :, None] == picture[:, None, :]).any(axis=2)
        if not clash.any():
            return moved
        for position in np.unique(place[clash]):
            other = rng.integers(used.size)
            target[position], target[other] = target[other], target[position]
    return None

"""Simulated raters. They stand in for people where nobody is there to ask, and are called simulated everywhere.

A rater sees two pictures as far apart as a weighted sum of their attribute differences (city block), prefers the
nearer candidate with logistic noise, leans a little to one side, and sometimes answers without looking:
``P(right) = lapse / 2 + (1 - lapse) * sigmoid(sensitivity * (d_left - d_right) + bias)``. In the concept-level task
the pair that is left together is drawn by ``softmax(-sensitivity * d)`` over the three pairs.

All constants below were written down before any encoder was aligned to these raters, and are not changed after
results. There are two groups: *objects* goes by what is there, *appearance* by how it looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from percept.data.scenes import SPLITS
from percept.data.stimuli import SOURCES, Stimuli, stimuli

if TYPE_CHECKING:
    import pandas

    from percept.data.triplets import Triplets

GROUPS = ("objects", "appearance")

# Mean weight of each attribute in the two groups; individuals scatter around it by a log-normal factor.
WEIGHTS: dict[str, dict[str, tuple[float, float]]] = {
    "mid-level": {
        "category": (1.2, 0.6), "number": (0.8, 0.6), "colour": (0.5, 1.0), "layout": (0.7, 0.9),
        "pose": (0.6, 0.3), "background": (0.5, 0.7), "light": (0.2, 0.6), "coarse colour": (0.3, 0.6),
    },
    "low-level": {"error": (0.8, 1.0), "sharpness": (0.6, 0.8), "grain": (0.8, 0.5), "light": (0.4, 0.8)},
    "concept-level": {
        "category": (1.0, 0.8), "animate": (0.8, 0.6), "size": (0.3, 0.5), "flies": (0.3, 0.2), "carried": (0.4, 0.3),
    },
    "category": {"noun": (1.0, 1.0)},
}  # fmt: skip
WEIGHT_SPREAD = 0.25  # standard deviation of the logarithm
SENSITIVITY, SENSITIVITY_SPREAD = 10.0, 0.2  # median, standard deviation of the logarithm
BIAS_SPREAD = 0.15  # standard deviation, in logits
LAPSE = (2.0, 48.0)  # Beta distribution, mean 4 %
VOTES = 6  # judgments per triplet, the least that NIGHTS keeps


@dataclass(frozen=True)
class Rater:
    """One simulated rater.

    Attributes:
        name: "objects-003".
        group: one of ``GROUPS``.
        number: position in the group; with the seed it fixes everything about the rater.
        seed: of the panel.
        sensitivity: inverse noise.
        bias: lean to the right, in logits.
        lapse: share of answers given without looking.
    """

    name: str
    group: str
    number: int
    seed: int
    sensitivity: float
    bias: float
    lapse: float

    def weights(self, source: str) -> np.ndarray:
        """Weights of the attributes of a source, float64 ``[K]``."""
        means = np.array([pair[GROUPS.index(self.group)] for pair in WEIGHTS[source].values()])
        rng = np.random.default_rng([self.seed, GROUPS.index(self.group), self.number, 1 + SOURCES.index(source)])
        drawn: np.ndarray = means * np.exp(rng.normal(0, WEIGHT_SPREAD, means.size))
        return drawn

    def distances(self, shown: Stimuli) -> np.ndarray:
        """How far apart the pairs of each triplet look to this rater, float64 ``[T, 3]``."""
        apart: np.ndarray = shown.attributes @ self.weights(shown.source)
        return apart

    def prefers_right(self, shown: Stimuli) -> np.ndarray:
        """Probability of "the right one is more like the reference", float64 ``[T]``, in 0..1."""
        apart = self.distances(shown)
        logits = self.sensitivity * (apart[:, 0] - apart[:, 1])
        # In the odd-one-out task nobody chooses between a left and a right picture.
        bias = 0.0 if shown.source == "concept-level" else self.bias
        chosen: np.ndarray = self.lapse / 2 + (1 - self.lapse) / (1 + np.exp(-(logits + bias)))
        return chosen

    def keeps_together(self, shown: Stimuli) -> np.ndarray:
        """Odd-one-out: probability that the pairs (1, 2), (1, 3), (2, 3) are kept together, ``[T, 3]``."""
        logits = -self.sensitivity * self.distances(shown)
        share = np.exp(logits - logits.max(1, keepdims=True))
        kept: np.ndarray = self.lapse / 3 + (1 - self.lapse) * share / share.sum(1, keepdims=True)
        return kept


def raters(n: int = 24, seed: int = 0, group: str | None = None) -> list[Rater]:
    """Draw a panel, half of each group unless one is named.

    Args:
        n: number of raters.
        seed: of the panel; another seed is another panel from the same prior.
        group: one of ``GROUPS``, or None for both in turn.

    Raises:
        ValueError: n below 1 or an unknown group.

    Example:
        >>> [rater.name for rater in raters(3)]
        ['objects-000', 'appearance-000', 'objects-001']
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if group is not None and group not in GROUPS:
        raise ValueError(f"unknown group {group!r}; known: {', '.join(GROUPS)}")
    chosen = [(group, i) if group else (GROUPS[i % 2], i // 2) for i in range(n)]
    return [_draw(name, number, seed) for name, number in chosen]


def _draw(group: str, number: int, seed: int) -> Rater:
    rng = np.random.default_rng([seed, GROUPS.index(group), number, 0])
    sensitivity = SENSITIVITY * np.exp(rng.normal(0, SENSITIVITY_SPREAD))
    bias, lapse = rng.normal(0, BIAS_SPREAD), rng.beta(*LAPSE)
    return Rater(f"{group}-{number:03d}", group, number, seed, float(sensitivity), float(bias), float(lapse))


@dataclass(frozen=True)
class Judged:
    """Stimuli with the votes of a panel.

    Attributes:
        shown: the stimuli.
        panel: who could be asked.
        triplets: the votes as a data set to train on or to score against.
        answers: one row per answer: rater, group, item (row of ``shown.items``), answer (0 left, 1 right; in the
            odd-one-out task the position of the odd one, 0 to 2).
        probability: float64 ``[T]``, true probability of "right" for a rater drawn from the panel, per triplet.
        contrast: float64 ``[T, K]``, attributes of (reference, left) minus those of (reference, right), per triplet;
            what the attribute oracle reads.
    """

    shown: Stimuli
    panel: list[Rater]
    triplets: Triplets
    answers: pandas.DataFrame
    probability: np.ndarray
    contrast: np.ndarray

    @cached_property
    def ceiling(self) -> float:
        """Noise ceiling: expected two-alternative score of the true choice probabilities, 0.5..1."""
        return float(np.maximum(self.probability, 1 - self.probability).mean())


def judged(
    source: str,
    split: str,
    n: int,
    seed: int = 0,
    panel: list[Rater] | None = None,
    votes: int = VOTES,
    candidates: int = 2,
) -> Judged:
    """Show triplets of a source to a panel and collect its votes.

    Args:
        source: one of ``percept.data.stimuli.SOURCES``.
        split: name in ``percept.data.scenes.SPLITS``.
        n: triplets to train on or score against; a concept-level one is half of an odd-one-out trial.
        seed: of the stimuli, the choice of raters and their noise.
        panel: the raters; ``raters(24, seed)`` unless given.
        votes: different raters asked about each triplet; all if the panel is smaller.
        candidates: see ``percept.data.stimuli.stimuli``.
    """
    panel = raters(24, seed) if panel is None else panel
    if votes < 1:
        raise ValueError(f"votes must be at least 1, got {votes}")
    shown = stimuli(source, split, n if source != "concept-level" else (n + 1) // 2, seed, candidates)
    rng = np.random.default_rng([seed, SOURCES.index(source), list(SPLITS).index(split), 7])
    asked = np.stack([rng.permutation(len(panel))[:votes] for _ in shown.items])
    make = _odd_one_out if source == "concept-level" else _two_alternatives
    return make(shown, panel, asked, rng, n)


def _two_alternatives(
    shown: Stimuli, panel: list[Rater], asked: np.ndarray, rng: np.random.Generator, n: int
) -> Judged:
    from percept.data.triplets import Triplets

    chances = np.stack([rater.prefers_right(shown) for rater in panel], 1)  # [T, raters]
    answers = rng.random(asked.shape) < np.take_along_axis(chances, asked, 1)
    votes = np.full(len(asked), asked.shape[1])
    triplets = Triplets(shown.pictures, shown.items, answers.mean(1), votes, shown.groups, name=shown.source)
    contrast = shown.attributes[:, 0] - shown.attributes[:, 1]
    return Judged(shown, panel, triplets, _table(panel, asked, answers), chances.mean(1), contrast)


def _odd_one_out(shown: Stimuli, panel: list[Rater], asked: np.ndarray, rng: np.random.Generator, n: int) -> Judged:
    """Trials become two triplets each: either of the pair that most raters keep together is the reference."""
    from percept.data.triplets import Triplets

    kept = np.stack([rater.keeps_together(shown) for rater in panel], 1)  # [trials, raters, pairs]
    chances = np.take_along_axis(kept, asked[..., None], 1)
    pairs = (rng.random((*asked.shape, 1)) > chances.cumsum(-1)[..., :2]).sum(-1)
    odd = 2 - pairs  # the pairs (1, 2), (1, 3), (2, 3) leave out the items 3, 2, 1
    counts = np.stack([(odd == item).sum(1) for item in range(3)], 1)
    true = np.stack([kept.mean(1)[:, 2 - item] for item in range(3)], 1)
    rows, items, votes, right, probability, contrast = [], [], [], [], [], []
    for row, out in enumerate(counts.argmax(1)):
        inside = [item for item in range(3) if item != out]
        for reference, other in (inside, inside[::-1]):
            # "right" is the odd one: preferred to the other when the other was left out instead.
            rows.append(row)
            items.append(shown.items[row, [reference, other, out]])
            votes.append(counts[row, out] + counts[row, other])
            right.append(counts[row, other] / votes[-1])
            probability.append(true[row, other] / (true[row, out] + true[row, other]))
            near, far = (shown.attributes[row, reference + item - 1] for item in (other, out))
            contrast.append(near - far)
    flip = rng.random(len(rows)) < 0.5  # half of the odd ones stand on the left
    table, shares, truth, sides = np.array(items), np.array(right), np.array(probability), np.array(contrast)
    table[flip] = table[flip][:, [0, 2, 1]]
    shares[flip], truth[flip], sides[flip] = 1 - shares[flip], 1 - truth[flip], -sides[flip]
    triplets = Triplets(
        shown.pictures, table[:n], shares[:n], np.array(votes)[:n], shown.groups[rows][:n], name=shown.source
    )
    return Judged(shown, panel, triplets, _table(panel, asked, odd), truth[:n], sides[:n])


def _table(panel: list[Rater], asked: np.ndarray, answers: np.ndarray) -> pandas.DataFrame:
    import pandas

    items, _ = np.indices(asked.shape)
    who = [panel[number] for number in asked.ravel()]
    return pandas.DataFrame(
        {
            "rater": [rater.name for rater in who],
            "group": [rater.group for rater in who],
            "item": items.ravel(),
            "answer": answers.ravel().astype(float),
        }
    )

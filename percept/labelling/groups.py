"""Whose eyes? Agreement within and between groups of raters, and the items that divide them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from percept.evaluation.statistics import Interval
from percept.labelling.aggregate import AnswersError, checked


@dataclass(frozen=True, eq=False)
class GroupAgreement:
    """Whose eyes? Agreement of two answers to one item, by the groups of the two raters.

    Attributes:
        table: group x group share of agreeing pairs of answers (diagonal: two raters of the same group).
        within, between: the same over all pairs of one kind, with item bootstrap intervals.
        gap: within - between; above 0 = people agree more with their own group.
        p_value: permutation of the group labels over raters, one-sided (gap at least as large).
        items: item, share of right and votes per group, `difference` (largest minus smallest share) and
            `evidence`, the same after adding one vote for each side, so that one vote against one does not lead.
            Largest evidence first.
    """

    table: pd.DataFrame
    within: Interval
    between: Interval
    gap: Interval
    p_value: float
    items: pd.DataFrame


def _pair_sums(right: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Agreeing and all pairs of answers per item and pair of groups, [items, G, G] each; inputs [items, G]."""
    left = size - right
    same = right[:, :, None] * right[:, None, :] + left[:, :, None] * left[:, None, :]
    pairs = size[:, :, None] * size[:, None, :]
    own = np.arange(right.shape[1])
    same[:, own, own] = (right * (right - 1) + left * (left - 1)) / 2
    pairs[:, own, own] = size * (size - 1) / 2
    return same, pairs


def _split(sums: np.ndarray) -> np.ndarray:
    """[..., G, G] to [..., 2]: pairs within groups, pairs between groups (each once)."""
    within = np.trace(sums, axis1=-2, axis2=-1)
    return np.stack([within, np.triu(sums, 1).sum(axis=(-2, -1))], axis=-1)


def _rates(same: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Sums over items [..., 2] to [..., 3]: agreement within, between, and the gap."""
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = same / pairs
    return np.concatenate([rates, rates[..., :1] - rates[..., 1:]], axis=-1)


def group_agreement(answers: pd.DataFrame, n: int = 1000, permutations: int = 999, seed: int = 0) -> GroupAgreement:
    """Compare agreement within and between groups of raters, and list the items that divide them.

    Args:
        answers: answers table with at least two groups of which one has two raters who share items.
        n: bootstrap resamples of items.  permutations: of the group labels over raters.  seed: of both.

    Returns:
        GroupAgreement. Intervals treat items as the sample; the permutation test treats raters as the sample. Every
        pair of answers counts the same, so items with more votes weigh more.

    Raises:
        AnswersError: for one group only, or when no pair within or between groups shares an item.
    """
    given = checked(answers, raters=3).dropna(subset="answer")
    given["group"] = given["group"].fillna("").astype(str)
    names = sorted(given["group"].unique())
    if len(names) < 2:
        raise AnswersError(f"all raters are in the group {names[0]!r}: name two groups to compare them")
    item, items = pd.factorize(given["item"], sort=True)
    rater, _ = pd.factorize(given["rater"], sort=True)
    home = given["group"].map(names.index).groupby(rater).first().to_numpy()
    answer, shape = given["answer"].to_numpy(), (len(items), len(names))

    def sums(homes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        cell = item * len(names) + homes[rater]
        size = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape).astype(float)
        right = np.bincount(cell, weights=answer, minlength=shape[0] * shape[1]).reshape(shape)
        return _pair_sums(right, size)

    same, pairs = sums(home)
    both = _split(same), _split(pairs)
    if not both[1].sum(axis=0).all():
        kind = "between" if both[1][:, 0].any() else "within"
        raise AnswersError(f"no two raters {kind} groups answered the same item: ask raters about the same items")
    value = _rates(both[0].sum(axis=0), both[1].sum(axis=0))
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(items), np.full(len(items), 1 / len(items)), size=n)
    low, high = np.nanpercentile(_rates(drawn @ both[0], drawn @ both[1]), [2.5, 97.5], axis=0)
    shuffled = (sums(rng.permutation(home)) for _ in range(permutations))
    null = np.array([_rates(_split(s.sum(axis=0)), _split(p.sum(axis=0)))[2] for s, p in shuffled])
    used = int(both[1].any(axis=1).sum())
    limits = [Interval(float(value[k]), float(low[k]), float(high[k]), used) for k in range(3)]
    with np.errstate(invalid="ignore", divide="ignore"):
        table = pd.DataFrame(same.sum(axis=0) / pairs.sum(axis=0), names, names)
    p_value = (1 + np.sum(null >= value[2] - 1e-12)) / (1 + permutations)
    return GroupAgreement(table, limits[0], limits[1], limits[2], float(p_value), _divided(given, names))


def _divided(given: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Items that raters of at least two groups answered, those with the strongest evidence of a difference first."""
    counts = given.pivot_table(index="item", columns="group", values="answer", aggfunc=["mean", "size", "sum"])
    share, votes = counts["mean"][names], counts["size"][names].fillna(0).astype(int)
    steady = ((counts["sum"][names] + 1) / (votes + 2)).where(votes > 0)
    table = share.add_prefix("right_").join(votes.add_prefix("votes_"))
    table["difference"] = share.max(axis=1) - share.min(axis=1)
    table["evidence"] = steady.max(axis=1) - steady.min(axis=1)
    table = table[(votes > 0).sum(axis=1) >= 2]
    return table.sort_values("evidence", ascending=False, kind="stable").rename_axis(columns=None)

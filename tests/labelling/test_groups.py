import numpy as np
import pandas as pd
import pytest

from percept.labelling.aggregate import AnswersError
from percept.labelling.groups import group_agreement


def two_groups(differ, items=150, raters=5, seed=0):
    """Groups a and b see a share `differ` of the items the other way round."""
    rng = np.random.default_rng(seed)
    truth, turned = rng.integers(2, size=items), rng.random(items) < differ
    rows = []
    for group in "ab":
        for r in range(raters):
            seen = np.where(turned & (group == "b"), 1 - truth, truth)
            answer = np.where(rng.random(items) < 0.85, seen, 1 - seen)
            rows += [(f"{group}{r}", group, i, float(answer[i])) for i in range(items) if rng.random() < 0.8]
    return pd.DataFrame(rows, columns=["rater", "group", "item", "answer"]), turned


def test_agreement_against_a_loop_over_pairs():
    answers, _ = two_groups(0.3, items=25)
    same, pairs = np.zeros(2), np.zeros(2)
    rows = list(answers.itertuples())
    for k, one in enumerate(rows):
        for two in rows[:k]:
            if one.item == two.item:
                kind = int(one.group != two.group)
                same[kind] += one.answer == two.answer
                pairs[kind] += 1
    found = group_agreement(answers, n=100, permutations=20)
    assert (found.within.value, found.between.value) == pytest.approx(tuple(same / pairs))
    assert found.table.loc["a", "b"] == found.table.loc["b", "a"] == pytest.approx(found.between.value)
    assert found.gap.value == pytest.approx(found.within.value - found.between.value)


def test_groups_that_differ_are_found_and_their_items_listed():
    answers, turned = two_groups(0.3)
    found = group_agreement(answers, permutations=199)
    assert found.gap.low > 0.05
    assert found.p_value < 0.05
    top = found.items.index[: turned.sum()]
    assert turned[top].mean() > 0.75
    assert found.items["evidence"].is_monotonic_decreasing


def test_groups_that_do_not_differ_are_not():
    gaps = [group_agreement(two_groups(0.0, items=80, seed=s)[0], n=200, permutations=99).p_value for s in range(12)]
    assert sum(p < 0.05 for p in gaps) <= 2


def test_one_vote_against_one_does_not_lead():
    rows = [(f"{g}{r}", g, 0, float(g == "a")) for g in "ab" for r in range(4)]
    rows += [("a0", "a", 1, 1.0), ("b0", "b", 1, 0.0)]
    found = group_agreement(pd.DataFrame(rows, columns=["rater", "group", "item", "answer"]), n=100, permutations=10)
    assert found.items.index.tolist() == [0, 1]
    assert found.items["difference"].tolist() == [1.0, 1.0]
    assert found.items["evidence"].tolist() == pytest.approx([5 / 6 - 1 / 6, 2 / 3 - 1 / 3])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "x", 1, 1.0), ("b", "x", 1, 1.0), ("c", "x", 1, 1.0)], "all raters are in the group 'x'"),
        ([("a", "x", 1, 1.0), ("b", "x", 1, 1.0), ("c", "y", 2, 1.0)], "no two raters between groups"),
        ([("a", "x", 1, 1.0), ("b", "y", 1, 1.0), ("c", "z", 1, 1.0)], "no two raters within groups"),
        ([("a", "x", 1, 1.0), ("b", "y", 1, 1.0)], "at least 3 raters"),
    ],
)
def test_bad_input(rows, message):
    with pytest.raises(AnswersError, match=message):
        group_agreement(pd.DataFrame(rows, columns=["rater", "group", "item", "answer"]))

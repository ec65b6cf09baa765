from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from percept.evaluation.differences import VerdictError, difference
from percept.evaluation.scores import score
from percept.evaluation.statistics import Interval, wilson_interval
from percept.evaluation.verdicts import guard, holm, tolerances, verdict_shares, verdict_table


def test_holm_by_hand_and_by_its_definition():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    rng = np.random.default_rng(0)
    for _ in range(20):
        p = rng.random(7) ** 3
        adjusted, alpha = holm(p), float(rng.random())
        rejected = []
        for rank, i in enumerate(np.argsort(p)):  # step down: stop at the first that is not rejected
            if p[i] >= alpha / (7 - rank):
                break
            rejected.append(i)
        assert set(np.flatnonzero(adjusted < alpha)) == set(rejected)
    with pytest.raises(VerdictError, match="numbers in 0..1"):  # noqa: RUF043
        holm([0.1, np.nan])


def shifted(shift, spread, size=400, seed=0):
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, spread, size)
    return difference(shift + noise - noise.mean(), np.zeros(size), n=1000)


def test_equal_is_not_the_same_as_not_shown():
    found = verdict_table(
        {
            "up": shifted(0.2, 0.5),
            "down": shifted(-0.2, 0.5),
            "equal": shifted(0.0, 0.1),
            "open": shifted(0.0, 2.0),
            "tiny": shifted(0.01, 0.01),
        },
        tolerance=0.05,
    )
    assert found["verdict"].to_dict() == {
        "up": "better", "down": "worse", "equal": "no change", "open": "undecided", "tiny": "better",
    }  # fmt: skip
    assert found["small"].to_dict() == {"up": False, "down": False, "equal": True, "open": False, "tiny": True}
    assert found["no_worse"].to_dict() == {"up": True, "down": False, "equal": True, "open": False, "tiny": True}
    assert (found["low"] <= found["difference"]).all()


def test_holm_makes_a_single_lucky_task_undecided():
    rng = np.random.default_rng(1)
    null = [difference(rng.normal(0, 1, 100), np.zeros(100), n=1000, seed=s) for s in range(40)]
    lucky = min(null, key=lambda d: d.p_value)
    assert lucky.p_value < 0.05
    assert verdict_table({"one": lucky}, 0.01)["verdict"].item() != "undecided"
    table = verdict_table({str(k): d for k, d in enumerate(null)}, 0.01)
    assert table["verdict"].eq("undecided").all()


def test_tolerance_per_task_is_required():
    with pytest.raises(VerdictError, match="task 'a' needs a tolerance above 0, got None"):
        verdict_table({"a": shifted(0, 1)}, {"b": 0.1})
    with pytest.raises(VerdictError, match="got 0"):
        verdict_table({"a": shifted(0, 1)}, 0)
    with pytest.raises(VerdictError, match="would be empty"):
        verdict_table({}, 0.1)


def test_shares_over_raters():
    rows = [(r, "count", "better" if r < 15 else "worse") for r in range(20)] + [
        (r, "depth", "no change") for r in range(20)
    ]
    found = verdict_shares(pd.DataFrame(rows, columns=["rater", "task", "verdict"])).set_index(["task", "verdict"])
    assert found.loc[("count", "better")].tolist() == list(wilson_interval(15, 20))
    assert found.loc[("depth", "worse"), "share"] == 0
    assert found["share"].groupby("task").sum().tolist() == [1.0, 1.0]
    for bad, message in (
        ([(1, "a", "good")], "verdict 'good' is none of better"),
        ([(1, "a", "better"), (1, "a", "worse")], "two verdicts for one task"),
    ):
        with pytest.raises(VerdictError, match=message):
            verdict_shares(pd.DataFrame(bad, columns=["rater", "task", "verdict"]))
    with pytest.raises(VerdictError, match=r"lack the column\(s\) verdict"):
        verdict_shares(pd.DataFrame({"rater": [1], "task": ["a"]}))


def limits(*lows):
    return [Interval(low + 0.02, low, low + 0.04, 100) for low in lows]


def test_guard_takes_the_largest_strength_at_which_every_task_is_safe():
    strengths = [0.0, 0.25, 0.5, 0.75, 1.0]
    tasks = {"depth": limits(0, -0.01, -0.02, -0.06, -0.01), "count": limits(0, 0.01, 0.01, 0.0, -0.04)}
    found = guard(strengths, tasks, 0.05)
    assert (found.strength, found.blocking) == (0.5, "depth")
    assert found.table["worst_task"].tolist()[3:] == ["depth", "count"]
    assert found.table["passes"].tolist() == [True, True, True, False, True]
    loose = guard(strengths, tasks, 0.05, conservative=False)
    assert (loose.strength, loose.blocking) == (1.0, "")
    assert guard(strengths, tasks, {"depth": 0.05, "count": 0.03}, conservative=False).strength == 0.5
    strict = guard(strengths, tasks, 0.001)
    assert (strict.strength, strict.blocking) == (0.0, "depth")
    wider = [guard(strengths, tasks, t).strength for t in (0.005, 0.015, 0.03, 0.07)]
    assert all(a <= b for a, b in pairwise(wider))


def test_not_shown_to_be_worse_is_not_enough_for_the_guard():
    vague = [Interval(0.0, -0.2, 0.2, 10)]
    found = guard([1.0], {"depth": vague}, 0.05)
    assert (found.strength, found.blocking) == (0.0, "depth")


def test_guard_takes_differences_and_the_base_always_passes():
    same = difference(np.ones(30), np.ones(30))
    found = guard([0.0, 1.0], {"a": [same, shifted(-1.0, 0.1)]}, 0.1)
    assert found.strength == 0.0
    assert found.table["passes"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5, 0.0], {"a": limits(0, 0)}, 0.1), "increasing numbers of 0 or more"),
        (([-1.0], {"a": limits(0)}, 0.1), "increasing numbers of 0 or more"),
        (([0.0], {}, 0.1), "no guarded task"),
        (([0.0, 1.0], {"a": limits(0)}, 0.1), r"task 'a' needs one finite difference per strength \(2\)"),
        (([1.0], {"a": limits(np.nan)}, 0.1), "task 'a' needs one finite difference"),
        (([1.0], {"a": limits(0)}, {"b": 1.0}), "task 'a' needs a tolerance"),
    ],
)
def test_guard_refuses(arguments, message):
    with pytest.raises(VerdictError, match=message):
        guard(*arguments)


def test_tolerances_are_a_step_for_shares_and_a_part_of_the_base_for_errors():
    base = {
        "nouns": score("nouns", "natural", [1, 0, 1, 1], 0.5),
        "count": score("count", "counting", [1.0, 9.0, 2.0, 4.0], 3.0, higher=False, summary="root"),
    }
    assert tolerances(base) == pytest.approx({"nouns": 0.02, "count": 0.03 * 2})
    assert tolerances(base, share=0.1, error=0.5) == pytest.approx({"nouns": 0.1, "count": 1.0})
    perfect = {"count": score("count", "counting", [0.0, 0.0], 3.0, higher=False)}
    with pytest.raises(VerdictError, match="'count' has no error before"):
        tolerances(perfect)
    with pytest.raises(VerdictError, match="above 0, got 0"):
        tolerances(base, share=0)

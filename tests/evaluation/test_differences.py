import numpy as np
import pytest

from percept.evaluation.differences import VerdictError, compare, difference
from percept.evaluation.scores import score, summarise
from percept.evaluation.statistics import crossed_interval, paired_difference


def test_the_mean_equals_the_existing_paired_bootstrap():
    rng = np.random.default_rng(0)
    after, before = rng.random(200), rng.random(200) - 0.05
    found, known = difference(after, before, n=4000), paired_difference(after, before, n=4000)
    assert found.value == pytest.approx(known.value)
    assert found.interval[1:3] == pytest.approx(known[1:3], abs=0.004)
    runs = rng.random((6, 200)) + rng.normal(0, 0.05, (6, 1))
    crossed, table = difference(runs[..., None], np.zeros((6, 200, 1)), n=4000), crossed_interval(runs, n=4000)
    assert crossed.interval[:3] == pytest.approx(table[:3], abs=0.006)


@pytest.mark.parametrize(("summary", "width"), [("mean", 1), ("root", 1), ("iou", 9)])
@pytest.mark.parametrize("kind", ["items", "groups", "crossed", "nested"])
def test_against_a_slow_bootstrap(summary, width, kind):
    rng = np.random.default_rng(3)
    runs = 1 if kind in ("items", "groups") else 3
    after = rng.poisson(4, (runs, 40, width)).astype(float)
    before = after + rng.poisson(1, after.shape)
    groups = np.repeat(np.arange(13), 4)[:40] if kind == "groups" else None
    options = {"items": "nested"} if kind == "nested" else {"groups": groups}
    found = difference(after, before, summary=summary, n=3000, **options)
    draws = []
    for _ in range(1500):
        picked = rng.integers(runs, size=runs)
        rows = rng.integers(40, size=40)
        if groups is not None:
            rows = np.concatenate([np.flatnonzero(groups == g) for g in rng.integers(10, size=10)])
        values = []
        for run in picked:
            rows = rng.integers(40, size=40) if kind == "nested" else rows
            values.append(summarise(after[run, rows].mean(0), summary) - summarise(before[run, rows].mean(0), summary))
        draws.append(np.mean(values))
    spread = np.std(draws)
    assert found.value == pytest.approx(
        np.mean(
            [summarise(a.mean(0), summary) - summarise(b.mean(0), summary) for a, b in zip(after, before, strict=True)]
        )
    )
    assert found.draws.std() == pytest.approx(spread, rel=0.12)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(draws, [2.5, 97.5])), abs=0.35 * spread)
    assert found.n == (10 if kind == "groups" else 40)


def test_p_values_keep_their_level_and_find_what_is_there():
    rng = np.random.default_rng(0)
    null = [difference(rng.random(60), rng.random(60), n=200, seed=s).p_value for s in range(200)]
    assert 0.01 < np.mean(np.array(null) < 0.05) < 0.1
    assert difference(rng.random(60) + 0.5, rng.random(60), n=200).p_value == pytest.approx(2 / 201)
    same = rng.random(60)
    assert difference(same, same).p_value == 1.0


def test_direction_turns_so_that_above_zero_is_an_improvement():
    error = np.array([1.0, 2.0, 3.0] * 20)
    found = difference(error - 0.5, error, higher=False, summary="mean")
    assert (found.value, found.before, found.after) == (0.5, 2.0, 1.5)
    assert (found.low, found.high) == pytest.approx((0.5, 0.5))
    assert found.p_no_worse(0.1) < 0.01
    assert found.p_equal(0.4) == 1.0
    assert found.p_equal(0.6) < 0.01


def test_a_small_loss_is_no_worse_than_a_larger_tolerance():
    noise = np.random.default_rng(0).normal(0, 0.1, 400)
    found = difference(noise - noise.mean() - 0.02, np.zeros(400), n=1000)
    assert found.p_value < 0.01
    assert found.p_no_worse(0.05) < 0.01
    assert found.p_no_worse(0.02) == pytest.approx(0.5, abs=0.1)
    assert found.p_equal(0.05) == found.p_no_worse(0.05)


def test_compare_takes_two_batteries():
    items = np.array([1.0, 0.0] * 30)
    before = {"a": score("a", "f", items, 0.5), "b": score("b", "f", items + 1, 0.5, higher=False, summary="root")}
    after = {"a": score("a", "f", np.ones(60), 0.5), "b": score("b", "f", items, 0.5, higher=False, summary="root")}
    found = compare(after, before)
    assert found["a"].value == 0.5
    assert found["b"].value == pytest.approx(np.sqrt(1.5) - np.sqrt(0.5))
    with pytest.raises(VerdictError, match="task 'b' is in one battery only"):
        compare({"a": after["a"]}, before)
    with pytest.raises(VerdictError, match="task 'a' was measured on other items"):
        compare({"a": score("a", "f", np.ones(50), 0.5), "b": after["b"]}, before)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([1.0, 2], [1.0]), {}, "must measure the same items"),
        (([np.nan, 2], [1.0, 2]), {}, "after must be finite"),
        (([], []), {}, "after must be finite"),
        (([1.0, 2], [1.0, 2]), {"groups": [1]}, "one group for each of the 2 items"),
        (([1.0, 2], [1.0, 2]), {"items": "mixed"}, "'crossed' or 'nested'"),
        (([1.0, 2], [1.0, 2]), {"n": 5}, "at least 100"),
        (([1.0, 2], [1.0, 2]), {"summary": "median"}, "summary must be one of"),
    ],
)
def test_bad_input(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        difference(*arguments, **options)

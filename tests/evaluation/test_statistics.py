import numpy as np
import pytest
import torch
from scipy import stats

from percept.evaluation.statistics import (
    bootstrap_interval,
    crossed_interval,
    paired_difference,
    seed_interval,
    shuffled_control,
    wilson_interval,
)


def test_mean_bootstrap_agrees_with_scipy_on_scores_and_on_hits():
    rng = np.random.default_rng(0)
    for values in (rng.normal(3, 2, 300), (rng.random(300) < 0.3).astype(float)):
        ours = bootstrap_interval(values, n=9000)
        theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=9000, rng=1)
        width = ours.high - ours.low
        assert ours.value == pytest.approx(values.mean())
        assert abs(ours.low - theirs.confidence_interval.low) < 0.06 * width
        assert abs(ours.high - theirs.confidence_interval.high) < 0.06 * width


def test_bootstrap_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = [bootstrap_interval(rng.normal(0, 1, 100), n=400) for _ in range(300)]
    covered = np.mean([interval.low <= 0 <= interval.high for interval in hits])
    assert 0.90 <= covered <= 0.98


def test_bootstrap_is_seeded_and_takes_other_statistics():
    values = np.random.default_rng(2).exponential(size=101)
    first = bootstrap_interval(values, np.median, n=500, seed=3)
    assert first == bootstrap_interval(values, np.median, n=500, seed=3)
    assert first.low <= first.value == np.median(values) <= first.high
    assert first != bootstrap_interval(values, np.median, n=500, seed=4)


def test_groups_widen_the_interval_of_items_that_move_together():
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(40), 25)
    values = rng.normal(size=40)[groups] + 0.01 * rng.normal(size=1000)
    items, clusters = bootstrap_interval(values), bootstrap_interval(values, groups=groups)
    assert clusters.n == 40
    assert (clusters.high - clusters.low) / (items.high - items.low) == pytest.approx(5, rel=0.2)
    loop = bootstrap_interval(values, lambda v: v.mean(), groups=groups, n=1000)
    assert loop.high - loop.low == pytest.approx(clusters.high - clusters.low, rel=0.15)


def test_groups_of_one_item_equal_the_item_bootstrap():
    values = np.random.default_rng(4).normal(size=200)
    single, plain = bootstrap_interval(values, groups=np.arange(200)), bootstrap_interval(values)
    assert single.high - single.low == pytest.approx(plain.high - plain.low, rel=0.1)


def test_pairing_removes_what_both_share():
    rng = np.random.default_rng(5)
    difficulty = rng.normal(0, 10, 400)
    paired = paired_difference(difficulty + 1 + rng.normal(0, 0.1, 400), difficulty)
    assert 0.98 < paired.low < 1.0 < paired.high < 1.02
    with pytest.raises(ValueError, match="same items"):
        paired_difference([1, 2], [1])


def test_crossed_interval_counts_both_sources_of_luck():
    rng = np.random.default_rng(6)
    items = rng.normal(size=500)
    same_runs = np.tile(items, (8, 1))
    luck = rng.normal(size=(8, 1))
    one, many, shifted = (
        crossed_interval(items[None]),
        crossed_interval(same_runs),
        crossed_interval(same_runs + luck),
    )
    plain = bootstrap_interval(items)
    assert one.high - one.low == pytest.approx(plain.high - plain.low, rel=0.1)
    assert many.high - many.low == pytest.approx(one.high - one.low, rel=0.1)
    assert shifted.high - shifted.low > 3 * (many.high - many.low)


def test_seed_interval_equals_scipy():
    values = [0.61, 0.64, 0.59, 0.66, 0.62]
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    interval = seed_interval(values)
    assert (interval.low, interval.high) == pytest.approx((low, high))
    with pytest.raises(ValueError, match="one seed"):
        seed_interval([0.5])


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (7, 20), (20, 20), (812, 1000)])
def test_wilson_equals_scipy(hits, n):
    theirs = stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert wilson_interval(hits, n)[1:3] == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert wilson_interval(np.arange(n) < hits) == wilson_interval(hits, n)


def test_shuffled_control_lies_at_the_expected_agreement():
    labels = np.repeat([0, 1, 2, 3], 250)
    control = shuffled_control(lambda mixed: float(np.mean(mixed == labels)), labels)
    assert control.low < 0.25 < control.high
    assert abs(control.value - 0.25) < 0.01
    assert control.high < 0.35


def test_bad_values_are_named():
    with pytest.raises(ValueError, match=r"values\[1\] is not a finite"):
        bootstrap_interval([0.1, float("nan")])
    with pytest.raises(ValueError, match="non-empty"):
        bootstrap_interval([])
    with pytest.raises(ValueError, match="groups must have shape"):
        bootstrap_interval([1, 0], groups=[1])
    with pytest.raises(ValueError, match="0 or 1"):
        wilson_interval([0.5, 1])


def test_tensors_are_taken():
    assert bootstrap_interval(torch.tensor([True, False, True])).value == pytest.approx(2 / 3)
    assert bootstrap_interval(torch.ones(3, dtype=torch.bfloat16, requires_grad=True)).value == 1

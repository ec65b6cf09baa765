import math
import warnings

import numpy as np
import pytest
import torch
from scipy import optimize, stats

from percept.evaluation import correlation
from percept.evaluation.correlation import (
    accuracy,
    human_ceiling,
    kl_divergence,
    krcc,
    median_over_splits,
    plcc,
    rmse,
    srcc,
    within_groups,
)
from percept.evaluation.logistic import fit_logistic


def pairs(seed=0, count=60, levels=9):
    """Related numbers on a coarse grid, so that ties are frequent."""
    rng = np.random.default_rng(seed)
    x = rng.integers(levels, size=count)
    return x / 4, (x + rng.integers(-4, 5, size=count)) / 3


def slow_pearson(x, y):
    mx, my = sum(x) / len(x), sum(y) / len(y)
    top = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    return top / math.sqrt(sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y))


def slow_ranks(x):
    return [sum(b < a for b in x) + (sum(b == a for b in x) + 1) / 2 for a in x]


def slow_tau(x, y):
    agree = against = tied_x = tied_y = 0
    for i in range(len(x)):
        for j in range(i):
            dx, dy = np.sign(x[i] - x[j]), np.sign(y[i] - y[j])
            agree += dx * dy > 0
            against += dx * dy < 0
            tied_x += dx == 0
            tied_y += dy == 0
    total = len(x) * (len(x) - 1) / 2
    return (agree - against) / math.sqrt((total - tied_x) * (total - tied_y))


@pytest.mark.parametrize("seed", range(10))
def test_correlations_equal_scipy_and_slow_loops_with_ties(seed):
    x, y = pairs(seed)
    assert len(set(x)) < len(x) / 4
    assert srcc(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert krcc(x, y) == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-12)
    assert plcc(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)
    assert srcc(x, y) == pytest.approx(slow_pearson(slow_ranks(x), slow_ranks(y)), abs=1e-12)
    assert krcc(x, y) == pytest.approx(slow_tau(x, y), abs=1e-12)
    assert plcc(x, y) == pytest.approx(slow_pearson(x, y), abs=1e-12)
    assert rmse(x, y) == pytest.approx(math.sqrt(sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) / len(x)))


def test_signs_scales_and_kinds_of_input():
    x, y = pairs(3)
    for metric in (srcc, krcc, plcc):
        value = metric(x, y)
        assert metric(-x, y) == pytest.approx(-value)
        assert metric(torch.tensor(x), torch.tensor(y, dtype=torch.float32)) == pytest.approx(value, abs=1e-6)
        assert metric(1e-170 * x, 1e170 * y) == pytest.approx(value)  # squares would leave the range of floats
        assert metric(x, x) == pytest.approx(1.0)
    assert srcc(np.exp(x), y) == pytest.approx(srcc(x, y))


def test_a_constant_side_is_nan_without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for metric in (srcc, krcc, plcc, lambda a, b: plcc(a, b, fit="logistic4")):
            assert math.isnan(metric([2.0] * 7, range(7)))
            assert math.isnan(metric(range(7), [0.1] * 7))
            assert math.isnan(metric([1], [2]))
        assert math.isnan(plcc([0.1 + 0.2, 0.3] * 5, range(10)))  # differs by rounding only


def four(x, b1, b2, b3, b4):
    return (b1 - b2) / (1 + np.exp(-(x - b3) / b4)) + b2


def five(x, b1, b2, b3, b4, b5):
    return b1 * (0.5 - 1 / (1 + np.exp(b2 * (x - b3)))) + b4 * x + b5


def sample(truth, seed, noise, count=300, low=-6.5, high=3.1):
    rng = np.random.default_rng(seed)
    x = rng.uniform(low, high, count)
    return x, truth(x) + rng.normal(0, noise, count)


@pytest.mark.parametrize("direction", [1, -1])
def test_logistic4_recovers_known_parameters(direction):
    for seed in range(5):
        x, y = sample(lambda v: four(v, 4.8, 1.2, -1.5, direction * 0.6), seed, 0.1)
        found = fit_logistic(x, y)
        b1, b2, b3, b4 = found.parameters
        if np.sign(b4) != direction:  # the same curve written the other way round
            b1, b2, b4 = b2, b1, -b4
        assert [b1, b2, b3, b4] == pytest.approx([4.8, 1.2, -1.5, direction * 0.6], abs=0.1)
        assert found.rmse == pytest.approx(0.1, rel=0.2)
        assert not found.stalled
        assert plcc(x, y, "logistic4") == pytest.approx(slow_pearson(four(x, *found.parameters), y))
        assert rmse(x, y, "logistic4") == pytest.approx(found.rmse)


def test_logistic5_recovers_the_curve():
    truth = lambda v: five(v, 3.0, 2.0, -1.0, 0.15, 3.0)  # noqa: E731
    for seed in range(5):
        x, y = sample(truth, seed, 0.05)
        found = fit_logistic(x, y, "logistic5")
        assert np.abs(found.predict(x) - truth(x)).max() < 0.06
        assert np.allclose(found.predict(x), five(x, *found.parameters))
        assert not found.stalled


@pytest.mark.parametrize("kind", ["logistic4", "logistic5"])
def test_the_fit_is_as_good_as_a_global_search(kind):
    """Differential evolution over generous bounds; the noise is large, so that there are several local optima."""
    curve, extra = (four, []) if kind == "logistic4" else (five, [(-1, 1), (-5, 10)])
    for seed in range(2):
        x, y = sample(lambda v: four(v, 5, 1, 0.5, 0.4), seed, 0.7, count=50)

        def cost(b, x=x, y=y):
            with np.errstate(over="ignore"):
                return np.mean((curve(x, *b) - y) ** 2)

        widths = [(0.02, 10)] if kind == "logistic4" else [(0.05, 50)]
        bounds = [(-5, 10), (-5, 10), (-7, 4), *widths] if kind == "logistic4" else [(-9, 9), *widths, (-7, 4), *extra]
        reference = optimize.differential_evolution(cost, bounds, seed=0, maxiter=150, popsize=12, tol=1e-8)
        assert fit_logistic(x, y, kind).rmse <= math.sqrt(reference.fun) * (1 + 1e-3)


@pytest.mark.filterwarnings("ignore:Covariance of the parameters")
@pytest.mark.parametrize("seed", range(5))
def test_the_published_start_alone_stalls_where_several_starts_do_not(seed):
    x, y = sample(lambda v: four(v, 100, 0, 0.5, 0.1), seed, 3, low=0, high=1)  # outputs 0..1, MOS 0..100
    alone = optimize.curve_fit(five, x, y, [10, 0, y.mean(), 0.1, 0.1], maxfev=10000)[0]
    found = fit_logistic(x, y, "logistic5")
    assert np.sqrt(np.mean((five(x, *alone) - y) ** 2)) > found.line_rmse * (1 - 1e-4)  # a straight line
    assert found.rmse < 0.4 * found.line_rmse
    assert not found.stalled
    assert found.start.startswith("centre")


def test_stalls_are_flagged():
    x = np.linspace(0, 1, 40)
    for kind in ("logistic4", "logistic5"):
        found = fit_logistic(x, 3 * x + 1, kind)
        assert found.stalled  # a straight line cannot be beaten
        assert plcc(x, 3 * x + 1, kind) == pytest.approx(1.0, abs=1e-4)
    x, y = sample(lambda v: four(v, 5, 1, 0, 0.5), 0, 0.1)
    assert fit_logistic(x, y).line_rmse == pytest.approx(
        np.sqrt(np.mean((np.polyval(np.polyfit(x, y, 1), x) - y) ** 2))
    )


def test_a_fit_that_does_not_converge_is_flagged(monkeypatch):
    x, y = sample(lambda v: four(v, 5, 1, 0, 0.5), 0, 0.1)
    original = optimize.least_squares
    monkeypatch.setattr(
        optimize, "least_squares", lambda f, start, **options: original(f, start, **{**options, "max_nfev": 1})
    )
    found = fit_logistic(x, y)
    assert found.rmse < found.line_rmse
    assert found.stalled


def test_fitting_raises_the_correlation_of_a_bent_relation_and_loses_the_sign():
    x, y = sample(lambda v: four(v, 5, 1, 0, 0.3), 0, 0.2)
    assert plcc(x, y, "logistic4") > plcc(x, y) + 0.05
    assert plcc(x, y, "logistic5") >= plcc(x, y, "logistic4") - 1e-6  # the 5-parameter map holds the other
    assert plcc(-x, y, "logistic4") == pytest.approx(plcc(x, y, "logistic4"), abs=1e-6)


def test_kl_equals_the_loop_and_is_zero_for_equal_rows():
    rng = np.random.default_rng(0)
    predicted, target = rng.dirichlet(np.ones(8), 20), rng.dirichlet(np.ones(8) / 4, 20)
    target[:, 0] = 0
    target /= target.sum(1, keepdims=True)
    total = 0.0
    for p, t in zip(predicted, target, strict=True):
        total += sum(b * math.log(b / a) for a, b in zip(p, t, strict=True) if b > 0)
    assert kl_divergence(predicted, target) == pytest.approx(total / 20, rel=1e-6)
    assert kl_divergence(target, target) == pytest.approx(0, abs=1e-6)
    assert kl_divergence(predicted, target) != pytest.approx(kl_divergence(target, predicted), rel=0.1)


def test_kl_of_a_predicted_zero_follows_epsilon():
    assert kl_divergence([[1.0, 0.0]], [[0.0, 1.0]], epsilon=1e-4) == pytest.approx(-math.log(1e-4 / (1 + 1e-4)))
    assert kl_divergence([[1.0, 0.0]], [[1.0, 0.0]]) < 1e-7
    single = torch.tensor([[0.2, 0.3, 0.5001]])
    assert kl_divergence(single, single) == pytest.approx(0, abs=1e-7)  # float32 rows that add up roughly


def test_accuracy_with_numbers_and_words():
    assert accuracy([1, 2, 3, 4], [1, 2, 0, 0]) == 0.5
    assert accuracy(["awe", "fear", "awe"], ["awe", "awe", "awe"]) == pytest.approx(2 / 3)


def test_within_groups_leaves_undefined_groups_out():
    rng = np.random.default_rng(0)
    groups = rng.integers(5, size=80)
    x, y = pairs(1, count=80)
    x[groups == 2] = 1.0
    expected = [stats.spearmanr(x[groups == g], y[groups == g]).statistic for g in (0, 1, 3, 4)]
    assert within_groups(srcc, x, y, groups) == (pytest.approx(np.mean(expected)), 4, 1)
    assert within_groups(srcc, x, y, groups.astype(str)).value == pytest.approx(np.mean(expected))
    alone = within_groups(krcc, x, y, np.arange(80))
    assert math.isnan(alone.value)
    assert alone[1:] == (0, 80)
    # Between groups all is order, within them all is reversed.
    assert within_groups(srcc, [1, 0, 11, 10], [0, 1, 10, 11], [0, 0, 1, 1]).value == -1


def test_median_over_splits():
    values = [0.9, 0.5, 0.7, 0.8, 0.6]
    assert median_over_splits(values) == (0.7, 0.6, 0.8, 0.5, 0.9, 5)
    assert median_over_splits([0.4]) == (0.4, 0.4, 0.4, 0.4, 0.4, 1)


def test_the_ceiling_gives_the_anchors_kadid_figure():
    """Reliability .979 and ceiling .989: mean rating spread .86, 30 votes, cell means with a variance of about 1.17."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=10125)
    scores = 3 + (scores - scores.mean()) / scores.std(ddof=1) * math.sqrt(0.86**2 / 30 / (1 - 0.979))
    found = human_ceiling(0.86, 30, scores)
    assert scores.var(ddof=1) == pytest.approx(1.17, abs=0.01)
    assert found.reliability == pytest.approx(0.979, abs=1e-9)
    assert found.plcc == pytest.approx(0.989, abs=5e-4)
    assert found.srcc == pytest.approx(0.988, abs=2e-3)


@pytest.mark.parametrize("shape", ["normal", "uniform", "skewed"])
@pytest.mark.parametrize("votes", [5, 30])
def test_the_ceiling_is_what_the_true_scores_reach(shape, votes):
    rng = np.random.default_rng(1)
    true = {"normal": rng.normal(3, 0.8, 3000), "uniform": rng.uniform(1, 5, 3000)}.get(shape, rng.gamma(4, 0.5, 3000))
    spread = rng.uniform(0.5, 1.2, 3000)
    ratings = true + rng.normal(size=(votes, 3000)) * spread
    scores = ratings.mean(0)
    found = human_ceiling(ratings.std(0, ddof=1), np.full(3000, votes), scores)
    assert found.plcc == pytest.approx(plcc(true, scores), abs=0.01)
    assert found.srcc == pytest.approx(srcc(true, scores), abs=0.015)
    assert found.reliability == pytest.approx(true.var() / scores.var(), abs=0.02)


def test_the_ceiling_of_pure_noise_is_zero():
    assert human_ceiling(2.0, 1, [1, 2, 3, 2, 1]) == (0, 0, 0)
    assert human_ceiling(0.0, 1, [1, 2, 3]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.srcc([], []), "prediction must be a non-empty vector"),
        (lambda c: c.srcc([[1, 2]], [[1, 2]]), r"prediction must be a non-empty vector, got shape \(1, 2\)"),
        (lambda c: c.krcc([1, 2], [1]), "must score the same items: got 2 and 1"),
        (lambda c: c.plcc([1, np.nan], [1, 2]), r"prediction\[1\] is not a finite number"),
        (lambda c: c.rmse([1, 2], [np.inf, 2]), r"target\[0\] is not a finite number"),
        (lambda c: c.plcc([1, 2], [1, 2], fit="poly3"), "one of logistic4, logistic5, got 'poly3'"),
        (lambda c: c.plcc([1, 1], [1, 2], fit="poly3"), "one of logistic4, logistic5, got 'poly3'"),
        (lambda c: c.plcc(range(5), range(5), fit="logistic5"), "logistic5 has 5 parameters and needs more items"),
        (lambda c: c.rmse([1] * 9, range(9), fit="logistic4"), "constant: there is no map"),
        (lambda c: c.fit_logistic(range(9), [1] * 9), "constant: there is no map"),
        (lambda c: c.kl_divergence([[0.5, 0.6]], [[0.5, 0.5]]), "predicted row 0 is no distribution"),
        (lambda c: c.kl_divergence([[0.5, 0.5]] * 2, [[0.5, 0.5], [1.5, -0.5]]), "target row 1 is no distribution"),
        (lambda c: c.kl_divergence([[0.5, 0.5]], [[1.0]]), "must have one shape"),
        (lambda c: c.accuracy([1, 2], [1]), "two vectors of one length"),
        (lambda c: c.within_groups(c.srcc, [1, 2], [1, 2], [1]), r"one group per item \(2\)"),
        (lambda c: c.median_over_splits([0.5, np.nan]), "must be finite.*decide what an undefined one counts"),
        (lambda c: c.median_over_splits([]), "must be finite"),
        (lambda c: c.human_ceiling(-1, 5, [1, 2]), "spread must be one number or one per score"),
        (lambda c: c.human_ceiling(1, 0, [1, 2]), r"votes must be .* of at least 1"),
        (lambda c: c.human_ceiling([1, 1, 1], 5, [1, 2]), "spread must be one number or one per score"),
        (lambda c: c.human_ceiling(1, 5, [2, 2]), "target is constant"),
        (lambda c: c.human_ceiling(1, 5, [2, np.nan]), r"target\[1\] is not a finite"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(correlation)

import json
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats
from sklearn.isotonic import IsotonicRegression

from percept.evaluation import calibration
from percept.evaluation.calibration import Scale, conformal_half_width, fit_scale
from percept.evaluation.logistic import fit_logistic


def drawn(rng, count):
    """Raw outputs of no particular scale, and labels 1..5 that rise with them, noisier at the upper end."""
    raw = rng.normal(-2, 2, count)
    clean = 1 + 4 / (1 + np.exp(-(raw + 2)))
    return raw, np.clip(clean + rng.normal(size=count) * (0.2 + 0.1 * clean), 1, 5)


def test_isotonic_equals_scikit_learn_and_pooling_by_hand():
    raw, labels = drawn(np.random.default_rng(0), 80)
    scale = fit_scale(raw, labels, 1, 5)
    new = np.linspace(-12, 8, 101)
    reference = IsotonicRegression(y_min=1, y_max=5, out_of_bounds="clip").fit(raw, labels).predict(new)
    assert np.allclose(scale.predict(new), reference)
    blocks = []  # pool adjacent violators
    for value in labels[np.argsort(raw)]:
        blocks.append([value, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, n), (b, m) = blocks[-2:]
            blocks[-2:] = [[(a * n + b * m) / (n + m), n + m]]
    pooled = np.concatenate([[value] * size for value, size in blocks])
    assert np.allclose(scale.predict(np.sort(raw)), pooled)


def test_logistic_is_the_fitted_map_cut_at_the_range():
    raw = np.linspace(-3, 3, 40)
    labels = np.clip(3 + 0.8 * raw, 1, 5)
    scale = fit_scale(raw, labels, 1, 5, "logistic4")
    fitted = fit_logistic(raw, labels)
    new = np.linspace(-20, 20, 81)
    assert fitted.predict(new).min() < 0.9
    assert fitted.predict(new).max() > 5.1
    assert np.allclose(scale.predict(new), np.clip(fitted.predict(new), 1, 5))
    assert (np.diff(scale.predict(new)) >= 0).all()


@pytest.mark.parametrize("kind", ["isotonic", "logistic4"])
def test_the_map_is_near_the_truth_and_survives_a_file(kind):
    rng = np.random.default_rng(2)
    raw, labels = drawn(rng, 400)
    scale = fit_scale(raw, labels, 1, 5, kind)
    assert np.abs(scale.predict(raw) - (1 + 4 / (1 + np.exp(-(raw + 2))))).mean() < 0.2
    with_width = scale.with_interval(*drawn(rng, 50), coverage=0.8)
    for each in (scale, with_width):
        again = Scale.from_dict(json.loads(json.dumps(each.to_dict(), allow_nan=False)))
        assert again == each
        assert np.array_equal(again.predict(raw), each.predict(raw))
        assert np.array_equal(again.interval(raw), each.interval(raw))
    assert (scale.half_width, scale.coverage) == (math.inf, 0)  # the copy is new, the first is as it was


def test_a_model_that_ranks_backwards_or_not_at_all_gives_the_mean():
    assert fit_scale([1, 2, 3, 4], [4, 3, 2, 1], 1, 5).predict([0, 9]).tolist() == [2.5, 2.5]
    assert fit_scale([7, 7, 7], [1, 2, 3], 1, 5).predict([7.0, 8]).tolist() == [2, 2]


def test_half_width_follows_the_rule_in_exact_arithmetic():
    rng = np.random.default_rng(0)
    for coverage in ("0.5", "0.56", "0.7", "0.8", "0.9", "0.95", "0.99"):
        for count in [*range(1, 60), 98, 99, 100]:
            sizes = rng.permutation(count) + 1.0
            rank = math.ceil((count + 1) * Fraction(coverage))
            expected = float(rank) if rank <= count else math.inf
            assert conformal_half_width(sizes * rng.choice([-1, 1], count), float(coverage)) == expected
    assert conformal_half_width([]) == math.inf


def test_too_few_rows_give_the_whole_range():
    rng = np.random.default_rng(0)
    scale = fit_scale(*drawn(rng, 50), 1, 5)
    raw = rng.normal(size=5)
    for each in (scale, scale.with_interval(*drawn(rng, 8), coverage=0.9)):
        low, high = each.interval(raw)
        assert low.tolist() == [1] * 5
        assert high.tolist() == [5] * 5
    low, high = scale.with_interval(*drawn(rng, 9), coverage=0.9).interval(raw)
    assert (high - low).max() < 4
    assert (low >= 1).all()
    assert (high <= 5).all()
    assert (low <= scale.predict(raw)).all()


@pytest.mark.parametrize(("rows", "coverage"), [(9, 0.9), (19, 0.8), (50, 0.9), (20, 0.95)])
@pytest.mark.parametrize("kind", ["isotonic", "logistic4"])
def test_coverage_is_nominal_over_many_draws(rows, coverage, kind):
    """One new label per draw, so that draws are independent; at N rows the exact coverage is the rank over N + 1."""
    rng = np.random.default_rng(rows)
    scale = fit_scale(*drawn(rng, 60), 1, 5, kind)
    hits, draws = 0, 1500
    for _ in range(draws):
        raw, label = drawn(rng, rows + 1)
        low, high = scale.with_interval(raw[1:], label[1:], coverage).interval(raw[:1])
        hits += bool(low[0] <= label[0] <= high[0])
    exact = math.ceil(round((rows + 1) * coverage, 9)) / (rows + 1)
    least, most = stats.binom.interval(0.999, draws, exact)
    assert least <= hits <= most
    assert exact >= coverage


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.fit_scale([1, 2], [1, 6], 1, 5), r"target\[1\] is 6, outside the label range 1..5"),
        (lambda c: c.fit_scale([1, 2], [1, 2], 5, 1), "low below high, got 5.0..1.0"),
        (lambda c: c.fit_scale([1, 2], [1, 2], 1, np.inf), "finite ends"),
        (lambda c: c.fit_scale([1, 2], [1, 2], 1, 5, "platt"), "kind must be one of isotonic, logistic4, got 'platt'"),
        (lambda c: c.fit_scale([1, np.nan], [1, 2], 1, 5), r"raw\[1\] is not a finite number"),
        (lambda c: c.fit_scale([1, 2, 3], [1, 2], 1, 5), "raw and target must score the same items: got 3 and 2"),
        (lambda c: c.fit_scale(range(4), [1, 2, 3, 4], 1, 5, "logistic4"), "needs more items than that, got 4"),
        (lambda c: c.fit_scale(range(9), [5, 5, 5, 5, 3, 1, 1, 1, 1], 1, 5, "logistic4"), "labels fall as the raw"),
        (lambda c: c.fit_scale([1, 2], [1, 2], 1, 5).predict([np.inf]), r"raw\[0\] is not a finite"),
        (lambda c: c.fit_scale([1, 2], [1, 2], 1, 5).predict([[1.0]]), "raw must be a non-empty vector"),
        (lambda c: c.fit_scale([1, 2], [1, 2], 1, 5).with_interval([1], [0]), r"target\[0\] is 0, outside"),
        (lambda c: c.fit_scale([1, 2], [1, 2], 1, 5).with_interval([1], [2], 90), "coverage must lie between 0 and 1"),
        (lambda c: c.conformal_half_width([1, np.nan]), r"residuals\[1\] is not a finite"),
        (lambda c: c.Scale.from_dict({"kind": "isotonic"}), "a stored scale has the keys"),
        (lambda c: c.Scale.from_dict(stored(parameters=[0, "x"])), "plain numbers"),
        (lambda c: c.Scale.from_dict(stored(parameters=None)), "plain numbers"),
        (lambda c: c.Scale.from_dict(stored(parameters=[0, 1, 5, 2])), "knots must not fall"),
        (lambda c: c.Scale.from_dict(stored(parameters=[0, 1, 5])), "isotonic cannot have 3 parameters"),
        (lambda c: c.Scale.from_dict(stored(parameters=[0, np.nan])), "parameters must be finite"),
        (lambda c: c.Scale.from_dict(stored(kind="logistic4", parameters=[1])), "logistic4 cannot have 1 parameters"),
        (lambda c: c.Scale.from_dict(stored(half_width=-1)), "half_width -1.0 or coverage 0.0 is out of range"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(calibration)


def stored(**changes):
    return fit_scale([1, 2], [1, 2], 1, 5).to_dict() | changes

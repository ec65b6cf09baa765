import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from percept.evaluation.few_shot import few_shot_curve, few_shot_draws, linear_probe
from percept.evaluation.linear import best_c, sweep_c


def blobs(per_class=30, classes=4, width=10, spread=1.6, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, width))
    labels = np.repeat(np.arange(classes), per_class)
    return centres[labels] + spread * rng.normal(size=(labels.size, width)), labels


TRAIN, VAL, TEST = blobs(seed=0), blobs(seed=1), blobs(per_class=60, seed=2)


def test_the_published_sweep_visits_the_published_points():
    found = sweep_c(TRAIN, VAL, steps_per_decade=8, max_iter=200)
    exponents = np.log10(list(found))
    assert set(np.round([-6, -4, -2, 0, 2, 4, 6], 6)) <= set(np.round(exponents, 6))
    np.testing.assert_allclose(exponents * 8, np.round(exponents * 8), atol=1e-9)
    assert 7 < len(found) <= 7 + 2 * 4
    # Every halving brackets its peak, so the neighbours of the winner on the finest grid have been tried.
    peak = np.log10(best_c(found))
    assert np.isclose(exponents, peak - 0.125).any() or np.isclose(exponents, peak + 0.125).any()
    assert len(sweep_c(TRAIN, VAL, steps_per_decade=1, max_iter=50)) <= 9


def test_every_accuracy_of_the_sweep_is_that_of_a_cold_fit():
    x, y = blobs(per_class=12, classes=20, width=40, seed=7)
    train, val = (x / 30, y), (blobs(per_class=12, classes=20, width=40, seed=8)[0] / 30, y)
    for c, accuracy in sweep_c(train, val, steps_per_decade=1).items():
        cold = LogisticRegression(C=c, max_iter=1000).fit(*train).score(*val)
        assert accuracy == pytest.approx(cold, abs=0.03), c


def test_equal_accuracies_choose_the_smaller_c():
    assert best_c({0.1: 0.5, 1.0: 0.7, 10.0: 0.7}) == 1.0


def test_probe_refits_on_train_and_validation_and_equals_scikit_learn():
    probe = linear_probe(*TRAIN, *VAL, *TEST, steps_per_decade=2)
    x, y = np.concatenate([TRAIN[0], VAL[0]]), np.concatenate([TRAIN[1], VAL[1]])
    reference = LogisticRegression(C=probe["C"], max_iter=1000).fit(x, y)
    assert (probe["predictions"] == reference.predict(TEST[0])).all()
    assert probe["acc1"] == reference.score(*TEST) == probe["correct"].mean()
    assert probe["val_accuracy"] == max(probe["sweep"].values())
    assert probe["converged"]
    assert not linear_probe(*TRAIN, *VAL, *TEST, C=1e6, max_iter=2)["converged"]


def test_probe_on_shuffled_labels_is_at_chance():
    rng = np.random.default_rng(0)
    shuffled = [(x, rng.permutation(y)) for x, y in (TRAIN, VAL)]
    probe = linear_probe(*shuffled[0], *shuffled[1], *TEST, C=0.1)
    assert abs(probe["acc1"] - 0.25) < 0.12
    assert linear_probe(*TRAIN, *VAL, *TEST, C=0.1)["acc1"] > 0.5


def test_draws_are_nested_shared_and_balanced():
    draws = few_shot_draws(TRAIN[1], (1, 2, 8), draws=3, seed=5)
    again = few_shot_draws(TRAIN[1], (1, 2, 8), draws=3, seed=5)
    for draw, twin in zip(draws, again, strict=True):
        for shots, rows in draw.items():
            assert (rows == twin[shots]).all()
            assert (np.bincount(TRAIN[1][rows]) == shots).all()
        assert set(draw[1]) < set(draw[2]) < set(draw[8])
    assert (draws[0][8] != draws[1][8]).any()
    with pytest.raises(ValueError, match="31 shots need 31"):
        few_shot_draws(TRAIN[1], (31,), draws=1)


def test_curve_rises_is_reproducible_and_has_intervals():
    options = {"shots": (1, 16), "draws": 3, "grid": (0.01, 1.0), "seed": 1}
    curve = few_shot_curve(*TRAIN, *VAL, *TEST, **options)
    assert (curve["correct"] == few_shot_curve(*TRAIN, *VAL, *TEST, **options)["correct"]).all()
    assert curve["accuracy"].shape == (3, 2)
    assert curve["accuracy"][:, 1].mean() > curve["accuracy"][:, 0].mean()
    assert curve["interval"][0].value == pytest.approx(curve["accuracy"][:, 0].mean())
    assert curve["interval"][0].low < curve["interval"][0].value < curve["interval"][0].high
    assert set(curve["C"]) <= {0.01, 1.0}

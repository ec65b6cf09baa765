"""Closed-form read-outs against scikit-learn and slow loops."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge as SlowRidge

from percept.evaluation.tasks import ridge


def _data(rows, width, targets=2, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, width)) * rng.uniform(0.5, 3, width) + rng.normal(size=width)
    return x, x[:, :targets] * 2 + rng.normal(size=(rows, targets)) + 5


def _scaled(other, x):
    return np.clip((other - x.mean(0)) / x.std(0), -10, 10)


@pytest.mark.parametrize(("rows", "width"), [(60, 7), (20, 45)])
def test_equals_scikit_learn_at_the_chosen_penalty_in_both_shapes(rows, width):
    x, y = _data(rows, width)
    found = ridge.fit_ridge(x, y)
    slow = SlowRidge(alpha=found.penalty * rows).fit((x - x.mean(0)) / x.std(0), y)
    other = _data(9, width, seed=1)[0]
    assert found.predict(other) == pytest.approx(slow.predict(_scaled(other, x)), abs=1e-6)


@pytest.mark.parametrize(("rows", "width"), [(15, 4), (10, 25)])
def test_leave_one_out_errors_equal_a_loop_of_fits(rows, width):
    x, y = _data(rows, width)
    scaled = (x - x.mean(0)) / x.std(0)
    for penalty, error in list(zip(ridge.PENALTIES, ridge.fit_ridge(x, y).errors, strict=True))[::4]:
        residuals = []
        for row in range(rows):
            # The offset is fitted without the row, the centre of the features is not: they are fixed beforehand.
            rest = np.arange(rows) != row
            a = np.c_[scaled[rest], np.ones(rows - 1)]
            weights = np.diag([penalty * rows] * width + [0.0])
            beta = np.linalg.solve(a.T @ a + weights, a.T @ y[rest])
            residuals.append(np.r_[scaled[row], 1] @ beta - y[row])
        assert error == pytest.approx(np.mean(np.square(residuals)), rel=1e-5)


def test_validation_rows_choose_the_penalty():
    x, y = _data(40, 30)
    other = _data(200, 30, seed=3)
    found = ridge.fit_ridge(x, y, other)
    slow = []
    for penalty in ridge.PENALTIES:
        model = SlowRidge(alpha=penalty * 40).fit((x - x.mean(0)) / x.std(0), y)
        slow.append(np.mean((model.predict(_scaled(other[0], x)) - other[1]) ** 2))
    assert found.penalty == ridge.PENALTIES[int(np.argmin(slow))]
    assert found.errors == pytest.approx(slow)


def test_noise_gets_the_largest_penalty_and_predicts_the_mean():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 60)), rng.normal(size=80)
    found = ridge.fit_ridge(x, y)
    assert found.penalty >= 10
    assert np.abs(found.predict(x)[:, 0] - y.mean()).max() < 0.2


def test_a_feature_that_hardly_moved_cannot_outvote_the_others():
    x, y = _data(50, 3, targets=1)
    x = np.c_[x, np.r_[np.zeros(49), 1e-3]]
    far = x[:5].copy()
    far[:, 3] = 100
    near = ridge.fit_ridge(x, y).predict(x[:5])
    assert np.abs(ridge.fit_ridge(x, y).predict(far) - near).max() < 30  # uncut it is 14,000 deviations away


def test_classes_that_can_be_told_apart_are():
    rng = np.random.default_rng(0)
    centres, labels = rng.normal(size=(4, 12)) * 5, np.repeat([3, 5, 7, 20], 12)
    x = centres[np.repeat(np.arange(4), 12)] + rng.normal(size=(48, 12))
    assert (ridge.classify_ridge(x, labels, x) == labels).all()
    assert (ridge.classify_ridge(x[::2], labels[::2], x[1::2], (x[1::2], labels[1::2])) == labels[1::2]).all()


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="3 rows of features for 2 targets"):
        ridge.fit_ridge(np.ones((3, 2)), [1, 2])
    with pytest.raises(ValueError, match="row 1"):
        ridge.fit_ridge([[1.0], [np.nan]], [1, 2])

import math

import numpy as np
import pytest

from percept.labelling.budgets import BudgetCurve, budget_curve, needed
from percept.labelling.sampling import SamplingError

RNG = np.random.default_rng(0)
POOL, HELD = RNG.uniform(-1, 1, 600), RNG.uniform(-1, 1, 2000)
THRESHOLD = 0.137


def fit(asked, seed):
    """A threshold between the highest item answered left and the lowest answered right."""
    right = POOL[asked] > THRESHOLD
    return (max(POOL[asked][~right], default=-1) + min(POOL[asked][right], default=1)) / 2


def score(model):
    return float(np.mean((model < HELD) == (THRESHOLD < HELD)))


def signals(model):
    return {"d_left": POOL, "d_right": np.full(600, model)}


def campaign(strategy, **options):
    return budget_curve(
        strategy, [4, 6, 8, 12, 16, 24, 32], fit, score, size=600, signals=signals, seeds=range(8), **options
    )


def test_uncertainty_needs_fewer_judgments_where_the_answer_is_a_threshold():
    chance, clever = campaign("random"), campaign("uncertainty", explore=0.1)
    assert chance.values.shape == (8, 7)
    assert np.array_equal(chance.values[:, 0], clever.values[:, 0])  # the first round knows no model
    assert clever.values[:, 3].mean() > chance.values[:, 3].mean() + 0.01
    assert needed(clever, 0.98).high < needed(chance, 0.98).value
    for asked in clever.asked:
        assert len(set(asked)) == 32
    again = campaign("uncertainty", explore=0.1)
    assert np.array_equal(again.values, clever.values)
    table = clever.table()
    assert table["budget"].tolist() == [4, 6, 8, 12, 16, 24, 32]
    assert (table["low"] <= table["score"]).all()


def curve(*rows):
    return BudgetCurve("random", (10, 20, 40), np.array(rows, float), ())


@pytest.mark.parametrize(
    ("scores", "level", "budget"),
    [
        ([0.5, 0.7, 0.9], 0.6, 15),
        ([0.5, 0.7, 0.9], 0.9, 40),
        ([0.5, 0.7, 0.9], 0.4, 10),
        ([0.5, 0.7, 0.9], 0.95, math.inf),
        ([0.8, 0.6, 0.9], 0.75, 30),  # an early lucky value does not count
    ],
)
def test_needed_by_hand(scores, level, budget):
    assert needed(curve(scores), level).value == pytest.approx(budget)


def test_needed_over_seeds():
    found = needed(curve([0.5, 0.7, 0.9], [0.5, 0.6, 0.9], [0.5, 0.5, 0.6]), 0.7)
    assert found.low < found.value < found.high == math.inf
    assert found.n == 3
    assert math.isnan(needed(curve([0.5, 0.7, 0.9]), 0.6).low)


def test_bad_input():
    with pytest.raises(SamplingError, match=r"increasing numbers of at least 1, got \[8, 4\]"):
        budget_curve("random", [8, 4], fit, score, size=600)
    with pytest.raises(SamplingError, match=r"strategy 'uncertainty' needs signals"):
        budget_curve("uncertainty", [4], fit, score, size=600)
    with pytest.raises(SamplingError, match=r"budget 700 must lie in 0\.\.600"):
        budget_curve("random", [700], fit, score, size=600)

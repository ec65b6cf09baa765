from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from percept.labelling.aggregate import AnswersError
from percept.labelling.reliability import (
    LEVELS,
    krippendorff_alpha,
    leave_one_out_agreement,
    noise_ceiling,
    rating_table,
    true_ceiling,
)

COLUMNS = ["rater", "group", "item", "answer"]


def rows(*texts):
    return [[np.nan if sign == "." else float(sign) for sign in text.split()] for text in texts]


# Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), parts A, B and C/D; and the example of the
# Wikipedia article "Krippendorff's alpha".
BINARY = rows("0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0")
NOMINAL = rows("1 1 2 2 4 3 3 3 5 4 4 1", "2 1 2 2 2 3 3 3 5 4 4 4")
FOUR = rows("1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 .")
WIKIPEDIA = rows(". . . . . 3 4 1 2 1 1 3 3 . 3", "1 . 2 1 3 3 4 3 . . . . . . .", ". . 2 1 3 4 4 . 2 1 1 3 3 . 4")


@pytest.mark.parametrize(
    ("table", "level", "alpha"),
    [
        (BINARY, "nominal", 0.095),
        (NOMINAL, "nominal", 0.692),
        (FOUR, "nominal", 0.743),
        (FOUR, "ordinal", 0.815),
        (FOUR, "interval", 0.849),
        (FOUR, "ratio", 0.797),
        (WIKIPEDIA, "nominal", 0.691),
        (WIKIPEDIA, "interval", 0.811),
    ],
)
def test_alpha_of_published_examples(table, level, alpha):
    assert round(krippendorff_alpha(table, level, n=100).value, 3) == alpha


def slow_alpha(table, level):
    """The definition, pair by pair."""
    units = [[v for v in column if not np.isnan(v)] for column in np.asarray(table).T]
    units = [unit for unit in units if len(unit) > 1]
    every = [v for unit in units for v in unit]

    def distance(a, b):
        if level == "nominal":
            return float(a != b)
        if level == "ordinal":
            low, high = min(a, b), max(a, b)
            between = sum(low <= v <= high for v in every)
            return (between - (every.count(a) + every.count(b)) / 2) ** 2 if a != b else 0.0
        return (a - b) ** 2 if level == "interval" else ((a - b) / (a + b)) ** 2 if a + b else 0.0

    observed = sum(sum(distance(a, b) for a, b in permutations(unit, 2)) / (len(unit) - 1) for unit in units)
    expected = sum(distance(a, b) for a, b in permutations(every, 2)) / (len(every) - 1)
    return 1 - observed / expected


@pytest.mark.parametrize("level", LEVELS)
def test_alpha_against_the_definition(level):
    rng = np.random.default_rng(1)
    for _ in range(5):
        table = rng.integers(0, 4, size=(4, 12)).astype(float)
        table[rng.random(table.shape) < 0.3] = np.nan
        assert krippendorff_alpha(table, level, n=100).value == pytest.approx(slow_alpha(table, level), abs=1e-12)


def test_alpha_is_one_for_perfect_and_about_zero_for_random_answers():
    rng = np.random.default_rng(0)
    perfect = np.tile(rng.integers(0, 2, size=300), (4, 1))
    found = krippendorff_alpha(perfect, n=200)
    assert found[:3] == (1.0, 1.0, 1.0)
    chance = krippendorff_alpha(rng.integers(0, 2, size=(4, 300)))
    assert chance.low < 0 < chance.high
    assert abs(chance.value) < 0.05
    opposed = np.array([[0.0, 1] * 50, [1.0, 0] * 50])
    assert krippendorff_alpha(opposed, n=100).value < -0.9


def test_alpha_interval_covers_and_shrinks():
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, size=20_000)
    noisy = np.where(rng.random((3, 20_000)) < 0.8, truth, 1 - truth)
    target = krippendorff_alpha(noisy, n=100).value  # 1 - 0.32 / 0.5 = 0.36
    assert target == pytest.approx(0.36, abs=0.02)
    parts = [krippendorff_alpha(noisy[:, k * 200 : (k + 1) * 200], n=300) for k in range(60)]
    assert np.mean([p.low <= target <= p.high for p in parts]) > 0.85
    assert krippendorff_alpha(noisy[:, :4000], n=300).high - krippendorff_alpha(noisy[:, :4000], n=300).low < 0.06


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ([[1, 2, 3]], {}, "at least two raters, got shape"),
        ([[1, np.nan], [np.nan, 2]], {}, "no item has values from two raters"),
        ([[np.nan, np.nan], [np.nan, np.nan]], {}, "no item has values"),
        ([[1, 1], [1, 1]], {}, "all values are 1: alpha is undefined"),
        ([[-1, 1], [1, 1]], {"level": "ratio"}, "negative one at level 'ratio'"),
        ([[1, 2], [1, 1]], {"level": "cardinal"}, "level must be one of nominal"),
        ([[1, 2], [1, 1]], {"n": 10}, "at least 100"),
    ],
)
def test_bad_tables(table, options, message):
    with pytest.raises(AnswersError, match=message):
        krippendorff_alpha(table, **options)


def votes(matrix):
    cells = [(f"r{r}", "", i, a) for r, line in enumerate(matrix) for i, a in enumerate(line)]
    return pd.DataFrame(cells, columns=COLUMNS)


def test_rating_table_and_leave_one_out_by_hand():
    answers = votes(rows("1 1 0 1", "1 0 0 .", "0 . 0 ."))
    assert np.array_equal(rating_table(answers), rows("1 1 0 1", "1 0 0 .", "0 . 0 ."), equal_nan=True)
    agreement = leave_one_out_agreement(answers).set_index(["rater", "item"])["agrees"]
    # Item 0: each of the two "right" faces one right and one left (a tie); the "left" faces two right.
    assert agreement.to_dict() == {
        **{("r0", 0): 0.5, ("r1", 0): 0.5, ("r2", 0): 0.0, ("r0", 1): 0.0, ("r1", 1): 0.0},
        **{("r0", 2): 1.0, ("r1", 2): 1.0, ("r2", 2): 1.0},
    }
    ceiling = noise_ceiling(answers)
    assert ceiling.leave_one_out.value == pytest.approx((1 / 3 + 0 + 1) / 3)
    assert ceiling.majority_oracle.value == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert ceiling.leave_one_out.n == 3


def test_the_true_ceiling_lies_between_the_two_real_ones():
    rng = np.random.default_rng(0)
    probability = rng.beta(1, 1, size=1500)
    answers = votes((rng.random((6, 1500)) < probability).astype(float))
    truth, found = true_ceiling(probability), noise_ceiling(answers)
    assert truth.value == pytest.approx(0.75, abs=0.02)
    assert found.leave_one_out.high < truth.value < found.majority_oracle.low
    best = (answers["answer"] == (probability > 0.5)[answers["item"]]).mean()
    assert best == pytest.approx(truth.value, abs=0.01)


@pytest.mark.parametrize("bad", [[], [0.2, 1.2], [0.2, np.nan], [[0.1]]])
def test_bad_probabilities(bad):
    with pytest.raises(AnswersError, match="non-empty 1-D array of numbers"):
        true_ceiling(bad)


def test_ceiling_needs_overlap():
    with pytest.raises(AnswersError, match="a noise ceiling needs overlap"):
        noise_ceiling(votes(rows("1 .", ". 0")))

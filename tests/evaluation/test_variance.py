from itertools import product

import numpy as np
import pandas as pd
import pytest

from percept.evaluation.differences import VerdictError
from percept.evaluation.variance import variance_shares


def results(effects=(1.0, 0.5, 0.0), noise=1.0, runs=4, seed=0):
    rng = np.random.default_rng(seed)
    rows = [
        (s, o, j, effects[0] * (s - 1) + effects[1] * (2 * o - 1) + effects[2] * j + noise * rng.normal())
        for s, o, j, _ in product(range(3), range(2), range(4), range(runs))
    ]
    return pd.DataFrame(rows, columns=["size", "objective", "source", "value"])


FACTORS = ["size", "objective", "source"]


def test_sums_of_squares_against_a_loop():
    table = results()
    found = variance_shares(table, FACTORS, interactions=True, n=100)
    grand, total, explained = table["value"].mean(), 0.0, 0.0
    for value in table["value"]:
        total += (value - grand) ** 2
    for factor in FACTORS:
        expected = 0.0
        for name in table[factor].unique():
            mine = [v for v, f in zip(table["value"], table[factor], strict=True) if f == name]
            expected += len(mine) * (sum(mine) / len(mine) - grand) ** 2
        assert found.loc[factor, "sum_of_squares"] == pytest.approx(expected)
        explained += expected
    for a, b in (("size", "objective"), ("size", "source"), ("objective", "source")):
        expected = 0.0
        for x, y in product(table[a].unique(), table[b].unique()):
            cell = table.loc[(table[a] == x) & (table[b] == y), "value"]
            main = table.loc[table[a] == x, "value"].mean() + table.loc[table[b] == y, "value"].mean() - grand
            expected += len(cell) * (cell.mean() - main) ** 2
        assert found.loc[f"{a}:{b}", "sum_of_squares"] == pytest.approx(expected)
        explained += expected
    assert found.loc["residual", "sum_of_squares"] == pytest.approx(total - explained)
    assert found["eta2"].sum() == pytest.approx(1.0)
    assert found["df"].to_dict() == {
        "size": 2, "objective": 1, "source": 3, "size:objective": 2, "size:source": 6, "objective:source": 3,
        "residual": 78,
    }  # fmt: skip
    noise = found.loc["residual", "sum_of_squares"] / 78
    omega = (found.loc["size", "sum_of_squares"] - 2 * noise) / (total + noise)
    assert found.loc["size", "omega2"] == pytest.approx(omega)


def test_unbalanced_tables_compare_with_and_without_the_factor():
    table = results().sample(60, random_state=1)
    found = variance_shares(table, FACTORS, n=100)

    def left(factors):
        design = pd.get_dummies(table[factors].astype(str)).assign(one=1).to_numpy(float)
        fitted = design @ np.linalg.lstsq(design, table["value"], rcond=None)[0]
        return float(((table["value"] - fitted) ** 2).sum())

    whole = left(FACTORS)
    assert found.loc["residual", "sum_of_squares"] == pytest.approx(whole)
    assert found.loc["source", "sum_of_squares"] == pytest.approx(left(["size", "objective"]) - whole)


def test_shares_are_unbiased_and_intervals_cover():
    truth = {"size": 2 / 3, "objective": 0.25, "source": 0.0}
    spread = sum(truth.values()) + 1
    found = [variance_shares(results(seed=s), FACTORS, n=300, seed=s) for s in range(60)]
    for factor, variance in truth.items():
        share = variance / spread
        assert np.mean([f.loc[factor, "omega2"] for f in found]) == pytest.approx(share, abs=0.025)
        assert np.mean([f.loc[factor, "low"] <= share <= f.loc[factor, "high"] for f in found]) > 0.85


def test_intervals_allow_for_the_parameters_that_few_runs_have_to_fit():
    shares = {"size": 2 / 3 / (1 + 11 / 12), "objective": 0.25 / (1 + 11 / 12)}
    found = [variance_shares(results(runs=1, seed=s), list(FACTORS), n=200, seed=s) for s in range(150)]
    inside = [f.loc[k, "low"] <= v <= f.loc[k, "high"] for f in found for k, v in shares.items()]
    assert np.mean(inside) > 0.86


@pytest.mark.parametrize(
    ("table", "factors", "message"),
    [
        (results(), ["size", "judge"], r"lack the column\(s\) judge"),
        (results().query("source == 1"), FACTORS, r"factor 'source' has one level only \('1'\)"),
        (results().assign(value=np.nan), FACTORS, "value finite in every row"),
        (results().assign(value=1.0), FACTORS, "the same in every run"),
        (results().assign(objective=lambda t: t["source"] % 2), FACTORS, "cannot be told apart"),
        (results(runs=1).iloc[[0, 1, 2, 3, 4, 8, 16]], FACTORS, "leave none to estimate the noise"),
    ],
)
def test_bad_tables(table, factors, message):
    with pytest.raises(VerdictError, match=message):
        variance_shares(table, factors)


def _runs_that_share_luck(rng, seeds=6):
    """Two choices without any effect; all rows of a choice in one seed share one draw."""
    rows = [
        (choice, task, seed, luck + 0.1 * rng.normal())
        for seed in range(seeds)
        for choice in ("a", "b")
        for luck in [rng.normal()]
        for task in range(8)
    ]
    return pd.DataFrame(rows, columns=["choice", "task", "seed", "value"])


def test_blocks_keep_shared_luck_from_looking_like_an_effect():
    rng = np.random.default_rng(0)
    found = {"seed": 0, None: 0}
    for _ in range(60):
        runs = _runs_that_share_luck(rng)
        for blocks in found:
            table = variance_shares(runs, ["choice", "task"], blocks=blocks, n=200)
            found[blocks] += table.loc["choice", "low"] > 0
    assert found[None] > 20, "rows taken one by one find an effect that is none"
    assert found["seed"] < found[None] / 2


def test_blocks_of_one_row_change_nothing():
    runs = _runs_that_share_luck(np.random.default_rng(1))
    alone = runs.assign(own=range(len(runs)))
    with pytest.raises(VerdictError, match="every own must have each condition equally often"):
        variance_shares(alone, ["choice", "task"], blocks="own")


def test_a_missing_run_is_refused_for_blocks():
    runs = _runs_that_share_luck(np.random.default_rng(1)).drop(index=3)
    with pytest.raises(VerdictError, match="every seed must have each condition equally often"):
        variance_shares(runs, ["choice", "task"], blocks="seed")

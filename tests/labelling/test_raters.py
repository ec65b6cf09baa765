import numpy as np
import pandas as pd
import pytest

from percept.labelling.aggregate import AnswersError
from percept.labelling.raters import attention, drift, rater_quality


def session(items=120, raters=8, accuracy=0.9, seed=0):
    """Everybody answers everything in an order of their own, with ten attention checks each."""
    rng = np.random.default_rng(seed)
    truth, rows = rng.integers(2, size=items), []
    for r in range(raters):
        order = rng.permutation(items)
        asked = [(i, "ask") for i in order] + [(i, "repeat") for i in order[:10]]
        for place, (i, kind) in enumerate(asked):
            answer = float(truth[i] if rng.random() < accuracy else 1 - truth[i])
            rows.append((f"r{r}", "", i, answer, place, rng.gamma(4, 0.5), rng.random() < 0.5, kind))
    return pd.DataFrame(rows, columns=["rater", "group", "item", "answer", "order", "seconds", "swapped", "kind"])


def test_quality_of_careful_raters_raises_no_flag():
    answers = session()
    before = answers.copy()
    found = rater_quality(answers)
    assert not found["flagged"].any()
    assert found["reason"].eq("").all()
    assert found["answers"].eq(120).all()
    assert found["accuracy"].between(0.82, 0.97).all()
    assert (found["agreement_low"] < found["agreement"]).all()
    assert found["left"].between(found["left_low"], found["left_high"]).all()
    pd.testing.assert_frame_equal(answers, before)


def test_each_bad_habit_is_flagged_with_its_reason():
    answers = session()
    rng = np.random.default_rng(5)
    mine = {name: answers["rater"].eq(name) for name in answers["rater"].unique()}
    answers.loc[mine["r0"], "answer"] = rng.integers(2, size=mine["r0"].sum()).astype(float)
    answers.loc[mine["r1"], "answer"] = answers.loc[mine["r1"], "swapped"].astype(float)  # the picture shown left
    answers.loc[mine["r2"] & (rng.random(len(answers)) < 0.7), "answer"] = np.nan
    answers.loc[mine["r3"], "seconds"] /= 20
    checks = mine["r4"] & answers["kind"].eq("repeat")
    answers.loc[checks, "answer"] = 1 - answers.loc[checks, "answer"]
    found = rater_quality(answers)
    reason = found["reason"]
    assert "not shown to be above chance" in reason["r0"]
    assert "chose the left picture in 100%" in reason["r1"]
    assert "skipped 7" in reason["r2"]
    assert "median answer in 0.1 s" in reason["r3"]
    assert "attention checks" in reason["r4"]
    assert found["flagged"].tolist() == [True] * 5 + [False] * 3
    assert len(found) == 8


def test_attention_counts_by_hand():
    columns = ["rater", "group", "item", "answer", "kind"]
    rows = [
        ("a", "", 1, 1.0, "ask"), ("a", "", 2, 0.0, "ask"), ("a", "", 3, np.nan, "ask"), ("b", "", 1, 1.0, "ask"),
        ("a", "", 1, 0.0, "repeat"), ("a", "", 2, 0.0, "repeat"), ("a", "", 3, 1.0, "repeat"),
    ]  # fmt: skip
    assert attention(pd.DataFrame(rows, columns=columns)).to_dict("index") == {
        "a": {"repeats": 2, "failed": 1},
        "b": {"repeats": 0, "failed": 0},
    }


def test_a_rater_without_company_has_no_agreement_and_no_flag():
    answers = pd.concat(
        [session(raters=3), session(raters=1, seed=1).assign(rater="alone", item=lambda t: t["item"] + 500)]
    )
    found = rater_quality(answers)
    assert np.isnan(found.loc["alone", "agreement"])
    assert not found.loc["alone", "flagged"]


def test_drift_is_found_when_raters_tire_and_not_otherwise():
    steady = drift(session(items=200), permutations=199)
    assert steady.p_value > 0.05
    assert steady.slope.low < 0 < steady.slope.high
    assert len(steady.blocks) == 5
    assert steady.blocks["n"].sum() == 8 * 200
    tired = session(items=200)
    lost = np.random.default_rng(2).random(len(tired)) < tired["order"] / 200 * 0.6
    tired.loc[lost, "answer"] = np.random.default_rng(3).integers(2, size=lost.sum()).astype(float)
    found = drift(tired, permutations=199)
    assert found.p_value == pytest.approx(1 / 200)
    assert found.slope.high < 0
    assert found.blocks["agreement"].iloc[0] > found.blocks["agreement"].iloc[-1] + 0.1


def test_drift_slope_against_least_squares_with_one_mean_per_rater():
    answers = session(items=40, raters=3).query("kind == 'ask'")
    votes = answers.pivot(index="rater", columns="item", values="answer")
    rows = []
    for row in answers.itertuples():
        others = votes[row.item].drop(row.rater)
        agrees = 0.5 if others.mean() == 0.5 else float((others.mean() > 0.5) == row.answer)
        rows.append([row.order / 39, *(row.rater == name for name in ("r0", "r1", "r2")), agrees])
    data = np.array(rows, float)
    slope = np.linalg.lstsq(data[:, :4], data[:, 4], rcond=None)[0][0]
    assert drift(answers, permutations=10).slope.value == pytest.approx(slope)


def test_bad_input():
    with pytest.raises(AnswersError, match="lack the column order"):
        drift(session().drop(columns="order"))
    with pytest.raises(AnswersError, match="needs 2 blocks and 1000 answers"):
        drift(session(items=20, raters=2), blocks=500)
    with pytest.raises(AnswersError, match="at least 2 raters with answers"):
        rater_quality(session(raters=1))

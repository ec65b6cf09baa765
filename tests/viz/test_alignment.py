import numpy as np
import pandas as pd
import pytest

from percept.evaluation.statistics import Interval
from percept.viz import alignment


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_agreement_points_carry_their_numbers_and_the_ceiling_is_drawn():
    ways = {"pixels": Interval(0.61, 0.58, 0.64, 100), "LoRA": Interval(0.825, 0.8, 0.85, 100)}
    figure = alignment.agreement_figure(ways, ceiling=Interval(0.86, 0.85, 0.87, 100), title="t")
    assert {"0.610", "0.825"} <= set(texts(figure))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["pixels", "LoRA"]
    low, high = figure.axes[0].get_xlim()
    assert low < 0.5 < 0.87 < high


def test_budgets_are_on_a_logarithmic_axis_with_plain_numbers():
    curve = ([100, 1000], [Interval(0.7, 0.6, 0.8, 5), Interval(0.8, 0.7, 0.9, 5)])
    figure = alignment.budget_figure({"random": curve}, title="t", note="n", base=0.65, ceiling=0.9)
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["100", "1,000"]


def test_strength_shows_every_task_and_the_chosen_point():
    points = ([0.0, 0.5, 1.0], [Interval(value, value - 0.01, value + 0.01, 5) for value in (0.7, 0.75, 0.8)])
    figure = alignment.strength_figure(points, {"counting": points}, chosen=0.5, tolerance=0.02, ceiling=0.9, note="n")
    labels = figure.axes[1].get_legend_handles_labels()[1]
    assert sorted(labels) == ["counting", "tolerance"]


def verdicts(values):
    rows = [
        {"difference": value, "low": value - 0.01, "high": value + 0.01, "tolerance": 0.02, "verdict": verdict}
        for value, verdict in values
    ]
    return pd.DataFrame(rows, index=[f"task {row}" for row in range(len(rows))])


def test_verdicts_are_told_apart_by_marker_and_one_wild_task_does_not_squeeze_the_rest():
    table = verdicts([(0.05, "better"), (0.0, "no change"), (-0.05, "worse"), (0.01, "undecided"), (3.0, "better")])
    figure = alignment.verdict_figure(table, title="t", note="n")
    axes = figure.axes[0]
    handles, labels = axes.get_legend_handles_labels()
    assert sorted(labels) == ["better", "no change", "undecided", "worse"]
    assert len({handle.lines[0].get_marker() for handle in handles}) == 4
    assert axes.get_xlim()[1] < 15


def test_matrix_brackets_what_cannot_be_told_from_zero():
    values = pd.DataFrame({"a": [0.5, -0.01], "b": [np.nan, 0.2]}, index=["x", "y"])
    errors = pd.DataFrame({"a": [0.1, 0.1], "b": [0.1, 0.1]}, index=["x", "y"])
    shown = texts(alignment.matrix_figure(values, errors, title="t", note="n", label="change"))
    assert {"+0.50", "(-0.01)", "+0.20"} <= set(shown)
    assert not any("nan" in text for text in shown)


def test_shares_fill_the_bar():
    rows = [
        ("count", verdict, share) for verdict, share in zip(alignment.VERDICT_LOOKS, (0.5, 0.25, 0.25, 0), strict=True)
    ]
    table = pd.DataFrame(rows, columns=["task", "verdict", "share"])
    figure = alignment.shares_figure(table, title="t", note="n")
    ends = [patch.get_x() + patch.get_width() for patch in figure.axes[0].patches]
    assert max(ends) == pytest.approx(1)

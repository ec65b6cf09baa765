import numpy as np
import pandas as pd

from percept.evaluation.differences import difference
from percept.viz import changes


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def verdicts(values):
    rows = [
        {"difference": value, "low": value - 0.01, "high": value + 0.01, "tolerance": 0.02, "verdict": verdict}
        for value, verdict in values
    ]
    return pd.DataFrame(rows, index=[f"task {row}" for row in range(len(rows))])


def test_verdicts_are_told_apart_by_marker_and_one_wild_task_does_not_squeeze_the_rest():
    table = verdicts([(0.05, "better"), (0.0, "no change"), (-0.05, "worse"), (0.01, "undecided"), (3.0, "better")])
    figure = changes.verdict_figure(table, title="t", note="n")
    axes = figure.axes[0]
    handles, labels = axes.get_legend_handles_labels()
    assert sorted(labels) == ["better", "no change", "undecided", "worse"]
    assert len({handle.lines[0].get_marker() for handle in handles}) == 4
    assert axes.get_xlim()[1] < 15


def test_matrix_brackets_what_cannot_be_told_from_zero():
    values = pd.DataFrame({"a": [0.5, -0.01], "b": [np.nan, 0.2]}, index=["x", "y"])
    errors = pd.DataFrame({"a": [0.1, 0.1], "b": [0.1, 0.1]}, index=["x", "y"])
    shown = texts(changes.matrix_figure(values, errors, title="t", note="n", label="change"))
    assert {"+0.50", "(-0.01)", "+0.20"} <= set(shown)
    assert not any("nan" in text for text in shown)


def shares(tasks):
    parts = zip(changes.VERDICT_LOOKS, (0.5, 0.25, 0.25, 0), strict=True)
    rows = [(task, verdict, share) for verdict, share in parts for task in tasks]
    return pd.DataFrame(rows, columns=["task", "verdict", "share"])


def test_shares_fill_the_bar_and_a_missing_task_has_none():
    figure = changes.shares_figure({"a": shares(["count", "depth"]), "b": shares(["depth"])}, title="t", note="n")
    ends = [{}, {}]
    for end, axes in zip(ends, figure.axes, strict=True):
        for bar in axes.patches:
            row = round(bar.get_y() + bar.get_height() / 2)
            end[row] = max(end.get(row, 0), bar.get_x() + bar.get_width())
    assert ends == [{0: 1, 1: 1}, {0: 0, 1: 1}]
    assert [axes.get_title(loc="right") for axes in figure.axes] == ["a", "b"]
    assert "n" in texts(figure)


def test_a_sweep_fills_only_the_points_whose_change_is_shown():
    def change(before, after):
        return difference(np.full(40, after), np.full(40, before), n=100)

    cells = {(50, 1): change(0.4, 0.6), (100, 1): change(0.5, 0.5)}
    figure = changes.sweep_figure({"noun": cells, "count": cells}, title="t", note="n", label="share")
    first = figure.axes[0]
    before, after, *points = first.lines
    assert list(before.get_ydata()) == [0.4, 0.5]
    assert list(after.get_ydata()) == [0.6, 0.5]
    assert [point.get_markerfacecolor() == point.get_color() for point in points] == [True, False]
    assert [label.get_text() for label in first.get_xticklabels()] == ["50", "100"]


def test_verdict_rows_name_their_family_once():
    table = verdicts([(0.05, "better"), (0.0, "no change"), (-0.05, "worse")]).assign(family=["dense", "dense", "own"])
    figure = changes.verdict_figure(table, title="t", note="n")
    assert [text for text in texts(figure) if text in ("dense", "own")] == ["dense", "own"]

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


def test_of_many_tasks_the_dial_draws_those_that_pay_most_and_gain_most():
    strengths = [0.5, 1.0]
    tasks = {f"task {value}": (strengths, [Interval(value, value - 0.5, value + 0.5, 9)] * 2) for value in range(-4, 6)}
    tasks["dips"] = strengths, [Interval(-9, -9, -9, 9), Interval(0, 0, 0, 9)]
    points = strengths, [Interval(0.7, 0.6, 0.8, 9)] * 2
    figure = alignment.strength_figure(points, tasks, tolerance=1, note="n")
    labels = set(figure.axes[1].get_legend_handles_labels()[1])
    assert labels == {"dips", "task -4", "task -3", "task -2", "task 5", "task 4", "tolerance"}

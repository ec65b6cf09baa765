"""Figures of perceptual alignment: agreement, budgets, strength. Conventions as in `percept.viz.figures`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from percept.viz.style import DASHES, GRAY, MARKERS, colors, error_bar, head, legend, new_figure, number_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def agreement_figure(
    ways: Mapping[str, Any],
    *,
    ceiling: Any | None = None,
    chance: float | None = 0.5,
    title: str,
    note: str = "95 % interval over triplets",
    label: str = "agreement with held-out judgments (2AFC score)",
) -> "Figure":
    """One point with its interval per way of telling pictures apart; noise ceiling and chance as lines.

    Args:
        ways: {name: Interval} of two-alternative scores (or of what `label` says), in the order to show.
        ceiling: Interval or number, the noise ceiling.
        chance: the level of guessing.
    """
    figure = new_figure(7, 1.5 + 0.3 * len(ways))
    axes = figure.subplots()
    for row, interval in enumerate(ways.values()):
        axes.errorbar(interval[0], row, xerr=error_bar(interval), fmt="o", color=colors(1)[0], ms=6.5, capsize=2.5)
        look: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": "small"}
        look["bbox"] = {
            "facecolor": "white",
            "edgecolor": "none",
            "alpha": 0.85,
            "pad": 1,
        }  # no line runs through digits
        axes.annotate(f"{interval[0]:.3f}", (interval[2], row), (6, 0), **look)
    if ceiling is not None:
        if isinstance(ceiling, tuple):
            axes.axvspan(ceiling[1], ceiling[2], color="0.88", lw=0, zorder=0)
        axes.axvline(number_of(ceiling), color="black", ls="--", lw=1.3, label="noise ceiling")
    if chance is not None:
        axes.axvline(chance, color=GRAY, ls=":", lw=1.5, label="chance")
    axes.set(yticks=range(len(ways)), yticklabels=list(ways), xlabel=label)
    low = min([interval[1] for interval in ways.values()] + ([] if chance is None else [chance]))
    high = max([interval[2] for interval in ways.values()] + ([] if ceiling is None else [number_of(ceiling)]))
    axes.set_xlim(low - 0.02, high + 0.06)
    axes.set_ylim(len(ways) - 0.4, -0.6)
    head(axes, title, note)
    legend(figure, axes, len(axes.get_legend_handles_labels()[0]))
    return figure


def budget_figure(
    curves: Mapping[str, tuple[Sequence[float], Sequence[Any]]],
    *,
    title: str,
    note: str,
    base: Any | None = None,
    ceiling: Any | None = None,
    label: str = "held-out agreement (2AFC score)",
) -> "Figure":
    """Agreement against the number of judgments, one curve with its band per strategy.

    Args:
        curves: {name: (judgments, Intervals)}; judgments on a logarithmic axis.
        base: the level without any judgment.
        ceiling: the noise ceiling.
    """
    figure = new_figure(7, 4.4)
    axes = figure.subplots()
    for index, ((name, (budgets, intervals)), color) in enumerate(
        zip(curves.items(), colors(len(curves)), strict=True)
    ):
        value, low, high = np.array([interval[:3] for interval in intervals], dtype=float).T
        axes.plot(budgets, value, DASHES[index % 4], marker=MARKERS[index], color=color, label=name)
        axes.fill_between(budgets, low, high, color=color, alpha=0.18, lw=0)
    if base is not None:
        axes.axhline(number_of(base), color=GRAY, ls=":", lw=1.5, label="no judgments")
    if ceiling is not None:
        axes.axhline(number_of(ceiling), color="black", ls="--", lw=1.3, label="noise ceiling")
    ticks = sorted({float(budget) for budgets, _ in curves.values() for budget in budgets})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    axes.minorticks_off()
    axes.set(xlabel="judgments collected", ylabel=label)
    head(axes, title, note)
    legend(figure, axes, len(axes.get_legend_handles_labels()[0]))
    return figure


def strength_figure(
    agreement: tuple[Sequence[float], Sequence[Any]],
    tasks: Mapping[str, tuple[Sequence[float], Sequence[Any]]],
    *,
    chosen: float | None = None,
    tolerance: float | None = None,
    ceiling: float | None = None,
    title: str = "The strength dial",
    note: str,
    label: str = "change (above 0 = better)",
) -> "Figure":
    """Above: agreement against strength. Below: what guarded tasks gain or pay, relative to their tolerance.

    Args:
        agreement: (strengths, Intervals).
        tasks: {task: (strengths, Intervals of the change, above 0 = better)}. Of more than six, those four are drawn
            that reach lowest and those two that end highest.
        chosen: strength that the guard allows, drawn through both panels.
        tolerance: largest loss that is allowed, drawn as a line.
        ceiling: the noise ceiling.
        label: of the lower axis.
    """
    figure = new_figure(7, 6.4)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.4))
    strengths, intervals = agreement
    value, low, high = np.array([interval[:3] for interval in intervals], dtype=float).T
    above.plot(strengths, value, "o-", color=colors(1)[0])
    above.fill_between(strengths, low, high, color=colors(1)[0], alpha=0.2, lw=0)
    if ceiling is not None:
        above.axhline(ceiling, color="black", ls="--", lw=1.3)
        above.annotate("noise ceiling", (max(strengths), ceiling), (0, -4), textcoords="offset points", ha="right",
                       va="top", fontsize="small")  # fmt: skip
    above.set(ylabel="2AFC score")
    drawn = _extremes(tasks)
    offsets = np.linspace(-0.03, 0.03, len(drawn)) if len(drawn) > 1 else [0.0]
    for index, (name, color) in enumerate(zip(drawn, colors(len(drawn)), strict=True)):
        points, changes = tasks[name]
        spread = np.array([[c[0] - c[1], c[2] - c[0]] for c in changes]).T.clip(0)
        look: dict[str, Any] = {"color": color, "marker": MARKERS[index], "ls": DASHES[index % 4], "capsize": 2}
        at = np.asarray(points, float) + offsets[index]
        below.errorbar(at, [c[0] for c in changes], yerr=spread, label=name, lw=1.2, ms=5, **look)
    below.axhline(0, color=GRAY, lw=1)
    if tolerance is not None:
        below.axhline(-tolerance, color="black", ls=":", lw=1.5, label="tolerance")
    for axes in (above, below):
        if chosen is not None:
            axes.axvline(chosen, color="black", lw=4, alpha=0.15, zorder=0)
    below.set(xlabel="strength of alignment (0 = as it was, 1 = as trained)", ylabel=label)
    head(above, title, note)
    legend(figure, below, len(drawn) + (tolerance is not None))
    return figure


def _extremes(tasks: Mapping[str, tuple[Sequence[float], Sequence[Any]]]) -> list[str]:
    if len(tasks) <= 6:
        return list(tasks)
    lowest = sorted(tasks, key=lambda name: min(change[1] for change in tasks[name][1]))
    highest = sorted(tasks, key=lambda name: -tasks[name][1][-1][0])
    return [*lowest[:4], *[name for name in highest if name not in lowest[:4]][:2]]

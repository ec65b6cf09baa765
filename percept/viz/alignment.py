"""Figures of perceptual alignment: agreement, budgets, strength, verdicts. Conventions as in `percept.viz.figures`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from percept.viz.style import DASHES, GRAY, MARKERS, colors, error_bar, head, legend, new_figure, number_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VERDICT_LOOKS = {"better": ("^", 2), "no change": ("o", 0), "undecided": ("d", None), "worse": ("v", 4)}


def agreement_figure(
    ways: Mapping[str, Any],
    *,
    ceiling: Any | None = None,
    chance: float | None = 0.5,
    title: str,
    note: str = "95 % interval over triplets",
) -> "Figure":
    """One point with its interval per way of telling pictures apart; noise ceiling and chance as lines.

    Args:
        ways: {name: Interval} of two-alternative scores, in the order to show.
        ceiling: Interval or number, the noise ceiling.
        chance: the level of guessing.
    """
    figure = new_figure(7, 1.5 + 0.3 * len(ways))
    axes = figure.subplots()
    for row, interval in enumerate(ways.values()):
        axes.errorbar(interval[0], row, xerr=error_bar(interval), fmt="o", color=colors(1)[0], ms=6.5, capsize=2.5)
        axes.annotate(
            f"{interval[0]:.3f}", (interval[2], row), (6, 0), textcoords="offset points", va="center", fontsize="small"
        )
    if ceiling is not None:
        if isinstance(ceiling, tuple):
            axes.axvspan(ceiling[1], ceiling[2], color="0.88", lw=0, zorder=0)
        axes.axvline(number_of(ceiling), color="black", ls="--", lw=1.3, label="noise ceiling")
    if chance is not None:
        axes.axvline(chance, color=GRAY, ls=":", lw=1.5, label="chance")
    axes.set(yticks=range(len(ways)), yticklabels=list(ways), xlabel="agreement with held-out judgments (2AFC score)")
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
    label: str = "agreement with held-out judgments (2AFC score)",
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
) -> "Figure":
    """Above: agreement against strength. Below: what each guarded task gains or pays, relative to its tolerance.

    Args:
        agreement: (strengths, Intervals).
        tasks: {task: (strengths, Intervals of the change, above 0 = better)}, at most eight.
        chosen: strength that the guard allows, drawn through both panels.
        tolerance: largest loss that is allowed, drawn as a line.
        ceiling: the noise ceiling.
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
    offsets = np.linspace(-0.018, 0.018, len(tasks)) if len(tasks) > 1 else [0.0]
    for index, ((name, (points, changes)), color) in enumerate(zip(tasks.items(), colors(len(tasks)), strict=True)):
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
    below.set(xlabel="strength of alignment (0 = as it was, 1 = as trained)", ylabel="change (above 0 = better)")
    head(above, title, note)
    legend(figure, below, len(tasks) + (tolerance is not None))
    return figure


def verdict_figure(
    table: "pd.DataFrame", *, title: str, note: str, label: str = "change in units of the tolerance"
) -> "Figure":
    """Forest plot of a verdict table: one row per task, marker and colour say the verdict.

    Args:
        table: of `percept.evaluation.verdicts.verdict_table`; differences are divided by `tolerance`.
        label: of the axis.
    """
    figure = new_figure(7, 1.5 + 0.27 * len(table))
    axes = figure.subplots()
    palette = colors(6)
    shown: set[str] = set()
    for row, (_, entry) in enumerate(table.iterrows()):
        marker, number = VERDICT_LOOKS[entry["verdict"]]
        color = GRAY if number is None else palette[number]
        value, low, high = (entry[key] / entry["tolerance"] for key in ("difference", "low", "high"))
        name = None if entry["verdict"] in shown else entry["verdict"]
        look: dict[str, Any] = {"color": color, "marker": marker, "ls": "", "ms": 7, "capsize": 2.5}
        axes.errorbar(value, row, xerr=[[max(value - low, 0)], [max(high - value, 0)]], label=name, **look)
        shown.add(entry["verdict"])
    axes.axvspan(-1, 1, color="0.93", lw=0, zorder=0)
    axes.axvline(0, color=GRAY, lw=1, zorder=1)
    # One wild task must not squeeze all others to a line.
    limit = float(np.clip(np.abs(table[["low", "high"]].to_numpy() / table[["tolerance"]].to_numpy()).max(), 2, 12))
    axes.set(yticks=range(len(table)), yticklabels=list(table.index), xlabel=label, xlim=(-limit * 1.05, limit * 1.05))
    axes.set_ylim(len(table) - 0.4, -0.6)
    _family_lines(axes, list(table["family"]) if "family" in table else [])
    head(axes, title, note)
    legend(figure, axes, len(shown))
    return figure


def _family_lines(axes: "Axes", families: Sequence[str]) -> None:
    for row in range(1, len(families)):
        if families[row] != families[row - 1]:
            axes.axhline(row - 0.5, color="0.8", lw=0.8, zorder=0)


def matrix_figure(
    values: "pd.DataFrame", errors: "pd.DataFrame | None" = None, *, title: str, note: str, label: str
) -> "Figure":
    """Heat map with the number in every cell; what an interval does not tell from zero is set in brackets.

    Args:
        values: rows = tasks, columns = what was compared.
        errors: half widths of the intervals, same shape.
        label: of the colour bar.
    """
    figure = new_figure(2.4 + 1.15 * values.shape[1], 1.9 + 0.3 * len(values))
    axes = figure.subplots()
    table = values.to_numpy(float)
    finite = np.abs(table[np.isfinite(table)])
    # The 90th percentile, so that one large cell does not turn all others white.
    limit = max(float(np.percentile(finite, 90)) if finite.size else 1.0, 1e-9)
    shown = axes.imshow(table, cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        if not np.isfinite(value):
            continue
        unclear = errors is not None and abs(value) <= float(errors.to_numpy()[row, column])
        text = f"({value:+.2f})" if unclear else f"{value:+.2f}"
        color = "white" if abs(value) > 0.75 * limit else "black"
        axes.text(column, row, text, ha="center", va="center", fontsize="small", color=color)
    axes.set_xticks(range(values.shape[1]), [str(name) for name in values.columns], rotation=20, ha="right")
    axes.set_yticks(range(len(values)), [str(name) for name in values.index])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.colorbar(shown, ax=axes, label=label, extend="both", shrink=0.9)
    head(axes, title, note)
    return figure


def shares_figure(shares: "pd.DataFrame", *, title: str, note: str) -> "Figure":
    """Stacked bars: for each task the share of simulated raters with each verdict.

    Args:
        shares: of `percept.evaluation.verdicts.verdict_shares`.
    """
    tasks = list(dict.fromkeys(shares["task"]))
    figure = new_figure(7, 1.6 + 0.27 * len(tasks))
    axes = figure.subplots()
    palette = colors(6)
    left = np.zeros(len(tasks))
    hatches = {"better": "", "no change": "...", "undecided": "", "worse": "///"}
    for verdict, (_, number) in VERDICT_LOOKS.items():
        rows = shares[shares["verdict"] == verdict].set_index("task")["share"].reindex(tasks).fillna(0).to_numpy()
        color = "0.85" if number is None else palette[number]
        axes.barh(
            range(len(tasks)), rows, left=left, color=color, edgecolor="white", hatch=hatches[verdict], label=verdict
        )
        left += rows
    axes.set(yticks=range(len(tasks)), yticklabels=tasks, xlabel="share of simulated raters", xlim=(0, 1))
    axes.set_ylim(len(tasks) - 0.4, -0.6)
    head(axes, title, note)
    legend(figure, axes, 4)
    return figure

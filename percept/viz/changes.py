"""Figures of what alignment changed, task by task. Conventions as in `percept.viz.figures`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from percept.viz.style import GRAY, MARKERS, colors, head, legend, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VERDICT_LOOKS = {"better": ("^", 2), "no change": ("o", 0), "undecided": ("d", None), "worse": ("v", 4)}


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
    # One wild task must not squeeze all others to a line.
    limit = float(np.clip(np.abs(table[["low", "high"]].to_numpy() / table[["tolerance"]].to_numpy()).max(), 2, 12))
    shown: set[str] = set()
    order = list(VERDICT_LOOKS)  # of the legend
    for row, (_, entry) in sorted(enumerate(table.iterrows()), key=lambda one: order.index(one[1][1]["verdict"])):
        marker, number = VERDICT_LOOKS[entry["verdict"]]
        color = GRAY if number is None else palette[number]
        value, low, high = (entry[key] / entry["tolerance"] for key in ("difference", "low", "high"))
        name = None if entry["verdict"] in shown else entry["verdict"]
        look: dict[str, Any] = {"color": color, "marker": marker, "ls": "", "ms": 7, "capsize": 2.5}
        at = float(np.clip(value, -limit, limit))
        axes.errorbar(at, row, xerr=[[max(at - low, 0)], [max(high - at, 0)]], label=name, **look)
        if at != value:  # beyond the axis: the number stands beside the mark at its edge
            where: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": "small", "color": color}
            axes.annotate(
                f"{value:+.0f}", (at, row), (8 if value < 0 else -8, 0), ha="left" if value < 0 else "right", **where
            )
        shown.add(entry["verdict"])
    axes.axvspan(-1, 1, color="0.93", lw=0, zorder=0)
    axes.axvline(0, color=GRAY, lw=1, zorder=1)
    axes.set(yticks=range(len(table)), yticklabels=list(table.index), xlabel=label, xlim=(-limit * 1.05, limit * 1.05))
    axes.set_ylim(len(table) - 0.4, -0.6)
    family_lines(axes, list(table["family"]) if "family" in table else [])
    head(axes, title, note)
    legend(figure, axes, len(shown))
    return figure


def family_lines(axes: "Axes", families: Sequence[str]) -> None:
    """A line above each family of rows, and its name at the right; rows of one family follow each other."""
    for row, family in enumerate(families):
        if row and family == families[row - 1]:
            continue
        if row:
            axes.axhline(row - 0.5, color="0.8", lw=0.8, zorder=0)
        axes.annotate(family, (1, row), (4, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
                      va="center", fontsize="small", color=GRAY)  # fmt: skip


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


def shares_figure(shares: "Mapping[str, pd.DataFrame]", *, title: str, note: str) -> "Figure":
    """Stacked bars, one panel per model: for each task the share of simulated raters with each verdict.

    Args:
        shares: {model: table of `percept.evaluation.verdicts.verdict_shares`}; a task that a model lacks has no bar.
    """
    tasks = list(dict.fromkeys(task for table in shares.values() for task in table["task"]))
    figure = new_figure(3.4 + 2.8 * len(shares), 1.9 + 0.25 * len(tasks))
    panels = np.atleast_1d(figure.subplots(1, len(shares), sharey=True))
    palette = colors(6)
    hatches = {"better": "", "no change": "...", "undecided": "", "worse": "///"}
    for axes, (model, table) in zip(panels, shares.items(), strict=True):
        left = np.zeros(len(tasks))
        for verdict, (_, number) in VERDICT_LOOKS.items():
            rows = table[table["verdict"] == verdict].set_index("task")["share"].reindex(tasks).fillna(0).to_numpy()
            look: dict[str, Any] = {"color": "0.85" if number is None else palette[number], "hatch": hatches[verdict]}
            axes.barh(range(len(tasks)), rows, left=left, edgecolor="white", label=verdict, **look)
            left += rows
        axes.set(xlabel="share of simulated raters", xlim=(0, 1))
        axes.set_title(model, fontsize="medium", loc="right")
        axes.tick_params(axis="y", length=0)
    panels[0].set(yticks=range(len(tasks)), yticklabels=tasks)
    panels[0].set_ylim(len(tasks) - 0.4, -0.6)
    head_of_all(figure, title, note)
    legend(figure, panels[0], 4)
    return figure


def sweep_figure(
    changes: Mapping[str, Mapping[tuple[int, int], Any]], *, title: str, note: str, label: str
) -> "Figure":
    """One panel per task: retrieved examples before (dashed) and after (solid), against the size of the context.

    Args:
        changes: {task: {(context, k): `percept.evaluation.differences.Difference`}}.
        label: of the axis.
    """
    figure = new_figure(2.2 + 2.3 * len(changes), 3.6)
    panels = np.atleast_1d(figure.subplots(1, len(changes)))
    for axes, (name, cells) in zip(panels, changes.items(), strict=True):
        numbers = sorted({k for _, k in cells})
        for k, color, marker in zip(numbers, colors(len(numbers)), MARKERS, strict=False):
            contexts = sorted(context for context, other in cells if other == k)
            found = [cells[context, k] for context in contexts]
            axes.plot(contexts, [d.before for d in found], "--", color=color, lw=1.2)
            axes.plot(contexts, [d.after for d in found], "-", color=color, lw=1.5, label=f"k = {k}")
            for context, d in zip(contexts, found, strict=True):
                inside = color if d.low > 0 or d.high < 0 else "white"
                axes.plot(context, d.after, marker, color=color, mfc=inside, ms=6)
        ticks = sorted({context for context, _ in cells})
        axes.set_xscale("log")
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.set(xlabel="examples to choose from")
        axes.set_title(name, fontsize="medium", loc="right")
    panels[0].set_ylabel(label)
    head_of_all(figure, title, note)
    legend(figure, panels[0], 4)
    return figure


def head_of_all(figure: "Figure", title: str, note: str) -> None:
    """Title and note above several panels; `head` would make the first as wide as its words."""
    words = figure.suptitle(f"{title}\n", x=0.01, ha="left", fontsize="large")
    look: dict[str, Any] = {"fontsize": "small", "color": GRAY, "annotation_clip": False, "in_layout": False}
    figure.axes[0].annotate(note, (0, 0), xycoords=words, va="bottom", **look)

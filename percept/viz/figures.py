"""Bars and points of the workbook: one function per figure, each returns a Figure and shows nothing.

Sizes are in inches and final. Series differ in marker, hatch or dash as well as in colour. `note` is the
small line under the title: write the number of items and the kind of interval into it.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from percept.viz.style import DASHES, GRAY, HATCHES, MARKERS, colors, error_bar, head, legend, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def accuracy_bars(
    results: Mapping[str, Mapping[str, Any]],
    *,
    title: str,
    note: str = "95 % interval over items",
    chance: float | Mapping[str, float] | None = None,
) -> "Figure":
    """Horizontal bars with intervals: one group per task, one bar per encoder, chance as a dashed line.

    Args:
        results: {encoder: {task: Interval}}; a task that an encoder lacks leaves a gap.
        chance: one level for all, or {task: level}.
    """
    encoders = list(results)
    tasks = list(dict.fromkeys(task for rows in results.values() for task in rows))
    figure = new_figure(7, 1.4 + 0.3 * len(tasks) * (len(encoders) + 0.6))
    axes, step = figure.subplots(), 0.8 / len(encoders)
    largest = 0.0
    for index, (encoder, color) in enumerate(zip(encoders, colors(len(encoders)), strict=True)):
        for row, task in enumerate(tasks):
            if task not in results[encoder]:
                continue
            interval = results[encoder][task]
            y = row + (index - (len(encoders) - 1) / 2) * step
            look: dict[str, Any] = {"color": color, "edgecolor": "white", "hatch": HATCHES[index]}
            axes.barh(y, interval[0], step * 0.92, label=encoder if row == 0 else None, **look)
            axes.errorbar(interval[0], y, xerr=error_bar(interval), color="black", capsize=2.5, lw=1)
            axes.annotate(
                f"{interval[0]:.2f}", (min(interval[2], 1.0), y), (5, 0), textcoords="offset points", va="center"
            )
            largest = max(largest, float(interval[2]))
    levels = chance if isinstance(chance, Mapping) else {} if chance is None else dict.fromkeys(tasks, chance)
    for row, task in enumerate(tasks):
        if task in levels:
            ends = [levels[task]] * 2, [row - 0.46, row + 0.46]
            axes.plot(*ends, color="white", lw=3)
            axes.plot(*ends, "--", color="black", lw=1.3, label=None if task != next(iter(levels)) else "chance")
    axes.set(
        yticks=range(len(tasks)), yticklabels=tasks, xlabel="accuracy", xlim=(0, min(max(largest * 1.12, 0.05), 1.12))
    )
    axes.set_ylim(len(tasks) - 0.45, -0.55)
    head(axes, title, note)
    legend(figure, axes, len(encoders) + (chance is not None))
    return figure


def shift_plot(
    tables: Mapping[str, "pd.DataFrame"], *, title: str = "Accuracy under shift", chance: float | None = None
) -> "Figure":
    """One row per shift, one point with its interval per encoder; a thin line marks the unshifted value.

    Args:
        tables: {encoder: table of `accuracy_by_shift`}; the first row of a table is its reference.
    """
    names = list(dict.fromkeys(shift for table in tables.values() for shift in table["shift"]))
    figure = new_figure(7, 1.5 + 0.36 * len(names) * max(1, len(tables) ** 0.5))
    axes, offsets = figure.subplots(), np.linspace(-0.18, 0.18, len(tables)) if len(tables) > 1 else [0.0]
    for index, ((encoder, table), color) in enumerate(zip(tables.items(), colors(len(tables)), strict=True)):
        y = np.array([names.index(shift) for shift in table["shift"]]) + offsets[index]
        bars = np.array([table["value"] - table["low"], table["high"] - table["value"]]).clip(0)
        look: dict[str, Any] = {"color": color, "marker": MARKERS[index], "ls": "", "ms": 6.5, "capsize": 2.5}
        axes.errorbar(table["value"], y, xerr=bars, label=encoder, **look)
        axes.axvline(table["value"].iloc[0], color=color, lw=0.8, ls=DASHES[index % 4], alpha=0.7, zorder=0)
    if chance is not None:
        axes.axvline(chance, color=GRAY, ls=":", lw=1.5, label="chance")
    for row in range(1, len(names)):
        axes.axhline(row - 0.5, color="0.9", lw=0.8, zorder=0)
    axes.set(yticks=range(len(names)), yticklabels=names, xlabel="accuracy", xlim=(0, 1.02))
    axes.set_ylim(len(names) - 0.4, -0.6)
    head(axes, title, "95 % bootstrap interval over items")
    legend(figure, axes, len(tables) + (chance is not None))
    return figure


def prompt_spread_plot(spreads: Mapping[str, Mapping[str, Any]], *, chance: float | None = None) -> "Figure":
    """Strip of single-template accuracies, the ensemble as a diamond below, best and worst template in words.

    Args:
        spreads: {row name: result of `prompt_spread`}.
    """
    figure = new_figure(7, 1.4 + 1.25 * len(spreads))
    axes = figure.subplots()
    values = [interval[0] for spread in spreads.values() for interval in spread["per_template"].values()]
    values += [limit for spread in spreads.values() for limit in spread["ensemble"][1:3]]
    for row, ((_, spread), color) in enumerate(zip(spreads.items(), colors(len(spreads)), strict=True)):
        points = {template: interval[0] for template, interval in spread["per_template"].items()}
        jitter = np.linspace(-0.08, 0.08, len(points)) if len(points) > 1 else [0.0]
        axes.plot(list(points.values()), row + 0.05 + np.array(jitter), "o", mfc="none", mec=color, mew=1.4, ms=6.5)
        ensemble = spread["ensemble"]
        look: dict[str, Any] = {"color": color, "marker": "D", "mec": "black", "ms": 7, "capsize": 2.5}
        axes.errorbar(ensemble[0], row + 0.26, xerr=error_bar(ensemble), **look)
        named = "\n".join(f"{key} {points[spread[key]]:.2f}: {spread[key]}" for key in ("best", "worst"))
        place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "top", "fontsize": "small"}
        place["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}  # keeps chance lines off the words
        axes.annotate(named, (0.02, row - 0.53), **place)
    if chance is not None:
        axes.axvline(chance, color=GRAY, ls=":", lw=1.5, label="chance")
    room = max(0.02, 0.15 * (max(values) - min(values)))
    low = min(values) - room if chance is None else min(chance, min(values)) - 0.02
    axes.set(yticks=range(len(spreads)), yticklabels=list(spreads), xlabel="zero-shot accuracy")
    axes.set(xlim=(max(0.0, low), min(1.02, max(values) + room)))
    axes.set_ylim(len(spreads) - 0.55, -0.6)
    for row in range(1, len(spreads)):
        axes.axhline(row - 0.58, color="0.9", lw=0.8, zorder=0)
    note = "circles: one template each; diamond: ensemble with 95 % Wilson interval"
    head(axes, "How much does the wording matter?", note)
    legend(figure, axes, int(chance is not None))
    return figure


def most_confused(
    labels: Any, predictions: Any, names: Sequence[str], *, title: str = "Most frequent mistakes"
) -> "Figure":
    """The ten commonest confusions "true taken for predicted" as bars, with counts at the bar ends."""
    from percept.evaluation.zero_shot import confused_pairs

    pairs = confused_pairs(labels, predictions, 10)
    figure = new_figure(7, 1.3 + 0.3 * max(1, len(pairs)))
    axes = figure.subplots()
    shares = [pair["share"] for pair in pairs]
    texts = [f"{names[pair['true']]} → {names[pair['predicted']]}" for pair in pairs]
    bars = axes.barh(range(len(pairs)), shares, color=colors(1)[0])
    axes.bar_label(bars, [f"{pair['count']} of {pair['of']}" for pair in pairs], padding=4, fontsize="small")
    axes.set(yticks=range(len(pairs)), yticklabels=texts, xlim=(0, max([*shares, 0.05]) * 1.2))
    axes.set_xlabel("share of the images of the true class")
    axes.invert_yaxis()
    head(axes, title, f"n = {len(np.asarray(labels))} images; true class → answer given")
    return figure

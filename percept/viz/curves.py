"""Curves of the workbook: few-shot probes and training. Conventions as in `percept.viz.figures`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from percept.viz.style import DASHES, GRAY, MARKERS, colors, head, legend, new_figure, number_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def few_shot_figure(
    curves: Mapping[str, Mapping[str, Any]],
    *,
    zero_shot: Mapping[str, Any] | None = None,
    chance: float | None = None,
    title: str = "Few-shot probes",
    note: str = "band: 95 % interval over draws and test items",
) -> "Figure":
    """Accuracy against shots with bands; zero-shot at 0 shots with its level drawn through.

    Args:
        curves: {name: result of `few_shot_curve`} (`shots`, `interval`).
        zero_shot: {name: number or Interval}; equal names share a colour with their curve.
    """
    zero = dict(zero_shot or {})
    names = list(dict.fromkeys([*curves, *zero]))
    look = {name: (c, MARKERS[i]) for i, (name, c) in enumerate(zip(names, colors(len(names)), strict=True))}
    shots = sorted({shot for curve in curves.values() for shot in curve["shots"]})
    place = {**({0: 0.0} if zero else {}), **{shot: 1 + np.log2(shot) for shot in shots}}
    figure = new_figure(7, 4.4)
    axes = figure.subplots()
    for name, curve in curves.items():
        color, marker = look[name]
        x = [place[shot] for shot in curve["shots"]]
        value, low, high = np.array([interval[:3] for interval in curve["interval"]], dtype=float).T
        axes.plot(x, value, marker=marker, color=color, label=name)
        axes.fill_between(x, low, high, color=color, alpha=0.2, lw=0)
    for name, value in zero.items():
        color, marker = look[name]
        axes.plot(0, number_of(value), marker=marker, ms=9, ls="", color=color, mec="black", label=f"{name}: zero-shot")
        axes.axhline(number_of(value), color=color, ls="--", lw=1)
    if chance is not None:
        axes.axhline(chance, color=GRAY, ls=":", lw=1.5, label="chance")
    axes.set_xticks(list(place.values()), [str(shot) for shot in place])
    axes.set(xlabel="labelled images per class", ylabel="accuracy", ylim=(0, 1.02))
    head(axes, title, note)
    legend(figure, axes, len(axes.get_legend_handles_labels()[0]))
    return figure


def training_curves(
    loss: tuple[Sequence[float], Sequence[float]],
    measures: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    chance: float | None = None,
    title: str = "Learning from sentences",
    seen_label: str = "image-text pairs seen",
    measure_label: str = "held-out accuracy",
    limits: tuple[float, float] = (0, 1.02),
) -> "Figure":
    """Left the training loss (raw and smoothed), right held-out measures, both against what has been seen.

    Args:
        loss: (items seen, loss), one pair per logged step.
        measures: {name: (items seen, value)}.
        seen_label, measure_label: of the axes.
        limits: of the measures' axis.
    """
    figure = new_figure(7.4, 3.6)
    left, right = figure.subplots(1, 2)
    seen, raw = (np.asarray(values, dtype=float) for values in loss)
    width = max(1, len(raw) // 25)
    window = np.ones(width)  # a trailing mean, over fewer steps at the start
    smooth = (np.convolve(raw, window) / np.convolve(np.ones(len(raw)), window))[: len(raw)]
    left.plot(seen, raw, color="0.75", lw=0.8)
    left.plot(seen, smooth, color="black", lw=1.6)
    left.set(xlabel=seen_label, ylabel="training loss")
    for index, ((name, (x, y)), color) in enumerate(zip(measures.items(), colors(len(measures)), strict=True)):
        right.plot(x, y, DASHES[index % 4], marker=MARKERS[index], color=color, label=name)
    if chance is not None:
        right.axhline(chance, color=GRAY, ls=":", lw=1.5, label="chance")
    right.set(xlabel=seen_label, ylabel=measure_label, ylim=limits)
    for axes in (left, right):
        axes.ticklabel_format(axis="x", style="plain")
        axes.xaxis.set_major_locator(_few_ticks())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value >= 1000 else f"{value:g}")
    head(left, title)
    legend(figure, right, len(measures) + (chance is not None))
    return figure


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5)

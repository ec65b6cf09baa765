"""Figures of what drove a score and where it is unfair. Conventions as in `percept.viz.figures`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from percept.viz.alt import describe_series, describe_values
from percept.viz.changes import family_lines, head_of_all
from percept.viz.pictures import wrap_text
from percept.viz.style import DASHES, GRAY, MARKERS, colors, error_bar, head, legend, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from percept.evaluation.faithfulness import Curves, Faithfulness

SLICE_LOOKS = {"higher": ("^", 4), "lower": ("v", 0), "not shown": ("d", None)}


def map_figure(
    pictures: Any, maps: Mapping[str, Any], captions: Sequence[str] | None = None, *, title: str, note: str = ""
) -> "Figure":
    """Pictures, and beside each what every way of explaining says of it.

    Colour and line say the same: purple inside a solid line raised the score, orange inside a dashed line lowered
    it. The lines are where the map, smoothed by 1/32 of its side, reaches half of its largest size. Every map has
    a scale of its own; where it is the same everywhere, the panel says so.

    Args:
        pictures: N uint8 [H, W, 3].
        maps: {column: [N, H, W]}, such as a trained score and randomised ones.
        captions: N strings, to the left of the rows.
    """
    count = len(pictures)
    if not count or not maps or any(np.shape(each)[:1] != (count,) for each in maps.values()):
        raise ValueError(f"need at least one picture, and in each of {list(maps)} one map per picture ({count})")
    figure = new_figure(0.4 + 1.5 * (len(maps) + 1), 0.75 + 1.45 * count)
    grid = figure.subplots(count, len(maps) + 1, squeeze=False)
    for row, panels in enumerate(grid):
        panels[0].imshow(pictures[row], interpolation="nearest")
        panels[0].set_ylabel(captions[row] if captions else "", fontsize=8.5)
        gray = np.asarray(pictures[row], float).mean(-1)
        for axes, each in zip(panels[1:], maps.values(), strict=True):
            axes.imshow(110 + 0.55 * gray, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            _draw_map(axes, np.asarray(each[row], float))
        for axes in panels:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
    for axes, name in zip(grid[0], ["picture", *maps], strict=True):
        axes.set_title(wrap_text(name, 13), fontsize="medium", loc="center")
    head_of_all(figure, title, note or "solid purple: raised the score; dashed orange: lowered it")
    return figure


def _draw_map(axes: "Axes", values: np.ndarray) -> None:
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(values, values.shape[0] / 32, mode="nearest")
    limit = np.abs(smooth).max()
    if np.ptp(values) == 0:
        place: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "center", "fontsize": 8.5}
        axes.text(0.5, 0.5, "same\neverywhere", bbox={"facecolor": "white", "edgecolor": "none"}, **place)
        return
    strength = np.abs(smooth) / limit
    axes.imshow(smooth, cmap="PuOr", vmin=-limit, vmax=limit, alpha=0.85 * strength, interpolation="bilinear")
    for sign, color, dash in ((1, "indigo", "-"), (-1, "saddlebrown", "--")):
        if (sign * smooth).max() > limit / 2:
            axes.contour(sign * smooth, levels=[limit / 2], colors=[color], linestyles=[dash], linewidths=1.4)


def faithfulness_figure(curves: "Mapping[str, Faithfulness]", *, title: str, note: str = "") -> "Figure":
    """Mean score while tiles are removed (left) and inserted (right), one line per way of explaining.

    The gray band holds the random orders, from the lowest to the highest of their means over pictures.

    Args:
        curves: {name: result of `deletion_insertion`}; all of the same pictures and random orders.
    """
    figure = new_figure(7.4, 3.9)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, part in zip(panels, ("deletion", "insertion"), strict=True):
        found: dict[str, Curves] = {name: getattr(each, part) for name, each in curves.items()}
        first = next(iter(found.values()))
        means = first.random.mean(1)
        axes.fill_between(first.share, means.min(0), means.max(0), color="0.8", lw=0, label="random orders")
        axes.plot(first.share, means.mean(0), color=GRAY, ls=":", lw=1.5)
        for index, ((name, each), color) in enumerate(zip(found.items(), colors(len(found)), strict=True)):
            look: dict[str, Any] = {"color": color, "marker": MARKERS[index], "ms": 4.5, "lw": 1.4}
            axes.plot(each.share, each.own.mean(0), DASHES[index % 4], label=name, **look)
        axes.set(xlabel=f"share of tiles {'removed' if part == 'deletion' else 'inserted'}", xlim=(0, 1))
    panels[0].set_ylabel("mean score")
    head_of_all(figure, title, note or "highest tiles first: a faithful map falls fast (left) and rises fast (right)")
    legend(figure, panels[0], len(curves) + 1)
    return figure


def slice_figure(table: "pd.DataFrame", *, title: str, note: str = "", label: str = "slice minus rest") -> "Figure":
    """Forest plot of a slice table: difference of each slice to the rest with its interval; marker = verdict.

    Slices without an interval (too few rows) are not drawn; the note says how many.

    Args:
        table: of `percept.evaluation.slices.slice_table`.
        label: of the axis, with the metric and its unit.
    """
    drawn = table[table["verdict"].isin(list(SLICE_LOOKS))]
    figure = new_figure(7, 1.6 + 0.27 * len(drawn))
    axes, palette = figure.subplots(), colors(6)
    shown: set[str] = set()
    for row, (_, entry) in enumerate(drawn.iterrows()):
        marker, number = SLICE_LOOKS[entry["verdict"]]
        look: dict[str, Any] = {"color": GRAY if number is None else palette[number], "marker": marker, "ls": ""}
        name = None if entry["verdict"] in shown else entry["verdict"]
        bar = error_bar(entry[["difference", "difference_low", "difference_high"]].tolist())
        axes.errorbar(entry["difference"], row, xerr=bar, label=name, ms=7, capsize=2.5, **look)
        shown.add(entry["verdict"])
    axes.axvline(0, color=GRAY, lw=1, zorder=0)
    names = [f"{name} (n = {n})" for name, n in zip(drawn["slice"], drawn["n"], strict=True)]
    axes.set(yticks=range(len(drawn)), yticklabels=names, xlabel=label)
    axes.locator_params(axis="x", nbins=6)
    axes.set_ylim(len(drawn) - 0.4, -0.6)
    family_lines(axes, list(drawn["family"]))
    left = f"; {len(table) - len(drawn)} slices too small" if len(drawn) < len(table) else ""
    head(axes, title, (note or "95 % intervals, verdicts after Holm's correction") + left)
    legend(figure, axes, len(shown))
    return figure


def map_alt(title: str, maps: Mapping[str, Any]) -> str:
    """Alt text of `map_figure`: where each map is strongest in each picture.

    Example:
        >>> map_alt("Maps", {"trained": [[[0, 1], [0, 0]]]})
        'Maps. trained: strongest upper right.'
    """
    parts = []
    for name, each in maps.items():
        places = []
        for values in np.abs(np.asarray(each, float)):
            row, column = np.unravel_index(values.argmax(), values.shape)
            thirds = int(3 * (row + 0.5) / values.shape[0]), int(3 * (column + 0.5) / values.shape[1])
            place = f"{('upper', 'middle', 'lower')[thirds[0]]} {('left', 'centre', 'right')[thirds[1]]}"
            places.append("nowhere (same everywhere)" if np.ptp(values) == 0 else place)
        parts.append(f"{name}: strongest {', '.join(places)}")
    return f"{title}. {'; '.join(parts)}."


def faithfulness_alt(title: str, curves: "Mapping[str, Faithfulness]") -> str:
    """Alt text of `faithfulness_figure`: ends of the curves, and what they gain over random orders."""
    series = {
        f"{name}, {part}": (list(found.share), list(found.own.mean(0)))
        for name, each in curves.items() for part, found in (("deletion", each.deletion), ("insertion", each.insertion))
    }  # fmt: skip
    gains = {f"{name}, {part}": gain for name, each in curves.items()
             for part, gain in (("deletion", each.deletion_gain), ("insertion", each.insertion_gain))}  # fmt: skip
    return f"{describe_series(title, series)} {describe_values('Area gained over random orders', gains)}"


def slice_alt(title: str, table: "pd.DataFrame") -> str:
    """Alt text of `slice_figure`: every slice that differs from the rest, and how many do not."""
    shown = table[table["verdict"].isin(["higher", "lower"])]
    values = {
        f"{row.family} {row.slice}": (row.difference, row.difference_low, row.difference_high)
        for row in shown.itertuples()
    }
    few = int(table["verdict"].isin(["too few", "undefined"]).sum())
    rest = f"Of {len(table)} slices {len(table) - len(shown) - few} are not shown to differ from the rest"
    rest += f", too few rows in {few}." if few else "."
    return f"{describe_values(title, values)} {rest}" if values else f"{title}. {rest}"

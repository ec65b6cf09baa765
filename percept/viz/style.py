"""House style: seaborn ticks, colour-blind-safe colours and markers, Japanese without empty boxes."""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

JAPANESE = "IPAexGothic"
# Latin text keeps DejaVu; matplotlib falls back to the second family glyph by glyph.
FAMILIES = ["DejaVu Sans", JAPANESE]
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "ooo", "+++", "--")
DASHES = ("-", "--", "-.", ":")
GRAY = "0.35"  # 7:1 against white: chance lines, notes, reference marks


@lru_cache(maxsize=1)
def _register_japanese() -> None:
    """Make the font known. Importing its package would change the default font as a side effect."""
    from matplotlib import font_manager

    spec = find_spec("matplotlib_fontja")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("matplotlib-fontja is missing, Japanese text needs it: run `make workbook`")
    font_manager.fontManager.addfont(Path(spec.origin).parent / "fonts" / "ipaexg.ttf")


def use_style() -> None:
    """Apply the house style to all later figures of this process.

    The Japanese font comes after seaborn's theme, which would otherwise reset the family.
    """
    import matplotlib as mpl
    import seaborn as sns

    _register_japanese()
    sns.set_theme(context="paper", style="ticks", palette="colorblind", font_scale=1.15)
    mpl.rcParams.update(
        {
            "font.family": FAMILIES,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlelocation": "left",
            "axes.unicode_minus": False,
            "figure.dpi": 100,
            "savefig.dpi": 144,
            "legend.frameon": False,
            "hatch.linewidth": 0.6,
            "pdf.fonttype": 42,
        }
    )


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty Figure (inches) in the house style, unknown to pyplot, so nothing shows it twice."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    if JAPANESE not in mpl.rcParams["font.family"]:
        use_style()
    return Figure(figsize=(width, height), layout="constrained")


def colors(count: int) -> list[tuple[float, float, float]]:
    """Return `count` colour-blind-safe RGB colours; more than eight need another encoding than colour."""
    import seaborn as sns

    if count > 8:
        raise ValueError(f"{count} series in one figure cannot be told apart: show at most 8")
    palette = sns.color_palette("colorblind")
    # The 8th colour of the palette is a gray that would read as the chance line.
    return [tuple(palette[index]) for index in (0, 1, 2, 4, 3, 5, 6, 9)][:count]


def head(axes: "Axes", title: str, note: str = "") -> None:
    """Write the title and, between it and the axes, the small note line."""
    axes.set_title(title, fontweight="normal", pad=22 if note else 8)
    if note:
        place: dict[str, Any] = {"xytext": (0, 6), "textcoords": "offset points", "va": "bottom"}
        axes.annotate(note, (0, 1), xycoords="axes fraction", fontsize="small", color=GRAY, **place)


def legend(figure: "Figure", axes: "Axes", count: int) -> None:
    """Put the legend below the axes, out of the data's way."""
    if count:
        handles, labels = axes.get_legend_handles_labels()
        if len(labels) > 4:
            count = 3
        figure.legend(handles, labels, loc="outside lower center", ncols=min(count, 4))


def number_of(value: Any) -> float:
    """Return the value of a number or an Interval."""
    return float(value[0]) if isinstance(value, tuple) else float(value)


def error_bar(interval: Any) -> list[list[float]]:
    """Return matplotlib's lower and upper lengths for one Interval."""
    value, low, high = (float(v) for v in interval[:3])
    return [[max(0.0, value - low)], [max(0.0, high - value)]]

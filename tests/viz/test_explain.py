import numpy as np
import pandas as pd
import pytest

from percept.evaluation.faithfulness import Curves, Faithfulness
from percept.evaluation.slices import COLUMNS
from percept.evaluation.statistics import Interval
from percept.viz import explain

PICTURES = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)


def spot(row, column, sign=1.0):
    maps = np.zeros((2, 32, 32))
    maps[:, row : row + 6, column : column + 6] = sign
    return maps


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def curves(level):
    share = np.linspace(0, 1, 5)
    own, random = np.tile(level * (1 - share), (3, 1)), np.stack([np.tile(r * share, (3, 1)) for r in (0.4, 0.6)])
    each = Curves(share, own, random, own.mean(1), random.mean(2))
    return Faithfulness(each, each._replace(own=own[:, ::-1]), Interval(0.1, 0.05, 0.2, 3), Interval(0.3, 0.2, 0.4, 3))


def table(verdicts):
    rows = [
        ("light" if row < 2 else "kind", f"slice {row}", 20 + row, 0.1, 0.0, 0.2, 0.0, 0.1 * row, 0.1 * row - 0.05,
         0.1 * row + 0.05, 0.01, verdict)
        for row, verdict in enumerate(verdicts)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def lines_of(axes):
    from matplotlib.contour import ContourSet

    return [part for part in axes.collections if isinstance(part, ContourSet)]


def test_maps_are_drawn_in_colour_and_as_lines_whose_dash_tells_the_sign():
    both = spot(2, 2) + spot(20, 20, -1.0)
    maps = {"up": spot(2, 2), "down": spot(20, 20, -1.0), "both": both, "flat": np.ones((2, 32, 32))}
    figure = explain.map_figure(PICTURES, maps, ["3.1", "4.0"], title="t")
    panels = np.array(figure.axes).reshape(2, 5)
    assert [axes.get_title(loc="center") for axes in panels[0]] == ["picture", *maps]
    assert [axes.get_ylabel() for axes in panels[:, 0]] == ["3.1", "4.0"]
    assert [len(lines_of(axes)) for axes in panels[0]] == [0, 1, 1, 2, 0]
    solid, dashed = (lines_of(panels[0, column])[0] for column in (1, 2))
    assert solid.get_linestyle()[0][1] is None
    assert dashed.get_linestyle()[0][1] is not None
    for part, (row, column) in ((solid, (4.5, 4.5)), (dashed, (22.5, 22.5))):
        middle = part.get_paths()[0].get_extents()
        assert (middle.x0 + middle.x1) / 2 == pytest.approx(column, abs=1)
        assert (middle.y0 + middle.y1) / 2 == pytest.approx(row, abs=1)
    assert texts(figure).count("same\neverywhere") == 2
    assert any("solid purple" in text for text in texts(figure))


def test_a_map_of_zeros_needs_no_scale():
    figure = explain.map_figure(PICTURES, {"dead": np.zeros((2, 32, 32))}, title="t", note="n")
    assert "same\neverywhere" in texts(figure)
    assert "n" in texts(figure)


@pytest.mark.parametrize(
    ("pictures", "maps"), [(PICTURES, {"one": spot(0, 0)[:1]}), (PICTURES, {}), ([], {"one": spot(0, 0)[:0]})]
)
def test_pictures_without_maps_are_refused(pictures, maps):
    with pytest.raises(ValueError, match=r"need at least one picture, and in each of .* one map per picture"):
        explain.map_figure(pictures, maps, title="t")


def test_curves_lie_beside_a_band_of_random_orders():
    figure = explain.faithfulness_figure({"gradients": curves(1.0), "occlusion": curves(0.8)}, title="t")
    left, right = figure.axes
    random, first, second = left.lines
    assert np.allclose(first.get_ydata(), [1, 0.75, 0.5, 0.25, 0])
    assert np.allclose(random.get_ydata(), 0.5 * np.linspace(0, 1, 5))
    assert first.get_marker() != second.get_marker()
    assert first.get_linestyle() != second.get_linestyle()
    band = left.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(0.6)
    assert right.lines[1].get_ydata()[-1] == 1
    assert (left.get_xlabel(), right.get_xlabel()) == ("share of tiles removed", "share of tiles inserted")
    assert left.get_legend_handles_labels()[1] == ["random orders", "gradients", "occlusion"]


def test_slices_are_told_apart_by_marker_and_small_ones_are_counted_in_the_note():
    figure = explain.slice_figure(table(["higher", "not shown", "lower", "too few", "undefined"]), title="t")
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"slice {n} (n = {20 + n})" for n in range(3)]
    handles, labels = axes.get_legend_handles_labels()
    assert labels == ["higher", "not shown", "lower"]
    assert len({handle.lines[0].get_marker() for handle in handles}) == 3
    assert [text for text in texts(figure) if text in ("light", "kind")] == ["light", "kind"]
    assert any("; 2 slices too small" in text for text in texts(figure))
    assert not any("too small" in text for text in texts(explain.slice_figure(table(["higher"]), title="t", note="n")))


def test_alternative_texts_say_what_is_seen():
    maps = {"trained": spot(2, 26), "flat": np.ones((2, 32, 32))}
    assert explain.map_alt("Maps", maps) == (
        "Maps. trained: strongest upper right, upper right; "
        "flat: strongest nowhere (same everywhere), nowhere (same everywhere)."
    )
    described = explain.faithfulness_alt("Curves", {"gradients": curves(1.0)})
    assert "gradients, deletion: from 1.00 at 0 to 0.00 at 1" in described
    assert "gradients, insertion: 0.30 (0.20 to 0.40)" in described
    described = explain.slice_alt("Bias", table(["not shown", "higher", "too few", "not shown"]))
    assert described == (
        "Bias. light slice 1: 0.10 (0.05 to 0.15). Of 4 slices 2 are not shown to differ from the rest, "
        "too few rows in 1."
    )
    assert explain.slice_alt("Bias", table(["not shown"])) == (
        "Bias. Of 1 slices 1 are not shown to differ from the rest."
    )

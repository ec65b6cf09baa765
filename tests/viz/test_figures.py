import warnings

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from percept.evaluation.prompts import prompt_spread
from percept.evaluation.statistics import Interval
from percept.viz import alt, curves, figures, pictures, style

JA = "雪の中で赤い犬が猫を追いかけている。"
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)


def interval(value):
    return Interval(value, value - 0.05, value + 0.05, 100)


def shift_table(drop):
    rows = [("clean", 0.8, 0.7, 0.9, 50), ("灰色", 0.8 - drop, 0.7 - drop, 0.9 - drop, 50)]
    return pd.DataFrame(rows, columns=["shift", "value", "low", "high", "n"])


def spread():
    class Encoder:
        def encode_texts(self, texts):
            return np.array([[1.0 + ("犬" in text), len(text)] for text in texts])

    images = np.array([[1.0, 0.2], [1.0, 2.0], [1.0, 5.0]])
    return prompt_spread(Encoder(), images, [0, 1, 1], ["犬", "猫"], ["{}", "{}の写真", "a photo of {}"])


CURVE = {"shots": [1, 2, 4], "interval": [interval(v) for v in (0.2, 0.4, 0.6)]}
ALL = {
    "bars": lambda: figures.accuracy_bars(
        {"tiny": {"英語": interval(0.6), JA[:6]: interval(0.5)}, "other": {"英語": interval(0.4)}},
        title="正解率",
        chance=0.1,
    ),
    "shots": lambda: curves.few_shot_figure(
        {"tiny": CURVE}, zero_shot={"tiny": interval(0.5)}, chance=0.1, title="少数例"
    ),
    "training": lambda: curves.training_curves(
        (np.arange(50) * 64, np.linspace(4, 1, 50)), {"日本語": ([0, 3000], [0.1, 0.6])}, chance=0.1, title="学習"
    ),
    "shift": lambda: figures.shift_plot({"tiny": shift_table(0.2), "other": shift_table(0.4)}, chance=0.1),
    "spread": lambda: figures.prompt_spread_plot({"日本語": spread()}, chance=0.5),
    "confused": lambda: figures.most_confused([0, 0, 1, 1], [1, 0, 0, 1], ["犬", "猫"]),
    "grid": lambda: pictures.image_grid(IMAGES, [f"a dog\n{JA}"] * 6, columns=4, title=JA),
    "retrieval": lambda: pictures.retrieval_examples(
        [JA, "a dog"], IMAGES, [[0, 1, 2], [3, 4, 5]], [[True, False, False], [False, True, False]]
    ),
}


@pytest.fixture(autouse=True)
def restore_settings():
    with mpl.rc_context():
        yield


def axes_texts(figure):
    return [text.get_text() for text in figure.findobj(mpl.text.Text)]


@pytest.mark.parametrize("name", ALL)
def test_draws_japanese_without_a_warning_and_without_pyplot(name, tmp_path):
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = ALL[name]()
        figure.savefig(tmp_path / "figure.png")
    assert isinstance(figure, Figure)
    assert plt.get_fignums() == before
    assert (tmp_path / "figure.png").stat().st_size > 3000
    assert any(not text.isascii() for text in axes_texts(figure))


@pytest.mark.parametrize("name", ["bars", "shots", "training", "shift", "spread", "confused"])
def test_charts_name_their_axes_and_stay_inside_the_page(name):
    figure = ALL[name]()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    assert all(axes.get_xlabel() and (axes.get_ylabel() or axes.get_yticklabels()) for axes in figure.axes)
    first = figure.axes[0]
    assert first.get_title(loc="left")
    legend_texts = [text for legend in figure.legends for text in legend.get_texts()]
    low, high = sorted(first.get_ylim())
    ticks = [t for y, t in zip(first.get_yticks(), first.get_yticklabels(), strict=True) if low <= y <= high]
    shown = [*first.texts, *ticks, first.xaxis.label, first.yaxis.label, *legend_texts]
    width, height = figure.get_size_inches() * figure.dpi
    for text in filter(lambda text: text.get_text(), shown):
        box = text.get_window_extent(canvas.get_renderer())
        assert box.x0 > -1, text.get_text()
        assert box.y0 > -1, text.get_text()
        assert box.x1 < width + 1, text.get_text()
        assert box.y1 < height + 1, text.get_text()


def test_the_glyph_warning_would_be_seen_without_the_font(tmp_path):
    figure = Figure()
    figure.text(0.5, 0.5, JA, family="DejaVu Sans")
    with pytest.warns(UserWarning, match="Glyph"):
        figure.savefig(tmp_path / "figure.png")


def test_bars_show_value_interval_and_chance():
    figure = ALL["bars"]()
    axes = figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == [0.6, 0.5, 0.4]
    assert {"0.60", "0.50", "0.40"} <= set(axes_texts(figure))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sorted(labels) == ["chance", "other", "tiny"]
    assert len({bar.get_hatch() for bar in axes.patches}) == 2


def test_series_differ_in_marker_as_well_as_colour():
    figure = figures.shift_plot({"a": shift_table(0.1), "b": shift_table(0.2), "c": shift_table(0.3)})
    lines = [line for line in figure.axes[0].lines if line.get_marker() not in ("None", "", "|")]
    assert len({line.get_marker() for line in lines}) == 3
    assert len({line.get_color() for line in lines}) == 3
    with pytest.raises(ValueError, match="at most 8"):
        style.colors(9)


def test_training_curve_is_smoothed_without_bending_its_start():
    flat = curves.training_curves((range(100), [2.0] * 100), {})
    np.testing.assert_allclose(flat.axes[0].lines[1].get_ydata(), 2.0)


def test_grid_hides_unused_cells_and_refuses_a_wrong_count():
    figure = pictures.image_grid(IMAGES[:5], columns=3)
    assert [axes.axison for axes in figure.axes] == [True] * 5 + [False]
    with pytest.raises(ValueError, match="captions"):
        pictures.image_grid(IMAGES, ["one"])
    with pytest.raises(ValueError, match="rows"):
        pictures.retrieval_examples(["a"], IMAGES, [[0, 1]], [[True]])


def test_wrapping_counts_japanese_characters_double():
    assert pictures.wrap_text("a red dog stands", 9) == "a red dog\nstands"
    assert pictures.wrap_text("赤い犬が立っている。", 8) == "赤い犬が\n立ってい\nる。"
    assert pictures.wrap_text("赤い犬が。", 8) == "赤い犬が。"
    assert pictures.wrap_text("one two three", 5, lines=2) == "one\ntwo…"


def test_style_keeps_the_japanese_family_after_seaborn():
    import seaborn as sns

    sns.set_theme()
    assert style.JAPANESE not in mpl.rcParams["font.family"]
    style.use_style()
    assert mpl.rcParams["font.family"] == style.FAMILIES


def test_alt_texts_hold_the_numbers():
    text = alt.describe_values("正解率", {"tiny": interval(0.6), "other": 0.4}, chance=0.1)
    assert text == "正解率. tiny: 0.60 (0.55 to 0.65); other: 0.40. Chance: 0.10."
    series = alt.describe_series("Curve", {"probe": ([1, 2], [0.2, 0.1])})
    assert "highest 0.20 at 1" in series

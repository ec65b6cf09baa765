"""Figures that show images: grids with captions, retrieval examples."""

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from percept.viz.style import GRAY, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RIGHT, WRONG = (0.0, 0.45, 0.70), (0.84, 0.37, 0.0)  # blue and vermilion of Okabe and Ito


def wrap_text(text: str, width: int, lines: int = 0) -> str:
    """Break text into lines of `width` columns; a Japanese character takes two and needs no space.

    Args:
        lines: keep at most this many lines and end the last with an ellipsis; 0 keeps all.
    """
    rows: list[str] = []
    for part in text.split("\n"):
        if part.isascii():
            rows += wrap(part, width) or [""]
            continue
        row, used = "", 0
        for character in part:
            size = 1 if ord(character) < 0x2E80 else 2
            # Japanese typesetting keeps closing marks at the end of a line, never at the start of the next.
            if used + size > width and character not in "、。，．」』）・ー":
                rows.append(row)
                row, used = "", 0
            row, used = row + character, used + size
        rows.append(row)
    if lines and len(rows) > lines:
        rows = [*rows[: lines - 1], rows[lines - 1].rstrip(" 、。.,") + "…"]
    return "\n".join(rows)


def _show(axes: "Axes", image: Any, frame: Any = None) -> None:
    array = np.asarray(image)
    axes.imshow(array, cmap="gray" if array.ndim == 2 else None, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=frame is not None, color=frame or GRAY, linewidth=2.5)


def image_grid(
    images: Sequence[Any],
    captions: Sequence[str] | None = None,
    *,
    columns: int = 5,
    title: str = "",
    cell: float = 1.45,
) -> "Figure":
    """Contact sheet: images in rows with wrapped captions (English, Japanese or both on lines) below each.

    Args:
        images: N arrays [H, W, 3] uint8, [H, W], or PIL images.
        captions: N strings.  cell: width of one image in inches.
    """
    count = len(images)
    if not count or (captions is not None and len(captions) != count):
        raise ValueError(f"need at least one image and as many captions: got {count} images")
    columns = min(columns, count)
    texts = [wrap_text(text, int(cell * 13.5), 6) for text in captions] if captions is not None else [""] * count
    deepest = max(text.count("\n") + 1 for text in texts) if captions is not None else 0
    rows = -(-count // columns)
    figure = new_figure(columns * (cell + 0.12), rows * (cell + 0.12 + 0.15 * deepest) + (0.4 if title else 0))
    for index, axes in enumerate(figure.subplots(rows, columns, squeeze=False).ravel()):
        if index >= count:
            axes.axis("off")
            continue
        _show(axes, images[index])
        axes.set_xlabel(texts[index], fontsize=8, labelpad=3)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize="large")
    return figure


def retrieval_examples(
    queries: Sequence[str], images: Sequence[Any], ranking: Any, relevant: Any, *, title: str = ""
) -> "Figure":
    """One row per text query: the sentence, then its best images, each marked right or wrong.

    The mark is a word, a sign, a frame style and a colour.

    Args:
        queries: Q sentences.  images: the whole gallery.
        ranking: int [Q, K] gallery indices, best first.  relevant: bool [Q, K], whether each shown image is right.
    """
    order, truth = np.asarray(ranking), np.asarray(relevant, dtype=bool)
    if order.ndim != 2 or order.shape != truth.shape or len(queries) != order.shape[0]:
        raise ValueError(f"need {len(queries)} rows in ranking {order.shape} and relevant {truth.shape}")
    rows, columns = order.shape
    cell = 1.15  # inches
    figure = new_figure(2.1 + columns * (cell + 0.1), rows * (cell + 0.3) + (0.4 if title else 0))
    grid = figure.subplots(rows, columns + 1, squeeze=False, width_ratios=[2.0 / cell, *[1.0] * columns])
    for row, query in enumerate(queries):
        grid[row, 0].axis("off")
        grid[row, 0].text(0, 0.5, wrap_text(query, 25, 6), va="center", fontsize=9.5)
        for column in range(columns):
            good = truth[row, column]
            axes = grid[row, column + 1]
            _show(axes, images[order[row, column]], RIGHT if good else WRONG)
            for spine in axes.spines.values():
                spine.set_linestyle("-" if good else (0, (2, 1.5)))
            mark = f"{column + 1}. {'○ right' if good else '× wrong'}"
            axes.set_xlabel(mark, fontsize=8.5, color=RIGHT if good else WRONG, labelpad=3)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize="large")
    return figure

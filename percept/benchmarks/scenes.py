"""How fast scenes are made, in scenes per second."""

import os
import time
from typing import Any

from percept.data.scenes import SPLITS, render, scene


def run(count: int = 2000, repeats: int = 3) -> list[dict[str, Any]]:
    """Time layout, rendering at 64 px in one process and in two, each on scenes that were not made before.

    Sprites are cached after their first use, as in training; the first, cold pass is reported apart. Starting the two
    processes (which import numpy and render their own sprites) is counted.

    Args:
        count: scenes per measurement.
        repeats: measurements; the median is reported.

    Returns:
        Rows with name, value, unit and note.
    """
    blocks = iter(SPLITS["tune"][start : start + count] for start in range(0, 200_000, count))
    cold = _rate(lambda block: render(block), next(blocks))
    warm = sorted(_rate(lambda block: render(block), next(blocks)) for _ in range(repeats))[repeats // 2]
    layout = sorted(_rate(lambda block: [scene(i) for i in block], next(blocks)) for _ in range(repeats))[repeats // 2]
    shared = _rate(lambda block: render(block, workers=2), next(blocks), next(blocks), next(blocks), next(blocks))
    note = f"64 px, {os.cpu_count()} cores seen"
    return [
        {"name": "render, one process, cold", "value": cold, "unit": "scenes/s", "note": note},
        {"name": "render, one process", "value": warm, "unit": "scenes/s", "note": f"{note}, median of {repeats}"},
        {"name": "render, two processes", "value": shared, "unit": "scenes/s", "note": f"{note}, start-up counted"},
        {"name": "layout only", "value": layout, "unit": "scenes/s", "note": f"median of {repeats}"},
    ]


def _rate(make: Any, *blocks: range) -> float:
    indices = [index for block in blocks for index in block]
    start = time.perf_counter()
    make(indices)
    return len(indices) / (time.perf_counter() - start)

import sys
from multiprocessing import get_context

import pytest

from percept.benchmarks.align import run


def test_three_loops_are_timed():
    rows = {row["name"]: row["value"] for row in run(triplets=4, batch_size=2, rounds=1, memory=False)}
    speed = {name: rows[f"{name}_triplets_per_second"] for name in ("cached", "uncached", "plain")}
    for name in ("cached", "uncached"):
        assert rows[f"{name}_to_plain_ratio"] == speed[name] / speed["plain"]
        assert 0 < rows[f"{name}_to_plain_ratio_amortised"] < rows[f"{name}_to_plain_ratio"]
    seconds = 1 / speed["cached"] + rows["once_seconds"] / (4 * 8)
    assert rows["cached_to_plain_ratio_amortised"] == pytest.approx(1 / seconds / speed["plain"])


@pytest.mark.skipif(sys.platform != "linux", reason="the high-water mark is read as on Linux")
def test_peaks_are_those_of_the_loops():
    from percept.benchmarks.align import _peak

    settings = {"last_blocks": 2, "kind": "embedding", "precision": "fp32"}
    # In processes of their own: this one may hold freed memory that a loop would use without growing.
    with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        small, large = (
            pool.apply(_peak, ("plain", "percept-tiny", 16, settings | {"batch_size": size}, "cpu")) for size in (2, 16)
        )
    assert large > small + 100 * 2**20

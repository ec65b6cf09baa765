import pytest

from percept.benchmarks.probes import run


def test_the_evaluator_and_one_pair_at_a_time_are_timed_and_give_the_same_scores():
    rows = {row["name"]: row["value"] for row in run(items=64, shared=8, plain_pairs=10, rounds=1)}
    for name in ("shared_pictures", "own_pictures"):
        speed = rows[f"{name}_pairs_per_second"]
        assert rows[f"{name}_to_plain_ratio"] == pytest.approx(speed / rows[f"{name}_plain_pairs_per_second"])
    assert rows["largest_difference"] < 1e-5

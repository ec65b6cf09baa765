import pytest

from percept.benchmarks.score import run


@pytest.mark.parametrize("method", ["head", "lora"])
def test_scoring_and_the_bare_pass_are_timed(method):
    rows = {row["name"]: row["value"] for row in run(images=48, size=96, method=method, rounds=1)}
    for name in ("array", "folder"):
        speed = rows[f"{name}_pictures_per_second"]
        assert rows[f"{name}_to_bare_ratio"] == pytest.approx(speed / rows["bare_pictures_per_second"])
    assert rows["largest_difference_between_batch_sizes"] < 1e-5

import numpy as np
import pytest
import torch

from percept.evaluation.pointing import pointing


def slow_hit(grid, box):
    """Go through all cells; the highest ones share one point."""
    rows, columns = grid.shape
    cx, cy, width, height = box
    best = max(grid[i, j] for i in range(rows) for j in range(columns))
    peaks = [(i, j) for i in range(rows) for j in range(columns) if grid[i, j] == best]
    inside = 0
    for i, j in peaks:
        x, y = (j + 0.5) / columns, (i + 0.5) / rows
        inside += cx - width / 2 <= x <= cx + width / 2 and cy - height / 2 <= y <= cy + height / 2
    return inside / len(peaks)


def sample(count=200, rows=5, columns=8, seed=0):
    rng = np.random.default_rng(seed)
    size = rng.uniform(0.1, 0.9, (count, 2))
    centre = size / 2 + rng.random((count, 2)) * (1 - size)
    return rng.integers(6, size=(count, rows, columns)), np.concatenate([centre, size], 1)


def test_hits_equal_the_slow_loop_with_ties():
    maps, boxes = sample()
    found = pointing(maps, boxes)
    expected = [slow_hit(grid, box) for grid, box in zip(maps, boxes, strict=True)]
    assert any(0 < hit < 1 for hit in expected)
    assert found.hits.tolist() == pytest.approx(expected, abs=1e-12)
    assert found.accuracy.value == pytest.approx(np.mean(expected))
    assert found.accuracy.low < found.accuracy.value < found.accuracy.high


def test_baselines_and_tensors():
    maps, boxes = sample(seed=1)
    found = pointing(torch.tensor(maps), torch.tensor(boxes))
    assert found.random.value == pytest.approx((boxes[:, 2] * boxes[:, 3]).mean())
    inside = (np.abs(boxes[:, :2] - 0.5) <= boxes[:, 2:] / 2).all(1)
    assert found.centre.value == inside.mean()
    assert 0 < found.centre.value < 1


def test_an_oracle_hits_a_shuffled_one_does_not_and_a_flat_map_is_a_blind_finger():
    _, boxes = sample(400, seed=2)
    y, x = (np.arange(16) + 0.5)[:, None] / 16, (np.arange(16) + 0.5)[None] / 16
    oracle = np.stack([-((x - cx) ** 2) - (y - cy) ** 2 for cx, cy, _, _ in boxes])
    assert pointing(oracle, boxes).accuracy.value == 1
    shuffled = oracle[np.random.default_rng(0).permutation(400)]
    assert pointing(shuffled, boxes).accuracy.value < 0.6
    flat = pointing(np.zeros((400, 16, 16)), boxes)
    assert flat.accuracy.value == pytest.approx(flat.random.value, abs=0.01)


def test_groups_are_resampled_whole():
    maps, boxes = sample(100)
    found = pointing(np.repeat(maps, 5, 0), np.repeat(boxes, 5, 0), groups=np.repeat(np.arange(100), 5))
    assert found.accuracy.n == 100
    narrow = pointing(np.repeat(maps, 5, 0), np.repeat(boxes, 5, 0)).accuracy
    assert narrow.high - narrow.low < found.accuracy.high - found.accuracy.low


@pytest.mark.parametrize(
    ("maps", "boxes", "message"),
    [
        (np.zeros((2, 4)), np.full((2, 4), 0.5), r"need maps \[N, rows, columns\]"),
        (np.zeros((2, 4, 4)), np.full((3, 4), 0.5), r"need maps \[N, rows, columns\]"),
        (np.zeros((0, 4, 4)), np.zeros((0, 4)), r"need maps \[N, rows, columns\]"),
        (np.full((2, 4, 4), np.nan), np.full((2, 4), 0.5), r"maps\[0\] has a number that is not finite"),
        (np.zeros((1, 4, 4)), [[0.5, 0.5, np.inf, 1]], r"boxes\[0\] has a number that is not finite"),
        (np.zeros((2, 4, 4)), [[0.5, 0.5, 1, 1], [0.5, 0.5, 0, 1]], r"boxes\[1\] = .* has no area"),
        (np.zeros((1, 4, 4)), [[32, 20, 10, 10]], "not px"),
    ],
)
def test_bad_input(maps, boxes, message):
    with pytest.raises(ValueError, match=message):
        pointing(maps, boxes)

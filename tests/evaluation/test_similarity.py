import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from percept.evaluation import similarity


def noisy(count=200, seed=0, levels=7):
    """Distances on a coarse grid, so that ties are frequent, and soft votes."""
    rng = np.random.default_rng(seed)
    return rng.integers(levels, size=count) / 4, rng.integers(levels, size=count) / 4, rng.integers(6, size=count) / 5


def test_two_alternative_items_equal_a_slow_loop_with_ties_and_soft_votes():
    left, right, votes = noisy()
    assert (left == right).sum() > 10
    expected = []
    for a, b, p in zip(left, right, votes, strict=True):
        expected.append(1 - p if a < b else p if b < a else 0.5)
    assert similarity.two_alternative_items(left, right, votes).tolist() == expected
    assert similarity.two_alternative_score(left, right, votes) == pytest.approx(np.mean(expected))
    tensors = [torch.tensor(each) for each in (left, right, votes)]
    assert similarity.two_alternative_score(*tensors) == pytest.approx(np.mean(expected))


def test_exchanging_sides_changes_nothing_and_an_oracle_reaches_the_majority_share():
    left, right, votes = noisy(seed=1)
    score = similarity.two_alternative_score(left, right, votes)
    assert similarity.two_alternative_score(right, left, 1 - votes) == pytest.approx(score)
    assert similarity.two_alternative_score(votes, 1 - votes, votes) == pytest.approx(
        np.where(votes == 0.5, 0.5, np.maximum(votes, 1 - votes)).mean()
    )
    assert similarity.two_alternative_score(np.zeros(200), np.zeros(200), votes) == 0.5


def test_strict_accuracy_is_the_references_own_figure():
    left, right, votes = noisy(seed=2)
    expected = np.mean([(b < a) == (p >= 0.5) for a, b, p in zip(left, right, votes, strict=True)])
    assert similarity.strict_accuracy(left, right, votes) == expected
    assert similarity.strict_accuracy([1.0, 1.0], [1.0, 1.0], [0.0, 1.0]) == 0.5  # ties count as left
    assert similarity.strict_accuracy([2.0, 2.0, 1.0], [1.0, 1.0, 2.0], [0.5] * 3) == 2 / 3  # even votes count as right
    keep = (left != right) & np.isin(votes, (0, 1))
    parts = left[keep], right[keep], votes[keep]
    assert similarity.strict_accuracy(*parts) == similarity.two_alternative_score(*parts)


def slow_map(distances, shares):
    """Transcribed step by step from the definition: sort, count, raise precisions, add up the steps of recall."""
    order = sorted(range(len(distances)), key=lambda i: distances[i])  # stable
    true, false, total = 0.0, 0.0, sum(shares)
    recalls, precisions = [0.0], [0.0]
    for i in order:
        true += shares[i]
        false += 1 - shares[i]
        recalls.append(true / total)
        precisions.append(true / (true + false))
    recalls.append(1.0)
    precisions.append(0.0)
    for i in range(len(precisions) - 1, 0, -1):
        precisions[i - 1] = max(precisions[i - 1], precisions[i])
    return sum((recalls[i] - recalls[i - 1]) * precisions[i] for i in range(1, len(recalls)))


@pytest.mark.parametrize("seed", range(20))
def test_jnd_map_equals_the_slow_transcription(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 60))
    distances = rng.integers(8, size=count) / 3
    shares = rng.integers(4, size=count) / 3
    shares[0] = 1
    assert similarity.jnd_map(distances, shares) == pytest.approx(slow_map(distances, shares), abs=1e-12)


def test_jnd_map_bounds_and_order():
    same = np.array([1, 1, 1, 0, 0])
    assert similarity.jnd_map([1, 2, 3, 4, 5], same) == 1.0
    assert similarity.jnd_map([5, 4, 3, 2, 1], same) == pytest.approx(0.6)
    rng = np.random.default_rng(0)
    distances, labels = rng.random(300), rng.integers(2, size=300)
    # All-points interpolation can only raise the plain average precision.
    plain = average_precision_score(labels, -distances)
    assert plain <= similarity.jnd_map(distances, labels) < plain + 0.1


def test_odd_one_out_under_both_tie_rules():
    rng = np.random.default_rng(0)
    d12, d13, d23 = (rng.integers(3, size=300) for _ in range(3))
    loose = [a <= b and a <= c for a, b, c in zip(d12, d13, d23, strict=True)]
    strict = [a < b and a < c for a, b, c in zip(d12, d13, d23, strict=True)]
    assert np.mean(loose) > np.mean(strict) + 0.2
    assert similarity.odd_one_out_accuracy(d12, d13, d23) == pytest.approx(np.mean(loose))
    assert similarity.odd_one_out_accuracy(d12, d13, d23, ties="correct") == pytest.approx(np.mean(loose))
    assert similarity.odd_one_out_accuracy(d12, d13, d23, ties="wrong") == pytest.approx(np.mean(strict))
    assert similarity.odd_one_out_items(d12, d13, d23, "wrong").tolist() == [float(x) for x in strict]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.two_alternative_score([1.0], [np.nan], [0]), r"d_right\[0\] is NaN"),
        (lambda s: s.two_alternative_score([1.0], [1.0, 2.0], [0]), r"d_right must be one number per item \(1\)"),
        (lambda s: s.two_alternative_score([1.0], [1.0], [np.nan]), r"vote_right\[0\] is NaN"),
        (lambda s: s.two_alternative_score([1.0], [1.0], [3]), r"vote_right\[0\] is 3; it must be a share"),
        (lambda s: s.two_alternative_score([], [], []), "non-empty"),
        (lambda s: s.jnd_map([1.0, 2.0], [0, 0]), "recall is undefined"),
        (lambda s: s.jnd_map([1.0, np.nan], [0, 1]), r"distance\[1\] is NaN"),
        (lambda s: s.odd_one_out_accuracy([1], [1], [1], ties="lenient"), "ties must be one of correct, wrong"),
        (lambda s: s.triplet_distances([[0.0, 0.0], [1, 0]], [[0, 1, 1]]), "zero vector in row 0"),
        (lambda s: s.triplet_distances(np.eye(3), [[0, 1, 3]]), r"items must lie in 0..2"),
        (lambda s: s.triplet_distances(np.eye(3), [[0.0, 1, 2]]), "whole numbers"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(similarity)

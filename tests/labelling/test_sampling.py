import numpy as np
import pytest

from percept.labelling.sampling import SamplingError, allocate, ask_next, disagreement, representation


def test_allocate_is_the_largest_remainder_rule():
    rng = np.random.default_rng(0)
    for _ in range(50):
        size = rng.integers(1, 200, size=rng.integers(2, 8))
        budget = int(rng.integers(0, 60))
        quota = size / size.sum() * budget
        expected = [int(q) for q in quota]
        order = sorted(range(len(size)), key=lambda i: (-round(quota[i] - int(quota[i]), 9), i))
        for i in order[: budget - sum(expected)]:
            expected[i] += 1
        assert allocate(size, budget).tolist() == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (([96, 2, 2], 10, 2), [6, 2, 2]),
        (([100, 1, 1], 12, 4, [8, 9, 9]), [4, 4, 4]),
        (([50, 50], 30, 0, [5, 100]), [5, 25]),
        (([10, 0, 10], 4, 1), [2, 0, 2]),
        (([3, 3], 0), [0, 0]),
    ],
)
def test_allocate_keeps_minimum_and_limits(arguments, expected):
    assert allocate(*arguments).tolist() == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([5, 5], 20, 0, [5, 5]), r"budget 20 must lie in 0\.\.10"),
        (([5, 5], 3, 2), "below the minimum of 2 in each of 2 strata"),
        (([np.nan, 5], 3), "budget 3 must lie"),
        (([5, 5], -1), "budget -1 must lie"),
    ],
)
def test_allocate_refuses(arguments, message):
    with pytest.raises(SamplingError, match=message):
        allocate(*arguments)


def test_disagreement_is_highest_where_members_split_and_lowest_where_many_agree():
    choices = np.array([[1, 1, 1, np.nan], [1, 0, np.nan, np.nan], [1, 1, np.nan, np.nan], [1, 0, np.nan, np.nan]])
    assert np.argsort(disagreement(choices)).tolist()[:2] == [0, 2]
    assert disagreement(choices)[1] == disagreement(choices)[3] == 0.25
    with pytest.raises(SamplingError, match=r"in 0\.\.1 or NaN"):
        disagreement([[2.0]])


def test_uncertainty_takes_the_closest_calls_and_its_share_of_exploration():
    rng = np.random.default_rng(0)
    left, right = rng.random(500), rng.random(500)
    closest = np.argsort(np.abs(left - right))
    only = ask_next("uncertainty", 40, 500, d_left=left, d_right=right, explore=0.0)
    assert set(only) == set(closest[:40])
    some = ask_next("uncertainty", 40, 500, d_left=left, d_right=right, explore=0.25)
    assert set(closest[:30]) <= set(some)
    assert len(set(some) - set(closest[:40])) >= 7
    split = np.zeros((4, 500))
    split[:2, 17] = split[:2, 99] = 1
    assert set(ask_next("disagreement", 2, 500, choices=split, explore=0.0)) == {17, 99}


@pytest.mark.parametrize("strategy", ["random", "uncertainty", "disagreement"])
def test_rounds_never_repeat_are_reproducible_and_stay_representative(strategy):
    rng = np.random.default_rng(1)
    strata = np.repeat(["a", "b", "c"], [70, 25, 5])
    signals = {"d_left": rng.random(100), "d_right": rng.random(100), "choices": rng.integers(0, 2, (5, 100))}
    asked = np.empty(0, np.int64)
    for turn in range(5):
        options = {"asked": asked, "strata": strata, "minimum": 1, "seed": turn, **signals}
        new = ask_next(strategy, 20, 100, **options)
        assert np.array_equal(new, ask_next(strategy, 20, 100, **options))
        asked = np.concatenate([asked, new])
        assert len(set(asked)) == len(asked) == 20 * (turn + 1)
        counts = [(strata[asked] == s).sum() for s in "abc"]
        assert np.abs(np.array(counts) - np.array([14, 5, 1]) * (turn + 1)).max() <= 1
    assert sorted(asked) == list(range(100))
    assert not np.array_equal(ask_next("random", 20, 100, seed=0), ask_next("random", 20, 100, seed=1))


def test_later_rounds_make_up_for_a_lopsided_start():
    strata = np.repeat([0, 1], [50, 50])
    new = ask_next("random", 20, 100, asked=np.arange(15), strata=strata)
    assert (strata[new] == 1).sum() == 17  # 35 in all: 18 and 17, of which stratum 0 has 15
    new = ask_next("random", 4, 100, asked=np.arange(30), strata=strata)
    assert (strata[new] == 1).all()


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("clever", 1, 10), {}, "strategy must be one of random, uncertainty, disagreement, got 'clever'"),
        (("random", 11, 10), {}, "budget 11 must lie in 0..10: 10 items, 0 already asked"),
        (("random", 9, 10), {"asked": [1, 2]}, "budget 9 must lie in 0..8: 10 items, 2 already asked"),
        (("random", 1, 10), {"asked": [10]}, "asked holds the position 10, pool has 10 items"),
        (("random", 1, 3), {"strata": ["a", None, "b"]}, "strata has no category for item 1"),
        (("random", 1, 3), {"strata": ["a"]}, "category of each of the 3 items, got 1"),
        (("random", 1, 3), {"explore": 2}, "explore must lie in 0..1"),
        (("uncertainty", 1, 3), {}, "needs d_left and d_right"),
        (("uncertainty", 1, 2), {"d_left": [np.nan, 1], "d_right": [1, 1]}, "one finite value per item"),
        (("disagreement", 1, 2), {}, "needs choices"),
        (("disagreement", 1, 2), {"choices": [[1, 1, 1]]}, r"one finite value per item \(2\)"),
    ],
)
def test_bad_requests(arguments, options, message):
    with pytest.raises(SamplingError, match=message):
        ask_next(*arguments, **options)


def test_representation_flags_only_what_chance_would_hardly_bring():
    population = np.repeat(["a", "b", "c"], [500, 300, 200])
    rng = np.random.default_rng(0)
    flags = [representation(population, rng.choice(population, 100))["flag"].ne("").any() for _ in range(200)]
    assert np.mean(flags) < 0.08
    found = representation(population, np.repeat(["a", "b"], [50, 50]))
    assert found["flag"].to_dict() == {"a": "", "b": "over", "c": "under"}
    assert found.loc["c", ["sample", "ratio", "n"]].tolist() == [0, 0, 0]
    assert found.loc["b", "ratio"] == pytest.approx(0.5 / 0.3)


def test_representation_refuses():
    with pytest.raises(SamplingError, match="category 'z', which the population lacks"):
        representation(["a"], ["a", "z"])
    with pytest.raises(SamplingError, match="non-empty lists"):
        representation(["a"], [])

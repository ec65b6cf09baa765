import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from percept.evaluation.statistics import seed_interval
from percept.labelling.aggregate import AnswersError
from percept.labelling.opinion import checked_ratings, mean_opinion, opinion_scores

COLUMNS = ["rater", "item", "score"]


def table(*rows):
    return pd.DataFrame(rows, columns=COLUMNS)


def simulate_ratings(seed, items=60, raters=10, votes=6, careless=1, bias=0.4):
    """Simulated raters of the model: random missing ratings, the first raters careless (noise of 2.5)."""
    rng = np.random.default_rng(seed)
    quality, shift = rng.normal(3, 1, items), rng.normal(0, bias, raters)
    shift -= shift.mean()
    noise = np.exp(rng.normal(np.log(0.5), 0.3, raters))
    noise[:careless] = 2.5
    rows = [
        (f"r{r:02}", i, quality[i] + shift[r] + noise[r] * rng.normal())
        for i in range(items)
        for r in rng.choice(raters, votes, replace=False)
    ]
    return table(*rows), quality, shift, noise


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def test_mean_opinion_equals_scipy_item_by_item():
    ratings, *_ = simulate_ratings(0, items=12)
    ratings.loc[::5, "score"] = np.nan
    found = mean_opinion(ratings, level=0.9)
    for item, row in found.iterrows():
        given = ratings.loc[ratings["item"].eq(item), "score"].dropna()
        reference = stats.ttest_1samp(given, 0).confidence_interval(0.9)
        assert row["mean"] == pytest.approx(given.mean())
        assert (row["low"], row["high"]) == (pytest.approx(reference.low), pytest.approx(reference.high))
        assert (row["spread"], row["votes"]) == (pytest.approx(given.std()), len(given))


def test_repeats_and_skips_do_not_count_and_the_group_is_optional():
    ratings = table(("a", 1, 4), ("b", 1, 2), ("a", 1, 1), ("a", 2, None)).assign(kind=["ask"] * 2 + ["repeat", "ask"])
    found = mean_opinion(ratings)
    assert found.index.tolist() == [1]
    assert found.loc[1, ["mean", "votes"]].tolist() == [3, 2]
    assert checked_ratings(ratings)["group"].tolist() == ["", ""]
    kept = checked_ratings(ratings.assign(group="x"))
    assert kept["group"].tolist() == ["x", "x"]
    assert kept["score"].dtype == np.float64
    assert "score" in ratings
    assert "answer" not in ratings  # the caller's table is left as it was


def restricted_likelihood(log_noise, ratings, prior, pooled):
    """Minus the restricted log-likelihood from dense matrices, with the prior's ratings of average noise."""
    item, items = pd.factorize(ratings["item"], sort=True)
    rater, raters = pd.factorize(ratings["rater"], sort=True)
    design = np.zeros((len(ratings), len(items) + len(raters)))
    design[np.arange(len(ratings)), item] = design[np.arange(len(ratings)), len(items) + rater] = 1
    design = design[:, :-1]  # the last bias is 0 here; restricted likelihood does not care which constraint
    noise = np.exp(log_noise)
    weight = 1 / noise[rater]
    normal = design.T @ (weight[:, None] * design)
    score = ratings["score"].to_numpy()
    rest = score - design @ np.linalg.solve(normal, design.T @ (weight * score))
    value = -np.log(weight).sum() + np.linalg.slogdet(normal)[1] + rest @ (weight * rest)
    return 0.5 * (value + prior * (log_noise + pooled / noise).sum())


@pytest.mark.parametrize("prior", [1e-9, 2.0])
def test_noise_is_the_maximum_of_the_restricted_likelihood(prior):
    ratings, *_ = simulate_ratings(1, items=60, raters=5, votes=4)
    found = opinion_scores(ratings, prior=prior, tolerance=1e-10)
    noise = found.raters["inconsistency"].to_numpy() ** 2
    # At the fixed point noise = (squares + prior * pooled) / (free + prior), which gives pooled back from the table.
    wide = ratings.pivot(index="item", columns="rater", values="score")
    rest = wide.sub(found.items["quality"], axis=0) - found.raters["bias"]
    pooled = float(rest.pow(2).sum().sum() / (len(ratings) - 60 - 5 + 1))
    best = optimize.minimize(
        restricted_likelihood, np.log(np.full(5, 0.5)), (ratings, prior, pooled), options={"gtol": 1e-7}
    )
    assert found.converged
    assert np.allclose(np.log(noise), best.x, atol=1e-3)


def test_quality_bias_and_errors_are_those_of_weighted_least_squares():
    ratings, *_ = simulate_ratings(2, items=15, raters=5, votes=3)
    found = opinion_scores(ratings)
    item, rater = pd.factorize(ratings["item"], sort=True)[0], pd.factorize(ratings["rater"], sort=True)[0]
    design = np.zeros((len(ratings), 20))
    design[np.arange(len(ratings)), item] = design[np.arange(len(ratings)), 15 + rater] = 1
    # The mean bias of 0 is put in by writing the last bias as minus the sum of the others.
    basis = np.eye(20)[:, :-1]
    basis[19, 15:] = -1
    reduced = design @ basis
    weight = 1 / found.raters["inconsistency"].to_numpy()[rater] ** 2
    covariance = np.linalg.inv(reduced.T @ (weight[:, None] * reduced))
    solved = basis @ covariance @ reduced.T @ (weight * ratings["score"].to_numpy())
    assert np.allclose(found.items["quality"], solved[:15])
    assert np.allclose(found.raters["bias"], solved[15:])
    assert found.raters["bias"].sum() == pytest.approx(0, abs=1e-9)
    assert np.allclose(found.items["error"], np.sqrt(np.diag(basis @ covariance @ basis.T)[:15]))


def test_the_model_recovers_the_raters_and_beats_the_plain_mean():
    gains, bias_errors, noise_ratios, calibrated = [], [], [], []
    for seed in range(30):
        ratings, quality, bias, noise = simulate_ratings(seed)
        found, plain = opinion_scores(ratings), mean_opinion(ratings)
        assert found.converged
        gains.append(rms(plain["mean"] - quality) - rms(found.items["quality"] - quality))
        bias_errors.append(rms(found.raters["bias"][1:] - bias[1:]))  # the bias of the careless one shifts all others
        noise_ratios.append(np.log(found.raters["inconsistency"].to_numpy() / noise).mean())
        weights = 1 / found.raters["inconsistency"] ** 2
        assert weights.iloc[0] == weights.min()
        assert weights.iloc[0] < 0.2 * weights.iloc[1:].mean()
        calibrated.append(np.mean(np.abs(found.items["quality"] - quality) < 1.96 * found.items["error"]))
    gain = seed_interval(gains)
    assert gain.low > 0.15  # the plain mean is off by 0.40, the model by 0.22
    assert np.mean(bias_errors) < 0.2  # true spread 0.4
    assert abs(np.mean(noise_ratios)) < 0.15
    assert 0.9 < np.mean(calibrated) < 1.0


def test_without_bias_and_careless_raters_the_model_is_no_worse():
    loss = []
    for seed in range(20):
        ratings, quality, _, _ = simulate_ratings(seed, careless=0, bias=0.0)
        plain, found = mean_opinion(ratings)["mean"], opinion_scores(ratings).items["quality"]
        loss.append(rms(found - quality) - rms(plain - quality))
    assert seed_interval(loss).high < 0.01


def test_rows_in_any_order_and_another_scale_give_the_same():
    ratings, *_ = simulate_ratings(4)
    found = opinion_scores(ratings, tolerance=1e-9)
    shuffled = opinion_scores(ratings.sample(frac=1, random_state=0), tolerance=1e-9)
    turned = opinion_scores(ratings.assign(score=50 - 10 * ratings["score"]), tolerance=1e-9)
    assert np.allclose(shuffled.items, found.items)
    assert np.allclose(turned.items["quality"], 50 - 10 * found.items["quality"])
    assert np.allclose(turned.raters["bias"], -10 * found.raters["bias"], atol=1e-6)
    assert np.allclose(turned.raters["inconsistency"], 10 * found.raters["inconsistency"])


def test_raters_who_need_care():
    ratings, quality, _, _ = simulate_ratings(5, careless=0)
    without = opinion_scores(ratings)
    same = table(*[("always 3", i, 3.0) for i in range(60)])
    found = opinion_scores(pd.concat([ratings, same]))
    assert found.raters["inconsistency"].idxmax() == "always 3"
    assert found.raters["inconsistency"].max() == pytest.approx(quality.std(), rel=0.2)
    once = opinion_scores(pd.concat([ratings, table(("once", 0, 9.0))]))
    # Bias is measured from the mean rater, so all qualities move by the same; nothing else may change.
    moved = once.items["quality"] - without.items["quality"]
    assert np.ptp(moved) < 0.02
    assert np.isfinite(once.raters).all(axis=None)
    assert once.raters.loc["once", "votes"] == 1


def test_perfect_agreement_and_constant_scores():
    agreed = table(*[(r, i, i + shift) for r, shift in (("a", 0.5), ("b", -0.5), ("c", 0)) for i in range(6)])
    found = opinion_scores(agreed)
    assert found.converged
    assert np.allclose(found.items["quality"], range(6))
    assert np.allclose(found.raters["bias"], [0.5, -0.5, 0])
    assert found.raters["inconsistency"].max() < 1e-3
    constant = opinion_scores(agreed.assign(score=3))
    assert np.allclose(constant.items["quality"], 3)
    assert constant.converged


def test_two_raters_get_the_same_noise_and_the_mean():
    ratings, *_ = simulate_ratings(6, raters=2, votes=2, careless=0)
    found = opinion_scores(ratings)
    assert found.raters["inconsistency"].iloc[0] == pytest.approx(found.raters["inconsistency"].iloc[1])
    assert np.allclose(found.items["quality"], mean_opinion(ratings)["mean"])


def test_a_stop_before_the_end_is_told():
    ratings, *_ = simulate_ratings(7)
    found = opinion_scores(ratings, iterations=2)
    assert (found.iterations, found.converged) == (2, False)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: opinion_scores(table(("a", 1, 2)).drop(columns="score")), "lack the column score; found"),
        (lambda: mean_opinion(table(("a", 1, 2)).drop(columns="rater")), r"lack the column\(s\) rater"),
        (lambda: mean_opinion(table(("a", 1, 2), ("b", 1, "good"))), "row 1: score 'good' is no finite number"),
        (lambda: mean_opinion(table(("a", 1, np.inf))), "row 0: score 'inf' is no finite number"),
        (lambda: mean_opinion(table(("a", 1, None))), "every answer is empty"),
        (lambda: mean_opinion(table(("a", 1, 2), ("a", 1, 3))), "rater 'a' answered item '1' twice"),
        (lambda: mean_opinion(table((None, 1, 2))), "row 0: rater is empty"),
        (
            lambda: mean_opinion(table(("a", 1, 2), ("a", 2, 2)).assign(group=["x", "y"])),
            "rater 'a' appears in 2 groups",
        ),
        (lambda: mean_opinion(table(("a", 1, 2)), level=95), "level must lie between 0 and 1"),
        (lambda: opinion_scores(table(("a", 1, 2), ("a", 2, 2))), "at least 2 raters"),
        (
            lambda: opinion_scores(table(*[(r, i, 1) for r in "ab" for i in (1, 2)], *[("z", i, 1) for i in (8, 9)])),
            "2 parts of the raters share no items .*'a' and 'z'",
        ),
        (
            lambda: opinion_scores(table(("a", 1, 2), ("a", 2, 3), ("b", 2, 3))),
            "3 ratings only just place 2 items and 2 raters",
        ),
        (lambda: opinion_scores(table(("a", 1, 2), ("b", 1, 3)), prior=0), "prior must be above 0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(AnswersError, match=message):
        call()

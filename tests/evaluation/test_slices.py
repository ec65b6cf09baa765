import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr, ttest_ind

from percept.data.scenes import SPLITS, scene
from percept.evaluation import slices as module
from percept.evaluation.slices import balanced_rows, balanced_weights, checked_slices, scene_slices, slice_table
from percept.evaluation.verdicts import holm

LIGHTS, KINDS = ("bright", "dark", "normal"), tuple("abcdef")


def drawn(count=300, seed=0):
    """Labels of two families, some slices small, and a noisy prediction that treats all of them alike."""
    rng = np.random.default_rng(seed)
    slices = {
        "light": rng.choice(LIGHTS, count, p=[0.4, 0.1, 0.5]),
        "kind": rng.choice(KINDS, count, p=[0.4, 0.2, 0.2, 0.1, 0.05, 0.05]),
    }
    target = rng.normal(size=count)
    return slices, target + 0.5 * rng.normal(size=count), target


def rows_of(table, verdicts=("higher", "lower")):
    return {f"{row.family} {row.slice}" for row in table.itertuples() if row.verdict in verdicts}


@pytest.mark.parametrize("metric", ["bias", "rmse", "srcc"])
def test_values_are_those_of_a_plain_loop(metric):
    slices, prediction, target = drawn()
    measure = {
        "bias": lambda p, t: np.mean(p - t),
        "rmse": lambda p, t: np.sqrt(np.mean((p - t) ** 2)),
        "srcc": lambda p, t: spearmanr(p, t).statistic,
    }[metric]
    table = slice_table(prediction, target, slices, metric)
    assert [(row.family, row.slice) for row in table.itertuples()] == [
        *[("light", name) for name in LIGHTS],
        *[("kind", name) for name in KINDS],
    ]
    for row in table.itertuples():
        inside = slices[row.family] == row.slice
        one, rest = (measure(prediction[part], target[part]) for part in (inside, ~inside))
        assert row.n == inside.sum()
        assert (row.value, row.rest, row.difference) == pytest.approx((one, rest, one - rest))
        assert row.low <= row.value <= row.high
        assert row.difference_low <= row.difference <= row.difference_high


def test_interval_of_the_difference_is_that_of_two_samples_and_p_is_welchs():
    """With many rows bootstrap, the formula of Zou and Donner and permutations all agree with the t test."""
    rng = np.random.default_rng(1)
    light = np.repeat(["dark", "bright"], [150, 450])
    error = rng.normal(0, np.where(light == "dark", 2, 1)) + 0.35 * (light == "dark")
    row = slice_table(error, np.zeros(600), {"light": light}).iloc[1]
    classic = ttest_ind(error[light == "dark"], error[light == "bright"], equal_var=False)
    low, high = classic.confidence_interval()
    width = high - low
    assert (row["difference_low"], row["difference_high"]) == pytest.approx((low, high), abs=0.06 * width)
    assert row["p"] == pytest.approx(holm([classic.pvalue] * 2)[0], abs=0.03)


@pytest.mark.parametrize(("metric", "change"), [("bias", "shift"), ("rmse", "noise"), ("srcc", "noise")])
def test_a_planted_fault_is_found_in_its_slice_and_nowhere_else(metric, change):
    slices, prediction, target = drawn(400, 2)
    dark, rng = slices["light"] == "dark", np.random.default_rng(0)
    prediction[dark] += 0.6 if change == "shift" else 2 * rng.normal(size=dark.sum())
    table = slice_table(prediction, target, slices, metric).set_index(["family", "slice"])
    assert table.loc[("light", "dark"), "verdict"] == ("lower" if metric == "srcc" else "higher")
    assert not rows_of(table.reset_index()[lambda t: t["family"] == "kind"])


@pytest.fixture
def few_draws(monkeypatch):
    """Verdicts need the p values only, not sharp intervals."""
    monkeypatch.setattr(module, "_DRAWS", 100)


@pytest.mark.parametrize("metric", ["bias", "rmse", "srcc"])
def test_without_a_fault_hardly_ever_is_one_reported(metric, few_draws):
    """Nine slices, some of 10 to 15 rows; the chance of any verdict is to be 5 % per table."""
    found = 0
    for seed in range(30):
        slices, prediction, target = drawn(200, 100 + seed)
        found += bool(rows_of(slice_table(prediction, target, slices, metric, seed)))
    assert found <= 5, "1 or 2 of 30 are expected"


def test_a_slice_that_only_spreads_more_has_no_bias(few_draws):
    false = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        light = np.repeat(["dark", "bright"], [15, 300])
        error = rng.normal(0, np.where(light == "dark", 3, 1))
        false += bool(rows_of(slice_table(error, np.zeros(315), {"light": light}, seed=seed)))
    assert false <= 6, "2 of 40 are expected; permutations of the plain difference report a third of them"


@pytest.mark.filterwarnings("error")
def test_small_slices_and_constant_ones_are_no_verdict():
    kind = np.repeat(["few", "flat", "many"], [9, 20, 60])
    rng = np.random.default_rng(0)
    target = rng.normal(size=89)
    prediction = np.where(kind == "flat", 1.0, target + rng.normal(size=89))
    table = slice_table(prediction, target, {"kind": kind}, "srcc").set_index("slice")
    assert table["verdict"].to_dict() == {"few": "too few", "flat": "undefined", "many": "higher"}
    assert table.loc["few", ["value", "low", "difference", "p"]].isna().all()
    assert np.isnan(table.loc["flat", "value"])
    nearly = np.r_[np.zeros(9), 1.0, np.zeros(20)]
    row = slice_table(nearly, np.arange(30.0), {"kind": kind[[*range(10, 20), *range(60, 80)]]}, "srcc").iloc[0]
    assert np.isfinite(row["value"])
    assert np.isnan(row["low"]), "some resamples do not vary"
    assert slice_table(prediction, target, {"all": ["one"] * 89})["verdict"].tolist() == ["too few"]


@pytest.mark.filterwarnings("error")
def test_a_score_without_error_has_no_fault():
    slices, _, target = drawn(60)
    target = np.round(8 * target) / 8  # so that adding 1 rounds nothing
    for metric in ("bias", "rmse"):
        table = slice_table(target, target, slices, metric)
        assert set(table["verdict"]) == {"not shown", "too few"}
        assert not table[["value", "low", "high", "difference"]].fillna(0).to_numpy().any()
    assert not rows_of(slice_table(target + 1, target, slices, "rmse"))


def test_tables_are_seeded():
    slices, prediction, target = drawn(60)
    pd.testing.assert_frame_equal(*(slice_table(prediction, target, slices, seed=3) for _ in range(2)))
    assert not slice_table(prediction, target, slices, seed=4).equals(slice_table(prediction, target, slices, seed=3))


def test_scenes_are_labelled_by_what_they_show():
    scenes = [scene(index) for index in SPLITS["validate"][:60]]
    slices = scene_slices(scenes)
    assert list(slices) == ["category", "colour", "background", "lighting", "warmth"]
    for row, made in enumerate(scenes):
        named = sorted((made.things[position] for position in made.named), key=lambda thing: -thing.length)
        if named:
            assert slices["category"][row] == named[0].kind.category
            assert slices["colour"][row] == (named[0].colour or "natural")
        else:
            assert slices["category"][row] == slices["colour"][row] == "none"
        assert slices["background"][row] == made.background.key
    gains, warmth = np.array([made.gain for made in scenes]), np.array([made.warmth for made in scenes])
    assert gains[slices["lighting"] == "dark"].max() < gains[slices["lighting"] == "normal"].min()
    assert gains[slices["lighting"] == "normal"].max() < gains[slices["lighting"] == "bright"].min()
    assert set(warmth[slices["warmth"] == "neutral"]) == {0}
    assert min(np.unique(slices["lighting"], return_counts=True)[1]) >= 10, "thirds of the light"


def totals(slices, weights):
    return {family: pd.Series(weights).groupby(labels).sum() / len(weights) for family, labels in slices.items()}


def test_weights_give_every_slice_its_share():
    slices = drawn(500)[0]
    weights = balanced_weights(slices)
    assert weights.mean() == pytest.approx(1)
    for family, names in (("light", LIGHTS), ("kind", KINDS)):
        assert totals(slices, weights)[family].to_numpy() == pytest.approx(1 / len(names), rel=0.02)
    wanted = {"light": {"bright": 0.2, "dark": 0.3, "normal": 0.5}}
    found = totals(slices, balanced_weights(slices, wanted, bound=20))
    assert found["light"].to_dict() == pytest.approx(wanted["light"], rel=0.02)
    assert found["kind"].to_numpy() == pytest.approx(1 / 6, rel=0.02)


def test_weights_are_bounded_and_equal_without_need():
    light = np.repeat(["dark", "bright"], [2, 998])
    weights = balanced_weights({"light": light}, bound=4)
    assert weights.max() / weights.min() <= 4**2
    assert 0.005 < weights[:2].sum() / 1000 < 0.05, "two rows do not stand for half of the world"
    assert balanced_weights({"light": light}, bound=1).tolist() == [1.0] * 1000
    assert balanced_weights({"light": ["dark", "bright"] * 5}).tolist() == [1.0] * 10


def test_rows_are_drawn_as_often_as_they_weigh():
    slices = drawn(200)[0]
    weights = balanced_weights(slices)
    for count in (200, 50, 1000):
        times = np.bincount(balanced_rows(slices, count, seed=1), minlength=200)
        assert times.sum() == count
        wanted = weights * count / 200
        assert (np.floor(wanted - 1e-9) <= times).all()
        assert (times <= np.ceil(wanted + 1e-9)).all()
    mean = np.mean([np.bincount(balanced_rows(slices, 50, seed), minlength=200) for seed in range(400)], 0)
    assert mean == pytest.approx(weights / 4, abs=0.12)
    assert len(balanced_rows(slices)) == 200
    assert balanced_rows(slices, seed=1).tolist() != sorted(balanced_rows(slices, seed=1))


def test_balanced_rows_take_away_a_bias_that_comes_from_a_rare_slice():
    """Dark scenes follow another rule; a line fitted to few of them is wrong for them."""

    def world(count, share, seed):
        rng = np.random.default_rng(seed)
        dark = rng.random(count) < share
        x = rng.normal(size=count)
        return np.where(dark, "dark", "bright"), x, x + np.where(dark, 1.0, 0.0) + 0.1 * rng.normal(size=count)

    light, x, y = world(400, 0.05, 0)
    held_light, held_x, held_y = world(400, 0.5, 1)
    errors = []
    for rows in (np.arange(400), balanced_rows({"light": light}, seed=0)):
        line = np.polyfit(x[rows], y[rows], 1)
        table = slice_table(np.polyval(line, held_x), held_y, {"light": held_light})
        errors.append(table.set_index("slice")["value"])
    assert errors[0]["dark"] < -0.85
    assert abs(errors[1]).max() < 0.75 < abs(errors[0]).max()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, p, t: slice_table(p, t, s, "mae"), "metric must be one of bias, rmse, srcc .*'mae'"),
        (lambda s, p, t: slice_table(p, t, s, alpha=0), "alpha in 0..1, got 'bias' and 0"),
        (lambda s, p, t: slice_table(p[:-1], t, s), "must score the same items: got 299 and 300"),
        (lambda s, p, t: slice_table(p * np.nan, t, s), r"prediction\[0\] is not a finite number"),
        (lambda s, p, t: slice_table(p, t, {}), "slices is empty"),
        (lambda s, p, t: slice_table(p, t, {"light": ["dark"]}), r"slices\['light'\] must hold .* \(300\), got"),
        (lambda s, p, t: checked_slices({"a": ["x", None]}), r"slices\['a'\] has no label in row 1; name it"),
        (lambda s, p, t: checked_slices({"a": [1.0, np.nan]}), r"slices\['a'\] has no label in row 1"),
        (lambda s, p, t: checked_slices({"a": ["x"], "b": ["x", "y"]}), r"slices\['b'\] must hold .* \(1\)"),
        (lambda s, p, t: scene_slices([]), "scenes is empty"),
        (lambda s, p, t: balanced_weights(s, bound=0.5), "bound must be at least 1, got 0.5"),
        (lambda s, p, t: balanced_weights(s, {"light": {"dark": 1}}), r"target\['light'\] must give each of bright"),
        (lambda s, p, t: balanced_weights({"a": ["x", "y"]}, {"a": {"x": 0.5, "y": 0.6}}), "adding up to 1; got"),
        (lambda s, p, t: balanced_weights(s, {"place": {}}), "target names the family 'place', slices has light"),
        (lambda s, p, t: balanced_rows(s, 0), "n must be at least 1, got 0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(*drawn())

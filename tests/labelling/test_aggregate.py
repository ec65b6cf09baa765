import numpy as np
import pandas as pd
import pytest

from percept.labelling.aggregate import AnswersError, bradley_terry, checked, dawid_skene, majority

COLUMNS = ["rater", "group", "item", "answer"]


def table(*rows):
    return pd.DataFrame([(r, "", i, a) for r, i, a in rows], columns=COLUMNS)


def simulated(accuracies, items=150, votes=6, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(2, size=items)
    rows = [
        (f"r{r:02}", "", i, float(truth[i] if rng.random() < accuracies[r] else 1 - truth[i]))
        for i in range(items)
        for r in rng.choice(len(accuracies), votes, replace=False)
    ]
    return pd.DataFrame(rows, columns=COLUMNS), truth


def hits(label, truth):
    return np.where(np.isnan(label), 0.5, label == truth).mean()


def test_majority_against_a_loop():
    answers, _ = simulated([0.8] * 5, items=30, votes=4)
    answers.loc[::7, "answer"] = np.nan
    found = majority(answers)
    for item, row in found.iterrows():
        given = [a for i, a in zip(answers["item"], answers["answer"], strict=True) if i == item and a == a]
        share = sum(given) / len(given)
        assert row["vote_right"] == share
        assert (row["votes"], row["skips"]) == (len(given), 4 - len(given))
        assert np.isnan(row["label"]) if share == 0.5 else row["label"] == (share > 0.5)


def test_majority_leaves_repeats_out_and_keeps_items_that_all_skipped():
    answers = table(("a", 1, 1.0), ("b", 1, 1.0), ("a", 1, 0.0), ("a", 2, np.nan)).assign(
        kind=["ask"] * 2 + ["repeat", "ask"]
    )
    found = majority(answers)
    assert found["vote_right"].tolist()[0] == 1.0
    assert found.loc[2, ["votes", "skips"]].tolist() == [0, 1]
    assert np.isnan(found.loc[2, "label"])


@pytest.mark.parametrize("model", ["one_coin", "full"])
def test_dawid_skene_beats_the_majority_when_a_third_are_spammers(model):
    gains = []
    for seed in range(3):
        answers, truth = simulated([0.85] * 8 + [0.5] * 4, seed=seed)
        fitted = dawid_skene(answers, model)
        gains.append(hits(fitted.items["label"], truth) - hits(majority(answers)["label"], truth))
        accuracy = fitted.raters["accuracy"]
        assert accuracy[:8].min() > accuracy[8:].max()
        assert abs(accuracy[:8].mean() - 0.85) < 0.06
    assert np.mean(gains) > 0.03
    assert min(gains) > -0.01


def test_one_coin_equals_the_em_written_out():
    answers, _ = simulated([0.9, 0.8, 0.7, 0.5], items=40, votes=3)
    rater, item = pd.factorize(answers["rater"], sort=True)[0], answers["item"].to_numpy()
    answer = answers["answer"].to_numpy()
    right = np.array([answer[item == i].mean() for i in range(40)])
    for _ in range(60):
        said = np.where(answer == 1, right[item], 1 - right[item])
        skill = np.array([said[rater == r].mean() for r in range(4)])
        prior, post = right.mean(), np.empty(40)
        for i in range(40):
            like = [1 - prior, prior]
            for r, a in zip(rater[item == i], answer[item == i], strict=True):
                like = [like[t] * (skill[r] if a == t else 1 - skill[r]) for t in (0, 1)]
            post[i] = like[1] / sum(like)
        right = post
    fitted = dawid_skene(answers, iterations=60)
    assert np.allclose(fitted.items["probability_right"], right, atol=2e-3)
    assert np.allclose(fitted.raters["accuracy"], skill, atol=2e-3)


def test_dawid_skene_when_everybody_says_the_same():
    fitted = dawid_skene(table(("a", 1, 1.0), ("b", 1, 1.0), ("a", 2, 1.0), ("b", 2, 1.0)))
    assert fitted.items["probability_right"].tolist() == [1.0, 1.0]


def test_bradley_terry_finds_the_maximum_of_the_likelihood():
    rng = np.random.default_rng(0)
    true = np.array([-1.0, -0.3, 0.4, 0.9])
    pairs = [(a, b) for a in range(4) for b in range(a) for _ in range(60)]
    won = [(a, b) if rng.random() < 1 / (1 + np.exp(true[b] - true[a])) else (b, a) for a, b in pairs]
    found = bradley_terry(pd.DataFrame(won, columns=["winner", "loser"]), regularisation=0)
    weight = np.ones(4)
    for _ in range(2000):  # Zermelo's iteration, the classical way to the same maximum
        wins = np.array([sum(w == i for w, _ in won) for i in range(4)])
        load = [sum(1 / (weight[w] + weight[x]) for w, x in won if i in (w, x)) for i in range(4)]
        weight = wins / load
        weight /= np.exp(np.log(weight).mean())
    assert np.allclose(found["strength"].sort_index(), np.log(weight), atol=1e-5)
    assert (np.abs(found["strength"].sort_index() - true) < 3.5 * found["error"].sort_index()).all()
    assert found.index[0] == found["strength"].idxmax()
    assert found["wins"].sum() == found["losses"].sum() == 360


def test_regularisation_makes_a_winner_of_all_finite():
    pairs = pd.DataFrame({"winner": ["a", "a", "b"], "loser": ["b", "c", "c"]})
    found = bradley_terry(pairs, regularisation=0.1)
    assert found.index.tolist() == ["a", "b", "c"]
    assert np.isfinite(found[["strength", "error"]]).all(axis=None)
    assert found["error"].max() < np.sqrt(1 / (2 * 0.1))  # the prior's own width
    with pytest.raises(AnswersError, match="only won or only lost"):
        bradley_terry(pairs, regularisation=0)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ({"winner": ["a", "c"], "loser": ["b", "d"]}, "2 parts were never compared.*'a' and 'c'"),
        ({"winner": ["a"], "loser": ["a"]}, "two different candidates"),
        ({"winner": ["a"], "loser": [None]}, "without gaps"),
        ({"winner": [], "loser": []}, "non-empty"),
        ({"winner": ["a"]}, r"lack the column\(s\) loser"),
    ],
)
def test_bad_pairs(pairs, message):
    with pytest.raises(AnswersError, match=message):
        bradley_terry(pd.DataFrame(pairs))


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (table(("a", 1, 1.0)).drop(columns="group"), r"lack the column\(s\) group"),
        (table(("a", 1, 1.0), ("b", 1, 2.0)), r"row 1: answer '2.0' is not 0 \(left\)"),
        (table(("a", 1, "left")), "row 0: answer 'left' is not 0"),
        (table(("a", 1, np.nan), ("b", 1, np.nan)), "every answer is empty"),
        (table(("a", 1, 1.0), ("a", 1, 0.0)), "rater 'a' answered item '1' twice"),
        (table((None, 1, 1.0)), "row 0: rater is empty"),
        (pd.DataFrame([("a", "x", 1, 1.0), ("a", "y", 2, 1.0)], columns=COLUMNS), "rater 'a' appears in 2 groups"),
    ],
)
def test_bad_answers(answers, message):
    with pytest.raises(AnswersError, match=message):
        checked(answers)


def test_models_need_company():
    with pytest.raises(AnswersError, match="at least 2 raters with answers are needed, got 1"):
        dawid_skene(table(("a", 1, 1.0), ("a", 2, 1.0), ("b", 1, np.nan)))
    with pytest.raises(AnswersError, match="without overlap"):
        dawid_skene(table(("a", 1, 1.0), ("b", 2, 1.0)))
    with pytest.raises(AnswersError, match="'one_coin' or 'full', got 'mace'"):
        dawid_skene(table(("a", 1, 1.0), ("b", 1, 1.0)), model="mace")

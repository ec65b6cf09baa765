import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from percept import evaluation
from percept.evaluation.probe_rules import auroc_items, measures, other_pictures, pairwise_accuracy, winoground_scores


def coarse(shape, seed=0, levels=5):
    """Scores on a coarse grid, so that ties are frequent."""
    return np.random.default_rng(seed).integers(levels, size=shape) / (levels - 1)


@pytest.mark.parametrize("ties", ["strict", "lenient"])
def test_pairwise_accuracy_equals_a_slow_loop(ties):
    first, second = coarse(300), coarse(300, seed=1)
    right = tied = 0
    for a, b in zip(first, second, strict=True):
        right += a > b or (ties == "lenient" and a == b)
        tied += a == b
    assert tied > 30
    assert pairwise_accuracy(first, second, ties) == right / 300
    assert pairwise_accuracy(torch.tensor(first), torch.tensor(second), ties=ties) == right / 300
    found = measures(np.stack([first, second], axis=1)[:, :, None], ties=ties)["acc_r"]
    assert found.tied.sum() == tied
    assert evaluation.pairwise_accuracy is pairwise_accuracy


def slow_winoground(scores, ties):
    counts = dict.fromkeys(("text", "image", "group"), 0)
    for item in scores.tolist():
        c0_i0, c0_i1, c1_i0, c1_i1 = item[0][0], item[0][1], item[1][0], item[1][1]
        if ties == "strict":
            text = c0_i0 > c1_i0 and c1_i1 > c0_i1
            image = c0_i0 > c0_i1 and c1_i1 > c1_i0
        else:
            text = c0_i0 >= c1_i0 and c1_i1 >= c0_i1
            image = c0_i0 >= c0_i1 and c1_i1 >= c1_i0
        for name, value in {"text": text, "image": image, "group": text and image}.items():
            counts[name] += value
    return {name: count / len(scores) for name, count in counts.items()}


@pytest.mark.parametrize("ties", ["strict", "lenient"])
@pytest.mark.parametrize("seed", range(5))
def test_winoground_equals_a_slow_loop(ties, seed):
    scores = coarse((400, 2, 2), seed)
    assert winoground_scores(scores, ties) == slow_winoground(scores, ties)
    assert evaluation.winoground_scores(torch.tensor(scores), ties=ties) == slow_winoground(scores, ties)


def test_winoground_tells_captions_from_images_and_counts_ties():
    text_only = [[[2.0, 1.0], [1.5, 3.0]], [[3.0, 5.0], [2.0, 6.0]]]  # item 1: both captions win, image 1 always
    assert winoground_scores(text_only) == {"text": 1.0, "image": 0.5, "group": 0.5}
    assert winoground_scores(np.swapaxes(text_only, 1, 2)) == {"text": 0.5, "image": 1.0, "group": 0.5}
    found = measures([[[2.0, 1.0], [2.0, 3.0]], [[2.0, 2.0], [1.0, 3.0]], [[2.0, 0.0], [1.0, 3.0]]])
    assert {name: measure.tied.tolist() for name, measure in found.items()} == {
        "text": [True, False, False],
        "image": [False, True, False],
        "group": [True, True, False],
    }


def test_constant_scorer_gets_nothing_and_random_scorer_chance():
    assert winoground_scores(np.full((50, 2, 2), 0.3)) == {"text": 0, "image": 0, "group": 0}
    assert winoground_scores(np.full((50, 2, 2), 0.3), ties="lenient") == {"text": 1, "image": 1, "group": 1}
    assert pairwise_accuracy(np.ones(9), np.ones(9)) == 0
    assert measures(np.ones((9, 5, 1)))["acc_r"].value == 0
    rng, count = np.random.default_rng(0), 20_000
    found = winoground_scores(rng.normal(size=(count, 2, 2)))
    for name, chance in {"text": 1 / 4, "image": 1 / 4, "group": 1 / 6}.items():
        assert abs(found[name] - chance) < 4 * np.sqrt(chance * (1 - chance) / count)
    five = measures(rng.normal(size=(count, 5, 1)))["acc_r"].value
    assert abs(five - 1 / 5) < 4 * np.sqrt(0.16 / count)


@pytest.mark.parametrize("ties", ["strict", "lenient"])
def test_precision_at_1_of_several_captions_equals_a_slow_loop(ties):
    scores = coarse((400, 5, 1), levels=9)
    right = []
    for item in scores[:, :, 0]:
        best_foil = max(item[1:])
        right.append(item[0] > best_foil or (ties == "lenient" and item[0] == best_foil))
    found = measures(scores, ties=ties)
    assert found["acc_r"].items.tolist() == [float(x) for x in right]
    assert found["acc_r"].tied.tolist() == [item[0] in item[1:] for item in scores[:, :, 0]]
    pooled = np.concatenate([scores[:, 0, 0], scores[:, 1:, 0].ravel()])
    expected = roc_auc_score(np.arange(pooled.size) < 400, pooled)
    assert found["auroc"].value == pytest.approx(expected, abs=1e-12)


def test_valse_decisions_equal_a_slow_loop():
    scores = coarse((500, 2, 1), levels=9)  # 0.5 occurs
    accepted = rejected = 0
    for caption, foil in scores[:, :, 0]:
        match, no_match = caption, 1 - caption
        accepted += match > no_match
        match, no_match = foil, 1 - foil
        rejected += no_match >= match
    found = {name: measure.value for name, measure in measures(scores, probability=True).items()}
    p_c, p_f = accepted / 500, rejected / 500
    expected = {"p_c": p_c, "p_f": p_f, "acc": (p_c + p_f) / 2, "min": min(p_c, p_f)}
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert found["auroc"] == pytest.approx(roc_auc_score([1] * 500 + [0] * 500, scores[:, :, 0].T.ravel()), abs=1e-12)
    assert set(measures(scores)) == {"acc_r", "auroc"}
    turned = {name: m.value for name, m in measures(1 - scores, probability=True).items()}
    assert turned["min"] == pytest.approx(min(turned["p_c"], turned["p_f"])) != pytest.approx(found["min"])


def test_true_or_false_equals_a_slow_loop_and_needs_probabilities_for_accuracy():
    scores, label = coarse(300, levels=9), np.random.default_rng(5).random(300) < 0.4
    right = [(p > 0.5) == bool(y) for p, y in zip(scores, label, strict=True)]
    found = measures(scores[:, None, None], label, probability=True)
    assert found["accuracy"].items.tolist() == [float(x) for x in right]
    assert found["accuracy"].tied.sum() == (scores == 0.5).sum() > 0
    assert found["auroc"].value == pytest.approx(roc_auc_score(label, scores), abs=1e-12)
    assert set(measures(scores[:, None, None], label)) == {"auroc"}
    assert set(measures(scores[:, None, None], np.ones(300, bool), probability=True)) == {"accuracy"}


def test_original_svo_figure_counts_each_pair_once():
    rng = np.random.default_rng(3)
    keys = np.stack([rng.integers(40, size=300), rng.integers(60, size=300) + 100], axis=1)
    decisions = rng.integers(2, size=200)
    scores = decisions[keys].astype(float)  # the same pair always has the same score
    positive, negative = {}, {}
    for (true, false), (s_true, s_false) in zip(keys.tolist(), scores, strict=True):
        positive[true] = s_true == 1
        negative[false] = s_false == 0
    found = measures(scores[:, None, :], keys=keys, probability=True)
    p_c, p_f = np.mean(list(positive.values())), np.mean(list(negative.values()))
    assert found["p_c"].value == pytest.approx(p_c, abs=1e-12)
    assert found["p_f"].value == pytest.approx(p_f, abs=1e-12)
    assert found["acc"].value == pytest.approx((p_c + p_f) / 2, abs=1e-12)
    plain = measures(scores[:, None, :], probability=True)
    assert plain["p_c"].value == pytest.approx(scores[:, 0].mean())
    assert plain["p_c"].value != pytest.approx(p_c, abs=1e-3)


def test_auroc_items_spread_as_a_bootstrap_of_whole_items():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(150, 1))  # the two scores of an item depend on each other
    scores = shared + rng.normal(size=(150, 2)) * 0.7 + np.array([0.6, 0])
    true = np.broadcast_to([True, False], scores.shape)
    items = auroc_items(scores, true)
    draws = []
    for _ in range(400):
        first, second = scores[rng.integers(150, size=150)].T
        draws.append((first[:, None] > second).mean())
    assert items.mean() == pytest.approx(roc_auc_score(true.ravel(), scores.ravel()), abs=1e-12)
    assert items.std() / np.sqrt(150) == pytest.approx(np.std(draws), rel=0.15)


@pytest.mark.parametrize("columns", [1, 2])
def test_other_pictures_permutes_and_gives_no_item_its_own(columns):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        picture = np.stack([rng.choice(30, columns, replace=False) * 2 for _ in range(50)])
        moved = other_pictures(picture, seed)
        mapping = dict(zip(picture.ravel().tolist(), moved.ravel().tolist(), strict=True))
        assert set(mapping) == set(mapping.values())
        assert np.array_equal(np.vectorize(mapping.get)(picture), moved)  # one new picture for each old one
        for own, others in zip(picture.tolist(), moved.tolist(), strict=True):
            assert not set(own) & set(others)
        assert np.array_equal(moved, other_pictures(picture, seed))
    assert not np.array_equal(other_pictures(picture, 0), other_pictures(picture, 1))


def test_other_pictures_needs_others():
    assert other_pictures(np.zeros((3, 1), int)) is None
    assert other_pictures(np.array([[0, 1]])) is None
    assert other_pictures(np.array([[4], [9]])).tolist() == [[9], [4]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pairwise_accuracy([1.0], [1.0, 2.0]), "same items: got 1 and 2"),
        (lambda: pairwise_accuracy([np.nan], [1.0]), r"positive\[0\] is not a finite"),
        (lambda: pairwise_accuracy([1.0], [np.inf]), r"negative\[0\] is not a finite"),
        (lambda: pairwise_accuracy([], []), "non-empty"),
        (lambda: pairwise_accuracy([1.0], [1.0], ties="loose"), "ties must be 'strict' or 'lenient', got 'loose'"),
        (lambda: winoground_scores(np.zeros((3, 4))), r"\[N, 2, 2\] \(item, caption, image\), got shape \(3, 4\)"),
        (lambda: winoground_scores(np.zeros((0, 2, 2))), "non-empty"),
        (lambda: winoground_scores(np.full((3, 2, 2), np.nan)), "item 0 has a score that is not finite"),
        (lambda: measures(np.zeros((3, 3, 2))), r"no rule scores items of shape \(3, 2\)"),
        (lambda: measures(np.zeros((3, 1, 1))), r"no rule scores items of shape \(1, 1\)"),
        (lambda: measures(np.zeros((3, 2, 1)), np.ones(3, bool)), r"items with labels need scores \[3, 1, 1\]"),
        (lambda: measures(np.full((3, 2, 1), 1.5), probability=True), "probabilities must lie in 0..1, got 1.5"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

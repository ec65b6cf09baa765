import hashlib

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score

from percept.evaluation.prompts import add_category, compare_vocabularies, prompt_bias, prompt_spread
from percept.evaluation.zero_shot import (
    class_weights,
    classify,
    fill,
    prompt_weights,
    shuffled_accuracy,
    zero_shot_accuracy,
)

NAMES = ["cat", "dog", "boat", "tree", "drum", "kite", "bell"]


class Words:
    """A stand-in text tower: a sentence is the sum of its words' fixed random vectors, not of unit length."""

    dim = 48

    def __init__(self):
        self.asked = []

    def word(self, text):
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")
        return np.random.default_rng(seed).normal(size=self.dim) * (5 if text in NAMES else 1)

    def encode_texts(self, texts):
        self.asked.append(list(texts))
        return np.stack([sum(self.word(w) for w in text.split()) for text in texts]).astype(np.float32)


def images(per_class=40, noise=1.5, seed=0):
    rng, words = np.random.default_rng(seed), Words()
    labels = np.repeat(np.arange(len(NAMES)), per_class)
    centres = np.stack([words.word(name) / 7 for name in NAMES])
    return centres[labels] + noise * rng.normal(size=(labels.size, Words.dim)), labels


def test_class_weights_equal_the_slow_loop():
    templates = ["a photo of a {}", "the {} again", "{}"]
    expected = []
    for name in NAMES:
        rows = [Words().encode_texts([t.replace("{}", name)])[0] for t in templates]
        mean = np.mean([row / np.linalg.norm(row) for row in rows], axis=0)
        expected.append(mean / np.linalg.norm(mean))
    weights = class_weights(Words(), NAMES, templates)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected, atol=1e-6)


def test_each_sentence_is_scaled_before_the_average():
    class Uneven:
        def encode_texts(self, texts):
            return np.array([[100.0, 0.0] if text == "long" else [0.0, 1.0] for text in texts])

    np.testing.assert_allclose(prompt_weights(Uneven(), [["long", "short"]]), [[0.5**0.5, 0.5**0.5]], atol=1e-6)


def test_templates_may_be_functions_or_other_placeholders_and_bad_ones_are_named():
    assert fill("{c}の写真", "猫") == "猫の写真"
    assert fill(str.upper, "cat") == "CAT"
    assert fill("a {}", "set {x}") == "a set {x}"
    with pytest.raises(ValueError, match="a photo' has no"):
        class_weights(Words(), NAMES, ["a photo"])
    with pytest.raises(ValueError, match="not one string"):
        class_weights(Words(), "cat", ["{}"])
    with pytest.raises(ValueError, match="class name 1 is empty"):
        class_weights(Words(), ["cat", ""], ["{}"])


def test_accuracy_equals_scikit_learn():
    embeddings, labels = images()
    weights = class_weights(Words(), NAMES, ["a {}"])
    result = zero_shot_accuracy(embeddings, weights, labels)
    scores = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True) @ weights.T
    assert result["acc1"] == top_k_accuracy_score(labels, scores, k=1)
    assert result["acc5"] == top_k_accuracy_score(labels, scores, k=5)
    assert result["mean_per_class_recall"] == pytest.approx(balanced_accuracy_score(labels, result["predictions"]))
    assert (classify(embeddings, weights) == result["predictions"]).all()
    assert result["correct"].mean() == result["acc1"] > 2 * result["chance"]
    assert result["chance"] == result["majority"] == pytest.approx(1 / 7)


def test_mean_per_class_recall_differs_from_accuracy_when_classes_are_uneven():
    result = zero_shot_accuracy([[1.0, 0.0]] * 4, np.eye(2), [0, 0, 0, 1])
    assert (result["acc1"], result["mean_per_class_recall"], result["majority"]) == (0.75, 0.5, 0.75)


def test_a_constant_encoder_scores_zero_and_shuffled_labels_score_chance():
    embeddings, labels = images()
    flat = zero_shot_accuracy(np.ones_like(embeddings), np.ones((7, Words.dim)), labels)
    assert flat["acc1"] == flat["acc5"] == 0
    result = zero_shot_accuracy(embeddings, class_weights(Words(), NAMES, ["a {}"]), labels)
    control = shuffled_accuracy(result["predictions"], labels)
    assert control.low < 1 / 7 < control.high < result["acc1"]


def test_labels_out_of_range_and_widths_that_differ_are_errors():
    with pytest.raises(ValueError, match=r"0\.\.1"):
        zero_shot_accuracy([[1.0, 0.0]], np.eye(2), [2])
    with pytest.raises(ValueError, match="widths differ"):
        classify([[1.0, 0.0, 0.0]], np.eye(2))
    with pytest.raises(ValueError, match="row 1"):
        classify([[1.0, 0.0], [0.0, 0.0]], np.eye(2))


def test_prompt_spread_holds_each_template_and_the_ensemble():
    embeddings, labels = images()
    templates = ["{}", "a {}", "many strange words that drown the little {} in chatter"]
    spread = prompt_spread(Words(), embeddings, labels, NAMES, templates)
    singles = [zero_shot_accuracy(embeddings, class_weights(Words(), NAMES, [t]), labels)["acc1"] for t in templates]
    assert [interval.value for interval in spread["per_template"].values()] == pytest.approx(singles)
    assert spread["best"] == templates[int(np.argmax(singles))]
    assert spread["range"] == pytest.approx(max(singles) - min(singles))
    assert spread["correct"].shape == (3, labels.size)
    assert spread["ensemble_gain"].value == pytest.approx(spread["ensemble"].value - np.mean(singles))


def test_prompt_bias_finds_the_word_that_pulls_and_clears_the_one_that_does_not():
    class Biased(Words):
        def encode_texts(self, texts):
            rows = super().encode_texts(texts)
            pull = np.array([[40.0 * ("snow" in text and "dog" in text)] for text in texts])
            return rows - pull * self.word("dog") / np.linalg.norm(self.word("dog"))

    embeddings, labels = images(noise=0.7)
    rows = prompt_bias(
        Biased(),
        embeddings,
        labels,
        NAMES,
        "a {}",
        worded=["a {} in snow"],
        neutral=["a {} in frame"],
        groups=labels == 1,
    )
    word, neutral = rows
    assert (word["kind"], neutral["kind"]) == ("word", "neutral")
    assert word["excess"].low > 0
    assert word["accuracy_change"].high < 0
    assert "excess" not in neutral  # there is no other neutral template to compare it with
    assert word["by_group"][True].value > word["by_group"][False].value
    with pytest.raises(ValueError, match="neutral"):
        prompt_bias(Words(), embeddings, labels, NAMES, "a {}", ["a {} in snow"], [])
    with pytest.raises(ValueError, match="differ"):
        prompt_bias(Words(), embeddings, labels, NAMES, "a {}", ["a {} in snow"], ["a {}"])


def test_prompt_bias_compares_a_neutral_template_with_the_others_only():
    embeddings, labels = images(noise=4)
    neutral = ["one {} in frame", "some quite nice {} here", "many strange words that drown the {} in chatter"]
    rows = {
        row["template"]: row for row in prompt_bias(Words(), embeddings, labels, NAMES, "a {}", ["{} at sea"], neutral)
    }
    plain = classify(embeddings, class_weights(Words(), NAMES, ["a {}"]))
    share = {t: np.mean(classify(embeddings, class_weights(Words(), NAMES, [t])) != plain) for t in rows}
    assert len(set(share.values())) == 4
    for template, row in rows.items():
        others = [share[t] for t in neutral if t != template]
        assert row["excess"].value == pytest.approx(share[template] - np.mean(others)), template


def test_vocabularies_are_compared_on_the_same_images():
    embeddings, labels = images()
    codes = [f"part-{index}" for index in range(7)]
    result = compare_vocabularies(Words(), embeddings, labels, {"plain": (NAMES, ["a {}"]), "codes": (codes, ["a {}"])})
    assert result["plain"]["difference"].value == 0
    assert result["codes"]["difference"].high < 0
    assert abs(result["codes"]["acc1"] - 1 / 7) < 0.12
    with pytest.raises(ValueError, match="same classes"):
        compare_vocabularies(Words(), embeddings, labels, {"a": (NAMES, ["{}"]), "b": (NAMES[:3], ["{}"])})


def test_adding_a_category_counts_what_is_won_and_what_is_lost():
    weights = np.eye(3)
    embeddings = np.array([[1, 0, 0], [0.9, 0, 1.0], [0, 1, 0], [0, 0, 1], [1, 0, 0.5]], dtype=float)
    result = add_category(embeddings, [0, 0, 1, 2, 2], weights, new=2)
    assert result["old_before"].value == 1
    assert result["old_after"].value == pytest.approx(2 / 3)
    assert result["old_change"].value == pytest.approx(-1 / 3)
    assert result["stolen"].value == pytest.approx(1 / 3)
    assert result["new_recall"].value == 0.5
    assert result["new_precision"].value == 0.5
    assert result["all_after"].value == pytest.approx(3 / 5)
    shuffled = add_category(embeddings, [1, 1, 0, 2, 2], weights[[1, 0, 2]], new=[2])
    assert shuffled["old_before"].value == 1
    with pytest.raises(ValueError, match="not all"):
        add_category(embeddings, [0, 0, 1, 2, 2], weights, new=[0, 1, 2])

import math

import numpy as np
import pytest

from percept.evaluation import TrigramModel
from percept.evaluation.text_baselines import text_scores, words

CAPTIONS = ["a dog chases a cat", "a cat sleeps", "the red dog sleeps on a red mat", "犬が眠る", "a dog"]


def slow_probability(word, history, captions):
    """Witten-Bell by its definition: count everything anew for every order."""
    padded = [["<start>", "<start>", *words(text), "<end>"] for text in captions]

    def mixed(context):
        followers = [
            line[place]
            for line in padded
            for place in range(2, len(line))
            if line[place - len(context) : place] == list(context)
        ]
        lower = mixed(context[1:]) if context else 1 / (len(set(followers)) + 1)
        kinds, total = len(set(followers)), len(followers)
        return lower if total == 0 else (followers.count(word) + kinds * lower) / (total + kinds)

    return mixed(history)


@pytest.mark.parametrize(
    "history", [("a", "dog"), ("<start>", "<start>"), ("<start>", "a"), ("zebra", "dog"), ("dog", "zebra")]
)
def test_probabilities_equal_the_slow_definition_and_add_up_to_one(history):
    model = TrigramModel(CAPTIONS)
    for word in (*model.vocabulary, "zebra"):
        assert model.probability(word, history) == pytest.approx(slow_probability(word, history, CAPTIONS), rel=1e-12)
    total = sum(model.probability(word, history) for word in model.vocabulary) + model.probability("zebra", history)
    assert total == pytest.approx(1, abs=1e-12)


def test_score_is_the_mean_log_probability_with_the_end():
    model = TrigramModel(CAPTIONS)
    steps = [("a", ("<start>", "<start>")), ("dog", ("<start>", "a")), ("<end>", ("a", "dog"))]
    expected = np.mean([math.log(slow_probability(word, history, CAPTIONS)) for word, history in steps])
    assert model.score("A dog.") == pytest.approx(expected, rel=1e-12)
    assert model.score("a dog chases a cat") > model.score("cat a chases dog a")
    assert -20 < model.score("zebra giraffe") < model.score("a dog")
    assert model.score("") == pytest.approx(math.log(model.probability("<end>", ("<start>", "<start>"))))


def test_length_is_in_words_and_kana_and_kanji_count_one_by_one():
    assert words("Two dogs—one brown!") == ["two", "dogs", "one", "brown"]
    assert words("犬がpark にいる") == ["犬", "が", "park", "に", "い", "る"]
    found = text_scores(["a red dog", "dog", "犬が眠る"], CAPTIONS)
    assert list(found) == ["shorter sentence", "longer sentence", "n-gram likelihood"]
    assert found["longer sentence"].tolist() == [3, 1, 4]
    assert found["shorter sentence"].tolist() == [-3, -1, -4]
    assert found["n-gram likelihood"].tolist() == [
        TrigramModel(CAPTIONS).score(t) for t in ["a red dog", "dog", "犬が眠る"]
    ]
    assert "n-gram likelihood" not in text_scores(["a"])
    assert "n-gram likelihood" in text_scores(["a"], iter(CAPTIONS))


def test_a_model_needs_captions():
    with pytest.raises(ValueError, match="captions is empty"):
        TrigramModel([])

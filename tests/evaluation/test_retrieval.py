import numpy as np
import pytest
import torch
from sklearn.metrics import top_k_accuracy_score

from percept.evaluation import recall_at_k
from percept.evaluation.retrieval import chance_recall, image_text_retrieval, relevant_ranks


def slow_recall(similarity, relevant, k):
    """Sort each row with irrelevant items first among equals, then look at the first k."""
    hits = 0
    for scores, right in zip(similarity, relevant, strict=True):
        order = sorted(range(len(scores)), key=lambda j: (-scores[j], right[j]))
        hits += any(right[j] for j in order[:k])
    return hits / len(similarity)


def test_a_matrix_whose_recall_can_be_read_off():
    similarity = [[0.9, 0.1, 0.2, 0.0], [0.8, 0.7, 0.1, 0.0], [0.9, 0.8, 0.7, 0.0]]
    relevant = [0, 1, 2]
    assert relevant_ranks(similarity, relevant).tolist() == [1, 2, 3]
    assert [recall_at_k(similarity, relevant, k) for k in (1, 2, 3, 4, 9)] == pytest.approx([1 / 3, 2 / 3, 1, 1, 1])


def test_several_relevant_items_do_not_push_each_other_down():
    relevant = np.array([[False, True, True, False]])
    assert recall_at_k([[0.5, 0.9, 0.8, 0.7]], relevant, 1) == 1
    assert recall_at_k([[0.9, 0.5, 0.5, 0.1]], relevant, 1) == 0
    assert relevant_ranks([[0.9, 0.5, 0.5, 0.1]], relevant).tolist() == [2]
    assert relevant_ranks([[0.9, 0.5, 0.5, 0.1]], relevant.astype(int)).tolist() == [2]


@pytest.mark.parametrize("k", [1, 2, 5])
def test_equals_the_slow_sort_with_many_ties_and_any_sign(k):
    rng = np.random.default_rng(k)
    similarity = rng.integers(-4, 3, (60, 9)).astype(float)
    relevant = rng.random((60, 9)) < 0.25
    relevant[np.arange(60), rng.integers(9, size=60)] = True
    assert recall_at_k(similarity, relevant, k) == slow_recall(similarity, relevant, k)


def test_equals_scikit_learn_without_ties():
    rng = np.random.default_rng(0)
    similarity, labels = rng.normal(size=(200, 12)), rng.integers(12, size=200)
    for k in (1, 3, 5):
        theirs = top_k_accuracy_score(labels, similarity, k=k, labels=range(12))
        assert recall_at_k(similarity, labels, k) == pytest.approx(theirs)


def test_negative_scores_count_like_any_other():
    rng = np.random.default_rng(1)
    similarity, labels = rng.normal(size=(50, 8)), rng.integers(8, size=50)
    assert (similarity - 100 < 0).all()
    for k in (1, 5):
        assert recall_at_k(similarity - 100, labels, k) == recall_at_k(similarity, labels, k) > 0


def test_minus_infinity_takes_the_query_itself_out():
    scores = np.array([[1.0, 0.2, 0.1], [0.2, 1.0, 0.9], [0.1, 0.9, 1.0]])
    np.fill_diagonal(scores, -np.inf)
    relevant = np.array([[True, True, False], [False, True, True], [True, False, True]])
    assert recall_at_k(scores, relevant, 1) == pytest.approx(2 / 3)
    assert slow_recall(scores, relevant, 1) == pytest.approx(2 / 3)


def test_a_constant_scorer_earns_nothing_under_strict_ties():
    flat, labels = np.zeros((10, 6)), np.arange(10) % 6
    assert [recall_at_k(flat, labels, k) for k in (1, 5, 6)] == [0, 0, 1]
    assert recall_at_k(flat, labels, 1, ties="lenient") == 1


def test_a_random_scorer_lies_at_the_chance_level():
    rng = np.random.default_rng(2)
    relevant = np.zeros((4000, 10), dtype=bool)
    relevant[:, :3] = True
    measured = recall_at_k(rng.normal(size=relevant.shape), relevant, 2)
    assert chance_recall(relevant.sum(1), 10, 2) == pytest.approx(1 - (7 / 10) * (6 / 9))
    assert measured == pytest.approx(1 - (7 / 10) * (6 / 9), abs=0.03)
    assert chance_recall([3], items=4, k=2) == 1


@pytest.mark.parametrize(
    ("similarity", "relevant", "k", "message"),
    [
        ([[0.1, np.nan]], [0], 1, "row 0"),
        ([[0.1, 0.2]], [-1], 1, r"relevant\[0\] = -1"),
        ([[0.1, 0.2]], [0, 1], 1, "2 entries for 1 queries"),
        ([[0.1, 0.2]], [[False, False]], 1, "query 0 has no relevant"),
        ([[0.1, 0.2]], [[0, 2]], 1, "True/False"),
        ([[0.1, 0.2]], [0], 0, "k must be"),
    ],
)
def test_bad_input_is_named(similarity, relevant, k, message):
    with pytest.raises(ValueError, match=message):
        recall_at_k(similarity, relevant, k)


def world(images=11, per_image=2, width=6, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(images, width)).astype(np.float32)
    owner = np.repeat(np.arange(images), per_image)
    text = image[owner] + rng.normal(size=(owner.size, width)).astype(np.float32)
    return image, text, owner


def test_both_directions_equal_recall_on_the_full_matrix_whatever_the_chunk():
    image, text, owner = world()
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (image, text)]
    similarity = unit[1] @ unit[0].T
    truth = owner[:, None] == np.arange(11)
    results = [image_text_retrieval(torch.tensor(image), text, owner, chunk=c) for c in (3, 512)]
    for result in results:
        for k in (1, 5, 10):
            assert result[f"image_retrieval_recall@{k}"] == recall_at_k(similarity, truth, k)
            assert result[f"text_retrieval_recall@{k}"] == recall_at_k(similarity.T, truth.T, k)
        assert result["image_retrieval_chance@1"] == pytest.approx(1 / 11)
        assert result["text_retrieval_chance@1"] == pytest.approx(2 / 22)
        assert result["text_retrieval_median_rank"] == np.median(relevant_ranks(similarity.T, truth.T))
    assert (results[0]["image_retrieval_ranks"] == results[1]["image_retrieval_ranks"]).all()


def test_equal_sentences_are_right_for_every_image_that_bears_them():
    image = np.eye(3, dtype=np.float32)[[0, 0, 1]]
    text = np.eye(3, dtype=np.float32)[[0, 0, 1]]
    owner, strings = np.array([0, 1, 2]), ["a cat", "a cat", "a dog"]
    assert image_text_retrieval(image, text, owner)["text_retrieval_recall@1"] == pytest.approx(1 / 3)
    merged = image_text_retrieval(image, text, owner, texts=strings)
    assert merged["text_retrieval_recall@1"] == merged["image_retrieval_recall@1"] == 1
    assert merged["text_retrieval_chance@1"] == pytest.approx((2 + 2 + 1) / 9)


def test_a_collapsed_encoder_earns_nothing():
    flat = np.tile(np.random.default_rng(3).normal(size=(1, 96)).astype(np.float32), (70, 1))
    result = image_text_retrieval(flat, flat, np.arange(70))
    assert result["image_retrieval_recall@10"] == result["text_retrieval_recall@10"] == 0


def test_shuffled_pairs_fall_to_chance():
    image, text, owner = world(images=200, per_image=1, width=24, seed=4)
    mixed = np.random.default_rng(5).permutation(owner)
    right, wrong = (image_text_retrieval(image, text, o) for o in (owner, mixed))
    assert right["image_retrieval_recall@10"] > 0.6
    assert abs(wrong["image_retrieval_recall@10"] - wrong["image_retrieval_chance@10"]) < 0.06


def test_an_image_without_a_caption_is_an_error():
    image, text, owner = world(images=3)
    with pytest.raises(ValueError, match="no relevant"):
        image_text_retrieval(image, text, np.zeros_like(owner))

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from percept.data.opening import ImageError
from percept.data.probe_set import ProbeSet
from percept.evaluation import paired_difference, probe_scores
from percept.evaluation.probe_scores import CosineScorer, pair_scores, scored_pairs
from percept.evaluation.probes import evaluate
from percept.models.encoders import load_encoder

WORDS = ("dog", "cat", "red bird", "very old boat", "tree")


def number(pictures):
    """What a picture shows: its number is painted all over it."""
    return np.array([int(np.asarray(picture).flat[0]) for picture in pictures])


class Seeing:
    """Knows which sentence is true of which picture, with noise that is fixed for a pair; counts what it is asked."""

    def __init__(self, truth, noise=0.1, probability=False):
        self.truth, self.asked, self.calls = truth, [], 0
        self.noise = np.random.default_rng(1).random((256, len(WORDS))) * noise
        self.probability = probability

    def value(self, picture, text):
        score = float(text in self.truth[picture]) + self.noise[picture, WORDS.index(text)]
        return score / 2 if self.probability else score


class SeeingPairs(Seeing):
    def pairs(self, images, texts, picture, sentence):
        self.calls += 1
        shown = number(images)
        assert len(set(shown)) == len(shown)
        assert len(set(texts)) == len(texts)
        self.asked += [(shown[p], texts[s]) for p, s in zip(picture, sentence, strict=True)]
        return [self.value(shown[p], texts[s]) for p, s in zip(picture, sentence, strict=True)]


class SeeingAll(Seeing):
    def score(self, images, texts):
        self.calls += 1
        return torch.tensor([[self.value(shown, text) for text in texts] for shown in number(images)])


class Blind:
    """Ignores the picture."""

    def score(self, images, texts):
        return np.tile([len(text) + text.count("o") / 10 for text in texts], (len(images), 1))


class Constant:
    def score(self, images, texts):
        return np.full((len(images), len(texts)), 0.25, np.float32)


def painted(count):
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 4, 4, 3)).copy()


def balanced(shape="sentences", per_pair=20):
    """Every ordered pair of words once as (true, foil) and once as (foil, true), each on pictures of its own."""
    pairs = [p for p in itertools.combinations(range(len(WORDS)), 2) for _ in range(per_pair // 2)]
    shows = np.array([word for pair in pairs for word in pair])  # picture 2i shows the first, 2i + 1 the second
    first = np.arange(0, len(shows), 2)
    both = np.stack([shows[first], shows[first + 1]], axis=1)
    both_pictures = np.stack([first, first + 1], axis=1)
    label = None
    if shape == "sentences":
        picture, sentence = np.concatenate([first, first + 1])[:, None], np.concatenate([both, both[:, ::-1]])
    elif shape == "pictures":
        picture, sentence = np.concatenate([both_pictures, both_pictures[:, ::-1]]), both.T.reshape(-1, 1)
    elif shape == "square":
        picture, sentence = both_pictures, both
    else:
        picture = np.tile(np.concatenate([first, first + 1]), 2)[:, None]
        sentence = np.concatenate([both.T.ravel(), both[:, ::-1].T.ravel()])[:, None]
        label = np.arange(len(picture)) < len(picture) / 2
    groups = {"half": ["a", "b"] * (len(picture) // 2)}
    probes = ProbeSet(f"balanced {shape}", painted(len(shows)), WORDS, picture, sentence, groups, label)
    return probes, [{WORDS[word]} for word in shows]


SHAPES = ("sentences", "pictures", "square", "truth")
FIRST = {"sentences": "acc_r", "pictures": "acc_r", "square": "group", "truth": "auroc"}


@pytest.mark.parametrize("scorer", [SeeingPairs, SeeingAll])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_scorer_that_sees_is_right_and_falls_to_chance_with_other_pictures(shape, scorer):
    probes, truth = balanced(shape)
    result = evaluate(scorer(truth), probes, captions=WORDS)
    assert result.figure(FIRST[shape]).value == 1
    control = result.figure(FIRST[shape], "permuted pictures")
    chance = {"square": 1 / 6}.get(shape, 0.5)
    # Pictures that show neither word leave the choice to noise, so the figure is at chance and not only below 1.
    assert control.low <= chance <= control.high < 0.8
    assert result.changed > 0.95
    assert not [note for note in result.notes if "with other pictures" in note or "only" in note]
    expected = np.array([
        [[scorer(truth).truth[p] == {probes.sentences[s]} for p in pictures] for s in sentences]
        for pictures, sentences in zip(probes.picture, probes.sentence, strict=True)
    ])  # fmt: skip
    assert np.array_equal(result.scores > 0.5, expected)
    assert result.scores.shape == (len(probes), probes.sentence.shape[1], probes.picture.shape[1])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_scorer_that_ignores_the_picture_is_caught(shape):
    probes, _ = balanced(shape)
    result = evaluate(Blind(), probes)
    assert result.changed == 0
    assert any("only 0% of the scores change" in note for note in result.notes)
    blind = result.table[result.table["source"] == "scorer"].drop(columns="source").reset_index(drop=True)
    moved = result.table[result.table["source"] == "permuted pictures"].drop(columns="source").reset_index(drop=True)
    pd.testing.assert_frame_equal(blind, moved)


@pytest.mark.parametrize("shape", SHAPES)
def test_text_only_rules_are_at_exactly_one_half_where_they_do_not_tie(shape):
    probes, truth = balanced(shape)
    result = evaluate(SeeingPairs(truth), probes, captions=["a dog sees a cat", "red bird", "the dog", "very old"])
    for rule in ("shorter sentence", "longer sentence", "n-gram likelihood"):
        rows = result.table[(result.table["source"] == rule) & (result.table["division"] == "all")].set_index("measure")
        if shape == "sentences":
            assert rows.loc["acc_r", "untied"] == 0.5
            assert rows.loc["acc_r", "value"] == 0.5 - rows.loc["acc_r", "ties"] / len(probes) / 2
            assert rows.loc["auroc", "value"] == pytest.approx(0.5, abs=1e-12)
        elif shape == "truth":
            assert rows.loc["auroc", "value"] == pytest.approx(0.5, abs=1e-12)
        else:
            name = FIRST[shape]
            assert (rows.loc[name, "value"], rows.loc[name, "ties"]) == (0, len(probes))
    assert (rows.loc["acc_r", "ties"] if shape == "sentences" else 0) < len(probes)


def test_an_unbalanced_set_is_shown_to_be_solvable_without_pictures():
    probes, _ = balanced()
    short = np.array([len(WORDS[first].split()) < len(WORDS[second].split()) for first, second in probes.sentence])
    skewed = ProbeSet("skewed", probes.pictures, WORDS, probes.picture[short], probes.sentence[short])
    result = evaluate(Blind(), skewed, captions=WORDS)
    assert result.figure("acc_r", "shorter sentence").value == 1
    assert result.figure("acc_r", "longer sentence").value == 0
    assert any("with other pictures acc_r is" in note and "not at chance (0.500)" in note for note in result.notes)


class Dim(SeeingPairs):
    """Sees, but likes bright pictures better whatever the sentence."""

    def value(self, picture, text):
        return super().value(picture, text) + picture


def test_two_of_each_may_fall_below_chance_without_a_note():
    probes, truth = balanced("square")
    result = evaluate(Dim(truth), probes, captions=WORDS)
    assert result.figure("text").value == 1
    assert result.figure("image", "permuted pictures").high < 0.25
    assert result.notes == ()


def test_constant_scorer_gets_nothing_under_strict_rules_and_everything_under_lenient_ones():
    for shape, names in {"sentences": ["acc_r"], "pictures": ["acc_r"], "square": ["text", "image", "group"]}.items():
        probes, _ = balanced(shape)
        for ties, value in (("strict", 0), ("lenient", 1)):
            result = evaluate(Constant(), probes, ties=ties)
            rows = result.table[(result.table["source"] == "scorer") & result.table["measure"].isin(names)]
            assert (rows["value"] == value).all()
            assert (rows["ties"] == rows["n"]).all()
            assert (result.changed, len(result.outcome)) == (0, len(names))


def test_every_distinct_pair_is_scored_once_and_every_picture_seen_in_one_call():
    probes, truth = balanced()
    twice = ProbeSet("twice", probes.pictures, WORDS, np.tile(probes.picture, (2, 1)), np.tile(probes.sentence, (2, 1)))
    scorer = SeeingPairs(truth)
    result = evaluate(scorer, twice, batch_size=16)
    assert len(scorer.asked) == len(set(scorer.asked)) < 2 * 2 * len(twice)
    needed = {(p, WORDS[s]) for row, both in zip(twice.picture, twice.sentence, strict=True) for p in row for s in both}
    assert needed < set(scorer.asked)  # and those of the control
    assert scorer.calls >= len(scorer.asked) / 16
    pictures = [picture for picture, _ in scorer.asked]
    assert sum(a != b for a, b in itertools.pairwise(pictures)) == len(set(pictures)) - 1
    assert np.array_equal(result.scores[: len(probes)], result.scores[len(probes) :])
    alone = SeeingPairs(truth)
    evaluate(alone, twice, control=False)
    assert set(alone.asked) == needed
    assert len(alone.asked) == len(needed)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 10_000])
def test_batches_and_both_ways_of_asking_give_the_same_scores(batch_size):
    probes, truth = balanced("square")
    expected = evaluate(SeeingPairs(truth), probes, control=False).scores
    scorer = SeeingPairs(truth)
    assert np.array_equal(evaluate(scorer, probes, control=False, batch_size=batch_size).scores, expected)
    assert (scorer.calls == 1) == (batch_size == 10_000)
    wide = evaluate(SeeingAll(truth, noise=0), probes, control=False, batch_size=batch_size).scores
    assert np.array_equal(wide, np.round(expected))


def test_labels_without_probabilities_get_auroc_only_and_a_note_says_so():
    probes, truth = balanced("truth")
    result = evaluate(SeeingPairs(truth), probes)
    assert set(result.table.loc[result.table["source"] == "scorer", "measure"]) == {"auroc"}
    assert result.outcome == {}
    assert any("no probabilities" in note and "calibrate" in note for note in result.notes)
    sure = evaluate(SeeingPairs(truth, probability=True, noise=0.05), probes)
    assert sure.figure("accuracy").value == 0.5 + 0.5 * (sure.scores[probes.label] > 0.5).mean()
    assert not any("no probabilities" in note for note in sure.notes)
    assert sure.figure("accuracy", "majority label").value == 0.5
    loud = SeeingPairs(truth, noise=2, probability=True)
    with pytest.raises(ValueError, match=r"probabilities must lie in 0..1"):
        evaluate(loud, probes)


def test_majority_label_is_that_of_the_whole_set():
    probes, truth = balanced("truth")
    rows = np.flatnonzero(~probes.label | (np.arange(len(probes)) % 3 == 0))
    label = probes.label[rows]
    few = ProbeSet("few", probes.pictures, WORDS, probes.picture[rows], probes.sentence[rows], label=label)
    assert evaluate(SeeingPairs(truth), few).figure("accuracy", "majority label").value == 1 - label.mean() > 0.7


def test_results_pair_up_item_by_item_and_are_reproducible():
    probes, truth = balanced()
    good, bad = evaluate(SeeingPairs(truth), probes), evaluate(SeeingPairs(truth, noise=3), probes)
    difference = paired_difference(good.outcome["acc_r"], bad.outcome["acc_r"])
    assert difference.value == pytest.approx(good.figure("acc_r").value - bad.figure("acc_r").value)
    assert difference.low > 0
    again = evaluate(SeeingPairs(truth, noise=3), probes)
    pd.testing.assert_frame_equal(bad.table, again.table)
    other = evaluate(SeeingPairs(truth, noise=3), probes, seed=1)
    assert other.figure("acc_r").value == bad.figure("acc_r").value
    assert other.figure("auroc", "permuted pictures").value != bad.figure("auroc", "permuted pictures").value
    by_group = bad.figure("acc_r", division="half", group="a")
    assert by_group.value == bad.outcome["acc_r"][::2].mean()
    with pytest.raises(KeyError, match="the table has no row with"):
        bad.figure("accuracy")


def test_items_are_written_and_read_back(tmp_path):
    probes, truth = balanced("square")
    result = evaluate(SeeingPairs(truth, noise=2), probes)
    table = pd.read_csv(result.write_items(tmp_path / "new" / "items.csv"))
    assert list(table) == [
        "id", "half", "score_sentence0_picture0", "score_sentence0_picture1", "score_sentence1_picture0",
        "score_sentence1_picture1", "right_text", "right_image", "right_group",
    ]  # fmt: skip
    scores = table.filter(like="score").to_numpy().reshape(-1, 2, 2)
    assert np.array_equal(scores, result.scores)
    assert np.array_equal(table["right_group"], result.outcome["group"])
    assert np.array_equal(table["id"], np.arange(len(probes)))
    probes, truth = balanced("truth")
    table = pd.read_csv(evaluate(SeeingPairs(truth), probes).write_items(tmp_path / "truth.csv"))
    assert np.array_equal(table["label"].astype(bool), probes.label)


def test_a_tiny_set_goes_without_control_and_says_so():
    probes = ProbeSet("one", painted(1), WORDS, np.array([[0]]), np.array([[0, 1]]))
    result = evaluate(SeeingPairs([{"dog"}]), probes)
    assert result.changed is None
    assert any("too few pictures" in note for note in result.notes)
    assert any("no n-gram baseline" in note for note in result.notes)
    quiet = evaluate(SeeingPairs([{"dog"}]), probes, control=False, text_only=False)
    assert quiet.notes == ()
    assert set(quiet.table["source"]) == {"scorer"}


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("percept-tiny", device="cpu")


@pytest.fixture(scope="module")
def photos():
    return np.random.default_rng(0).integers(0, 256, (12, 64, 64, 3), dtype=np.uint8)


def test_cosines_are_those_of_the_encoder_and_sentences_are_encoded_once(encoder, photos, monkeypatch):
    texts = [f"a {colour} {thing}" for colour in ("red", "blue", "green") for thing in ("dog", "boat", "cup")]
    expected = (encoder.encode_images(photos) @ encoder.encode_texts(texts).T).numpy()
    seen, read = [], []
    images, sentences = encoder.encode_images, encoder.encode_texts
    monkeypatch.setattr(encoder, "encode_images", lambda x: seen.append(len(x)) or images(x))
    monkeypatch.setattr(encoder, "encode_texts", lambda x: read.extend(x) or sentences(x))
    scorer = CosineScorer(encoder)
    np.testing.assert_allclose(scorer.score(photos, texts), expected, atol=1e-6)
    assert (sum(seen), read) == (12, texts)
    rng = np.random.default_rng(0)
    picture, sentence = rng.integers(12, size=(30, 1)), rng.integers(9, size=(30, 2))
    probes = ProbeSet("random", photos, texts, picture, sentence)
    result = evaluate(scorer, probes, batch_size=4)
    np.testing.assert_allclose(result.scores[:, :, 0], expected[picture, sentence], atol=1e-6)
    assert scorer.pairs(photos, texts, np.array([1]), np.array([2])).dtype == np.float32
    assert read == texts
    assert sum(seen) == 12 + len(np.unique(picture)) + 12  # once in the evaluation, its control included
    assert result.changed == 1


def test_pictures_may_be_files_and_their_rows_are_kept_on_disk(encoder, photos, tmp_path):
    from percept.models.cache import EmbeddingCache

    files = []
    for row, photo in enumerate(photos):
        files.append(tmp_path / f"{row}.png")
        Image.fromarray(photo).save(files[-1])
    picture, sentence = np.arange(12)[:, None], np.tile([0, 1], (12, 1))
    arrays = evaluate(CosineScorer(encoder), ProbeSet("arrays", photos, WORDS, picture, sentence))
    cache = EmbeddingCache(tmp_path / "cache")
    for hits, misses in ((0, 12), (12, 12)):
        scorer = CosineScorer(encoder, cache)
        found = evaluate(scorer, ProbeSet("files", files, WORDS, picture, sentence))
        np.testing.assert_allclose(found.scores, arrays.scores, atol=1e-6)
        assert (cache.hits, cache.misses) == (hits, misses)
    np.testing.assert_allclose(scorer.score(files[:2], WORDS[:2]), arrays.scores[:2, :, 0], atol=1e-6)
    files[3].write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"3\.png: is not an image"):
        evaluate(CosineScorer(encoder), ProbeSet("files", files, WORDS, picture, sentence))


class Odd:
    def __init__(self, values):
        self.values = values

    def score(self, images, texts):
        return self.values(len(images), len(texts))


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (lambda n, m: np.zeros((m, n + 1)), {}, "scores of shape"),
        (lambda n, m: np.full((n, m), np.nan), {}, "balanced sentences: the scorer gives nan for picture 0 and 'dog'"),
        (lambda n, m: np.zeros((n, m)), {"batch_size": 0}, "batch_size must be at least 1, got 0"),
        (lambda n, m: np.zeros((n, m)), {"ties": "no"}, "ties must be 'strict' or 'lenient'"),
        (lambda n, m: np.zeros((n, m)), {"units": ["a"]}, "units must name one for each of 200 items, got 1"),
    ],
)
def test_bad_scores_and_options_are_named(values, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate(Odd(values), balanced()[0], **options)


def test_an_empty_set_is_named():
    empty = ProbeSet("empty", painted(1), WORDS, np.zeros((0, 1), int), np.zeros((0, 2), int))
    with pytest.raises(ValueError, match="empty: the set has no items"):
        evaluate(Constant(), empty)


def test_pairs_of_a_wrong_length_are_named():
    class Short:
        def pairs(self, images, texts, picture, sentence):
            return np.zeros(1)

    with pytest.raises(ValueError, match=r"shape \[2\], got \[1\]"):
        scored_pairs(Short(), painted(2), ["dog", "cat"], np.array([0, 1]), np.array([0, 1]))
    probes, _ = balanced()
    assert pair_scores(Constant(), probes, np.array([3, 3]), np.array([1, 1])).tolist() == [0.25, 0.25]


def test_half_precision_scores_keep_their_values_and_float64_its_digits():
    texts, rows = ["dog", "cat"], np.array([0, 1])
    low = Odd(lambda n, m: torch.tensor([[0.5, 0.25]] * n, dtype=torch.bfloat16))
    assert probe_scores.scored_pairs(low, painted(2), texts, rows, rows).tolist() == [0.5, 0.25]
    near_one = Odd(lambda n, m: np.full((n, m), 1 - 1e-12))
    assert (probe_scores.scored_pairs(near_one, painted(2), texts, rows, rows) < 1).all()

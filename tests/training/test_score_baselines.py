import numpy as np
import open_clip
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler
from torchvision.transforms import Compose, Normalize, ToTensor

from percept.data.views import grid_views
from percept.models.encoders import Encoder, NoTextTower, load_encoder
from percept.models.preprocessing import from_transform
from percept.training import score_baselines
from percept.training.rate import RateError
from percept.training.score_baselines import (
    ANTONYMS,
    antonym_scores,
    features_of,
    kernel_scores,
    rank_agreement,
    ridge_scores,
)

SIZE = {"image_size": 16, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16}
TEXT = {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    model = open_clip.CLIP(16, SIZE, TEXT).eval().requires_grad_(False)
    torch.nn.init.normal_(model.text_projection, std=0.2)
    rule = from_transform(Compose([ToTensor(), Normalize([0.5] * 3, [0.25] * 3)]), {})
    rule.size = (16, 16)
    tokenizer = open_clip.SimpleTokenizer(context_length=24)
    return Encoder("small", model, rule, "0" * 64, 16, torch.device("cpu"), tokenizer=tokenizer)


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((16, 16), (40, 20), (10, 33), (64, 50))]


def parts(width, count=40, seed=0, noise=3.0):
    """Features of three sets and noisy scores, on scales that differ by a factor of 1,000."""
    rng = np.random.default_rng(seed)
    weights, scale = rng.normal(size=width), 10.0 ** rng.uniform(-1.5, 1.5, width)
    x = [rng.normal(size=(n, width)) for n in (count, 25, 30)]
    y = [each @ weights + rng.normal(size=len(each)) * noise + 50 for each in x]
    x = [each * scale + 5 for each in x]
    return x[0], y[0], x[1], y[1], x[2], y[2]


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("width", [7, 60])  # fewer and more features than rows
def test_ridge_equals_sklearn_at_every_strength(width, standardise, monkeypatch):
    x, y, val, val_y, test, _ = parts(width)
    scaler = StandardScaler().fit(x) if standardise else None
    scaled = [scaler.transform(each) if scaler else each for each in (x, val, test)]
    agreement = []
    assert np.allclose(score_baselines.STRENGTHS, np.geomspace(1e-3, 1e3, 100))
    for strength in score_baselines.STRENGTHS:
        model = Ridge(alpha=strength).fit(scaled[0], y)
        agreement.append(spearmanr(model.predict(scaled[1]), val_y).statistic)
        with monkeypatch.context() as patch:
            patch.setattr(score_baselines, "STRENGTHS", (strength,))
            found = ridge_scores(x, y, val, val_y, test, standardise=standardise)
        assert np.allclose(found, model.predict(scaled[2]), rtol=1e-8, atol=1e-6)
    best = min(s for s, a in zip(score_baselines.STRENGTHS, agreement, strict=True) if a > max(agreement) - 1e-12)
    expected = Ridge(alpha=best).fit(scaled[0], y).predict(scaled[2])
    assert np.allclose(ridge_scores(x, y, val, val_y, test, standardise=standardise), expected, rtol=1e-8, atol=1e-6)


def test_ridge_predicts_what_it_can_and_shuffled_scores_what_they_cannot():
    x, y, val, val_y, test, truth = parts(7, count=200, noise=0.5)
    assert spearmanr(ridge_scores(x, y, val, val_y, test, standardise=True), truth).statistic > 0.9
    mixed = np.random.default_rng(0).permutation(y)
    rows = [ridge_scores(x, np.roll(mixed, turn), val, val_y, test, standardise=True) for turn in range(20)]
    assert abs(np.mean([spearmanr(row, truth).statistic for row in rows])) < 0.25


def test_features_that_never_move_are_no_trouble():
    x, y, val, val_y, test, _ = parts(5)
    wider = [np.column_stack([each, np.full(len(each), 3.0)]) for each in (x, val, test)]
    for standardise in (False, True):
        plain = ridge_scores(x, y, val, val_y, test, standardise=standardise)
        assert np.allclose(ridge_scores(wider[0], y, wider[1], val_y, wider[2], standardise=standardise), plain)
    constant = ridge_scores(x * 0 + 1, y, val * 0 + 1, val_y, test * 0 + 1)
    assert np.allclose(constant, y.mean())


def slow_kernel(keys, y, queries, beta):
    out = []
    for query in queries:
        weights = []
        for key in keys:
            cosine = (query @ key) / (np.linalg.norm(query) * np.linalg.norm(key))
            weights.append(np.exp(-beta * (1 - cosine)))
        out.append(np.dot(weights, y) / np.sum(weights))
    return np.array(out)


def test_kernel_regression_equals_a_loop(monkeypatch):
    x, y, val, val_y, test, _ = parts(4)
    betas = np.geomspace(0.1, 300, 7)  # above, the weights of the loop underflow
    monkeypatch.setattr(score_baselines, "BETAS", tuple(betas))
    agreement = [spearmanr(slow_kernel(x, y, val, beta), val_y).statistic for beta in betas]
    expected = slow_kernel(x, y, test, betas[int(np.argmax(agreement))])
    assert np.allclose(kernel_scores(x, y, val, val_y, test), expected)
    for beta in betas:
        monkeypatch.setattr(score_baselines, "BETAS", (beta,))
        assert np.allclose(kernel_scores(x, y, val, val_y, test), slow_kernel(x, y, test, beta))


def test_a_sharp_kernel_is_the_nearest_picture(monkeypatch):
    x, y, val, val_y, test, _ = parts(4)
    monkeypatch.setattr(score_baselines, "BETAS", (1e9,))
    unit = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (x, test)]
    assert np.allclose(kernel_scores(x, y, val, val_y, test), y[(unit[1] @ unit[0].T).argmax(1)])


def test_rank_agreement_is_spearmans():
    rng = np.random.default_rng(0)
    predictions, truth = rng.integers(6, size=(50, 8)), rng.integers(6, size=50)
    expected = [spearmanr(column, truth).statistic for column in predictions.T]
    assert np.allclose(rank_agreement(predictions, truth), expected)


@pytest.mark.parametrize(("kind", "normalise"), [("embedding", True), ("embedding", False), ("global", False)])
def test_features_are_means_over_views(encoder, pictures, kind, normalise):
    expected = []
    for picture in pictures:
        rows = []
        for view in grid_views(picture, 16, 2):
            if kind == "global":
                rows.append(encoder.features([view], "global")[0])
            elif normalise:
                rows.append(encoder.encode_images([view])[0])
            else:
                rows.append(encoder.model.encode_image(encoder.preprocess.scale(torch.from_numpy(view[None])))[0])
        expected.append(torch.stack(rows).double().mean(0).numpy())
    for batch_size in (1, 5, 128):
        found = features_of(encoder, pictures, kind, normalise, 2, batch_size)
        assert found.dtype == np.float64
        assert np.allclose(found, expected, atol=1e-5)


def test_each_view_is_encoded_once(encoder, pictures, monkeypatch):
    seen = []
    forward = encoder.visual.forward
    monkeypatch.setattr(encoder.visual, "forward", lambda x: (seen.append(len(x)), forward(x))[1])
    features_of(encoder, pictures, most_views=3, batch_size=4)
    assert sum(seen) == sum(len(grid_views(picture, 16, 3)) for picture in pictures)
    assert max(seen) <= 4


def test_antonyms_equal_a_loop(encoder, pictures):
    good, bad = ["a good photo", "sharp"], ["a bad photo", "blurry"]
    sentences = encoder.encode_texts([*good, *bad])
    expected = []
    for picture in pictures:
        shares = []
        for pair in range(2):
            cosines = [
                np.mean([float(encoder.encode_images([view])[0] @ sentences[row]) for view in grid_views(picture, 16)])
                for row in (pair, pair + 2)
            ]
            logits = np.exp(np.array(cosines) * encoder.logit_scale)
            shares.append(logits[0] / logits.sum())
        expected.append(np.mean(shares))
    found = antonym_scores(encoder, pictures, good, bad)
    assert np.allclose(found, expected, atol=1e-5)
    assert np.ptp(found) > 1e-3
    assert np.allclose(antonym_scores(encoder, pictures, bad, good), 1 - found)


def test_every_default_prompt_has_an_opposite_in_both_languages(encoder, pictures):
    assert list(ANTONYMS["en"]) == list(ANTONYMS["ja"])
    for language in ANTONYMS.values():
        for name, (good, bad) in language.items():
            assert len(good) == len(bad), name
            assert len({*good, *bad}) == 2 * len(good), name
    assert antonym_scores(encoder, pictures, *ANTONYMS["ja"]["quality"]).shape == (4,)


def test_an_encoder_without_text_gives_features_but_knows_no_antonyms(pictures):
    lite = load_encoder("efficientnet-lite0", device="cpu", image_size=32)
    with pytest.raises(NoTextTower, match=r"efficientnet-lite0.* has no text tower"):
        antonym_scores(lite, pictures, ["good"], ["bad"])
    assert features_of(lite, pictures[:2], "global").shape == (2, 1280)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_x": np.ones(5)}, r"features of train must be \[N, D\] and not empty, got \[5\]"),
        ({"test_x": np.ones((0, 3))}, r"features of test must be \[N, D\] and not empty, got \[0, 3\]"),
        ({"val_x": np.full((4, 3), np.nan)}, r"features of validate are not finite in row 0 \(4 such rows\)"),
        ({"train_y": [1, 2]}, r"scores of train must be \[5\], one per row of features, got \(2,\)"),
        ({"val_y": [1, 2, np.inf, 4]}, "score 2 of validate is not a finite number"),
        ({"val_y": [2, 2, 2, 2]}, "all 4 scores of validate are the same; nothing can be learned or chosen"),
        ({"train_y": np.ones(5)}, "all 5 scores of train are the same"),
        ({"test_x": np.ones((2, 4))}, r"must be of one kind; their widths are \[3, 3, 4\]"),
    ],
)
@pytest.mark.parametrize("method", [ridge_scores, kernel_scores])
def test_bad_features_and_scores_are_named(method, changes, message):
    rng = np.random.default_rng(0)
    given = {"train_x": rng.normal(size=(5, 3)), "train_y": np.arange(5), "val_x": rng.normal(size=(4, 3))}
    given |= {"val_y": np.arange(4), "test_x": rng.normal(size=(2, 3))}
    with pytest.raises(RateError, match=message):
        method(**given | changes)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda e: kernel_scores(np.eye(3), range(3), np.eye(3), range(3), np.zeros((1, 3))),
            "row 0 of test is a zero",
        ),
        (lambda e: features_of(e, []), "pictures is empty"),
        (lambda e: antonym_scores(e, [], "good", "bad"), "good and bad must be lists with one opposite"),
        (lambda e: antonym_scores(e, [], ["good", "fine"], ["bad"]), "one opposite for each sentence, got .*'fine'"),
        (lambda e: antonym_scores(e, [], ["good"], ["bad"]), "pictures is empty"),
    ],
)
def test_other_bad_input_is_named(encoder, call, message):
    with pytest.raises(RateError, match=message):
        call(encoder)

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit, log_expit
from torchmetrics.functional.classification import binary_calibration_error

from percept.data.probe_set import ProbeSet
from percept.evaluation.probe_calibration import (
    CalibratedScorer,
    Sigmoid,
    calibrate,
    expected_calibration_error,
    platt,
    siglip_curve,
)
from percept.evaluation.probes import CosineScorer, evaluate
from percept.models.encoders import load_encoder


def cosines(count, seed, scale=40.0, bias=-9.0):
    """Scores as a contrastive encoder has them, and labels drawn from a sigmoid of them."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0.22, 0.05, count)
    return scores, rng.random(count) < expit(scale * scores + bias)


def test_platt_is_the_maximum_of_the_likelihood():
    scores, labels = cosines(500, 0)

    def loss(values):
        logits = values[0] * scores + values[1]
        return -np.where(labels, log_expit(logits), log_expit(-logits)).mean()

    best = minimize(loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-12, "maxiter": 5000})
    curve = platt(scores, labels)
    assert (curve.scale, curve.bias) == pytest.approx(best.x, rel=1e-3)
    assert curve.predict(scores).mean() == pytest.approx(labels.mean(), abs=1e-4)  # as at every maximum
    assert platt(torch.tensor(scores), torch.tensor(labels)) == curve


def test_platt_fitted_on_some_items_is_calibrated_on_others():
    fit, test = cosines(4000, 0), cosines(4000, 1)
    curve = platt(*fit)
    assert (curve.scale, curve.bias) == (pytest.approx(40, rel=0.1), pytest.approx(-9, rel=0.1))
    after, before = (expected_calibration_error(p, test[1]) for p in (curve.predict(test[0]), test[0]))
    assert after < 0.03 < before


def test_separated_labels_give_a_steep_finite_curve_and_turned_ones_fall():
    curve = platt([0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1])
    assert 0 < curve.scale < np.inf
    assert curve.predict([0.2, 0.3]).round().tolist() == [0, 1]
    assert platt([0.1, 0.2, 0.3, 0.4], [1, 1, 0, 1]).scale < 0


def test_calibration_error_equals_torchmetrics():
    rng = np.random.default_rng(0)
    for bins in (1, 5, 15):
        p, y = rng.random(700), rng.random(700) < 0.4
        expected = binary_calibration_error(torch.tensor(p), torch.tensor(y).int(), n_bins=bins, norm="l1")
        assert expected_calibration_error(p, y, bins) == pytest.approx(float(expected), abs=1e-6)
    assert expected_calibration_error([1.0, 0.0], [1, 0]) == 0
    assert expected_calibration_error([1.0, 1.0], [0, 0]) == 1


def test_siglip_probability_is_that_of_the_models_own_logits():
    encoder = load_encoder("percept-tiny", device="cpu")
    with pytest.raises(ValueError, match=r"'percept-tiny' has no logit bias.*use platt"):
        siglip_curve(encoder)
    encoder.model.logit_bias = torch.nn.Parameter(torch.tensor(-10.0))
    cosine = np.linspace(-1, 1, 9)
    logits = encoder.model.logit_scale.exp() * torch.tensor(cosine) + encoder.model.logit_bias
    np.testing.assert_allclose(siglip_curve(encoder).predict(cosine), logits.sigmoid().detach().numpy(), rtol=1e-5)


class Table:
    """Scores by the picture's and the sentence's number."""

    def __init__(self, values):
        self.values = values

    def score(self, images, texts):
        return self.values[np.ix_(images[:, 0, 0, 0], [int(text) for text in texts])]


def truth_set(name, rows, label):
    pictures = np.arange(200, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    sentences = [str(number) for number in range(2)]
    return ProbeSet(name, pictures, sentences, rows[:, None], np.zeros((len(rows), 1), int), label=label)


def test_a_scorer_calibrated_on_validate_items_has_an_accuracy_on_test_items():
    scores, labels = cosines(200, 3, scale=80, bias=-17.6)
    table = Table(np.tile(scores[:, None], (1, 2)))
    validate, test = (
        truth_set(n, rows, labels[rows]) for n, rows in (("v", np.arange(100)), ("t", np.arange(100, 200)))
    )
    scorer = calibrate(table, validate)
    assert scorer.curve == platt(scores[:100], labels[:100])
    result = evaluate(scorer, test)
    expected = (scorer.curve.predict(scores[100:]) > 0.5) == labels[100:]
    assert result.figure("accuracy").value == expected.mean() > 0.7
    assert result.figure("auroc").value == pytest.approx(evaluate(table, test).figure("auroc").value)
    whole = scorer.score(test.pictures[100:103], ["0", "1"])
    np.testing.assert_allclose(whole, scorer.curve.predict(np.tile(scores[100:103, None], (1, 2))))


@pytest.mark.parametrize("shape", ["sentences", "pictures", "square"])
def test_true_pairs_of_other_shapes_come_first(shape):
    values = np.random.default_rng(0).random((200, 2))
    pictures = np.arange(200, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    columns = {"sentences": (1, 2), "pictures": (2, 1), "square": (2, 2)}[shape]
    picture = np.arange(100 * columns[0]).reshape(100, -1)
    sentence = np.tile(np.arange(columns[1]), (100, 1))
    probes = ProbeSet(shape, pictures, ["0", "1"], picture, sentence)
    scores, labels = [], []
    for item in range(100):
        for k in range(columns[0]):
            for j in range(columns[1]):
                scores.append(values[picture[item, k], sentence[item, j]])
                labels.append(j == k)
    curve = calibrate(Table(values), probes).curve
    expected = platt(scores, labels)
    assert (curve.scale, curve.bias) == pytest.approx((expected.scale, expected.bias), rel=1e-6)


def test_an_encoder_is_calibrated_as_any_scorer():
    encoder = load_encoder("percept-tiny", device="cpu")
    photos = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    cosine = CosineScorer(encoder)
    scorer = CalibratedScorer(cosine, Sigmoid(3.0, -1.0))
    expected = expit(3 * cosine.score(photos, ["a dog", "a cat"]).astype(float) - 1)
    np.testing.assert_allclose(scorer.score(photos, ["a dog", "a cat"]), expected)
    rows = np.array([2, 0])
    np.testing.assert_allclose(
        scorer.pairs(photos, ["a dog", "a cat"], rows, rows // 2), expected[rows, rows // 2], rtol=1e-6
    )
    assert scorer.probability
    assert not getattr(cosine, "probability", False)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: platt([1.0, 2.0], [0, 1, 1]), r"labels must have shape \(2,\)"),
        (lambda: platt([1.0, 2.0], [1, 1]), "both must occur"),
        (lambda: platt([1.0, 2.0], [1, 2]), "labels must be 0 or 1"),
        (lambda: platt([1.0, np.nan], [0, 1]), r"scores\[1\] is not a finite"),
        (lambda: platt([1.0, 1.0], [0, 1]), "all scores are equal"),
        (lambda: expected_calibration_error([0.5], [0, 1]), "one length: got 1 and 2"),
        (lambda: expected_calibration_error([1.5], [1]), "must lie in 0..1"),
        (lambda: expected_calibration_error([0.5], [1], bins=0), r"at least 1 \(got 0\)"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

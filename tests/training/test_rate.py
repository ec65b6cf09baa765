import numpy as np
import open_clip
import pytest
import torch
from scipy.stats import spearmanr
from torchvision.transforms import Compose, Normalize, ToTensor

from percept.models.adapters import adapter_parameters, add_lora
from percept.models.encoders import Encoder, load_encoder
from percept.models.preprocessing import from_transform
from percept.training.rate import RateConfig, RateError, rate

SIZE = {"image_size": 16, "patch_size": 8, "width": 32, "layers": 3, "head_width": 16}
TEXT = {"context_length": 8, "vocab_size": 20, "width": 32, "heads": 2, "layers": 1}


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    model = open_clip.CLIP(16, SIZE, TEXT).eval().requires_grad_(False)
    rule = from_transform(Compose([ToTensor(), Normalize([0.5] * 3, [0.25] * 3)]), {})
    rule.size = (16, 16)
    return Encoder("small", model, rule, "0" * 64, 16, torch.device("cpu"), tokenizer=len)


def redness(count, seed=0, size=24):
    """Textures on a coloured ground; the score is how red it is, on a scale from 1 to 5."""
    rng = np.random.default_rng(seed)
    red = rng.uniform(0, 1, count)
    ground = np.stack([255 * red, 255 * (1 - red), np.full(count, 128)], 1)[:, None, None]
    pictures = (ground + rng.normal(0, 20, (count, size, size, 3))).clip(0, 255).astype(np.uint8)
    return pictures, 1 + 4 * red


def shares(scores):
    high = (scores - 1) / 4
    return np.stack([1 - high, high], 1)


def train(encoder, *args, folder=None, **changes):
    settings = {"rank": 4, "batch_size": 16, "epochs": 12, "learning_rate": 3e-3, "head_dropout": 0.0, "seed": 1}
    settings |= {"hidden": (16,), "patience": 0}
    return rate(encoder, *args, config=RateConfig(**settings | changes), folder=folder, device="cpu", progress=None)


def weights(encoder):
    return torch.cat([value.detach().flatten() for value in encoder.model.parameters()])


@pytest.mark.parametrize("method", ["head", "lora", "full"])
@pytest.mark.parametrize("loss", ["mse", "pearson", "ranking", "fidelity", "shares", "emd"])
def test_every_way_learns_what_can_be_seen(encoder, method, loss):
    (pictures, scores), (others, wanted) = redness(64), redness(32, 1)
    of_shares = loss in ("shares", "emd")
    before = weights(encoder)
    given = (shares(scores), shares(wanted)) if of_shares else (scores, wanted)
    rated = train(encoder, pictures, given[0], (others, given[1]), method=method, loss=loss)
    raw = rated.raw(others)
    assert raw.shape == ((32, 2) if of_shares else (32,))
    assert spearmanr(raw[:, 1] if of_shares else raw, wanted).statistic > 0.8
    assert torch.equal(before, weights(encoder)), "the encoder that was given stays as it was"
    assert (rated.encoder is encoder) == (method == "head")
    if of_shares:
        assert np.allclose(raw.sum(1), 1)
    if loss == "mse":
        assert np.abs(raw - wanted).mean() < 0.6, "mean squared error keeps the scale of the scores"


def test_shuffled_scores_teach_nothing(encoder):
    (pictures, scores), (others, wanted) = redness(64), redness(200, 1)
    found = []
    for seed in range(4):
        mixed = np.random.default_rng(seed).permutation(scores)
        found.append(spearmanr(train(encoder, pictures, mixed, method="head", seed=seed).raw(others), wanted).statistic)
    assert abs(np.mean(found)) < 0.6
    assert min(found) < 0.5, "a control that always follows the colour would be none"


def test_scores_do_not_depend_on_the_batch(encoder):
    pictures, scores = redness(20)
    rated = train(encoder, pictures, scores, epochs=2)
    one = rated.raw(pictures, 1)
    assert all(np.abs(rated.raw(pictures, size) - one).max() < 1e-5 for size in (7, 32))


def test_lora_trains_adapter_and_head_and_nothing_else(encoder):
    pictures, scores = redness(20)
    rated = train(encoder, pictures, scores, epochs=2)
    own = adapter_parameters(rated.encoder)
    assert all(bool(value.any()) for name, value in own.items() if "lora_B" in name)
    adapted = add_lora(encoder, rank=4, alpha=8.0, dropout=0.1, seed=1)
    for (name, after), before in zip(rated.encoder.model.named_parameters(), adapted.model.parameters(), strict=True):
        assert "lora_" in name or torch.equal(after, before), name
    assert not any(value.requires_grad for value in rated.encoder.model.parameters())


def test_the_best_epoch_is_kept_and_a_killed_run_goes_on(encoder, tmp_path):
    (pictures, scores), held = redness(32), redness(32, 1)
    whole = train(encoder, pictures, scores, held, epochs=4)
    rows = [row["validation/score"] for row in whole.history if "validation/score" in row]
    assert whole.score == max(rows)
    assert whole.best_epoch == 1 + rows.index(max(rows))
    assert whole.score == pytest.approx(spearmanr(whole.raw(held[0]), held[1]).statistic, abs=1e-3)

    class StopError(Exception):
        pass

    def kill(row):
        if row["step"] >= 4:
            raise StopError

    config = {"rank": 4, "batch_size": 16, "epochs": 4, "learning_rate": 3e-3, "head_dropout": 0.0, "seed": 1}
    settings = RateConfig(**config, hidden=(16,), patience=0)
    with pytest.raises(StopError):
        rate(encoder, pictures, scores, held, settings, tmp_path, device="cpu", progress=None, log=kill)
    again = rate(encoder, pictures, scores, held, settings, tmp_path, device="cpu", progress=None)
    assert np.array_equal(again.raw(held[0]), whole.raw(held[0]))


def test_pictures_of_any_size_and_conv_nets():
    lite = load_encoder("efficientnet-lite0", device="cpu", image_size=32)
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (40 + row, 48, 3), dtype=np.uint8) for row in range(6)]
    rated = train(lite, pictures, np.arange(6.0), epochs=1, last_blocks=2, batch_size=4, most_views=2)
    assert rated.raw(pictures).shape == (6,)


@pytest.mark.parametrize(
    ("targets", "changes", "message"),
    [
        (np.ones(4), {}, "all 4 targets of train are the same"),
        (np.array([1, 2, np.nan, 4]), {}, "target 2 of train is not a finite number"),
        (np.arange(3.0), {}, r"targets of train must be \[N\] scores for 4 pictures, at least 2, got shape \[3\]"),
        (np.arange(4.0), {"loss": "shares"}, r"must be \[N, K\] shares for 4 pictures"),
        (np.full((4, 2), 0.7), {"loss": "emd"}, "must lie in 0..1 and add up to 1"),
        (np.arange(4.0), {"loss": "huber"}, "loss must be one of mse, pearson, .*, got 'huber'"),
        (np.arange(4.0), {"method": "lora2"}, "method must be one of lora, full, head"),
        (np.arange(4.0), {"kind": "patch"}, "kind must be one of embedding, global, cls_patch"),
        (np.arange(4.0), {"batch_size": 1}, "batch_size must be at least 2, got 1"),
        (np.arange(4.0), {"epochs": 0}, "epochs must be at least 1, got 0"),
    ],
)
def test_bad_labels_and_settings(encoder, targets, changes, message):
    with pytest.raises(RateError, match=message):
        train(encoder, redness(4)[0], targets, **changes)


def test_an_adapted_encoder_is_not_fine_tuned(encoder):
    with pytest.raises(RateError, match=r"full fine-tuning starts from merged\(encoder\)"):
        train(add_lora(encoder), *redness(4), method="full")

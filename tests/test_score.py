import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from percept.cli import main
from percept.models.adapters import add_lora
from percept.models.encoders import load_encoder
from percept.score import ScoreError, load_score_model, save_score_model, score_folder, score_model
from percept.training.rate import RateConfig, rate


def redness(count, seed, size=64):
    rng = np.random.default_rng(seed)
    red = rng.uniform(0, 1, count)
    ground = np.stack([255 * red, 255 * (1 - red), np.full(count, 128)], 1)[:, None, None]
    return (ground + rng.normal(0, 20, (count, size, size, 3))).clip(0, 255).astype(np.uint8), 1 + 4 * red


@pytest.fixture(scope="module")
def encoder():
    return load_encoder(device="cpu")


@pytest.fixture(scope="module", params=["head", "lora", "full"])
def model(encoder, request):
    config = RateConfig(request.param, epochs=2, learning_rate=1e-3, last_blocks=1, hidden=(16,), rank=2)
    rated = rate(encoder, *redness(32, 0), config=config, device="cpu", progress=None)
    held = redness(40, 1)
    facts = {"low": 1, "high": 5, "label": "redness", "limits": "coloured noise only"}
    return score_model(rated, redness(32, 0)[0], held, **facts)


def test_scores_lie_on_the_scale_and_follow_the_labels(model):
    pictures, labels = redness(60, 2)
    table = model.predict(pictures)
    assert table["score"].between(1, 5).all()
    assert (table["low"] <= table["score"]).all()
    assert (table["score"] <= table["high"]).all()
    assert np.corrcoef(table["score"], labels)[0, 1] > 0.6
    assert ((table["low"] <= labels) & (labels <= table["high"])).mean() > 0.75


def test_scores_do_not_depend_on_the_batch(model):
    pictures = redness(12, 3)[0]
    one = model.predict(pictures, batch_size=1)
    for size in (7, 32):
        other = model.predict(pictures, batch_size=size)
        assert np.abs(one[["score", "low", "high"]] - other[["score", "low", "high"]]).to_numpy().max() < 1e-5


def test_pictures_unlike_the_training_data_are_marked(model):
    noise = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)
    assert (model.predict(noise)["warning"] == "unlike the training pictures").all()
    assert (model.predict(redness(40, 4)[0])["warning"] == "").mean() > 0.8


def test_a_stored_model_gives_the_same_table(model, tmp_path):
    save_score_model(model, tmp_path / "model")
    again = load_score_model(tmp_path / "model", device="cpu")
    pictures = redness(12, 3)[0]
    pd.testing.assert_frame_equal(model.predict(pictures), again.predict(pictures), atol=1e-5)
    assert (again.label, again.higher_is_better, again.limits) == ("redness", True, "coloured noise only")


def test_a_folder_with_broken_files_loses_nothing(model, tmp_path):
    save_score_model(model, tmp_path / "model")
    images = tmp_path / "images"
    (images / "inside").mkdir(parents=True)
    pictures = redness(3, 5)[0]
    for row, name in enumerate(["a.png", "inside/b.png", "写真.png"]):
        Image.fromarray(pictures[row]).save(images / name)
    (images / "broken.jpg").write_text("no picture")
    assert main(["score", str(images), "--model", str(tmp_path / "model"), "--device", "cpu"]) == 0
    table = pd.read_csv(tmp_path / "images-scores.csv").set_index("file")
    assert set(table.index) == {"a.png", "inside/b.png", "写真.png", "broken.jpg"}
    assert table.loc["broken.jpg", "warning"] == "is not an image; remove it or replace it"
    assert np.isnan(table.loc["broken.jpg", "score"])
    wanted = model.predict(pictures)["score"].round(4).tolist()
    assert np.allclose(table.loc[["a.png", "inside/b.png", "写真.png"], "score"], wanted, atol=2e-4)


def test_models_and_calibrations_that_are_refused(encoder, model, tmp_path):
    with pytest.raises(ScoreError, match=r"is no score model: score.json is missing; notebook 05 makes one"):
        load_score_model(tmp_path)
    folder = save_score_model(model, tmp_path / "model")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScoreError, match="no usable image"):
        score_folder(tmp_path / "empty", folder, device="cpu")
    facts = json.loads((folder / "score.json").read_text())
    (folder / "score.json").write_text(json.dumps(facts | {"format": 9}))
    with pytest.raises(ScoreError, match="has format 9; this version of percept reads 1"):
        load_score_model(folder)
    (folder / "score.json").write_text("{")
    with pytest.raises(ScoreError, match="does not describe a score model"):
        load_score_model(folder)
    (folder / "score.json").write_text(json.dumps(facts | {"fingerprint": "0" * 64}))
    with pytest.raises(ScoreError, match="Pass the encoder that it was trained on"):
        load_score_model(folder, device="cpu")
    with pytest.raises(ScoreError, match="at least 8 pictures and a label for each, got 4"):
        score_model(model.rated, redness(4, 0)[0], redness(4, 1), low=1, high=5)
    with pytest.raises(ValueError, match=r"outside the label range 1\.\.3"):
        score_model(model.rated, redness(8, 0)[0], redness(30, 1), low=1, high=3)
    shares = rate(
        encoder, redness(8, 0)[0], np.tile([[0.2, 0.8], [0.7, 0.3]], (4, 1)), device="cpu", progress=None,
        config=RateConfig("head", "shares", epochs=1),
    )  # fmt: skip
    with pytest.raises(ScoreError, match="predicts shares of classes"):
        score_model(shares, redness(8, 0)[0], redness(8, 1), low=1, high=5)


def test_a_score_model_of_an_adapted_base_needs_the_base(encoder):
    from percept.models.attention import AdapterError

    with pytest.raises(AdapterError, match="already has an adapter"):
        rate(add_lora(encoder), *redness(4, 0), config=RateConfig(epochs=1), device="cpu", progress=None)

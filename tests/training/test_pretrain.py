import argparse
import json
import math
import os
import signal
import subprocess
import sys

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from percept.data.pairs import ArrayPairs, PairsError
from percept.training.batches import Batches, to_square
from percept.training.config import TrainingError
from percept.training.launch import main, read_pairs
from percept.training.pretrain import PretrainConfig, pretrain
from percept.training.progress import read


def train(tiny, model=None, source=None, folder=None, **changes):
    model = model or tiny.model()
    settings = {"checkpoint_every": 0} | changes
    source = source or tiny.pairs()
    return pretrain(model, tiny.tokenizer, source, tiny.config(**settings), folder, device="cpu", progress=None)


@pytest.mark.slow
def test_kill_9_in_mid_epoch_or_while_saving_then_resume_gives_the_same_weights(script, finish, tmp_path):
    """An epoch has 3 steps and a checkpoint 4, so that the run resumes inside an epoch."""
    deaths = {"whole": "none", "stepping": 6, "saving": "saving"}
    started = {name: script("tiny_run", tmp_path / name, death) for name, death in deaths.items()}
    (whole,) = finish(started["whole"])
    finish(started["stepping"], expect=-signal.SIGKILL)
    finish(started["saving"], expect=-signal.SIGKILL)
    assert len(read(tmp_path / "stepping/metrics.jsonl")) == 6
    partial = [path.name for path in (tmp_path / "saving/checkpoints").iterdir()]
    assert sorted(partial) == [".partial-00000008", "step-00000004"]
    again = {name: script("tiny_run", tmp_path / name, "none") for name in ("stepping", "saving")}
    for processes in again.values():
        (resumed,) = finish(processes)
        assert whole.split()[0] == "0"
        assert resumed.split()[0] == "4"
        assert resumed.split()[1] == whole.split()[1]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """A tiny untrained model in open_clip's folder form."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    from percept.models.export import save_open_clip_folder

    words = ["[PAD]", "[UNK]", "[EOS]", "red", "green", "blue", "dark", "light", "picture"]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A [EOS]", special_tokens=[("[EOS]", 2)])
    root = tmp_path_factory.mktemp("model")
    tokenizer.save(str(root / "tokenizer.json"))
    text = {"context_length": 6, "vocab_size": 9, "width": 32, "heads": 2, "layers": 1, "pool_type": "eos"}
    config = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": text | {"eos_id": 2, "pad_id": 0, "hf_tokenizer_name": "local"},
    }
    numbers = {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}
    model = open_clip.CLIP(**{key: dict(value) if key != "embed_dim" else value for key, value in config.items()})
    return save_open_clip_folder(root / "folder", model, config, root / "tokenizer.json", numbers, dtype="fp32")


@pytest.fixture(scope="module")
def csv_file(tmp_path_factory):
    """48 pictures of one colour, in light and dark, with what they show."""
    root = tmp_path_factory.mktemp("pictures")
    rows = ["filepath,title"]
    for number in range(48):
        colour, tone = number % 3, number % 2
        pixels = np.zeros((40, 36, 3), np.uint8)
        pixels[..., colour] = 250 if tone else 110 + number
        Image.fromarray(pixels).save(root / f"{number}.png")
        rows.append(f"{number}.png,{('dark', 'light')[tone]} {('red', 'green', 'blue')[colour]} picture")
    (root / "pairs.csv").write_text("\n".join(rows))
    return root / "pairs.csv"


def arguments(model_folder, csv_file, out):
    settings = {"steps": 12, "batch-size": 16, "micro-batch": 4, "learning-rate": 0.003, "log-every": 1}
    flat = [text for name, value in (settings | {"min-crop": 1.0}).items() for text in (f"--{name}", str(value))]
    return ["--csv", str(csv_file), "--model", str(model_folder), "--out", str(out), *flat]


@pytest.mark.slow
def test_accelerate_launch_with_two_processes_trains_as_one_process_does(model_folder, csv_file, tmp_path):
    command = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"]
    command += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    command += ["-m", "percept.training.pretrain", *arguments(model_folder, csv_file, tmp_path / "two")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "2 processes" in done.stdout
    assert done.stdout.count("step 12 of 12") == 1  # one process speaks
    one = main([*arguments(model_folder, csv_file, tmp_path / "one"), "--device", "cpu"])
    curves = [[row["loss"] for row in rows] for rows in (one.history, read(tmp_path / "two/metrics.jsonl"))]
    assert curves[1] == pytest.approx(curves[0], rel=1e-4)
    norms = [[row["gradient_norm"] for row in rows] for rows in (one.history, read(tmp_path / "two/metrics.jsonl"))]
    assert norms[1] == pytest.approx(norms[0], rel=1e-3)
    assert curves[0][-1] < curves[0][0]
    # Both processes write one model that plain open_clip loads.
    models = [open_clip.create_model(f"local-dir:{tmp_path / name / 'model'}") for name in ("one", "two")]
    for first, second in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("loss", ["clip", "siglip"])
def test_learns_colours(tiny, loss):
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 3, 60)
    images = np.zeros((60, 32, 32, 3), np.uint8)
    images[np.arange(60), :, :, colours] = rng.integers(150, 250, (60, 1, 1))
    source = ArrayPairs(images, [["rgb"[colour] * 3] for colour in colours])
    model = tiny.model(bias=-10.0 if loss == "siglip" else None)
    train(tiny, model, source, steps=60, loss=loss, learning_rate=3e-3, micro_batch=0, batch_size=20)
    with torch.no_grad():
        pixels = Batches(source, tiny.tokenizer, tiny.config(batch_size=60, min_crop=1.0), 32)(0)
        rows = model.encode_image((pixels["images"] / 255.0 - 0.45) / 0.27, normalize=True)
        guess = (rows @ model.encode_text(tiny.tokenizer(["rrr", "ggg", "bbb"]), normalize=True).T).argmax(1)
    truth = colours[Batches(source, tiny.tokenizer, tiny.config(batch_size=60), 32).indices(0)]
    assert (guess.numpy() == truth).mean() > 0.95


def test_the_split_does_not_change_a_run(tiny):
    models = [tiny.model(), tiny.model()]
    curves = [
        [row["loss"] for row in train(tiny, model, micro_batch=size, steps=5).history]
        for model, size in zip(models, (0, 8), strict=True)
    ]
    assert curves[1] == pytest.approx(curves[0], rel=1e-5)


def test_a_model_with_an_unused_bias_trains_with_clip_loss(tiny):
    model = tiny.model(bias=-10.0)
    train(tiny, model, steps=2)
    assert model.logit_bias.item() == -10.0


def test_the_scale_is_kept_between_1_and_100(tiny):
    for start, end in ((6.0, math.log(100.0)), (-1.0, 0.0)):
        model = tiny.model()
        torch.nn.init.constant_(model.logit_scale, start)
        rows = train(tiny, model, steps=1).history
        assert model.logit_scale.item() == pytest.approx(end, abs=1e-3)
        assert rows[0]["logit_scale"] == pytest.approx(math.exp(start), rel=1e-3)  # of the step that was made


def test_an_epoch_shows_every_pair_once_and_epochs_differ(tiny):
    batches = Batches(tiny.pairs(96), tiny.tokenizer, tiny.config(), 32)
    epochs = [np.concatenate([batches.indices(3 * epoch + step) for step in range(3)]) for epoch in range(3)]
    assert all(sorted(epoch) == list(range(96)) for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    again = Batches(tiny.pairs(96), tiny.tokenizer, tiny.config(), 32)
    assert np.array_equal(again.indices(8), batches.indices(8))  # asked for in any order
    other = Batches(tiny.pairs(96), tiny.tokenizer, tiny.config(seed=1), 32)
    assert not np.array_equal(other.indices(8), batches.indices(8))


def test_a_batch_is_a_function_of_the_step(tiny):
    batches = Batches(tiny.pairs(), tiny.tokenizer, tiny.config(), 32)
    first, other, again = batches(4), batches(0), batches(4)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["crops"], other["crops"])
    assert first["images"].shape == (32, 3, 32, 32)


def test_other_data_of_another_size_is_refused_on_resume(tiny, tmp_path):
    train(tiny, folder=tmp_path, steps=2)
    with pytest.raises(TrainingError, match="pairs was 100, is 64"):
        train(tiny, source=tiny.pairs(64), folder=tmp_path, steps=2)


def test_other_data_of_the_same_size_is_refused_by_name(tiny, tmp_path):
    def named(identity):
        source = tiny.pairs()
        source.identity = identity
        return source

    train(tiny, source=named("scenes, seed 0"), folder=tmp_path, steps=2)
    assert train(tiny, source=named("scenes, seed 0"), folder=tmp_path, steps=2).resumed_from == 2
    for other, text in ((named("scenes, seed 1"), "scenes, seed 1"), (tiny.pairs(), "None")):
        with pytest.raises(TrainingError, match=f"data was scenes, seed 0, is {text}"):
            train(tiny, source=other, folder=tmp_path, steps=2)


def test_images_of_any_size_become_squares_that_keep_left_and_right():
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 30:] = 200  # the right half is bright
    squares = to_square([Image.fromarray(wide), wide[:, :30]], 16)
    assert squares.shape == (2, 3, 16, 16)
    assert squares.dtype == torch.uint8
    assert squares[0, 0, :, :6].max() < 20
    assert squares[0, 0, :, 10:].min() > 180
    drawn = [to_square([wide], 16, np.random.default_rng(seed)).float().mean() for seed in range(8)]
    assert np.ptp(drawn) > 50  # cut at different places
    exact = np.random.default_rng(0).integers(0, 255, (2, 16, 16, 3), dtype=np.uint8)
    assert torch.equal(to_square(exact, 16), torch.from_numpy(exact).permute(0, 3, 1, 2))


def test_what_cannot_be_trained_is_named(tiny):
    with pytest.raises(ValueError, match="100 pairs do not fill a batch of 512"):
        train(tiny, batch_size=512)
    with pytest.raises(ValueError, match="needs a model with a logit bias"):
        train(tiny, loss="siglip")
    with pytest.raises(ValueError, match='must be "clip" or "siglip"'):
        PretrainConfig(steps=1, loss="triplet")
    with pytest.raises(ValueError, match="batch_size must be at least 2"):
        PretrainConfig(steps=1, batch_size=1)
    with pytest.raises(PairsError, match="uint8"):
        ArrayPairs(np.zeros((2, 4, 4, 3)), [["a"], ["b"]])


def test_command_line_names_what_is_missing(tmp_path, csv_file, capsys):
    with pytest.raises(FileNotFoundError, match=r"no open_clip_config\.json"):
        main(["--csv", str(csv_file), "--model", str(tmp_path), "--out", str(tmp_path), "--steps", "1"])
    with pytest.raises(SystemExit):
        main(["--model", str(tmp_path), "--out", str(tmp_path), "--steps", "1"])
    assert "--csv --coco --webdataset" in capsys.readouterr().err


def test_the_embedded_settings_are_clips(tmp_path):
    config = PretrainConfig(steps=10)
    assert (config.betas, config.eps, config.weight_decay, config.learning_rate) == ((0.9, 0.98), 1e-6, 0.2, 5e-4)
    assert json.loads(json.dumps(config.betas)) == [0.9, 0.98]


def test_a_labelled_folder_with_own_sentences_is_a_source(tmp_path):
    for name in ("scratch", "dent"):
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.fromarray(np.full((8, 8, 3), 40 * number, np.uint8)).save(tmp_path / name / f"{number}.png")
    given = argparse.Namespace(folder=tmp_path, template=["a {} on the cover"], strict=True)
    images, texts = read_pairs(given).batch(np.arange(4), np.random.default_rng(0))
    assert len(images) == 4
    assert sorted(texts) == ["a dent on the cover"] * 2 + ["a scratch on the cover"] * 2
    (tmp_path / "labels.csv").write_text("file,score\nscratch/0.png,1\n")
    with pytest.raises(ValueError, match="needs a label for every image"):
        read_pairs(given)

import csv
import json
import os
import signal
import subprocess
import sys

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from percept import cli
from percept.data.opening import ImageError, open_image
from percept.embed import EmbedError, embed_folder, load_embeddings
from percept.models.encoders import load_encoder
from percept.models.export import save_open_clip_folder

CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 32, "layers": 1, "head_width": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
RULE = {"mean": [0.5] * 3, "std": [0.5] * 3}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    return save_open_clip_folder(tmp_path_factory.mktemp("m") / "model", open_clip.CLIP(**CONFIG), CONFIG, None, RULE)


@pytest.fixture(scope="module")
def encoder(model):
    return load_encoder(model, device="cpu")


@pytest.fixture
def pictures(tmp_path):
    """23 good images in two folders, one with a Japanese name, and three bad ones."""
    folder = tmp_path / "pictures"
    (folder / "写真").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(23):
        place = folder / "写真" if index % 3 == 0 else folder
        size = (40 + index, 50)
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(place / f"{index:02d}.png")
    (folder / "empty.jpg").touch()
    (folder / "words.png").write_text("no picture")
    cut = (folder / "01.png").read_bytes()
    (folder / "zz-cut.png").write_bytes(cut[: len(cut) // 2])
    return folder


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("[0-2][0-9].png"))


ACCELERATE = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0", "-m"]
ACCELERATE_CPU = ["accelerate.commands.launch", "--cpu", "--num_processes", "2", "-m"]


def launch(launcher, *arguments):
    command = [sys.executable, "-m", *launcher, "percept.embed", *map(str, arguments), "--device", "cpu"]
    done = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_rows_are_the_encoders_and_bad_images_are_listed(encoder, pictures, tmp_path):
    report = embed_folder(pictures, tmp_path / "out", encoder=encoder, shard_size=5, batch_size=3)
    assert report["complete"]
    assert report["embedded"] == 23
    result = load_embeddings(tmp_path / "out")
    assert result.paths == names(pictures)
    expected = encoder.encode_images([open_image(pictures / name) for name in result.paths])
    np.testing.assert_allclose(result.rows, expected.numpy(), rtol=1e-5, atol=1e-6)
    assert result.fingerprint == encoder.fingerprint
    with open(tmp_path / "out" / "problems.csv", encoding="utf-8", newline="") as handle:
        problems = {row["file"]: row["reason"] for row in csv.DictReader(handle)}
    assert set(problems) == {"empty.jpg", "words.png", "zz-cut.png"}
    assert all(problems.values())


@pytest.mark.parametrize("launcher", [ACCELERATE_CPU, ACCELERATE], ids=["cpu", "gpu command"])
def test_two_processes_equal_one(encoder, model, pictures, tmp_path, launcher):
    embed_folder(pictures, tmp_path / "one", encoder=encoder, shard_size=4)
    said = launch(launcher, pictures, "--encoder", model, "--shard-size", 4)
    beside = tmp_path / "pictures-embeddings"
    one, two = load_embeddings(tmp_path / "one"), load_embeddings(beside)
    assert one.paths == two.paths == names(pictures)
    np.testing.assert_allclose(one.rows, two.rows, rtol=1e-5, atol=1e-6)
    assert (tmp_path / "one" / "problems.csv").read_text() == (beside / "problems.csv").read_text()
    assert said.count("shards_written=3") == 2, "both processes did their share"


KILLED = """
import os, signal, sys
import percept.storage as storage
real, seen = os.replace, []
def replace(source, target):
    if "shard-" in str(target):
        seen.append(target)
        if len(seen) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
    return real(source, target)
storage.os.replace = replace
from percept.embed import main
main(sys.argv[1:])
"""


def test_kill_and_rerun_gives_each_row_once(encoder, model, pictures, tmp_path):
    out = tmp_path / "out"
    arguments = [str(pictures), "--output", str(out), "--encoder", str(model), "--shard-size", "4"]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(out.glob("shard-*.npz"))) == 2
    with pytest.raises(EmbedError, match="4 of 6 shards"):
        load_embeddings(out)
    kept = {path.name: path.stat().st_mtime_ns for path in out.glob("shard-*.npz")}
    report = embed_folder(pictures, out, encoder=encoder, shard_size=4)
    assert (report["shards_skipped"], report["shards_written"]) == (2, 4)
    assert all((out / name).stat().st_mtime_ns == time for name, time in kept.items())
    assert load_embeddings(out).paths == names(pictures)
    assert not list(out.glob(".*")), "the half-written file of the killed process is gone"


def test_a_rerun_follows_the_folder(encoder, pictures, tmp_path):
    out = tmp_path / "out"
    embed_folder(pictures, out, encoder=encoder, shard_size=6)
    before = load_embeddings(out)
    assert embed_folder(pictures, out, encoder=encoder, shard_size=6)["shards_written"] == 0
    target = pictures / before.paths[0]
    Image.new("RGB", (33, 44), "red").save(target)
    assert embed_folder(pictures, out, encoder=encoder, shard_size=6)["shards_written"] == 1
    after = load_embeddings(out)
    assert after.paths == before.paths
    assert not np.allclose(after.rows[0], before.rows[0], atol=1e-4)
    for name in names(pictures)[-9:]:
        (pictures / name).unlink()
    embed_folder(pictures, out, encoder=encoder, shard_size=6)
    assert load_embeddings(out).paths == names(pictures)
    assert len(list(out.glob("shard-*.npz"))) == 3, "shards of files that are gone are removed"


def test_a_damaged_shard_is_made_again(encoder, pictures, tmp_path):
    out = tmp_path / "out"
    embed_folder(pictures, out, encoder=encoder, shard_size=10)
    shard = out / "shard-00001.npz"
    shard.write_bytes(shard.read_bytes()[:200])
    with pytest.raises(EmbedError, match="1 of 3 shards"):
        load_embeddings(out)
    assert embed_folder(pictures, out, encoder=encoder, shard_size=10)["shards_written"] == 1
    assert load_embeddings(out).paths == names(pictures)


def test_another_encoder_or_kind_is_an_error(encoder, pictures, tmp_path):
    out = tmp_path / "out"
    embed_folder(pictures, out, encoder=encoder)
    torch.manual_seed(1)
    other = save_open_clip_folder(tmp_path / "other", open_clip.CLIP(**CONFIG), CONFIG, None, RULE)
    with pytest.raises(EmbedError, match="choose another output folder"):
        embed_folder(pictures, out, encoder=str(other), device="cpu")
    with pytest.raises(EmbedError, match="'embedding' rows"):
        embed_folder(pictures, out, encoder=encoder, kind="global")


def test_other_kinds_and_strictness(encoder, pictures, tmp_path):
    embed_folder(pictures, tmp_path / "patch", encoder=encoder, kind="patch", shard_size=10)
    assert load_embeddings(tmp_path / "patch").rows.shape == (23, 32, 2, 2)
    with pytest.raises(ImageError):
        embed_folder(pictures, tmp_path / "strict", encoder=encoder, strict=True)
    with pytest.raises(ImageError, match="no such folder"):
        embed_folder(tmp_path / "nothing", tmp_path / "out", encoder=encoder)


def test_folder_without_images_and_shard_of_bad_images(encoder, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert embed_folder(empty, tmp_path / "out", encoder=encoder)["complete"]
    assert load_embeddings(tmp_path / "out").rows.shape[0] == 0
    whole = tmp_path / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(whole)
    (empty / "a.png").write_bytes(whole.read_bytes()[:3000])
    Image.new("RGB", (32, 32)).save(empty / "b.png")
    report = embed_folder(empty, tmp_path / "out", encoder=encoder, shard_size=1)
    assert (report["embedded"], report["problems"]) == (1, 1)
    assert load_embeddings(tmp_path / "out").paths == ["b.png"]


def test_the_current_folder_has_its_shards_beside_it(model, pictures, monkeypatch, capsys):
    monkeypatch.chdir(pictures)
    assert cli.main(["embed", ".", "--encoder", str(model), "--device", "cpu"]) == 0
    assert "embedded: 23" in capsys.readouterr().out
    assert load_embeddings(pictures.with_name("pictures-embeddings")).paths == names(pictures)


def test_settings_that_cannot_work_are_named_before_anything_is_written(pictures, monkeypatch, capsys):
    monkeypatch.chdir(pictures)
    assert cli.main(["embed", ".", "--batch-size", "0"]) == 2
    assert "batch_size and shard_size must be at least 1, got 0 and 1024" in capsys.readouterr().err
    with pytest.raises(ValueError, match="kind must be one of"):
        embed_folder(".", kind="tokens")
    with pytest.raises(EmbedError, match="no place beside /: say with --output"):
        embed_folder("/")
    assert not pictures.with_name("pictures-embeddings").exists()


def test_outputs_need_no_pickle_and_no_absolute_path(encoder, pictures, tmp_path):
    embed_folder(pictures, tmp_path / "out", encoder=encoder)
    with np.load(tmp_path / "out" / "shard-00000.npz", allow_pickle=False) as shard:
        assert shard["embedding"].dtype == np.float32
        assert all(not str(path).startswith("/") for path in shard["path"])
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["fingerprint"] == encoder.fingerprint
    assert manifest["images"] == 24, "files that looked like images before they were decoded"

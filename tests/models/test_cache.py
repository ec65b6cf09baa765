import os
import sqlite3
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from percept.models.cache import EmbeddingCache, source_hash
from percept.models.encoders import load_encoder


@pytest.fixture(scope="module")
def encoder(tiny):
    return load_encoder(tiny.folder, device="cpu")


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def strict():
    """Any warning fails the test, so that recovery is never silent and never needless."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def only_file(folder):
    (file,) = folder.glob("*.sqlite")
    return file


def test_second_call_computes_nothing(encoder, pictures, tmp_path, monkeypatch, strict):
    cache = EmbeddingCache(tmp_path)
    first = cache.encode(encoder, pictures)
    assert torch.equal(first, encoder.encode_images(pictures))
    assert (cache.hits, cache.misses) == (0, 6)
    monkeypatch.setattr(encoder, "encode_images", None)
    again = EmbeddingCache(tmp_path)
    as_pil = [Image.fromarray(p) for p in pictures[::-1]]
    assert torch.equal(again.encode(encoder, as_pil), first.flip(0))
    assert (again.hits, again.misses) == (6, 0)


def test_duplicates_in_one_call_are_computed_once(encoder, pictures, tmp_path, strict):
    cache = EmbeddingCache(tmp_path)
    rows = cache.encode(encoder, pictures[[0, 1, 0, 0, 1]])
    assert cache.misses == 2
    assert torch.equal(rows[0], rows[2])
    torch.testing.assert_close(rows, encoder.encode_images(pictures[[0, 1, 0, 0, 1]]))


def test_kinds_encoders_and_precisions_do_not_mix(encoder, tiny, pictures, tmp_path, strict):
    from percept.models.export import save_open_clip_folder

    cache = EmbeddingCache(tmp_path / "cache")
    for kind in ("global", "cls_patch", "patch"):
        assert torch.equal(cache.encode(encoder, pictures, kind), encoder.features(pictures, kind))
        assert torch.equal(cache.encode(encoder, pictures, kind), encoder.features(pictures, kind))
    folder = save_open_clip_folder(
        tmp_path / "other", tiny.random_clip(seed=9), tiny.config, tiny.tokenizer, tiny.preprocess
    )
    other = load_encoder(folder, device="cpu")
    assert torch.equal(cache.encode(other, pictures), other.encode_images(pictures))
    assert torch.equal(cache.encode(encoder, pictures), encoder.encode_images(pictures))
    half = load_encoder(tiny.folder, device="cpu", precision="bf16")
    assert torch.equal(cache.encode(half, pictures), half.encode_images(pictures))
    assert len(list((tmp_path / "cache").iterdir())) == 6, "one file per encoder, precision and kind"
    with pytest.raises(ValueError, match="kind must be"):
        cache.encode(encoder, pictures, "tokens")


def test_rows_of_other_code_are_not_used(encoder, pictures, tmp_path, monkeypatch, strict):
    cache = EmbeddingCache(tmp_path / "cache")
    cache.encode(encoder, pictures)
    monkeypatch.setattr("percept.models.cache.code_version", lambda: "0ther000")
    cache.encode(encoder, pictures)
    assert (cache.hits, cache.misses) == (0, 12)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_the_code_version_follows_every_source(tmp_path):
    (tmp_path / "one.py").write_text("x = 1\n")
    seen = {source_hash(tmp_path)}
    for name, text in (("one.py", "x = 2\n"), ("two.py", "x = 2\n")):
        (tmp_path / name).write_text(text)
        seen.add(source_hash(tmp_path))
    (tmp_path / "notes.md").write_text("no code")
    assert len(seen | {source_hash(tmp_path)}) == 3


def test_same_bytes_in_another_shape_are_another_picture(encoder, tmp_path, strict):
    cache = EmbeddingCache(tmp_path)
    tall = np.random.default_rng(1).integers(0, 256, (1, 64, 32, 3), dtype=np.uint8)
    wide = tall.reshape(1, 32, 64, 3)
    assert not torch.equal(cache.encode(encoder, tall), cache.encode(encoder, wide))


@pytest.mark.parametrize("damage", ["garbage", "cut", "page"])
def test_a_damaged_file_is_recomputed_with_a_warning(encoder, pictures, tmp_path, damage):
    many = np.random.default_rng(2).integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
    cache = EmbeddingCache(tmp_path)
    expected = cache.encode(encoder, many)
    file = only_file(tmp_path)
    content = bytearray(file.read_bytes())
    if damage == "garbage":
        content = bytearray(b"not a database at all" * 100)
    elif damage == "cut":
        content = content[: len(content) // 2]
    else:
        content[4096:12288] = os.urandom(8192)
    file.write_bytes(content)
    with pytest.warns(UserWarning, match="damaged"):
        recovered = cache.encode(encoder, many)
    torch.testing.assert_close(recovered, expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(EmbeddingCache(tmp_path).encode(encoder, many), recovered)


def test_a_flipped_bit_in_a_value_is_noticed(encoder, pictures, tmp_path):
    cache = EmbeddingCache(tmp_path)
    expected = cache.encode(encoder, pictures)
    with sqlite3.connect(only_file(tmp_path)) as connection:
        key, value = connection.execute("SELECT key, value FROM rows").fetchone()
        connection.execute("UPDATE rows SET value = ? WHERE key = ?", (b"\xff" + value[1:], key))
    with pytest.warns(UserWarning, match="1 damaged rows"):
        torch.testing.assert_close(cache.encode(encoder, pictures), expected)
    assert cache.misses == 7


def test_a_locked_file_costs_time_but_no_result(encoder, pictures, tmp_path, monkeypatch):
    cache = EmbeddingCache(tmp_path)
    cache.encode(encoder, pictures[:2])
    monkeypatch.setattr("percept.models.cache.WAIT_SECONDS", 0.05)
    holder = sqlite3.connect(only_file(tmp_path), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.warns(UserWarning, match="cannot be used now"):
        rows = cache.encode(encoder, pictures)
    holder.close()
    torch.testing.assert_close(rows, encoder.encode_images(pictures))
    assert only_file(tmp_path).exists(), "a lock is no damage"


WRITER = """
import sys, warnings
import numpy as np, torch
warnings.simplefilter("error")
torch.set_num_threads(1)
from percept.models.cache import EmbeddingCache
from percept.models.encoders import load_encoder
folder, home, seed, go = sys.argv[1:]
import percept.models.cache as module
module.WRITE_EVERY = 7
pictures = np.random.default_rng(0).integers(0, 256, (200, 32, 32, 3), dtype=np.uint8)
order = np.random.default_rng(int(seed)).permutation(200)
encoder = load_encoder(folder, device="cpu")
import os, time
open(go + seed, "w").close()
while not (os.path.exists(go + "1") and os.path.exists(go + "2")):
    time.sleep(0.005)
rows = EmbeddingCache(home).encode(encoder, pictures[order])
torch.testing.assert_close(rows, encoder.encode_images(pictures[order]))
"""


def test_two_processes_writing_at_once(encoder, tiny, tmp_path, strict):
    home = tmp_path / "cache"
    commands = [
        [sys.executable, "-c", WRITER, str(tiny.folder), str(home), seed, str(tmp_path / "go")] for seed in ("1", "2")
    ]
    workers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    for worker in workers:
        _, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, errors
    with sqlite3.connect(only_file(home)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM rows").fetchone() == (200,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    pictures = np.random.default_rng(0).integers(0, 256, (200, 32, 32, 3), dtype=np.uint8)
    cache = EmbeddingCache(home)
    torch.testing.assert_close(cache.encode(encoder, pictures), encoder.encode_images(pictures))
    assert cache.misses == 0

import copy
import json
import os
import subprocess
import sys

import open_clip
import pytest
import torch

from percept.models.export import ExportError, save_open_clip_folder

PLAIN = """
import socket, sys
def refuse(*a, **k): raise OSError("no network")
socket.socket.connect = refuse
import open_clip, torch
model, _, preprocess = open_clip.create_model_and_transforms("local-dir:" + sys.argv[1])
tokens = open_clip.get_tokenizer("local-dir:" + sys.argv[1])(["a red cat", "a red dog"])
assert "percept" not in sys.modules
with torch.no_grad():
    torch.save((tokens, model.eval().encode_text(tokens), preprocess.transforms[-1].mean), sys.argv[2])
"""


def test_plain_open_clip_loads_the_folder_without_percept_and_network(tiny, tmp_path):
    out = tmp_path / "out.pt"
    env = dict(os.environ, HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")
    subprocess.run([sys.executable, "-c", PLAIN, str(tiny.folder), str(out)], check=True, env=env, cwd=tmp_path)
    tokens, features, mean = torch.load(out, weights_only=True)
    with torch.no_grad():
        torch.testing.assert_close(features, tiny.model.encode_text(tokens))
    assert list(mean) == tiny.preprocess["mean"]


def test_text_ends_with_eos_and_the_last_word_counts(tiny):
    tokenizer = open_clip.get_tokenizer(f"local-dir:{tiny.folder}")
    tokens = tokenizer(["a red cat", "a red dog", "cat " * 50])
    assert tokens.shape == (3, 12)
    assert (tokens == 2).sum(1).tolist() == [1, 1, 1]
    assert tokens[2, -1] == 2, "a cut text keeps its end token"
    assert tokens[0, -1] == 0
    with torch.no_grad():
        features = tiny.model.encode_text(tokens[:2], normalize=True)
    assert (features[0] - features[1]).norm() > 0.01


def test_default_pooling_would_miss_the_last_word_and_is_refused(tiny, tmp_path):
    trap = copy.deepcopy(tiny.config)
    del trap["text_cfg"]["pool_type"]
    torch.manual_seed(0)
    model = open_clip.CLIP(**trap).eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{tiny.folder}")
    texts = tokenizer(["zebras a", "zebras the"])
    assert texts[0].argmax() == texts[1].argmax() < 2, "the premise: the largest id stands before the last word"
    with torch.no_grad():
        features = model.encode_text(texts)
    torch.testing.assert_close(features[0], features[1])
    with pytest.raises(ExportError, match="pool_type='eos'"):
        save_open_clip_folder(tmp_path / "trap", model, trap, tiny.tokenizer, tiny.preprocess)
    assert not list(tmp_path.iterdir()), "nothing half-written stays"


def test_half_precision_storage(tiny, tmp_path):
    folder = save_open_clip_folder(
        tmp_path / "half", tiny.model, tiny.config, tiny.tokenizer, tiny.preprocess, dtype="fp16"
    )
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    assert model.logit_scale.item() == tiny.model.logit_scale.item()
    for (name, mine), theirs in zip(tiny.model.state_dict().items(), model.state_dict().values(), strict=True):
        torch.testing.assert_close(theirs, mine, rtol=1e-3, atol=1e-6, msg=name)


def test_replacing_a_folder_keeps_other_files_and_updates_ours(tiny, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    save_open_clip_folder(folder, tiny.model, tiny.config, tiny.tokenizer, tiny.preprocess, card="first")
    before = (folder / "open_clip_model.safetensors").read_bytes()
    save_open_clip_folder(folder, tiny.random_clip(seed=1), tiny.config, tiny.tokenizer, tiny.preprocess, card="second")
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "README.md").read_text() == "second"
    assert (folder / "open_clip_model.safetensors").read_bytes() != before
    assert [item.name for item in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eos_id": 5}, "end token has id 5"),
        ({"pad_id": 1}, "padding token has id 1"),
        ({"vocab_size": 10}, r"text_cfg\['vocab_size'\] is only 10"),
    ],
)
def test_tokenizer_and_config_must_agree(tiny, tmp_path, change, message):
    config = tiny.config | {"text_cfg": tiny.config["text_cfg"] | change}
    with pytest.raises(ExportError, match=message):
        save_open_clip_folder(tmp_path / "bad", tiny.model, config, tiny.tokenizer, tiny.preprocess)


def test_tokenizer_without_end_token_is_refused(tiny, tmp_path):
    plain = tiny.write_tokenizer(tmp_path / "plain.json", ends_with_eos=False)
    with pytest.raises(ExportError, match="does not end a text"):
        save_open_clip_folder(tmp_path / "bad", tiny.model, tiny.config, plain, tiny.preprocess)


def test_bad_weights_and_missing_keys_are_named(tiny, tmp_path):
    broken = tiny.random_clip()
    with torch.no_grad():
        broken.text_projection[0, 0] = 1e6
    with pytest.raises(ExportError, match=r"text_projection.*not finite"):
        save_open_clip_folder(tmp_path / "bad", broken, tiny.config, tiny.tokenizer, tiny.preprocess, dtype="fp16")
    with pytest.raises(ExportError, match="text_cfg"):
        save_open_clip_folder(tmp_path / "bad", broken, {"embed_dim": 1, "vision_cfg": {}}, None, tiny.preprocess)
    with pytest.raises(ExportError, match=r"\['std'\]"):
        save_open_clip_folder(tmp_path / "bad", tiny.model, tiny.config, tiny.tokenizer, {"mean": [0, 0, 0]})


def test_config_is_complete(tiny):
    config = json.loads((tiny.folder / "open_clip_config.json").read_text())
    assert config["model_cfg"]["text_cfg"]["hf_tokenizer_name"]
    assert config["preprocess_cfg"]["size"] == 32
    assert "hf_tokenizer_name" not in tiny.config["text_cfg"], "the caller's dict is not changed"

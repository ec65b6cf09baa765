"""Encoders and adapters as folders: the same outputs again, with percept and without."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import timm
import torch
from peft import PeftModel
from PIL import Image
from safetensors.torch import load_file, save_file

from percept.models.adapters import AdapterError, adapter_parameters, add_lora, merged, set_strength
from percept.models.encoders import Encoder, EncoderError, load_encoder
from percept.models.export import save_open_clip_folder
from percept.models.saving import load_adapter, save_adapter, save_encoder
from percept.models.weights import WeightsError

ROUTES = ("split", "mha", "fused", "pointwise")


@pytest.fixture(scope="module")
def bases(tiny) -> dict[str, Encoder]:
    torch.manual_seed(0)
    clip = load_encoder(tiny.folder, device="cpu")
    return {
        "split": clip,
        "mha": clip,
        "fused": load_encoder("timm:test_vit", "random", device="cpu"),
        "pointwise": load_encoder("efficientnet-lite0", device="cpu", image_size=64),
    }


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    draw = np.random.default_rng(3)
    return [Image.fromarray(draw.integers(0, 256, (90, 70, 3), dtype=np.uint8)) for _ in range(3)]


def trained(base: Encoder, route: str = "auto", **options):
    adapted = add_lora(base, rank=3, alpha=5.0, route=route, **options)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for value in adapter_parameters(adapted).values():
            value.copy_(torch.randn(value.shape, generator=generator) * 0.05)
    return adapted


def difference(first: torch.Tensor, second: torch.Tensor) -> float:
    return float((first - second).abs().max())


@pytest.mark.parametrize("last", [None, 1])
@pytest.mark.parametrize("route", ROUTES)
def test_a_reloaded_adapter_computes_the_same(bases, pictures, tmp_path, route, last):
    adapted = trained(bases[route], route, last_blocks=last)
    set_strength(adapted, 0.3)
    expected = adapted.encode_images(pictures)
    assert difference(expected, bases[route].encode_images(pictures)) > 1e-3
    again = load_adapter(bases[route], save_adapter(adapted, tmp_path / "adapter"))
    assert torch.equal(again.encode_images(pictures), expected)
    assert (again.facts, again.strength, again.fingerprint) == (adapted.facts, 0.3, adapted.fingerprint)
    set_strength(again, 0.0)
    assert difference(again.encode_images(pictures), bases[route].encode_images(pictures)) < 1e-6


@pytest.mark.parametrize("route", ROUTES)
def test_a_merged_folder_computes_the_same(bases, pictures, tmp_path, route):
    adapted = trained(bases[route], route)
    if adapted.tokenizer is not None:
        # Use leaves padding in the tokenizer, which must not get into the file.
        texts = adapted.encode_texts(["a red cat", "two zebras and a cat"])
    expected = adapted.encode_images(pictures)
    again = load_encoder(save_encoder(adapted, tmp_path / "encoder"), device="cpu")
    assert difference(again.encode_images(pictures), expected) < 1e-6
    assert again.fingerprint == merged(adapted).fingerprint
    assert again.image_size == adapted.image_size
    if adapted.tokenizer is not None:
        assert torch.equal(again.encode_texts(["a red cat", "two zebras and a cat"]), texts)


def test_an_unchanged_encoder_keeps_its_fingerprint(bases, tmp_path):
    for name, base in bases.items():
        assert load_encoder(save_encoder(base, tmp_path / name), device="cpu").fingerprint == base.fingerprint


def test_quickgelu_and_half_precision_survive(tiny, pictures, tmp_path):
    torch.manual_seed(0)
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    config = tiny.config | {"quick_gelu": True, "text_cfg": text}
    save_open_clip_folder(tmp_path / "base", open_clip.CLIP(**config), config, None, tiny.preprocess, "fp32")
    base = load_encoder(tmp_path / "base", device="cpu")
    full = load_encoder(save_encoder(base, tmp_path / "fp32"), device="cpu")
    assert full.parts["activation"] == "quickgelu"
    assert full.fingerprint == base.fingerprint
    half = load_encoder(save_encoder(base, tmp_path / "fp16", dtype="fp16", card="# Small\n"), device="cpu")
    assert 0 < difference(half.encode_images(pictures), base.encode_images(pictures)) < 0.01
    assert (tmp_path / "fp16" / "README.md").read_text() == "# Small\n"


def plain_clip(folder: Path):
    """The model as its users hold it; nothing here comes from percept."""
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    return model.eval(), transform


@pytest.mark.parametrize("route", ["split", "mha"])
@pytest.mark.parametrize("strength", [1.0, 0.25, 0.0])
def test_plain_peft_loads_the_adapter_on_plain_open_clip(tiny, bases, pictures, tmp_path, route, strength):
    adapted = trained(bases[route], route)
    set_strength(adapted, strength)
    save_adapter(adapted, tmp_path / "adapter")
    model, transform = plain_clip(tiny.folder)
    model = PeftModel.from_pretrained(model, str(tmp_path / "adapter")).eval()
    pixels = torch.stack([transform(picture) for picture in pictures])
    with torch.inference_mode():
        rows = model.get_base_model().encode_image(pixels, normalize=True)
    assert difference(rows, adapted.encode_images(pictures)) < 1e-6
    with torch.inference_mode():
        rows = model.merge_and_unload().encode_image(pixels, normalize=True)
    assert difference(rows, adapted.encode_images(pictures)) < 1e-6


def test_the_fused_form_is_the_same_matrix(tiny, bases, tmp_path):
    adapted = trained(bases["split"])
    save_adapter(adapted, tmp_path / "adapter")
    own = adapter_parameters(adapted)
    stored = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (9, 15.0)
    for index in range(2):
        place = f"visual.transformer.resblocks.{index}.attn"
        change = [
            own[f"{place}.{part}_proj.lora_B.default.weight"] @ own[f"{place}.{part}_proj.lora_A.default.weight"]
            for part in "qkv"
        ]
        start = f"base_model.model.{place}"
        fused = stored[f"{start}.lora_B.weight"] @ stored[f"{start}.lora_A.weight"]
        assert torch.allclose(fused * 15 / 9, torch.cat(change) * 5 / 3, atol=1e-8)
        assert not any(stored[f"{start}.base_layer.out_proj.lora_{part}.weight"].any() for part in "AB")
    assert len(stored) == 8


@pytest.mark.parametrize(("route", "name"), [("fused", "test_vit"), ("pointwise", "tf_efficientnet_lite0")])
def test_plain_peft_loads_the_adapter_on_plain_timm(bases, pictures, tmp_path, route, name):
    adapted = trained(bases[route])
    save_adapter(adapted, tmp_path / "adapter")
    save_encoder(bases[route], tmp_path / "base")
    model = timm.create_model(name)
    model.load_state_dict(load_file(tmp_path / "base" / "model.safetensors"))
    model = PeftModel.from_pretrained(model, str(tmp_path / "adapter")).eval().get_base_model()
    pixels = torch.stack([adapted.preprocess(picture) for picture in pictures])
    with torch.inference_mode():
        rows = model.forward_head(model.forward_features(pixels), pre_logits=True)
    assert difference(rows, adapted.features(pictures)) < 1e-5


CLEAN = """
import importlib.abc, json, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "percept":
            raise ImportError("percept is not installed here")

sys.meta_path.insert(0, Blocked())
try:
    import percept
except ImportError:
    pass
else:
    raise SystemExit("percept could be imported")

import numpy as np, open_clip, timm, torch
from peft import PeftModel
from PIL import Image

home = sys.argv[1]
pictures = [Image.open(f"{home}/{index}.png") for index in range(3)]
rows = {}

def clip(folder, adapter=None):
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    if adapter:
        model = PeftModel.from_pretrained(model, adapter).get_base_model()
    pixels = torch.stack([transform(picture) for picture in pictures])
    return model.eval().encode_image(pixels, normalize=True).numpy()

def of_timm(folder, adapter=None):
    model = timm.create_model(f"local-dir:{folder}", pretrained=True)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    if adapter:
        model = PeftModel.from_pretrained(model, adapter).get_base_model()
    pixels = torch.stack([transform(picture) for picture in pictures])
    model = model.eval()
    out = model.forward_head(model.forward_features(pixels), pre_logits=True)
    return torch.nn.functional.normalize(out, dim=-1).numpy()

with torch.inference_mode():
    for name, load in {"split": clip, "mha": clip, "fused": of_timm, "pointwise": of_timm}.items():
        rows[f"{name}_merged"] = load(f"{home}/{name}_merged")
        rows[f"{name}_adapter"] = load(f"{home}/{name}_base", f"{home}/{name}_adapter")
assert not any(name.split(".")[0] == "percept" for name in sys.modules)
np.savez(f"{home}/rows.npz", **rows)
"""


@pytest.mark.slow
def test_a_clean_environment_computes_the_same_embeddings(pictures, tmp_path):
    torch.manual_seed(0)
    bases = {
        "split": load_encoder("percept-tiny", device="cpu"),
        "mha": load_encoder("percept-tiny", device="cpu"),
        "fused": load_encoder("timm:vit_tiny_patch16_224", "random", device="cpu"),
        "pointwise": load_encoder("efficientnet-lite0", device="cpu", image_size=96),
    }
    expected = {}
    for name, base in bases.items():
        adapted = trained(base, name, last_blocks=2)
        expected[name] = adapted.encode_images(pictures)
        assert difference(expected[name], base.encode_images(pictures)) > 1e-3
        save_encoder(base, tmp_path / f"{name}_base")
        save_encoder(adapted, tmp_path / f"{name}_merged")
        save_adapter(adapted, tmp_path / f"{name}_adapter")
    for index, picture in enumerate(pictures):
        picture.save(tmp_path / f"{index}.png")
    (tmp_path / "clean.py").write_text(CLEAN)
    done = subprocess.run(
        [sys.executable, "-I", str(tmp_path / "clean.py"), str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = np.load(tmp_path / "rows.npz")
    for name, wanted in expected.items():
        for form in ("merged", "adapter"):
            assert np.abs(rows[f"{name}_{form}"] - wanted.numpy()).max() < 1e-5, (name, form)


@pytest.fixture
def saved(bases, tmp_path) -> Path:
    return save_adapter(trained(bases["split"], last_blocks=1), tmp_path / "adapter")


def test_an_adapter_of_another_encoder_is_refused(tiny, bases, saved):
    other = merged(trained(bases["split"]))
    with pytest.raises(AdapterError, match=r"belongs to the encoder .* with fingerprint [0-9a-f]{12};"):
        load_adapter(other, saved)


@pytest.mark.parametrize("name", ["percept_adapter.json", "adapter_model.safetensors"])
def test_a_missing_file_is_named(bases, saved, name):
    (saved / name).unlink()
    with pytest.raises(AdapterError, match=f"{name} is missing"):
        load_adapter(bases["split"], saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"route": "wavy"}, "route must be 'auto' or one of"),
        ({"rank": 0}, "rank must be a whole number of at least 1"),
        ({"rank": 2}, "does not hold the tensors that percept_adapter"),
        ({"last_blocks": 2}, "does not hold the tensors"),
        ({"alpha": 9.0}, "is not the file that percept_adapter.json describes"),
        ({"format": 2}, "has format 2"),
        ({"strength": "much"}, "does not describe an adapter"),
        ({"colour": 1}, "does not describe an adapter"),
    ],
)
def test_facts_that_do_not_fit_are_refused(bases, saved, change, message):
    file = saved / "percept_adapter.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(AdapterError, match=message):
        load_adapter(bases["split"], saved)


@pytest.mark.parametrize("content", ["", "[]", "{}", "null"])
def test_a_facts_file_of_another_kind_is_refused(bases, saved, content):
    (saved / "percept_adapter.json").write_text(content)
    with pytest.raises(AdapterError, match=r"percept_adapter\.json does not describe an adapter"):
        load_adapter(bases["split"], saved)


def test_damaged_and_exchanged_weights_are_refused(bases, saved):
    file = saved / "adapter_model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="not a complete safetensors file"):
        load_adapter(bases["split"], saved)
    file.write_bytes(whole)
    tensors = load_file(file)
    mixed = {name: value + (".lora_B" in name) for name, value in tensors.items()}
    save_file(mixed, file)
    with pytest.raises(AdapterError, match="mixes q, k and v"):
        load_adapter(bases["split"], saved)
    name = next(name for name in tensors if "lora_A" in name and "out_proj" not in name)
    tensors[name] = tensors[name] * 1.001
    save_file(tensors, file)
    with pytest.raises(AdapterError, match="is not the file that"):
        load_adapter(bases["split"], saved)


def test_adapters_that_are_not_finite_are_not_written(bases, tmp_path):
    adapted = trained(bases["fused"])
    with torch.no_grad():
        next(iter(adapter_parameters(adapted).values()))[0, 0] = float("nan")
    for save in (save_adapter, save_encoder):
        with pytest.raises(AdapterError, match="is not finite"):
            save(adapted, tmp_path / "adapter")
    assert not list(tmp_path.iterdir())


def test_encoders_without_an_adapter_are_not_saved_as_one(bases, tmp_path):
    with pytest.raises(AdapterError, match="there is no adapter here"):
        save_adapter(bases["split"], tmp_path / "adapter")


def test_saving_again_replaces_the_folder_and_keeps_a_users_file(bases, tmp_path):
    folder = save_adapter(trained(bases["split"]), tmp_path / "adapter")
    (folder / "notes.txt").write_text("mine")
    second = trained(bases["split"], last_blocks=1)
    save_adapter(second, folder)
    assert (folder / "notes.txt").read_text() == "mine"
    assert load_adapter(bases["split"], folder).fingerprint == second.fingerprint
    assert [item.name for item in tmp_path.iterdir()] == ["adapter"]


def test_image_size_of_a_conv_net(pictures, tmp_path):
    small = load_encoder("efficientnet-lite0", device="cpu", image_size=96)
    usual = load_encoder("efficientnet-lite0", device="cpu")
    assert (small.image_size, usual.image_size) == (96, 224)
    assert small.fingerprint != usual.fingerprint
    assert small.features(pictures, "patch").shape == (3, 1280, 3, 3)
    assert usual.features(pictures, "patch").shape == (3, 1280, 7, 7)
    assert small.preprocess.size == (96, 96)
    folder = save_encoder(usual, tmp_path / "lite")
    assert load_encoder(folder, device="cpu", image_size=96).fingerprint == small.fingerprint


@pytest.mark.parametrize(
    ("name", "pretrained", "size", "message"),
    [
        ("timm:test_vit", "random", 96, "fixed grid of patches; leave out image_size=96"),
        ("percept-tiny", None, 96, "reads pictures of one size; leave out image_size=96"),
        ("ViT-B-32", "random", 96, "reads pictures of one size"),
        ("efficientnet-lite0", None, 16, "image_size must be a whole number of at least 32, got 16"),
        ("efficientnet-lite0", None, 96.0, "image_size must be a whole number"),
    ],
)
def test_image_sizes_that_are_refused(name, pretrained, size, message):
    with pytest.raises(EncoderError, match=message):
        load_encoder(name, pretrained, device="cpu", image_size=size)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "is not a timm configuration"),
        ("{}", "is not a timm configuration"),
        ('{"architecture": "vit_tinny"}', "which timm has not"),
        ('{"architecture": "test_vit2", "pretrained_cfg": {}}', "does not fit its architecture test_vit2"),
    ],
)
def test_timm_folders_that_are_refused(bases, tmp_path, config, message):
    folder = save_encoder(bases["fused"], tmp_path / "vit")
    (folder / "config.json").write_text(config)
    with pytest.raises(EncoderError, match=message):
        load_encoder(folder, device="cpu")


def test_timm_folders_bring_weights_and_activation(bases, tmp_path):
    folder = save_encoder(bases["fused"], tmp_path / "vit")
    with pytest.raises(EncoderError, match="brings its own weights"):
        load_encoder(folder, "random", device="cpu")
    with pytest.raises(EncoderError, match="leave out activation='gelu'"):
        load_encoder(folder, device="cpu", activation="gelu")
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="does not exist"):
        load_encoder(folder, device="cpu")

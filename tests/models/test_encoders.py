import json
import shutil
import warnings

import numpy as np
import open_clip
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from percept.models.encoders import EncoderError, NoTextTower, load_encoder
from percept.models.hub import HubUnavailable
from percept.models.towers import NoSuchFeature
from percept.models.weights import WeightsError

SMALL_VIT = {"image_size": 32, "patch_size": 8, "width": 64, "layers": 1, "head_width": 32}


@pytest.fixture(scope="module")
def encoder(tiny):
    return load_encoder(tiny.folder, device="cpu")


@pytest.fixture(scope="module")
def vit():
    torch.manual_seed(0)
    return load_encoder("timm:vit_tiny_patch16_224", "random", device="cpu")


@pytest.fixture(scope="module")
def lite():
    return load_encoder("efficientnet-lite0", device="cpu")


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


def unit(x):
    return torch.nn.functional.normalize(x, dim=-1)


def test_embeddings_equal_plain_open_clip(encoder, tiny, pictures):
    _, _, transform = open_clip.create_model_and_transforms(f"local-dir:{tiny.folder}")
    images = [Image.fromarray(p) for p in pictures] + [Image.fromarray(pictures[0]).resize((61, 40))]
    with torch.no_grad():
        expected = unit(tiny.model.encode_image(torch.stack([transform(i) for i in images])))
        texts = open_clip.get_tokenizer(f"local-dir:{tiny.folder}")(["a red cat", "赤い猫"])
        expected_text = unit(tiny.model.encode_text(texts))
    got = encoder.encode_images(images, batch_size=4)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(encoder.encode_texts(["a red cat", "赤い猫"]), expected_text)
    assert got.dtype == torch.float32
    assert got.shape == (6, encoder.dim)
    assert not got.is_inference()
    assert not got.requires_grad
    assert encoder.image_size == 32
    assert encoder.logit_scale == pytest.approx(1 / 0.07, rel=1e-5)


@pytest.mark.parametrize("which", ["encoder", "vit", "lite"])
@pytest.mark.parametrize("size", [(32, 32), (224, 224), (50, 70)])
def test_arrays_lists_and_tensors_give_the_same_bits(which, size, request):
    tested = request.getfixturevalue(which)
    pixels = np.random.default_rng(1).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    images = [Image.fromarray(p) for p in pixels]
    by_image = torch.stack([tested.preprocess(i) for i in images])
    rule = tested.preprocess
    assert torch.equal(rule.scale(torch.from_numpy(rule.pixels(pixels))), by_image)
    expected = tested.encode_images(images)
    for form in (pixels, torch.from_numpy(pixels), list(pixels)):
        assert torch.equal(tested.encode_images(form), expected)


def test_preprocessing_equals_timms_own(vit, lite):
    image = Image.fromarray(np.random.default_rng(2).integers(0, 256, (90, 60, 3), dtype=np.uint8))
    from timm.data import create_transform, resolve_model_data_config

    for tested in (vit, lite):
        transform = create_transform(**resolve_model_data_config(tested.model), is_training=False)
        assert torch.equal(tested.preprocess(image), transform(image))


def test_fast_path_only_where_geometry_changes_nothing(encoder, vit):
    assert encoder.preprocess.leaves_unchanged(32, 32)
    # timm enlarges to 248 and cuts 224 out: an array of 224 must go the same way.
    assert not vit.preprocess.leaves_unchanged(224, 224)


def test_batch_size_progress_and_order(encoder, pictures):
    calls = []
    one = encoder.encode_images(pictures, batch_size=2, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(2, 5), (4, 5), (5, 5)]
    torch.testing.assert_close(one, encoder.encode_images(pictures), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(one[3:4], encoder.encode_images(pictures[3:4]), rtol=1e-5, atol=1e-6)


def test_features_of_an_open_clip_vit(encoder, tiny, pictures):
    pooled = encoder.features(pictures, "global")
    assert pooled.shape == (5, 64)
    projected = unit(pooled @ tiny.model.visual.proj.detach())
    torch.testing.assert_close(projected, encoder.encode_images(pictures), rtol=1e-5, atol=1e-6)
    patch = encoder.features(pictures, "patch")
    assert patch.shape == (5, 64, 4, 4)
    captured = {}
    handle = encoder.visual.transformer.register_forward_hook(lambda m, i, out: captured.update(x=out.clone()))
    encoder.encode_images(pictures)
    handle.remove()
    tokens = captured["x"]
    expected = torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], -1)
    torch.testing.assert_close(encoder.features(pictures, "cls_patch"), expected, rtol=1e-5, atol=1e-6)
    normed = encoder.visual.ln_post(tokens.clone())[:, 1:].detach()
    torch.testing.assert_close(patch.flatten(2).transpose(1, 2), normed, rtol=1e-4, atol=1e-5)


def test_features_of_a_timm_vit(vit, pictures):
    with torch.no_grad():
        x = torch.stack([vit.preprocess(Image.fromarray(p)) for p in pictures[:2]])
        tokens = vit.model.forward_features(x)
    torch.testing.assert_close(vit.features(pictures[:2], "global"), tokens[:, 0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(vit.encode_images(pictures[:2]), unit(tokens[:, 0]), rtol=1e-4, atol=1e-5)
    patch = vit.features(pictures[:2], "patch")
    assert patch.shape == (2, 192, 14, 14)
    torch.testing.assert_close(patch.flatten(2).transpose(1, 2), tokens[:, 1:], rtol=1e-4, atol=1e-4)
    both = vit.features(pictures[:2], "cls_patch")
    assert both.shape == (2, 384)
    normed = vit.model.norm(both[:, :192])
    torch.testing.assert_close(normed, tokens[:, 0], rtol=1e-4, atol=1e-4)


def test_features_of_conv_nets(lite, pictures):
    maps = lite.features(pictures, "patch")
    assert maps.shape == (5, 1280, 7, 7)
    torch.testing.assert_close(lite.features(pictures), maps.mean((2, 3)), rtol=1e-4, atol=1e-5)
    with pytest.raises(NoSuchFeature, match="class token"):
        lite.features(pictures, "cls_patch")
    with pytest.raises(ValueError, match="kind must be one of"):
        lite.features(pictures, "tokens")


@pytest.mark.parametrize(
    "vision",
    [
        {"layers": [1, 1, 1, 1], "width": 8, "image_size": 32, "head_width": 16},
        {"timm_model_name": "resnet10t", "timm_pool": "avg", "timm_proj": "linear", "image_size": 32},
        SMALL_VIT | {"pool_type": "avg"},
        SMALL_VIT | {"attentional_pool": True, "attn_pooler_heads": 2},
    ],
    ids=["resnet", "timm", "average", "attention"],
)
def test_other_open_clip_towers(tiny, tmp_path, pictures, vision):
    from percept.models.export import save_open_clip_folder

    config = tiny.config | {"vision_cfg": vision}
    model = open_clip.CLIP(**config).eval()
    folder = save_open_clip_folder(tmp_path / "m", model, config, tiny.tokenizer, tiny.preprocess, dtype="fp32")
    tested = load_encoder(folder, device="cpu")
    assert tested.encode_images(pictures).shape == (5, 48)
    assert tested.features(pictures, "patch").ndim == 4
    assert tested.features(pictures).ndim == 2


def test_no_text_tower_is_said(lite):
    with pytest.raises(NoTextTower, match="no text tower"):
        lite.encode_texts(["a cat"])
    assert lite.logit_scale is None


def test_long_text_warns_once_and_names_it(tiny):
    tested = load_encoder(tiny.folder, device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tested.encode_texts(["a red cat"])
        exact = tested.encode_texts(["cat " * 11])
    with pytest.warns(UserWarning, match=r"text 1 has 31 tokens and is cut to 12.*cat cat"):
        cut = tested.encode_texts(["a red cat", "cat " * 30])
    torch.testing.assert_close(cut[1:], exact)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tested.encode_texts(["cat " * 30])


def test_fingerprint_covers_weights_activation_preprocessing_and_architecture(tiny, tmp_path):
    from percept.models.export import save_open_clip_folder

    base = load_encoder(tiny.folder, device="cpu").fingerprint
    assert base == load_encoder(str(tiny.folder), device="cpu").fingerprint
    copied = tmp_path / "elsewhere"
    shutil.copytree(tiny.folder, copied)
    assert base == load_encoder(copied, device="cpu").fingerprint, "the place does not matter"

    seen = {base}
    changed = load_file(tiny.folder / "open_clip_model.safetensors")
    changed["visual.proj"][0, 0] += 1e-3
    save_file(changed, copied / "open_clip_model.safetensors")
    seen.add(load_encoder(copied, device="cpu").fingerprint)
    shutil.copy(tiny.folder / "open_clip_model.safetensors", copied)
    for part, key, value in [
        ("model_cfg", "quick_gelu", True),
        ("preprocess_cfg", "mean", [0.5, 0.5, 0.5]),
        ("preprocess_cfg", "interpolation", "bilinear"),
        ("preprocess_cfg", "resize_mode", "squash"),
    ]:
        config = json.loads((tiny.folder / "open_clip_config.json").read_text())
        config[part][key] = value
        (copied / "open_clip_config.json").write_text(json.dumps(config))
        seen.add(load_encoder(copied, device="cpu").fingerprint)
    wider = tiny.config | {"vision_cfg": tiny.config["vision_cfg"] | {"head_width": 16}}
    folder = save_open_clip_folder(tmp_path / "heads", tiny.model, wider, tiny.tokenizer, tiny.preprocess, dtype="fp32")
    seen.add(load_encoder(folder, device="cpu").fingerprint)
    assert len(seen) == 7


def test_weights_file_needs_an_activation_and_quickgelu_differs(tiny, tmp_path, monkeypatch, pictures):
    small = tiny.config | {
        "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1}
    }
    (tmp_path / "cfg").mkdir()
    (tmp_path / "cfg" / "percept-test-small.json").write_text(json.dumps(small))
    open_clip.add_model_config(tmp_path / "cfg")
    torch.manual_seed(0)
    state = open_clip.CLIP(**small).state_dict()
    file = tmp_path / "w.safetensors"
    save_file(state, file)
    with pytest.raises(EncoderError, match=r"does not say which activation.*activation='quickgelu'"):
        load_encoder("percept-test-small", file, device="cpu")
    plain = load_encoder("percept-test-small", file, activation="gelu", device="cpu")
    quick = load_encoder("percept-test-small", file, activation="quickgelu", device="cpu")
    assert plain.fingerprint != quick.fingerprint
    assert (plain.encode_images(pictures) - quick.encode_images(pictures)).abs().max() > 1e-5
    assert plain.encode_texts(["a cat"]).shape == (1, 48)

    openai = state | {
        "input_resolution": torch.tensor(32),
        "context_length": torch.tensor(12),
        "vocab_size": torch.tensor(9),
    }
    torch.save(openai, tmp_path / "openai.pt")
    with pytest.raises(EncoderError, match=r"OpenAI.*QuickGELU"):
        load_encoder("percept-test-small", tmp_path / "openai.pt", activation="gelu", device="cpu")
    loaded = load_encoder("percept-test-small", tmp_path / "openai.pt", activation="quickgelu", device="cpu")
    assert loaded.fingerprint == quick.fingerprint, "the same weights in another container"

    torch.save({"visual.proj": torch.zeros(3, 3)}, tmp_path / "part.pt")
    with pytest.raises(EncoderError, match="does not fit percept-test-small"):
        load_encoder("percept-test-small", tmp_path / "part.pt", activation="gelu", device="cpu")
    with pytest.raises(EncoderError, match="'random', or a tag"):
        load_encoder("percept-test-small", device="cpu")


class Bomb:
    def __reduce__(self):
        return (print, ("code ran",))


def test_weights_that_need_code_are_refused(tmp_path, capsys):
    torch.save({"state_dict": Bomb()}, tmp_path / "bomb.pt")
    with pytest.raises(WeightsError, match="only by running code"):
        load_encoder("ViT-B-32", tmp_path / "bomb.pt", activation="gelu", device="cpu")
    with pytest.raises(WeightsError, match="only by running code"):
        load_encoder("timm:vit_tiny_patch16_224", tmp_path / "bomb.pt", device="cpu")
    assert "code ran" not in capsys.readouterr().out
    scripted = torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2))
    torch.jit.save(scripted, str(tmp_path / "script.pt"))
    with pytest.raises(WeightsError, match=r"TorchScript archive.*convert it once"):
        load_encoder("ViT-B-32", tmp_path / "script.pt", activation="quickgelu", device="cpu")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    with pytest.raises(WeightsError, match="not a complete safetensors"):
        load_encoder("ViT-B-32", tmp_path / "cut.safetensors", activation="gelu", device="cpu")
    with pytest.raises(WeightsError, match="does not exist"):
        load_encoder("ViT-B-32", tmp_path / "none.safetensors", activation="gelu", device="cpu")


def test_timm_weights_file(tmp_path, pictures, no_network):
    torch.manual_seed(3)
    model = timm.create_model("vit_tiny_patch16_224", num_classes=7).eval()
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    headless = {k: v for k, v in model.state_dict().items() if not k.startswith("head.")}
    save_file(headless, tmp_path / "headless.safetensors")
    results = [
        load_encoder("timm:vit_tiny_patch16_224", tmp_path / name, device="cpu").features(pictures[:1])
        for name in ("w.safetensors", "headless.safetensors")
    ]
    with torch.no_grad():
        pixels = load_encoder("timm:vit_tiny_patch16_224", "random", device="cpu").preprocess(
            Image.fromarray(pictures[0])
        )
        expected = model.forward_head(model.forward_features(pixels[None]), pre_logits=True)
    for result in results:
        torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(EncoderError, match="does not fit"):
        load_encoder("timm:vit_tiny_patch16_224", tmp_path / "other.safetensors", device="cpu")


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("ViT-B-32", "laion2b_s34b_b79k"),
        ("ViT-B-32", "openai"),
        ("timm:vit_tiny_patch16_224", None),
        ("timm:vit_base_patch14_dinov2.lvd142m", None),
        ("hf-hub:nobody/nothing", None),
    ],
)
def test_hub_name_without_network_says_how_to_go_on(name, tag, no_network, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(HubUnavailable) as caught:
        load_encoder(name, tag, device="cpu")
    for piece in ("open_clip_config.json", "load_encoder('FOLDER')", "activation=", "percept-tiny"):
        assert piece in str(caught.value)


def test_local_things_never_touch_the_network(tiny, no_network, pictures):
    load_encoder(tiny.folder, device="cpu").encode_texts(["a cat"])
    load_encoder(f"local-dir:{tiny.folder}", device="cpu").encode_images(pictures)
    load_encoder("efficientnet-lite0", device="cpu")


def test_folder_problems_are_named(tiny, tmp_path):
    with pytest.raises(EncoderError, match=r"open_clip_config.json is missing"):
        load_encoder(tmp_path, device="cpu")
    bad = tmp_path / "bad"
    shutil.copytree(tiny.folder, bad)
    (bad / "tokenizer.json").unlink()
    (bad / "tokenizer_config.json").unlink()
    with pytest.raises(EncoderError, match=r"lacks tokenizer.json"):
        load_encoder(bad, device="cpu")
    (bad / "open_clip_config.json").write_text("{")
    with pytest.raises(EncoderError, match="not an open_clip configuration"):
        load_encoder(bad, device="cpu")
    shutil.rmtree(bad)
    shutil.copytree(tiny.folder, bad)
    (bad / "open_clip_model.safetensors").unlink()
    with pytest.raises(EncoderError, match="holds no weights"):
        load_encoder(bad, device="cpu")
    with pytest.raises(EncoderError, match="trained with gelu, not quickgelu"):
        load_encoder(tiny.folder, activation="quickgelu", device="cpu")
    with pytest.raises(EncoderError, match="brings its own weights"):
        load_encoder(tiny.folder, "openai", device="cpu")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ViT-X-99", "neither a folder"),
        ("timm:vit_tinny", "timm has no model"),
        ("timm:vit_tiny_patch16_224.nonsense", "no published weights"),
        ("ViT-B-32", "needs pretrained="),
    ],
)
def test_unknown_names(name, message):
    with pytest.raises(EncoderError, match=message):
        load_encoder(name, device="cpu")


BAD = {
    "no images": ([], "images is empty"),
    "one image": (Image.new("RGB", (8, 8)), r"pass a list: \[image\]"),
    "a path": (["cat.png"], "image 0 is a str.*open_image"),
    "a folder name": ("folder", "must be a list"),
    "alpha image": ([Image.new("RGB", (8, 8)), Image.new("RGBA", (8, 8))], "image 1 has mode RGBA.*convert"),
    "16 bit image": ([Image.new("I;16", (8, 8))], "image 0 has mode I;16"),
    "NaN": (np.full((1, 8, 8, 3), np.nan, np.float32), "holds NaN"),
    "floats": (np.zeros((1, 8, 8, 3), np.float32), r"type float32; pass uint8"),
    "alpha array": (np.zeros((1, 8, 8, 4), np.uint8), "drop the alpha channel"),
    "grey array": (np.zeros((1, 8, 8, 1), np.uint8), "repeat the grey channel"),
    "channels first": (np.zeros((1, 3, 8, 8), np.uint8), "move channels last"),
    "one array": (np.zeros((8, 8, 3), np.uint8), r"shape \[8, 8, 3\]; pass \[N, H, W, 3\]"),
    "empty array": (np.zeros((0, 8, 8, 3), np.uint8), "is empty"),
    "bad item": ([np.zeros((8, 8), np.uint8)], r"image 0 has shape \[8, 8\]"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_pictures_are_named(encoder, case):
    images, message = BAD[case]
    with pytest.raises((ValueError, TypeError), match=message):
        encoder.encode_images(images)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "texts is empty"),
        ("a cat", r"pass a list: \[text\]"),
        (["a", 3], "text 1 is a int"),
        (["a", " "], "text 1 is empty"),
    ],
)
def test_bad_texts_are_named(encoder, texts, message):
    with pytest.raises(ValueError, match=message):
        encoder.encode_texts(texts)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("efficientnet-lite0", {"pretrained": "mine.pt"}, r"brings its own weights; leave out pretrained='mine\.pt'"),
        ("efficientnet-lite0", {"activation": "gelu"}, "leave out activation='gelu'"),
        ("timm:vit_tiny_patch16_224", {"pretrained": "random", "activation": "gelu"}, "leave out activation='gelu'"),
    ],
)
def test_an_argument_without_effect_is_an_error(name, settings, message):
    with pytest.raises(EncoderError, match=message):
        load_encoder(name, device="cpu", **settings)


def test_activation_and_batch_size_values(encoder, pictures, tiny):
    with pytest.raises(EncoderError, match="activation must be"):
        load_encoder(tiny.folder, activation="relu")
    with pytest.raises(ValueError, match="batch_size"):
        encoder.encode_images(pictures, batch_size=0)

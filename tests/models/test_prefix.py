"""A tower cut in two computes what the whole does, and trains through its second half."""

import numpy as np
import pytest
import torch

from percept.models.adapters import AdapterError, adapter_parameters, add_lora, check_gradients
from percept.models.encoders import Encoder, load_encoder
from percept.models.prefix import split_tower
from percept.models.towers import NoSuchFeature, tower_features

TOWERS = {"clip": 2, "clip_average": 2, "clip_timm": 6, "vit": 6, "lite": 7}


@pytest.fixture(scope="module")
def encoders(tiny, tmp_path_factory) -> dict[str, Encoder]:
    from percept.models.export import save_open_clip_folder

    torch.manual_seed(0)

    def folder(name: str, vision: dict) -> Encoder:
        config = tiny.config | {"vision_cfg": vision}
        model = tiny.random_clip(vision_cfg=vision)
        place = tmp_path_factory.mktemp(name) / name
        save_open_clip_folder(place, model, config, tiny.tokenizer, tiny.preprocess, "fp32")
        return load_encoder(place, device="cpu")

    average = tiny.config["vision_cfg"] | {"pool_type": "avg", "final_ln_after_pool": True}
    trunk = {"timm_model_name": "test_vit", "timm_pool": "token", "timm_proj": "linear", "image_size": 160}
    return {
        "clip": load_encoder(tiny.folder, device="cpu"),
        "clip_average": folder("average", average),
        "clip_timm": folder("trunk", trunk),
        "vit": load_encoder("timm:test_vit", "random", device="cpu"),
        "lite": load_encoder("efficientnet-lite0", device="cpu", image_size=64),
    }


def pixels_of(encoder: Encoder) -> torch.Tensor:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 70, 70, 3), dtype=np.uint8)
    return encoder.preprocess.scale(torch.from_numpy(encoder.preprocess.pixels(pictures)))


def whole(encoder: Encoder, pixels: torch.Tensor, kind: str) -> torch.Tensor:
    if kind == "embedding" and encoder.tokenizer is not None:
        return encoder.model.encode_image(pixels)
    return tower_features(encoder.visual, pixels, "global" if kind == "embedding" else kind)


@pytest.mark.parametrize("kind", ["embedding", "global", "cls_patch"])
@pytest.mark.parametrize("tower", TOWERS)
def test_stem_then_rest_equals_the_whole_tower(encoders, tower, kind):
    encoder = encoders[tower]
    pixels = pixels_of(encoder)
    for last in {1, 2, TOWERS[tower]}:
        stem, rest = split_tower(encoder, last)
        if tower == "lite" and kind == "cls_patch":
            with pytest.raises(NoSuchFeature, match="class token"):
                rest(stem(pixels), kind)
            continue
        with torch.no_grad():
            expected = whole(encoder, pixels, kind)
            assert (rest(stem(pixels), kind) - expected).abs().max() < 1e-6


@pytest.mark.parametrize("tower", ["clip", "clip_timm", "vit", "lite"])
def test_an_adapter_in_the_last_blocks_trains_through_the_rest(encoders, tower):
    adapted = add_lora(encoders[tower], rank=2, last_blocks=2, dropout=0.0)
    stem, rest = split_tower(adapted, 2)
    tensors = adapter_parameters(adapted)
    assert {id(value) for value in rest.parameters() if value.requires_grad} == {
        id(value) for value in tensors.values()
    }
    # The whole model in training mode must not wake the batch norms of the stem.
    adapted.model.train()
    states = stem(pixels_of(adapted))
    assert not states.requires_grad
    optimizer = torch.optim.SGD(tensors.values(), 0.01)
    for _ in range(2):
        optimizer.zero_grad()
        torch.nn.functional.normalize(rest(states), dim=-1).std(0).sum().backward()
        optimizer.step()
    check_gradients(rest)
    adapted.model.eval()
    with torch.no_grad():
        assert torch.allclose(rest(states), whole(adapted, pixels_of(adapted), "embedding"), atol=1e-6)


def test_the_stem_ignores_training_mode(encoders):
    stem, _ = split_tower(encoders["lite"], 2)
    pixels = pixels_of(encoders["lite"])
    expected = stem(pixels)
    encoders["lite"].model.train()
    try:
        assert torch.equal(stem(pixels), expected)
    finally:
        encoders["lite"].model.eval()


@pytest.mark.parametrize("last", [0, 8, 1.5, True])
def test_cuts_out_of_range(encoders, last):
    with pytest.raises(AdapterError, match="last_blocks must be a whole number from 1 to 7"):
        split_tower(encoders["lite"], last)


def test_trainable_parameters_before_the_cut_are_refused(encoders):
    with pytest.raises(AdapterError, match="before the last 1 blocks are trainable"):
        split_tower(add_lora(encoders["clip"], rank=1), 1)


def test_unknown_kinds_and_towers(encoders):
    stem, rest = split_tower(encoders["clip"], 1)
    with pytest.raises(ValueError, match="kind must be one of embedding, global, cls_patch, got 'patch'"):
        rest(stem(pixels_of(encoders["clip"])), "patch")
    with pytest.raises(AdapterError, match="blocks of a ResNet are not known"):
        split_tower(load_encoder("timm:test_resnet", "random", device="cpu"), 1)

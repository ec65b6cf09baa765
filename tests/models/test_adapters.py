"""Low-rank adapters: identities, gradients, strength, merging, and what is refused."""

import copy

import numpy as np
import pytest
import timm
import torch

from percept.models.adapters import (
    AdapterError,
    adapter_parameters,
    add_lora,
    check_gradients,
    merged,
    plain_encoder,
    set_strength,
)
from percept.models.attention import split
from percept.models.cache import EmbeddingCache
from percept.models.encoders import Encoder, load_encoder
from percept.models.weights import hash_tensors

ROUTES = ("split", "mha", "fused", "pointwise")
# Names of the adapted layers of the last block or stage, written by hand.
LAST = {
    "split": [f"visual.transformer.resblocks.1.attn.{part}_proj" for part in "qkv"],
    "mha": ["visual.transformer.resblocks.1.attn", "visual.transformer.resblocks.1.attn.base_layer.out_proj"],
    "fused": ["blocks.5.attn.qkv"],
    "pointwise": ["blocks.6.0.conv_pw", "blocks.6.0.conv_pwl", "conv_head"],
}


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
def pictures() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)


def shaken(encoder, size: float = 0.02):
    """The encoder with B away from zero, as after training."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for value in adapter_parameters(encoder).values():
            value.add_(torch.randn(value.shape, generator=generator) * size)
    return encoder


def frozen_hash(encoder) -> str:
    tensors = {name: value for name, value in encoder.model.state_dict().items() if ".lora_" not in name}
    return hash_tensors(tensors)


def two_steps(encoder, pictures, rate: float = 1e-3) -> None:
    pixels = encoder.preprocess.scale(torch.from_numpy(encoder.preprocess.pixels(pictures)))
    optimizer = torch.optim.SGD(adapter_parameters(encoder).values(), rate)
    encoder.model.train()
    for _ in range(2):
        optimizer.zero_grad()
        out = encoder.model.encode_image(pixels) if encoder.tokenizer else encoder.model(pixels)
        torch.nn.functional.normalize(out, dim=-1).std(0).sum().backward()
        optimizer.step()


@pytest.mark.parametrize("route", ROUTES)
def test_an_untrained_adapter_computes_the_base(bases, pictures, route):
    base = bases[route]
    before, state = base.encode_images(pictures), hash_tensors(base.model.state_dict())
    random_state = torch.random.get_rng_state()
    adapted = add_lora(base, rank=4, route=route)
    assert torch.equal(random_state, torch.random.get_rng_state())
    after = adapted.encode_images(pictures)
    assert (after - before).abs().max() < 1e-6
    # Split rounds differently from torch's fused attention; everything else is the same arithmetic.
    assert route == "split" or torch.equal(after, before)
    shaken(adapted)
    assert (adapted.encode_images(pictures) - before).abs().max() > 1e-4
    assert torch.equal(base.encode_images(pictures), before)
    assert hash_tensors(base.model.state_dict()) == state


def test_a_split_adapter_is_bit_equal_to_the_split_base(bases, pictures):
    base = plain_encoder(bases["split"], copy.deepcopy(bases["split"].model), "split")
    for block in base.model.visual.transformer.resblocks:
        block.attn = split(block.attn)
    adapted = add_lora(bases["split"], rank=4)
    assert torch.equal(adapted.encode_images(pictures), base.encode_images(pictures))


@pytest.mark.parametrize("route", ROUTES)
def test_last_blocks_says_where_the_adapter_sits(bases, route):
    names = adapter_parameters(add_lora(bases[route], rank=2, last_blocks=1, route=route))
    layers = list(dict.fromkeys(name.partition(".lora_")[0] for name in names))
    assert sorted(layers) == sorted(LAST[route])
    assert len(names) == 2 * len(layers)
    everywhere = adapter_parameters(add_lora(bases[route], rank=2, route=route))
    count = {"split": 6, "mha": 4, "fused": 6, "pointwise": 32}[route]
    assert len(everywhere) == 2 * count


@pytest.mark.parametrize("route", ROUTES)
def test_training_reaches_every_adapter_tensor_and_nothing_else(bases, pictures, route):
    adapted = add_lora(bases[route], rank=2, route=route)
    trainable = {name for name, value in adapted.model.named_parameters() if value.requires_grad}
    assert trainable == set(adapter_parameters(adapted))
    frozen, first = frozen_hash(adapted), {k: v.detach().clone() for k, v in adapter_parameters(adapted).items()}
    two_steps(adapted, pictures)
    check_gradients(adapted)
    assert all(not torch.equal(first[name], value) for name, value in adapter_parameters(adapted).items())
    if route != "mha":
        # peft adds and subtracts the update around each pass there, which leaves rounding behind.
        assert frozen_hash(adapted) == frozen
    adapted.encode_images(pictures)
    two_steps(adapted, pictures)


def test_batch_norm_keeps_its_statistics_in_training(bases, pictures):
    adapted = shaken(add_lora(bases["pointwise"], rank=2, dropout=0.0))
    expected = adapted.features(pictures)
    pixels = adapted.preprocess.scale(torch.from_numpy(adapted.preprocess.pixels(pictures)))
    adapted.model.train()
    inside = adapted.model.forward_head(adapted.model.forward_features(pixels), pre_logits=True)
    assert torch.allclose(inside, expected, atol=1e-5)
    plain = merged(adapted)
    plain.model.train()
    with torch.no_grad():
        outside = plain.model.forward_head(plain.model.forward_features(pixels), pre_logits=True)
    assert not torch.allclose(outside, expected, atol=1e-2), "the merged network is timm's own, without our hook"


@pytest.mark.parametrize(("route", "acts"), [("split", True), ("fused", True), ("pointwise", True), ("mha", False)])
def test_dropout_acts_except_on_pefts_own_attention(bases, pictures, route, acts):
    adapted = shaken(add_lora(bases[route], rank=2, route=route, dropout=0.5))
    pixels = adapted.preprocess.scale(torch.from_numpy(adapted.preprocess.pixels(pictures)))
    adapted.visual.train()
    with torch.no_grad():
        assert torch.equal(adapted.visual(pixels), adapted.visual(pixels)) != acts


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("strength", [1.0, 0.4, -0.5, 1.7])
def test_merged_equals_unmerged(bases, pictures, route, strength):
    adapted = shaken(add_lora(bases[route], rank=3, route=route))
    set_strength(adapted, strength)
    expected = adapted.encode_images(pictures)
    plain = merged(adapted)
    assert type(plain) is Encoder
    assert "peft" not in str(vars(plain.model).keys())
    assert not any(value.requires_grad for value in plain.model.parameters())
    assert (plain.encode_images(pictures) - expected).abs().max() < 1e-5
    assert {k: v.shape for k, v in plain.model.state_dict().items()} == {
        k: v.shape for k, v in bases[route].model.state_dict().items()
    }
    set_strength(adapted, 0.1)
    assert torch.equal(merged(adapted, strength).encode_images(pictures), plain.encode_images(pictures))
    assert adapted.strength == 0.1


def test_the_update_is_strength_alpha_over_rank_b_a(bases):
    adapted = shaken(add_lora(bases["fused"], rank=3, alpha=7.0))
    tensors = adapter_parameters(adapted)
    plain = merged(adapted, 0.5).model.state_dict()
    for index in range(6):
        name = f"blocks.{index}.attn.qkv"
        down, up = (tensors[f"{name}.lora_{part}.default.weight"] for part in "AB")
        expected = bases["fused"].model.state_dict()[f"{name}.weight"] + 0.5 * 7 / 3 * up @ down
        assert torch.allclose(plain[f"{name}.weight"], expected, atol=1e-7)


def test_split_adapters_reach_q_k_and_v_apart(bases):
    adapted = add_lora(bases["split"], rank=2, alpha=2.0)
    with torch.no_grad():
        for name, value in adapter_parameters(adapted).items():
            if "k_proj.lora_B" in name:
                value.fill_(1.0)
    width = 64
    before = bases["split"].model.state_dict()
    for name, value in merged(adapted).model.state_dict().items():
        if "visual" in name and name.endswith("in_proj_weight"):
            change = (value - before[name]).abs().sum(1)
            assert [bool(part.any()) for part in change.split(width)] == [False, True, False]
        else:
            assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("route", ROUTES)
def test_strength_zero_is_the_base_and_one_comes_back(bases, pictures, route):
    adapted = shaken(add_lora(bases[route], rank=2, route=route))
    full = adapted.encode_images(pictures)
    set_strength(adapted.model, 0.0)
    assert (adapted.encode_images(pictures) - bases[route].encode_images(pictures)).abs().max() < 1e-6
    assert adapted.strength == 0.0
    set_strength(adapted, 1.0)
    assert (adapted.encode_images(pictures) - full).abs().max() < 1e-6


def test_fingerprints_follow_the_weights(bases, pictures, tmp_path):
    adapted = add_lora(bases["split"], rank=2)
    seen = {bases["split"].fingerprint, adapted.fingerprint}
    cache = EmbeddingCache(tmp_path)
    first = cache.encode(adapted, pictures)
    shaken(adapted)
    seen.add(adapted.fingerprint)
    # The same object after a training step must never be answered from rows of before.
    assert not torch.equal(cache.encode(adapted, pictures), first)
    set_strength(adapted, 0.5)
    seen.add(adapted.fingerprint)
    seen.add(merged(adapted).fingerprint)
    assert len(seen) == 5
    set_strength(adapted, 1.0)
    assert torch.equal(cache.encode(adapted, pictures), adapted.encode_images(pictures))
    nothing = merged(add_lora(bases["fused"], rank=2))
    assert nothing.fingerprint == bases["fused"].fingerprint


def test_an_adapter_can_sit_on_a_merged_encoder(bases, pictures):
    once = merged(shaken(add_lora(bases["split"], rank=2)))
    twice = add_lora(once, rank=2)
    assert (twice.encode_images(pictures) - once.encode_images(pictures)).abs().max() < 1e-6
    assert twice.facts.base_fingerprint == once.fingerprint


def test_the_seed_decides_a(bases):
    def first(seed):
        return next(iter(adapter_parameters(add_lora(bases["fused"], rank=2, seed=seed)).values()))

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_text_towers_stay_alone(bases):
    adapted = shaken(add_lora(bases["split"], rank=2))
    texts = ["a red cat", "two zebras"]
    assert torch.equal(adapted.encode_texts(texts), bases["split"].encode_texts(texts))


def test_published_count_of_a_vit_b():
    with torch.device("meta"):
        model = timm.create_model("vit_base_patch16_224", pretrained=False)
    rule = load_encoder("timm:test_vit", "random", device="cpu").preprocess
    base = Encoder("vit-b", model, rule, "0" * 64, 768, torch.device("cpu"))
    tensors = adapter_parameters(add_lora(base, rank=16))
    # 12 blocks, rank 16, width 768 in and 2304 out: DreamSim's figure.
    assert sum(value.numel() for value in tensors.values()) == 589_824


def test_gradients_that_are_missing_are_named(bases, pictures):
    adapted = add_lora(bases["split"], rank=2)
    with pytest.raises(AdapterError, match=r"12 of 12 tensors.*resblocks\.0\.attn\.q_proj\.lora_A"):
        check_gradients(adapted)
    two_steps(adapted, pictures)
    key = "visual.transformer.resblocks.1.attn.v_proj.lora_B.default.weight"
    adapter_parameters(adapted)[key].grad.zero_()
    with pytest.raises(AdapterError, match=r"1 of 12 tensors .*resblocks\.1\.attn\.v_proj\.lora_B"):
        check_gradients(adapted)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank must be a whole number of at least 1, got 0"),
        ({"rank": 2.5}, "rank must be a whole number"),
        ({"rank": True}, "rank must be a whole number"),
        ({"alpha": 0}, "alpha must be above 0"),
        ({"alpha": float("nan")}, "alpha must be above 0"),
        ({"dropout": 1.0}, "dropout must be"),
        ({"last_blocks": 0}, "last_blocks must be a whole number from 1 to 2"),
        ({"last_blocks": 3}, "from 1 to 2 for this tower, got 3"),
        ({"route": "qkv"}, "route must be 'auto' or one of"),
        ({"route": "fused"}, "'fused' does not exist for this VisionTransformer; use 'auto' or split or mha"),
    ],
)
def test_settings_out_of_range(bases, options, message):
    with pytest.raises(AdapterError, match=message):
        add_lora(bases["split"], **options)


def test_routes_of_other_towers_are_refused(bases):
    with pytest.raises(AdapterError, match="'fused' does not exist for this EfficientNet; use 'auto' or pointwise"):
        add_lora(bases["pointwise"], route="fused")
    with pytest.raises(AdapterError, match="'pointwise' does not exist"):
        add_lora(bases["fused"], route="pointwise")
    with pytest.raises(AdapterError, match="blocks of a ResNet are not known"):
        add_lora(load_encoder("timm:test_resnet", "random", device="cpu"))
    with pytest.raises(AdapterError, match="already has an adapter"):
        add_lora(add_lora(bases["fused"], rank=1))


def test_encoders_without_an_adapter_are_refused(bases):
    for call in (adapter_parameters, check_gradients, merged, lambda encoder: set_strength(encoder, 1.0)):
        with pytest.raises(AdapterError, match="there is no adapter here; add_lora"):
            call(bases["split"])


def test_numbers_that_are_not_finite_are_refused(bases):
    adapted = add_lora(bases["split"], rank=1)
    with pytest.raises(AdapterError, match="finite"):
        set_strength(adapted, float("inf"))
    with torch.no_grad():
        next(iter(adapter_parameters(adapted).values())).fill_(float("nan"))
    with pytest.raises(AdapterError, match=r"lora_A\.default\.weight is not finite"):
        merged(adapted)

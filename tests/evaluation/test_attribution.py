"""Maps and the tests of maps (`percept.evaluation.attribution` and `.faithfulness`)."""

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from timm.models.vision_transformer import VisionTransformer
from torchvision.transforms import Compose, Normalize, ToTensor

from percept.evaluation.attribution import METHODS, blurred, differentiable_score, score_map, view_pixels
from percept.evaluation.faithfulness import deletion_insertion, map_similarity, randomised
from percept.models.encoders import Encoder, load_encoder
from percept.models.prefix import split_tower
from percept.models.preprocessing import from_transform
from percept.training.rate import RateConfig, rate

SIDE, TILE, LOOKED_AT = 32, 8, 6  # tile 6 is the third of the second row
TOWER = {"image_size": SIDE, "patch_size": TILE, "width": 32, "layers": 2, "head_width": 16}
TEXT = {"context_length": 8, "vocab_size": 20, "width": 32, "heads": 2, "layers": 1}


def planted(count, seed):
    """Sixteen tiles from blue to red; the score, 1 to 5, is how red tile number 6 is."""
    rng = np.random.default_rng(seed)
    red = rng.uniform(0, 1, (count, 4, 4))
    tiles = 255 * np.stack([red, np.full_like(red, 0.25), 1 - red], -1)
    pictures = np.kron(tiles, np.ones((1, TILE, TILE, 1))) + rng.normal(0, 15, (count, SIDE, SIDE, 3))
    return pictures.clip(0, 255).astype(np.uint8), 1 + 4 * red[:, 1, 2]


def small(model, text=None):
    rule = from_transform(Compose([ToTensor(), Normalize([0.5] * 3, [0.25] * 3)]), {})
    rule.size = (SIDE, SIDE)
    return Encoder("small", model.eval().requires_grad_(False), rule, "0" * 64, 16, torch.device("cpu"), tokenizer=text)


def encoder_of(name):
    torch.manual_seed(0)
    if name == "conv net":
        return load_encoder("efficientnet-lite0", device="cpu", image_size=SIDE)
    if name == "timm":
        return small(VisionTransformer(SIDE, TILE, embed_dim=32, depth=2, num_heads=2, num_classes=0, reg_tokens=2))
    return small(open_clip.CLIP(16, TOWER, TEXT), len)


def trained(name="open_clip", count=700, **changes):
    pictures, scores = planted(count, 0)
    config = {"method": "full", "loss": "mse", "rank": 4, "batch_size": 32, "epochs": 12, "learning_rate": 3e-3}
    config |= {"hidden": (16,), "head_dropout": 0.0, "dropout": 0.0} | changes
    targets = scores if config["loss"] == "mse" else np.stack([5 - scores, scores - 1], 1) / 4
    return rate(encoder_of(name), pictures, targets, config=RateConfig(**config), device="cpu", progress=None)


@pytest.fixture(scope="module")
def rated():
    return trained()


@pytest.fixture(scope="module")
def held():
    return planted(48, 1)


def patch_score(pixels):
    """Looks at rows 8 to 15 and columns 16 to 23, and at nothing else."""
    looked_at = pixels[:, :, 8:16, 16:24].mean((2, 3))
    return torch.sigmoid(20 * looked_at[:, 0] - 10 * looked_at[:, 2])


def of_tiles(maps):
    return np.abs(maps).reshape(-1, 4, TILE, 4, TILE).sum((2, 4)).reshape(-1, 16)


def noise(count=6, side=SIDE, seed=0):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def test_integrated_gradients_of_a_square_are_known_and_maps_add_up_to_the_difference():
    pixels, weight = noise(3), noise(1, seed=1)
    start = blurred(pixels)
    found = score_map(lambda x: (weight * x**2).sum((1, 2, 3)), pixels, steps=3)
    assert np.allclose(found, (weight * (pixels**2 - start**2)).sum(1), atol=1e-4)
    wanted = (patch_score(pixels) - patch_score(start)).numpy()
    few, many = (score_map(patch_score, pixels, steps=steps).sum((1, 2)) for steps in (2, 50))
    assert np.abs(many - wanted).max() < 1e-4 < np.abs(few - wanted).max()
    assert found.dtype == np.float64


def test_a_trained_tower_is_complete_too(rated, held):
    pixels, score = view_pixels(rated, held[0][:12]).pixels, differentiable_score(rated)
    for start in (None, torch.zeros_like(pixels)):
        wanted = (score(pixels) - score(blurred(pixels) if start is None else start)).detach().numpy()
        maps = score_map(score, pixels, baseline=start, steps=50)
        assert np.abs(maps.sum((1, 2)) - wanted).max() < 0.02 * np.abs(wanted).max()


def test_occlusion_equals_a_slow_loop_with_tiles_that_do_not_fit():
    pixels = noise(3, side=20)
    start = blurred(pixels)
    total, seen = np.zeros((3, 20, 20)), np.zeros((20, 20))
    for top in (0, 6, 12):
        for left in (0, 6, 12):
            for row in range(3):
                hidden = pixels[row : row + 1].clone()
                hidden[:, :, top : top + 8, left : left + 8] = start[row, :, top : top + 8, left : left + 8]
                lost = patch_score(pixels[row : row + 1]) - patch_score(hidden)
                total[row, top : top + 8, left : left + 8] += float(lost)
            seen[top : top + 8, left : left + 8] += 1
    assert np.allclose(score_map(patch_score, pixels, "occlusion", tile=8, batch_size=2), total / seen, atol=1e-6)


def test_gradient_attention_is_gradient_times_state_before_the_last_block(rated, held):
    pixels = view_pixels(rated, held[0][:5]).pixels
    stem, rest = split_tower(rated.encoder, 1)
    states = stem(pixels).requires_grad_()
    (rated.head(rest(states)) * rated.unit).sum().backward()
    patches = (states.grad * states).sum(2)[:, 1:].reshape(5, 1, 4, 4)
    wanted = F.interpolate(patches, size=(SIDE, SIDE), mode="bilinear")[:, 0].detach()
    found = score_map(differentiable_score(rated), pixels, "gradient_attention")
    assert np.allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "method", "loss", "kind"),
    [
        ("open_clip", "lora", "mse", "embedding"),
        ("open_clip", "full", "shares", "cls_patch"),
        ("timm", "head", "mse", "global"),
        ("timm", "lora", "shares", "embedding"),
        ("conv net", "lora", "mse", "embedding"),
    ],
)
def test_every_tower_is_scored_as_in_use_and_explained(name, method, loss, kind, held):
    rated = trained(name, 16, method=method, loss=loss, kind=kind, epochs=1, batch_size=8, learning_rate=1e-4)
    pictures = [*held[0][:2], np.tile(held[0][2], (2, 1, 1))]
    cut = view_pixels(rated, pictures)
    assert cut.owner.tolist() == [0, 1, 2, 2]
    assert cut.views.shape == (4, SIDE, SIDE, 3)
    score = differentiable_score(rated, 1 if loss == "shares" else None)
    with torch.no_grad():
        found = score(cut.pixels).numpy()
    raw = rated.raw(pictures)
    raw = raw[:, 1] if loss == "shares" else raw
    assert np.allclose([found[0], found[1], found[2:].mean()], raw, atol=1e-5)
    hooks = [len(module._forward_pre_hooks) for module in rated.encoder.visual.modules()]
    for way in METHODS:
        maps = score_map(score, cut.pixels, way, steps=2)
        assert maps.shape == (4, SIDE, SIDE)
        assert np.isfinite(maps).all()
        assert maps.any()
        assert np.allclose(score_map(score, cut.pixels, way, steps=2, batch_size=3), maps, atol=1e-5)
    assert hooks == [len(module._forward_pre_hooks) for module in rated.encoder.visual.modules()]


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion"])
def test_a_score_that_looks_at_one_patch_gets_its_map_there(method):
    maps = score_map(patch_score, noise(20), method)
    assert (of_tiles(maps).argmax(1) == LOOKED_AT).all()
    maps[:, 8:16, 16:24] = 0
    assert not maps.any()


@pytest.mark.parametrize(
    ("method", "least"), [("integrated_gradients", 0.7), ("gradient_attention", 0.25), ("occlusion", 0.5)]
)
def test_maps_point_at_the_tile_that_a_trained_score_goes_by(rated, held, method, least):
    pictures, scores = held
    assert spearmanr(rated.raw(pictures), scores).statistic > 0.8
    found = of_tiles(score_map(differentiable_score(rated), view_pixels(rated, pictures).pixels, method))
    assert (found.argmax(1) == LOOKED_AT).mean() > least, "chance is 1 in 16"
    assert found.mean(0).argmax() == LOOKED_AT


def test_randomised_weights_destroy_the_map(rated, held):
    """Sizes of integrated gradients keep the picture's contrast; signs and the attention of the patches keep none."""
    pixels = view_pixels(rated, held[0][:16]).pixels
    for method, signed in (("gradient_attention", False), ("integrated_gradients", True)):
        own = score_map(differentiable_score(rated), pixels, method, steps=8)
        found = []
        for share in (0.0, 1.0):
            copies = [differentiable_score(randomised(rated, seed, share)) for seed in range(4)]
            others = [score_map(score, pixels, method, steps=8) for score in copies]
            found.append(np.mean([map_similarity(own, other, signed).mean() for other in others]))
        assert found[0] > 0.99
        assert abs(found[1]) < 0.3


def test_weights_are_drawn_anew_from_the_head_downwards(rated, held):
    def changed(share, seed=0):
        copy = randomised(rated, seed, share)
        before, after = rated.encoder.visual.state_dict(), copy.encoder.visual.state_dict()
        moved = [name for name in before if not torch.equal(before[name], after[name])]
        same_head = torch.equal(copy.head.layers[0].weight, rated.head.layers[0].weight)
        return not same_head, [any(part in name for name in moved) for part in ("resblocks.1", "resblocks.0", "conv1")]

    kept = rated.raw(held[0])
    assert changed(0.0) == (False, [False, False, False])
    assert changed(0.25) == (True, [False, False, False])
    assert changed(0.5) == (True, [True, False, False])
    assert changed(0.75) == (True, [True, True, False])
    assert changed(1.0) == (True, [True, True, True])
    assert np.array_equal(rated.raw(held[0]), kept), "the score that was given stays as it is"
    whole = [randomised(rated, seed) for seed in (0, 0, 1)]
    assert np.array_equal(whole[0].raw(held[0]), whole[1].raw(held[0]))
    assert not np.array_equal(whole[0].raw(held[0]), whole[2].raw(held[0]))
    assert len({each.encoder.fingerprint for each in (rated, *whole)}) == 3
    assert 0 < whole[0].raw(held[0]).std() < np.inf


def test_curves_equal_a_slow_loop():
    pixels, maps = noise(2, side=16), np.random.default_rng(0).normal(size=(2, 16, 16))
    start = blurred(pixels)

    def score(x):
        return (x[:, 0] * torch.arange(256.0).reshape(16, 16)).mean((1, 2))

    found = deletion_insertion(score, pixels, maps, 4, tile=8, orders=2)
    for row in range(2):
        tiles = [(top, left) for top in (0, 8) for left in (0, 8)]
        tiles.sort(key=lambda t: -maps[row, t[0] : t[0] + 8, t[1] : t[1] + 8].mean())
        for curves, under, over in ((found.deletion, pixels, start), (found.insertion, start, pixels)):
            mixed, wanted = under[row : row + 1].clone(), [float(score(under[row : row + 1]))]
            for top, left in tiles:
                mixed[..., top : top + 8, left : left + 8] = over[row, :, top : top + 8, left : left + 8]
                wanted.append(float(score(mixed)))
            assert np.allclose(curves.own[row], wanted, atol=1e-4)
            area = sum((wanted[k] + wanted[k + 1]) / 8 for k in range(4))
            assert curves.area[row] == pytest.approx(area, abs=1e-4)
    assert found.deletion.random.shape == (2, 2, 5)
    gain = (found.insertion.area - found.insertion.random_area.mean(0)).mean()
    assert found.insertion_gain.value == pytest.approx(gain)
    assert found.deletion_gain.value == pytest.approx((found.deletion.random_area.mean(0) - found.deletion.area).mean())


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion"])
def test_a_trained_map_beats_random_orders_and_those_of_randomised_weights_do_not(rated, held, method):
    pixels, score = view_pixels(rated, held[0][:24]).pixels, differentiable_score(rated)

    def gains(explained):
        maps = score_map(explained, pixels, method, steps=4)
        found = deletion_insertion(score, pixels, maps, 4, orders=3)
        return found.deletion_gain, found.insertion_gain

    own = gains(score)
    others = [gains(differentiable_score(randomised(rated, seed))) for seed in range(6)]
    for part in (0, 1):
        assert own[part].low > 0
        other = np.array([each[part].value for each in others])
        assert abs(other.mean()) < own[part].value / 2
        assert other.mean() < 4 * other.std(ddof=1) / 6**0.5, "no more than the draw of the weights explains"


def test_a_constant_map_is_a_random_order_and_like_no_other():
    pixels = noise(40)
    flat = np.ones((40, SIDE, SIDE))
    outside = 0
    for seed in range(20):
        found = deletion_insertion(patch_score, pixels, flat, 4, orders=4, seed=seed)
        outside += sum(not gain.low <= 0 <= gain.high for gain in (found.deletion_gain, found.insertion_gain))
    assert outside <= 7, "about 2 of 40 are expected"
    shares = np.concatenate([found.insertion.own[None], found.insertion.random])
    assert len(np.unique(shares.argmax(2))) > 1, "pictures and orders differ in when the tile comes that matters"
    assert (shares.std(0).max(1) > 0).mean() > 0.9
    assert np.isnan(map_similarity(flat, np.random.default_rng(0).normal(size=flat.shape))).all()


def test_groups_share_their_luck():
    pixels, maps = noise(40), score_map(patch_score, noise(40))
    alone = deletion_insertion(patch_score, pixels, maps, 2, orders=2)
    shared = deletion_insertion(patch_score, pixels, maps, 2, orders=2, groups=np.arange(40) // 10)
    assert (alone.deletion_gain.n, shared.deletion_gain.n) == (40, 4)


def test_similarity_is_spearmans_of_sizes_or_signs():
    one, other = np.random.default_rng(0).normal(size=(2, 3, 8, 8))
    for signed, change in ((False, np.abs), (True, np.asarray)):
        wanted = [spearmanr(change(a).ravel(), change(b).ravel()).statistic for a, b in zip(one, other, strict=True)]
        assert np.allclose(map_similarity(one, torch.tensor(other), signed), wanted)
    assert np.allclose(map_similarity(one, -one), 1)
    assert np.allclose(map_similarity(one, -one, signed=True), -1)


X = torch.zeros(2, 3, 16, 16)
MAPS = np.zeros((2, 16, 16))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: score_map(s, X[0]), r"pixels must be preprocessed, float \[N, 3, H, W\], got torch.float32"),
        (lambda s: score_map(s, X.byte()), "got torch.uint8"),
        (lambda s: score_map(s, X, baseline=X[:1]), r"baseline must have the shape of pixels, \[2, 3, 16, 16\]"),
        (lambda s: score_map(s, X * np.nan), "pixels hold a value that is not a finite number"),
        (lambda s: score_map(s, X, "gradcam"), "method must be one of integrated_gradients, .*, got 'gradcam'"),
        (lambda s: score_map(s, X, steps=0), "steps and batch_size must be at least 1"),
        (lambda s: score_map(s, X, "occlusion", tile=17), r"tile lie in 1..16, got 32, 64 and 17"),
        (lambda s: score_map(s, X, "gradient_attention"), r"pass a score of differentiable_score\(rated\)"),
        (lambda s: score_map(lambda x: x.mean((2, 3)), X), r"one number per picture, \[2\], got \[2, 3\]"),
        (lambda s: score_map(lambda x: s(x) / 0, X), "not a finite number for some picture"),
        (lambda s: score_map(lambda x: s(x).detach(), X), "has no gradient .* method 'occlusion' needs none"),
        (lambda s: deletion_insertion(s, X, MAPS[:1]), r"maps must be finite \[N, H, W\] for pixels"),
        (lambda s: deletion_insertion(s, X, MAPS * np.nan), "maps must be finite"),
        (lambda s: deletion_insertion(s, X, MAPS, 0), "steps, tile, orders and batch_size must be at least 1"),
        (lambda s: map_similarity(MAPS, MAPS[:1]), r"maps must be two \[N, H, W\] of one shape"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(lambda x: x.mean((1, 2, 3)))


def test_outputs_and_shares_that_do_not_exist(rated):
    with pytest.raises(ValueError, match=r"loss 'mse' must be None, it is one score; got 0"):
        differentiable_score(rated, 0)
    shares = trained(count=16, loss="shares", epochs=1, batch_size=8)
    for output in (None, 2):
        with pytest.raises(ValueError, match=r"loss 'shares' must be one of 0..1, it predicts shares; got"):
            differentiable_score(shares, output)
    with pytest.raises(ValueError, match=r"share must lie in 0..1, got 2"):
        randomised(rated, share=2)

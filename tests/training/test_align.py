import copy

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms import Compose, Normalize, ToTensor

from percept.data.triplets import Triplets, shuffled_votes
from percept.models.adapters import adapter_parameters, add_lora, merged, set_strength
from percept.models.attention import AdapterError
from percept.models.encoders import Encoder, load_encoder
from percept.models.preprocessing import from_transform
from percept.models.towers import NoSuchFeature, tower_features
from percept.training.align import AlignConfig, AlignError, align
from percept.training.config import TrainingError

SIZE = {"image_size": 16, "patch_size": 8, "width": 32, "layers": 3, "head_width": 16}
TEXT = {"context_length": 8, "vocab_size": 20, "width": 32, "heads": 2, "layers": 1}


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    model = open_clip.CLIP(16, SIZE, TEXT).eval().requires_grad_(False)
    rule = from_transform(Compose([ToTensor(), Normalize([0.5] * 3, [0.25] * 3)]), {})
    rule.size = (16, 16)
    return Encoder("small", model, rule, "0" * 64, 16, torch.device("cpu"), tokenizer=len)


@pytest.fixture(scope="module")
def lite():
    return load_encoder("efficientnet-lite0", device="cpu", image_size=32)


def judgments(count, seed=0, size=16):
    """People who go by the colour alone: random textures on a coloured ground, votes by the ground."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(40, 216, (3 * count, 1, 1, 3))
    images = (ground + rng.integers(-40, 40, (3 * count, size, size, 3))).astype(np.uint8)
    items = rng.permutation(3 * count).reshape(-1, 3)
    colours = ground.reshape(-1, 3).astype(float)[items]
    apart = np.abs(colours[:, :1] - colours[:, 1:])[..., 0]  # by their red
    return Triplets(images, items, (apart[:, 1] < apart[:, 0]).astype(float))


def train(encoder, *args, folder=None, extra_images=None, **changes):
    settings = {"rank": 4, "batch_size": 8, "epochs": 2, "dropout": 0.0, "seed": 1} | changes
    options = {"device": "cpu", "progress": None, "extra_images": extra_images}
    return align(encoder, *args, AlignConfig(**settings), folder, **options)


def state(encoder):
    return torch.cat([value.detach().flatten() for value in encoder.model.parameters()])


def features(encoder, images, kind):
    pixels = encoder.preprocess.scale(torch.from_numpy(images))
    return encoder.visual(pixels) if kind == "embedding" else tower_features(encoder.visual, pixels, kind)


def by_hand(model, parameters, triplets, kind="embedding", size=8, epochs=2, seed=1, extra=None):
    """Four forward passes for each triplet, the hinge term by term, and Adam."""
    optimizer = torch.optim.Adam(parameters, lr=3e-4, betas=(0.5, 0.999))
    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(triplets))
        for first in range(0, len(order), size):
            rows = order[first : first + size]
            loss = 0.0
            for row in rows:
                ref, left, again, right = (
                    features(model, triplets.images[triplets.items[row, c]][None], kind)[0] for c in (0, 1, 0, 2)
                )
                d_left, d_right = 1 - F.cosine_similarity(ref, left, 0), 1 - F.cosine_similarity(again, right, 0)
                sign = 1 if triplets.vote_right[row] > 0.5 else -1
                loss = loss + torch.clamp(0.05 - sign * (d_left - d_right), min=0) / len(rows)
            optimizer.zero_grad()
            (loss + (extra(model, triplets.images[np.unique(triplets.items[rows])]) if extra else 0)).backward()
            optimizer.step()


@pytest.mark.parametrize(
    ("kind", "last_blocks"), [("embedding", 1), ("embedding", None), ("global", 2), ("cls_patch", 2)]
)
def test_training_equals_a_plain_loop_with_four_forward_passes(encoder, kind, last_blocks):
    triplets = judgments(20)
    twin = add_lora(encoder, rank=4, dropout=0.0, last_blocks=last_blocks, seed=1)
    by_hand(twin, adapter_parameters(twin).values(), triplets, kind)
    result = train(encoder, triplets, None, kind=kind, last_blocks=last_blocks)
    assert result.kept == ("pixels" if last_blocks is None else "states")
    moved = (state(result.encoder) - state(add_lora(encoder, rank=4, last_blocks=last_blocks, seed=1))).abs().max()
    assert moved > 1e-3
    assert (state(result.encoder) - state(twin)).abs().max() < 0.01 * moved
    assert (result.best_epoch, result.epochs, result.score) == (2, 2, None)


def test_full_fine_tuning_equals_a_plain_loop(encoder):
    triplets = judgments(12)
    twin = Encoder("twin", copy.deepcopy(encoder.model), encoder.preprocess, "", 16, torch.device("cpu"))
    twin.visual.requires_grad_(True)
    by_hand(twin, twin.visual.parameters(), triplets)
    result = train(encoder, triplets, None, method="full")
    assert type(result.encoder) is Encoder
    assert result.encoder.fingerprint != encoder.fingerprint
    assert (state(result.encoder) - state(twin)).abs().max() < 1e-4
    assert torch.equal(state(encoder), state(twin)) is False


def test_regularisers_are_those_of_the_frozen_model(encoder):
    triplets = judgments(12)

    def extra(model, images):
        student = F.normalize(features(model, images, "embedding"), dim=1)
        with torch.no_grad():
            teacher = F.normalize(features(encoder, images, "embedding"), dim=1)
        apart = ~torch.eye(len(images), dtype=torch.bool)
        shares = [(rows @ rows.T)[apart].view(len(images), -1) / 0.1 for rows in (teacher, student)]
        near = -(shares[0].softmax(1) * shares[1].log_softmax(1)).sum(1).mean()
        return 2.0 * (1 - (student * teacher).sum(1)).mean() + 0.5 * near

    twin = add_lora(encoder, rank=4, dropout=0.0, last_blocks=2, seed=1)
    start = state(twin)
    by_hand(twin, adapter_parameters(twin).values(), triplets, extra=extra)
    result = train(encoder, triplets, None, last_blocks=2, distill=2.0, local=0.5)
    assert (state(result.encoder) - state(twin)).abs().max() < 0.01 * (state(twin) - start).abs().max()
    assert {"hinge", "distill", "local"} <= result.history[-1].keys()


def test_distillation_on_other_pictures_holds_the_features_there(encoder):
    triplets, others = judgments(40), judgments(40, seed=9).images

    def departure(**changes):
        result = train(encoder, triplets, None, epochs=4, learning_rate=3e-3, **changes)
        return (result.encoder.encode_images(others) - encoder.encode_images(others)).norm(dim=1).mean()

    free, held = departure(), departure(distill=5.0, extra_images=others)
    assert held < 0.6 * free


def test_what_is_kept_in_memory_changes_no_result(encoder):
    triplets, held = judgments(12), judgments(6, seed=1)
    kept, not_kept = (
        train(encoder, triplets, held, last_blocks=2, patience=0, cache_gib=gib) for gib in (1.0, 20_000 / 2**30)
    )
    assert (kept.kept, not_kept.kept) == ("states", "nothing")  # 36 pictures, 640 bytes of states each
    assert (state(kept.encoder) - state(not_kept.encoder)).abs().max() < 1e-5


def test_learns_what_people_go_by_but_not_from_shuffled_votes(encoder):
    triplets, held, test = judgments(240), judgments(80, seed=1), judgments(150, seed=2)
    settings = {"epochs": 8, "learning_rate": 3e-3, "last_blocks": 2, "patience": 0, "batch_size": 16}
    result = train(encoder, triplets, held, **settings)
    shuffled = train(encoder, shuffled_votes(triplets), held, **settings)

    def score(model):
        rows = model.encode_images(test.images)[torch.from_numpy(test.items)]
        nearer = (rows[:, 0] * rows[:, 2]).sum(1) > (rows[:, 0] * rows[:, 1]).sum(1)
        return (nearer.numpy() == test.vote_right).mean()

    assert result.score > result.score_before + 0.08
    assert score(result.encoder) > score(encoder) + 0.08
    assert score(shuffled.encoder) < score(encoder) + 0.05
    set_strength(result.encoder, 0.0)
    assert (result.encoder.encode_images(test.images) - encoder.encode_images(test.images)).abs().max() < 1e-5
    set_strength(result.encoder, 1.0)
    plain = merged(result.encoder)
    assert (plain.encode_images(test.images) - result.encoder.encode_images(test.images)).abs().max() < 1e-5


def test_the_best_epoch_comes_back_and_the_run_ends_early(encoder, tmp_path):
    triplets, held = judgments(40), judgments(30, seed=1)
    result = train(encoder, triplets, held, epochs=12, learning_rate=0.02, patience=2, folder=tmp_path)
    scores = [row["validation/score"] for row in result.history if "validation/score" in row]
    assert len(scores) == result.epochs < 12
    every = [result.score_before, *scores]
    assert result.best_epoch == every.index(max(every)) == result.epochs - 2
    assert result.score == max(every)
    # Scored anew, the encoder that came back is that of the best epoch, not of the last.
    rows = result.encoder.encode_images(held.images)[torch.from_numpy(held.items)]
    nearer = (rows[:, 0] * rows[:, 2]).sum(1) > (rows[:, 0] * rows[:, 1]).sum(1)
    assert (nearer.numpy() == held.vote_right).mean() == pytest.approx(result.score)
    again = train(encoder, triplets, held, epochs=12, learning_rate=0.02, patience=2, folder=tmp_path)
    assert torch.equal(state(again.encoder), state(result.encoder))
    assert (again.best_epoch, again.epochs, again.triplets_per_second) == (result.best_epoch, result.epochs, 0.0)


def test_when_nothing_helps_the_encoder_comes_back_as_it_was(encoder):
    triplets, held = judgments(16), judgments(30, seed=1)
    opposite = Triplets(held.images, held.items, 1 - held.vote_right)
    result = train(encoder, triplets, opposite, learning_rate=1e-12)
    assert (result.best_epoch, result.score) == (0, result.score_before)
    assert result.encoder.strength == 1.0
    assert (result.encoder.encode_images(held.images) - encoder.encode_images(held.images)).abs().max() < 1e-5


@pytest.mark.parametrize("after", [3, 7])
def test_a_killed_run_goes_on_and_ends_at_the_same_weights(encoder, tmp_path, monkeypatch, after):
    triplets, held = judgments(24), judgments(20, seed=1)
    settings = {"epochs": 3, "dropout": 0.2, "last_blocks": 2, "learning_rate": 0.01, "patience": 0}
    whole = train(encoder, triplets, held, **settings)

    from percept.training.align_run import AlignRun

    batch = AlignRun.batch

    def fail(run, step):
        if step == after:
            raise OSError("the disk went away")
        return batch(run, step)

    with monkeypatch.context() as patch:
        patch.setattr(AlignRun, "batch", fail)
        with pytest.raises(OSError, match="went away"):
            train(encoder, triplets, held, folder=tmp_path, **settings)
    result = train(encoder, triplets, held, folder=tmp_path, **settings)
    assert torch.equal(state(result.encoder), state(whole.encoder))
    assert (result.best_epoch, result.score) == (whole.best_epoch, whole.score)
    with pytest.raises(TrainingError, match=r"rank was 4, is 2"):
        train(encoder, triplets, held, folder=tmp_path, **settings, rank=2)


def test_efficientnet_keeps_its_batch_statistics(lite):
    triplets = judgments(4, size=32)
    for method in ("lora", "full"):
        result = train(lite, triplets, None, method=method, kind="global", epochs=1, batch_size=2)
        pairs = [
            (value, dict(lite.model.named_buffers()).get(name))
            for name, value in result.encoder.model.named_buffers()
            if "running" in name
        ]
        assert len(pairs) > 20
        assert all(torch.equal(value, before) for value, before in pairs)
        assert (result.encoder.encode_images(triplets.images) - lite.encode_images(triplets.images)).abs().max() > 1e-6
    with pytest.raises(NoSuchFeature, match="class token"):
        train(lite, triplets, None, kind="cls_patch")


def test_an_adapter_without_gradient_is_noticed(encoder, monkeypatch):
    from percept.training.student import Student

    forward = Student._features
    monkeypatch.setattr(Student, "_features", lambda self, part: forward(self, part).detach().requires_grad_())
    with pytest.raises(AdapterError, match="get no gradient"):
        train(encoder, judgments(40), None, batch_size=4)


def test_judgments_that_cannot_be_used(encoder):
    triplets = judgments(6)
    with pytest.raises(AlignError, match="train holds no triplets"):
        train(encoder, triplets.select([]), None)
    undecided = Triplets(triplets.images, triplets.items, np.full(6, 0.5))
    with pytest.raises(AlignError, match=r"all 6 votes of train are 0.5"):
        train(encoder, undecided, None)
    with pytest.raises(AlignError, match=r"3 of the 3 pictures of validate are also in train"):
        train(encoder, triplets, triplets.select([0]))
    assert train(encoder, triplets, triplets.select([0]), allow_shared=True, epochs=1).epochs == 1


def test_settings_that_do_not_fit(encoder):
    for name, value, words in [
        ("method", "heads", 'method must be "lora" or "full"'),
        ("kind", "patch", "kind must be one of embedding, global, cls_patch"),
        ("batch_size", 0, "batch_size must be at least 1, got 0"),
        ("margin", float("nan"), "margin must be finite"),
        ("temperature", 0, "temperature must be positive"),
    ]:
        with pytest.raises(AlignError, match=words):
            AlignConfig(**{name: value})
    with pytest.raises(AdapterError, match="last_blocks must be a whole number from 1 to 3"):
        train(encoder, judgments(4), None, last_blocks=4)
    adapted = add_lora(encoder)
    with pytest.raises(AlignError, match=r"starts from merged\(encoder\)"):
        train(adapted, judgments(4), None, method="full")


def test_files_are_opened_when_needed(encoder, tmp_path):
    from PIL import Image

    triplets = judgments(6)
    paths = []
    for number, image in enumerate(triplets.images):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(image).save(paths[-1])
    files = Triplets(paths, triplets.items, triplets.vote_right)
    results = [train(encoder, files, None, cache_gib=gib, epochs=1) for gib in (1.0, 0.0)]
    assert [result.kept for result in results] == ["pixels", "nothing"]
    wanted = state(train(encoder, triplets, None, epochs=1).encoder)
    assert all(torch.equal(state(result.encoder), wanted) for result in results)


def test_bf16_follows_fp32(encoder):
    full, half = (train(encoder, judgments(24), None, last_blocks=2, precision=name) for name in ("fp32", "bf16"))
    assert "precision bf16" in half.device
    assert half.history[-1]["loss"] == pytest.approx(full.history[-1]["loss"], abs=5e-3)
    assert state(half.encoder).dtype == torch.float32
    assert not torch.equal(state(half.encoder), state(full.encoder))

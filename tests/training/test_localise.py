"""Arms of the controlled comparison on a small random encoder: what a step sees, what it trains, and resuming."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import open_clip
import pytest
import torch
from torchvision.transforms import Compose, Normalize, ToTensor

from percept.data.hard_captions import mirrored
from percept.data.regions import Phrase, Region, Regions, draw_regions
from percept.models.encoders import Encoder
from percept.models.preprocessing import from_transform
from percept.models.weights import hash_tensors
from percept.training.localise import LocaliseConfig, LocaliseError, localise, pseudo_regions
from percept.training.localise_batches import LocaliseBatches, hide_words, true_texts
from percept.training.localise_run import LocaliseRun

WORDS = [
    "<pad>",
    "<end>",
    "a",
    "the",
    "red",
    "blue",
    "green",
    "yellow",
    "square",
    "dot",
    "to",
    "left",
    "right",
    "of",
    "is",
]
VISION = {"image_size": 16, "patch_size": 4, "width": 32, "layers": 3, "head_width": 16}
TEXT = {"context_length": 12, "vocab_size": len(WORDS), "width": 32, "heads": 2, "layers": 1, "pool_type": "eos",
        "eos_id": 1, "pad_id": 0}  # fmt: skip
COLOURS = {"red": (230, 30, 30), "blue": (30, 30, 230), "green": (30, 200, 30), "yellow": (230, 230, 30)}
OTHER = {"red": "blue", "blue": "red", "green": "yellow", "yellow": "green"}
SMALL = LocaliseConfig(images=8 * 8, batch_size=8, heads=2, region_blocks=1, learning_rate=1e-3)
BOTH = replace(SMALL, regions="descriptions", localisation="both", hard_captions=True)


def tokenizer(texts):
    rows = torch.zeros(len(texts), 12, dtype=torch.long)
    for row, text in zip(rows, texts, strict=True):
        ids = [WORDS.index(word) for word in text.split()] + [1]
        row[: len(ids)] = torch.tensor(ids)
    return rows


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    model = open_clip.CLIP(16, VISION, TEXT).eval().requires_grad_(False)
    torch.nn.init.normal_(model.text_projection, std=0.2)
    rule = from_transform(Compose([ToTensor(), Normalize([0.5] * 3, [0.25] * 3)]), {})
    rule.size = (16, 16)
    return Encoder("small", model, rule, "0" * 64, 16, torch.device("cpu"), tokenizer=tokenizer)


class Squares:
    """A coloured square and a dot of another colour, to the left or right of it: a source without scenes."""

    identity = "squares"

    def __init__(self, count=24, bare=0):
        rng = np.random.default_rng(0)
        kind = rng.permutation(count)
        self.colour, self.side = [list(COLOURS)[each] for each in kind % 4], kind // 4 % 2
        self.caption_rows, self.region_rows = np.arange(count), np.arange(bare, count)

    def pictures(self, rows):
        images = np.full((len(rows), 16, 16, 3), 128, np.uint8)
        for image, row in zip(images, rows, strict=True):
            one, other, at = self.colour[row], OTHER[self.colour[row]], 8 * self.side[row]
            image[4:12, at : at + 8], image[6:8, 11 - at : 13 - at] = COLOURS[one], COLOURS[other]
        return images

    def texts(self, row):
        return self.colour[row], OTHER[self.colour[row]], ("left", "right")[self.side[row]]

    def captions(self, rows, rng):
        texts = []
        for row in rows:
            one, other, side = self.texts(row)
            options = (
                f"a {one} square to the {side} of a dot",
                f"the {other} dot is to the {mirrored(side)} of the square",
            )
            texts.append(options[int(rng.integers(2))])
        return self.pictures(rows), texts

    def false_captions(self, rows, texts, rng):
        made = [" ".join(OTHER.get(word, word) for word in text.split()) for text in texts]
        return [text if index % 3 else None for index, text in enumerate(made)]

    def regions_of(self, row):
        one, other, side = self.texts(row)
        square, dot = (0.25 + 0.5 * self.side[row], 0.5, 0.5, 0.5), (0.75 - 0.5 * self.side[row], 0.4375, 0.125, 0.125)
        both = (0.5, 0.5, 1.0, 0.5)
        phrases = Phrase(f"a {one} square", square), Phrase(f"a {one} square to the {side} of a dot", both)
        regions = Region(square, "square", phrases), Region(dot, "dot", (Phrase(f"a {other} dot", dot),))
        return regions[: 1 + row % 2]  # where the dot has no region, "dot" can be drawn as a negative

    def said(self, row, kind):
        return [region.label if kind == "labels" else region.phrases[0].text for region in self.regions_of(row)]

    def regions(self, rows, kind, per_picture, rng):
        return draw_regions(self.pictures(rows), [self.regions_of(row) for row in rows], kind, per_picture, rng)


@pytest.fixture
def source():
    return Squares()


def quiet(encoder, source, config, folder=None, **more):
    return localise(encoder, source, config, folder, device="cpu", progress=None, **more)


ARMS = {
    "captions": {},
    "contrast only": {"match": False, "mlm": False},
    "hard captions": {"hard_captions": True},
    "labels": {"regions": "labels"},
    "descriptions": {"regions": "descriptions"},
    "mask": {"regions": "descriptions", "localisation": "mask"},
    "masked mean": {"regions": "descriptions", "localisation": "mask", "region_blocks": 0},
    "box": {"regions": "descriptions", "localisation": "box"},
    "both": {"regions": "descriptions", "localisation": "both", "hard_captions": True},
    "labels, both": {"regions": "labels", "localisation": "both"},
    "curriculum": {"regions": "labels", "localisation": "both", "order": "regions then captions"},
    "unguarded": {"regions": "descriptions", "localisation": "both", "flips": "unguarded"},
}


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_trains_on_the_losses_it_names(encoder, source, name):
    config = replace(SMALL, images=16, **ARMS[name])
    rows = []
    result = quiet(encoder, source, config, log=rows.append)
    assert result.history == rows
    assert [row["step"] for row in rows] == [2]
    run = LocaliseRun(encoder, source, config, "cpu", None)
    found = set()
    for step in range(config.steps):
        total, numbers = run.loss(run.matcher, run.batches(step))
        assert total.item() == pytest.approx(sum(value.item() for value in numbers.values()), rel=1e-6)
        found |= set(numbers)
    pairs = {"contrast"} | ({"match", "words"} if config.match else set())
    wanted = {f"captions/{loss}" for loss in pairs}
    if config.regions != "none":
        boxes = {"l1", "giou"} if config.localisation in ("box", "both") else set()
        wanted |= {f"regions/{loss}" for loss in pairs | boxes}
    assert found == wanted
    assert result.model.score(source.pictures([0, 1]), ["a red square", "a dot"]).shape == (2, 2)


def test_losses_fall_on_a_few_pictures(encoder):
    source, config = Squares(8), replace(BOTH, images=8 * 240, flips="off", learning_rate=3e-3)  # no two are alike
    run = LocaliseRun(encoder, source, config, "cpu", None)
    torch.manual_seed(0)
    with torch.no_grad():
        before = [run.loss(run.matcher, run.batches(step))[1] for step in (0, 1)]
    run.matcher = quiet(encoder, source, config).model.matcher
    torch.manual_seed(0)
    with torch.no_grad():
        after = [run.loss(run.matcher, run.batches(step))[1] for step in (0, 1)]
    for old, new in zip(before, after, strict=True):
        for name in old:
            assert new[name] < 0.8 * old[name], name


def test_every_parameter_gets_a_gradient_with_all_losses_on(encoder, source):
    for blocks in (0, 1):
        config = replace(BOTH, region_blocks=blocks)
        run = LocaliseRun(encoder, source, config, "cpu", None)
        for step in (0, 1):
            run.loss(run.matcher, run.batches(step))[0].backward()
        dead = [name for name, each in run.matcher.named_parameters() if each.grad is None or not each.grad.any()]
        assert dead == []


def test_losses_that_are_off_leave_their_heads_alone(encoder, source):
    run = LocaliseRun(encoder, source, SMALL, "cpu", None)
    run.loss(run.matcher, run.batches(0))[0].backward()
    assert run.matcher.box[0].weight.grad is None
    assert run.matcher.match[0].weight.grad is not None
    run = LocaliseRun(encoder, source, replace(SMALL, match=False, mlm=False), "cpu", None)
    run.loss(run.matcher, run.batches(0))[0].backward()
    assert run.matcher.blocks[0].cross.query.weight.grad is None
    assert run.matcher.clip.token_embedding.weight.grad.any()


def test_the_encoder_stays_as_it_is_and_the_copy_does_not(encoder, source):
    before = hash_tensors(encoder.model.state_dict())
    result = quiet(encoder, source, BOTH)
    assert hash_tensors(encoder.model.state_dict()) == before
    assert result.model.encoder.fingerprint != encoder.fingerprint
    assert result.model.matcher.facts.base_fingerprint == encoder.fingerprint
    assert not any(parameter.requires_grad for parameter in result.model.matcher.parameters())


@pytest.mark.parametrize("order", ["mixed", "captions then regions", "regions then captions"])
@pytest.mark.parametrize("steps", [7, 8])
def test_every_order_sees_the_same_batches_and_the_same_number_of_pictures(encoder, source, order, steps):
    config = replace(BOTH, images=8 * steps + 3, order=order)
    batches = LocaliseBatches(encoder, source, config)
    kinds = [batches.kind(step) for step in range(steps)]
    assert sorted(kinds) == [(0, n) for n in range(steps - steps // 2)] + [(1, n) for n in range(steps // 2)]
    first = [kind for kind, _ in kinds]
    assert first == {"mixed": first, "captions then regions": sorted(first),
                     "regions then captions": sorted(first)[::-1]}[order]  # fmt: skip
    if order == "mixed":
        assert all(a != b for a, b in pairwise(first))
    plain = LocaliseBatches(encoder, source, replace(SMALL, images=config.images))
    for step, (kind, number) in enumerate(kinds):
        batch = batches(step)
        assert batch["pixels"].shape == (8, 16, 16, 3)
        if kind == 0:
            alone = plain(number)
            assert torch.equal(batch["pixels"], alone["pixels"])
            assert torch.equal(batch["tokens"][:8], alone["tokens"])
            assert all(torch.equal(batch[name], alone[name]) for name in ("noisy", "hidden", "chosen", "same"))
    result = quiet(encoder, source, config)
    assert (result.caption_images, result.region_images) == (8 * (steps - steps // 2), 8 * (steps // 2))


def test_epochs_show_every_picture_once(encoder):
    source = Squares(24)
    batches = LocaliseBatches(encoder, source, replace(SMALL, images=8 * 6))
    seen = [batches._rows(0, number) for number in range(6)]
    assert sorted(np.concatenate(seen[:3])) == sorted(np.concatenate(seen[3:])) == list(range(24))
    assert not np.array_equal(np.concatenate(seen[:3]), np.concatenate(seen[3:]))


def text_of(row):
    return " ".join(WORDS[number] for number in row.tolist() if number > 1)


@pytest.mark.parametrize("flips", ["guarded", "unguarded", "off"])
def test_flips_turn_pictures_boxes_and_if_guarded_words(encoder, source, flips):
    batches = LocaliseBatches(encoder, source, replace(BOTH, flips=flips, images=8 * 40))
    turned, wrong, sides = 0, 0, 0
    for step in range(40):
        batch = batches(step)
        plain = LocaliseBatches(encoder, source, replace(BOTH, flips="off", images=8 * 40))(step)
        flipped = (batch["pixels"] != plain["pixels"]).flatten(1).any(1)
        assert torch.equal(batch["pixels"][flipped], plain["pixels"][flipped].flip(2))
        turned += int(flipped.sum())
        owner = batch.get("owner", torch.arange(8))
        if batch["kind"] == 1:
            expected = plain["boxes"].clone()
            expected[flipped[owner], 0] = 1 - expected[flipped[owner], 0]
            assert torch.equal(batch["boxes"], expected)
            for row, box, text in zip(owner, batch["boxes"], batch["tokens"], strict=True):
                left, right = batch["pixels"][row, 10, 4], batch["pixels"][row, 10, 12]
                square_left = bool((left != 128).any())
                assert square_left != bool((right != 128).any())
                said = text_of(text)
                if " left " in said or " right " in said:
                    sides += 1
                    wrong += square_left != (" left " in said)
                elif said.endswith("square"):
                    assert (box[0] < 0.5) == square_left
        else:
            for row, text in zip(batch["hard_rows"].tolist(), batch["tokens"][8:], strict=True):
                true, false = text_of(batch["tokens"][row]).split(), text_of(text).split()
                assert [a for a in true if a not in COLOURS] == [b for b in false if b not in COLOURS]
    assert turned == 0 if flips == "off" else 120 < turned < 200
    assert sides > 40
    assert wrong > 10 if flips == "unguarded" else wrong == 0


def test_true_texts_equal_the_slow_loop():
    rng = np.random.default_rng(0)
    for masked in (True, False):
        size = rng.choice([0.2, 0.5, 1.0], (40, 2))
        boxes = np.concatenate([size / 2 + rng.choice([0, 0.5, 1], (40, 2)) * (1 - size), size], 1).astype(np.float32)
        owner, texts = np.sort(rng.integers(8, size=40)), [f"text {n}" for n in rng.integers(25, size=40)]
        found = true_texts(owner, boxes, texts, masked=masked)
        for i in range(40):
            for j in range(40):
                true = False
                for k in range(40):
                    inside = owner[i] == owner[k] and texts[k] == texts[j]
                    for axis in (0, 1):
                        ends = [(b[axis] - b[axis + 2] / 2, b[axis] + b[axis + 2] / 2) for b in (boxes[i], boxes[k])]
                        fits = ends[0][0] <= ends[1][0] + 1e-6 and ends[0][1] >= ends[1][1] - 1e-6
                        inside = inside and (fits or not masked)
                    true = true or inside
                assert found[i, j] == true
        assert found.diagonal().all()
        assert not np.array_equal(found, found.T)


def test_hidden_words_are_a_share_of_each_text_in_the_published_proportions():
    rng = np.random.default_rng(0)
    ends = rng.integers(1, 20, 400)
    tokens = np.where(np.arange(24) < ends[:, None], rng.integers(10, 99, (400, 24)), 0)
    noisy, hidden, chosen = hide_words(tokens, ends, 0.25, rng)
    assert chosen.sum(1).tolist() == [max(1, round(0.25 * end)) for end in ends]
    assert not chosen[np.arange(24) >= ends[:, None]].any()
    assert not (hidden & ~chosen).any()
    other = noisy != tokens
    assert not (other & (hidden | ~chosen)).any()
    assert set(noisy[other]) <= set(tokens[chosen])
    assert hidden.sum() / chosen.sum() == pytest.approx(0.8, abs=0.03)
    assert other.sum() / chosen.sum() == pytest.approx(0.1, abs=0.03)


def test_a_run_is_the_same_again_and_after_a_kill(encoder, source, tmp_path):
    config = replace(BOTH, images=8 * 12)
    whole, again = quiet(encoder, source, config), quiet(encoder, source, config)
    assert whole.model.fingerprint == again.model.fingerprint
    assert quiet(encoder, source, replace(config, seed=1)).model.fingerprint != whole.model.fingerprint

    class KilledError(Exception):
        pass

    class Dying(Squares):
        def regions(self, rows, *rest):
            self.left = getattr(self, "left", 4) - 1
            if self.left < 0:
                raise KilledError
            return super().regions(rows, *rest)

    with pytest.raises(KilledError):
        quiet(encoder, Dying(), config, tmp_path / "run")
    resumed = quiet(encoder, source, config, tmp_path / "run")
    assert resumed.model.fingerprint == whole.model.fingerprint
    assert resumed.images_per_second > 0
    with pytest.raises(RuntimeError, match="localisation was both, is box"):
        quiet(encoder, source, replace(config, localisation="box"), tmp_path / "run")


def test_checkpoints_are_copies_at_shares_of_the_run_and_change_nothing(encoder, source):
    config = replace(BOTH, images=8 * 10, checkpoints=(0.1, 0.5, 1.0))
    kept = {}
    result = quiet(encoder, source, config, on_checkpoint=kept.__setitem__)
    assert list(kept) == [1, 5, 10]
    prints = [model.fingerprint for model in kept.values()]
    assert len(set(prints)) == 3
    assert prints[-1] == result.model.fingerprint
    assert quiet(encoder, source, replace(config, checkpoints=())).model.fingerprint == result.model.fingerprint
    assert kept[1].score(source.pictures([0]), ["a dot"]).shape == (1, 1)


def test_arms_can_begin_at_a_shared_matcher(encoder, source):
    start = quiet(encoder, source, replace(SMALL, images=16)).model
    before = start.fingerprint
    still = quiet(encoder, source, replace(SMALL, images=8, learning_rate=1e-12), start=start).model
    for name, value in still.matcher.state_dict().items():
        torch.testing.assert_close(value, start.matcher.state_dict()[name], atol=1e-6, rtol=0)
    moved = quiet(encoder, source, BOTH, start=start).model
    assert start.fingerprint == before != moved.fingerprint
    with pytest.raises(LocaliseError, match=r"start is .* give what it was trained with"):
        quiet(encoder, source, replace(BOTH, region_blocks=0), start=start)
    with pytest.raises(LocaliseError, match="not of this encoder"):
        quiet(replace(encoder, fingerprint="1" * 64), source, BOTH, start=start)


def test_pseudo_regions_are_what_the_model_finds_and_is_sure_of(encoder):
    source, rows = Squares(), [1, 5, 9]
    model = quiet(encoder, source, BOTH).model
    everything = pseudo_regions(model, source, rows, least=0.0)
    assert list(everything) == rows
    for row, found in everything.items():
        assert [region.label for region in found] == source.said(row, "descriptions")
        texts = [region.label for region in found]
        boxes, _ = model.locate(source.pictures([row]), texts, [0, 0], [0, 1])
        np.testing.assert_allclose([region.box for region in found], boxes, atol=1e-5)
        assert all(region.phrases == (Phrase(region.label, region.box),) for region in found)
    assert [region.label for region in pseudo_regions(model, source, [1], "labels", 0.0)[1]] == ["square", "dot"]
    sure = np.concatenate(
        [model.locate(source.pictures([r]), source.said(r, "descriptions"), [0, 0], [0, 1])[1] for r in rows]
    )
    middle = float(np.median(sure))
    some = pseudo_regions(model, source, rows, least=middle)
    assert sum(map(len, some.values())) == (sure >= middle - 1e-6).sum() < 6
    assert pseudo_regions(model, source, rows, least=1.0) == {row: [] for row in rows}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"regions": "words"}, "regions must be one of none, labels, descriptions"),
        ({"localisation": "all"}, "localisation must be one of"),
        ({"localisation": "box"}, 'give regions="labels" or "descriptions"'),
        ({"order": "captions then regions"}, "localisation and order are about regions"),
        ({"flips": "yes"}, "flips must be one of guarded, unguarded, off"),
        ({"batch_size": 1}, "batch_size must be at least 2"),
        ({"images": 5}, "5 images do not fill a batch of 8"),
        ({"regions": "labels", "images": 15}, "15 images do not fill a batch of 8 of each kind"),
        ({"contrastive": False, "match": False, "mlm": False}, "every loss on pairs is off"),
        ({"mask_share": 2}, r"mask_share must be a share in 0\.\.1"),
        ({"checkpoints": (0.0,)}, r"checkpoints must be shares of the run in \(0, 1\]"),
    ],
)
def test_settings_that_do_not_fit(change, message):
    with pytest.raises(LocaliseError, match=message):
        replace(SMALL, **change)


def test_sources_that_do_not_fit(encoder):
    with pytest.raises(LocaliseError, match="4 pictures with captions do not fill a batch of 8"):
        quiet(encoder, Squares(4), SMALL)
    with pytest.raises(LocaliseError, match="4 pictures with regions do not fill a batch of 8"):
        quiet(encoder, Squares(24, bare=20), BOTH)
    quiet(encoder, Squares(24, bare=20), replace(SMALL, images=16))  # regions are not asked for

    class Empty(Squares):
        def regions(self, rows, *rest):
            nothing = np.empty((0, 4), np.float32)
            return Regions(self.pictures(rows), np.empty(0, np.int64), nothing, [])

    with pytest.raises(LocaliseError, match="none of the pictures of a batch has a region"):
        quiet(encoder, Empty(), BOTH)

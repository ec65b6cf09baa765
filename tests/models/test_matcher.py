"""Token outputs, region features, cross-attention and scores against slow loops and the plain encoder."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from percept.models import dual
from percept.models.cross_attention import Attention
from percept.models.encoders import EncoderError, load_encoder
from percept.models.matched import load_matched, matched, save_matched
from percept.models.matcher import new_matcher
from percept.models.weights import hash_tensors

TEXTS = ["a red cat", "a blue dog on the grass", "two zebras and a cat", "cat"]


@pytest.fixture(scope="module")
def encoder(tiny):
    return load_encoder(tiny.folder, device="cpu")


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


def double(encoder, **settings):
    return new_matcher(encoder, heads=4, **settings).double().eval().requires_grad_(False)


def scaled(encoder, pictures):
    return encoder.preprocess.scale(torch.from_numpy(pictures)).double()


def boxes(count=5, seed=0):
    rng = np.random.default_rng(seed)
    return torch.tensor(np.concatenate([rng.random((count, 2)), 0.1 + 0.5 * rng.random((count, 2))], 1))


@pytest.mark.parametrize("region_blocks", [0, 1, 2])
def test_whole_pictures_and_texts_are_those_of_the_plain_encoder(encoder, pictures, region_blocks):
    matcher = new_matcher(encoder, heads=4, region_blocks=region_blocks).eval()
    states = matcher.states(encoder.preprocess.scale(torch.from_numpy(pictures)))
    torch.testing.assert_close(matcher.whole(states).embedding, encoder.encode_images(pictures), atol=1e-6, rtol=0)
    owner = torch.tensor([2, 0, 2])
    torch.testing.assert_close(matcher.whole(states, owner).embedding, encoder.encode_images(pictures)[owner])
    words = matcher.read(encoder.tokenizer(TEXTS))
    torch.testing.assert_close(words.embedding, encoder.encode_texts(TEXTS), atol=1e-6, rtol=0)
    assert words.tokens.shape[1] == words.ends.max() + 1 < encoder.tokenizer(TEXTS).shape[1]


@pytest.mark.parametrize("grid", [(4, 4), (3, 7)])
def test_patch_mask_equals_the_slow_loop(grid):
    rng = np.random.default_rng(1)
    # Edges on cell edges as often as between them, boxes without area, and boxes that leave the picture.
    corners = np.round(rng.uniform(-0.2, 1.2, (300, 2, 2)) * grid[1] * 2) / grid[1] / 2
    low, high = corners.min(1), corners.max(1)
    found = dual.patch_mask(torch.tensor(np.concatenate([(low + high) / 2, high - low], 1)).float(), grid)
    for box, cells in zip(np.stack([low, high], 1).tolist(), found.view(-1, *grid), strict=True):
        spans = []
        for axis, count in ((0, grid[1]), (1, grid[0])):
            first = min(max(math.floor(round(box[0][axis] * count, 3)), 0), count - 1)
            end = max(min(math.ceil(round(box[1][axis] * count, 3)), count), first + 1)
            spans.append(range(first, end))
        expected = [[column in spans[0] and row in spans[1] for column in range(grid[1])] for row in range(grid[0])]
        assert cells.tolist() == expected
        assert cells.any()


def test_masked_mean_equals_the_slow_loop(encoder, pictures):
    matcher, frames, owner = double(encoder, region_blocks=0), boxes(), torch.tensor([0, 3, 3, 1, 4])
    view = matcher.regions(matcher.states(scaled(encoder, pictures)), owner, frames)
    tokens, _ = dual.image_tokens(matcher.clip, matcher.states(scaled(encoder, pictures)), 0)
    masks = dual.patch_mask(frames, (4, 4))
    for row in range(5):
        kept = [tokens[owner[row], 1 + patch] for patch in range(16) if masks[row, patch]]
        vector = sum(kept) / len(kept) @ matcher.clip.visual.proj
        torch.testing.assert_close(view.embedding[row].double(), vector / vector.norm(), atol=1e-6, rtol=0)
    assert view.keep[:, 0].all()
    assert torch.equal(view.keep[:, 1:], masks)


@pytest.mark.parametrize("region_blocks", [1, 2])
def test_masked_layers_equal_a_tower_that_was_given_the_region_alone(encoder, pictures, region_blocks):
    matcher, frames, owner = double(encoder, region_blocks=region_blocks), boxes(seed=2), torch.tensor([0, 3, 3, 1, 4])
    states = matcher.states(scaled(encoder, pictures))
    view = matcher.regions(states, owner, frames)
    visual = matcher.clip.visual
    for row in range(5):
        alone = states[owner[row]][view.keep[row]][None]  # the class token and the patches of the region
        for block in visual.transformer.resblocks[-region_blocks:]:
            alone = block(alone)
        vector = (visual.ln_post(alone)[0, 0] @ visual.proj).float()
        torch.testing.assert_close(view.embedding[row], vector / vector.norm(), atol=1e-6, rtol=0)


def test_a_region_in_all_blocks_does_not_see_the_rest_of_its_picture(encoder, pictures):
    matcher, frame = double(encoder, region_blocks=2), torch.tensor([[0.25, 0.25, 0.5, 0.5]])
    other = pictures[:1].copy()
    other[:, 16:] = 0
    other[:, :, 16:] = 255
    changed = other.copy()
    changed[:, 3, 3] ^= 255
    one, same, differs = (
        matcher.regions(matcher.states(scaled(encoder, each)), torch.zeros(1, dtype=torch.long), frame)
        for each in (pictures[:1], other, changed)
    )
    torch.testing.assert_close(one.embedding, same.embedding, atol=1e-6, rtol=0)
    assert (one.embedding - differs.embedding).abs().max() > 1e-5
    words = matcher.read(encoder.tokenizer(TEXTS[:1]))
    first = torch.zeros(1, dtype=torch.long)
    logits = [matcher.match_logits(view, first, words, first) for view in (one, same, differs)]
    torch.testing.assert_close(logits[0], logits[1])
    assert (logits[0] - logits[2]).abs().max() > 1e-6


def test_a_region_of_the_whole_picture_is_the_picture(encoder, pictures):
    matcher, whole = double(encoder), torch.tensor([[0.5, 0.5, 1.0, 1.0]] * 5)
    states = matcher.states(scaled(encoder, pictures))
    torch.testing.assert_close(
        matcher.regions(states, torch.arange(5), whole).embedding, matcher.whole(states).embedding
    )


def slow_attention(attention, x, tokens):
    """One query and one head at a time."""
    heads, width = attention.heads, x.shape[-1] // attention.heads
    out = []
    for query in attention.query(x):
        parts = []
        for head in range(heads):
            span = slice(head * width, (head + 1) * width)
            logits = torch.stack([query[span] @ key[span] / math.sqrt(width) for key in attention.key(tokens)])
            weights = logits.exp() / logits.exp().sum()
            parts.append(sum(w * v[span] for w, v in zip(weights, attention.value(tokens), strict=True)))
        out.append(torch.cat(parts))
    return attention.out(torch.stack(out))


@pytest.mark.parametrize("region_blocks", [0, 1])
def test_matching_equals_the_slow_loop_pair_by_pair(encoder, pictures, region_blocks):
    matcher, frames, owner = double(encoder, region_blocks=region_blocks), boxes(seed=3), torch.tensor([0, 3, 3, 1, 4])
    view = matcher.regions(matcher.states(scaled(encoder, pictures)), owner, frames)
    words = matcher.read(encoder.tokenizer(TEXTS))
    rows, texts = torch.tensor([0, 1, 2, 3, 4, 0]), torch.tensor([0, 1, 2, 3, 0, 2])
    found = matcher.match_logits(view, rows, words, texts)
    where = matcher.boxes(view, rows, words, texts)
    states = matcher.states(scaled(encoder, pictures))
    for pair, (row, text) in enumerate(zip(rows.tolist(), texts.tolist(), strict=True)):
        if region_blocks:
            tokens, _ = dual.image_tokens(matcher.clip, states[owner], region_blocks, view.keep)
        else:
            tokens = dual.image_tokens(matcher.clip, states, 0)[0][owner]
        seen = tokens[row][view.keep[row]]
        x = words.tokens[text][: words.ends[text] + 1]
        for block in matcher.blocks:
            own = block.norms[0](x)
            x = x + slow_attention(block.own, own, own)
            x = x + slow_attention(block.cross, block.norms[1](x), seen)
            x = x + block.mlp(block.norms[2](x))
        end = matcher.norm(x)[-1]
        torch.testing.assert_close(found[pair], matcher.match(end))
        torch.testing.assert_close(where[pair], matcher.box(end).float().sigmoid())


def test_hidden_words_are_not_read_and_word_logits_follow_the_order_of_the_mask(encoder, pictures):
    matcher = double(encoder)
    tokens = encoder.tokenizer(TEXTS)
    hidden = torch.zeros_like(tokens, dtype=torch.bool)
    hidden[0, 1] = hidden[1, 0] = hidden[1, 2] = True
    other = tokens.clone()
    other[hidden] = 5
    one, same = matcher.read(tokens, hidden), matcher.read(other, hidden)
    torch.testing.assert_close(one.tokens, same.tokens)
    assert (one.tokens - matcher.read(tokens).tokens).abs().max() > 1e-3
    view = matcher.whole(matcher.states(scaled(encoder, pictures)))
    first = torch.arange(4)
    fused = matcher.fuse(view, first, one, first)
    found = matcher.word_logits(fused, hidden)
    for row, (text, place) in enumerate([(0, 1), (1, 0), (1, 2)]):
        wanted = matcher.word(fused[text, place]) @ matcher.clip.token_embedding.weight.T + matcher.word_bias
        torch.testing.assert_close(found[row], wanted)


def test_scores_equal_one_pair_at_a_time_and_each_thing_is_encoded_once(encoder, pictures, monkeypatch):
    model = matched(encoder, new_matcher(encoder, heads=4))
    seen = {"pictures": 0, "texts": 0}
    states, read = dual.image_states, dual.text_tokens

    def count_pictures(clip, pixels, *rest):
        seen["pictures"] += len(pixels)
        return states(clip, pixels, *rest)

    def count_texts(clip, tokens, *rest):
        seen["texts"] += len(tokens)
        return read(clip, tokens, *rest)

    monkeypatch.setattr(dual, "image_states", count_pictures)
    monkeypatch.setattr(dual, "text_tokens", count_texts)
    monkeypatch.setattr("percept.models.matched._PICTURES", 2)
    monkeypatch.setattr("percept.models.matched._SENTENCES", 3)
    monkeypatch.setattr("percept.models.matched._PAIRS", 3)
    table = model.score(pictures, TEXTS)
    assert seen == {"pictures": 5, "texts": 4}
    assert table.shape == (5, 4)
    assert table.dtype == np.float64
    assert ((table > 0) & (table < 1)).all()
    picture, sentence = np.array([4, 0, 2, 2, 4]), np.array([1, 3, 0, 2, 1])
    np.testing.assert_allclose(model.pairs(pictures, TEXTS, picture, sentence), table[picture, sentence], atol=1e-6)
    for i, j in ((0, 0), (3, 2)):
        np.testing.assert_allclose(model.score(list(pictures[i : i + 1]), TEXTS[j : j + 1]), table[i, j], atol=1e-6)
    wanted = encoder.encode_images(pictures) @ encoder.encode_texts(TEXTS).T
    np.testing.assert_allclose(model.cosine(pictures, TEXTS), wanted.numpy(), atol=1e-6)
    assert model.pairs(pictures[::-1], TEXTS, picture, sentence) != pytest.approx(table[picture, sentence], abs=1e-6)


def test_confident_matches_do_not_tie(encoder, pictures):
    matcher = new_matcher(encoder, heads=4)
    with torch.no_grad():
        matcher.match[-1].bias.copy_(torch.tensor([-12.0, 12.0]))
    table = matched(encoder, matcher).score(pictures, TEXTS)
    assert table.min() > 1 - 1e-7  # all the same in float32
    assert len(np.unique(table)) == table.size


def test_boxes_of_phrases_and_how_sure_they_are(encoder, pictures):
    matcher = new_matcher(encoder, heads=4)
    model = matched(encoder, matcher)
    picture, sentence = np.array([1, 0, 1]), np.array([0, 1, 2])
    found, sure = model.locate(pictures, TEXTS, picture, sentence)
    assert found.shape == (3, 4)
    assert ((found > 0) & (found < 1)).all()
    with torch.no_grad():
        states = matcher.states(encoder.preprocess.scale(torch.from_numpy(pictures)))
        words, rows, texts = matcher.read(encoder.tokenizer(TEXTS)), torch.tensor(picture), torch.tensor(sentence)
        np.testing.assert_allclose(found, matcher.boxes(matcher.whole(states), rows, words, texts), atol=1e-6)
        view = matcher.regions(states, rows, torch.tensor(found))
        wanted = matcher.match_logits(view, torch.arange(3), words, texts).softmax(1)[:, 1]
    np.testing.assert_allclose(sure, wanted, atol=1e-6)


def test_relevance_is_what_each_look_at_a_patch_adds_to_the_match(encoder, pictures, monkeypatch):
    matcher = new_matcher(encoder, heads=4)
    found = matched(encoder, matcher).relevance(pictures, TEXTS, np.array([1, 0]), np.array([0, 3]))
    assert found.shape == (2, 4, 4)
    matcher = matcher.double()
    view, words = matcher.whole(matcher.states(scaled(encoder, pictures))), matcher.read(encoder.tokenizer(TEXTS))
    plain, factor, weights = Attention.forward, {}, {}

    def scaled_looks(self, x, looked, keep=None, trace=None):
        if self not in factor:
            return plain(self, x, looked, keep)
        logits = self._heads(self.query(x)) @ looked[0].transpose(-1, -2) / math.sqrt(x.shape[-1] / self.heads)
        weights[self] = logits.softmax(-1)
        return self.out(((weights[self] * factor[self]) @ looked[1]).transpose(1, 2).flatten(2))

    monkeypatch.setattr(Attention, "forward", scaled_looks)
    for pair, (row, text) in enumerate([(1, 0), (0, 3)]):
        length, wanted = int(words.ends[text]) + 1, np.zeros(16)
        for block in matcher.blocks:
            factor.update({each.cross: torch.ones(1, 4, length, 17).double() for each in matcher.blocks})
            for head, query, patch in np.ndindex(4, length, 16):
                margins = []
                for step in (1e-4, -1e-4):
                    factor[block.cross][0, head, query, 1 + patch] = 1 + step
                    logits = matcher.match_logits(view, torch.tensor([row]), words, torch.tensor([text]))
                    margins.append((logits[0, 1] - logits[0, 0]).item())
                factor[block.cross][0, head, query, 1 + patch] = 1
                # The change when a weight grows in proportion is the weight times its gradient.
                wanted[patch] += max(0.0, (margins[0] - margins[1]) / 2e-4) / 4
        np.testing.assert_allclose(found[pair].ravel(), wanted, atol=1e-7, rtol=1e-3)


def test_a_folder_keeps_scores_and_fingerprint_and_the_encoder_is_left_alone(encoder, pictures, tmp_path):
    before = hash_tensors(encoder.model.state_dict())
    matcher = new_matcher(encoder, heads=4, region_blocks=1, seed=3)
    with torch.no_grad():
        matcher.clip.visual.proj.add_(0.01)
    model = matched(encoder, matcher)
    assert hash_tensors(encoder.model.state_dict()) == before
    assert model.encoder.fingerprint != encoder.fingerprint
    loaded = load_matched(encoder, save_matched(model, tmp_path / "model"))
    assert loaded.fingerprint == model.fingerprint
    assert loaded.encoder.fingerprint == model.encoder.fingerprint
    assert loaded.matcher.facts == model.matcher.facts
    np.testing.assert_array_equal(loaded.score(pictures, TEXTS), model.score(pictures, TEXTS))
    other = new_matcher(encoder, heads=4, region_blocks=1, seed=4)
    assert matched(encoder, other).fingerprint != model.fingerprint


def test_folders_that_cannot_be_loaded(encoder, tiny, tmp_path):
    folder = save_matched(matched(encoder, new_matcher(encoder, heads=4)), tmp_path / "model")
    facts = json.loads((folder / "percept_matcher.json").read_text())

    def write(**changes):
        (folder / "percept_matcher.json").write_text(json.dumps(facts | changes))

    with pytest.raises(EncoderError, match=r"holds no matcher: percept_matcher\.json is missing"):
        load_matched(encoder, tmp_path / "nowhere")
    write(base_fingerprint="0" * 64)
    with pytest.raises(EncoderError, match=r"belongs to the encoder .* with fingerprint 000000000000"):
        load_matched(encoder, folder)
    for change in ({"format": 9}, {"colour": "red"}):
        write(**change)
        with pytest.raises(EncoderError, match="does not describe a matcher"):
            load_matched(encoder, folder)
    write(blocks=3)
    with pytest.raises(EncoderError, match="does not hold the matcher"):
        load_matched(encoder, folder)
    write(fingerprint="1" * 64)
    with pytest.raises(EncoderError, match="is not the file that"):
        load_matched(encoder, folder)
    write()
    load_matched(encoder, folder)
    (folder / "matcher.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match="not a complete safetensors file"):
        load_matched(encoder, folder)


def test_encoders_and_sizes_that_do_not_fit(encoder):
    with pytest.raises(EncoderError, match="has no text tower of open_clip's plain form"):
        new_matcher(load_encoder("efficientnet-lite0", device="cpu"))
    with pytest.raises(EncoderError, match="region_blocks must be 0 to 2"):
        new_matcher(encoder, heads=4, region_blocks=3)
    with pytest.raises(EncoderError, match="heads that divide 64"):
        new_matcher(encoder, heads=6)


@pytest.mark.parametrize(
    ("picture", "sentence", "message"),
    [
        ([5], [0], r"picture must be 0\.\.4, got 5\.\.5"),
        ([0], [-1], r"sentence must be 0\.\.3"),
        ([0.5], [0], "picture must be whole numbers"),
        ([0, 1], [0], "must be \\[K\\] with K at least 1"),
        (np.array([], int), np.array([], int), "must be \\[K\\] with K at least 1"),
    ],
)
def test_pairs_that_do_not_exist(encoder, pictures, picture, sentence, message):
    model = matched(encoder, new_matcher(encoder, heads=4))
    with pytest.raises(ValueError, match=message):
        model.pairs(pictures, TEXTS, picture, sentence)


def test_cross_attention_begins_at_the_projections_where_they_fit(encoder, tiny):
    config = tiny.config | {"embed_dim": 64}
    wide = replace(encoder, model=tiny.random_clip(embed_dim=64).eval().requires_grad_(False))
    assert config["text_cfg"]["width"] == config["embed_dim"]
    for block in new_matcher(wide, heads=4).blocks:
        assert torch.equal(block.cross.query.weight, wide.model.text_projection.T)
        assert torch.equal(block.cross.key.weight, wide.model.visual.proj.T)
    for block in new_matcher(wide, heads=4, aligned=False).blocks:
        assert not torch.equal(block.cross.key.weight, wide.model.visual.proj.T)
    one, other = (block.cross.query.weight for block in new_matcher(encoder, heads=4).blocks)
    assert not torch.equal(one, other)


def test_new_weights_follow_the_seed_and_leave_the_global_state_alone(encoder):
    state = torch.get_rng_state()
    one, same, other = (new_matcher(encoder, heads=4, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(state, torch.get_rng_state())
    assert hash_tensors(one.state_dict()) == hash_tensors(same.state_dict()) != hash_tensors(other.state_dict())
    assert all(parameter.requires_grad for parameter in one.parameters())

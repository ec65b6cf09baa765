"""The recipe of percept-tiny: tokenizer, stages, and a miniature of the whole run."""

import numpy as np
import pytest
import torch

from percept.data.scenes import SPLITS, captions, scene
from percept.training import tiny


@pytest.fixture(scope="module")
def tokenizer():
    return tiny.shipped_tokenizer()


def test_tokenizer_ends_every_text_and_pads(tokenizer):
    ids = tokenizer(["a dog", "犬"])
    assert ids.shape == (2, tiny.MODEL["text_cfg"]["context_length"])
    end = tiny.MODEL["text_cfg"]["eos_id"]
    for row in ids:
        assert (row == end).sum() == 1
        assert (row[int((row == end).nonzero()) + 1 :] == 0).all()


def test_every_caption_fits_the_context(tokenizer):
    fast = tokenizer.fast
    limit = tiny.MODEL["text_cfg"]["context_length"]
    texts = [text for i in SPLITS["tune"][:200] for code in ("en", "ja") for text in captions(scene(i), code)]
    fast.no_truncation()
    fast.no_padding()
    try:
        assert max(len(encoding.ids) for encoding in fast.encode_batch(texts)) <= limit
    finally:
        fast.enable_truncation(limit)
        fast.enable_padding(length=limit, pad_id=0, pad_token=tiny.PAD)


def test_any_text_can_be_encoded_and_words_stay_apart(tokenizer):
    strange = tokenizer(["Ω≈ç", "🦄", "scratch on the fabric", "キズあり"])
    unknown = tokenizer.fast.token_to_id(tiny.UNKNOWN)
    assert not (strange == unknown).any()
    assert len({tuple(row.tolist()) for row in strange}) == 4


def test_japanese_particles_do_not_stick_to_nouns(tokenizer):
    """The noun's token is the same with and without the particle after it."""
    alone, followed = (tokenizer.fast.encode(text) for text in ("砂の上の犬", "砂の上の犬が"))
    words = sum(alone.attention_mask) - 1  # without the end token
    assert followed.ids[:words] == alone.ids[:words]
    assert sum(followed.attention_mask) - 1 > words


def test_weights_can_move_to_another_image_size():
    small = tiny.resized(None, 32, seed=0)
    large = tiny.resized(small, 64, seed=1)
    assert torch.equal(large.text_projection, small.text_projection)
    assert large.visual.positional_embedding.shape[0] == 65
    assert small.visual.positional_embedding.shape[0] == 17


def test_the_recipe_runs_and_its_folder_loads(tmp_path):
    stages = (tiny.Stage("close-ups", 32, 1.0, 1.3, 2, 1e-3), tiny.Stage("scenes", 64, 0.5, 2.2, 2, 1e-3))
    folder = tiny.train(tmp_path / "run", stages=stages, scenes=400)
    from percept import load_encoder

    encoder = load_encoder(folder, device="cpu")
    rows = encoder.encode_texts(["a dog on the grass", "a dog on the road"])
    assert rows.shape == (2, 192)
    assert not torch.allclose(rows[0], rows[1], atol=1e-4)
    picture = np.zeros((1, 64, 64, 3), np.uint8)
    assert encoder.encode_images(picture).shape == (1, 192)

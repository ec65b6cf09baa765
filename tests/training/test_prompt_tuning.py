import copy

import numpy as np
import open_clip
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn
from torchvision.transforms import Compose, Normalize, ToTensor

from percept.models.encoders import Encoder, EncoderError, NoTextTower, load_encoder
from percept.models.preprocessing import from_transform
from percept.training.prompt_tuning import Prompt, learn_prompt
from percept.training.rate import RateError
from percept.training.score_baselines import features_of

EMBED = 16
SIZE = {"image_size": 16, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16}
TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}


def wrapped(model):
    rule = from_transform(Compose([ToTensor(), Normalize([0.5] * 3, [0.25] * 3)]), {})
    rule.size = (16, 16)
    tokenizer = open_clip.SimpleTokenizer(context_length=16)
    model.eval().requires_grad_(False)
    return Encoder("small", model, rule, "0" * 64, EMBED, torch.device("cpu"), tokenizer=tokenizer)


def plain():
    torch.manual_seed(0)
    return wrapped(open_clip.CLIP(EMBED, SIZE, TEXT))


def with_own_text_tower():
    torch.manual_seed(0)
    return wrapped(open_clip.CustomTextCLIP(EMBED, SIZE, TEXT))


def with_last_token():
    """As SigLIP: reads in both directions and pools the last token, which is padding."""
    torch.manual_seed(0)
    changes = {"no_causal_mask": True, "pool_type": "last"}
    return wrapped(open_clip.CustomTextCLIP(EMBED, SIZE, TEXT | changes))


def with_bert():
    from open_clip.hf_model import HFTextEncoder
    from transformers import BertConfig

    encoder = with_own_text_tower()
    config = BertConfig(vocab_size=49408, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                        intermediate_size=64, max_position_embeddings=16)  # fmt: skip
    text = HFTextEncoder("bert", EMBED, config, pooler_type="mean_pooler", proj_type="linear")
    encoder.model.text = text.eval().requires_grad_(False)
    return encoder


def redness(count, seed=0, size=16):
    """Textures on a coloured ground; the score is how red it is, on a scale from 1 to 5."""
    rng = np.random.default_rng(seed)
    red = rng.uniform(0, 1, count)
    ground = np.stack([255 * red, 255 * (1 - red), np.full(count, 128)], 1)[:, None, None]
    pictures = (ground + rng.normal(0, 20, (count, size, size, 3))).clip(0, 255).astype(np.uint8)
    return pictures, 1 + 4 * red


@pytest.fixture(scope="module")
def encoder():
    return plain()


@pytest.fixture(scope="module")
def sets(encoder):
    """Features and scores of training, validation and test pictures."""
    drawn = redness(64, 0), redness(40, 1), redness(100, 2)
    return [(features_of(encoder, pictures), scores) for pictures, scores in drawn]


@pytest.mark.parametrize("make", [plain, with_own_text_tower, with_last_token, with_bert, "percept-tiny"])
def test_word_embeddings_as_context_give_the_sentence_itself(make):
    encoder = load_encoder(make, device="cpu") if isinstance(make, str) else make()
    before, good, bad = "a small cat on the", "red grass", "dark river"
    prompt = Prompt(encoder, good, bad, length=1)
    inner = encoder.tokenizer([f"{before} {good}", f"{before} {bad}"])
    alone = encoder.tokenizer([good, bad])
    length = int((inner[0] == inner[1]).long().cumprod(0).sum()) - prompt.start
    prompt = Prompt(encoder, good, bad, length)
    assert torch.equal(inner[0, prompt.start + length :], alone[0, prompt.start : inner.shape[1] - length])
    prompt.context.data = prompt.table[0](inner[0, prompt.start : prompt.start + length])
    rows = encoder.encode_texts([f"{before} {good}", f"{before} {bad}"])
    found = prompt.direction().detach()
    assert torch.allclose(found, rows[0] - rows[1], atol=1e-5)
    bare = encoder.encode_texts([good, bad])
    assert (found - (bare[0] - bare[1])).abs().max() > 1e-3, "the context must matter"


def test_one_pair_of_words_learns_a_score_and_its_reverse(encoder, sets):
    """The words alone cannot agree with both."""
    (x, y), (val, val_y), (test, truth) = sets
    for loss in ("pearson", "mse"):
        for sign in (1, -1):
            learned = learn_prompt(encoder, x, sign * y, val, sign * val_y, loss=loss, length=4, steps=100)
            found = learned.predict(test)
            assert spearmanr(found, sign * truth).statistic > 0.9
            assert (sign * y).min() <= found.min() < found.max() <= (sign * y).max()
            if loss == "mse":
                assert np.abs(found - sign * truth).mean() < 0.6, "squared error keeps the scale of the scores"


def test_the_best_step_on_validation_is_kept_and_a_run_repeats(encoder, sets):
    (x, y), (val, val_y), (test, _) = sets
    learned = learn_prompt(encoder, x, y, val, val_y, length=4, steps=60, seed=3)
    rows = {row["step"]: row["validation"] for row in learned.history if "validation" in row}
    assert sorted(rows) == [10, 20, 30, 40, 50, 60]
    before = Prompt(encoder, "good photo", "bad photo", 4, 3)
    rows[0] = spearmanr(val @ before.direction().detach().numpy(), val_y).statistic
    assert learned.score == pytest.approx(max(rows.values()))
    assert rows[learned.step] == pytest.approx(learned.score)
    assert spearmanr(learned.predict(val), val_y).statistic == pytest.approx(learned.score)
    again = learn_prompt(encoder, x, y, val, val_y, length=4, steps=60, seed=3)
    assert torch.equal(again.context, learned.context)
    assert np.array_equal(again.predict(test), learned.predict(test))
    misled = learn_prompt(encoder, x, y, val, -val_y, length=4, steps=60)
    assert misled.score > misled.history[-1]["validation"] + 1, "what training leads away from validation is not kept"


def test_only_the_context_trains_and_every_vector_of_it_does(encoder, sets):
    (x, y), held, _ = sets
    prompt = Prompt(encoder, "good photo", "bad photo", 5)
    assert [name for name, _ in prompt.named_parameters()] == ["context"]
    assert prompt.context.shape == (5, 32)
    (prompt(torch.from_numpy(x).float()).sigmoid() - torch.from_numpy(y)).square().mean().backward()
    assert (prompt.context.grad.abs().sum(1) > 0).all()
    before, state = copy.deepcopy(encoder.model.state_dict()), [module.training for module in encoder.model.modules()]
    texts = encoder.encode_texts(["good photo", "a red cat"])
    learn_prompt(encoder, x, y, *held, steps=20)
    assert all(torch.equal(value, before[name]) for name, value in encoder.model.state_dict().items())
    assert all(value.grad is None for value in encoder.model.parameters())
    assert [module.training for module in encoder.model.modules()] == state
    assert torch.equal(encoder.encode_texts(["good photo", "a red cat"]), texts), "no hook is left behind"


def test_an_encoder_without_text_has_no_prompt():
    lite = load_encoder("efficientnet-lite0", device="cpu", image_size=32)
    with pytest.raises(NoTextTower, match="has no text tower"):
        learn_prompt(lite, np.eye(3), range(3), np.eye(3), range(3))


def test_an_unknown_text_tower_is_named(encoder):
    class Tower(nn.Module):
        def encode_text(self, tokens):
            return torch.ones(len(tokens), EMBED)

    strange = copy.copy(encoder)
    strange.model = Tower()
    strange.model.logit_scale = nn.Parameter(torch.zeros(()))
    with pytest.raises(EncoderError, match="word embeddings of 'small', a Tower, are not known"):
        Prompt(strange, "good", "bad", 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "shares"}, "loss must be one of mse, pearson, got 'shares'"),
        ({"length": 0}, "length must be at least 1 and 4 tokens of 'good photo' leave room for 12 of the 16"),
        ({"length": 13}, "leave room for 12 of the 16 that 'small' reads, got 13"),
        ({"train_x": 3 * np.eye(4, EMBED)}, "rows no longer than 1, means of embeddings of length 1: use features_of"),
        ({"val_x": np.eye(4, EMBED + 1)}, r"features must be \[N, 16\] .* Got \[4, 17\]"),
        ({"train_y": np.ones(4)}, "all 4 scores of train are the same"),
        ({"val_y": [1, 2, 3]}, r"scores of validate must be \[4\]"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"good": " "}, "text 0 is empty"),
    ],
)
def test_bad_input_is_named(encoder, changes, message):
    given = {"train_x": np.eye(4, EMBED), "train_y": np.arange(4), "val_x": np.eye(4, EMBED), "val_y": np.arange(4)}
    error = RateError if not {"steps", "good"} & set(changes) else ValueError
    with pytest.raises(error, match=message):
        learn_prompt(encoder, **given | changes)


def test_predictions_need_the_same_features(encoder, sets):
    (x, y), held, _ = sets
    learned = learn_prompt(encoder, x, y, *held, steps=1)
    with pytest.raises(RateError, match=r"features must be \[N, 16\]"):
        learned.predict(np.ones((2, 3)))

"""The split attention against nn.MultiheadAttention."""

import pytest
import torch
from torch import nn

from percept.models.attention import AdapterError, SplitAttention, fuse, split


def random_attention(width=48, heads=4, **options) -> nn.MultiheadAttention:
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(width, heads, batch_first=options.pop("batch_first", True), **options).eval()
    for parameter in attention.parameters():
        # torch starts the biases at zero, where a forgotten one would not show.
        nn.init.normal_(parameter, std=0.1)
    return attention


def masks(length: int, batch: int, heads: int) -> dict[str, torch.Tensor | None]:
    causal = torch.ones(length, length, dtype=torch.bool).triu(1)
    return {
        "none": None,
        "bool": causal,
        "added": torch.zeros(length, length).masked_fill(causal, float("-inf")),
        "per_head": torch.randn(batch * heads, length, length),
    }


@pytest.mark.parametrize("mask", ["none", "bool", "added", "per_head"])
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"batch_first": False}], ids=str)
def test_split_equals_multihead_attention(options, mask):
    whole = random_attention(**options)
    parts = split(whole)
    tokens = torch.randn((3, 7, 48) if whole.batch_first else (7, 3, 48))
    attn_mask = masks(7, 3, 4)[mask]
    expected = whole(tokens, tokens, tokens, need_weights=False, attn_mask=attn_mask)[0]
    assert (parts(tokens, tokens, tokens, attn_mask=attn_mask)[0] - expected).abs().max() < 1e-6
    # Without a gradient torch takes another path inside.
    with torch.inference_mode():
        expected = whole(tokens, tokens, tokens, need_weights=False, attn_mask=attn_mask)[0]
        assert (parts(tokens, tokens, tokens, attn_mask=attn_mask)[0] - expected).abs().max() < 1e-6


def test_split_attends_from_one_sequence_to_another():
    whole = random_attention()
    query, other = torch.randn(2, 5, 48), torch.randn(2, 9, 48)
    expected = whole(query, other, other.flip(1), need_weights=False)[0]
    assert (split(whole)(query, other, other.flip(1))[0] - expected).abs().max() < 1e-6


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"batch_first": False, "dropout": 0.3}])
def test_fuse_undoes_split_bit_by_bit(options):
    whole = random_attention(**options)
    state = torch.random.get_rng_state()
    back = fuse(split(whole))
    assert torch.equal(state, torch.random.get_rng_state())
    assert (back.num_heads, back.batch_first, back.dropout) == (whole.num_heads, whole.batch_first, whole.dropout)
    assert list(back.state_dict()) == list(whole.state_dict())
    for name, value in whole.state_dict().items():
        assert torch.equal(back.state_dict()[name], value), name


def test_split_copies_the_weights():
    whole = random_attention()
    before = whole.in_proj_weight.detach().clone()
    split(whole).q_proj.weight.data.zero_()
    assert torch.equal(whole.in_proj_weight, before)


def test_dropout_acts_in_training_only():
    parts = split(random_attention(dropout=0.5))
    tokens = torch.randn(2, 7, 48)
    same = [parts(tokens, tokens, tokens)[0] for _ in range(2)]
    parts.train()
    other = [parts(tokens, tokens, tokens)[0] for _ in range(2)]
    assert torch.equal(*same)
    assert not torch.equal(*other)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Linear(4, 4), "this block has a Linear"),
        (nn.MultiheadAttention(8, 2, kdim=4, vdim=4), "one width"),
        (nn.MultiheadAttention(8, 2, add_bias_kv=True), "bias_k"),
        (nn.MultiheadAttention(8, 2, add_zero_attn=True), "add_zero_attn"),
    ],
)
def test_what_cannot_be_split(module, message):
    with pytest.raises(AdapterError, match=message):
        split(module)


def test_weights_of_attention_are_not_returned():
    parts = split(random_attention())
    assert isinstance(parts, SplitAttention)
    with pytest.raises(AdapterError, match="need_weights=False"):
        parts(*[torch.randn(1, 3, 48)] * 3, need_weights=True)

import pytest
import torch
import torch.nn.functional as F

from percept.models.heads import MLPHead


@pytest.mark.parametrize("normalise", [False, True])
def test_the_head_is_its_layers_by_hand(normalise):
    torch.manual_seed(0)
    head = MLPHead(5, 3, (4,), 0.5, normalise).eval()
    rows = 7 * torch.randn(6, 5)
    head.fit_scale(rows)
    unit = F.normalize(rows, dim=1) if normalise else rows
    scaled = unit / unit.square().mean().sqrt()
    first, last = head.layers[0], head.layers[3]
    wanted = (scaled @ first.weight.T + first.bias).clamp(min=0) @ last.weight.T + last.bias
    assert torch.allclose(head(rows), wanted, atol=1e-6)


def test_one_output_is_a_vector_and_no_hidden_layer_is_linear():
    head = MLPHead(4, 1, ())
    rows = torch.randn(3, 4)
    assert torch.allclose(head(rows), rows @ head.layers[0].weight[0] + head.layers[0].bias)


def test_published_size():
    """768 -> 512 -> 256 -> 1, as PerceptCLIP's heads have it."""
    assert sum(parameter.numel() for parameter in MLPHead(768).parameters()) == 525_313
    assert sum(parameter.numel() for parameter in MLPHead(768, 8).parameters()) == 527_112


def test_dropout_acts_in_training_only():
    head, rows = MLPHead(8, 1, (64,)), torch.randn(2, 8)
    assert not torch.equal(head.train()(rows), head(rows))
    assert torch.equal(head.eval()(rows), head(rows))
    assert head(rows.half()).dtype == torch.float32

import math

import open_clip.loss
import pytest
import torch
import torch.nn.functional as F

from percept.losses.contrastive import clip_loss, siglip_loss


def unit_rows(count, width=6, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, width, generator=generator, dtype=dtype), dim=-1)


def slow_clip(image, text, scale):
    """The mean of 2N cross-entropies, one number at a time."""
    total = 0.0
    for rows, columns in ((image, text), (text, image)):
        for i in range(len(rows)):
            logits = [scale * sum(a * b for a, b in zip(rows[i], column, strict=True)) for column in columns]
            total += math.log(sum(math.exp(each) for each in logits)) - logits[i]
    return total / (2 * len(image))


def slow_siglip(image, text, scale, bias):
    total = 0.0
    for i in range(len(image)):
        for j in range(len(text)):
            logit = scale * sum(a * b for a, b in zip(image[i], text[j], strict=True)) + bias
            total += math.log(1 + math.exp(-logit if i == j else logit))
    return total / len(image)


@pytest.mark.parametrize(("count", "scale"), [(1, 3.0), (2, 1.0), (7, 14.3), (12, 100.0)])
def test_clip_equals_the_slow_loop_and_open_clip(count, scale):
    image, text = unit_rows(count), unit_rows(count, seed=1)
    ours = clip_loss(image, text, torch.tensor(scale, dtype=torch.float64)).item()
    assert ours == pytest.approx(slow_clip(image.tolist(), text.tolist(), scale), rel=1e-12, abs=1e-14)
    assert ours == pytest.approx(open_clip.loss.ClipLoss()(image, text, scale).item(), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize(("count", "scale", "bias"), [(1, 3.0, -1.0), (2, 1.0, 0.0), (7, 10.0, -10.0)])
def test_siglip_equals_the_slow_loop_and_open_clip(count, scale, bias):
    image, text = unit_rows(count), unit_rows(count, seed=1)
    ours = siglip_loss(image, text, scale, bias).item()
    assert ours == pytest.approx(slow_siglip(image.tolist(), text.tolist(), scale, bias), rel=1e-12)
    assert ours == pytest.approx(open_clip.loss.SigLipLoss()(image, text, scale, bias).item(), rel=1e-12)


def test_siglip_of_unrelated_features_starts_where_the_paper_says():
    image, text = torch.eye(8, 16)[:4], torch.eye(8, 16)[4:]  # every cosine is zero
    assert siglip_loss(image, text, 10.0, -10.0).item() == pytest.approx(10 + 4.54e-5 * 4, rel=1e-6)


def test_gradients_are_those_of_finite_differences():
    image, text = unit_rows(5).requires_grad_(), unit_rows(5, seed=1).requires_grad_()
    scale = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    bias = torch.tensor(-2.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(clip_loss, (image, text, scale))
    assert torch.autograd.gradcheck(siglip_loss, (image, text, scale, bias))


def test_gradients_equal_those_of_open_clip():
    for ours, theirs, extra in (
        (clip_loss, open_clip.loss.ClipLoss(), (7.0,)),
        (siglip_loss, open_clip.loss.SigLipLoss(), (7.0, -3.0)),
    ):
        found = []
        for function in (ours, theirs):
            leaves = [unit_rows(6).requires_grad_(), unit_rows(6, seed=1).requires_grad_()]
            leaves += [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in extra]
            found.append(torch.autograd.grad(function(*leaves), leaves))
        for mine, reference in zip(*found, strict=True):
            torch.testing.assert_close(mine, reference, rtol=1e-11, atol=1e-13)


def test_large_logits_stay_finite():
    rows = unit_rows(4, dtype=torch.float32)
    wrong = rows.roll(1, 0).requires_grad_()
    for value in (clip_loss(rows, wrong, 1e4), siglip_loss(rows, wrong, 1e4, -500.0)):
        assert torch.isfinite(value)
        assert torch.isfinite(torch.autograd.grad(value, wrong)[0]).all()


def test_half_precision_is_computed_in_float32_even_under_autocast():
    image, text = unit_rows(16, dtype=torch.float32), unit_rows(16, seed=1, dtype=torch.float32)
    half_image, half_text = image.bfloat16(), text.bfloat16()
    expected = clip_loss(half_image.float(), half_text.float(), 50.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(clip_loss(half_image, half_text, 50.0), expected)
    assert siglip_loss(half_image, half_text, 10.0, -10.0).dtype == torch.float32


def test_order_of_pairs_does_not_matter_and_a_broken_match_costs():
    image, text = unit_rows(9), unit_rows(9, seed=1)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    for loss in (lambda a, b: clip_loss(a, b, 9.0), lambda a, b: siglip_loss(a, b, 9.0, -3.0)):
        torch.testing.assert_close(loss(image, text), loss(image[order], text[order]))
        assert loss(image, image) < loss(image, image.roll(1, 0))


@pytest.mark.parametrize("shapes", [((3, 4), (2, 4)), ((3, 4), (3, 5)), ((4,), (4,))])
def test_rows_that_do_not_match_are_an_error(shapes):
    image, text = (torch.zeros(shape) for shape in shapes)
    for loss in (clip_loss, siglip_loss):
        with pytest.raises(ValueError, match=r"must both be \[B, D\]"):
            loss(image, text, 1.0)

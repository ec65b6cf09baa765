import math

import numpy as np
import pytest
import torch
from scipy import stats

from percept.losses.ratings import distribution_loss, emd_loss, fidelity_loss, pearson_loss, ranking_loss


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def shares(rows, classes, seed=0):
    found = np.random.default_rng(seed).dirichlet(np.ones(classes) / 2, rows)
    found[0] = np.eye(classes)[1]  # a unanimous row: shares of exactly 0
    return torch.tensor(found)


def tied(count=14, seed=0):
    return torch.tensor(np.random.default_rng(seed).integers(5, size=count) / 2)


def test_pearson_equals_scipy_and_ignores_scale_and_shift():
    for seed in range(5):
        p, t = random(30, seed=seed), random(30, seed=seed + 50)
        expected = (1 - stats.pearsonr(p.numpy(), t.numpy()).statistic) / 2
        assert pearson_loss(p, t).item() == pytest.approx(expected, abs=1e-12)
        assert pearson_loss(7 * p - 300, 0.001 * t).item() == pytest.approx(expected, abs=1e-9)
        assert pearson_loss(-p, t).item() == pytest.approx(1 - expected, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, 1000.3])
def test_pearson_of_a_constant_prediction_is_a_half_with_a_useful_gradient(dtype, value):
    p = torch.full((8,), value, dtype=dtype, requires_grad=True)
    t = torch.linspace(1, 5, 8, dtype=dtype)
    loss = pearson_loss(p, t)
    loss.backward()
    assert loss.item() == pytest.approx(0.5, abs=1e-3)
    assert torch.isfinite(p.grad).all()
    assert p.grad[0] > 0 > p.grad[-1]  # descent lowers the lowest and raises the highest
    q = random(8).to(dtype).requires_grad_()
    loss = pearson_loss(q, torch.full_like(t, 3.3))
    loss.backward()
    assert loss.item() == pytest.approx(0.5, abs=1e-6)
    assert torch.isfinite(q.grad).all()


def slow_ranking(p, t, kind, margin, tolerance):
    costs = []
    for i in range(len(p)):
        for j in range(len(p)):
            if t[i] - t[j] > tolerance:
                gap = margin - (p[i] - p[j])
                costs.append(math.log(1 + math.exp(gap)) if kind == "logistic" else max(0.0, gap))
    return sum(costs) / len(costs)


@pytest.mark.parametrize("kind", ["logistic", "hinge"])
@pytest.mark.parametrize("tolerance", [0.0, 0.5])
def test_ranking_equals_the_slow_loop(kind, tolerance):
    p, t = random(14), tied()
    for margin in (0.1, 1.0):
        expected = slow_ranking(p.tolist(), t.tolist(), kind, margin, tolerance)
        assert ranking_loss(p, t, kind, margin, tolerance).item() == pytest.approx(expected, rel=1e-12)


def test_ranking_without_a_pair_is_zero_with_zero_gradient():
    p = random(4).requires_grad_()
    loss = ranking_loss(p, torch.tensor([1.0, 1.2, 1.1, 1.0]), tolerance=0.5)
    loss.backward()
    assert loss.item() == 0
    assert p.grad.tolist() == [0.0] * 4


def slow_fidelity(p, t):
    costs = []
    for i in range(len(p)):
        for j in range(i + 1, len(p)):
            true = 0.5 if t[i] == t[j] else float(t[i] > t[j])
            said = stats.norm.cdf((p[i] - p[j]) / math.sqrt(2))
            costs.append(1 - math.sqrt(true * said) - math.sqrt((1 - true) * (1 - said)))
    return sum(costs) / len(costs)


def test_fidelity_equals_the_slow_loop_and_does_not_depend_on_order():
    p, t = random(14), tied()
    assert fidelity_loss(p, t).item() == pytest.approx(slow_fidelity(p.tolist(), t.tolist()), rel=1e-10)
    turned = torch.arange(13, -1, -1)
    torch.testing.assert_close(fidelity_loss(p[turned], t[turned]), fidelity_loss(p, t))
    assert fidelity_loss(torch.zeros(2), torch.ones(2)).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_fidelity_is_finite_for_predictions_far_apart(dtype):
    p = torch.tensor([500.0, -500.0], dtype=dtype, requires_grad=True)
    loss = fidelity_loss(p, torch.tensor([0.0, 1.0], dtype=dtype))
    loss.backward()
    assert loss.item() == 1.0
    assert torch.isfinite(p.grad).all()


def test_distribution_loss_equals_the_loop_for_logits_and_log_probabilities():
    logits, target = 3 * random(9, 8), shares(9, 8)
    total = 0.0
    for row, share in zip(logits.tolist(), target.tolist(), strict=True):
        norm = math.log(sum(math.exp(v) for v in row))
        total += sum(s * (math.log(s) - (v - norm)) for v, s in zip(row, share, strict=True) if s > 0)
    assert distribution_loss(logits, target).item() == pytest.approx(total / 9, rel=1e-10)
    assert distribution_loss(logits.log_softmax(1), target).item() == pytest.approx(total / 9, rel=1e-10)
    assert distribution_loss(target.clamp_min(1e-30).log(), target).item() == pytest.approx(0, abs=1e-9)


def test_distribution_loss_has_the_gradient_of_soft_cross_entropy():
    logits, target = random(5, 4).requires_grad_(), shares(5, 4)
    ours = torch.autograd.grad(distribution_loss(logits, target), logits)[0]
    torch.testing.assert_close(ours, torch.autograd.grad(torch.nn.functional.cross_entropy(logits, target), logits)[0])


def test_emd_equals_the_loop_and_grows_with_distance():
    logits, target = random(9, 5), shares(9, 5)
    total = 0.0
    for row, share in zip(logits.tolist(), target.tolist(), strict=True):
        norm = sum(math.exp(v) for v in row)
        for k in range(5):
            predicted = sum(math.exp(v) for v in row[: k + 1]) / norm
            total += (predicted - sum(share[: k + 1])) ** 2
    assert emd_loss(logits, target).item() == pytest.approx(total / 45, rel=1e-12)
    sure = torch.tensor([[50.0, 0, 0, 0, 0]])
    costs = [emd_loss(sure, torch.eye(5)[[k]]).item() for k in range(5)]
    assert costs == pytest.approx([0, 0.2, 0.4, 0.6, 0.8], abs=1e-6)


def test_gradients_are_those_of_finite_differences():
    p, t = random(9).requires_grad_(), tied(9)
    check = torch.autograd.gradcheck
    assert check(lambda x: pearson_loss(x, t), (p,))
    assert check(lambda x: ranking_loss(x, t, "logistic", 0.3, 0.5), (p,))
    assert check(lambda x: ranking_loss(x, t, "hinge", 0.3), (p,))
    assert check(lambda x: fidelity_loss(x, t), (p,))
    logits, target = random(4, 5).requires_grad_(), shares(4, 5)
    assert check(lambda x: distribution_loss(x, target), (logits,))
    assert check(lambda x: emd_loss(x, target), (logits,))


@pytest.mark.parametrize("loss", [pearson_loss, ranking_loss, fidelity_loss])
def test_losses_are_low_where_the_order_is_right(loss):
    t = torch.arange(6.0)
    assert loss(3 * t, t) < loss(random(6).float(), t) < loss(-3 * t, t)


def test_half_precision_is_computed_in_float32_even_under_autocast():
    p, t = random(64).half(), random(64, seed=1).half()
    logits, target = random(8, 5).bfloat16(), shares(8, 5).bfloat16()
    cases = [(pearson_loss, p, t), (ranking_loss, p, t), (fidelity_loss, p, t)]
    cases += [(distribution_loss, logits, target), (emd_loss, logits, target)]
    for loss, first, second in cases:
        expected = loss(first.float(), second.float())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(loss(first, second), expected)
    # Squares of these would overflow float16.
    assert torch.isfinite(pearson_loss(torch.tensor([900.0, -900.0]).half(), torch.tensor([1, 2])))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pearson_loss(torch.zeros(3, 1), torch.zeros(3)), r"vectors of one length .*got \(3, 1\) and \(3,\)"),
        (lambda: pearson_loss(torch.zeros(1), torch.zeros(1)), "at least 2"),
        (lambda: ranking_loss(torch.zeros(3), torch.zeros(2)), "vectors of one length"),
        (lambda: ranking_loss(torch.zeros(3), torch.zeros(3), "cosine"), "'logistic' or 'hinge', got 'cosine'"),
        (lambda: ranking_loss(torch.zeros(3), torch.zeros(3), "hinge"), "hinge needs a margin above 0"),
        (lambda: fidelity_loss(torch.zeros(3), torch.zeros(3, 3)), "vectors of one length"),
        (lambda: distribution_loss(torch.zeros(3, 4), torch.zeros(3)), r"both be \[B, C\]"),
        (lambda: emd_loss(torch.zeros(3, 4), torch.zeros(3, 5)), r"both be \[B, C\]"),
        (lambda: emd_loss(torch.zeros(0, 4), torch.zeros(0, 4)), "not empty"),
    ],
)
def test_shapes_that_do_not_fit_are_an_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()

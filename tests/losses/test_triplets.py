import math

import pytest
import torch
import torch.nn.functional as F

from percept.losses.triplets import (
    feature_distillation_loss,
    glocal_triplet_loss,
    local_similarity_loss,
    triplet_hinge_loss,
)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cosine(a, b):
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))


def slow_hinge(left, right, votes, margin):
    total = 0.0
    for a, b, vote in zip(left, right, votes, strict=True):
        y = 1 if vote > 0.5 else -1  # half goes to the even 0, so y = -1
        total += max(0.0, margin - y * (a - b))
    return total / len(left)


@pytest.mark.parametrize("margin", [0.0, 0.05, 0.5])
def test_hinge_equals_the_slow_loop_with_split_votes(margin):
    left, right = random(40).abs(), random(40, seed=1).abs()
    votes = torch.tensor([0.0, 0.2, 0.5, 0.6, 1.0] * 8, dtype=torch.float64)
    expected = slow_hinge(left.tolist(), right.tolist(), votes.tolist(), margin)
    assert triplet_hinge_loss(left, right, votes, margin).item() == pytest.approx(expected, rel=1e-12)
    assert triplet_hinge_loss(left, right, votes.numpy(), margin).item() == pytest.approx(expected, rel=1e-12)


def test_an_even_vote_counts_as_left_in_the_hinge():
    near, far = torch.tensor([0.1]), torch.tensor([0.9])
    assert triplet_hinge_loss(near, far, [0.5]).item() == 0.0
    assert triplet_hinge_loss(far, near, [0.5]).item() == pytest.approx(0.85)


def test_hinge_default_margin_and_gradient_signs():
    left = torch.tensor([0.5, 0.2], requires_grad=True)
    right = torch.tensor([0.5, 0.9], requires_grad=True)
    loss = triplet_hinge_loss(left, right, torch.tensor([1.0, 0.0]))
    assert loss.item() == pytest.approx(0.025)  # the tie costs the margin, the clear one nothing
    loss.backward()
    assert left.grad.tolist() == [-0.5, 0.0]  # right was chosen: left moves away, right comes nearer
    assert right.grad.tolist() == [0.5, 0.0]


def test_glocal_triplet_equals_the_slow_loop():
    a, b, c = (random(9, 5, seed=s) for s in range(3))
    total = 0.0
    for x, y, z in zip(a.tolist(), b.tolist(), c.tolist(), strict=True):
        dots = [sum(p * q for p, q in zip(u, v, strict=True)) for u, v in ((x, y), (x, z), (y, z))]
        total += math.log(sum(math.exp(d) for d in dots)) - dots[0]
    assert glocal_triplet_loss(a, b, c).item() == pytest.approx(total / 9, rel=1e-12)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_local_similarity_equals_the_slow_loop(temperature):
    teacher, student = random(7, 4), random(7, 6, seed=1)
    total = 0.0
    for i in range(7):
        others = [j for j in range(7) if j != i]
        t = [cosine(teacher[i].tolist(), teacher[j].tolist()) / temperature for j in others]
        s = [cosine(student[i].tolist(), student[j].tolist()) / temperature for j in others]
        weights = [math.exp(v) / sum(math.exp(w) for w in t) for v in t]
        logs = [v - math.log(sum(math.exp(w) for w in s)) for v in s]
        total -= sum(w * v for w, v in zip(weights, logs, strict=True))
    assert local_similarity_loss(teacher, student, temperature).item() == pytest.approx(total / 7, rel=1e-12)


def test_local_similarity_is_least_at_the_teacher_and_ignores_rotation():
    teacher = random(8, 5)
    turn, _ = torch.linalg.qr(random(5, 5, seed=3))
    least = local_similarity_loss(teacher, teacher, 0.2)
    torch.testing.assert_close(local_similarity_loss(teacher, 3 * teacher @ turn, 0.2), least)
    assert local_similarity_loss(teacher, random(8, 5, seed=9), 0.2) > least
    near = (teacher.clone()).requires_grad_()
    gradient = torch.autograd.grad(local_similarity_loss(teacher, near, 0.2), near)[0]
    assert gradient.abs().max() < 1e-12


def test_distillation_equals_the_slow_loop_and_leaves_the_teacher_alone():
    teacher, student = random(6, 4).requires_grad_(), random(6, 4, seed=1).requires_grad_()
    expected = sum(1 - cosine(t, s) for t, s in zip(teacher.tolist(), student.tolist(), strict=True)) / 6
    loss = feature_distillation_loss(teacher, student)
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    loss.backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


def test_gradients_are_those_of_finite_differences():
    a, b, c = (random(5, 3, seed=s).requires_grad_() for s in range(3))
    assert torch.autograd.gradcheck(glocal_triplet_loss, (a, b, c))
    assert torch.autograd.gradcheck(lambda s: local_similarity_loss(a.detach(), s, 0.5), (b,))
    assert torch.autograd.gradcheck(lambda s: feature_distillation_loss(a.detach(), s), (b,))
    votes = torch.tensor([0.0, 0.3, 0.5, 0.8, 1.0])
    assert torch.autograd.gradcheck(lambda x, y: triplet_hinge_loss(x, y, votes), (a[:, 0], b[:, 0]))


def test_half_precision_is_computed_in_float32_even_under_autocast():
    teacher, student = random(16, 32).bfloat16(), random(16, 32, seed=1).bfloat16()
    expected = local_similarity_loss(teacher.float(), student.float(), 0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(local_similarity_loss(teacher, student, 0.1), expected)
        assert feature_distillation_loss(teacher, student).dtype == torch.float32
    assert triplet_hinge_loss(teacher[:, 0], student[:, 0], torch.zeros(16)).dtype == torch.float32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: triplet_hinge_loss(torch.zeros(3), torch.zeros(3, 1), torch.zeros(3)), "vectors of one length"),
        (lambda: triplet_hinge_loss(torch.zeros(3), torch.zeros(3), torch.zeros(2)), "vectors of one length"),
        (lambda: glocal_triplet_loss(torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(2, 2)), r"all be \[B, D\]"),
        (lambda: local_similarity_loss(torch.zeros(2, 4), torch.zeros(2, 4)), "at least 3"),
        (lambda: local_similarity_loss(random(4, 4), random(4, 4), 0.0), "temperature must be positive"),
        (lambda: feature_distillation_loss(random(4, 4), random(4, 5)), "differ in width: 4 and 5"),
        (lambda: feature_distillation_loss(random(4, 4), random(3, 4)), "the same B"),
    ],
)
def test_shapes_that_do_not_fit_are_an_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_scale_of_features_does_not_matter_for_cosine_losses():
    teacher, student = random(6, 4), random(6, 4, seed=1)
    torch.testing.assert_close(
        feature_distillation_loss(teacher, student), feature_distillation_loss(5 * teacher, F.normalize(student, dim=1))
    )

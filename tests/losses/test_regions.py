"""Losses of region-text learning against slow loops and torchvision, in float64."""

import math
from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from torchvision import ops

import percept.losses
from percept.losses import regions
from percept.losses.contrastive import clip_loss


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rows(count, width=5, seed=0):
    return F.normalize(random(count, width, seed=seed), dim=1)


def boxes(count, seed=0):
    numbers = torch.rand(count, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.cat([numbers[:, :2], 0.02 + 0.6 * numbers[:, 2:]], 1)


@pytest.mark.parametrize("seed", range(5))
def test_box_loss_equals_torchvision(seed):
    pred, target = boxes(50, seed), boxes(50, seed + 100)
    found = percept.losses.box_loss(pred, target)
    corners = [ops.box_convert(each, "cxcywh", "xyxy") for each in (pred, target)]
    giou = torch.diagonal(ops.generalized_box_iou(*corners))
    assert found["giou"].item() == pytest.approx((1 - giou).mean().item(), rel=1e-12)
    total = sum(abs(a - b) for one, other in zip(pred.tolist(), target.tolist(), strict=True)
                for a, b in zip(one, other, strict=True))  # fmt: skip
    assert found["l1"].item() == pytest.approx(total / 50, rel=1e-12)


def test_box_loss_gradient_equals_numbers():
    pred, target = boxes(6).requires_grad_(), boxes(6, seed=1)
    assert torch.autograd.gradcheck(lambda each: tuple(percept.losses.box_loss(each, target).values()), pred)


def test_a_degenerate_box_changes_no_other_box_and_gives_finite_gradients():
    good, target = boxes(3), boxes(3, seed=1)
    alone = percept.losses.box_loss(good, target)["giou"]
    point, frame = torch.tensor([[0.5, 0.5, 0.0, 0.0]], dtype=torch.float64), boxes(1, seed=2)
    for bad in (point, torch.tensor([[0.5, 0.5, -0.2, 0.3]], dtype=torch.float64)):
        pred = torch.cat([good, bad]).requires_grad_()
        found = percept.losses.box_loss(pred, torch.cat([target, frame]))
        own = (4 * found["giou"] - 3 * alone).item()
        assert 1 <= own <= 2
        (found["giou"] + found["l1"]).backward()
        assert torch.isfinite(pred.grad).all()
        assert pred.grad[:3].abs().sum() > 0
    assert percept.losses.box_loss(point, point)["giou"].item() == 1  # no area, so nothing was hit
    same = percept.losses.box_loss(frame, frame)
    assert same["giou"].item() == pytest.approx(0, abs=1e-15)
    assert same["l1"].item() == 0


def test_half_precision_is_computed_in_float32():
    found = percept.losses.box_loss(boxes(4).bfloat16(), boxes(4, seed=1).bfloat16())
    assert {value.dtype for value in found.values()} == {torch.float32}
    assert regions.matching_loss(random(3, 2).bfloat16(), random(6, 2).bfloat16()).dtype == torch.float32


@pytest.mark.parametrize(
    ("pred", "target", "message"),
    [
        (boxes(2), boxes(3), r"two \[N, 4\] tensors of one shape"),
        (boxes(2)[:, :3], boxes(2)[:, :3], r"two \[N, 4\] tensors"),
        (boxes(2)[0], boxes(2)[0], r"two \[N, 4\] tensors"),
        (boxes(0), boxes(0), "there are no boxes"),
    ],
)
def test_boxes_that_do_not_fit(pred, target, message):
    with pytest.raises(ValueError, match=message):
        percept.losses.box_loss(pred, target)


def test_matching_loss_equals_the_slow_loop():
    matched, unmatched = random(4, 2), random(8, 2, seed=1)
    total = 0.0
    for index, (no, yes) in enumerate([*matched.tolist(), *unmatched.tolist()]):
        right = yes if index < 4 else no
        total += math.log(math.exp(no) + math.exp(yes)) - right
    assert regions.matching_loss(matched, unmatched).item() == pytest.approx(total / 12, rel=1e-12)


def test_hard_negatives_are_drawn_in_proportion_to_similarity_and_never_true():
    similarity = random(4, 4)
    same = regions.same_texts(torch.tensor([0, 1, 0, 3]))
    generator, draws = torch.Generator().manual_seed(0), 4000
    texts, pictures = Counter(), Counter()
    for _ in range(draws):
        text, picture = regions.hard_negatives(similarity, same, 0.01, generator)
        texts.update(enumerate(text.tolist()))
        pictures.update(enumerate(picture.tolist()))
    for found, logits, true in ((texts, similarity, same), (pictures, similarity.T, same.T)):
        for row in range(4):
            weights = [
                0.0 if true[row, column] else math.exp(logits[row, column]) / logits[row].exp().sum().item() + 0.01
                for column in range(4)
            ]
            for column, weight in enumerate(weights):
                assert found[row, column] / draws == pytest.approx(weight / sum(weights), abs=0.03)
                assert weight or not found[row, column]


def test_hard_negatives_need_smoothing_where_the_softmax_is_all_on_the_true_pair():
    similarity, same = 500 * torch.eye(3), torch.eye(3, dtype=torch.bool)
    text, picture = regions.hard_negatives(similarity, same)
    assert not (text == torch.arange(3)).any()
    assert not (picture == torch.arange(3)).any()
    with pytest.raises(ValueError, match="all negatives of picture 0 have weight 0; use smoothing above 0"):
        regions.hard_negatives(similarity, same, smoothing=0)
    with pytest.raises(ValueError, match="every text of the batch is true of every picture"):
        regions.hard_negatives(similarity, torch.ones(3, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"two \[B, B\] matrices"):
        regions.hard_negatives(similarity[:2], same[:2])


def test_a_row_without_negatives_draws_none():
    same = torch.tensor([[True, True, True], [True, True, False], [False, True, True]])
    text, picture = regions.hard_negatives(torch.zeros(3, 3), same)
    assert text.tolist() == [-1, 2, 0]
    assert picture.tolist() == [2, -1, 1]


def test_masked_language_loss_equals_the_slow_loop_and_is_zero_without_words():
    logits, words = random(5, 7), torch.tensor([0, 3, 6, 6, 1])
    total = sum(
        math.log(sum(map(math.exp, row))) - row[word] for row, word in zip(logits.tolist(), words.tolist(), strict=True)
    )
    assert regions.masked_language_loss(logits, words).item() == pytest.approx(total / 5, rel=1e-12)
    empty = logits[:0].requires_grad_()
    loss = regions.masked_language_loss(empty, words[:0])
    assert loss.item() == 0
    loss.backward()


def slow_contrast(region, text, scale, same):
    """Both directions; the target of a row is even over its true columns."""
    total, count = 0.0, len(region)
    for queries, keys, true in ((region, text, same), (text, region, same.T)):
        for row in range(count):
            logits = [scale * float(queries[row] @ key) for key in keys]
            norm = math.log(sum(map(math.exp, logits)))
            hits = [column for column in range(count) if true[row, column]]
            total -= sum(logits[column] - norm for column in hits) / len(hits) / count / 2
    return total


def test_region_contrast_is_clip_loss_without_duplicates_and_the_slow_loop_with_them():
    region, text = rows(6), rows(6, seed=1)
    eye = torch.eye(6, dtype=torch.bool)
    wanted = clip_loss(region, text, 3.0).item()
    assert regions.region_contrast_loss(region, text, 3.0).item() == pytest.approx(wanted, rel=1e-12)
    assert regions.region_contrast_loss(region, text, 3.0, eye).item() == pytest.approx(wanted, rel=1e-12)
    same = eye | (torch.rand(6, 6, generator=torch.Generator().manual_seed(3)) < 0.3)  # not symmetric
    assert not torch.equal(same, same.T)
    found = regions.region_contrast_loss(region, text, 3.0, same).item()
    assert found == pytest.approx(slow_contrast(region, text, 3.0, same), rel=1e-12)


def test_equal_texts_cost_the_same_with_and_without_same_other_truths_do_not():
    text, region = rows(3)[[0, 1, 0, 2]], rows(4, seed=1)
    equal = regions.same_texts(torch.tensor([0, 1, 0, 2]))
    plain = regions.region_contrast_loss(region, text, 5.0).item()
    assert regions.region_contrast_loss(region, text, 5.0, equal).item() == pytest.approx(plain, rel=1e-12)
    equal[1, 3] = True
    assert regions.region_contrast_loss(region, text, 5.0, equal).item() != pytest.approx(plain, rel=1e-3)


def test_negclip_equals_the_slow_loop_and_is_clip_loss_without_negatives():
    image, text, false = rows(4), rows(4, seed=1), rows(3, seed=2)
    total = 0.0
    for row in range(4):
        columns = [2.0 * float(image[row] @ each) for each in [*text, *false]]
        total += math.log(sum(map(math.exp, columns))) - columns[row]
        images = [2.0 * float(text[row] @ each) for each in image]
        total += math.log(sum(map(math.exp, images))) - images[row]
    assert regions.negclip_loss(image, text, false, 2.0).item() == pytest.approx(total / 8, rel=1e-12)
    alone = regions.negclip_loss(image, text, false[:0], 2.0).item()
    assert alone == pytest.approx(clip_loss(image, text, 2.0).item(), rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: regions.region_contrast_loss(rows(3), rows(2), 1.0, torch.eye(3) > 0), "need regions"),
        (lambda: regions.region_contrast_loss(rows(3), rows(3), 1.0, torch.eye(2) > 0), "need regions"),
        (lambda: regions.region_contrast_loss(rows(2), rows(2), 1.0, torch.zeros(2, 2) > 0), "needs a true pair"),
        (lambda: regions.region_contrast_loss(rows(3), rows(2), 1.0), "must both be"),
        (lambda: regions.negclip_loss(rows(3), rows(3), rows(2, 4), 1.0), "need images"),
        (lambda: regions.negclip_loss(rows(3), rows(2), rows(2), 1.0), "need images"),
    ],
)
def test_pairs_that_do_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""How per-item statistics become a task's figure."""

import numpy as np
import pytest

from percept.evaluation.scores import TaskScore, score, summarise


def test_iou_of_summed_confusions_equals_torchmetrics():
    import torch
    from torchmetrics.classification import MulticlassJaccardIndex

    rng = np.random.default_rng(0)
    truth, found = rng.integers(0, 5, (6, 40)), rng.integers(0, 5, (6, 40))
    tables = np.zeros((6, 5, 5))
    for picture in range(6):
        for real, guess in zip(truth[picture], found[picture], strict=True):
            tables[picture, real, guess] += 1
    reference = MulticlassJaccardIndex(5, average="macro")(torch.tensor(found), torch.tensor(truth))
    assert score("t", "f", tables, 0, summary="iou").value == pytest.approx(float(reference), abs=1e-6)
    assert summarise(tables[2].ravel(), "iou") != pytest.approx(float(reference), abs=1e-3)


def test_iou_leaves_out_classes_that_do_not_occur():
    assert summarise([3, 1, 0, 0, 4, 0, 0, 0, 0], "iou") == pytest.approx((3 / 4 + 4 / 5) / 2)
    assert np.isnan(summarise(np.zeros(4), "iou"))


def test_root_and_mean():
    assert score("t", "f", [9.0, 16.0], 0, summary="root").value == pytest.approx(12.5**0.5)
    assert score("t", "f", [True, False, True, True], 0).value == 0.75


def test_groups_are_the_units():
    grouped = score("t", "f", np.ones(50), 0, groups=np.repeat(np.arange(5), 10))
    assert (grouped.n, grouped.testable) == (5, False)
    assert score("t", "f", np.ones(50), 0).testable


@pytest.mark.parametrize(
    ("items", "summary", "message"),
    [
        (np.ones((3, 2)), "mean", "one statistic per item"),
        (np.ones((3, 5)), "iou", "square number"),
        ([[1.0], [np.nan]], "mean", "finite"),
        (np.ones((3, 1)), "median", "summary must be"),
    ],
)
def test_unusable_items_are_refused(items, summary, message):
    with pytest.raises(ValueError, match=message):
        TaskScore("t", "f", np.asarray(items), summary, True, 0.0)


def test_groups_must_fit():
    with pytest.raises(ValueError, match="2 groups for 3 items"):
        score("t", "f", np.ones(3), 0, groups=np.zeros(2))

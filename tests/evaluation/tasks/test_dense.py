"""Segmentation and depth on feature maps."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from percept.evaluation.scores import summarise
from percept.evaluation.tasks import dense

CLASSES, VOID = 3, 255


def _labels(n, seed=0, side=16):
    """Two areas with a border somewhere, and a patch of the third class and of void."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(side)[None, :, None] >= rng.integers(4, 12, (n, 1, 1))) * np.ones((1, 1, side), int)
    for picture in labels:
        y, x = rng.integers(0, 10, 2)
        picture[y : y + 5, x : x + 5] = 2
        picture[0, 0] = VOID
    return labels


def _parts(make_maps, labels):
    return dense.Parts(*(dense.Dense(make_maps(part), part) for part in labels))


def _oracle(labels):
    hot = (labels[:, None] == np.arange(CLASSES)[:, None, None]) * 1.0
    return hot + 0.01 * np.random.default_rng(9).normal(size=hot.shape)


def test_pooling_and_enlarging_equal_torch():
    values = np.random.default_rng(0).normal(size=(2, 12, 12, 3))
    planes = torch.tensor(values).permute(0, 3, 1, 2)
    area = F.adaptive_avg_pool2d(planes, (4, 6))
    assert dense.pool_labels(values, (4, 6)) == pytest.approx(area.permute(0, 2, 3, 1).numpy())
    large = F.interpolate(planes, size=(30, 31), mode="bilinear", align_corners=False)
    assert dense.enlarge(values, (30, 31)) == pytest.approx(large.permute(0, 2, 3, 1).numpy())


def test_cells_that_do_not_divide_the_side_share_pixels_by_area():
    weights = dense.cell_weights(3, 4)
    assert weights * 4 / 3 == pytest.approx(np.array([[1, 1 / 3, 0, 0], [0, 2 / 3, 2 / 3, 0], [0, 0, 1 / 3, 1]]))


def test_a_window_pools_and_enlarges_only_what_is_seen():
    ramp = np.tile(np.arange(16.0)[None, :, None, None], (1, 1, 16, 1))
    window = (0.25, 0.25, 0.75, 0.75)
    pooled = dense.pool_labels(ramp, (4, 4), window)
    assert pooled[0, :, 0, 0].tolist() == [4.5, 6.5, 8.5, 10.5]
    back = dense.enlarge(pooled, (16, 16), window)[0, :, 0, 0]
    assert back[5:11] == pytest.approx(np.arange(5, 11))
    assert (back[:4] == 4.5).all()
    assert (back[12:] == 10.5).all()


def test_oracle_maps_segment_perfectly():
    parts = _parts(_oracle, [_labels(12), _labels(6, 1), _labels(8, 2)])
    miou, accuracy = dense.segmentation_scores(parts, CLASSES)
    assert miou.value == pytest.approx(1)
    assert accuracy.value == pytest.approx(1)
    assert miou.blind < 0.7
    assert accuracy.blind < 0.9
    assert miou.items.sum() == (parts.test.labels != VOID).sum()


def test_random_maps_segment_no_better_than_blind():
    rng = np.random.default_rng(0)
    parts = _parts(
        lambda labels: rng.normal(size=(len(labels), 4, 8, 8)), [_labels(30), _labels(10, 1), _labels(30, 2)]
    )
    miou, accuracy = dense.segmentation_scores(parts, CLASSES)
    assert miou.value < miou.blind
    assert accuracy.value < accuracy.blind + 0.02


def test_coarse_oracle_maps_lose_only_the_borders():
    parts = _parts(
        lambda labels: _oracle(labels).reshape(len(labels), CLASSES, 4, 4, 4, 4).mean((3, 5)),
        [_labels(40), _labels(10, 1), _labels(20, 2)],
    )
    miou, _ = dense.segmentation_scores(parts, CLASSES)
    assert 0.6 < miou.value < 0.95


def test_confusions_equal_a_loop():
    rng = np.random.default_rng(0)
    truth, found = rng.choice([0, 1, 2, VOID], (3, 5, 4)), rng.integers(0, CLASSES, (3, 5, 4))
    slow = np.zeros((3, CLASSES, CLASSES))
    for picture, row, column in np.ndindex(truth.shape):
        if truth[picture, row, column] != VOID:
            slow[picture, truth[picture, row, column], found[picture, row, column]] += 1
    assert np.array_equal(dense.confusions(truth, found, CLASSES), slow.reshape(3, -1))


def test_position_prior_is_the_commonest_class_of_each_pixel():
    labels = np.array([[[0, 1]], [[0, 2]], [[1, 2]], [[VOID, VOID]]])
    assert dense.position_prior(labels, CLASSES).tolist() == [[0, 2]]


def _depths(n, seed):
    rng = np.random.default_rng(seed)
    depth = np.exp(rng.uniform(0, 1.5, (n, 8, 8)))
    depth[:, 0] = np.nan
    return depth


def test_oracle_maps_give_depth_and_unknown_pixels_count_nowhere():
    parts = _parts(lambda depth: np.nan_to_num(np.log(depth))[:, None], [_depths(10, 0), _depths(5, 1), _depths(6, 2)])
    rmse, relative, delta = dense.depth_scores(parts)
    assert rmse.value < 0.02
    assert relative.value < 0.01
    assert delta.value == 1
    assert delta.higher
    assert not rmse.higher
    assert rmse.blind > 0.5


def test_depth_errors_equal_a_loop():
    truth, found = _depths(3, 4), np.exp(np.random.default_rng(5).uniform(0, 1.5, (3, 8, 8)))
    errors = dense.depth_errors(truth, found)
    for picture in range(3):
        pairs = [(t, f) for t, f in zip(truth[picture].flat, found[picture].flat, strict=True) if t == t]
        assert errors["RMSE"][picture] == pytest.approx(np.mean([(t - f) ** 2 for t, f in pairs]))
        assert errors["AbsRel"][picture] == pytest.approx(np.mean([abs(t - f) / t for t, f in pairs]))
        assert errors["delta<1.25"][picture] == pytest.approx(np.mean([max(t / f, f / t) < 1.25 for t, f in pairs]))
    assert summarise([errors["RMSE"].mean()], "root") > 0


def test_random_maps_fall_back_to_the_mean_depth():
    rng = np.random.default_rng(0)
    parts = _parts(lambda d: rng.normal(size=(len(d), 3, 4, 4)), [_depths(40, 0), _depths(20, 1), _depths(20, 2)])
    rmse, _, _ = dense.depth_scores(parts)
    assert rmse.value == pytest.approx(rmse.blind, rel=0.05)


def test_row_depth():
    labels = np.array([[[1.0, np.e**2], [np.nan, np.nan]], [[np.e, np.e], [np.nan, np.nan]]])
    assert dense.row_depth(labels)[:, 0] == pytest.approx([np.e, np.e])


def test_a_picture_without_depth_is_named():
    truth = _depths(3, 0)
    truth[1] = np.nan
    with pytest.raises(ValueError, match="picture 1 has no pixel"):
        dense.depth_errors(truth, np.ones_like(truth))

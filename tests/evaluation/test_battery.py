"""The whole battery: pairing, oracles, chance, and the two backbones that work offline."""

import dataclasses

import numpy as np
import pytest

from percept.evaluation import battery
from percept.evaluation.tasks import instances, scene_tasks
from percept.evaluation.tasks.reading import Reader
from percept.models.encoders import load_encoder
from percept.models.towers import NoSuchFeature

ON_SCENES = ("instances", "scenes", "counting", "dense", "low level", "augmented", "classification")
SMALL = battery.SIZES["tiny"]


class Told:
    """An encoder that is told the answer for each picture, or makes up noise; no text tower."""

    tokenizer = None

    def __init__(self, answers=None, seed=0, grid=8):
        self.answers, self.seed, self.grid, self.calls = answers or {}, seed, grid, []

    def features(self, images, kind="global", batch_size=64):
        self.calls.append((kind, len(images)))
        if kind == "patch":
            return self._noise(images, (6, self.grid, self.grid))
        if self.answers:
            return np.stack([self.answers[np.asarray(image).tobytes()] for image in images])
        return self._noise(images, (6,))

    def _noise(self, images, shape):
        rows = [np.random.default_rng([self.seed, *np.asarray(image)[::9, 0, 0]]) for image in images]
        return np.stack([rng.normal(size=shape) for rng in rows])


@pytest.fixture(scope="module")
def tiny():
    return load_encoder("percept-tiny", device="cpu")


def _told(pairs, width):
    return {picture.tobytes(): np.eye(width)[int(answer)] for pictures, answers in pairs for picture, answer in zip(
        pictures, answers, strict=True)}  # fmt: skip


def test_every_encoder_is_scored_on_the_same_items():
    first, second = (
        battery.battery(Told(seed=seed, grid=grid), SMALL, 5, tasks=ON_SCENES) for seed, grid in ((1, 8), (2, 3))
    )
    assert list(first) == list(second)
    for name, one in first.items():
        other = second[name]
        assert one.items.shape == other.items.shape, name
        assert one.blind == other.blind, name
        assert (one.summary, one.higher, one.note) == (other.summary, other.higher, other.note)
        assert (one.groups is None) == (other.groups is None)
    again = battery.battery(Told(seed=1, grid=8), SMALL, 5, tasks=ON_SCENES)
    assert all(np.array_equal(again[name].items, one.items) for name, one in first.items())
    changed = battery.battery(Told(seed=1, grid=8), SMALL, 6, tasks=["counting", "dense"])
    assert any(changed[name].blind != first[name].blind for name in changed)


def test_an_oracle_is_perfect():
    sizes = dataclasses.replace(SMALL, mixed=(60, 20))
    mixed = scene_tasks.mixed_scenes(*sizes.mixed, 0)
    counts = Told(_told([(pool.pictures, pool.counts) for pool in mixed], 8))
    scores = battery.battery(counts, sizes, tasks=["counting"])
    assert max(score.value for score in scores.values()) < 0.6 * scores["counting linear MAE"].blind
    assert scores["counting linear MAE"].value < 0.1
    found = instances.individuals(*SMALL.individuals, 0)
    known = Told(_told([(found.queries, range(9)), (found.gallery, range(9))], 9))
    assert battery.battery(known, SMALL, tasks=["instances"])["instance recall@1"].value == 1


def test_noise_stays_at_the_blind_level():
    sizes = dataclasses.replace(SMALL, mixed=(150, 100), single=(150, 100), pairs=(100, 80), dense=(20, 10, 20))
    scores = battery.battery(Told(), sizes, tasks=["counting", "dense", "classification", "augmented"])
    for name, score in scores.items():
        if score.summary == "mean" and score.family in ("natural", "structured", "augmented"):
            spread = 3.5 * max(score.items.std(), 0.15) / len(score.items) ** 0.5
            assert score.value < score.blind + spread, name
    assert scores["counting linear RMSE"].value > 0.97 * scores["counting linear RMSE"].blind
    assert scores["segmentation mIoU"].value < scores["segmentation mIoU"].blind + 0.02
    assert scores["depth RMSE"].value > scores["depth RMSE"].blind


def test_each_picture_is_read_once_per_kind():
    told = Told()
    battery.battery(told, SMALL, tasks=ON_SCENES)
    patches = sum(count for kind, count in told.calls if kind == "patch")
    vectors = sum(count for kind, count in told.calls if kind == "global")
    assert patches == sum(SMALL.dense)
    kinds, each = SMALL.individuals
    assert vectors == sum((*SMALL.mixed, *SMALL.single, *SMALL.pairs, *SMALL.distorted, 2 * kinds * each))


def test_percept_tiny_runs_it_all_and_a_cache_saves_the_second_run(tiny, tmp_path):
    from percept.models.cache import EmbeddingCache

    cache = EmbeddingCache(tmp_path)
    first = battery.battery(tiny, "tiny", cache=cache)
    misses = cache.misses
    assert misses > 500
    second = battery.battery(tiny, "tiny", cache=cache, tasks=["counting", "dense", "real", "one photograph"])
    assert cache.misses == misses
    assert all(np.array_equal(first[name].items, one.items) for name, one in second.items())
    assert battery.battery(tiny, "tiny", cache=str(tmp_path), tasks=["scenes"]).keys() <= first.keys()
    families = {one.family for one in first.values()}
    assert families == {
        "retrieval",
        "counting",
        "dense",
        "low level",
        "augmented",
        "natural",
        "specialised",
        "structured",
    }
    assert sum("zero-shot" in name for name in first) == 4
    assert first["noun zero-shot"].value > 0.5
    assert not first["stereo depth RMSE"].testable
    table = battery.table(first)
    assert table.loc["segmentation mIoU", "better"] == "higher"
    assert np.isfinite(table[["value", "blind"]].to_numpy()).all()


def test_the_kind_of_features_is_chosen(tiny):
    kinds = ("global", "embedding", "cls_patch")
    found = [battery.battery(tiny, "tiny", tasks=["counting"], kind=kind) for kind in kinds]
    values = {scores["counting linear MAE"].value for scores in found}
    assert len(values) == 3


def test_a_convolutional_net_takes_the_same_path():
    net = load_encoder("efficientnet-lite0", device="cpu", image_size=64)
    scores = battery.battery(net, "tiny", tasks=["counting", "dense", "classification"])
    assert "segmentation mIoU" in scores
    assert not any("zero-shot" in name for name in scores)
    with pytest.raises(NoSuchFeature, match="cls_patch"):
        battery.battery(net, "tiny", tasks=["counting"], kind="cls_patch")


def test_the_part_that_a_cropping_encoder_sees_is_found(tiny):
    net = load_encoder("efficientnet-lite0", device="cpu")
    assert Reader(net).window() == pytest.approx((0.0625,) * 2 + (0.9375,) * 2, abs=0.006)
    assert Reader(tiny).window() == (0, 0, 1, 1)


def test_wrong_requests_say_what_is_there():
    with pytest.raises(battery.BatteryError, match="unknown task colours; known: instances"):
        battery.battery(Told(), tasks=["counting", "colours"])
    with pytest.raises(battery.BatteryError, match="sizes must be one of study, quick, tiny"):
        battery.battery(Told(), "huge")
    with pytest.raises(battery.BatteryError, match="none given"):
        battery.battery(Told(), tasks=[])
    with pytest.raises(ValueError, match="kind must be global"):
        battery.battery(Told(), kind="pooled")


def test_augmented_curves_hold_the_batterys_own_figure():
    curves = battery.augmented_curves(Told(), SMALL, ks=(1, 3), contexts=(10, 24))
    assert list(curves) == ["noun", "category", "count"]
    assert list(curves["noun"]) == [(10, 1), (10, 3), (24, 1), (24, 3)]
    whole = battery.battery(Told(), SMALL, tasks=["augmented"])
    assert np.array_equal(curves["category"][24, 3].items, whole["augmented category"].items)

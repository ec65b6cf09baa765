"""The offline quality bench: crops without shared pixels, KADID cell means as labels, splits by photograph."""

import dataclasses
from collections import Counter
from itertools import islice

import numpy as np
import pytest

from percept.data import quality
from percept.data.distortions import KADID_CELL_MEANS, distort
from percept.data.quality import cell_oracle, every_split, level_oracle, split_by_photograph, type_oracle
from percept.data.realset import PHOTOGRAPHS, photographs
from percept.data.scenes import SPLITS, render


@pytest.fixture(scope="module")
def bench():
    """Two crops of 64 px per photograph, four cheap types."""
    return quality.quality_bench(64, 2, seed=1, kinds=(1, 11, "mean_shift", 23))


def test_rows_crops_and_labels(bench):
    assert bench.pictures.shape == (7 * 2 * 4 * 5, 64, 64, 3)
    assert bench.pictures.dtype == bench.pristine.dtype == np.uint8
    assert bench.pristine.shape == (14, 64, 64, 3)
    assert (bench.score.dtype, bench.kind.dtype, bench.level.dtype, bench.crop.dtype) == (float, *[np.int64] * 3)
    assert Counter(bench.photograph.tolist()) == dict.fromkeys(PHOTOGRAPHS, 40)
    cells = Counter(zip(bench.crop.tolist(), bench.kind.tolist(), bench.level.tolist(), strict=True))
    assert set(cells.values()) == {1}
    assert set(bench.kind.tolist()) == {1, 11, 18, 23}
    for row in range(0, len(bench.score), 7):
        assert bench.score[row] == KADID_CELL_MEANS[bench.kind[row] - 1][bench.level[row] - 1]
    with pytest.raises(dataclasses.FrozenInstanceError):
        bench.score = bench.level


def test_pictures_are_their_crops_distorted(bench):
    for row in range(0, len(bench.score), 3):
        pristine, made = bench.pristine[bench.crop[row]], bench.pictures[row]
        if bench.kind[row] in (1, 18):  # no chance in these
            assert np.array_equal(made, distort(pristine, bench.kind[row], bench.level[row]))
        else:
            assert not np.array_equal(made, pristine)
    first = bench.pictures[(bench.kind == 11) & (bench.level == 5)].astype(int) - bench.pristine
    assert not np.array_equal(first[0], first[1])  # every crop has its own noise


def test_crops_are_real_pixels_and_do_not_overlap(bench):
    whole = photographs()
    used = {name: np.zeros(picture.shape[:2], int) for name, picture in whole.items()}
    for crop, pixels in enumerate(bench.pristine):
        name = bench.photograph[bench.crop == crop][0]
        found = [
            (top, left)
            for top in range(0, used[name].shape[0] - 63, 64)
            for left in range(0, used[name].shape[1] - 63, 64)
            if np.array_equal(whole[name][top : top + 64, left : left + 64], pixels)
        ]
        assert len(found) == 1
        used[name][found[0][0] : found[0][0] + 64, found[0][1] : found[0][1] + 64] += 1
    assert {(mask.max(), mask.sum()) for mask in used.values()} == {(1, 2 * 64 * 64)}


def test_flat_crops_are_left_out():
    picture = np.zeros((100, 70, 3), np.uint8)
    picture[32:64, :16] = 200
    crops = quality.detailed_crops(picture, 32)
    assert np.array_equal(crops, picture[None, 32:64, :32])
    assert min(len(quality.detailed_crops(each, 128)) for each in photographs().values()) == 6


def test_seeds(bench):
    same = quality.quality_bench(64, 2, seed=1, kinds=(1, 11, "mean_shift", 23))
    for field in dataclasses.fields(bench):
        assert np.array_equal(getattr(same, field.name), getattr(bench, field.name))
    other = quality.quality_bench(64, 2, seed=2, kinds=(11,), levels=(5,))
    assert not np.array_equal(other.pristine, bench.pristine)
    assert set(other.level.tolist()) == {5}


def test_splits_are_disjoint_by_photograph(bench):
    tests = set()
    for seed in range(20):
        split = split_by_photograph(bench, seed)
        assert sorted(np.concatenate(split).tolist()) == list(range(len(bench.score)))
        names = [set(bench.photograph[rows].tolist()) for rows in split]
        assert [len(part) for part in names] == [4, 1, 2]
        assert len(set.union(*names)) == 7
        assert np.array_equal(split.test, split_by_photograph(bench, seed).test)
        tests.add(tuple(sorted(names[2])))
    assert len(tests) > 5


def test_every_split_comes_once(bench):
    parts = [tuple(tuple(np.unique(bench.photograph[rows])) for rows in split) for split in every_split(bench)]
    assert len(set(parts)) == len(parts) == 105
    assert Counter(name for part in parts for name in part[2]) == dict.fromkeys(PHOTOGRAPHS, 30)
    assert all(len({*a, *b, *c}) == 7 and (len(a), len(b), len(c)) == (4, 1, 2) for a, b, c in parts)


def test_scenes_are_a_bench_of_their_own():
    indices = SPLITS["validate"][:15]
    bench = quality.scene_quality_bench(indices, size=32, kinds=(10, 12))
    assert bench.pictures.shape == (15 * 10, 32, 32, 3)
    assert np.array_equal(bench.pristine, render(indices, size=32))
    assert bench.photograph[-1] == f"scene {indices[-1]}"
    split = split_by_photograph(bench)
    assert [len(np.unique(bench.photograph[rows])) for rows in split] == [9, 2, 4]
    assert len(list(islice(every_split(bench), 3))) == 3


def slow_means(keys, score, train, test):
    known = [score[row] for row in train]
    made = []
    for row in test:
        same = [score[other] for other in train if keys[other] == keys[row]]
        made.append(sum(same) / len(same) if same else sum(known) / len(known))
    return made


@pytest.mark.parametrize("seed", range(5))
def test_oracles_equal_plain_loops(seed):
    rng = np.random.default_rng(seed)
    kind, level, score = rng.integers(1, 6, 60), rng.integers(1, 4, 60), rng.random(60)
    order = rng.permutation(60)
    train, test = order[:15], order[15:]
    cells = list(zip(kind.tolist(), level.tolist(), strict=True))
    assert type_oracle(kind, score, train, test) == pytest.approx(slow_means(kind, score, train, test))
    assert level_oracle(level, score, train, test) == pytest.approx(slow_means(level, score, train, test))
    assert cell_oracle(kind, level, score, train, test) == pytest.approx(slow_means(cells, score, train, test))
    changed = np.where(np.isin(np.arange(60), test), 99.0, score)  # test scores are never looked at
    assert np.array_equal(cell_oracle(kind, level, changed, train, test), cell_oracle(kind, level, score, train, test))


def test_the_cell_oracle_is_right_on_the_bench(bench):
    split = split_by_photograph(bench)
    told = cell_oracle(bench.kind, bench.level, bench.score, split.train, split.test)
    assert np.allclose(told, bench.score[split.test])
    by_type = type_oracle(bench.kind, bench.score, split.train, split.test)
    assert set(by_type.round(6)) == {round(KADID_CELL_MEANS[kind - 1].mean(), 6) for kind in (1, 11, 18, 23)}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: quality.quality_bench(128, 7), "cat has 6 crops of 128 px with contrast, 7 were asked for; lower"),
        (lambda: quality.quality_bench(0), "must be at least 1, got 0 and 6"),
        (lambda: quality.quality_bench(64, 0), "must be at least 1, got 64 and 0"),
        (lambda: quality.quality_bench(64.0), r"size must be a whole number, got 64\.0"),
        (lambda: quality.quality_bench(600), "astronaut has 0 crops of 600 px"),
        (lambda: quality.quality_bench(64, 1, kinds=(1, "gaussian_blur")), r"kinds must be different .* got \[1, 1\]"),
        (lambda: quality.quality_bench(64, 1, kinds=()), "kinds must be different from each other, at least one"),
        (lambda: quality.quality_bench(64, 1, kinds=(26,)), "kind must be 1 to 25"),
        (lambda: quality.quality_bench(64, 1, kinds=(1,), levels=(0,)), "level must be 1 to 5, got 0"),
        (lambda: quality.quality_bench(64, 1, seed=0.5), r"seed must be a whole number, got 0\.5"),
        (lambda: quality.scene_quality_bench([3, 3]), "indices must be different scenes"),
        (lambda: quality.scene_quality_bench([]), "indices must be different scenes"),
        (
            lambda: split_by_photograph(quality.scene_quality_bench([1, 2], 16, kinds=(18,))),
            "needs at least 3 of them, the bench has 2",
        ),
        (lambda: type_oracle(np.ones(3), np.ones(3), np.array([], int), np.arange(3)), "train holds no row"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""The offline quality bench: real photographs distorted as in KADID-10k, labelled with KADID cell means.

Nobody has rated these pictures. Each label is the mean score that people gave, over KADID's 81 photographs, to the
same type and level of distortion. Type and level alone predict real KADID scores at SRCC 0.94 (its cell means, 20 %
of the photographs held out), so the bench asks for the recognition of distortions on unseen content. What content
adds to a score it cannot show: here `cell_oracle` is always right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from percept.data.distortions.apply import distort
from percept.data.distortions.table import DISTORTIONS, KADID_CELL_MEANS, LEVELS, distortion, whole

_LEAST_CONTRAST = 10.0  # standard deviation in grey levels; below it a crop is sky, on which blur cannot be seen


@dataclass(frozen=True)
class QualityBench:
    """Distorted crops in the order crop, type, level.

    Attributes:
        pictures: uint8 [N, S, S, 3].
        score: float64 [N], KADID cell means, 1 to 5, higher is better.
        kind: int64 [N], 1 to 25.
        level: int64 [N], 1 to 5.
        crop: int64 [N], row of `pristine` that was distorted.
        photograph: str [N], the photograph or scene that the crop is from.
        pristine: uint8 [C, S, S, 3], the undistorted crops.
    """

    pictures: np.ndarray
    score: np.ndarray
    kind: np.ndarray
    level: np.ndarray
    crop: np.ndarray
    photograph: np.ndarray
    pristine: np.ndarray


class Split(NamedTuple):
    """Rows of a bench, int64; no photograph has rows in two parts."""

    train: np.ndarray
    validate: np.ndarray
    test: np.ndarray


def quality_bench(
    size: int = 128,
    crops_per_photograph: int = 6,
    seed: int = 0,
    kinds: Sequence[int | str] | None = None,
    levels: Sequence[int] = LEVELS,
) -> QualityBench:
    """Distort crops of the SEVEN real colour photographs that scikit-image and scikit-learn ship.

    Each photograph is cut by a grid, so crops do not overlap. Crops with hardly any contrast (clear sky) are left
    out; from the others `crops_per_photograph` are drawn. With the defaults 42 crops become 5,250 pictures: 260 MB,
    about 15 s on one core. Seven photographs are few: report intervals over photographs.

    Args:
        size: side of a crop in px.
        crops_per_photograph: at most what the smallest photograph holds, 6 at 128 px.
        seed: of the choice of crops and of the random distortions.
        kinds: types to use, numbers or names; all 25 unless given.
        levels: levels to use.

    Raises:
        ValueError: too few crops of this size in a photograph, unknown or repeated kinds or levels.
    """
    from percept.data.realset import photographs

    if whole(size, "size") < 1 or whole(crops_per_photograph, "crops_per_photograph") < 1:
        raise ValueError(f"size and crops_per_photograph must be at least 1, got {size} and {crops_per_photograph}")
    rng = np.random.default_rng([whole(seed, "seed"), 1])
    chosen, names = [], []
    for name, photograph in photographs().items():
        crops = detailed_crops(photograph, size)
        if len(crops) < crops_per_photograph:
            raise ValueError(
                f"{name} has {len(crops)} crops of {size} px with contrast, {crops_per_photograph} were asked for; "
                "lower size or crops_per_photograph"
            )
        chosen.append(crops[rng.permutation(len(crops))[:crops_per_photograph]])
        names += [name] * crops_per_photograph
    return _bench(np.concatenate(chosen), names, seed, kinds, levels)


def scene_quality_bench(
    indices: Sequence[int],
    size: int = 128,
    seed: int = 0,
    kinds: Sequence[int | str] | None = None,
    levels: Sequence[int] = LEVELS,
) -> QualityBench:
    """The same of simulated scenes, one picture each, to be reported apart from the photographs.

    Args:
        indices: positions in the split table, for example `percept.data.scenes.SPLITS["validate"][:20]`. Each is
            a group of its own: `photograph` holds "scene 1200000" and so on.
        size: side of a scene in px.
        seed: of the random distortions.
        kinds: as in `quality_bench`.
        levels: as in `quality_bench`.
    """
    from percept.data.scenes import render

    if len(set(indices)) < len(indices) or not len(indices):
        raise ValueError("indices must be different scenes, at least one")
    return _bench(render(indices, size=size), [f"scene {index}" for index in indices], seed, kinds, levels)


def detailed_crops(photograph: np.ndarray, size: int) -> np.ndarray:
    """The crops of a grid from the top left corner that have some contrast, uint8 [N, size, size, 3], row by row."""
    rows, columns = photograph.shape[0] // size, photograph.shape[1] // size
    grid = photograph[: rows * size, : columns * size].reshape(rows, size, columns, size, 3)
    crops = grid.swapaxes(1, 2).reshape(-1, size, size, 3)
    return crops[crops.mean(-1).std(axis=(1, 2)) >= _LEAST_CONTRAST]


def _bench(
    pristine: np.ndarray, groups: list[str], seed: int, kinds: Sequence[int | str] | None, levels: Sequence[int]
) -> QualityBench:
    numbers = [distortion(kind).number for kind in (range(1, len(DISTORTIONS) + 1) if kinds is None else kinds)]
    for name, values in (("kinds", numbers), ("levels", levels)):
        if len(set(values)) < len(values) or not len(values):
            raise ValueError(f"{name} must be different from each other, at least one; got {list(values)}")
    # One seed per crop: its five levels share their chance, so that between them only the strength changes.
    seeds = np.random.default_rng([whole(seed, "seed"), 2]).integers(2**31, size=len(pristine))
    grid = np.meshgrid(np.arange(len(pristine)), numbers, levels, indexing="ij")
    crop, kind, level = (axis.ravel().astype(np.int64) for axis in grid)
    pictures = np.empty((len(crop), *pristine.shape[1:]), np.uint8)
    for row, (which, number, step) in enumerate(zip(crop.tolist(), kind.tolist(), level.tolist(), strict=True)):
        pictures[row] = distort(pristine[which], number, step, int(seeds[which]))
    score = KADID_CELL_MEANS[kind - 1, level - 1]
    return QualityBench(pictures, score, kind, level, crop, np.array(groups)[crop], pristine)


def split_by_photograph(bench: QualityBench, seed: int = 0) -> Split:
    """One random split by photograph: 4, 1 and 2 of seven, and these shares of any other number.

    Raises:
        ValueError: fewer than three photographs.
    """
    names, validate, test = _sizes(bench)
    order = np.random.default_rng(seed).permutation(names).tolist()
    return _split(bench, order[:validate], order[validate : validate + test])


def every_split(bench: QualityBench) -> Iterator[Split]:
    """All splits by photograph with the sizes of `split_by_photograph`, each once: 105 of seven photographs.

    Every photograph is tested in 30 of the 105. They share photographs, so their spread is no standard error.
    """
    names, validate, test = _sizes(bench)
    for tested in combinations(names, test):
        for validated in combinations([name for name in names if name not in tested], validate):
            yield _split(bench, validated, tested)


def _sizes(bench: QualityBench) -> tuple[np.ndarray, int, int]:
    names = np.unique(bench.photograph)
    if len(names) < 3:
        raise ValueError(f"a split by photograph needs at least 3 of them, the bench has {len(names)}")
    return names, max(1, round(len(names) / 7)), max(1, round(2 * len(names) / 7))


def _split(bench: QualityBench, validate: Sequence[str], test: Sequence[str]) -> Split:
    validated, tested = np.isin(bench.photograph, validate), np.isin(bench.photograph, test)
    return Split(*(np.flatnonzero(part) for part in (~validated & ~tested, validated, tested)))


def type_oracle(kind: np.ndarray, score: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Predict the mean training score of the type: what knowing the type alone is worth.

    Args:
        kind: [N] types.
        score: [N] scores.
        train, test: rows, as in `Split`.

    Returns:
        float64, one prediction per test row; a type without training rows gets the mean of all training rows.

    Example:
        >>> kind, score = np.array([1, 1, 2, 1, 3]), np.array([2.0, 4.0, 5.0, 0.0, 0.0])
        >>> type_oracle(kind, score, np.array([0, 1, 2]), np.array([3, 4])).round(2).tolist()
        [3.0, 3.67]
    """
    return _means(np.asarray(kind)[:, None], score, train, test)


def level_oracle(level: np.ndarray, score: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Predict the mean training score of the level; otherwise as `type_oracle`."""
    return _means(np.asarray(level)[:, None], score, train, test)


def cell_oracle(
    kind: np.ndarray, level: np.ndarray, score: np.ndarray, train: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """Predict the mean training score of the cell (type and level); otherwise as `type_oracle`.

    On the bench it is right by construction. On real KADID it is the bar above which content begins to count.
    """
    return _means(np.column_stack([kind, level]), score, train, test)


def _means(keys: np.ndarray, score: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    if not len(train):
        raise ValueError("train holds no row")
    names, codes = np.unique(keys, axis=0, return_inverse=True)
    codes, known = codes.reshape(-1), np.asarray(score, np.float64)[train]
    count = np.bincount(codes[train], minlength=len(names))
    total = np.bincount(codes[train], weights=known, minlength=len(names))
    means = np.where(count > 0, total / np.maximum(count, 1), known.mean())
    return means[codes[test]]

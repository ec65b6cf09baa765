"""Ratings: what people said of single pictures (a score, or shares of votes), and what must stay together in a split.

Readers of published sets are in `percept.data.published_scores`; the user's own ratings come by `from_folder`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from percept.data.quality import Split

PARTS = ("train", "validate", "test")
_ROWS = ("score", "spread", "distribution", "groups", "split", "kind", "level")  # what there is one of per picture


class RatingsError(ValueError):
    """Ratings that cannot be used: `reason` says what is wrong and what to do.

    `path` is the file to blame and `row` its row, counted from 1 (in a table the header is row 1), if there are such.
    """

    def __init__(self, reason: str, path: str | Path | None = None, row: int | None = None) -> None:
        self.reason, self.path, self.row = reason, path, row
        place = "" if path is None else f"{path}{'' if row is None else f', row {row}'}: "
        super().__init__(place + reason)


@dataclass(frozen=True, eq=False)
class Ratings:
    """N rated pictures. At least one of `score` and `distribution` is there.

    Attributes:
        images: uint8 [N, H, W, 3], or N image files, which nothing here opens.
        score: float64 [N] in low..high, mean over people, or None.
        spread: float64 [N], standard deviation of the ratings of single people in units of the score, or None.
        distribution: float64 [N, K], share of the votes for each of `categories`, or None; a set with one label
            per picture has a single 1 in every row.
        categories: K names.
        groups: str [N], what belongs together in a split: the reference picture, the concept, the subject. Unless
            given every picture is a group of its own.
        split: str [N], the official part: train, validate, test, or "" (the default) where there is none.
        kind, level: int64 [N], type and strength of a synthetic distortion, or None.
        low, high: ends of the scale of the score.
        higher_is_better: False for degradation scores; see `with_direction_up`.
        name: of the data set, with what the reader left out or turned.

    Raises:
        RatingsError: lengths that differ, NaN, scores outside the scale, shares that do not add up to 1 (within
            1e-3), with the number and file of the picture.

    Example:
        >>> made = Ratings(np.zeros((3, 8, 8, 3), np.uint8), score=[1, 5, 2], low=1, high=5, higher_is_better=False)
        >>> len(made), made.select([0, 2]).score.tolist(), made.with_direction_up().score.tolist()
        (3, [1.0, 2.0], [5.0, 1.0, 4.0])
    """

    images: np.ndarray | list[Path]
    score: np.ndarray | None = None
    spread: np.ndarray | None = None
    distribution: np.ndarray | None = None
    categories: tuple[str, ...] = ()
    groups: np.ndarray = None  # type: ignore[assignment]  # each its own
    split: np.ndarray = None  # type: ignore[assignment]  # no official one
    kind: np.ndarray | None = None
    level: np.ndarray | None = None
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool = True
    name: str = ""

    def __post_init__(self) -> None:
        images: Any = self.images if isinstance(self.images, np.ndarray) else [Path(path) for path in self.images]
        if isinstance(images, np.ndarray) and (images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3):
            raise RatingsError(f"images must be uint8 [N, H, W, 3] or files, got {images.dtype} {list(images.shape)}")
        count = len(images)
        if not count:
            raise RatingsError("images is empty")
        if self.score is None and self.distribution is None:
            raise RatingsError("neither score nor distribution is given; there is nothing to learn")
        if not -np.inf < self.low < self.high < np.inf:
            raise RatingsError(f"low must be below high and both finite, got {self.low} and {self.high}")
        fields = {
            "images": images,
            "score": _numbers("score", self.score, images, self.low, self.high),
            "spread": _numbers("spread", self.spread, images, 0, np.finfo(float).max),
            "categories": tuple(self.categories),
            "distribution": _shares(self.distribution, images, len(self.categories)),
            "groups": _vector("groups", np.arange(count) if self.groups is None else self.groups, count).astype(str),
            "split": _parts(np.full(count, "") if self.split is None else self.split, count),
            **{name: _whole(name, getattr(self, name), count) for name in ("kind", "level")},
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.images)

    def select(self, rows: Any) -> Ratings:
        """Some pictures with all that is known of them, by positions or mask [N]."""
        rows = np.asarray(rows)
        chosen = np.arange(len(self))[rows if rows.dtype == bool else rows.astype(np.int64)]
        held: Any = self.images
        images = held[chosen] if isinstance(held, np.ndarray) else [held[row] for row in chosen]
        parts = {name: values[chosen] for name in _ROWS if (values := getattr(self, name)) is not None}
        return replace(self, images=images, **parts)

    def with_direction_up(self) -> Ratings:
        """The same with higher scores for better pictures: `low + high - score` where lower is better, said in `name`.

        Shares of votes stay as they are, since their categories have names.
        """
        if self.higher_is_better or self.score is None:
            return self
        turned = np.clip(self.low + self.high - self.score, self.low, self.high)  # rounding must not leave the scale
        return replace(self, score=turned, higher_is_better=True, name=f"{self.name} (turned, higher is better)")


def split_by_group(
    ratings: Ratings, shares: Sequence[float] = (0.7, 0.1, 0.2), seed: int = 0, official: bool = True
) -> Split:
    """Rows for training, validation and test: the official parts where the set has them, else whole groups at random.

    The rule of the field: synthetic sets by reference picture (KADID-10k: 57, 8 and 16 of 81), authentic ones at
    random or as published; a random draw is repeated over 10 seeds and the median reported.

    Args:
        ratings: N rated pictures.
        shares: of the groups (not of the pictures), three that add up to 1. A share above 0 gets at least one group.
        seed: of the draw; the official parts do not depend on it.
        official: False draws new parts even where there are official ones.

    Returns:
        Three vectors of rows, int64; if drawn, no group is in two of them.

    Raises:
        RatingsError: shares that do not add up to 1, too few groups, or only some of the official parts.

    Example:
        >>> made = Ratings(np.zeros((4, 8, 8, 3), np.uint8), score=[0, 0, 1, 1], groups=["a", "a", "b", "b"])
        >>> [part.tolist() for part in split_by_group(made, (0.5, 0, 0.5), seed=1)]
        [[2, 3], [], [0, 1]]
    """
    if official and (ratings.split != "").any():
        there = [part for part in PARTS if (ratings.split == part).any()]
        if not {"train", "test"} <= set(there):
            raise RatingsError(f"of the official parts only {', '.join(there)} is here; official=False draws new ones")
        return Split(*(np.flatnonzero(ratings.split == part) for part in PARTS))
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise RatingsError(f"shares must be three of 0 or more that add up to 1, got {tuple(shares)}")
    names = np.unique(ratings.groups)
    validate, test = (max(1, round(share * len(names))) if share else 0 for share in shares[1:])
    if len(names) - validate - test < (shares[0] > 0):
        raise RatingsError(f"{len(names)} groups are too few for shares {tuple(shares)}; every part needs one")
    order = np.random.default_rng(seed).permutation(names)
    held = order[:validate], order[validate : validate + test]
    return Split(*(np.flatnonzero(np.isin(ratings.groups, part)) for part in (order[validate + test :], *held)))


def from_folder(
    data_dir: str | Path, low: float | None = None, high: float | None = None, higher_is_better: bool = True
) -> Ratings:
    """Ratings from the user's own `labels.csv` (file, score and perhaps group) in a folder of images.

    Images without a score are left out (`name` counts them), bad ones with a warning; without a group each is its own.

    Args:
        data_dir: folder, read by `percept.data.images.read_folder`.
        low, high: ends of the scale, for instance 1 and 5; the lowest and highest score there are, unless given.
        higher_is_better: direction of the scores.

    Raises:
        RatingsError: no score at all, or scores outside the scale or all the same.
        LabelsError, ImageError: as in `read_folder`.
    """
    from percept.data.images import read_folder

    folder = Path(data_dir)
    data = read_folder(folder)
    if data.problems:
        first = f"the first is {data.problems[0][0].name}: {data.problems[0][1]}"
        warnings.warn(f"{len(data.problems)} images of {folder} cannot be used; {first}", stacklevel=2)
    if "score" not in data.table or data.table["score"].isna().all():
        raise RatingsError("gives no image a score; write the columns file and score", folder / "labels.csv")
    table = data.table[data.table["score"].notna()]
    score = table["score"].to_numpy(dtype=np.float64)
    if np.ptp(score) == 0:
        raise RatingsError(f"scores are all {score[0]:g}; nothing can be learned", folder / "labels.csv")
    groups = table["group"].fillna(table["file"]) if "group" in table else table["file"]
    bare = len(data.table) - len(table)
    name = folder.resolve().name + (f" ({bare} images without score left out)" if bare else "")
    return Ratings(
        [data.paths[row] for row in table.index], score, groups=groups.to_numpy(dtype=str), name=name,
        low=float(score.min()) if low is None else low, high=float(score.max()) if high is None else high,
        higher_is_better=higher_is_better,
    )  # fmt: skip


def _which(images: Any, row: int) -> str:
    return f"image {row}" + ("" if isinstance(images, np.ndarray) else f" ({images[row]})")


def _vector(name: str, values: Any, count: int) -> np.ndarray:
    array = np.asarray(values)
    if array.shape != (count,):
        raise RatingsError(f"{name} must hold one value per image ({count}), got shape {array.shape}")
    return array


def _numbers(name: str, values: Any, images: Any, low: float, high: float) -> np.ndarray | None:
    if values is None:
        return None
    array = _vector(name, values, len(images)).astype(np.float64)
    bad = np.flatnonzero(~((array >= low) & (array <= high)))
    if bad.size:
        limits = f"from {low:g} to {high:g}" if name == "score" else "of 0 or more"
        raise RatingsError(f"{name} of {_which(images, bad[0])} is {array[bad[0]]:g}; it must be a number {limits}")
    return array


def _shares(values: Any, images: Any, categories: int) -> np.ndarray | None:
    if values is None:
        return None
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (len(images), categories):
        form = f"[images, categories] = [{len(images)}, {categories}]"
        raise RatingsError(f"distribution must be {form}, got {list(array.shape)}")
    bad = np.flatnonzero(~((array >= 0).all(axis=1) & (np.abs(array.sum(axis=1) - 1) <= 1e-3)))
    if bad.size:
        which = f"{_which(images, bad[0])} are {array[bad[0]].tolist()}"
        raise RatingsError(f"shares of {which}; they must be 0 or more and add up to 1")
    return array


def _parts(values: Any, count: int) -> np.ndarray:
    array = _vector("split", values, count).astype(str)
    if unknown := sorted(set(array.tolist()) - {"", *PARTS}):
        raise RatingsError(f"split {unknown[0]!r} is none of {', '.join(PARTS)} or ''")
    return array


def _whole(name: str, values: Any, count: int) -> np.ndarray | None:
    if values is not None and not np.issubdtype(np.asarray(values).dtype, np.integer):
        raise RatingsError(f"{name} must hold whole numbers, got {np.asarray(values).dtype}")
    return None if values is None else _vector(name, values, count).astype(np.int64)

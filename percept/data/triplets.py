"""Triplets: a reference, two candidates, and the share of people who found the right one more similar."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from percept.data.opening import load_images


class TripletsError(ValueError):
    """Judgments that cannot be used.

    Args: `reason` says what is wrong and what to do; `path` is the file to blame and `row` its row as a
    spreadsheet shows it (a header is row 1), where there are such.
    """

    def __init__(self, reason: str, path: str | Path | None = None, row: int | None = None) -> None:
        self.reason, self.path, self.row = reason, path, row
        place = "" if path is None else f"{path}{'' if row is None else f', row {row}'}: "
        super().__init__(place + reason)


@dataclass(frozen=True, eq=False)
class Triplets:
    """T judgments over N pictures; every picture is held (and later encoded) once, however often it occurs.

    Triplets that share a reference are not independent: `items[:, 0]` is the group for an interval.

    Attributes:
        images: uint8 [N, H, W, 3], or N image files, which are opened only when asked for.
        items: int64 [T, 3], positions in `images` of reference, left and right.
        vote_right: float64 [T] in 0..1, share of the votes that found right more similar to the reference.
        votes: int64 [T], number of votes behind it, at least 1.
        groups: str [T], category or subset, "" without one.
        name: of the data set.
        split: train, val, test or "".

    Raises:
        TripletsError: shapes, positions or votes that do not fit, with the number of the triplet.

    Example:
        >>> pair = Triplets(np.zeros((3, 8, 8, 3), np.uint8), np.array([[0, 1, 2]]), np.array([0.25]))
        >>> len(pair), pair.votes.tolist(), pair.select([0]).vote_right.tolist()
        (1, [1], [0.25])
    """

    images: np.ndarray | list[Path]
    items: np.ndarray
    vote_right: np.ndarray
    votes: np.ndarray = None  # type: ignore[assignment]  # one each
    groups: np.ndarray = None  # type: ignore[assignment]  # none
    name: str = ""
    split: str = ""

    def __post_init__(self) -> None:
        images: Any = self.images if isinstance(self.images, np.ndarray) else [Path(path) for path in self.images]
        _check_pictures(images)
        count = len(self.items)
        groups = np.full(count, "") if self.groups is None else np.asarray(self.groups).astype(str)
        if groups.shape != (count,):
            raise TripletsError(f"groups must hold one name per triplet ({count}), got shape {groups.shape}")
        fields = {
            "images": images,
            "items": _positions(np.asarray(self.items), len(images)),
            "vote_right": _shares(np.asarray(self.vote_right, dtype=np.float64), count),
            "votes": _counts(np.ones(count) if self.votes is None else np.asarray(self.votes), count),
            "groups": groups,
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.items)

    def select(self, rows: Any) -> Triplets:
        """Some triplets, by positions or mask [T]; pictures stay, so that features of them still fit."""
        rows = np.asarray(rows)
        if rows.dtype != bool:
            rows = rows.astype(np.int64)
        parts = {name: getattr(self, name)[rows] for name in ("items", "vote_right", "votes", "groups")}
        return replace(self, **parts)

    def compact(self) -> Triplets:
        """The same triplets without the pictures that none of them uses."""
        used, items = np.unique(self.items, return_inverse=True)
        if len(used) == len(self.images):
            return self
        images = self.images[used] if isinstance(self.images, np.ndarray) else [self.images[i] for i in used]
        return replace(self, images=images, items=items.reshape(-1, 3))

    def decided(self) -> Triplets:
        """The triplets whose votes prefer a side; an even vote gives a hinge loss nothing to learn."""
        return self.select(np.flatnonzero(self.vote_right != 0.5))

    def pictures(self, positions: Any = None) -> np.ndarray | list[Image.Image]:
        """Pictures at some positions (default all): uint8 [K, H, W, 3], or K RGB images opened now.

        Raises:
            percept.data.opening.ImageError: a file that is absent or damaged, by name.
        """
        chosen = np.arange(len(self.images)) if positions is None else np.asarray(positions, dtype=np.int64)
        if isinstance(self.images, np.ndarray):
            return np.asarray(self.images[chosen])
        return load_images(self.images[i] for i in chosen)

    @cached_property
    def identity(self) -> str:
        """16 hex digits over pictures, triplets and votes; of files only the name and size are read."""
        digest = hashlib.sha256()
        if isinstance(self.images, np.ndarray):
            digest.update(f"{self.images.shape}".encode())
            digest.update(np.ascontiguousarray(self.images).data)
        else:
            for path in self.images:
                size = path.stat().st_size if path.is_file() else -1
                digest.update(f"{'/'.join(path.parts[-3:])} {size}\n".encode())
        for values in (self.items, self.vote_right, self.votes):
            digest.update(np.ascontiguousarray(values).data)
        digest.update("\n".join(self.groups).encode())
        return digest.hexdigest()[:16]

    @property
    def summary(self) -> dict[str, Any]:
        """Counts for a table: triplets, pictures, votes each (mean), share decided for right, unanimous, groups."""
        count = max(len(self), 1)
        return {
            "name": self.name,
            "split": self.split,
            "triplets": len(self),
            "pictures": len(np.unique(self.items)),
            "votes": self.votes.sum() / count,
            "right": (self.vote_right > 0.5).sum() / count,
            "unanimous": np.isin(self.vote_right, (0, 1)).sum() / count,
            "groups": {str(g): int(n) for g, n in zip(*np.unique(self.groups, return_counts=True), strict=True)},
        }


def from_odd_one_out(
    images: np.ndarray | list[Path], items: Any, name: str = "", split: str = "", groups: Any = None
) -> Triplets:
    """Two triplets for each choice of an odd one: both of the pair are nearer to each other than to it.

    Args:
        images: as in `Triplets`.
        items: whole numbers [M, 3], positions of the pair and, last, of the odd one.
        name, split: of the data set.
        groups: str [M].

    Returns:
        2M triplets, (first, second, odd) then (second, first, odd) for each choice; right never has a vote.

    Example:
        >>> from_odd_one_out(np.zeros((3, 8, 8, 3), np.uint8), [[2, 0, 1]]).items.tolist()
        [[2, 0, 1], [0, 2, 1]]
    """
    pairs = np.asarray(items)
    if pairs.ndim != 2 or pairs.shape[1] != 3:
        raise TripletsError(f"items must be [M, 3] with the odd one last, got shape {pairs.shape}")
    both = np.stack([pairs, pairs[:, [1, 0, 2]]], axis=1).reshape(-1, 3)
    doubled = np.repeat(np.full(len(pairs), "") if groups is None else np.asarray(groups), 2)
    return Triplets(images, both, np.zeros(len(both)), np.ones(len(both)), doubled, name, split)


def concat(parts: Sequence[Triplets], name: str = "", split: str = "") -> Triplets:
    """Join judgments. Pictures that the parts share (the same array object, the same path) are kept once.

    Raises:
        TripletsError: no parts, files beside arrays, or arrays of different sizes.
    """
    if not parts:
        raise TripletsError("nothing to join; pass at least one set of triplets")
    if len({isinstance(part.images, np.ndarray) for part in parts}) > 1:
        raise TripletsError("some parts hold files and some arrays; open the files first")
    items = []
    images: Any
    if isinstance(parts[0].images, np.ndarray):
        arrays = {id(part.images): np.asarray(part.images) for part in parts}
        if len({array.shape[1:] for array in arrays.values()}) > 1:
            sizes = sorted({f"{a.shape[1]} x {a.shape[2]}" for a in arrays.values()})
            raise TripletsError(f"pictures have several sizes ({', '.join(sizes)}); bring them to one first")
        starts = dict(zip(arrays, np.cumsum([0, *map(len, arrays.values())]), strict=False))
        items = [part.items + starts[id(part.images)] for part in parts]
        images = next(iter(arrays.values())) if len(arrays) == 1 else np.concatenate(list(arrays.values()))
    else:
        places: dict[Path, int] = {}
        for part in parts:
            where = np.array([places.setdefault(path, len(places)) for path in map(Path, part.images)], dtype=np.int64)
            items.append(where[part.items])
        images = list(places)
    joined = [np.concatenate([getattr(part, field) for part in parts]) for field in ("vote_right", "votes", "groups")]
    return Triplets(images, np.concatenate(items), joined[0], joined[1], joined[2], name, split)


def shuffled_votes(triplets: Triplets, seed: int = 0) -> Triplets:
    """Negative control: every triplet gets the votes of another one, left and right exchanged for a random half.

    Permuting alone would change nothing where one side always wins, as after `from_odd_one_out`.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(triplets))
    flip = rng.permutation(len(triplets)) % 2 == 1
    vote = triplets.vote_right[order]
    return replace(triplets, vote_right=np.where(flip, 1 - vote, vote), votes=triplets.votes[order])


def _check_pictures(images: Any) -> None:
    if isinstance(images, np.ndarray) and (
        images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3 or 0 in images.shape
    ):
        raise TripletsError(f"images must be uint8 [N, H, W, 3] or files, got {images.dtype} {list(images.shape)}")
    if not len(images):
        raise TripletsError("images is empty")


def _positions(items: np.ndarray, pictures: int) -> np.ndarray:
    if not items.size:
        return np.zeros((0, 3), dtype=np.int64)
    if items.ndim != 2 or items.shape[1] != 3 or not np.issubdtype(items.dtype, np.integer):
        raise TripletsError(f"items must be whole numbers [T, 3], got {items.dtype} {list(items.shape)}")
    bad = np.flatnonzero(((items < 0) | (items >= pictures)).any(axis=1))
    if bad.size:
        row = items[bad[0]].tolist()
        raise TripletsError(f"triplet {bad[0]} names pictures {row}, but positions go from 0 to {pictures - 1}")
    same = np.flatnonzero(items[:, 1] == items[:, 2])
    if same.size:
        raise TripletsError(f"triplet {same[0]} has the same picture on both sides; there is nothing to choose")
    return items.astype(np.int64)


def _shares(values: np.ndarray, count: int) -> np.ndarray:
    if values.shape != (count,):
        raise TripletsError(f"vote_right must hold one share per triplet ({count}), got shape {values.shape}")
    bad = np.flatnonzero(~((values >= 0) & (values <= 1)))
    if bad.size:
        raise TripletsError(f"vote_right of triplet {bad[0]} is {values[bad[0]]}; it must be a share from 0 to 1")
    return values


def _counts(values: np.ndarray, count: int) -> np.ndarray:
    if values.shape != (count,):
        raise TripletsError(f"votes must hold one number per triplet ({count}), got shape {values.shape}")
    bad = np.flatnonzero(~((values >= 1) & (values == np.floor(values))))
    if bad.size:
        raise TripletsError(f"votes of triplet {bad[0]} is {values[bad[0]]}; it must be a whole number of 1 or more")
    return values.astype(np.int64)

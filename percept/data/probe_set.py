"""Probe sets: pictures and sentences of which some belong together and some do not, in one shape for every benchmark.

An item has K pictures and L sentences. One picture with a true sentence and foils (VALSE, ARO, SugarCrepe: K = 1),
one sentence with a true picture and another (SVO-Probes: L = 1), two of each, pairwise matched (Winoground: K = L = 2),
or one of each and whether the sentence is true (VSR: K = L = 1 with `label`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

SHAPES = ("sentences", "pictures", "square", "truth")


class ProbeError(ValueError):
    """A probe set cannot be read or does not hang together; names the file and row where there is one."""


@dataclass(frozen=True, eq=False)
class ProbeSet:
    """Items over pictures and sentences that are each stored once.

    Attributes:
        name: of the benchmark and its part, such as "valse" or "scenes: spatial relations".
        pictures: uint8 [P, H, W, 3], or image files.
        sentences: the distinct ones.
        picture: int64 [N, K], pictures of each item; the true one first.
        sentence: int64 [N, L], sentences of each item; the true one first, in a square the one of the first picture.
        groups: what results are broken down by: name of the division to one text per item, such as
            {"instrument": ["existence", ...]}.
        label: bool [N], whether the sentence is true of the picture, for items of one each; else None.
        ids: the name of each item in the published file, or its number.
        notes: what was left out and why, and the version of the file.

    Raises:
        ProbeError: indices outside, lengths that differ, a shape that no rule scores.
    """

    name: str
    pictures: np.ndarray | Sequence[Path]
    sentences: Sequence[str]
    picture: np.ndarray
    sentence: np.ndarray
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    label: np.ndarray | None = None
    ids: Sequence[str] = ()
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        _ = self.shape  # raises where no rule scores it
        parts: list[tuple[str, int]] = [("sentence", len(self.sentence))]
        parts += [(name, len(values)) for name, values in self.groups.items()]
        parts += [("label", len(self.label))] if self.label is not None else []
        parts += [("ids", len(self.ids))] if len(self.ids) else []
        for part, length in parts:
            if length != len(self.picture):
                raise ProbeError(f"{self.name}: {len(self.picture)} items, but {part} has {length}")
        for part, rows, size in (
            ("picture", self.picture, len(self.pictures)),
            ("sentence", self.sentence, len(self.sentences)),
        ):
            if rows.size and not 0 <= rows.min() <= rows.max() < size:
                raise ProbeError(f"{self.name}: {part} must be 0..{size - 1}, got {rows.min()}..{rows.max()}")

    def __len__(self) -> int:
        return len(self.picture)

    @property
    def shape(self) -> str:
        """Which rule scores it: one of `SHAPES`."""
        k, many = (rows.shape[1] if rows.ndim == 2 else 0 for rows in (self.picture, self.sentence))
        if k == 1 and many == 1 and self.label is not None:
            return "truth"
        if self.label is None and k == 1 and many >= 2:
            return "sentences"
        if self.label is None and k == 2 and many in (1, 2):
            return "pictures" if many == 1 else "square"
        given = "with" if self.label is not None else "without"
        raise ProbeError(f"{self.name}: no rule scores items of {k} pictures and {many} sentences {given} labels")

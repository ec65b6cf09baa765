"""One result of a frozen-feature task, kept item by item so that two encoders can be paired and bootstrapped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

SUMMARIES = ("mean", "root", "iou")
FEWEST = 20  # independent items below which an interval says nothing


def summarise(mean: Any, summary: str) -> float:
    """Turn the mean over items of the per-item statistics into the task's figure.

    Args:
        mean: float [k].
        summary: "mean" (accuracy, mean error), "root" (root of a mean square), or "iou" (mean over classes of
            intersection / union of a flattened confusion matrix [C * C], rows = truth; classes that neither occur nor
            are predicted are left out).

    Example:
        >>> summarise([4.0], "root"), summarise([2, 0, 1, 1], "iou")
        (2.0, 0.5833333333333333)
    """
    values = np.asarray(mean, np.float64)
    if summary == "iou":
        sides = round(values.size**0.5)
        if sides * sides != values.size:
            raise ValueError(f"a flattened confusion matrix has a square number of entries, got {values.size}")
        table = values.reshape(sides, sides)
        union = table.sum(0) + table.sum(1) - table.diagonal()
        return float(np.mean(table.diagonal()[union > 0] / union[union > 0])) if (union > 0).any() else float("nan")
    if summary not in SUMMARIES or values.size != 1:
        raise ValueError(f"summary must be one of {', '.join(SUMMARIES)} (one statistic per item but for iou)")
    return float(np.sqrt(values.item()) if summary == "root" else values.item())


@dataclass(frozen=True, eq=False)
class TaskScore:
    """A task's result for one encoder.

    Attributes:
        name: of the task, unique within a battery.
        family: retrieval, counting, dense, low level, augmented, natural, specialised, structured.
        items: float64 [N, k], statistics of each test item; the same items in the same order for every encoder.
        summary: how their mean becomes the figure, see `summarise`.
        higher: whether a larger figure is better.
        blind: the same figure for a rule that does not look at the picture (`note` says which).
        note: protocol in a few words.
        groups: [N] what items share (a scene, a noun, a photograph), or None: resample whole groups.
    """

    name: str
    family: str
    items: np.ndarray
    summary: str
    higher: bool
    blind: float
    note: str = ""
    groups: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.items.ndim != 2 or not len(self.items) or not np.isfinite(self.items).all():
            raise ValueError(f"task {self.name!r}: items must be finite [N, k], got shape {self.items.shape}")
        if self.groups is not None and len(self.groups) != len(self.items):
            raise ValueError(f"task {self.name!r}: {len(self.groups)} groups for {len(self.items)} items")
        summarise(self.items[0], self.summary)

    @property
    def value(self) -> float:
        """The figure over all items."""
        return summarise(self.items.mean(0), self.summary)

    @property
    def n(self) -> int:
        """Number of independent units: groups, or items."""
        return len(self.items) if self.groups is None else len(np.unique(self.groups))

    @property
    def testable(self) -> bool:
        """Whether there are enough independent units for an interval and a verdict."""
        return self.n >= FEWEST


def score(
    name: str, family: str, items: Any, blind: float, *, higher: bool = True, summary: str = "mean", **more: Any
) -> TaskScore:
    """Make a `TaskScore` of per-item values [N] (or [N, k])."""
    values = np.asarray(items, np.float64)
    return TaskScore(name, family, values.reshape(len(values), -1), summary, higher, float(blind), **more)

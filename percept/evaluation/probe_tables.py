"""Figures of a probe set from its scores: by group, micro and macro, with intervals, ties and chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from percept.data.probe_set import ProbeSet
from percept.evaluation.probe_rules import CHANCE, Measure, measures
from percept.evaluation.statistics import Interval, bootstrap_interval, wilson_interval

if TYPE_CHECKING:
    import pandas

COLUMNS = ["measure", "division", "group", "value", "low", "high", "n", "ties", "untied", "chance"]
_DRAWS = 1000


def score_table(
    probes: ProbeSet, scores: Any, *, probability: bool = False, ties: str = "strict", seed: int = 0, least: int = 1,
    units: Sequence[Any] | None = None,
) -> pandas.DataFrame:  # fmt: skip
    """Turn scores into the figures of `percept.evaluation.probe_rules.measures`, over all items and by group.

    Args:
        probes: the items.
        scores: [N, L, K] (item, sentence, picture), finite, such as those of a published score file.
        probability: whether they are probabilities of a match.
        ties: "strict" or "lenient".
        seed: of the bootstrap.
        least: items below which a group is left out of the macro mean (25 for the attribute pairs of ARO).
        units: [N] what items share and is drawn as a whole by the bootstrap, such as their scene; unless given, the
            first picture of each by number.

    Returns:
        DataFrame with a row per measure and part: division and group are "all" for the figure over all items (micro),
        or the division and one of its groups, or "macro" for the mean over its groups. value, low, high: 95 %
        interval. n: items. ties: items in which a comparison met equal scores. untied: the figure without them.
        chance: of random scores. Where items share a unit, intervals resample units with all their items (bootstrap);
        otherwise 0/1 outcomes get Wilson's interval.

    Raises:
        ValueError: scores of another shape, units of another length, or as in `measures`.
    """
    import pandas

    wanted = (len(probes), probes.sentence.shape[1], probes.picture.shape[1])
    if np.shape(scores) != wanted:
        raise ValueError(
            f"{probes.name}: scores must be {list(wanted)} (item, sentence, picture), got {np.shape(scores)}"
        )
    shared = probes.picture.min(axis=1) if units is None else np.unique(np.asarray(units), return_inverse=True)[1]
    if len(shared) != len(probes):
        raise ValueError(f"{probes.name}: units must name one for each of {len(probes)} items, got {len(shared)}")
    every = np.arange(len(probes))
    parts: dict[tuple[str, str], dict[str, tuple[Measure, np.ndarray]]] = {
        ("all", "all"): _measured(probes, scores, every, probability, ties)
    }
    for division, names in probes.groups.items():
        labels = np.asarray(names)
        groups = {
            str(name): _measured(probes, scores, np.flatnonzero(labels == name), probability, ties)
            for name in dict.fromkeys(names)
        }
        parts |= {(division, name): found for name, found in groups.items()}
        parts[division, "macro"] = _macro(list(groups.values()), least)
    foils = wanted[1] * wanted[2] - 1
    records = [
        {"measure": name, "division": division, "group": group}
        | _record(measure, shared[rows], seed)
        | {"chance": CHANCE.get(name, 1 / (1 + foils) if name == "acc_r" else np.nan)}
        for (division, group), found in parts.items()
        for name, (measure, rows) in found.items()
    ]
    return pandas.DataFrame(records, columns=COLUMNS)


def _measured(
    probes: ProbeSet, scores: Any, rows: np.ndarray, probability: bool, ties: str
) -> dict[str, tuple[Measure, np.ndarray]]:
    label = None if probes.label is None else probes.label[rows]
    keys = None
    if probes.shape == "pictures":
        keys = probes.sentence[rows] * len(probes.pictures) + probes.picture[rows]
    found = measures(np.asarray(scores)[rows], label, keys, probability=probability, ties=ties)
    return {name: (measure, rows) for name, measure in found.items()}


def _macro(groups: list[dict[str, tuple[Measure, np.ndarray]]], least: int) -> dict[str, tuple[Measure, np.ndarray]]:
    """Mean over groups, again as one number per item: the mean plus the item's part in its group's deviation."""
    found = {}
    for name in dict.fromkeys(name for group in groups for name in group):
        kept = [group[name] for group in groups if name in group and len(group[name][1]) >= least]
        if not kept:
            continue
        mean = np.mean([measure.value for measure, _ in kept])
        rows = np.concatenate([rows for _, rows in kept])
        items = [mean + rows.size / (len(kept) * len(own)) * (measure.items - measure.value) for measure, own in kept]
        tied = [measure.tied for measure, _ in kept if measure.tied is not None]
        found[name] = Measure(np.concatenate(items), np.concatenate(tied) if tied else None), rows
    return found


def _record(measure: Measure, units: np.ndarray, seed: int) -> dict[str, Any]:
    low, high = np.clip(_interval(measure.items, units, seed)[1:3], 0, 1)
    ties = untied = np.nan
    if measure.tied is not None:
        ties = int(measure.tied.sum())
        if ties < measure.tied.size and np.isin(measure.items, (0, 1)).all():
            untied = float(measure.items[~measure.tied].mean())
    return {
        "value": measure.value, "low": low, "high": high, "n": measure.items.size, "ties": ties, "untied": untied
    }  # fmt: skip


def _interval(items: np.ndarray, units: np.ndarray, seed: int) -> Interval:
    count = np.unique(units).size
    constant = bool((items == items[0]).all())
    # A bootstrap of items that are all right would pretend to certainty; Wilson's interval does not.
    if np.isin(items, (0, 1)).all() and (constant or count == items.size):
        return wilson_interval(items.mean() * count, count)
    return bootstrap_interval(items, n=_DRAWS, seed=seed, groups=None if count == items.size else units)

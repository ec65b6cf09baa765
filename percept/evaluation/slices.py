"""Where a score is unfair: its error in slices of the pictures, and a training set in which slices count alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from percept.evaluation.arrays import to_numpy
from percept.evaluation.correlation import srcc
from percept.evaluation.logistic import paired, varies
from percept.evaluation.statistics import Interval, bootstrap_interval

if TYPE_CHECKING:
    import pandas

    from percept.data.scenes.world import Scene

METRICS = ("bias", "rmse", "srcc")
COLUMNS = ["family", "slice", "n", "value", "low", "high", "rest", "difference", "difference_low", "difference_high",
           "p", "verdict"]  # fmt: skip
LEAST = 10  # rows of a slice below which an interval would pretend
_DRAWS = 2000
_DARK, _BRIGHT = 0.85, 0.99  # thirds of the lighting that scenes are drawn with, 0.72 to 1.12


def slice_table(
    prediction: Any, target: Any, slices: Mapping[str, Any], metric: str = "bias", seed: int = 0, alpha: float = 0.05
) -> pandas.DataFrame:
    """Measure a score in every slice of the pictures, against all other pictures.

    Args:
        prediction, target: [N] finite numbers on one scale ("srcc" takes any). Rows must be independent: of several
            views of one photograph pass the mean.
        slices: {family: [N] labels}, as from `scene_slices`; every label of every family is a slice.
        metric: "bias" (mean of prediction - target), "rmse" or "srcc".
        seed: of bootstrap and permutations.
        alpha: chance of any "higher" or "lower" where no slice differs (Holm's correction over all slices).

    Returns:
        DataFrame in the order of the families: family, slice, n, value, low, high (percentile bootstrap), rest
        (value of the other rows), difference (slice - rest), difference_low, difference_high, p (after Holm), verdict:
        "higher" or "lower" than the rest, "not shown", "too few" (under 10 rows in the slice or outside it) or
        "undefined". Intervals are 95 % each and uncorrected, and of slices under about 30 rows somewhat short.

    Raises:
        ValueError: unknown metric, lengths that differ, labels that are missing, no slice.

    Source: interval of a difference from two intervals, Zou and Donner (2008). p: permutations of Welch's t of errors
    or squared errors, which unequal spreads do not upset; srcc: Fisher's z, variance of Bonett and Wright (2000).

    Example:
        >>> light = np.repeat(["dark", "bright"], 50)
        >>> error = np.where(light == "dark", -1.0, 0.0) + np.tile([-0.1, 0.1], 50)
        >>> slice_table(error, np.zeros(100), {"light": light})["verdict"].tolist()
        ['higher', 'lower']
    """
    import pandas

    from percept.evaluation.verdicts import holm

    if metric not in METRICS or not 0 < alpha < 1:
        raise ValueError(f"metric must be one of {', '.join(METRICS)} and alpha in 0..1, got {metric!r} and {alpha}")
    first, second = paired(prediction, target)
    families = checked_slices(slices, first.size)
    masks = {(family, name): labels == name for family, labels in families.items() for name in np.unique(labels)}
    count = max(_DRAWS, int(4 * len(masks) / alpha))  # so many that the smallest p survives Holm's correction
    rows = [
        {"family": family, "slice": str(name)} | _compared(first, second, mask, metric, count, seed)
        for (family, name), mask in masks.items()
    ]
    table = pandas.DataFrame(rows, columns=COLUMNS)
    tested = table["verdict"] == "not shown"
    if tested.any():
        table.loc[tested, "p"] = holm(table.loc[tested, "p"])
        shown = table["p"] < alpha
        table.loc[shown, "verdict"] = np.where(table.loc[shown, "difference"] > 0, "higher", "lower")
    return table


def _compared(
    prediction: np.ndarray, target: np.ndarray, inside: np.ndarray, metric: str, count: int, seed: int
) -> dict[str, Any]:
    """Slice and rest, their difference, and its p value before Holm's correction."""
    number = int(inside.sum())
    if min(number, inside.size - number) < LEAST:
        return {"n": number, "verdict": "too few"}
    one, rest = (_measured(prediction[part], target[part], metric, seed) for part in (inside, ~inside))
    value = one.value - rest.value
    low = value - np.hypot(one.value - one.low, rest.high - rest.value)
    high = value + np.hypot(one.high - one.value, rest.value - rest.low)
    found = {"n": number, "value": one.value, "low": one.low, "high": one.high, "rest": rest.value}
    p = _p_value(prediction, target, inside, metric, count, seed) if np.isfinite(value) else np.nan
    verdict = "undefined" if np.isnan(p) else "not shown"
    return found | {"difference": value, "difference_low": low, "difference_high": high, "p": p, "verdict": verdict}


def _measured(prediction: np.ndarray, target: np.ndarray, metric: str, seed: int) -> Interval:
    if metric == "bias":
        return bootstrap_interval(prediction - target, n=_DRAWS, seed=seed)
    if metric == "rmse":
        squares = bootstrap_interval((prediction - target) ** 2, n=_DRAWS, seed=seed)
        value, low, high = np.sqrt(squares[:3]).tolist()
        return Interval(value, low, high, squares.n)
    rng, count, draws = np.random.default_rng(seed), prediction.size, []
    for _ in range(0, _DRAWS, 100):
        rows = rng.integers(count, size=(100, count))
        draws.append(_srcc_of_rows(prediction[rows], target[rows]))
    low, high = np.percentile(np.concatenate(draws), [2.5, 97.5])
    return Interval(srcc(prediction, target), float(low), float(high), count)


def _srcc_of_rows(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    x, y = (rankdata(side, axis=1) - (side.shape[1] + 1) / 2 for side in (first, second))
    with np.errstate(invalid="ignore"):  # a resample in which nothing varies has no correlation
        correlation: np.ndarray = (x * y).sum(1) / np.sqrt((x * x).sum(1) * (y * y).sum(1))
    return correlation


def _p_value(
    prediction: np.ndarray, target: np.ndarray, inside: np.ndarray, metric: str, count: int, seed: int
) -> float:
    from scipy.stats import PermutationMethod, norm, ttest_ind

    if metric == "srcc":
        sides = [(srcc(prediction[part], target[part]), part.sum()) for part in (inside, ~inside)]
        z = np.diff([np.arctanh(np.clip(r, -0.999999, 0.999999)) for r, _ in sides])[0]
        return float(2 * norm.sf(abs(z) / np.sqrt(sum((1 + r * r / 2) / (n - 3) for r, n in sides))))
    items = prediction - target if metric == "bias" else (prediction - target) ** 2
    if not varies(items):  # no error anywhere, or the same everywhere
        return 1.0
    method = PermutationMethod(n_resamples=count, rng=np.random.default_rng(seed))
    return float(ttest_ind(items[inside], items[~inside], equal_var=False, method=method).pvalue)


def checked_slices(slices: Mapping[str, Any], count: int | None = None) -> dict[str, np.ndarray]:
    """Return the labels of every family as str [N], or raise a ValueError that names family and row."""
    import pandas

    if not slices:
        raise ValueError("slices is empty; give at least one {family: labels}")
    found = {}
    for family, labels in slices.items():
        array = to_numpy(labels)
        if array.ndim != 1 or not array.size or count not in (None, array.size):
            wanted = "one label per row" + ("" if count is None else f" ({count})")
            raise ValueError(f"slices[{family!r}] must hold {wanted}, got shape {array.shape}")
        missing = np.flatnonzero(pandas.isna(array))
        if missing.size:
            raise ValueError(f"slices[{family!r}] has no label in row {missing[0]}; name it, 'unknown' for example")
        found[family], count = array.astype(str), array.size
    return found


def scene_slices(scenes: Sequence[Scene]) -> dict[str, np.ndarray]:
    """Label scenes for `slice_table`: {family: str [N]}.

    Families: "category" and "colour" ("natural" if not painted) of the largest thing that can be named ("none" without
    one), "background", "lighting" (dark, normal, bright) and "warmth" (cold, neutral, warm) of the light.

    Example:
        >>> from percept.data.scenes import scene
        >>> [str(labels[0]) for labels in scene_slices([scene(0)]).values()]
        ['household item', 'natural', 'beach', 'bright', 'warm']
    """
    rows = []
    for made in scenes:
        things = [made.things[position] for position in made.named]
        largest = max(things, key=lambda thing: thing.length, default=None)
        rows.append({
            "category": largest.kind.category if largest else "none",
            "colour": (largest.colour or "natural") if largest else "none",
            "background": made.background.key,
            "lighting": "dark" if made.gain < _DARK else "bright" if made.gain > _BRIGHT else "normal",
            "warmth": "cold" if made.warmth < 0 else "warm" if made.warmth > 0 else "neutral",
        })  # fmt: skip
    if not rows:
        raise ValueError("scenes is empty")
    return {family: np.array([row[family] for row in rows]) for family in rows[0]}


def balanced_weights(
    slices: Mapping[str, Any], target: Mapping[str, Mapping[str, float]] | None = None, bound: float = 5.0
) -> np.ndarray:
    """Weigh rows so that in every family each slice has the same total, or the one that is asked for.

    Families are balanced in turn until all agree (raking, Deming and Stephan 1940). The bound keeps a slice of very
    few rows below its share: one picture that counts fifty times would teach itself and nothing of its slice.

    Args:
        slices: {family: [N] labels}.
        target: {family: {label: share}} for families whose slices shall not be alike; shares add up to 1.
        bound: weights are kept within 1 / bound to bound before they are brought to mean 1.

    Returns:
        float64 [N], above 0, mean 1.

    Raises:
        ValueError: shares that do not fit the labels, a bound below 1; labels as in `slice_table`.

    Example:
        >>> balanced_weights({"light": ["dark", "bright", "bright", "bright"]}).round(2).tolist()
        [2.0, 0.67, 0.67, 0.67]
    """
    if not bound >= 1:
        raise ValueError(f"bound must be at least 1, got {bound}")
    aims = []
    for family, labels in checked_slices(slices).items():
        names, codes = np.unique(labels, return_inverse=True)
        shares = (target or {}).get(family, dict.fromkeys(names, 1 / names.size))
        if set(shares) != set(names) or min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
            needed = f"each of {', '.join(names)} a share above 0, adding up to 1"
            raise ValueError(f"target[{family!r}] must give {needed}; got {shares}")
        aims.append((codes, np.array([shares[name] for name in names]) * labels.size))
    if unknown := set(target or {}) - set(slices):
        raise ValueError(f"target names the family {min(unknown)!r}, slices has {', '.join(slices)}")
    weights: np.ndarray = np.ones(len(aims[0][0]))
    for _ in range(100):
        for codes, wanted in aims:
            weights *= (wanted / np.bincount(codes, weights))[codes]
        weights = weights.clip(1 / bound, bound)
    return weights / weights.mean()


def balanced_rows(slices: Mapping[str, Any], n: int | None = None, seed: int = 0) -> np.ndarray:
    """Draw training rows so that slices are balanced: the correction of a bias that comes from rare slices.

    Rows and not weights, because the losses of `percept.training.rate` are of a batch (correlation, order) and
    have no weight of a row; a row drawn twice counts twice in every loss and for every method.

    Args:
        slices: {family: [N] labels} of training rows only; a row on both sides of a split is no held-out row.
        n: rows to draw; N unless given.
        seed: of the draw.

    Returns:
        int64 [n] in random order. Each row comes as often as it weighs, rounded down or up (systematic resampling).

    Raises:
        ValueError: as `balanced_weights`, or n below 1.
    """
    weights = balanced_weights(slices)
    count = weights.size if n is None else n
    if count < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    rng = np.random.default_rng(seed)
    order = rng.permutation(weights.size)
    edges = weights[order].cumsum() * count / weights.size
    drawn = np.searchsorted(edges[:-1], np.arange(count) + rng.random(), side="right")
    return rng.permutation(order[drawn])

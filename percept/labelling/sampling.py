"""What to ask next on a budget, and whether the sample is representative."""

from typing import Any

import numpy as np
import pandas as pd

from percept.evaluation.arrays import to_numpy
from percept.evaluation.statistics import wilson_interval

STRATEGIES = ("random", "uncertainty", "disagreement")


class SamplingError(ValueError):
    """A request that the pool of items cannot meet; the message names the parameter."""


def allocate(sizes: Any, budget: int, minimum: int = 0, available: Any = None) -> np.ndarray:
    """Share a budget over strata in proportion to their sizes, by largest remainder.

    Args:
        sizes: [S] stratum sizes (or weights), 0 or more.
        budget: whole number of items to share out.
        minimum: floor per stratum with a size above 0, as far as `available` allows.
        available: [S] most items each stratum can give; what it cannot take goes to the others in proportion.

    Returns:
        int64 [S] summing to `budget`. Equal remainders go to the earlier stratum.

    Raises:
        SamplingError: for a budget above what is available or below what the minimum needs.

    Example:
        >>> allocate([50, 30, 20], 11).tolist(), allocate([98, 1, 1], 10, minimum=1).tolist()
        ([6, 3, 2], [8, 1, 1])
    """
    size = to_numpy(sizes).astype(float)
    room = np.full(len(size), budget) if available is None else to_numpy(available).astype(np.int64)
    room = np.where(size > 0, room, 0)
    if budget < 0 or not np.isfinite(size).all() or (size < 0).any() or room.sum() < budget:
        raise SamplingError(f"budget {budget} must lie in 0..{room.sum()}, the items available in strata of size > 0")
    result = np.minimum(minimum, room)
    if result.sum() > budget:
        raise SamplingError(f"budget {budget} is below the minimum of {minimum} in each of {(result > 0).sum()} strata")
    # The common rate at which shares, held between floor and room, add up to the budget; then whole numbers.
    floor, low, high = result, 0.0, budget / size[size > 0].min() if budget else 0.0
    for _ in range(100):
        rate = (low + high) / 2
        low, high = (rate, high) if np.clip(rate * size, floor, room).sum() < budget else (low, rate)
    quota = np.clip(high * size, floor, room)
    result = np.floor(quota + 1e-9).astype(np.int64)
    remainder = np.where(result < room, np.round(quota - result, 9), -1)
    result[np.argsort(-remainder, kind="stable")[: budget - result.sum()]] += 1
    return result


def disagreement(choices: Any) -> np.ndarray:
    """Return how divided the members (raters, or read-outs fitted to bootstrap samples) are about each item.

    Args:
        choices: [M, T] 0 (left), 1 (right), 0.5 (undecided) or NaN (did not judge).

    Returns:
        float64 [T]: p (1 - p) of the share p of right after adding one vote to each side, 0..0.25: an item that nobody
        has judged counts as fully open, one that two members agree on as less settled than one that ten agree on.

    Example:
        >>> disagreement([[1, 1, float("nan")], [0, 1, float("nan")]]).tolist()
        [0.25, 0.1875, 0.25]
    """
    table = to_numpy(choices).astype(float)
    if table.ndim != 2 or not len(table) or ((table < 0) | (table > 1)).any():
        raise SamplingError(f"choices must be [members, items] in 0..1 or NaN, got shape {table.shape}")
    share = (np.nansum(table, axis=0) + 1) / (np.isfinite(table).sum(axis=0) + 2)
    return np.asarray(share * (1 - share))


def _priority(strategy: str, size: int, d_left: Any, d_right: Any, choices: Any) -> np.ndarray | None:
    """How much each item is worth asking, [T]; None for random."""
    if strategy not in STRATEGIES:
        raise SamplingError(f"strategy must be one of {', '.join(STRATEGIES)}, got {strategy!r}")
    if strategy == "random":
        return None
    if strategy == "uncertainty":
        if d_left is None or d_right is None:
            raise SamplingError("strategy 'uncertainty' needs d_left and d_right, the model's distances")
        value = -np.abs(to_numpy(d_left).astype(float) - to_numpy(d_right).astype(float))
    else:
        if choices is None:
            raise SamplingError("strategy 'disagreement' needs choices, the members' votes [members, items]")
        value = disagreement(choices)
    if value.shape != (size,) or not np.isfinite(value).all():
        raise SamplingError(f"strategy {strategy!r} needs one finite value per item ({size}), got shape {value.shape}")
    return value


def _pick(pool: np.ndarray, count: int, value: np.ndarray | None, explore: float, rng: np.random.Generator) -> Any:
    """`count` items of the pool: the exploration share at random, the others by value, ties at random."""
    if value is None:
        return rng.permutation(pool)[:count]
    shuffled = rng.permutation(pool)
    ranked = shuffled[np.argsort(-value[shuffled], kind="stable")]
    best = ranked[: count - round(explore * count)]
    rest = rng.permutation(np.setdiff1d(pool, best))
    return np.concatenate([best, rest[: count - len(best)]])


def _done(asked: Any, budget: int, size: int) -> np.ndarray:
    """The positions already asked, checked together with the budget."""
    done = np.unique(to_numpy(asked).astype(np.int64))
    if done.size and (done[0] < 0 or done[-1] >= size):
        raise SamplingError(
            f"asked holds the position {done[-1] if done[-1] >= size else done[0]}, pool has {size} items"
        )
    if not 0 <= budget <= size - len(done):
        raise SamplingError(
            f"budget {budget} must lie in 0..{size - len(done)}: {size} items, {len(done)} already asked"
        )
    return done


def ask_next(
    strategy: str,
    budget: int,
    size: int,
    *,
    asked: Any = (),
    strata: Any = None,
    d_left: Any = None,
    d_right: Any = None,
    choices: Any = None,
    explore: float = 0.1,
    minimum: int = 0,
    seed: int = 0,
) -> np.ndarray:
    """Choose the next items to ask people about.

    Args:
        strategy: "random"; "uncertainty" (smallest |d_left - d_right| under the present model); "disagreement"
            (see `disagreement`).
        budget: number of items in this round.  size: number T of items in the pool.
        asked: positions already asked, never chosen again.
        strata: [T] category of each item. The sample *with* `asked` is then proportional to the pool (largest
            remainder); the strategy only decides within a stratum. None: one stratum.
        d_left, d_right: [T] distances.  choices: [M, T].
        explore: share of the round chosen at random, so that a wrong model cannot hide a region for ever.
        minimum: smallest number per stratum in the whole sample, asked ones included.
        seed: of ties, of exploration and of the random strategy; give each round its own.

    Returns:
        int64 [budget], positions in the order in which to ask (shuffled), none twice.

    Raises:
        SamplingError: for an unknown strategy, missing or non-finite signals, positions outside the pool, a stratum
            that is empty, or a budget larger than what is left.
    """
    done = _done(asked, budget, size)
    if not 0 <= explore <= 1:
        raise SamplingError(f"explore must lie in 0..1, got {explore}")
    value = _priority(strategy, size, d_left, d_right, choices)
    names, stratum = _strata(np.zeros(size, np.int64) if strata is None else strata, size)
    count, have = np.bincount(stratum, minlength=names), np.bincount(stratum[done], minlength=names)
    target = allocate(count, len(done) + budget, minimum, count)
    need = np.maximum(target - have, 0)
    # Earlier rounds may have given a stratum more than its share; the others then wait in proportion.
    need = allocate(need, budget, available=need) if need.sum() > budget else need
    open_items = np.setdiff1d(np.arange(size), done)
    rng = np.random.default_rng(seed)
    parts = [_pick(open_items[stratum[open_items] == s], need[s], value, explore, rng) for s in range(names)]
    return rng.permutation(np.concatenate(parts)).astype(np.int64)


def _strata(strata: Any, size: int) -> tuple[int, np.ndarray]:
    """Number of strata and the code of each item."""
    values = pd.Series(to_numpy(strata))
    if len(values) != size:
        raise SamplingError(f"strata must name the category of each of the {size} items, got {len(values)}")
    if values.isna().any():
        raise SamplingError(f"strata has no category for item {int(values.isna().to_numpy().argmax())}")
    codes, names = pd.factorize(values, sort=True)
    return len(names), codes


def representation(population: Any, sample: Any, level: float = 0.95) -> pd.DataFrame:
    """Report which categories a sample shows too often or too seldom.

    Args:
        population: [T] category of every item of the pool.  sample: [n] categories of the items that were asked.
        level: joint coverage of the intervals over all categories (Bonferroni).

    Returns:
        DataFrame indexed by category: population, sample (shares), ratio (sample / population), low, high (Wilson
        interval of the sample share), n, `flag` "over", "under" or "". "over" means that the population share lies
        below the interval: a sample of independent draws would hardly come out so.

    Raises:
        SamplingError: for an empty sample, a gap, or a category that the population lacks.

    Example:
        >>> representation(["a"] * 90 + ["b"] * 10, ["a"] * 20 + ["b"] * 20)["flag"].to_dict()
        {'a': 'under', 'b': 'over'}
    """
    pool, taken = pd.Series(to_numpy(population)), pd.Series(to_numpy(sample))
    if taken.empty or pool.isna().any() or taken.isna().any():
        raise SamplingError("population and sample must be non-empty lists of categories without gaps")
    if strangers := sorted(set(taken) - set(pool)):
        raise SamplingError(f"sample holds the category '{strangers[0]}', which the population lacks")
    share = pool.value_counts(normalize=True).sort_index()
    counts = taken.value_counts().reindex(share.index, fill_value=0)
    joint = 1 - (1 - level) / len(share)
    limits = [wilson_interval(int(k), len(taken), joint) for k in counts]
    table = pd.DataFrame({"population": share, "sample": counts / len(taken)}).rename_axis("category")
    table["ratio"] = table["sample"] / table["population"]
    table["low"], table["high"], table["n"] = [i.low for i in limits], [i.high for i in limits], counts
    table["flag"] = np.where(share < table["low"], "over", np.where(share > table["high"], "under", ""))
    return table

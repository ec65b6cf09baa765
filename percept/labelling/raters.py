"""How each rater worked: quality table with flags, attention checks, drift over time. Flags never delete anything."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from percept.evaluation.statistics import Interval, bootstrap_interval, wilson_interval
from percept.labelling.aggregate import AnswersError, checked, dawid_skene
from percept.labelling.reliability import leave_one_out_agreement


def attention(answers: pd.DataFrame) -> pd.DataFrame:
    """Compare each repeated question (kind "repeat") with the rater's first answer to the same item.

    Returns:
        DataFrame indexed by rater: `repeats` (both answered) and `failed` (answered differently). A "can't tell" on
        either side is not counted. A careful rater also changes a close call: judge the count, not one failure.
    """
    table = checked(answers, repeats=True)
    again = table["kind"].eq("repeat") if "kind" in table else pd.Series(False, index=table.index)
    first = table.loc[~again, ["rater", "item", "answer"]]
    both = table.loc[again, ["rater", "item", "answer"]].merge(first, on=["rater", "item"], suffixes=("", "_first"))
    both = both.dropna(subset=["answer", "answer_first"])
    failed = (both["answer"] != both["answer_first"]).groupby(both["rater"])
    names = pd.Index(sorted(table["rater"].unique()), name="rater")
    return pd.DataFrame({"repeats": failed.size(), "failed": failed.sum()}).reindex(names, fill_value=0).astype(int)


def _left_side(given: pd.DataFrame) -> pd.Series:
    """1 where the picture shown on the left was chosen; without `swapped` the canonical side stands in."""
    left = given["answer"].eq(0)
    return (left ^ given["swapped"].astype(bool)) if "swapped" in given else left


def _reasons(row: pd.Series, usual: pd.Series, fastest: float, failures: float, skips: float) -> str:
    """Say in words why a rater should be looked at; empty if nothing stands out. `usual` holds the medians."""
    found = []
    if row["agreement_low"] <= 0.5 and row["agreement_high"] < usual["agreement"]:
        found.append(f"agrees with the others in {row['agreement']:.0%}, not shown to be above chance")
    if row["repeats"] and wilson_interval(row["failed"], int(row["repeats"])).low > failures:
        found.append(f"failed {row['failed']:.0f} of {row['repeats']:.0f} attention checks")
    if row["left_low"] > 0.6 or row["left_high"] < 0.4:
        found.append(f"chose the left picture in {row['left']:.0%}")
    if row["skip_rate"] > skips:
        found.append(f"skipped {row['skip_rate']:.0%}")
    if row["seconds"] < fastest * usual["seconds"]:
        found.append(f"median answer in {row['seconds']:.1f} s")
    return "; ".join(found)


def rater_quality(
    answers: pd.DataFrame, *, fastest: float = 0.33, failures: float = 0.25, skips: float = 0.5
) -> pd.DataFrame:
    """One row per rater: how much they did, how well they agree, and what stands out.

    Args:
        answers: answers table of at least two raters who share items. `swapped`, `seconds` and `kind` are used where
            present; without `swapped`, `left` is the share of canonical left and only meaningful if sides are random.
        fastest: flag a median time under this share of all raters' median.
        failures: flag when the interval of the failure share of attention checks lies above this.
        skips: flag a larger share of skips.

    Flagged for agreement is who is not shown to be above chance (interval reaches 0.5) and lies below the median rater.

    Returns:
        DataFrame indexed by rater: group, `answers` (without skips), agreement with the leave-one-out majority
        (agreement, agreement_low, agreement_high: bootstrap over the rater's items; NaN without overlap), `accuracy`
        estimated by one-coin Dawid-Skene, skip_rate, left with Wilson interval (left_low, left_high), seconds
        (median), repeats, failed, `flagged` (bool) and `reason`.

    Raises:
        AnswersError: see `percept.labelling.aggregate.checked`.
    """
    table = checked(answers, raters=2)
    given = table.dropna(subset="answer")
    agreement = leave_one_out_agreement(answers).groupby("rater")["agrees"]
    accuracy = dawid_skene(answers).raters["accuracy"]
    checks = attention(answers)
    rows = []
    for name, mine in table.groupby("rater"):
        sides = _left_side(given[given["rater"] == name])
        left = wilson_interval(sides.sum(), len(sides)) if len(sides) else Interval(np.nan, np.nan, np.nan, 0)
        has = name in agreement.groups
        agrees = (
            bootstrap_interval(agreement.get_group(name).to_numpy()) if has else Interval(np.nan, np.nan, np.nan, 0)
        )
        rows.append({
            "rater": name, "group": mine["group"].iloc[0], "answers": len(sides), "agreement": agrees.value,
            "agreement_low": agrees.low, "agreement_high": agrees.high, "accuracy": accuracy.get(name, np.nan),
            "skip_rate": mine["answer"].isna().mean(), "left": left.value, "left_low": left.low, "left_high": left.high,
            "seconds": mine["seconds"].median() if "seconds" in mine else np.nan,
        })  # fmt: skip
    quality = pd.DataFrame(rows).set_index("rater").join(checks)
    usual = quality[["agreement", "seconds"]].median()
    quality["reason"] = [_reasons(row, usual, fastest, failures, skips) for _, row in quality.iterrows()]
    quality.insert(quality.columns.get_loc("reason"), "flagged", quality["reason"] != "")
    return quality


@dataclass(frozen=True, eq=False)
class Drift:
    """Agreement in the course of a session.

    `blocks`: block, agreement, low, high, n. `slope`: change of agreement from the first to the last answer (bootstrap
    over answers). `p_value`: two-sided, order permuted within raters.
    """

    blocks: pd.DataFrame
    slope: Interval
    p_value: float


def drift(answers: pd.DataFrame, blocks: int = 5, permutations: int = 999, seed: int = 0) -> Drift:
    """Does agreement with the others change in the course of a session (tiredness, learning)?

    Every rater's answers are put in order and scaled to 0 (first) .. 1 (last); the slope is the least-squares line of
    agreement on that place, rater means removed, so that who answered more does not matter.

    Args:
        answers: answers table with `order`.  blocks: parts of equal size.  permutations, seed: of the trend test.

    Raises:
        AnswersError: without `order`, or with fewer than two answers per block.
    """
    if "order" not in answers:
        raise AnswersError("answers lack the column order (position in the session), needed for drift")
    given = leave_one_out_agreement(answers)
    per_rater = given.groupby("rater")["order"]
    given["place"] = (per_rater.rank(method="first") - 1) / (per_rater.transform("size") - 1).clip(lower=1)
    given = given[per_rater.transform("size") > 1].sort_values(["rater", "place"]).reset_index(drop=True)
    if blocks < 2 or len(given) < 2 * blocks:
        raise AnswersError(f"drift over {blocks} blocks needs 2 blocks and {2 * blocks} answers, got {len(given)}")
    part = np.minimum((given["place"] * blocks).astype(int), blocks - 1)
    rows = [(b, *bootstrap_interval(given.loc[part == b, "agrees"].to_numpy(), seed=seed)) for b in sorted(set(part))]
    mean = given.groupby("rater")[["place", "agrees"]].transform("mean")
    x, y = (given["place"] - mean["place"]).to_numpy(), (given["agrees"] - mean["agrees"]).to_numpy()
    slope = float(x @ y / (x @ x))
    rng = np.random.default_rng(seed)
    size = len(given)
    drawn = rng.multinomial(size, np.full(size, 1 / size), size=1000)
    low, high = np.percentile(drawn @ (x * y) / (drawn @ (x * x)), [2.5, 97.5])
    owner = pd.factorize(given["rater"])[0]
    # Sorting by (rater, random number) permutes each rater's answers among themselves.
    null = np.array([x @ y[np.lexsort((rng.random(size), owner))] / (x @ x) for _ in range(permutations)])
    p_value = (1 + (np.abs(null) >= abs(slope) - 1e-12).sum()) / (1 + permutations)
    table = pd.DataFrame(rows, columns=["block", "agreement", "low", "high", "n"])
    return Drift(table, Interval(slope, float(low), float(high), size), float(p_value))

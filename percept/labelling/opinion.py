"""From numeric ratings (sliders, 5-point scales) to one score per item: the plain mean, and a model of the raters.

The ratings table is a DataFrame with one row per rating: `rater`, `item`, `score` (NaN "can't tell") and, where
known, `group` and `kind`. It follows the rules of the answers table (`percept.labelling.aggregate`): a rater scores an
item once, and a second rating marked kind="repeat" is an attention check and not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from percept.labelling.aggregate import AnswersError, checked


def checked_ratings(ratings: pd.DataFrame, raters: int = 1) -> pd.DataFrame:
    """Return the ratings that count (no repeats, no "can't tell"), score as float64.

    Args:
        ratings: ratings table (see the module).
        raters: smallest number of different raters.

    Raises:
        AnswersError: no column score, a score that is no finite number, or what `checked` refuses (missing columns,
            an item scored twice by a rater, a rater in two groups, too few raters, nothing but empty scores).
    """
    if "score" not in ratings:
        raise AnswersError(f"ratings lack the column score; found {list(ratings)}")
    table = ratings.reset_index(drop=True)
    score = pd.to_numeric(table["score"], errors="coerce").astype(np.float64)
    bad = table.index[table["score"].notna() & ~np.isfinite(score)]
    if len(bad):
        raise AnswersError(f"row {bad[0]}: score '{table['score'][bad[0]]}' is no finite number (leave skips empty)")
    group = table.get("group", "")
    # Left or right does not matter here: the answers are only there for the checks that both tables share.
    table = table.assign(score=score, group=group, answer=np.where(score.isna(), np.nan, 0.0))
    return checked(table, raters).dropna(subset="score").drop(columns="answer").reset_index(drop=True)


def mean_opinion(ratings: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Mean of the ratings of each item, every rater counting the same.

    Args:
        ratings: ratings table.
        level: coverage of the interval.

    Returns:
        DataFrame indexed by item (sorted): `mean`, `low`, `high` (Student's t), `spread` (standard deviation of
        the ratings) and `votes`; with a single vote low, high and spread are NaN.

    Example:
        >>> rows = [("a", 1, 2.0), ("b", 1, 4.0), ("a", 2, 5.0)]
        >>> mean_opinion(pd.DataFrame(rows, columns=["rater", "item", "score"])).round(2).values.tolist()
        [[3.0, -9.71, 15.71, 1.41, 2.0], [5.0, nan, nan, nan, 1.0]]
    """
    from scipy.stats import t

    if not 0 < level < 1:
        raise AnswersError(f"level must lie between 0 and 1, got {level}")
    scores = checked_ratings(ratings).groupby("item")["score"]
    mean, spread, votes = scores.mean(), scores.std(), scores.count()
    half = t.ppf((1 + level) / 2, (votes - 1).where(votes > 1)) * spread / np.sqrt(votes)
    return pd.DataFrame({"mean": mean, "low": mean - half, "high": mean + half, "spread": spread, "votes": votes})


@dataclass(frozen=True, eq=False)
class Opinion:
    """What the model of raters says.

    Attributes:
        items: indexed by item (sorted): `quality`, `error` (standard error, the inconsistencies taken as known) and
            `votes`.
        raters: indexed by rater (sorted): `bias` (their mean is 0), `inconsistency` (standard deviation of the
            noise, in units of the score) and `votes`.
        iterations: steps taken.
        converged: whether the inconsistencies had settled by then.
    """

    items: pd.DataFrame
    raters: pd.DataFrame
    iterations: int
    converged: bool


def opinion_scores(
    ratings: pd.DataFrame, prior: float = 2.0, iterations: int = 500, tolerance: float = 1e-6
) -> Opinion:
    """Score items, allowing for raters who are strict or lenient, careful or careless.

    The model is score[r, i] = quality[i] + bias[r] + inconsistency[r] * noise. Steps alternate between quality and
    bias given the weights 1 / inconsistency^2 (weighted least squares, solved exactly) and inconsistency given the
    residuals. A rater's squared residuals are divided by the degrees of freedom that the fit has left them
    (restricted maximum likelihood); plain maximum likelihood would let one rater with few ratings take over.

    Args:
        ratings: ratings table; not every rater has to score every item.
        prior: every rater starts with this many further ratings of average noise, which steadies those with few.
            A tiny value is the pure estimate.
        iterations: steps at most.
        tolerance: relative change of the squared inconsistencies at which the steps end.

    Returns:
        Opinion. Two raters cannot be told apart in noise and get about the same. A rater with one rating adds
        nothing to the quality (their bias absorbs it).

    Raises:
        AnswersError: as `checked_ratings`; fewer than two raters; raters who share no items even through others (their
            biases cannot be compared); no rating beyond those needed to place items and raters.

    Source: Li and Bampis, Recover Subjective Quality Scores from Noisy Measurements (2017), without content
    ambiguity; the model of ITU-T P.910. Restricted likelihood: Patterson and Thompson, Biometrika 58, 1971.
    """
    if not prior > 0:
        raise AnswersError(f"prior must be above 0, got {prior}: use a tiny value for the pure estimate")
    table = checked_ratings(ratings, raters=2).pivot(index="item", columns="rater", values="score")
    score, given = table.fillna(0.0).to_numpy(), table.notna().to_numpy()
    _placeable(given, table)
    floor = max(1e-8 * float(score[given].var()), 1e-12)
    noise, step, change = np.full(len(table.columns), 1.0), 0, np.inf
    while step < iterations and change > tolerance:
        quality, bias, own, fitted = _placed(score, given / noise)
        squares = (given * (score - quality[:, None] - bias) ** 2).sum(axis=0)
        free = (given * (1 - fitted / noise)).sum(axis=0).clip(0)
        pooled = max(squares.sum() / free.sum(), floor)
        new = np.maximum((squares + prior * pooled) / (free + prior), floor)
        change, noise, step = float(np.abs(new / noise - 1).max()), new, step + 1
    quality, bias, own, _ = _placed(score, given / noise)
    items = pd.DataFrame({"quality": quality, "error": np.sqrt(own), "votes": given.sum(axis=1)}, index=table.index)
    raters = pd.DataFrame({"bias": bias, "inconsistency": np.sqrt(noise)}, index=table.columns)
    return Opinion(items, raters.assign(votes=given.sum(axis=0)), step, change <= tolerance)


def _placeable(given: np.ndarray, table: pd.DataFrame) -> None:
    """Refuse designs [I, R] in which biases have no common scale, or nothing is left to tell noise by."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    shared = csr_matrix(given.T.astype(int) @ given.astype(int))
    parts, part = connected_components(shared, directed=False)
    if parts > 1:
        first, second = table.columns[part == 0][0], table.columns[part == 1][0]
        raise AnswersError(
            f"{parts} parts of the raters share no items (e.g. '{first}' and '{second}'), so their biases cannot be "
            "compared: let them rate some of the same items"
        )
    if given.sum() <= sum(given.shape) - 1:
        raise AnswersError(
            f"{given.sum()} ratings only just place {given.shape[0]} items and {given.shape[1]} raters: nothing is "
            "left to tell noise by; let more items be rated twice, or use mean_opinion"
        )


def _placed(score: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Quality [I] and bias [R] by weighted least squares, variances of quality [I] and of quality + bias [I, R].

    `weight` [I, R] is 0 where a rating is missing. Quality is eliminated, which leaves an R x R system for bias that is
    singular in one known direction (a shift of all raters); adding that direction makes it regular.
    """
    load = weight.sum(axis=1)
    share = weight / load[:, None]
    middle = (share * score).sum(axis=1)
    system = np.diag(weight.sum(axis=0)) - weight.T @ share
    size = len(system)
    shift = np.trace(system) / size
    spread = np.linalg.inv(system + shift / size) - 1 / (shift * size)
    bias = spread @ (weight * (score - middle[:, None])).sum(axis=0)
    moved = share @ spread
    own = 1 / load + (moved * share).sum(axis=1)
    return middle - share @ bias, bias, own, own[:, None] + np.diag(spread) - 2 * moved

"""From single answers to one judgment per item: majority, Dawid-Skene, Bradley-Terry.

The answers table used throughout `percept.labelling` is a DataFrame with one row per answer:
`rater`, `group`, `item`, `answer` (0.0 left, 1.0 right, NaN "can't tell") and, where known, `order` (position in
the rater's session), `seconds`, `swapped` (shown mirrored) and `kind` ("ask" or "repeat", an attention check).
`percept.data.judgments.coded` makes it from the store.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

REQUIRED = ("rater", "group", "item", "answer")


class AnswersError(ValueError):
    """An answers table that cannot be read as judgments; the message names the column, rater or item."""


def checked(answers: pd.DataFrame, raters: int = 1, repeats: bool = False) -> pd.DataFrame:
    """Return the answers with their columns checked; repeats are left out unless asked for.

    Args:
        answers: answers table (see the module).
        raters: smallest number of different raters with at least one real answer.
        repeats: keep rows whose `kind` is "repeat".

    Raises:
        AnswersError: for a missing column, an answer that is not 0, 1 or NaN, a pair (rater, item) asked twice,
            a rater in two groups, too few raters, or no answer but "can't tell".
    """
    missing = [name for name in REQUIRED if name not in answers]
    if missing:
        raise AnswersError(f"answers lack the column(s) {', '.join(missing)}; found {list(answers)}")
    table = answers.reset_index(drop=True)
    for name in ("rater", "item"):
        if table[name].isna().any():
            raise AnswersError(f"row {table[name].isna().idxmax()}: {name} is empty")
    value = pd.to_numeric(table["answer"], errors="coerce")
    bad = table.index[~value.isin([0, 1]) & table["answer"].notna()]
    if len(bad):
        raise AnswersError(
            f"row {bad[0]}: answer '{table['answer'][bad[0]]}' is not 0 (left), 1 (right) or empty (skip)"
        )
    table["answer"] = value.astype(float)
    again = table["kind"].eq("repeat") if "kind" in table else pd.Series(False, index=table.index)
    double = table[~again & table.assign(again=again).duplicated(["rater", "item", "again"])]
    if len(double):
        who = f"rater '{double['rater'].iloc[0]}' answered item '{double['item'].iloc[0]}' twice"
        raise AnswersError(f"{who}: keep one, or mark attention checks as kind='repeat'")
    homes = table.groupby("rater")["group"].nunique(dropna=False)
    if (homes > 1).any():
        raise AnswersError(f"rater '{homes.idxmax()}' appears in {homes.max()} groups")
    if not repeats:
        table = table[~again].reset_index(drop=True)
    if not table["answer"].notna().any():
        raise AnswersError("every answer is empty ('can't tell'): nothing to aggregate")
    found = table.loc[table["answer"].notna(), "rater"].nunique()
    if found < raters:
        raise AnswersError(f"at least {raters} raters with answers are needed, got {found}")
    return table


def majority(answers: pd.DataFrame) -> pd.DataFrame:
    """Count the votes per item.

    Returns:
        DataFrame indexed by item (sorted): `vote_right` share 0..1 (NaN if all skipped), `votes` answers behind it,
        `skips`, `label` 0.0/1.0, NaN for a tie. Repeats are not counted: a rater has one vote per item.

    Example:
        >>> rows = [("a", "", 1, 1.0), ("b", "", 1, 1.0), ("c", "", 1, 0.0), ("d", "", 1, None)]
        >>> table = majority(pd.DataFrame(rows, columns=["rater", "group", "item", "answer"]))
        >>> table.round(3).values.tolist()
        [[0.667, 3.0, 1.0, 1.0]]
    """
    votes = checked(answers).groupby("item")["answer"]
    table = pd.DataFrame({"vote_right": votes.mean(), "votes": votes.count(), "skips": votes.size() - votes.count()})
    table["label"] = np.where(table["vote_right"].isin([0.5, np.nan]), np.nan, (table["vote_right"] > 0.5) * 1.0)
    return table


@dataclass(frozen=True, eq=False)
class Consensus:
    """What a model of raters says: `items` (probability_right, label, votes), `raters` (accuracy, votes)."""

    items: pd.DataFrame
    raters: pd.DataFrame


def dawid_skene(answers: pd.DataFrame, model: str = "one_coin", iterations: int = 100) -> Consensus:
    """Weigh raters by how well they agree with the consensus (EM, maximum likelihood).

    The model supposes one right answer per item; where people truly differ in what they see, `probability_right`
    is surer than the people are, so train on soft votes and use this to find careless raters and wrong majorities.

    Args:
        answers: answers table of at least two raters.
        model: "one_coin" (one accuracy per rater; left and right are symmetric in randomised two-alternative
            tasks) or "full" (a confusion matrix per rater, which needs some tens of answers each).
        iterations: EM steps at most.

    Returns:
        Consensus. In the full model a rater's accuracy is the mean of both rows, weighted by the label shares.

    Source: Dawid and Skene, Applied Statistics 28(1), 1979; one-coin: Zhang et al., JMLR 17, 2016. By crowd-kit.
    """
    if model not in ("one_coin", "full"):
        raise AnswersError(f"model must be 'one_coin' or 'full', got {model!r}")
    given = checked(answers, raters=2).dropna(subset="answer")
    if given["item"].duplicated().sum() == 0:
        raise AnswersError("no item was answered by two raters: without overlap nobody can be compared")
    data = pd.DataFrame({"task": given["item"], "worker": given["rater"], "label": given["answer"].astype(int)})
    # Imported here: it loads nltk and pyarrow (a second). It calls parts of pandas that 3.1 marks as deprecated.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="crowdkit")
        warnings.filterwarnings("ignore", category=pd.errors.PandasChangeWarning, module="crowdkit")
        from crowdkit.aggregation.classification.dawid_skene import DawidSkene, OneCoinDawidSkene

        fitted = (OneCoinDawidSkene if model == "one_coin" else DawidSkene)(n_iter=iterations, tol=1e-7).fit(data)
    both = pd.DataFrame(fitted.probas_).reindex(columns=[0, 1], fill_value=0.0).sort_index()
    right = both[1].clip(0.0, 1.0)
    votes = data.groupby("task")["label"].size()
    items = pd.DataFrame({"probability_right": right, "label": (right > 0.5) * 1.0, "votes": votes}).rename_axis("item")
    items.loc[np.isclose(right, 0.5), "label"] = np.nan
    # Accuracy = expected share of answers that equal the true label, which is the one-coin skill itself.
    hit = both.to_numpy()[both.index.get_indexer(data["task"]), data["label"]]
    grouped = pd.Series(hit, index=data["worker"]).groupby(level=0)
    return Consensus(items, pd.DataFrame({"accuracy": grouped.mean(), "votes": grouped.size()}).rename_axis("rater"))


def _connected(won: np.ndarray, lost: np.ndarray, names: pd.Index, strongly: bool) -> None:
    """Refuse comparisons that leave candidates without a common scale."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(won)), (lost, won)), shape=(len(names), len(names)))
    parts, part = connected_components(graph, directed=False)
    if parts > 1:
        first, second = names[part == 0][0], names[part == 1][0]
        raise AnswersError(
            f"{parts} parts were never compared with each other (e.g. '{first}' and '{second}'): ask more"
        )
    if strongly and connected_components(graph, connection="strong")[0] > 1:
        raise AnswersError("some candidates only won or only lost: the scale is infinite, set regularisation above 0")


def bradley_terry(pairs: pd.DataFrame, regularisation: float = 0.01) -> pd.DataFrame:
    """Place candidates on one scale from comparisons: P(winner beats loser) = sigmoid(s_winner - s_loser).

    For triplets, compare within one reference: candidates of a reference are ranked by their similarity to it.

    Args:
        pairs: DataFrame with `winner` and `loser`, one row per comparison.
        regularisation: weight a of the penalty a * sum(s^2) (choix adds it to the negative log-likelihood, i.e. a
            Gaussian prior of variance 1 / (2 a)). 0 = plain maximum likelihood.

    Returns:
        DataFrame indexed by candidate, best first: `strength` (log-odds, mean 0), `error` (standard error from the
        curvature, of the strength relative to the mean), `wins`, `losses`.

    Raises:
        AnswersError: when candidates fall into parts that were never compared with each other (their order would
            come from the prior alone), or, without regularisation, when one part never lost to another.

    Source: Bradley and Terry, Biometrika 39, 1952; connectedness: Ford, Amer. Math. Monthly 64, 1957. By choix.
    """
    if missing := [name for name in ("winner", "loser") if name not in pairs]:
        raise AnswersError(f"pairs lack the column(s) {', '.join(missing)}; found {list(pairs)}")
    if pairs.empty or pairs[["winner", "loser"]].isna().any(axis=None) or (pairs["winner"] == pairs["loser"]).any():
        raise AnswersError("pairs must be non-empty rows of two different candidates without gaps")
    if not regularisation >= 0:
        raise AnswersError(f"regularisation must be 0 or more, got {regularisation}")
    codes, names = pd.factorize(pd.concat([pairs["winner"], pairs["loser"]]), sort=True)
    won, lost, size = codes[: len(pairs)], codes[len(pairs) :], len(names)
    _connected(won, lost, names, strongly=regularisation == 0)
    import choix

    strength = choix.opt_pairwise(size, list(zip(won, lost, strict=True)), alpha=regularisation, tol=1e-9)
    strength -= strength.mean()
    chance = 1 / (1 + np.exp(strength[lost] - strength[won]))
    edges = np.zeros((len(won), size))
    edges[np.arange(len(won)), won], edges[np.arange(len(won)), lost] = 1.0, -1.0
    curvature = (edges * (chance * (1 - chance))[:, None]).T @ edges + 2 * regularisation * np.eye(size)
    centre = np.eye(size) - 1 / size
    error = np.sqrt(np.diag(centre @ np.linalg.pinv(curvature) @ centre).clip(0))
    table = pd.DataFrame({"strength": strength, "error": error}, index=pd.Index(names, name="candidate"))
    table["wins"], table["losses"] = np.bincount(won, minlength=size), np.bincount(lost, minlength=size)
    return table.sort_values("strength", ascending=False, kind="stable")

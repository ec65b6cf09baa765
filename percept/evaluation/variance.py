"""How much of the spread of results each factor explains: model size, objective, judgment source."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from percept.evaluation.differences import VerdictError


def _effects(results: pd.DataFrame, factors: Sequence[str]) -> np.ndarray:
    """Sum-coded columns of one factor, or of the interaction of several: [N, product of (levels - 1)]."""
    columns = np.ones((len(results), 1))
    for factor in factors:
        codes, names = pd.factorize(results[factor], sort=True)
        coding = np.vstack([np.eye(len(names) - 1), -np.ones(len(names) - 1)])
        columns = (columns[:, :, None] * coding[codes][:, None, :]).reshape(len(results), -1)
    return columns


def _residual(basis: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Residual sums of squares of [N, B] values on an orthonormal basis [N, P]."""
    return np.asarray((values**2).sum(axis=0) - ((basis.T @ values) ** 2).sum(axis=0))


def _omega(sums: dict[str, np.ndarray], free: dict[str, int], error: np.ndarray, total: np.ndarray, rest: int) -> dict:
    noise = error / rest
    return {name: (sums[name] - free[name] * noise) / (total + noise) for name in sums}


def _checked(results: pd.DataFrame, factors: Sequence[str], value: str) -> np.ndarray:
    """The values of a results table that can be analysed."""
    if missing := [name for name in (*factors, value) if name not in results]:
        raise VerdictError(f"results lack the column(s) {', '.join(missing)}; found {list(results)}")
    y = results[value].to_numpy(dtype=float)
    if not len(y) or not np.isfinite(y).all() or results[list(factors)].isna().any(axis=None):
        raise VerdictError(f"results must be non-empty and {value} finite in every row, without gaps in the factors")
    for factor in factors:
        if results[factor].nunique() < 2:
            raise VerdictError(
                f"factor {factor!r} has one level only ('{results[factor].iloc[0]}'): nothing to compare"
            )
    if np.ptp(y) == 0:
        raise VerdictError(f"{value} is the same in every run: there is no variance to share out")
    return y


def _together(results: pd.DataFrame, factors: Sequence[str], blocks: str | None) -> np.ndarray:
    """Row numbers [B, M] of what is resampled together, each condition in its own column; without blocks M is 1."""
    if blocks is None:
        return np.arange(len(results))[:, None]
    order = results.reset_index(drop=True).sort_values([blocks, *factors], kind="stable")
    conditions = [tuple(map(tuple, own.to_numpy())) for _, own in order.groupby(blocks, sort=True)[list(factors)]]
    if len(set(conditions)) > 1:
        raise VerdictError(f"every {blocks} must have each condition equally often, or nothing can be exchanged")
    return order.index.to_numpy().reshape(len(conditions), -1)


def variance_shares(
    results: pd.DataFrame,
    factors: Sequence[str],
    value: str = "value",
    interactions: bool = False,
    blocks: str | None = None,
    n: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Analysis of variance of a results table with fixed factors.

    Args:
        results: one row per run (for example per size, objective, source and seed).
        factors: columns that name the conditions.  value: column with the result.
        interactions: also each pair of factors ("a:b"); without them they are part of the residual.
        blocks: column of what shares its luck, such as the seed: all rows of one are resampled together. Each must
            have every condition equally often.
        n: resamples of the interval.  seed: of the resampling.

    Returns:
        DataFrame indexed by source ("residual" last): df, sum_of_squares, eta2 (share of the total, biased upwards),
        omega2 (corrected for what noise alone would explain; can be below 0), low, high (95 % interval of omega2:
        residual bootstrap, shifted by the bias it shows). In an unbalanced table the sums of squares are those of a
        factor after all the others (type II without interactions) and need not add up to the total.

    Raises:
        VerdictError: for a missing column, a value that is not finite, a factor with one level only, conditions that
            cannot be told apart (one factor always moves with another), or no runs left to estimate the noise.

    Source: Hays, Statistics for Psychologists (1963) for omega^2; Olejnik and Algina, Psychological Methods 8, 2003.
    """
    y = _checked(results, factors, value)
    terms = {name: _effects(results, [name]) for name in factors}
    if interactions:
        terms |= {f"{a}:{b}": _effects(results, [a, b]) for a, b in combinations(factors, 2)}
    design = np.hstack([np.ones((len(y), 1)), *terms.values()])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise VerdictError(f"the conditions of {', '.join(terms)} cannot be told apart: some never vary on their own")
    rest = len(y) - design.shape[1]
    if rest < 1:
        raise VerdictError(f"{len(y)} runs leave none to estimate the noise: add seeds")
    whole = np.linalg.qr(design)[0]
    others = {
        name: np.linalg.qr(np.hstack([np.ones((len(y), 1)), *(c for t, c in terms.items() if t != name)]))[0]
        for name in terms
    }
    free = {name: columns.shape[1] for name, columns in terms.items()}

    def parts(values: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        centred = values - values.mean(axis=0)
        error = _residual(whole, centred)
        return {t: _residual(b, centred) - error for t, b in others.items()}, error, (centred**2).sum(axis=0)

    sums, error, total = parts(y[:, None])
    fitted = whole @ (whole.T @ y)
    noise = (y - fitted) * np.sqrt(len(y) / rest)  # residuals are smaller than errors by the fitted parameters
    rows = _together(results, factors, blocks)
    rng = np.random.default_rng(seed)
    picked = rows[rng.integers(len(rows), size=(n, len(rows)))].reshape(n, -1)
    redrawn = np.empty((len(y), n))
    redrawn[rows.ravel()] = noise[picked].T
    drawn = parts(fitted[:, None] + redrawn)
    omega = _omega(sums, free, error, total, rest)
    draws = _omega(drawn[0], free, drawn[1], drawn[2], rest)
    table = []
    for name in terms:
        # In the bootstrap world the true share is that of `fitted`; what the draws differ from it is the error.
        truth = sums[name][0] / (total[0] - error[0] + error[0] * len(y) / rest)
        low, high = omega[name][0] + np.percentile(draws[name] - truth, [2.5, 97.5])
        table.append((name, free[name], sums[name][0], sums[name][0] / total[0], omega[name][0], low, high))
    table.append(("residual", rest, error[0], error[0] / total[0], np.nan, np.nan, np.nan))
    names = ["source", "df", "sum_of_squares", "eta2", "omega2", "low", "high"]
    return pd.DataFrame(table, columns=names).set_index("source")

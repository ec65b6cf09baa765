"""Retrieval-augmented few-shot prediction: the labels of the most similar examples are the predictor's context.

The published form puts three retrieved examples before a vision-language model's question. Without such a model, the
predictor here is the vote of the retrieved labels, weighted by similarity: it has nothing but its context.
Sources: Sundaram et al., NeurIPS 2024, section 4; weights: Dudani, IEEE Trans. SMC 6(4), 1976.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from percept.evaluation.scores import TaskScore, score
from percept.evaluation.tasks.counting import neighbours

EXAMPLES = 3


def vote(x: Any, labels: Any, test: Any, k: int = EXAMPLES) -> np.ndarray:
    """Class by a vote of the k nearest examples.

    The i-th weighs (s_i - s) / (s_1 - s), where s is the similarity of the (k+1)-th: free of an encoder's own spread of
    similarities. If all are equally similar, they weigh the same; of equal classes the nearest example's wins.

    Args:
        x: [N, D] examples, N > k.
        labels: int [N].
        test: [M, D].
        k: number of examples.

    Returns:
        int64 [M].
    """
    rows, similarity = neighbours(x, test, k + 1)
    gaps = similarity[:, :k] - similarity[:, k:]
    weights = np.where(gaps[:, :1] > 0, gaps / np.where(gaps[:, :1] > 0, gaps[:, :1], 1), 1.0)
    near = np.asarray(labels)[rows[:, :k]]
    support = ((near[:, :, None] == near[:, None, :]) * weights[:, None, :]).sum(2)
    return np.asarray(np.take_along_axis(near, support.argmax(1)[:, None], 1)[:, 0])


def augmented_score(
    name: str, x: Any, labels: Any, test: Any, truth: Any, *, k: int = EXAMPLES, context: int | None = None,
    blind: float = 0.0,
) -> TaskScore:  # fmt: skip
    """Accuracy with k retrieved of the first ``context`` examples (all unless given).

    Args:
        name: of the task; "augmented " goes before it.
        x, labels, test, k: as in `vote`.
        truth: int [M].
        context: number of examples.
        blind: accuracy of another rule that does not look at the picture.

    Raises:
        ValueError: if the context does not hold more than k examples.
    """
    from percept.evaluation.tasks.classification import majority

    pool = slice(0, context)
    right = vote(x[pool], np.asarray(labels)[pool], test, k) == np.asarray(truth)
    common = majority(np.asarray(labels)[pool], truth)
    rule = "covered area" if blind > common else "commonest class"
    note = f"{k} of {len(x[pool])} examples retrieved; blind: {rule}"
    return score(f"augmented {name}", "augmented", right, max(blind, common), note=note)


def augmented_sweep(
    name: str,
    x: Any,
    labels: Any,
    test: Any,
    truth: Any,
    ks: Sequence[int] = (1, 3, 5, 10),
    contexts: Sequence[int] = (50, 100, 200, 400),
) -> dict[tuple[int, int], TaskScore]:
    """`augmented_score` for each (context, k) that the examples allow."""
    usable = [(context, k) for context in contexts for k in ks if k < context <= len(x)]
    return {(context, k): augmented_score(name, x, labels, test, truth, k=k, context=context) for context, k in usable}

"""Retrieval by score matrix: ranks, recall and chance level. Scores may have any sign.

Shapes: Q queries, N gallery items, I images, T texts, D embedding width.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from scipy.sparse import csr_matrix

from percept.evaluation.arrays import matrix, to_numpy, unit_rows

Ties = Literal["strict", "lenient"]
# Two float32 dot products of unit vectors that should be equal may differ by this much.
ROUNDING = 1e-6


def _relevance(relevant: Any, shape: tuple[int, int]) -> np.ndarray:
    array = to_numpy(relevant)
    queries, items = shape
    if array.ndim == 1 and np.issubdtype(array.dtype, np.integer):
        if array.size != queries:
            raise ValueError(f"relevant has {array.size} entries for {queries} queries")
        bad = np.flatnonzero((array < 0) | (array >= items))
        if bad.size:
            raise ValueError(f"relevant[{bad[0]}] = {array[bad[0]]} is no gallery index (0..{items - 1})")
        mask = np.zeros(shape, dtype=bool)
        mask[np.arange(queries), array] = True
        return mask
    if array.shape != shape:
        raise ValueError(f"relevant must be int [{queries}] or bool {list(shape)}, got shape {array.shape}")
    if array.dtype != bool and not np.isin(array, (0, 1)).all():
        raise ValueError("relevant must hold only True/False (or 0/1)")
    return array.astype(bool)


def relevant_ranks(similarity: Any, relevant: Any, *, ties: Ties = "strict", tolerance: float = 0.0) -> np.ndarray:
    """Rank (1 = first) of the best relevant item of each query.

    Relevant items never push each other down: the rank is 1 + the number of *irrelevant* items ahead of the
    best relevant one. Items with an equal score are ahead under "strict" ties and behind under "lenient", so
    under the strict rule a constant scorer earns no hit that it could have lost.

    Args:
        similarity: [Q, N] scores, larger = nearer, any sign; -inf takes an item (the query itself) out.
        relevant: int [Q] (index of the one relevant item) or bool [Q, N].
        ties: "strict" (default) or "lenient".
        tolerance: scores closer than this count as equal.

    Returns:
        int64 [Q].

    Raises:
        ValueError: for NaN scores, shapes that do not fit, or a query without any relevant item.

    Example:
        >>> relevant_ranks([[0.9, 0.5, 0.5], [0.1, 0.2, 0.3]], [1, 2]).tolist()
        [3, 1]
    """
    if ties not in ("strict", "lenient"):
        raise ValueError(f"ties must be 'strict' or 'lenient', got {ties!r}")
    scores = matrix(similarity, "similarity", infinite=True)
    mask = _relevance(relevant, (scores.shape[0], scores.shape[1]))
    empty = np.flatnonzero(~mask.any(axis=1))
    if empty.size:
        raise ValueError(f"query {empty[0]} has no relevant item ({empty.size} such): drop it, it can never be a hit")
    best = np.where(mask, scores, -np.inf).max(axis=1, keepdims=True)
    ahead = scores >= best - tolerance if ties == "strict" else scores > best + tolerance
    return np.asarray(1 + (ahead & ~mask).sum(axis=1), dtype=np.int64)


def recall_at_k(similarity: Any, relevant: Any, k: int, *, ties: Ties = "strict") -> float:
    """Share (0..1) of queries with at least one relevant item among the first k.

    Args:
        similarity: [Q, N] scores, larger = nearer; negative scores are as good as positive ones.
        relevant: int [Q] (index of the one relevant item) or bool [Q, N].
        k: 1 or more; k >= N always hits.
        ties: "strict" (default): an irrelevant item with an equal score comes first; "lenient": last.

    Example:
        >>> recall_at_k([[0.9, 0.5, 0.4], [-0.1, -0.2, -0.3]], [1, 0], k=1)
        0.5
    """
    if int(k) != k or k < 1:
        raise ValueError(f"k must be a whole number of at least 1, got {k}")
    return float(np.mean(relevant_ranks(similarity, relevant, ties=ties) <= k))


def chance_recall(relevant_counts: Any, items: int, k: int) -> float:
    """Expected recall at k of a random ordering, averaged over queries (hypergeometric).

    Args:
        relevant_counts: [Q] number of relevant items per query.  items: gallery size N.

    Example:
        >>> chance_recall([2, 2], items=4, k=1)
        0.5
    """
    counts = to_numpy(relevant_counts).astype(np.float64)
    missed = np.ones_like(counts)
    for drawn in range(min(k, items)):
        missed *= np.clip(items - counts - drawn, 0, None) / (items - drawn)
    return float(np.mean(1 - missed))


def _pairs(image_of_text: Any, images: int, texts: Sequence[str] | None, count: int) -> csr_matrix:
    """Sparse [I, T] truth; with the strings given, equal captions are right for all images that bear them."""
    owner = to_numpy(image_of_text)
    if owner.shape != (count,) or not np.issubdtype(owner.dtype, np.integer):
        raise ValueError(f"image_of_text must be int [{count}] (one image per text), got {owner.shape}")
    if owner.min() < 0 or owner.max() >= images:
        raise ValueError(f"image_of_text must lie in 0..{images - 1}, got {owner.min()}..{owner.max()}")
    truth = csr_matrix((np.ones(count, dtype=np.int32), (owner, np.arange(count))), shape=(images, count))
    if texts is None:
        return truth
    if len(texts) != count:
        raise ValueError(f"texts has {len(texts)} strings for {count} text embeddings")
    _, group = np.unique(np.asarray(texts, dtype=object).astype(str), return_inverse=True)
    to_group = csr_matrix((np.ones(count, dtype=np.int32), (np.arange(count), group)))
    return csr_matrix(truth @ to_group @ to_group.T)


def _direction(queries: np.ndarray, gallery: np.ndarray, truth: csr_matrix, chunk: int) -> np.ndarray:
    ranks = [
        relevant_ranks(
            queries[start : start + chunk] @ gallery.T, truth[start : start + chunk].toarray() > 0, tolerance=ROUNDING
        )
        for start in range(0, queries.shape[0], chunk)
    ]
    return np.concatenate(ranks)


def image_text_retrieval(
    image_embeddings: Any,
    text_embeddings: Any,
    image_of_text: Any,
    *,
    texts: Sequence[str] | None = None,
    ks: Sequence[int] = (1, 5, 10),
    chunk: int = 512,
) -> dict[str, Any]:
    """Recall in both directions on image-caption data (several captions per image allowed).

    Args:
        image_embeddings: [I, D].  text_embeddings: [T, D] (both are scaled to unit rows here).
        image_of_text: int [T] image that each caption describes; every image needs at least one caption.
        texts: the caption strings. When given, an image that bears the very same sentence counts as right too; without
            them a duplicate sentence is a tie, which the strict rule counts as a miss.
        chunk: queries scored at a time (memory is chunk x gallery).

    Returns:
        dict with `image_retrieval_recall@k` (a text finds its image), `text_retrieval_recall@k` (an image
        finds one of its texts), `..._chance@k`, `..._median_rank`, `n_images`, `n_texts`, and the per-query
        ranks `image_retrieval_ranks` [T], `text_retrieval_ranks` [I]: `ranks <= k` goes into
        `bootstrap_interval` (for text queries with `groups=image_of_text`). Ties are strict.
    """
    images, sentences = unit_rows(image_embeddings, "image_embeddings"), unit_rows(text_embeddings, "texts")
    if images.shape[1] != sentences.shape[1]:
        raise ValueError(f"widths differ: images {images.shape[1]}, texts {sentences.shape[1]}")
    truth = _pairs(image_of_text, images.shape[0], texts, sentences.shape[0])
    result: dict[str, Any] = {"n_images": images.shape[0], "n_texts": sentences.shape[0]}
    directions = {
        "image_retrieval": (sentences, images, csr_matrix(truth.T)),
        "text_retrieval": (images, sentences, truth),
    }
    for name, (queries, gallery, relevant) in directions.items():
        ranks = _direction(queries, gallery, relevant, chunk)
        result[f"{name}_ranks"] = ranks
        result[f"{name}_median_rank"] = float(np.median(ranks))
        for k in ks:
            result[f"{name}_recall@{k}"] = float(np.mean(ranks <= k))
            result[f"{name}_chance@{k}"] = chance_recall(relevant.getnnz(axis=1), gallery.shape[0], k)
    return result

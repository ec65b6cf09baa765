"""Zero-shot classification: sentences become class weights, images are compared with them.

Shapes: N images, C classes, P templates, D embedding width. An encoder is anything with
`encode_texts(list[str]) -> [M, D]`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from percept.evaluation.arrays import class_labels, matrix, unit_rows
from percept.evaluation.retrieval import ROUNDING, relevant_ranks
from percept.evaluation.statistics import Interval, shuffled_control

Template = str | Callable[[str], str]


class TextEncoder(Protocol):
    """What zero-shot needs of an encoder."""

    def encode_texts(self, texts: list[str], /) -> Any:
        """Return [M, D] embeddings of M strings."""


def fill(template: Template, name: str) -> str:
    """Put a class name into a template: "{}" or "{c}" in a string, or a function of the name.

    Example:
        >>> fill("a photo of a {}.", "cat")
        'a photo of a cat.'
    """
    if callable(template):
        return template(name)
    if "{}" not in template and "{c}" not in template:
        raise ValueError(f"template {template!r} has no {{}} for the class name")
    return template.replace("{}", name).replace("{c}", name)


def prompt_weights(encoder: TextEncoder, prompts: Sequence[Sequence[str]]) -> np.ndarray:
    """Weights from whole sentences, several per class: embed each, unit length, average, unit length again.

    Args:
        prompts: C lists of sentences (the lists may differ in length).

    Returns:
        float32 [C, D] unit rows.
    """
    if isinstance(prompts, str) or any(isinstance(sentences, str) for sentences in prompts):
        raise ValueError("prompts must be a list of sentence lists, one list per class")
    for index, sentences in enumerate(prompts):
        if not sentences or not all(sentences):
            raise ValueError(f"class {index} has no sentence, or an empty one")
    unique = list(dict.fromkeys(text for sentences in prompts for text in sentences))
    if not unique:
        raise ValueError("no classes given")
    row = {text: index for index, text in enumerate(unique)}
    embedded = unit_rows(encoder.encode_texts(unique), "text embeddings").astype(np.float64)
    means = np.stack([embedded[[row[text] for text in sentences]].mean(axis=0) for sentences in prompts])
    return unit_rows(means, "averaged class weights").astype(np.float32)


def class_weights(encoder: TextEncoder, names: Sequence[str], templates: Sequence[Template]) -> np.ndarray:
    """Template ensemble: each filled template is embedded, scaled to unit length, averaged, scaled again.

    Args:
        names: C class names.
        templates: P templates, "{}" (or "{c}") where the name goes, or functions of the name.

    Returns:
        float32 [C, D] unit rows.

    Raises:
        ValueError: for an empty list, an empty name, or a template without a place for the name.

    Source: Radford et al. 2021 (CLIP), section 3.1.4.
    """
    if isinstance(names, str) or isinstance(templates, str):
        raise ValueError("names and templates must be lists of strings, not one string")
    if not len(templates):
        raise ValueError("at least one template is needed; use ['{}'] for the bare name")
    empty = [index for index, name in enumerate(names) if not name]
    if empty:
        raise ValueError(f"class name {empty[0]} is empty")
    return prompt_weights(encoder, [[fill(template, name) for template in templates] for name in names])


def _scores(image_embeddings: Any, weights: Any) -> np.ndarray:
    images, classes = unit_rows(image_embeddings, "image_embeddings"), matrix(weights, "weights")
    if images.shape[1] != classes.shape[1]:
        raise ValueError(f"widths differ: images {images.shape[1]}, weights {classes.shape[1]}")
    return np.asarray(images @ classes.T)


def classify(image_embeddings: Any, weights: Any) -> np.ndarray:
    """Return the index of the best class for each image, int64 [N] (the first of equal ones)."""
    return np.asarray(_scores(image_embeddings, weights).argmax(axis=1), dtype=np.int64)


def mean_per_class(values: Any, labels: Any) -> float:
    """Mean over the classes present of the class means: balanced accuracy when values are correctness.

    Example:
        >>> mean_per_class([1, 1, 1, 0], [0, 0, 0, 1])
        0.5
    """
    _, index = np.unique(np.asarray(labels), return_inverse=True)
    sums = np.bincount(index, weights=np.asarray(values, dtype=np.float64))
    return float(np.mean(sums / np.bincount(index)))


def zero_shot_accuracy(image_embeddings: Any, weights: Any, labels: Any) -> dict[str, Any]:
    """Accuracy of images against class weights, with the arrays that intervals need.

    Args:
        image_embeddings: [N, D].  weights: [C, D] from `class_weights`.  labels: int [N] in 0..C-1.

    Returns:
        dict with `acc1`, `acc5` (1.0 by definition when C <= 5), `mean_per_class_recall` over classes
        present, `chance` = 1/C, `majority` = share of the commonest class in `labels`, `n`, and the arrays
        `correct` (bool [N]), `rank` (int [N], of the true class), `predictions` (int [N]). A true class that
        ties with another counts as wrong, so a constant encoder scores 0 and not a lucky share.

    Example:
        >>> zero_shot_accuracy([[1.0, 0.1], [0.1, 1.0]], [[1.0, 0.0], [0.0, 1.0]], [0, 0])["acc1"]
        0.5
    """
    scores = _scores(image_embeddings, weights)
    truth = class_labels(labels, scores.shape[0], scores.shape[1])
    rank = relevant_ranks(scores, truth, tolerance=ROUNDING)
    correct = rank == 1
    return {
        "acc1": float(correct.mean()),
        "acc5": float((rank <= 5).mean()),
        "mean_per_class_recall": mean_per_class(correct, truth),
        "chance": 1 / scores.shape[1],
        "majority": float(np.bincount(truth).max() / truth.size),
        "n": int(truth.size),
        "correct": correct,
        "rank": rank,
        "predictions": np.asarray(scores.argmax(axis=1), dtype=np.int64),
    }


def shuffled_accuracy(predictions: Any, labels: Any, n: int = 200, seed: int = 0) -> Interval:
    """Negative control of a classifier: its fixed answers scored against shuffled labels."""
    answers = np.asarray(predictions)
    truth = class_labels(labels, answers.shape[0])
    return shuffled_control(lambda mixed: float(np.mean(answers == mixed)), truth, n=n, seed=seed)


def confused_pairs(labels: Any, predictions: Any, top: int = 10) -> list[dict[str, Any]]:
    """List the commonest mistakes, by share of the true class, ties by count.

    Returns:
        At most `top` dicts with `true`, `predicted` (class indices), `count`, `of` (images of the true
        class) and `share` = count / of.

    Example:
        >>> confused_pairs([0, 0, 1], [1, 0, 1])
        [{'true': 0, 'predicted': 1, 'count': 1, 'of': 2, 'share': 0.5}]
    """
    answers = np.asarray(predictions)
    truth = class_labels(labels, answers.shape[0])
    sizes = dict(zip(*(part.tolist() for part in np.unique(truth, return_counts=True)), strict=True))
    wrong = truth != answers
    pairs, counts = np.unique(np.stack([truth[wrong], answers[wrong]], axis=1), axis=0, return_counts=True)
    found = [
        {"true": int(t), "predicted": int(p), "count": int(c), "of": sizes[int(t)], "share": int(c) / sizes[int(t)]}
        for (t, p), c in zip(pairs, counts, strict=True)
    ]
    return sorted(found, key=lambda row: (-row["share"], -row["count"], row["true"], row["predicted"]))[:top]

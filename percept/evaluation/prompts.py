"""How much do the words matter? Spread over templates, bias of extra words, vocabularies, new categories."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from percept.evaluation.arrays import class_labels, matrix, to_numpy
from percept.evaluation.statistics import Interval, bootstrap_interval, paired_difference, wilson_interval
from percept.evaluation.zero_shot import Template, TextEncoder, class_weights, classify, zero_shot_accuracy


def prompt_spread(
    encoder: TextEncoder, image_embeddings: Any, labels: Any, names: Sequence[str], templates: Sequence[str]
) -> dict[str, Any]:
    """Accuracy of every single template beside the ensemble of all of them.

    Args:
        image_embeddings: [N, D].  labels: int [N].  names: C class names.  templates: P different strings with "{}".

    Returns:
        dict with `per_template` {template: Interval}, `ensemble` (Interval), `best`, `worst` (templates;
        picked on these very items, so `best` flatters itself), `range` (best minus worst accuracy),
        `ensemble_gain` (Interval, ensemble minus the mean single template, paired by item), and the arrays
        `correct` (bool [P, N]) and `ensemble_correct` (bool [N]).
    """
    if len(set(templates)) != len(templates) or not templates:
        raise ValueError("templates must be a non-empty list of different strings")
    rows = [
        zero_shot_accuracy(image_embeddings, class_weights(encoder, names, [template]), labels)["correct"]
        for template in templates
    ]
    correct = np.stack(rows)
    ensemble = zero_shot_accuracy(image_embeddings, class_weights(encoder, names, templates), labels)["correct"]
    means = correct.mean(axis=1)
    return {
        "per_template": {t: wilson_interval(row) for t, row in zip(templates, correct, strict=True)},
        "ensemble": wilson_interval(ensemble),
        "best": templates[int(means.argmax())],
        "worst": templates[int(means.argmin())],
        "range": float(means.max() - means.min()),
        "ensemble_gain": paired_difference(ensemble, correct.mean(axis=0)),
        "correct": correct,
        "ensemble_correct": ensemble,
    }


def prompt_bias(
    encoder: TextEncoder,
    image_embeddings: Any,
    labels: Any,
    names: Sequence[str],
    base: str,
    worded: Sequence[str],
    neutral: Sequence[str],
    groups: Any = None,
) -> list[dict[str, Any]]:
    """Does a word that should not matter change the answer?

    Every template puts the same extra words into all classes' prompts, so a fair classifier keeps its
    answers. Any rewording changes some; `neutral` templates of similar length show how many.

    Args:
        image_embeddings: [N, D].  labels: int [N].  names: C class names.
        base: the plain template, e.g. "a picture of a {}".
        worded: templates with a group or background word, e.g. "a picture of a {} in the snow".
        neutral: control templates, e.g. "a nice picture of a {}".
        groups: optional [N] group of each image (its background, say): adds the changed answers apart.

    Returns:
        One dict per template: `template`, `kind` ("word" or "neutral"), `changed` (Interval: share of changed answers),
        `accuracy` (Interval), `accuracy_change` (Interval, against base, paired), `excess` (Interval: changed answers
        beyond the mean of the neutral templates, paired by image), and with groups `by_group` {group: Interval}. A
        neutral template is compared with the *other* neutral ones; where it is the only one, its row has no `excess`.

    Raises:
        ValueError: when a worded or a neutral template is missing, or a template (base included) comes twice.
    """
    if not neutral or not worded:
        raise ValueError("give at least one worded and one neutral template: the control is part of the check")
    if len({base, *worded, *neutral}) < 1 + len(worded) + len(neutral):
        raise ValueError("base, worded and neutral templates must all differ")

    def answers(template: Template) -> tuple[np.ndarray, np.ndarray]:
        weights = class_weights(encoder, names, [template])
        return classify(image_embeddings, weights), zero_shot_accuracy(image_embeddings, weights, labels)["correct"]

    plain, plain_correct = answers(base)
    found = {template: answers(template) for template in (*worded, *neutral)}
    rows = []
    for template in (*worded, *neutral):
        answer, correct = found[template]
        changed = answer != plain
        row: dict[str, Any] = {
            "template": template,
            "kind": "word" if template in worded else "neutral",
            "changed": wilson_interval(changed),
            "accuracy": wilson_interval(correct),
            "accuracy_change": paired_difference(correct, plain_correct),
        }
        controls = [found[control][0] != plain for control in neutral if control != template]
        if controls:
            row["excess"] = paired_difference(changed, np.mean(controls, axis=0))
        if groups is not None:
            row["by_group"] = _by_group(changed, to_numpy(groups))
        rows.append(row)
    return rows


def _by_group(values: np.ndarray, groups: np.ndarray) -> dict[Any, Interval]:
    if groups.shape != values.shape:
        raise ValueError(f"groups must have shape {values.shape}, got {groups.shape}")
    return {group.item(): wilson_interval(values[groups == group]) for group in np.unique(groups)}


def compare_vocabularies(
    encoder: TextEncoder,
    image_embeddings: Any,
    labels: Any,
    vocabularies: Mapping[str, tuple[Sequence[str], Sequence[str]]],
) -> dict[str, dict[str, Any]]:
    """Zero-shot accuracy of the same images under several wordings: English or Japanese, plain or shop-floor.

    Args:
        vocabularies: {title: (C class names, templates)}, class order the same in each. The first is the reference.

    Returns:
        {title: dict of `zero_shot_accuracy` plus `interval` (Wilson) and `difference` (Interval: this minus
        the reference, paired by image)}.
    """
    sizes = {title: len(names) for title, (names, _) in vocabularies.items()}
    if len(set(sizes.values())) != 1:
        raise ValueError(f"every vocabulary must name the same classes in the same order; sizes are {sizes}")
    results: dict[str, dict[str, Any]] = {}
    reference: np.ndarray | None = None
    for title, (names, templates) in vocabularies.items():
        result = zero_shot_accuracy(image_embeddings, class_weights(encoder, names, templates), labels)
        reference = result["correct"] if reference is None else reference
        result["interval"] = wilson_interval(result["correct"])
        result["difference"] = paired_difference(result["correct"], reference)
        results[title] = result
    return results


def add_category(image_embeddings: Any, labels: Any, weights: Any, new: int | Sequence[int]) -> dict[str, Any]:
    """What adding a category by a sentence gives, and what it costs the categories already there.

    The classifier without the rows `new` of `weights` is compared with the full one. No image is learned from.

    Args:
        image_embeddings: [N, D] images of old and new classes.  labels: int [N] in 0..C-1.
        weights: [C, D], new rows included (`class_weights`, or `prompt_weights` of the describing sentences).
        new: index or indices of the added classes.

    Returns:
        dict of Intervals: `old_before`, `old_after` (accuracy on old-class images), `old_change` (paired),
        `new_recall`, `new_precision` (absent when nothing was called new), `stolen` (share of old-class
        images that were right before and are called new after), `all_after`; and `new_chance` = 1/C.
    """
    table = matrix(weights, "weights")
    added = np.unique(np.atleast_1d(np.asarray(new, dtype=np.int64)))
    if added.size == 0 or added.min() < 0 or added.max() >= table.shape[0] or added.size >= table.shape[0]:
        raise ValueError(f"new must name some, not all, of the {table.shape[0]} classes, got {added.tolist()}")
    truth = class_labels(labels, len(image_embeddings), table.shape[0])
    is_new = np.isin(truth, added)
    if is_new.all() or not is_new.any():
        raise ValueError("images of both old and new classes are needed")
    old = np.setdiff1d(np.arange(table.shape[0]), added)
    kept = to_numpy(image_embeddings)[~is_new]
    before = zero_shot_accuracy(kept, table[old], np.searchsorted(old, truth[~is_new]))["correct"]
    full = zero_shot_accuracy(image_embeddings, table, truth)
    after, called_new = full["correct"], np.isin(full["predictions"], added)
    result: dict[str, Any] = {
        "old_before": wilson_interval(before),
        "old_after": wilson_interval(after[~is_new]),
        "old_change": paired_difference(after[~is_new], before),
        "new_recall": wilson_interval(after[is_new]),
        "stolen": wilson_interval(before & called_new[~is_new]),
        "all_after": bootstrap_interval(after),
        "new_chance": 1 / table.shape[0],
    }
    if called_new.any():
        result["new_precision"] = wilson_interval(after[called_new])
    return result

"""`percept bench probes`: the batched evaluator of probe sets, beside scoring one pair at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from percept.benchmarks.pretrain import in_turn, now
from percept.data.probe_set import ProbeSet
from percept.evaluation.probes import CosineScorer, evaluate
from percept.models.encoders import Encoder, load_encoder


def run(
    *, encoder: str = "percept-tiny", items: int = 1000, shared: int = 8, plain_pairs: int = 40, rounds: int = 3,
    device: str = "cpu",
) -> list[dict[str, Any]]:  # fmt: skip
    """Time `evaluate` (scores, table and intervals; no controls) on items of one picture and two sentences.

    Two sets are timed: one in which `shared` items have a picture in common, and one of an eighth as many items that
    have a picture each; in both a sentence stands in several items. Ours starts with nothing remembered. The other
    side encodes the picture and the sentence of one pair after the other with the same encoder, precision and
    threads, pictures in memory on both sides; its speed is that of the first pairs.

    Args:
        encoder: for `load_encoder`; random weights where a name has none ("ViT-B-32").
        items: of the first set; each asks for two pairs.
        shared: items per picture of the first set.
        plain_pairs: pairs that the plain loop scores.
        rounds: repetitions in turn; medians are reported.
        device: where.

    Returns:
        Rows with pairs per second, medians of the ratios of neighbouring rounds (above 1 is faster than plain), and
        the largest difference between the scores of the two sides.
    """
    shipped = encoder in ("percept-tiny", "efficientnet-lite0") or Path(encoder).is_dir()
    tested = load_encoder(encoder, None if shipped else "random", device=device, precision="fp32")
    rows = []
    for name, count, per_picture in (("shared_pictures", items, shared), ("own_pictures", -(-items // 8), 1)):
        probes = _probes(tested, count, per_picture)
        sides: list[Callable[[], float]] = [
            partial(_evaluated, tested, probes),
            partial(_one_by_one, tested, probes, plain_pairs),
        ]
        _evaluated(tested, _probes(tested, 32, 1))  # warm
        ours, plain = in_turn(sides, rounds)
        note = (
            f"{encoder}, {count} items, {len(probes.pictures)} pictures, {len(probes.sentences)} sentences, "
            f"{tested.device}, {tested.precision}, {torch.get_num_threads()} threads, median of {rounds}"
        )
        rows.append(_row(f"{name}_pairs_per_second", median(ours), "pairs/s", note))
        rows.append(_row(f"{name}_plain_pairs_per_second", median(plain), "pairs/s", f"first {plain_pairs} pairs"))
        ratio = median(first / second for first, second in zip(ours, plain, strict=True))
        rows.append(_row(f"{name}_to_plain_ratio", ratio, "", "above 1 is faster than one pair at a time"))
    apart = np.abs(_scores(tested, probes)[:plain_pairs] - _plain(tested, probes, plain_pairs)).max()
    return [*rows, _row("largest_difference", float(apart), "", "of cosines")]


def _probes(tested: Encoder, items: int, per_picture: int) -> ProbeSet:
    rng = np.random.default_rng(0)
    things, places = ("dog", "cat", "bird", "boat", "chair", "woman"), ("under", "behind", "beside", "above")
    sentences = [f"a {one} {where} a {two}" for one in things for where in places for two in things]
    pictures = rng.integers(0, 256, (-(-items // per_picture), *tested.preprocess.size, 3), dtype=np.uint8)
    sentence = np.stack([rng.choice(len(sentences), 2, replace=False) for _ in range(items)])
    return ProbeSet("random", pictures, sentences, (np.arange(items) // per_picture)[:, None], sentence)


def _scores(tested: Encoder, probes: ProbeSet) -> np.ndarray:
    return evaluate(CosineScorer(tested), probes, control=False, text_only=False).scores.ravel()


def _evaluated(tested: Encoder, probes: ProbeSet) -> float:
    started = now(tested.device)
    count = _scores(tested, probes).size
    return count / (now(tested.device) - started)


def _plain(tested: Encoder, probes: ProbeSet, pairs: int) -> np.ndarray:
    """One forward pass for the picture and one for the sentence of every pair."""
    asked = [(row[0], sentence) for row, both in zip(probes.picture, probes.sentence, strict=True) for sentence in both]
    values = []
    for picture, sentence in asked[:pairs]:
        image = tested.encode_images([probes.pictures[picture]])
        values.append(float((image * tested.encode_texts([probes.sentences[sentence]])).sum()))
    return np.array(values)


def _one_by_one(tested: Encoder, probes: ProbeSet, pairs: int) -> float:
    started = now(tested.device)
    count = len(_plain(tested, probes, pairs))
    return count / (now(tested.device) - started)


def _row(name: str, value: float, unit: str, note: str) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "note": note}

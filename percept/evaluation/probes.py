"""One evaluator for every probe set: anything that scores pictures against sentences, with its controls beside it.

Shapes: N items, L sentences, K pictures of an item (`percept.data.probe_set`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from percept.data.probe_set import ProbeSet
from percept.evaluation.probe_rules import measures, other_pictures
from percept.evaluation.probe_scores import CosineScorer, Scorer, pair_scores
from percept.evaluation.probe_tables import score_table
from percept.evaluation.retrieval import ROUNDING
from percept.evaluation.statistics import Interval
from percept.evaluation.text_baselines import text_scores

if TYPE_CHECKING:
    import pandas

__all__ = ["CosineScorer", "ProbeResult", "Scorer", "evaluate", "pair_scores"]
SCORER, PERMUTED, MAJORITY = "scorer", "permuted pictures", "majority label"
CHANGED = 0.9  # share of scores that must change with the picture
NO_CONTROL = "no control: too few pictures to give every item others"
NO_CAPTIONS = "no n-gram baseline: pass captions to train it on"
NO_PROBABILITY = (
    "the scores are no probabilities, so there is AUROC but no accuracy at 0.5; calibrate the scorer on other items "
    "(percept.evaluation.probe_calibration)"
)


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """What a scorer reached on a probe set.

    Attributes:
        probes: the set.
        scores: float64 [N, L, K] (item, sentence, picture).
        outcome: {measure: float64 [N] of 0 and 1}, right or wrong item by item, for paired comparisons of scorers
            (`percept.evaluation.paired_difference`): `acc_r`; or `text`, `image`, `group`; or `accuracy`, which only
            probabilities have.
        table: `score_table` of the scorer and of what stands beside it, told apart by its first column `source`:
            "scorer", "permuted pictures", the text-only rules, "majority label".
        changed: share of the scores that differ once every item has other pictures; None without that control.
        notes: what the reader of the figures must know.
    """

    probes: ProbeSet
    scores: np.ndarray
    outcome: Mapping[str, np.ndarray]
    table: pandas.DataFrame
    changed: float | None
    notes: tuple[str, ...]

    def figure(self, measure: str, source: str = SCORER, division: str = "all", group: str = "all") -> Interval:
        """One row of the table; KeyError where there is none."""
        wanted = {"source": source, "measure": measure, "division": division, "group": group}
        rows = self.table[np.all([self.table[name] == value for name, value in wanted.items()], axis=0)]
        if rows.empty:
            raise KeyError(f"{self.probes.name}: the table has no row with {wanted}")
        value, low, high, n = rows.iloc[0][["value", "low", "high", "n"]]
        return Interval(float(value), float(low), float(high), int(n))

    def write_items(self, path: str | Path) -> Path:
        """Write one CSV row per item: id, groups, label, scores, outcomes. The file is whole or absent."""
        import pandas

        from percept.storage import write_atomic

        probes = self.probes
        columns: dict[str, Any] = {"id": list(probes.ids) or np.arange(len(probes)), **probes.groups}
        columns |= {} if probes.label is None else {"label": probes.label.astype(int)}
        _, sentences, pictures = self.scores.shape
        for sentence in range(sentences):
            for picture in range(pictures):
                columns[f"score_sentence{sentence}_picture{picture}"] = self.scores[:, sentence, picture]
        columns |= {f"right_{name}": right.astype(int) for name, right in self.outcome.items()}
        return write_atomic(Path(path), pandas.DataFrame(columns).to_csv(index=False))


def evaluate(
    scorer: Scorer, probes: ProbeSet, *, ties: str = "strict", seed: int = 0, control: bool = True,
    text_only: bool = True, captions: Sequence[str] = (), least: int = 1,
    units: Sequence[Any] | None = None, batch_size: int = 256,
) -> ProbeResult:  # fmt: skip
    """Score the items of a probe set and what stands beside them.

    Every distinct pair of picture and sentence that an item or the control needs is scored once.

    Args:
        scorer: see `Scorer`.
        probes: the set.
        ties: "strict" (equal scores are wrong) or "lenient" (right).
        seed: of permutation and bootstrap.
        control: score the items also with each other's pictures. Scores must change and figures fall to chance, or
            below it where there are two of each: a scorer that likes one of two pictures better with either sentence
            loses such an item, whereas chance is that of four independent scores.
        text_only: add rules that see no picture (shorter and longer sentence, and the likelihood of a trigram model
            if there are captions), and the majority label where there are labels.
        captions: sentences that the trigram model is trained on; not those of the set.
        least, units: as in `score_table`.
        batch_size: pairs per call of the scorer, more where one picture has more of them.

    Returns:
        ProbeResult.

    Raises:
        ValueError: scores of a wrong shape or not finite, probabilities outside 0..1, no item.
    """
    if not len(probes):
        raise ValueError(f"{probes.name}: the set has no items")
    probability = bool(getattr(scorer, "probability", False))
    moved = other_pictures(probes.picture, seed) if control else None
    picture = np.stack([probes.picture] if moved is None else [probes.picture, moved])
    scores = _item_scores(scorer, probes, picture, batch_size)
    sources = {SCORER: (scores[0], probability)}
    if moved is not None:
        sources[PERMUTED] = scores[1], probability
    if text_only:
        sources |= _text_only(probes, captions)
    table = _table(probes, sources, {"ties": ties, "seed": seed, "least": least, "units": units})
    changed = None if moved is None else _changed(scores[0], scores[1])
    found = measures(scores[0], probes.label, probability=probability, ties=ties)
    outcome = {name: measure.items for name, measure in found.items() if measure.tied is not None}
    notes = [*probes.notes, *_control_notes(table, changed)]
    notes += [text for text, true in {
        NO_CONTROL: control and moved is None,
        NO_CAPTIONS: text_only and not len(captions),
        NO_PROBABILITY: probes.label is not None and not probability,
    }.items() if true]  # fmt: skip
    return ProbeResult(probes, scores[0], outcome, table, changed, tuple(notes))


def _item_scores(scorer: Scorer, probes: ProbeSet, picture: np.ndarray, batch_size: int) -> np.ndarray:
    """Scores float64 [S, N, L, K] of the items with S choices of their pictures [S, N, K]."""
    shape = (*picture.shape[:2], probes.sentence.shape[1], picture.shape[2])
    pictures, sentences = (
        np.broadcast_to(rows, shape).ravel() for rows in (picture[:, :, None, :], probes.sentence[None, :, :, None])
    )
    return pair_scores(scorer, probes, pictures, sentences, batch_size).reshape(shape)


def _text_only(probes: ProbeSet, captions: Sequence[str]) -> dict[str, tuple[np.ndarray, bool]]:
    shape = (len(probes), probes.sentence.shape[1], probes.picture.shape[1])
    found = {
        rule: (np.broadcast_to(values[probes.sentence][:, :, None], shape), False)
        for rule, values in text_scores(probes.sentences, captions).items()
    }
    if probes.label is not None:
        found[MAJORITY] = np.full(shape, float(probes.label.mean() >= 0.5)), True
    return found


def _table(
    probes: ProbeSet, sources: Mapping[str, tuple[np.ndarray, bool]], options: Mapping[str, Any]
) -> pandas.DataFrame:
    import pandas

    tables = {
        name: score_table(probes, scores, probability=probability, **options)
        for name, (scores, probability) in sources.items()
    }
    return pandas.concat(tables, names=["source", None]).reset_index(level=0).reset_index(drop=True)


def _changed(scores: np.ndarray, moved: np.ndarray) -> float:
    # The same pair may differ by rounding from one batch to another.
    tolerance = ROUNDING * np.abs([scores, moved]).max()
    return float((np.abs(scores - moved) > tolerance).mean())


def _control_notes(table: pandas.DataFrame, changed: float | None) -> list[str]:
    notes = []
    if changed is not None and changed < CHANGED:
        notes.append(
            f"only {changed:.0%} of the scores change with other pictures: the scorer ignores the picture, or the "
            "pictures are alike"
        )
    control = table[(table["source"] == PERMUTED) & (table["group"] == "all") & (table["measure"] != "accuracy")]
    for row in control.itertuples():
        if row.low > row.chance or (row.high < row.chance and row.measure not in ("text", "image", "group")):
            notes.append(
                f"with other pictures {row.measure} is {row.value:.3f} [{row.low:.3f}, {row.high:.3f}] and not at "
                f"chance ({row.chance:.3f}): the sentences alone, or ties, decide a part of the items"
            )
    return notes

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from percept.data.probe_set import ProbeSet
from percept.evaluation.probe_tables import COLUMNS, score_table
from percept.evaluation.statistics import wilson_interval

INSTRUMENTS = ("existence", "plurals", "counting", "relations")


def probe_set(count, sentences=2, pictures=1, groups=None, label=None, seed=0, shared=False):
    """Items with pictures of their own, or with pictures in common."""
    rng = np.random.default_rng(seed)
    picture = np.arange(count * pictures).reshape(count, pictures)
    if shared:
        picture = picture // 5
    return ProbeSet(
        "made", np.zeros((count * pictures, 2, 2, 3), np.uint8), [f"sentence {row}" for row in range(50)], picture,
        rng.integers(50, size=(count, sentences)), groups or {}, label,
    )  # fmt: skip


def coarse(shape, seed=0, levels=9):
    return np.random.default_rng(seed).integers(levels, size=shape) / (levels - 1)


def cell(table, measure, division="all", group="all"):
    rows = table[(table["measure"] == measure) & (table["division"] == division) & (table["group"] == group)]
    assert len(rows) == 1
    return rows.iloc[0]


def uneven(names, count, seed=0):
    rng = np.random.default_rng(seed)
    return [str(name) for name in rng.choice(names, count, p=np.arange(1, len(names) + 1) / sum(range(len(names) + 1)))]


@pytest.mark.parametrize("ties", ["strict", "lenient"])
def test_valse_micro_and_macro_equal_slow_loops(ties):
    scores, instrument = coarse((400, 2, 1)), uneven(INSTRUMENTS, 400)
    table = score_table(probe_set(400, groups={"instrument": instrument}), scores, probability=True, ties=ties)
    assert list(table) == COLUMNS

    def figures(rows):
        wins = [c > f or (ties == "lenient" and c == f) for c, f in rows]
        p_c = np.mean([c > 1 - c for c, _ in rows])
        p_f = np.mean([1 - f >= f for _, f in rows])
        area = roc_auc_score([1] * len(rows) + [0] * len(rows), [c for c, _ in rows] + [f for _, f in rows])
        return {"acc_r": np.mean(wins), "p_c": p_c, "p_f": p_f, "acc": (p_c + p_f) / 2, "min": min(p_c, p_f),
                "auroc": area}  # fmt: skip

    rows = scores[:, :, 0].tolist()
    by = {name: figures([r for r, i in zip(rows, instrument, strict=True) if i == name]) for name in INSTRUMENTS}
    for measure, value in figures(rows).items():
        assert cell(table, measure).value == pytest.approx(value, abs=1e-12)
        macro = np.mean([by[name][measure] for name in INSTRUMENTS])
        assert cell(table, measure, "instrument", "macro").value == pytest.approx(macro, abs=1e-12)
        for name in INSTRUMENTS:
            assert cell(table, measure, "instrument", name).value == pytest.approx(by[name][measure], abs=1e-12)
    assert abs(cell(table, "acc_r").value - cell(table, "acc_r", "instrument", "macro").value) > 1e-4
    tied = sum(c == f for c, f in rows)
    assert cell(table, "acc_r").ties == tied > 0
    decided = [c > f for c, f in rows if c != f]
    assert cell(table, "acc_r").untied == pytest.approx(np.mean(decided))


def test_vsr_families_majority_and_threshold_equal_slow_loops():
    rng = np.random.default_rng(0)
    names = ("adjacency", "directional", "orientation", "projective", "proximity", "topological", "unallocated")
    label, scores, family = rng.random(500) < 0.6, coarse(500), uneven(names, 500)
    probes = probe_set(500, 1, groups={"family": family}, label=label)
    table = score_table(probes, scores[:, None, None], probability=True)
    right = [(p > 0.5) == y for p, y in zip(scores, label, strict=True)]
    by = [np.mean([r for r, f in zip(right, family, strict=True) if f == name]) for name in names]
    assert cell(table, "accuracy").value == pytest.approx(np.mean(right))
    assert cell(table, "accuracy", "family", "macro").value == pytest.approx(np.mean(by))
    assert cell(table, "auroc").value == pytest.approx(roc_auc_score(label, scores))
    without = score_table(probes, scores[:, None, None])
    assert "accuracy" not in set(without["measure"])
    assert cell(without, "auroc").value == cell(table, "auroc").value


def test_a_group_of_one_label_has_no_auroc_and_is_left_out_of_its_macro():
    label = np.array([True, False] * 10 + [True] * 10)
    probes = probe_set(30, 1, groups={"family": ["mixed"] * 20 + ["true only"] * 10}, label=label)
    table = score_table(probes, coarse((30, 1, 1)))
    assert set(table["group"]) == {"all", "mixed", "macro"}
    assert cell(table, "auroc", "family", "macro").value == cell(table, "auroc", "family", "mixed").value


@pytest.mark.parametrize("ties", ["strict", "lenient"])
def test_aro_macro_leaves_small_pairs_out_and_sugarcrepe_counts_by_file(ties):
    scores = coarse((300, 2, 1), levels=4)
    pair = uneven([f"pair {i}" for i in range(12)], 300)
    table = score_table(probe_set(300, groups={"pair": pair}), scores, ties=ties, least=25)
    right = [a > b or (ties == "lenient" and a == b) for a, b in scores[:, :, 0]]
    sizes = {name: pair.count(name) for name in set(pair)}
    by = {name: np.mean([r for r, p in zip(right, pair, strict=True) if p == name]) for name in sizes}
    large = [name for name, size in sizes.items() if size >= 25]
    assert 0 < len(large) < len(sizes)
    macro = cell(table, "acc_r", "pair", "macro")
    assert macro.value == pytest.approx(np.mean([by[name] for name in large]))
    assert macro.n == sum(sizes[name] for name in large)
    assert cell(table, "acc_r").value == pytest.approx(np.mean(right))
    for name, value in by.items():
        assert cell(table, "acc_r", "pair", name).value == pytest.approx(value)
    none = score_table(probe_set(300, groups={"pair": pair}), scores, least=301)
    assert "macro" not in set(none["group"])


def test_svo_counts_a_pair_once_within_each_part():
    rng = np.random.default_rng(1)
    part = uneven(("subject", "verb", "object"), 200)
    picture = np.stack([rng.choice(8, 2, replace=False) for _ in range(200)])
    sentence = rng.integers(3, size=(200, 1))
    probes = ProbeSet("svo", np.zeros((8, 2, 2, 3), np.uint8), ["a", "b", "c"], picture, sentence, {"part": part})
    decision = rng.random((3, 8))
    scores = decision[sentence, picture][:, None, :]
    table = score_table(probes, scores, probability=True)
    for name in ("all", "subject", "verb", "object"):
        positive, negative = {}, {}
        for row in range(200):
            if name in ("all", part[row]):
                word, (first, second) = sentence[row, 0], picture[row]
                positive[word, first] = decision[word, first] > 0.5
                negative[word, second] = decision[word, second] <= 0.5
        expected = (np.mean(list(positive.values())) + np.mean(list(negative.values()))) / 2
        assert cell(table, "acc", "all" if name == "all" else "part", name).value == pytest.approx(expected)


def test_chance_of_every_shape():
    table = score_table(probe_set(20, 5), coarse((20, 5, 1)))
    assert cell(table, "acc_r").chance == 0.2
    table = score_table(probe_set(20, 2, 2), coarse((20, 2, 2)))
    assert [cell(table, name).chance for name in ("text", "image", "group")] == [0.25, 0.25, 1 / 6]
    table = score_table(probe_set(20, 1, 2), coarse((20, 1, 2)), probability=True)
    assert [cell(table, name).chance for name in ("acc_r", "auroc", "acc")] == [0.5] * 3
    assert np.isnan(cell(table, "p_c").chance)


def test_intervals_are_wilsons_for_items_alone_and_wider_for_items_that_share_pictures():
    rng = np.random.default_rng(0)
    wins = np.repeat(rng.random(40) < 0.6, 5).astype(float)  # the five items of a picture go the same way
    scores = np.stack([wins, np.full(200, 0.5)], axis=1)[:, :, None]
    alone = cell(score_table(probe_set(200), scores), "acc_r")
    assert (alone.low, alone.high) == wilson_interval(wins)[1:3]
    shared = cell(score_table(probe_set(200, shared=True), scores), "acc_r")
    assert (shared.high - shared.low) / (alone.high - alone.low) == pytest.approx(np.sqrt(5), rel=0.15)
    named = cell(score_table(probe_set(200), scores, units=[f"scene {row // 5}" for row in range(200)]), "acc_r")
    assert (named.low, named.high) == pytest.approx((shared.low, shared.high), abs=0.03)
    perfect = cell(score_table(probe_set(200, shared=True), np.tile([1.0, 0.0], (200, 1))[:, :, None]), "acc_r")
    assert (perfect.value, perfect.low) == (1, pytest.approx(wilson_interval(40, 40).low))


def test_macro_interval_agrees_with_a_bootstrap_of_the_macro_mean():
    labels = np.array(["large"] * 360 + ["small"] * 40)
    scores = coarse((400, 2, 1))
    table = score_table(probe_set(400, groups={"instrument": labels.tolist()}), scores)
    found = cell(table, "acc_r", "instrument", "macro")
    wins, rng, draws = scores[:, 0, 0] > scores[:, 1, 0], np.random.default_rng(0), []
    for _ in range(1500):
        rows = rng.integers(400, size=400)
        draws.append(np.mean([wins[rows][labels[rows] == name].mean() for name in ("large", "small")]))
    low, high = np.percentile(draws, [2.5, 97.5])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.015)
    micro = cell(table, "acc_r")
    assert high - low > 1.3 * (micro.high - micro.low)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: score_table(p, np.zeros((20, 2))), r"made: scores must be \[20, 2, 1\]"),
        (lambda p: score_table(p, np.zeros((19, 2, 1))), r"got \(19, 2, 1\)"),
        (lambda p: score_table(p, np.zeros((20, 2, 1)), units=[1, 2]), "one for each of 20 items, got 2"),
        (lambda p: score_table(p, np.zeros((20, 2, 1)), ties="none"), "ties must be 'strict' or 'lenient'"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(probe_set(20))

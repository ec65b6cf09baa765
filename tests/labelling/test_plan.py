import numpy as np
import pytest

from percept.data.judgments import JudgmentError, Judgments
from percept.data.triplets import Triplets
from percept.labelling.plan import SessionError, enter_study, plan_trials, study_table

ITEMS = np.arange(300).reshape(100, 3)
FROZEN = [
    (4, True, "ask"), (5, True, "ask"), (3, True, "ask"), (0, True, "ask"), (5, False, "repeat"),
    (2, False, "ask"), (4, False, "repeat"), (1, True, "ask"), (3, False, "repeat"),
]  # fmt: skip


def test_plan_is_fixed_by_its_key_for_ever():
    """Written down once: another numpy or another machine must not send raters back to the start."""
    trials = plan_trials(ITEMS[:6], (7, "study", "ann"), repeats=0.5, distance=2)
    assert [(t.triplet, t.swapped, t.kind) for t in trials] == FROZEN


@pytest.mark.parametrize("key", [(8, "s", "ann"), (7, "t", "ann"), (7, "s", "bob")])
def test_other_seed_study_or_rater_gives_another_order_and_other_sides(key):
    one, other = plan_trials(ITEMS, (7, "s", "ann"), repeats=0), plan_trials(ITEMS, key, repeats=0)
    assert [t.triplet for t in one] != [t.triplet for t in other]
    sides = [{t.triplet: t.swapped for t in trials} for trials in (one, other)]
    assert 25 < sum(sides[0][row] != sides[1][row] for row in range(100)) < 75


def test_every_triplet_is_asked_once_and_sides_are_those_shown():
    trials = plan_trials(ITEMS, (0, "s", "ann"), repeats=0.2, distance=10)
    assert sorted(t.triplet for t in trials if t.kind == "ask") == list(range(100))
    assert [t.position for t in trials] == list(range(120))
    for t in trials:
        reference, left, right = ITEMS[t.triplet]
        assert (t.reference, t.left, t.right) == ((reference, right, left) if t.swapped else (reference, left, right))
    assert 35 < sum(t.swapped for t in trials if t.kind == "ask") < 65


@pytest.mark.parametrize("swap", [True, False])
@pytest.mark.parametrize("distance", [0, 5, 40])
def test_repeats_keep_their_distance(distance, swap):
    trials = plan_trials(ITEMS, (1, "s", "ann"), repeats=0.3, distance=distance, swap_repeats=swap)
    first = {t.triplet: t for t in trials if t.kind == "ask"}
    repeats = [t for t in trials if t.kind == "repeat"]
    assert len({t.triplet for t in repeats}) == 30
    for t in repeats:
        between = t.position - first[t.triplet].position - 1
        assert between >= distance
        assert (t.swapped != first[t.triplet].swapped) == swap


def test_a_short_study_has_only_the_repeats_that_keep_the_distance():
    assert sum(t.kind == "repeat" for t in plan_trials(ITEMS[:12], (0,), repeats=1, distance=10)) == 2
    assert len(plan_trials(ITEMS[:5], (0,), repeats=1, distance=10)) == 5


@pytest.mark.parametrize(
    ("items", "options", "message"),
    [
        (np.zeros((0, 3)), {}, "no triplets"),
        (ITEMS, {"repeats": 1.5}, "repeats=1.5"),
        (ITEMS, {"repeats": float("nan")}, "repeats=nan"),
        (ITEMS, {"distance": -1}, "distance=-1"),
    ],
)
def test_bad_plans(items, options, message):
    with pytest.raises(SessionError, match=message):
        plan_trials(items, (0,), **options)


def test_study_table_names_files_inside_their_folder(tmp_path):
    paths = [tmp_path / "a" / name for name in ("x.png", "sub/y.png", "日本.png")]
    triplets = Triplets(paths, [[2, 0, 1]], np.array([0.5]), groups=np.array(["cat"]))
    expected = [["0", "日本.png", "x.png", "sub/y.png", "cat"]]
    assert study_table(triplets).to_numpy().tolist() == expected
    assert study_table(triplets, tmp_path)["left"].tolist() == ["a/x.png"]


def test_other_pictures_under_a_known_study_are_noticed(tmp_path, make_triplets):
    store = Judgments(tmp_path / "j.sqlite")
    enter_study(store, "s", make_triplets(4))
    enter_study(store, "s", make_triplets(4))
    assert len(store.items("s")) == 4
    with pytest.raises(JudgmentError, match="other triplets"):
        enter_study(store, "s", make_triplets(4, seed=1))

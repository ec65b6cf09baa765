"""Pairs and single pictures: what is asked, in which order, and one call on a folder."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from percept.data.images import FolderData
from percept.data.judgments import JudgmentError, Judgments, pairs_table, ratings_table
from percept.data.triplets import TripletsError
from percept.labelling import Questions, ScriptedRater, Session, label_folder
from percept.labelling.aggregate import bradley_terry
from percept.labelling.folder import random_pairs, random_pictures
from percept.labelling.opinion import mean_opinion, opinion_scores
from percept.labelling.plan import SessionError, enter_study, plan_trials, study_table

GOOD = {"rating": 4, "slider": 62.5, "pair": "left"}
PICTURES = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)


def _data(tmp_path, count):
    table = pd.DataFrame({"file": [f"{i}.png" for i in range(count)]})
    return FolderData(tmp_path, [tmp_path / name for name in table["file"]], table, [])


def test_single_pictures_have_no_sides():
    trials = plan_trials(np.arange(40)[:, None], (0, "s", "ann"), repeats=0.2, distance=5)
    assert sorted(t.rows for t in trials if t.kind == "ask") == [(row,) for row in range(40)]
    assert not any(t.swapped for t in trials)
    assert sum(t.kind == "repeat" for t in trials) == 8
    assert all(t.reference == t.triplet for t in trials)


def test_sides_of_pairs_are_random_and_exchanged_in_repeats():
    items = np.arange(200).reshape(100, 2)
    trials = plan_trials(items, (0, "s", "ann"), repeats=0.3, distance=10)
    first = {t.triplet: t for t in trials if t.kind == "ask"}
    assert sorted(first) == list(range(100))
    assert 35 < sum(t.swapped for t in first.values()) < 65
    for t in trials:
        assert (t.left, t.right) == tuple(items[t.triplet][:: -1 if t.swapped else 1])
        if t.kind == "repeat":
            assert t.swapped != first[t.triplet].swapped
            assert t.position - first[t.triplet].position > 10


@pytest.mark.parametrize(("count", "n"), [(3, 3), (4, 200), (5, 5), (6, 14), (9, 30), (12, 40), (50, 200), (500, 200)])
def test_pairs_connect_all_pictures_and_none_comes_twice(tmp_path, count, n):
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    items = random_pairs(_data(tmp_path, count), n).items
    used, edges = np.unique(items, return_inverse=True)
    edges = edges.reshape(-1, 2)
    assert len(items) == min(n, count * (count - 1) // 2)
    assert len({frozenset(pair) for pair in items.tolist()}) == len(items)
    assert all(a != b for a, b in items.tolist())
    degree = np.bincount(edges.ravel())
    assert degree.min() >= 2
    assert degree.max() - degree.min() <= 2
    graph = coo_matrix((np.ones(len(edges)), edges.T), shape=(len(used), len(used)))
    assert connected_components(graph, directed=False)[0] == 1
    assert len(used) == (count if count < 500 else 100)


def test_other_seeds_give_other_make_questions(tmp_path):
    data = _data(tmp_path, 30)
    assert not np.array_equal(random_pairs(data, 60).items, random_pairs(data, 60, seed=1).items)
    few = [random_pictures(data, 10, seed) for seed in (0, 0, 1)]
    assert few[0].images == few[1].images != few[2].images
    assert len(few[0]) == len(set(few[0].images)) == 10
    assert len(random_pictures(data, 99)) == 30


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda data: random_pairs(data(2), 20), "pairs need 3 images and n at least 3"),
        (lambda data: random_pairs(data(9), 2), r"pairs need 3 images and n at least 3 \(n=2\)"),
        (lambda data: random_pictures(data(9), 0), "n must be at least 1"),
    ],
)
def test_too_little_to_ask(tmp_path, make, message):
    with pytest.raises(SessionError, match=message):
        make(lambda count: _data(tmp_path, count))


@pytest.mark.parametrize(
    ("items", "task", "message"),
    [
        ([[0]], "stars", "task must be rating, slider, pair or describe, not 'stars'"),
        ([[0, 1, 2]], "two_alternative", "triplets are `Triplets`"),
        ([[0, 1]], "rating", r"must be whole numbers \[T, 1\], got int64 \[1, 2\]"),
        ([0, 1], "rating", r"must be whole numbers \[T, 1\], got int64 \[2\]"),
        ([[0.0]], "slider", r"must be whole numbers \[T, 1\], got float64"),
        ([[0], [12]], "rating", r"item 1 names pictures \[12\]; they must be different positions from 0 to 11"),
        ([[-1]], "slider", r"item 0 names pictures \[-1\]"),
        ([[0, 1], [3, 3]], "pair", r"item 1 names pictures \[3, 3\]; they must be different"),
    ],
)
def test_bad_questions(items, task, message):
    with pytest.raises(SessionError, match=message):
        Questions(PICTURES, items, task)


def test_bad_pictures_and_groups_of_make_questions():
    with pytest.raises(TripletsError, match=r"images must be uint8 \[N, H, W, 3\] or files, got float64"):
        Questions(PICTURES / 255, [[0]], "rating")
    with pytest.raises(SessionError, match=r"groups must hold one name per item \(1\), got shape \(2,\)"):
        Questions(PICTURES, [[0]], "rating", np.array(["a", "b"]))


def test_questions_as_the_store_keeps_them(tmp_path):
    paths = [tmp_path / name for name in ("x.png", "sub/y.png")]
    asked = Questions(paths, [[1], [0]], "slider", np.array(["cat", "dog"]))
    assert study_table(asked).to_numpy().tolist() == [["0", "sub/y.png", "", "", "cat"], ["1", "x.png", "", "", "dog"]]
    assert study_table(Questions(paths, [[1, 0]], "pair")).to_numpy().tolist() == [["0", "", "sub/y.png", "x.png", ""]]


def test_a_study_keeps_its_task(store, make_questions):
    enter_study(store, "s", make_questions("rating"))
    enter_study(store, "s", make_questions("rating"))
    with pytest.raises(JudgmentError, match="study 's' has the task 'rating', not 'slider'"):
        enter_study(store, "s", make_questions("slider"))
    with pytest.raises(JudgmentError, match="study 's' has the task 'rating', not 'pair'"):
        Session(store, "s", make_questions("pair"), "ann", consent="yes")


@pytest.mark.parametrize("task", GOOD)
def test_one_call_asks_stores_and_resumes(grey_photos, store, task):
    one = label_folder(grey_photos, task=task, n=24, seed=5, store=store)
    one.sign_in("ann")
    ScriptedRater(lambda trial: GOOD[task]).run(one, limit=6)
    study = f"photos {task}"
    assert len(store.items(study)) == (24 if task == "pair" else 12)
    assert store.studies()["task"].tolist() == [task]
    assert store.studies()["sampling"][0].startswith("random (seed 5, ")
    Image.new("RGB", (6, 6)).save(grey_photos / "new.png")  # more images do not disturb the study
    again = label_folder(grey_photos, "ann", task=task, seed=5, store=Judgments(store.path))
    assert again.current().position == 6
    names = [[p.triplets.images[row].name for row in p.current().rows] for p in (one, again)]
    assert names[0] == names[1]
    (grey_photos / "03.png").unlink()
    with pytest.raises(SessionError, match=r"began with another '03\.png'"):
        label_folder(grey_photos, task=task, store=store)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "stars"}, "task must be triplet, pair, rating or slider, not 'stars'"),
        ({"task": "two_alternative"}, "task must be triplet, pair, rating or slider, not 'two_alternative'"),
        ({"task": "rating", "within_class": True}, "belong to the task 'triplet', not to 'rating'"),
        ({"task": "pair", "study": "photos rating"}, "'photos rating' has the task 'rating', not 'pair'"),
        ({"study": "photos rating"}, "'photos rating' has the task 'rating', not 'two_alternative'"),
        ({"task": "slider", "study": "photos rating"}, "'photos rating' has the task 'rating', not 'slider'"),
        ({"task": "rating", "n": 0, "study": "new"}, "n must be at least 1"),
    ],
)
def test_bad_calls(grey_photos, store, options, message):
    label_folder(grey_photos, task="rating", store=store)
    with pytest.raises(SessionError, match=message):
        label_folder(grey_photos, store=store, **options)
    assert store.studies()["name"].tolist() == ["photos rating"]


def brightness(panel, row):
    """0 to 11, from darkest to brightest picture."""
    return int(panel.triplets.images[row].stem)


def test_three_raters_rate_a_folder_and_the_order_is_found(grey_photos, store):
    for bias, name in enumerate(("ann", "bob", "eve")):
        one = label_folder(grey_photos, task="rating", store=store)
        one.sign_in(name)
        ScriptedRater(lambda trial, p=one, b=bias: min(5, 1 + (brightness(p, trial.reference) + b) // 3)).run(one)
    ratings = ratings_table(store, "photos rating")
    assert sorted(ratings["item"].unique()) == [f"{k:02d}.png" for k in range(12)]
    for score in (mean_opinion(ratings)["mean"], opinion_scores(ratings).items["quality"]):
        assert np.all(np.diff(score.sort_index()) >= -1e-9)
        assert score["11.png"] > score["05.png"] > score["00.png"]


def test_pairs_of_a_folder_become_a_scale(grey_photos, store):
    one = label_folder(grey_photos, task="pair", n=30, store=store)
    one.sign_in("ann")
    ScriptedRater(lambda t: "left" if brightness(one, t.left) > brightness(one, t.right) else "right").run(one)
    found = pairs_table(store, "photos pair")
    assert len(found) == 30, "repeats are no comparisons"
    assert (found["winner"] > found["loser"]).all(), "the brighter one won, whatever side it was shown on"
    scale = bradley_terry(found)["strength"]
    assert np.corrcoef(scale.sort_index(), np.arange(12))[0, 1] > 0.9

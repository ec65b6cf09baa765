"""Pairs and ratings out of the store and into it: CSV, data card, and the tables that make scores of them."""

import numpy as np
import pytest

from percept.data.judgments import (
    JudgmentError,
    Judgments,
    coded,
    data_card,
    export_csv,
    export_nights,
    import_csv,
    pairs_table,
    ratings_table,
    tally,
)
from percept.labelling.aggregate import AnswersError, bradley_terry
from percept.labelling.opinion import mean_opinion, opinion_scores


def fill(store):
    """Answers to every task by ann and ben, some repeated, skipped, swapped, taken back."""
    for rater, first in (("ann", 4), ("ben", 2)):
        for position, answer in enumerate([first, 5, "skip", 1]):
            store.record("five", rater, f"t{position}", position, answer, False, 1.0 + position)
        store.record("five", rater, "t0", 4, first + 1, False, 2.0, "repeat")
        store.record("line", rater, "t1", 0, 12.25 * first, False, 1.5)
        store.record("better", rater, "t0", 0, "left" if rater == "ann" else "right", True, 1.0)
        store.record("better", rater, "t1", 1, "right", False, 1.0)
        store.record("better", rater, "t0", 2, "right", False, 1.0, "repeat")
        store.record("better", rater, "t2", 3, "skip", False, 1.0)
    store.record("photos", "ann", "t0", 0, "right", True, 1.0)
    store.undo("five", "ben")
    store.record("five", "ben", "t0", 4, 2, False, 2.0, "repeat")


def test_csv_round_trip_of_all_tasks(tasks, tmp_path):
    fill(tasks)
    path = export_csv(tasks, tmp_path / "all.csv")
    other = Judgments(tmp_path / "other.sqlite")
    assert import_csv(other, path) == 22
    for study in ("photos", "five", "line", "better"):
        a, b = (s.answers(study, include_undone=True).drop(columns="id") for s in (tasks, other))
        assert a["answer"].tolist() == b["answer"].tolist()
        assert a.astype(str).to_numpy().tolist() == b.astype(str).to_numpy().tolist()
    assert dict(other.studies()[["name", "task"]].to_numpy()) == dict(tasks.studies()[["name", "task"]].to_numpy())
    assert export_csv(other, tmp_path / "again.csv").read_bytes() == path.read_bytes()
    assert import_csv(other, path) == 0, "importing once more doubles nothing"
    assert import_csv(Judgments(tmp_path / "one.sqlite"), export_csv(tasks, tmp_path / "five.csv", "five")) == 11


HEADER = "study,task,rater,triplet,reference,left,right,answer\n"
GOOD = "s,rating,ann,t0,p0.png,,,4\n"
BAD_ROWS = {
    "rating of 6": ("s,rating,ann,t1,p1.png,,,6", "row 3: answer must be one of 1, 2, 3, 4, 5, skip, not '6'"),
    "no rating": ("s,rating,ann,t1,p1.png,,,", "row 3: answer must be one of 1, 2, 3, 4, 5, skip, not ''"),
    "slider of NaN": (
        "l,slider,ann,t1,p1.png,,,nan",
        "row 3: answer must be a number from 0 to 100, or skip, not 'nan'",
    ),
    "unknown task": ("x,stars,ann,t1,p1.png,,,4", "row 3: task must be one of two_alternative, pair, .*not 'stars'"),
    "two tasks in a study": ("s,slider,ann,t1,p1.png,,,4", "row 3: study 's' has the task 'rating', not 'slider'"),
    "triplet in a rating": (
        "s,,ann,t1,p1.png,a,b,left",
        "row 3: study 's' has the task 'rating', not 'two_alternative'",
    ),
    "pair with three": ("p,pair,ann,t1,p1.png,a,b,left", "row 3: reference must be empty in the task 'pair'"),
    "pair of one": ("p,pair,ann,t1,,a,,left", "row 3: right is empty"),
    "other picture": ("s,rating,ben,t0,p9.png,,,4", "row 3: study 's' has a picture 't0' of other pictures"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_rows_store_nothing(tmp_path, case):
    line, message = BAD_ROWS[case]
    (tmp_path / "a.csv").write_text(HEADER + GOOD + line + "\n")
    store = Judgments(tmp_path / "j.sqlite")
    with pytest.raises(JudgmentError, match=f"a.csv, {message}"):
        import_csv(store, tmp_path / "a.csv")
    assert not len(store.studies())


def test_a_file_without_the_column_task_has_triplets(tmp_path):
    (tmp_path / "a.csv").write_text("study,rater,triplet,reference,left,right,answer\ns,ann,t0,r,a,b,left\n")
    store = Judgments(tmp_path / "j.sqlite")
    assert import_csv(store, tmp_path / "a.csv") == 1
    assert store.studies()["task"].tolist() == ["two_alternative"]


def test_card_of_ratings_by_hand(tasks):
    fill(tasks)
    lines = data_card(tasks, "five").splitlines()
    for line in (
        "- pictures: 4, answered: 4",
        '- first answers: 8, of these "can\'t tell": 2',
        "- raters per answered picture: 2 to 2, median 2",
        "- taken back: 1",
        # t0 4 and 2, t1 5 and 5, t3 1 and 1: squares 2 over 3 degrees of freedom; repeats 5 after 4 and 2 after 2.
        "- five: one of 1, 2, 3, 4, 5, skip; standard deviation between raters of one picture: 0.82; "
        "mean difference of a repeat from the first rating: 0.5 (2)",
    ):
        assert line in lines, line
    assert "## How the pictures were chosen" in lines
    assert not [line for line in lines if "on the left" in line]
    assert "one picture: unknown; mean difference of a repeat from the first rating: unknown" in data_card(
        tasks, "line", rater="ann"
    )
    better = data_card(tasks, "better").splitlines()
    assert "- pairs: 4, answered: 3" in better
    assert "- pairs of raters who agree on a pair: 50.0% (1 of 2)" in better
    everything = data_card(tasks)
    assert "- questions: 16, answered: " in everything
    assert "who agree on a question: 50.0% (1 of 2)" in everything
    assert everything.count("standard deviation between raters") == 2


def test_ratings_become_scores(tasks):
    fill(tasks)
    ratings = ratings_table(tasks, "five")
    assert ratings.columns.tolist() == ["rater", "group", "item", "score", "order", "seconds", "kind"]
    ann = ratings[ratings["rater"] == "ann"]
    assert ann["item"].tolist() == ["p0.png", "p1.png", "p2.png", "p3.png", "p0.png"]
    np.testing.assert_array_equal(ann["score"], [4, 5, np.nan, 1, 5])
    assert ann["kind"].tolist() == ["ask"] * 4 + ["repeat"]
    assert ratings["score"].dtype == np.float64
    mean = mean_opinion(ratings)["mean"]
    assert mean.to_dict() == {"p0.png": 3.0, "p1.png": 5.0, "p3.png": 1.0}
    opinion = opinion_scores(ratings).items["quality"]
    assert opinion.sort_values().index.tolist() == ["p3.png", "p0.png", "p1.png"]
    assert mean_opinion(ratings_table(tasks, "line"))["mean"].tolist() == [12.25 * 3]


def test_pairs_become_a_scale(tasks):
    fill(tasks)
    found = pairs_table(tasks, "better")
    assert found.columns.tolist() == ["rater", "group", "winner", "loser", "order", "seconds"]
    assert found[["rater", "winner", "loser"]].to_numpy().tolist() == [
        ["ann", "p0.png", "p1.png"],
        ["ann", "p2.png", "p1.png"],
        ["ben", "p1.png", "p0.png"],
        ["ben", "p2.png", "p1.png"],
    ]
    assert bradley_terry(found).index[0] == "p2.png"
    assert coded(tasks.answers("better"))["answer"].head(3).tolist() == [0.0, 1.0, 1.0]
    assert tally(tasks, "better")["n_right"].tolist() == [1, 2, 0, 0]


def test_nothing_answered_yet(tasks):
    assert ratings_table(tasks, "five").empty
    assert pairs_table(tasks, "better").empty
    with pytest.raises(AnswersError):
        bradley_terry(pairs_table(tasks, "better"))


def test_each_table_has_its_task(tasks, tmp_path):
    fill(tasks)
    for call, message in [
        (lambda: ratings_table(tasks, "better"), "study 'better' has the task 'pair'; this needs 'rating' or 'slider'"),
        (lambda: pairs_table(tasks, "five"), "study 'five' has the task 'rating'; this needs 'pair'"),
        (lambda: pairs_table(tasks, "photos"), "has the task 'two_alternative'; this needs 'pair'"),
        (lambda: tally(tasks, "line"), "has the task 'slider'; this needs 'two_alternative' or 'pair'"),
        (lambda: export_nights(tasks, "better", tmp_path / "out"), "'pair'; this needs 'two_alternative'"),
        (lambda: coded(tasks.answers("five")), "study 'five' has ratings .4 of 't0'.: use ratings_table"),
        (lambda: ratings_table(tasks, "plates"), r"no study 'plates' \(there are: photos, five, line, better\)"),
    ]:
        with pytest.raises(JudgmentError, match=message):
            call()
    assert not (tmp_path / "out").exists()

"""Pairs and ratings in the same store as triplets."""

import math
import sqlite3

import numpy as np
import pandas as pd
import pytest

from percept.data.judgments import AnsweredError, JudgmentError, Judgments, export_csv, import_csv, ratings_table, tally

from .conftest import pairs, pictures, table

# The tables as the first version wrote them.
FORM_1 = """
CREATE TABLE studies (name TEXT PRIMARY KEY, task TEXT NOT NULL, sampling TEXT NOT NULL, note TEXT NOT NULL,
    time TEXT NOT NULL);
CREATE TABLE images (study TEXT NOT NULL REFERENCES studies (name), file TEXT NOT NULL, sha256 TEXT NOT NULL,
    PRIMARY KEY (study, file));
CREATE TABLE items (number INTEGER PRIMARY KEY, study TEXT NOT NULL REFERENCES studies (name), id TEXT NOT NULL,
    reference TEXT NOT NULL, "left" TEXT NOT NULL, "right" TEXT NOT NULL, category TEXT NOT NULL, split TEXT NOT NULL,
    is_imagenet INTEGER, votes_left INTEGER NOT NULL, votes_right INTEGER NOT NULL, UNIQUE (study, id));
CREATE TABLE raters (name TEXT PRIMARY KEY, "group" TEXT NOT NULL, time TEXT NOT NULL);
CREATE TABLE consents (number INTEGER PRIMARY KEY, rater TEXT NOT NULL REFERENCES raters (name),
    language TEXT NOT NULL, consent TEXT NOT NULL, time TEXT NOT NULL);
CREATE TABLE answers (id INTEGER PRIMARY KEY, study TEXT NOT NULL, rater TEXT NOT NULL REFERENCES raters (name),
    item TEXT NOT NULL, position INTEGER NOT NULL, answer NOT NULL, swapped INTEGER NOT NULL, seconds REAL,
    kind TEXT NOT NULL, time TEXT, undone TEXT, FOREIGN KEY (study, item) REFERENCES items (study, id));
CREATE UNIQUE INDEX one_answer_per_position ON answers (study, rater, position) WHERE undone IS NULL;
CREATE UNIQUE INDEX one_vote_per_item ON answers (study, rater, item) WHERE undone IS NULL AND kind = 'ask';
PRAGMA application_id = 1885565044;
PRAGMA user_version = 1;
"""
WHEN = "2026-01-31T09:00:00.000+00:00"
OLD_ROWS = f"""
INSERT INTO studies VALUES ('old', 'two_alternative', 'random', '', '{WHEN}');
INSERT INTO items VALUES (1, 'old', '0', 'r.png', 'a.png', 'b.png', 'cup', '', NULL, 0, 0);
INSERT INTO items VALUES (2, 'old', '1', 'r.png', 'b.png', 'c.png', '', '', NULL, 0, 0);
INSERT INTO raters VALUES ('ann', 'inspectors', '{WHEN}');
INSERT INTO consents VALUES (1, 'ann', 'en', 'yes', '{WHEN}');
INSERT INTO answers VALUES (1, 'old', 'ann', '1', 0, 'left', 1, 1.5, 'ask', '{WHEN}', NULL);
INSERT INTO answers VALUES (2, 'old', 'ann', '0', 1, 'skip', 0, 2.5, 'ask', '{WHEN}', NULL);
"""


def test_a_store_of_the_first_version_opens_and_takes_the_new_tasks(tmp_path):
    connection = sqlite3.connect(tmp_path / "old.sqlite")
    connection.executescript(FORM_1 + OLD_ROWS)
    connection.close()
    store = Judgments(tmp_path / "old.sqlite")
    assert store.answers("old")[["triplet", "answer", "swapped"]].to_numpy().tolist() == [
        ["1", "left", True],
        ["0", "skip", False],
    ]
    assert store.undo("old", "ann")["answer"] == "skip"
    store.record("old", "ann", "0", 1, "right")
    store.add_study("five", pictures(), task="rating")
    store.record("five", "ann", "t0", 0, 5)
    assert tally(store, "old")["n_right"].tolist() == [1, 0]
    assert ratings_table(store, "five")["score"].tolist() == [5.0]
    export_csv(store, tmp_path / "all.csv")
    other = Judgments(tmp_path / "other.sqlite")
    assert import_csv(other, tmp_path / "all.csv") == 4


def test_the_tables_are_still_those_of_the_first_version(tmp_path):
    old, new = sqlite3.connect(":memory:"), Judgments(tmp_path / "new.sqlite")
    old.executescript(FORM_1)
    query = "SELECT name, sql FROM sqlite_master WHERE sql NOT NULL ORDER BY name"
    with new.file.transaction(write=False) as connection:
        assert connection.execute(query).fetchall() == old.execute(query).fetchall()
        for pragma in ("user_version", "application_id"):
            assert connection.execute(f"PRAGMA {pragma}").fetchone() == old.execute(f"PRAGMA {pragma}").fetchone()
    old.close()


def test_ratings_are_kept_as_numbers(tasks):
    given = [("five", 4), ("five", np.int64(1)), ("five", "3.0"), ("five", "skip"), ("line", 62.5), ("line", "100")]
    for position, (study, answer) in enumerate(given):
        tasks.record(study, "ann", f"t{position % 4}", position, answer, False, 1.0)
    tasks.record("better", "ann", "t0", 0, "right", True, 1.0)
    assert tasks.answers("five")["answer"].tolist() == [4, 1, 3, "skip"]
    assert tasks.answers("line")["answer"].tolist() == [62.5, 100.0]
    assert tasks.answers("better")["answer"].tolist() == ["right"]
    with tasks.file.transaction(write=False) as connection:
        types = connection.execute("SELECT DISTINCT study, typeof(answer) FROM answers ORDER BY 1, 2").fetchall()
    assert types == [("better", "text"), ("five", "integer"), ("five", "text"), ("line", "real")]


def test_a_rating_is_one_and_can_be_taken_back_and_repeated(tasks):
    first = tasks.record("five", "ann", "t0", 0, 4)
    assert tasks.record("five", "ann", "t0", 0, "4") == first
    with pytest.raises(AnsweredError, match="position 0 has the answer 4 to 't0'; undo it first"):
        tasks.record("five", "ann", "t0", 0, 5)
    with pytest.raises(AnsweredError, match="picture 't0' was asked at position 0"):
        tasks.record("five", "ann", "t0", 1, 4)
    tasks.record("five", "ann", "t0", 1, 2, kind="repeat")
    tasks.record("five", "ann", "t1", 2, "skip")
    counts = tasks.progress("five", "ann")
    assert (counts.answered, counts.skipped, counts.repeats, counts.next_position, counts.items) == (3, 1, 1, 3, 4)
    assert tasks.undo("five", "ann")["answer"] == "skip"
    assert tasks.undo("five", "ann")["answer"] == 2
    tasks.record("five", "ann", "t0", 1, 5, kind="repeat")
    assert tasks.answers("five", include_undone=True)["answer"].tolist() == [4, 2, "skip", 5]
    tasks.record("five", "ben", "t0", 0, 1)
    assert tasks.delete_rater("ann") == 4
    assert tasks.answers("five")[["rater", "answer"]].to_numpy().tolist() == [["ben", 1]]


BAD_ANSWERS = [
    ("five", 6, "answer must be one of 1, 2, 3, 4, 5, skip, not 6"),
    ("five", 0, "must be one of 1, 2, 3, 4, 5, skip, not 0"),
    ("five", 3.5, "must be one of 1, 2, 3, 4, 5, skip, not 3.5"),
    ("five", math.nan, "must be one of 1, 2, 3, 4, 5, skip, not nan"),
    ("five", True, "must be one of 1, 2, 3, 4, 5, skip, not True"),
    ("five", "good", "must be one of 1, 2, 3, 4, 5, skip, not 'good'"),
    ("five", "left", "must be one of 1, 2, 3, 4, 5, skip, not 'left'"),
    ("five", None, "must be one of 1, 2, 3, 4, 5, skip, not None"),
    ("line", math.nan, "answer must be a number from 0 to 100, or skip, not nan"),
    ("line", math.inf, "must be a number from 0 to 100, or skip, not inf"),
    ("line", -0.5, "must be a number from 0 to 100, or skip, not -0.5"),
    ("line", 100.01, "must be a number from 0 to 100, or skip, not 100.01"),
    ("line", "", "must be a number from 0 to 100, or skip, not ''"),
    ("line", "right", "must be a number from 0 to 100, or skip, not 'right'"),
    ("better", 1, "answer must be one of left, right, skip, not 1"),
    ("photos", 4, "answer must be one of left, right, skip, not 4"),
]


@pytest.mark.parametrize(("study", "answer", "message"), BAD_ANSWERS)
def test_bad_answers(tasks, study, answer, message):
    with pytest.raises(JudgmentError, match=message):
        tasks.record(study, "ann", "t0", 0, answer)
    assert not len(tasks.answers())


def test_an_unknown_question_is_called_by_its_name(tasks):
    for study, noun in (("five", "picture"), ("line", "picture"), ("better", "pair"), ("photos", "triplet")):
        with pytest.raises(JudgmentError, match=f"study '{study}' has no {noun} 't9'"):
            tasks.record(study, "ann", "t9", 0, "skip")


BAD_STUDIES = [
    (pictures().drop(columns="reference"), "rating", r"pictures have no column 'reference' \(columns: id\)"),
    (pairs().drop(columns="left"), "pair", r"pairs have no column 'left' \(columns: id, right\)"),
    (pictures().assign(left="x.png"), "rating", "picture in row 1: left must be empty in the task 'rating'"),
    (table(), "slider", "picture in row 1: left must be empty in the task 'slider'"),
    (table(), "pair", "pair in row 1: reference must be empty in the task 'pair'"),
    (pictures().assign(reference=["a", " ", "c", "d"]), "rating", "picture in row 2: reference is empty"),
    (pairs().assign(right="p0.png"), "pair", "pair in row 1: left and right are the same picture 'p0.png'"),
    (pictures().assign(id="x"), "slider", "picture in row 2: id 'x' is there already"),
    (pictures(0), "rating", "the study has no pictures"),
    (pictures(), "stars", "task must be one of two_alternative, pair, rating, slider, describe, not 'stars'"),
]


@pytest.mark.parametrize(("items", "task", "message"), BAD_STUDIES)
def test_bad_studies(store, items, task, message):
    with pytest.raises(JudgmentError, match=message):
        store.add_study("new", items, task=task)
    assert store.studies()["name"].tolist() == ["photos"]


def test_a_study_has_one_task(tasks):
    assert tasks.add_study("five", pictures(), task="rating") == 4
    with pytest.raises(JudgmentError, match="study 'five' has the task 'rating', not 'slider'; choose another name"):
        tasks.add_study("five", pictures(), task="slider")
    with pytest.raises(JudgmentError, match="study 'photos' has the task 'two_alternative', not 'pair'"):
        tasks.add_study("photos", pairs(), task="pair")
    with pytest.raises(JudgmentError, match="study 'five' exists with other pictures"):
        tasks.add_study("five", pictures(3), task="rating")
    assert tasks.studies()["task"].tolist() == ["two_alternative", "rating", "slider", "pair"]


def test_hashes_of_rated_pictures(tmp_path, photos):
    store = Judgments(tmp_path / "j.sqlite")
    names = sorted(path.name for path in photos.iterdir())
    store.add_study("five", pd.DataFrame({"id": names, "reference": names}), folder=photos, task="rating")
    two = pd.DataFrame({"id": ["x"], "left": names[:1], "right": names[1:2]})
    store.add_study("better", two, folder=photos, task="pair")
    (photos / names[0]).write_bytes(b"changed")
    assert store.changed_images("five", photos) == store.changed_images("better", photos) == names[:1]
    with pytest.raises(JudgmentError, match=r"'x': .*absent.png: no such file"):
        store.add_study("new", two.assign(left="absent.png"), folder=photos, task="pair")

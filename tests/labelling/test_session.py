import subprocess
import sys

import numpy as np
import pytest

from percept.data.judgments import JudgmentError, Judgments
from percept.labelling.plan import SessionError
from percept.labelling.session import ScriptedRater, Session


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def open_session(store, make_triplets):
    def make(rater="ann", study="s", where=store, **options):
        options = {"consent": "read and agreed", "repeats": 0.1} | options
        return Session(where, study, options.pop("triplets", make_triplets()), rater, **options)

    return make


def _left(trial):
    return "left"


def test_answers_are_stored_in_the_tables_orientation(open_session, store):
    session = open_session()
    assert ScriptedRater(_left).run(session) == 22
    stored = store.answers("s", "ann")
    for row, trial in zip(stored.itertuples(), session.trials, strict=True):
        assert (row.position, row.triplet, row.kind) == (trial.position, str(trial.triplet), trial.kind)
        assert (row.swapped, row.answer) == (trial.swapped, "right" if trial.swapped else "left")


def test_choosing_by_picture_is_consistent_over_repeats(open_session, store):
    """A rater who looks at the pictures passes every attention check; one who presses one side fails them all."""
    ScriptedRater(lambda trial: "left" if trial.left < trial.right else "right").run(open_session(repeats=0.3))
    ScriptedRater(_left).run(open_session("bob", repeats=0.3))
    for rater, same in (("ann", 1), ("bob", 2)):
        answers = store.answers("s", rater)
        repeated = answers[answers["triplet"].isin(answers.loc[answers["kind"] == "repeat", "triplet"])]
        assert len(repeated) >= 6
        assert set(repeated.groupby("triplet")["answer"].nunique()) == {same}


def test_each_answer_is_on_the_disk_before_the_next_trial_is_current(open_session, store):
    session = open_session()
    for done in range(1, 6):
        before = session.current()
        session.answer("right", seconds=1)
        assert session.current() != before
        assert len(Judgments(store.path).answers("s", "ann")) == done


def test_double_press_is_ignored_and_counted(open_session):
    clock = Clock()
    session = open_session(clock=clock, min_seconds=0.15)
    clock.now = 1.0
    assert session.answer("left") == "stored"
    clock.now = 1.14
    assert session.answer("left") == session.skip() == "early"
    assert session.progress()[:3] == (1, 22, 2)
    clock.now = 1.16
    assert session.answer("left") == "stored"
    assert session.store.answers("s", "ann")["seconds"].tolist() == [1.0, pytest.approx(0.16)]


def test_a_press_on_an_older_display_is_ignored(open_session):
    session = open_session()
    token = session.token
    assert session.press("left", token, 1.0) == "stored"
    assert session.press("left", token, 1.0) == "stale"
    assert session.press("undo", token) == "stale"
    assert session.progress().done == 1
    assert session.token == token + 1


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0])
def test_a_front_end_with_a_bad_clock_does_not_matter(open_session, seconds):
    clock = Clock()
    session = open_session(clock=clock)
    clock.now = 2.0
    assert session.press("left", seconds=seconds) == "stored"
    assert session.store.answers("s", "ann")["seconds"].tolist() == [2.0]


def test_undo_goes_back_one_at_a_time_and_keeps_the_history(open_session, store):
    session = open_session()
    ScriptedRater(_left).run(session, limit=5)
    for position in (4, 3, 2):
        assert session.undo() == "undone"
        assert session.current().position == position
    session.answer("right", seconds=1)
    assert session.current().position == 3
    assert store.answers("s", "ann")["position"].tolist() == [0, 1, 2]
    assert len(store.answers("s", "ann", include_undone=True)) == 6


def test_undo_at_the_beginning_and_after_the_end(open_session):
    session = open_session()
    token = session.token
    assert session.undo() == "nothing"
    assert session.token == token
    ScriptedRater(_left).run(session)
    assert session.current() is None
    assert session.answer("left", seconds=1) == "nothing"
    assert session.undo() == "undone"
    assert session.current().position == 21


def test_progress_and_remaining_time_from_the_median(open_session):
    session = open_session(repeats=0)
    assert session.progress().remaining is None
    for seconds in (1.0, 2.0, 600.0):
        session.answer("left", seconds=seconds)
    assert session.progress() == (3, 20, 0, 2.0 * 17)


def test_resume_after_a_restart_is_at_the_same_place_with_the_same_sides(open_session, store):
    session = open_session()
    ScriptedRater(_left).run(session, limit=7)
    again = open_session(where=Judgments(store.path))
    assert again.trials == session.trials
    assert again.current() == session.current()
    assert again.undo() == "undone"
    assert again.current().position == 6


def test_another_plan_cannot_be_mixed_in(open_session):
    ScriptedRater(_left).run(open_session(), limit=5)
    with pytest.raises(SessionError, match="another plan"):
        open_session(seed=1)


def test_a_rater_needs_a_name_and_a_consent(open_session):
    with pytest.raises(SessionError, match="pseudonym"):
        open_session(" ")
    with pytest.raises(JudgmentError, match="consent"):
        open_session(consent="")
    with pytest.raises(SessionError, match="'up' is no answer"):
        open_session().answer("up")


def test_a_second_kernel_of_the_same_rater_doubles_nothing(open_session, store):
    one, two = open_session(), open_session(where=Judgments(store.path))
    one.answer("left", seconds=1)
    one.answer("left", seconds=1)
    assert two.answer("right", seconds=1) in ("elsewhere", "stored")
    assert two.current().position == 2
    assert two.answer("right", seconds=1) == "stored"
    assert one.undo() == "elsewhere"  # what it shows is no longer the next: nothing is taken back unseen
    assert one.current().position == 3
    answers = store.answers("s", "ann")
    assert answers["position"].tolist() == [0, 1, 2]
    assert (answers["answer"] == "left").tolist()[:2] == [not t.swapped for t in one.trials[:2]]


WORKER = """
import sys
from percept.data.judgments import Judgments
from percept.data.triplets import Triplets
from percept.labelling.session import ScriptedRater, Session
import numpy as np
path, rater = sys.argv[1:]
images = np.arange(60 * 12, dtype=np.uint16).astype(np.uint8).reshape(60, 2, 2, 3)
triplets = Triplets(images, np.arange(60).reshape(20, 3), np.full(20, 0.5))
ScriptedRater(lambda t: ("left", "right", "skip")[t.triplet % 3]).run(
    Session(Judgments(path), "s", triplets, rater, consent="simulated rater"))
"""


def test_two_raters_and_a_second_kernel_at_once(store):
    """Three processes on one file: ann twice, bob once."""
    jobs = [subprocess.Popen([sys.executable, "-c", WORKER, str(store.path), name]) for name in ("ann", "bob", "ann")]
    assert [job.wait(60) for job in jobs] == [0, 0, 0]
    for rater in ("ann", "bob"):
        answers = store.answers("s", rater)
        assert sorted(answers["position"]) == list(range(22))
        asked = answers[answers["kind"] == "ask"]
        assert sorted(map(int, asked["triplet"])) == list(range(20))


def test_a_scripted_rater_who_is_too_fast_is_told(open_session):
    with pytest.raises(SessionError, match="double press"):
        ScriptedRater(_left, seconds=0.01).run(open_session())
    by_trial = ScriptedRater(_left, seconds=lambda trial: 1.0 + trial.position)
    session = open_session(repeats=0)
    by_trial.run(session, limit=3)
    assert session.store.answers("s", "ann")["seconds"].tolist() == [1.0, 2.0, 3.0]


def test_group_and_language_are_stored(open_session, store):
    open_session("日本の人", group="inspector", language="ja", consent="同意します")
    row = store.raters().set_index("rater").loc["日本の人"]
    assert (row["group"], row["language"], row["consent"]) == ("inspector", "ja", "同意します")
    assert np.isfinite(row["time"].timestamp()) if hasattr(row["time"], "timestamp") else row["time"]

"""Ratings and pairs in sessions: undo, resume, bad answers, several raters and kernels, kills."""

import os
import random
import signal
import subprocess
import sys

import pytest

from percept.data.judgments import Judgments
from percept.labelling import ScriptedRater, Session
from percept.labelling.plan import SessionError

GOOD = {"rating": 4, "slider": 62.5, "pair": "left"}


@pytest.fixture
def open_session(store, make_questions):
    def make(task="rating", rater="ann", where=store, **options):
        options = {"consent": "read and agreed", "repeats": 0.25, "distance": 3} | options
        return Session(where, f"s {task}", make_questions(task), rater, **options)

    return make


@pytest.mark.parametrize("task", GOOD)
def test_answers_undo_resume(open_session, store, task):
    session = open_session(task)
    assert ScriptedRater(lambda trial: GOOD[task]).run(session, limit=6) == 6
    assert session.undo() == "undone"
    assert session.skip(seconds=1.0) == "stored"
    again = open_session(task, where=Judgments(store.path))
    assert again.current() == session.current()
    assert again.current().position == 6
    assert ScriptedRater(lambda trial: GOOD[task]).run(again) == 9
    stored = store.answers(f"s {task}")
    exchanged = {"left": "right"} if task == "pair" else {}
    for row, trial in zip(stored.itertuples(), again.trials, strict=True):
        expected = "skip" if trial.position == 5 else GOOD[task]
        assert row.answer == (exchanged.get(expected, expected) if trial.swapped else expected)
        assert (row.triplet, row.kind, row.swapped) == (str(trial.triplet), trial.kind, trial.swapped)
    assert len(store.answers(f"s {task}", include_undone=True)) == len(stored) + 1 == 16


BAD_PRESSES = [
    ("rating", 6, "6 is no answer; use one of 1, 2, 3, 4, 5, skip, or undo"),
    ("rating", 0, "0 is no answer"),
    ("rating", 2.5, "2.5 is no answer"),
    ("rating", "left", "'left' is no answer"),
    ("slider", float("nan"), "nan is no answer; use a number from 0 to 100, or skip, or undo"),
    ("slider", 101, "101 is no answer"),
    ("slider", -1, "-1 is no answer"),
    ("slider", "confirm", "'confirm' is no answer"),
    ("slider", None, "None is no answer"),
    ("pair", 4, "4 is no answer; use one of left, right, skip, or undo"),
    ("pair", "both", "'both' is no answer"),
]


@pytest.mark.parametrize(("task", "answer", "message"), BAD_PRESSES)
def test_bad_presses(open_session, store, task, answer, message):
    session = open_session(task)
    with pytest.raises(SessionError, match=message):
        session.press(answer, seconds=1.0)
    assert session.progress().done == len(store.answers()) == 0
    with pytest.raises(SessionError, match="is no answer"):
        ScriptedRater(lambda trial: answer).run(session)


WORKER = """
import sys
import numpy as np
from percept.data.judgments import Judgments
from percept.labelling import Questions, ScriptedRater, Session
path, task, rater = sys.argv[1:]
images = np.arange(30 * 12, dtype=np.uint16).astype(np.uint8).reshape(30, 2, 2, 3)
rows = np.arange(30)
items = np.stack([rows, (rows + 1) % 30], 1) if task == "pair" else rows[:, None]
def choose(trial):
    if task == "pair":
        return "left" if trial.left > trial.right else "right"
    return 1 + trial.reference % 5 if task == "rating" else 3.25 * trial.reference
session = Session(Judgments(path), "s", Questions(images, items, task), rater, consent="simulated rater")
print("ready", flush=True)
while trial := session.current():
    if ScriptedRater(choose).run(session, limit=1):
        print(trial.position, flush=True)
"""


def start(store, task, rater):
    command = [sys.executable, "-c", WORKER, str(store.path), task, rater]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def check_all(store, task, rater):
    """33 answers, each the one that the rule gives."""
    stored = store.answers("s", rater)
    assert sorted(stored["position"]) == list(range(33))
    assert len(store.answers("s", rater, include_undone=True)) == 33
    for row in stored.itertuples():
        picture = int(row.triplet)
        expected = {"rating": 1 + picture % 5, "slider": 3.25 * picture}.get(
            task, "left" if picture > (picture + 1) % 30 else "right"
        )
        assert row.answer == expected


@pytest.mark.parametrize("task", ["rating", "pair"])
def test_two_raters_and_a_second_kernel_at_once(store, task):
    jobs = [start(store, task, name) for name in ("ann", "bob", "ann")]
    for job in jobs:
        job.communicate(timeout=60)
    assert [job.returncode for job in jobs] == [0, 0, 0]
    for rater in ("ann", "bob"):
        check_all(store, task, rater)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_killed_rater_loses_nothing(store):
    """Killed three times at random moments; what was reported as stored is there, and the rest follows."""
    rng, said = random.Random(0), []
    for kill in range(4):
        job = start(store, "rating", "ann")
        assert job.stdout.readline() == "ready\n"
        limit = rng.randrange(2, 9) if kill < 3 else 99
        for _, line in zip(range(limit), job.stdout, strict=False):
            said.append(int(line))
        if kill < 3:
            os.kill(job.pid, signal.SIGKILL)
        said += [int(line) for line in job.stdout.read().split()]
        assert job.wait(60) == (-signal.SIGKILL if kill < 3 else 0)
        stored = set(store.answers("s", "ann")["position"])
        assert set(said) <= stored
        assert len(stored) < 33 or kill == 3, "the kill came too late to test anything"
        assert len(stored) <= len(said) + kill + 1, "at most one answer a kill was stored but not reported"
    assert len(said) == len(set(said)), "an answer that had been reported was asked for again"
    check_all(store, "rating", "ann")

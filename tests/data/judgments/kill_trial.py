"""Raters that are killed at random moments: `python tests/data/judgments/kill_trial.py [ANSWERS] [KILLS] [SEED]`.

Two raters answer at once, each in a process of its own that reports a position on a log file, synced to the disk,
after `record` has returned. They work in bursts; in each, one of them is killed (SIGKILL) at a random moment and
started again, until both are done. Prints the counts as JSON.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pandas as pd

from percept.data.judgments import Judgments

RATERS = ("rater-a", "rater-b")
STUDY = "kills"
BURST = 0.03  # seconds within which the kill falls; about ten answers on an idle machine


def answer_of(rater: str, position: int) -> str:
    """A fixed rule, so that a wrong answer would be seen."""
    return ("left", "right", "skip")[(position * 7 + RATERS.index(rater)) % 3]


def rate(folder: Path, rater: str, total: int) -> None:
    """One rater: goes on at the first position without an answer, as far as the parent allows."""
    store = Judgments(folder / "kills.sqlite")
    log = os.open(folder / f"{rater}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    (folder / f"{rater}.ready").touch()
    if position := store.progress(STUDY, rater).next_position:
        send(store, rater, position - 1)  # as one does who was not told that it arrived
    while (position := store.progress(STUDY, rater).next_position) < total:
        while position >= int((folder / "allowed").read_text() or 0):
            time.sleep(0.001)
        send(store, rater, position)
        os.write(log, f"{position}\n".encode())
        os.fsync(log)


def send(store: Judgments, rater: str, position: int) -> None:
    """Store the answer of one position."""
    store.record(STUDY, rater, f"t{position}", position, answer_of(rater, position), position % 2 == 0, 1.0)


def trial(folder: Path, answers: int, kills: int, seed: int) -> dict[str, float]:
    """Run until both raters have given `answers` answers together, through `kills` kills; returns the counts."""
    rng, began, total = random.Random(seed), time.monotonic(), answers // len(RATERS)
    store = Judgments(folder / "kills.sqlite")
    ids = [f"t{i}" for i in range(total)]
    store.add_study(STUDY, pd.DataFrame({"id": ids, "reference": "r", "left": "a", "right": "b"}))
    for rater in RATERS:
        store.register(rater, consent="simulated rater")
    allow(folder, 0)
    running = {rater: start(folder, rater, total) for rater in RATERS}
    inside = 0
    for kill in range(kills):
        allow(folder, total * (kill + 1) // (kills + 1))
        time.sleep(rng.uniform(0, BURST))
        victim = rng.choice(RATERS)
        before = len(store.answers(STUDY, victim))
        running[victim].kill()
        running[victim].join()
        inside += before < total * (kill + 1) // (kills + 1)
        running[victim] = start(folder, victim, total)
    allow(folder, total)
    for process in running.values():
        process.join()
    counts = compare(folder, store, total)
    return counts | {"kills": kills, "in the middle of a burst": inside, "seconds": round(time.monotonic() - began, 1)}


def allow(folder: Path, position: int) -> None:
    """Let the raters answer up to a position."""
    (folder / "allowed.new").write_text(str(position))
    (folder / "allowed.new").replace(folder / "allowed")


def start(folder: Path, rater: str, total: int) -> multiprocessing.Process:
    """Start one rater and wait until it is at work."""
    (folder / f"{rater}.ready").unlink(missing_ok=True)
    process = multiprocessing.get_context("fork").Process(target=rate, args=(folder, rater, total))
    process.start()
    while not (folder / f"{rater}.ready").exists() and process.is_alive():
        time.sleep(0.001)
    return process


def compare(folder: Path, store: Judgments, total: int) -> dict[str, float]:
    """What was acknowledged and expected, against what is stored."""
    stored = store.answers(STUDY, include_undone=True)
    places = Counter(zip(stored["rater"], stored["position"], strict=True))
    logs = {rater: (folder / f"{rater}.log").read_text().splitlines() for rater in RATERS}
    said = Counter((rater, int(line)) for rater, lines in logs.items() for line in lines)
    # A rater asks again for what the store no longer has: reported twice is lost once.
    again = sum(said.values()) - len(said)
    expected = {(rater, position) for rater in RATERS for position in range(total)}
    return {
        "answers": len(stored),
        "acknowledged": len(said),
        "lost": again + len((set(said) | expected) - set(places)),
        "doubled": len(stored) - len(places),
        "wrong": sum(row.answer != answer_of(row.rater, row.position) for row in stored.itertuples()),
    }


if __name__ == "__main__":
    given = [int(value) for value in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(trial(Path(place), *given, *(1000, 50, 0)[len(given) :])))

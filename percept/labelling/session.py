"""One rater's way through a study: order, sides, repeats, undo, resume. No widgets; the store keeps the answers."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import pandas as pd

from percept.data.judgments import AnsweredError, JudgmentError, Judgments, answers_of, checked_answer
from percept.labelling.plan import Questions, SessionError, Trial, enter_study, plan_trials, rater_name, task_of

if TYPE_CHECKING:
    from percept.data.triplets import Triplets


class Progress(NamedTuple):
    """How far a rater is; `remaining` in seconds is None until three answers allow an estimate."""

    done: int
    total: int
    ignored: int
    remaining: float | None


class Session:
    """One rater answering one study; every answer is in the store before the next trial is current.

    Several sessions may run at once, also of the same rater in another kernel: whoever comes second to a
    position records nothing and goes on to the next open one.
    """

    def __init__(
        self,
        store: Judgments,
        study: str,
        triplets: Triplets | Questions,
        rater: str,
        group: str = "",
        *,
        seed: int = 0,
        repeats: float = 0.1,
        distance: int = 10,
        swap_repeats: bool = True,
        min_seconds: float = 0.15,
        language: str = "en",
        consent: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open or resume; an unknown study or rater is entered into the store.

        Args:
            store: where the answers go.
            study: name of the study; it keeps the questions it began with.
            triplets: what to ask: triplets, or `Questions` about pairs or single pictures.
            rater: pseudonym.
            group: whose eyes, for example "inspector".
            seed, repeats, distance, swap_repeats: as in `plan_trials`; keep them to resume.
            min_seconds: an answer earlier than this after the display is a double press: ignored, counted.
            language: "en" or "ja"; stored.
            consent: the text that the rater agreed to; stored. Only a rater whom the store knows needs none.
            clock: seconds, monotonic.

        Raises:
            SessionError: no pseudonym, or stored answers follow another plan (other seed or repeats).
            percept.data.judgments.JudgmentError: the study has other questions or another task, the rater another
                group or no consent.
        """
        if not rater.strip():
            raise SessionError("a session needs the rater's pseudonym")
        self.store, self.study, self.triplets, self.rater = store, study, triplets, rater_name(rater)
        self.task = task_of(triplets)
        self.min_seconds, self.clock = min_seconds, clock
        self.trials = plan_trials(
            triplets.items, (seed, study, self.rater), repeats=repeats, distance=distance, swap_repeats=swap_repeats
        )
        self.ignored = 0
        self.token = 0
        self._trial: Trial | None = None
        self._seconds: list[float] = []
        self._since = clock()
        enter_study(store, study, triplets)
        if consent or self.rater not in set(store.raters()["rater"]):
            store.register(self.rater, group, language, consent)
        self._next()

    def current(self) -> Trial | None:
        """The trial to answer; None when all are done."""
        return self._trial

    def shown(self) -> None:
        """The current trial has just appeared: response time counts from here."""
        self._since = self.clock()

    def press(self, action: str | float, token: int | None = None, seconds: float | None = None) -> str:
        """What every key, button and script calls.

        Args:
            action: "left" or "right" as shown, or a rating: 1 to 5, with a slider any number from 0 to 100; "skip"
                (can't tell) or "undo".
            token: `self.token` of the display that was answered; a press on an older one is ignored.
            seconds: response time measured where the pictures are; default: since `shown`.

        Returns:
            "stored", "undone", "nothing" (to undo, or to answer), "stale" (older display), "early" (within
            `min_seconds`) or "elsewhere" (another window of this rater has changed what is to be asked).

        Raises:
            SessionError: no answer of this task.
        """
        if action != "undo":
            action = self._answer(action)
        if token is not None and token != self.token:
            self.ignored += 1
            return "stale"
        if action == "undo":
            return self._undo()
        trial = self._trial
        if trial is None:
            return "nothing"
        if seconds is None or not (math.isfinite(seconds) and seconds >= 0):
            seconds = self.clock() - self._since
        if seconds < self.min_seconds:
            self.ignored += 1
            return "early"
        outcome = self._store(trial, action, seconds)
        self._next()
        return outcome

    def answer(self, answer: str | float, seconds: float | None = None) -> str:
        """Choose the picture shown "left" or "right", or give a rating; returns what `press` returns."""
        return self.press(answer, seconds=seconds)

    def skip(self, seconds: float | None = None) -> str:
        """Can't tell."""
        return self.press("skip", seconds=seconds)

    def undo(self) -> str:
        """Take the last answer back and ask it again; may be repeated."""
        return self.press("undo")

    def progress(self) -> Progress:
        """Done, total, ignored presses, and the remaining time from the median response time."""
        done, total = len(self._seconds), len(self.trials)
        remaining = statistics.median(self._seconds) * (total - done) if done >= 3 else None
        return Progress(done, total, self.ignored, remaining)

    def _answer(self, action: str | float) -> str | float:
        try:
            return checked_answer(self.task, action)
        except JudgmentError as error:
            raise SessionError(f"{action!r} is no answer; use {answers_of(self.task)}, or undo") from error

    def _store(self, trial: Trial, answer: str | float, seconds: float) -> str:
        canonical = {"left": "right", "right": "left"}.get(str(answer), answer) if trial.swapped else answer
        try:
            self.store.record(
                self.study, self.rater, str(trial.triplet), trial.position, canonical,
                swapped=trial.swapped, seconds=seconds, kind=trial.kind,
            )  # fmt: skip
        except AnsweredError:
            return "elsewhere"
        return "stored"

    def _undo(self) -> str:
        before = self._trial
        self._next()
        if self._trial != before:
            return "elsewhere"
        if not self._seconds:
            return "nothing"
        self.store.undo(self.study, self.rater)
        self._next()
        return "undone"

    def _next(self) -> None:
        """Read the store, which other kernels share, and stand on the first open position."""
        stored = self.store.answers(self.study, self.rater)
        self._check(stored)
        self._seconds = [float(value) for value in stored["seconds"]]
        done = {int(position) for position in stored["position"]}
        trial = next((trial for trial in self.trials if trial.position not in done), None)
        if trial != self._trial:
            self._trial = trial
            self.token += 1
            self.shown()

    def _check(self, stored: pd.DataFrame) -> None:
        for position, triplet in zip(stored["position"], stored["triplet"], strict=True):
            place = int(position)
            if place >= len(self.trials) or str(triplet) != str(self.trials[place].triplet):
                raise SessionError(
                    f"stored answers of {self.rater!r} in study {self.study!r} follow another plan (position {place}): "
                    "use the seed and repeats they began with, or another study name"
                )


class Desk(Protocol):
    """Where answers are given: a `Session`, or the widget around one."""

    def current(self) -> Trial | None: ...  # noqa: D102 - as in Session
    def press(  # noqa: D102
        self, action: str | float, token: int | None = None, seconds: float | None = None
    ) -> str: ...


@dataclass
class ScriptedRater:
    """A rater without hands, for notebooks and CI: answers through the same callback as keys and buttons.

    Attributes:
        choose: given the trial as shown, returns "left", "right" or a rating, "skip" or "undo".
        seconds: response time that is recorded, constant or by trial.
    """

    choose: Callable[[Trial], str | float]
    seconds: float | Callable[[Trial], float] = 1.0

    def run(self, desk: Desk, limit: int | None = None) -> int:
        """Answer until the end, or `limit` presses; returns how many presses were made."""
        presses = 0
        while (trial := desk.current()) is not None and (limit is None or presses < limit):
            seconds = self.seconds(trial) if callable(self.seconds) else self.seconds
            answer = self.choose(trial)
            outcome = desk.press(answer, seconds=seconds)
            if outcome == "early":
                raise SessionError(f"a scripted answer after {seconds} s counts as a double press; take longer")
            if outcome in ("failed", "nothing"):  # it would be asked for ever
                raise SessionError(f"the scripted answer {answer!r} at position {trial.position} was not accepted")
            presses += 1
        return presses

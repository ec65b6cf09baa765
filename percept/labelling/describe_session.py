"""One rater's way through pictures to describe. No widgets; the store keeps what is written."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

from percept.data.judgments import AnsweredError, Entry, Judgments
from percept.data.judgments.entries import LEAST_SIDE, MAX_TEXT, clean_text, parsed_entry, standing
from percept.labelling.pictures import full_size
from percept.labelling.plan import Questions, SessionError, Trial, enter_study, plan_trials, rater_name
from percept.labelling.session import Progress

ACTIONS = ("save", "delete", "next", "skip", "undo")


class DescribeSession:
    """One rater describing the pictures of one study; everything that is saved is in the store when `press` returns.

    Several sessions may run at once, also of the same rater in another kernel: what either saves is kept, and a
    picture is closed once.

    Attributes:
        entries: descriptions of the current picture by their position in the store.
        taken_back: what the last undo took from the current picture, to be written anew.
        token: changes whenever something that is shown has changed.
        language: stored with each description.
    """

    def __init__(
        self,
        store: Judgments,
        study: str,
        pictures: Questions,
        rater: str,
        group: str = "",
        *,
        seed: int = 0,
        min_seconds: float = 0.15,
        language: str = "en",
        consent: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open or resume; an unknown study or rater is entered into the store.

        Args:
            store: where the descriptions go.
            study: name of the study; it keeps the pictures it began with.
            pictures: `Questions` of the task "describe".
            rater: pseudonym.
            group: whose eyes, for example "inspector".
            seed: of the rater's order of the pictures.
            min_seconds: a picture closed earlier than this after the display is a double press: ignored, counted.
            language: "en" or "ja"; stored.
            consent: the text that the rater agreed to; stored. Only a rater whom the store knows needs none.
            clock: seconds, monotonic.

        Raises:
            SessionError: no pseudonym, or pictures of another task.
            percept.data.judgments.JudgmentError: the study has other pictures or another task, the rater another
                group or no consent.
        """
        if not rater.strip():
            raise SessionError("a session needs the rater's pseudonym")
        if pictures.task != "describe":
            raise SessionError(f"descriptions need Questions of the task 'describe', not {pictures.task!r}")
        self.store, self.study, self.pictures, self.rater = store, study, pictures, rater_name(rater)
        self.min_seconds, self.clock, self.language = min_seconds, clock, language
        self.trials = plan_trials(pictures.items, (seed, study, self.rater), repeats=0)
        self.entries: dict[int, Entry] = {}
        self.taken_back: Entry | None = None
        self.token = self.ignored = 0
        self._trial: Trial | None = None
        self._closed: set[str] = set()
        self._state: tuple[int, ...] | None = None
        enter_study(store, study, pictures)
        if consent or self.rater not in set(store.raters()["rater"]):
            store.register(self.rater, group, language, consent)
        self._refresh()

    def current(self) -> Trial | None:
        """The picture to describe (`reference` is its row); None when all are done."""
        return self._trial

    def shown(self) -> None:
        """The current picture has just appeared: time counts from here."""
        self._since = self.clock()

    def progress(self) -> Progress:
        """Pictures done, all, and ignored presses; no estimate of the remaining time."""
        return Progress(len(self._closed), len(self.trials), self.ignored, None)

    def press(
        self,
        action: str,
        token: int | None = None,
        seconds: float | None = None,
        *,
        text: str = "",
        box: Sequence[float] | None = None,
        fields: Mapping[str, str] | None = None,
        entry: int | None = None,
    ) -> str:
        """What every button, key and script calls.

        Args:
            action: "save" or "delete" a description, "next" (saves `text` first, if any), "skip" (nothing to describe)
                or "undo" (takes back the last of all these).
            token: `self.token` of the display; a press on an older one is ignored.
            seconds: time measured where the picture is; default: since `shown`.
            text: plain words; see `percept.data.judgments.entries.clean_text`.
            box: x, y, width, height in px of the original upright picture, cut to it; None: the whole picture.
            fields: choices from a template by field.
            entry: position of the description to delete, or to put this one in the place of.

        Returns:
            "saved", "deleted", "stored" (the picture is closed), "undone"; or, with nothing stored: "nothing" (to
            undo, or to describe), "empty", "long", "small" (box), "described" (no skip then), "early", "stale" (older
            display) or "elsewhere" (another window has changed what is described).

        Raises:
            SessionError: no such action, or a box that is none.
            percept.data.judgments.JudgmentError: it cannot be stored.
        """
        if action not in ACTIONS:
            raise SessionError(f"{action!r} is no action; use {', '.join(ACTIONS)}")
        if token is not None and token != self.token:
            self.ignored += 1
            return "stale"
        self.taken_back = None
        if action == "undo":
            return self._undo()
        trial = self._trial
        if trial is None:
            return "nothing"
        if seconds is None or not (math.isfinite(seconds) and seconds >= 0):
            seconds = self.clock() - self._since
        if action == "delete":
            return self._replace(trial, Entry("", language=self.language, replaces=entry), seconds, "deleted")
        if action == "skip" and (self.entries or clean_text(text)):
            return "described"
        if action == "save" or (action == "next" and (clean_text(text) or box is not None)):
            outcome = self._save(trial, seconds, text, box, fields, entry)
            if action == "save" or outcome != "saved":
                return outcome
        elif seconds < self.min_seconds:
            self.ignored += 1
            return "early"
        elif action == "next" and not self.entries:
            return "empty"
        return self._write(trial, "skip" if action == "skip" else "done", seconds, "ask", "stored")

    def _save(
        self, trial: Trial, seconds: float, text: str, box: Sequence[float] | None,
        fields: Mapping[str, str] | None, entry: int | None,
    ) -> str:  # fmt: skip
        words = clean_text(text)
        if not words or len(words) > MAX_TEXT:
            return "long" if words else "empty"
        place = None if box is None else fitted_box(box, *full_size(self.pictures, trial.reference))
        if box is not None and place is None:
            return "small"
        chosen = {name: value for name, value in (fields or {}).items() if value}
        return self._replace(trial, Entry(words, place, chosen, self.language, entry), seconds, "saved")

    def _replace(self, trial: Trial, made: Entry, seconds: float, outcome: str) -> str:
        """Write an entry, unless what it is to replace is no longer there."""
        self._refresh()
        new = made.text and made.replaces is None
        if not new and not (trial == self._trial and made.replaces in self.entries):
            return "elsewhere"
        return self._write(trial, made.encoded(), seconds, "entry", outcome)

    def _write(self, trial: Trial, answer: str, seconds: float, kind: str, outcome: str) -> str:
        while True:
            self._refresh()
            if kind == "ask" and str(trial.triplet) in self._closed:
                return "elsewhere"
            try:
                place = self.study, self.rater, str(trial.triplet), self._free
                self.store.record(*place, answer, seconds=seconds, kind=kind)
            except AnsweredError:
                continue  # another window was quicker with this position; the words go to the next one
            self._refresh()
            return outcome

    def _undo(self) -> str:
        state = self._state
        self._refresh()
        if self._state != state:
            return "elsewhere"
        taken = self.store.undo(self.study, self.rater)
        if taken is None:
            return "nothing"
        self._refresh()
        if taken["kind"] == "entry" and self._trial is not None and taken["triplet"] == str(self._trial.triplet):
            entry = parsed_entry(taken["answer"])
            self.taken_back = entry if entry.text else None  # what was removed is there again
        return "undone"

    def _refresh(self) -> None:
        """Read the store, which other kernels share, and stand on the first picture that is not closed."""
        rows = self.store.answers(self.study, self.rater, include_undone=True)
        self._free = int(rows["position"].max()) + 1 if len(rows) else 0  # also beyond what was taken back
        rows = rows[rows["undone"].isna()]
        state = tuple(rows["id"])
        if state != self._state:
            self._state, self.token = state, self.token + 1
            self.shown()
        self._closed = set(rows.loc[rows["kind"] == "ask", "triplet"])
        self._trial = next((trial for trial in self.trials if str(trial.triplet) not in self._closed), None)
        here = str(self._trial.triplet) if self._trial else ""
        written = rows[(rows["kind"] == "entry") & (rows["triplet"] == here)]
        given = zip(written["position"], written["answer"], strict=True)
        self.entries = standing({int(position): parsed_entry(answer) for position, answer in given})


def fitted_box(box: Sequence[float], width: int, height: int) -> tuple[int, int, int, int] | None:
    """A box in whole px, cut to a picture of `width` x `height` px; None if a side is then below `LEAST_SIDE` px.

    Raises:
        SessionError: not four finite numbers.

    Example:
        >>> fitted_box([-3.2, 10.4, 20, 99], 64, 48), fitted_box([60, 0, 30, 30], 63, 48)
        ((0, 10, 17, 38), None)
    """
    try:
        x, y, wide, tall = (float(value) for value in box)
        left, right = (min(max(round(edge), 0), width) for edge in (x, x + wide))
        top, bottom = (min(max(round(edge), 0), height) for edge in (y, y + tall))
    except (TypeError, ValueError, OverflowError) as error:
        raise SessionError(f"a box is [x, y, width, height] in px, not {box!r}") from error
    fitted = (left, top, right - left, bottom - top)
    return fitted if min(fitted[2:]) >= LEAST_SIDE else None

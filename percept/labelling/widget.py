"""The labelling widget: shows a `Session` and hands presses to it; every answer is stored before the next question."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import ipywidgets
import traitlets

from percept.data.judgments import Judgments
from percept.labelling.pictures import Shelf
from percept.labelling.plan import Questions, SessionError, Trial, task_of
from percept.labelling.session import Session
from percept.labelling.texts import LANGUAGES, remaining, words
from percept.labelling.welcome import Welcome

if TYPE_CHECKING:
    from percept.data.triplets import Triplets

# Answers with large buttons (all other tasks: left, skip, right); default edge of a picture in CSS pixels.
_ANSWERS: dict[str, tuple[str, ...]] = {"rating": ("1", "2", "3", "4", "5"), "slider": ()}
_SIZES = {"two_alternative": 224, "pair": 300, "rating": 400, "slider": 400}


class Stage(anywidget.AnyWidget):
    """Pictures, slider and keys; sends {action, token, seconds} and is locked until the next trial is shown."""

    _esm = Path(__file__).with_name("front.js")
    _css = Path(__file__).with_name("front.css")
    task = traitlets.Unicode().tag(sync=True)
    trial = traitlets.Dict().tag(sync=True)
    words = traitlets.Dict().tag(sync=True)
    message = traitlets.Unicode().tag(sync=True)


class Labeller(ipywidgets.VBox):
    """Which of two pictures looks more like a third; which of two is better; how good is one? In English or Japanese.

    A consent page, the questions, a last page. Works in JupyterLab, Jupyter Notebook and VS Code without a network.
    Show it as the last line of a cell; to go on after a restart, run the cell again.

    Example:
        >>> from percept.data.judgments import Judgments
        >>> from percept.labelling import Labeller
        >>> Labeller(Judgments("judgments.sqlite"), "pilot", triplets, groups=["inspector"])  # doctest: +SKIP
    """

    def __init__(
        self,
        store: Judgments,
        study: str,
        triplets: Triplets | Questions,
        rater: str = "",
        *,
        group: str = "",
        groups: Sequence[str] = (),
        language: str = "en",
        consent: Mapping[str, str] | None = None,
        size: int | None = None,
        **plan: Any,
    ) -> None:
        """Build the panel.

        Args:
            store, study, triplets: as in `Session`.
            rater: pseudonym; one that the store knows goes on at once, without the consent page.
            group: of the rater; the first page asks for it, as for the pseudonym.
            groups: the groups to choose from; empty: a free text field.
            language: "en" or "ja"; the rater can change it.
            consent: own consent texts by language, instead of `words(language, task)["consent"]`.
            size: edge of a picture's place on the screen, in CSS pixels; larger ones are reduced to it, which hides
                fine defects. Default: 224 for triplets, 300 for pairs, 400 for a single picture.
            **plan: seed, repeats, distance, swap_repeats, min_seconds, clock of `Session`.
        """
        self.task = task_of(triplets)
        if self.task not in _SIZES:
            raise SessionError("descriptions have a panel of their own: use describe_folder, or Describer")
        size = _SIZES[self.task] if size is None else size
        if size < 32:
            raise SessionError(f"size={size} is too small to see anything; use at least 32 pixels")
        self.store, self.study, self.triplets, self.size, self.plan = store, study, triplets, size, plan
        self.session: Session | None = None
        self.shelf, self._trouble = Shelf(triplets, size), ""
        said = {code: words(code, self.task) for code in LANGUAGES}
        self.welcome = page = Welcome(store, said, consent, rater, group, groups, language)
        self.language, self.intro, self.note, self.agree = page.language, page.intro, page.note, page.agree
        self.rater, self.group, self.start = page.rater, page.group, page.start
        self._build()
        super().__init__([self.language, self.welcome, self.trial, self.final])
        self.add_class("percept-panel")
        self.layout.max_width = f"{max((2 if 'left' in self.buttons else 1) * size + 80, 640)}px"
        self._translate()
        if page.known():
            self._start()

    # --- what the rater does

    def press(self, action: str | float, token: int | None = None, seconds: float | None = None) -> str:
        """Keys, buttons and scripts all end here; returns what `Session.press` returns, or "failed"."""
        if self.session is None or (action not in ("skip", "undo") and None in self.stage.trial.get("pictures", ())):
            return "nothing"
        try:
            outcome = self.session.press(action, token, seconds)
        except (ValueError, OSError) as error:  # the rater must learn that this answer is not on the disk
            outcome, message = "failed", self._say("failed", reason=error)
        else:
            message = self._say(outcome)
        self._show(message)
        self.stage.send({"unlock": self.session.token})
        return outcome

    def current(self) -> Trial | None:
        """The trial on the screen; None before the first and after the last."""
        return self.session.current() if self.session else None

    def begin(self) -> None:
        """Agree to the text on the first page and start: what the first page's button does."""
        if consent := self.welcome.agreement():
            self._start(consent)

    def sign_in(self, rater: str, group: str = "") -> None:
        """Fill in the first page and press its button, for scripts."""
        self.welcome.fill(rater, group)

    def _start(self, consent: str = "") -> None:
        try:
            self.session = Session(
                self.store, self.study, self.triplets, self.rater.value, self.group.value or "",
                language=self.language.value, consent=consent, **self.plan,
            )  # fmt: skip
        except (ValueError, OSError) as error:
            self.welcome.refuse(error)
            return
        self._show()

    def _heard(self, _: Any, content: dict[str, Any], __: Any) -> None:
        if "action" in content:
            self.press(content["action"], content.get("token"), content.get("seconds"))

    # --- what the rater sees

    def _build(self) -> None:
        button, hidden = ipywidgets.Button, ipywidgets.Layout(display="none")
        wide = ipywidgets.Layout(width="auto", flex="1 1 0")
        self.thanks = ipywidgets.HTML()
        self.buttons = {action: button(layout=wide) for action in _ANSWERS.get(self.task, ("left", "skip", "right"))}
        answers = [*self.buttons.values()]
        others = [action for action in ("undo", "skip") if action not in self.buttons]
        self.buttons |= {action: button(layout=ipywidgets.Layout(width="auto")) for action in others}
        self.back = button(layout=ipywidgets.Layout(width="auto", align_self="flex-start"))
        self.bar = ipywidgets.IntProgress(layout=ipywidgets.Layout(width="auto", flex="1 1 0", margin="0 12px"))
        self.state = ipywidgets.Label()
        self.stage = Stage(task=self.task)
        row = ipywidgets.Layout(
            width=f"min({max(2 * self.size + 24, 560)}px, 100%)", margin="4px auto", align_items="center"
        )
        choice = ipywidgets.HBox(answers, layout=row)
        foot = ipywidgets.HBox([*(self.buttons[action] for action in others), self.bar, self.state], layout=row)
        self.trial = ipywidgets.VBox([self.stage, choice, foot], layout=hidden)
        self.final = ipywidgets.VBox([self.thanks, self.back], layout=ipywidgets.Layout(display="none"))
        self._connect()

    def _connect(self) -> None:
        for action, button in self.buttons.items():
            button.add_class(f"percept-act-{action}")
            button.on_click(lambda _, action=action: self.press(action))
        self.back.on_click(lambda _: self.press("undo"))
        self.start.on_click(lambda _: self.begin())
        self.stage.on_msg(self._heard)
        self.language.observe(lambda _: self._translate(), "value")

    def _say(self, key: str, **values: object) -> str:
        return words(self.language.value, self.task)[key].format(**values)

    def _translate(self) -> None:
        said = words(self.language.value, self.task)
        self.welcome.translate()
        for action, button in self.buttons.items():
            word = said[f"choose_{action}" if action in ("left", "right") else action]
            button.description = f"{action} {word}" if action.isdigit() else word
        self.back.description = said["back"]
        self.stage.words = said
        self._show()

    def _show(self, message: str = "") -> None:
        """Bring the screen to where the session is."""
        if self.session is None:
            return
        trial, progress = self.session.current(), self.session.progress()
        state = self._say("progress", done=progress.done, total=progress.total)
        left = remaining(progress.remaining, self.language.value) if trial else ""
        self.bar.max, self.bar.value = progress.total, progress.done
        self.state.value = f"{state} · {left}" if left else state
        done = html.escape(self._say("done", done=progress.done))
        self.thanks.value = f'<div class="percept-text"><h3>{self._say("done_title")}</h3><p>{done}</p></div>'
        self.welcome.layout.display = "none"
        self.language.layout.order = "1"  # below: the screen is for the pictures
        self.language.layout.align_self = "center" if trial else "flex-start"
        self.trial.layout.display = None if trial else "none"
        self.final.layout.display = "none" if trial else None
        if trial is not None:
            self._present(trial, message, state)

    def _present(self, trial: Trial, message: str, state: str) -> None:
        assert self.session is not None
        if self.stage.trial.get("token") == self.session.token:
            self.stage.message = message or self._trouble
            return
        pictures: list[dict[str, Any] | None]
        try:
            pictures, self._trouble = [*self.shelf.take(trial.rows)], ""
        except (ValueError, OSError) as error:
            pictures, self._trouble = [None] * len(trial.rows), self._say("unreadable", reason=error)
        self.stage.message = self._trouble or message
        self.stage.trial = {"token": self.session.token, "size": self.size, "spoken": state, "pictures": pictures}
        self.session.shown()
        for following in self.session.trials[trial.position + 1 : trial.position + 2]:
            self.shelf.prepare(following.rows)

"""The panel for describing one's own images: shows a `DescribeSession`; what is saved is stored before it says so."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets

from percept.data.judgments import Judgments
from percept.data.judgments.entries import LEAST_SIDE, MAX_TEXT, clean_text
from percept.labelling.describe_session import DescribeSession
from percept.labelling.describe_texts import WORDS
from percept.labelling.pictures import Shelf, full_size
from percept.labelling.plan import Questions, SessionError, Trial
from percept.labelling.templates import check_template, compose, form
from percept.labelling.welcome import Welcome


class Desk(anywidget.AnyWidget):
    """Picture, boxes, fields and text; sends an action with what is in the field, and keeps that until it is stored."""

    _esm = Path(__file__).with_name("describe_front.js")
    _css = Path(__file__).with_name("front.css")
    token = traitlets.Int(-1).tag(sync=True)
    picture = traitlets.Any().tag(sync=True)  # None: it cannot be shown
    entries = traitlets.List(traitlets.Dict()).tag(sync=True)
    form = traitlets.List(traitlets.Dict()).tag(sync=True)
    progress = traitlets.Dict().tag(sync=True)
    words = traitlets.Dict().tag(sync=True)
    message = traitlets.Unicode().tag(sync=True)


class Describer(ipywidgets.VBox):
    """What is to be seen in a picture, or in boxes that are dragged on it? In English or Japanese, by mouse or keys.

    A consent page, the pictures, a last page, as in `percept.labelling.Labeller`. A box can also be made by keyboard:
    with the picture in focus (Tab), B puts one into its middle, the arrow keys move it, with Shift they change its
    size, Enter goes on to the text. A box lies inside the picture and has sides of at least 4 px of the original.
    """

    def __init__(
        self,
        store: Judgments,
        study: str,
        pictures: Questions,
        rater: str = "",
        *,
        template: Mapping[str, Any] | None = None,
        group: str = "",
        groups: Sequence[str] = (),
        language: str = "en",
        consent: Mapping[str, str] | None = None,
        size: int = 600,
        **session: Any,
    ) -> None:
        """Build the panel.

        Args:
            store, study, pictures: as in `DescribeSession`.
            rater: pseudonym; one that the store knows goes on at once, without the consent page.
            template: as `percept.labelling.templates` says; None: free words only.
            group, groups, language, consent: as in `percept.labelling.Labeller`.
            size: edge of the picture's place on the screen, in CSS pixels; larger pictures are reduced to it.
            **session: seed, min_seconds, clock of `DescribeSession`.

        Raises:
            SessionError: a size, language or template that cannot be used.
        """
        if size < 200:
            raise SessionError(f"size={size} is too small to drag boxes; use at least 200 pixels")
        if template is not None:
            check_template(template)
        self.store, self.study, self.pictures, self.options = store, study, pictures, session
        self.template, self.size, self.shelf = template, size, Shelf(pictures, size)
        self.session: DescribeSession | None = None
        self._shown: Trial | None = None
        self._trouble = ""
        self.welcome = Welcome(store, WORDS, consent, rater, group, groups, language)
        self.language = self.welcome.language
        self.desk = Desk(layout=ipywidgets.Layout(display="none"))
        self.thanks = ipywidgets.HTML()
        self.back = ipywidgets.Button(layout=ipywidgets.Layout(width="auto", align_self="flex-start"))
        self.final = ipywidgets.VBox([self.thanks, self.back], layout=ipywidgets.Layout(display="none"))
        super().__init__([self.language, self.welcome, self.desk, self.final])
        self.add_class("percept-panel")
        self.layout.max_width = f"{size + 460}px"
        self.welcome.start.on_click(lambda _: self.begin())
        self.back.on_click(lambda _: self.press("undo"))
        self.desk.on_msg(self._heard)
        self.language.observe(lambda _: self._translate(), "value")
        self._translate()
        if self.welcome.known():
            self._start()

    # --- what the rater does

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
        """Buttons, keys and scripts all end here; returns what `DescribeSession.press` returns, or "failed"."""
        if self.session is None or (self._trouble and (action == "save" or text.strip())):
            return "nothing"
        try:
            outcome = self.session.press(action, token, seconds, text=text, box=box, fields=fields, entry=entry)
        except (ValueError, OSError) as error:  # the rater must learn that this is not on the disk
            outcome, message = "failed", self._say("failed", reason=error)
        else:
            message = self._say(outcome, most=MAX_TEXT, length=len(clean_text(text)), least=LEAST_SIDE)
        self._show(message)
        taken = self.session.taken_back
        draft = taken and {"text": taken.text, "box": taken.box, "fields": taken.fields or {}, "entry": taken.replaces}
        self.desk.send({"outcome": outcome, "draft": draft})
        return outcome

    def current(self) -> Trial | None:
        """The picture on the screen (`reference` is its row); None before the first and after the last."""
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
            self.session = DescribeSession(
                self.store, self.study, self.pictures, self.welcome.rater.value, self.welcome.group.value or "",
                language=self.language.value, consent=consent, **self.options,
            )  # fmt: skip
        except (ValueError, OSError) as error:
            self.welcome.refuse(error)
            return
        self._show()

    def _heard(self, _: Any, content: dict[str, Any], __: Any) -> None:
        if "compose" in content and self.template is not None:
            self.desk.send({"composed": compose(self.template, content["compose"], self.language.value)})
        elif "action" in content:
            names = ("token", "seconds", "text", "box", "fields", "entry")
            self.press(content["action"], **{name: content[name] for name in names if name in content})

    # --- what the rater sees

    def _say(self, key: str, **values: object) -> str:
        return WORDS[self.language.value][key].format(**values)

    def _translate(self) -> None:
        language = self.language.value
        self.welcome.translate()
        self.back.description = self._say("back")
        self.desk.words = WORDS[language]
        self.desk.form = form(self.template, language) if self.template is not None else []
        if self.session is not None:
            self.session.language = language
        self._show()

    def _show(self, message: str = "") -> None:
        """Bring the screen to where the session is."""
        if self.session is None:
            return
        trial, progress = self.session.current(), self.session.progress()
        done = html.escape(self._say("done", done=progress.done))
        self.thanks.value = f'<div class="percept-text"><h3>{self._say("done_title")}</h3><p>{done}</p></div>'
        self.welcome.layout.display = "none"
        self.language.layout.order = "1"  # below: the screen is for the picture
        self.desk.layout.display = None if trial else "none"
        self.final.layout.display = "none" if trial else None
        with self.desk.hold_sync():  # the front end sees one change, not half of one
            if trial != self._shown:
                self._load(trial)
            self.desk.message = self._trouble or message
            state = self._say("progress", done=progress.done, total=progress.total)
            self.desk.progress = {"done": progress.done, "total": progress.total, "text": state}
            self.desk.entries = [
                {"entry": place, "text": entry.text, "box": entry.box, "fields": dict(entry.fields or {})}
                for place, entry in self.session.entries.items()
            ]
            self.desk.token = self.session.token

    def _load(self, trial: Trial | None) -> None:
        """Put a picture on the desk and open the next one; without one, say why."""
        assert self.session is not None
        picture: dict[str, Any] | None = None
        self._shown, self._trouble = trial, ""
        if trial is not None:
            try:
                full = full_size(self.pictures, trial.reference)
                picture = self.shelf.take(trial.rows)[0] | {"full": full}
            except (ValueError, OSError) as error:
                self._trouble = self._say("unreadable", reason=error)
            following = self.session.trials[trial.position + 1 : trial.position + 2]
            self.shelf.prepare([row for next_one in following for row in next_one.rows])
        self.desk.picture = picture
        self.session.shown()

"""The first page of every panel: what is asked and stored, pseudonym, group and consent; and the choice of language."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import ipywidgets

from percept.data.judgments import Judgments
from percept.labelling.plan import SessionError, rater_name
from percept.labelling.texts import LANGUAGES


class Welcome(ipywidgets.VBox):
    """Consent text, fields and the button `start`, which can be pressed once name and consent are there.

    `language` is not on the page: the panel keeps it in sight.
    """

    def __init__(
        self, store: Judgments, said: Mapping[str, Mapping[str, str]], consent: Mapping[str, str] | None,
        rater: str, group: str, groups: Sequence[str], language: str,
    ) -> None:  # fmt: skip
        """Build the page; `said` are the panel's texts by language, the others as in `Labeller`."""
        if language not in LANGUAGES:
            raise SessionError(f"language {language!r} is not there; use one of {', '.join(LANGUAGES)}")
        self.store, self.texts, self.consent = store, said, dict(consent or {})
        full = ipywidgets.Layout(width="min(420px, 96%)")
        self.language = ipywidgets.ToggleButtons(options=[(n, code) for code, n in LANGUAGES.items()], value=language)
        self.language.style.button_width = "auto"
        self.intro, self.note = ipywidgets.HTML(), ipywidgets.HTML()
        self.rater = ipywidgets.Text(rater, layout=full)
        if groups:
            choices = ["", *groups] if not group else list(dict.fromkeys([group, *groups]))
            self.group = ipywidgets.Dropdown(options=choices, value=group, layout=full)
        else:
            self.group = ipywidgets.Text(group, layout=full)
        self.agree = ipywidgets.Checkbox(indent=False, layout=ipywidgets.Layout(width="auto"))
        wide = ipywidgets.Layout(width="160px")
        self.start = ipywidgets.Button(disabled=True, button_style="primary", layout=wide)
        super().__init__([self.intro, self.rater, self.group, self.note, self.agree, self.start])
        for field in (self.rater, self.agree):
            field.observe(lambda _: self._check(), "value")

    def known(self) -> bool:
        """Whether the store knows the name in the field."""
        name = rater_name(self.rater.value)
        return bool(name) and name in set(self.store.raters()["rater"])

    def agreement(self) -> str:
        """The text that was agreed to, for the store; empty while name or consent is missing."""
        if not (rater_name(self.rater.value) and self.agree.value):
            return ""
        return f"{self._consent_text()}\n{self._said()['agree']}"

    def fill(self, rater: str, group: str = "") -> None:
        """Fill in the page and press its button, for scripts."""
        self.rater.value, self.group.value, self.agree.value = rater, group, True
        self.start.click()

    def refuse(self, error: Exception) -> None:
        """Say why it cannot begin."""
        self.note.value = f'<p role="alert">{html.escape(str(error))}</p>'

    def translate(self) -> None:
        """Show the page in the chosen language."""
        said = self._said()
        paragraphs = "".join(f"<p>{html.escape(part)}</p>" for part in self._consent_text().split("\n"))
        self.intro.value = f'<div class="percept-text"><h3>{said["consent_title"]}</h3>{paragraphs}</div>'
        self.language.tooltips = [said["language"]] * len(LANGUAGES)
        self.rater.description, self.rater.placeholder = said["pseudonym"], said["pseudonym_hint"]
        self.group.description = said["group"]
        if isinstance(self.group, ipywidgets.Text):
            self.group.placeholder = said["group_hint"]
        self.agree.description, self.start.description = said["agree"], said["begin"]
        self._check()

    def _said(self) -> Mapping[str, str]:
        return self.texts[self.language.value]

    def _consent_text(self) -> str:
        return self.consent.get(self.language.value) or self._said()["consent"]

    def _check(self) -> None:
        """Let the rater begin when name and consent are there, and say so when the name has answers."""
        self.start.disabled = not self.agreement()
        greeting = self._said()["known"].format(rater=rater_name(self.rater.value)) if self.known() else ""
        self.note.value = f"<p>{html.escape(greeting)}</p>" if greeting else ""

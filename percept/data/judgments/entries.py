"""What is written about a picture, as one answer holds it: words, and the box that they speak of.

Entries are only ever added. One that is changed or removed has a later one that replaces it, so that taking back the
last answer takes back a change too.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, NamedTuple

from percept.data.judgments.file import JudgmentError

MAX_TEXT = 500  # characters
LEAST_SIDE = 4  # of a box, in px of the original picture
# Marks that turn the direction of writing could make a sentence look like another one.
_TURNING = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


class Entry(NamedTuple):
    """One description.

    Attributes:
        text: plain text as `clean_text` makes it; empty: what it replaces is removed.
        box: x, y, width, height in px of the upright picture; None: the whole picture.
        fields: choices from a template by field.
        language: of the panel in which it was written.
        replaces: position of the same rater's answer whose place it takes.
    """

    text: str
    box: tuple[int, int, int, int] | None = None
    fields: Mapping[str, str] | None = None
    language: str = ""
    replaces: int | None = None

    def encoded(self) -> str:
        """The answer as the store keeps it: JSON, without what is not known.

        Example:
            >>> Entry("a red cup", (0, 4, 20, 30)).encoded()
            '{"text": "a red cup", "box": [0, 4, 20, 30]}'
        """
        known = {name: value for name, value in self._asdict().items() if value or value == 0 or name == "text"}
        return json.dumps(known, ensure_ascii=False)


def clean_text(text: str) -> str:
    r"""Plain text on one line: Unicode NFC, control characters and runs of blanks as one blank, none at the ends.

    Text in which nothing can be seen becomes empty.

    Example:
        >>> clean_text("  a scratch\n near\tthe rim\x00 "), clean_text("\u200b\u3000")
        ('a scratch near the rim', '')
    """
    normal = unicodedata.normalize("NFC", text)
    spaced = "".join(" " if _unsafe(character) else character for character in normal)
    seen = any(unicodedata.category(character)[0] in "LNPS" for character in spaced)
    return re.sub(" +", " ", spaced).strip() if seen else ""


def _unsafe(character: str) -> bool:
    return character in _TURNING or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def parsed_entry(answer: Any) -> Entry:
    """An entry from its JSON; the text is cleaned.

    Raises:
        JudgmentError: no such JSON, no text, one that is too long, or a box that is none.
    """
    try:
        known = json.loads(answer)
    except (TypeError, ValueError, RecursionError):
        known = None
    if not isinstance(known, dict) or not isinstance(known.get("text"), str) or set(known) - set(Entry._fields):
        form = '{"text": "...", "box": [x, y, width, height]}'
        raise JudgmentError(f"an entry must be JSON such as {form}, not {str(answer)[:120]!r}")
    box, fields = known.get("box"), known.get("fields")
    language, replaces = known.get("language", ""), known.get("replaces")
    if replaces is not None and not _whole(replaces):
        raise JudgmentError(f"replaces must be the position of an entry, not {replaces!r}")
    text = clean_text(known["text"])
    if len(text) > MAX_TEXT:
        raise JudgmentError(f"a description has at most {MAX_TEXT} characters, this one has {len(text)}")
    if not text and (replaces is None or box is not None):
        raise JudgmentError("a description is empty; write something, or answer skip")
    if box is not None and not (isinstance(box, list) and len(box) == 4 and all(map(_whole, box))):
        raise JudgmentError(f"box must be [x, y, width, height] in whole px of the picture, not {box!r}")
    if box is not None and min(box[2:]) < LEAST_SIDE:
        raise JudgmentError(f"box {box} is too small; its sides must be at least {LEAST_SIDE} px")
    plain = [*fields.values()] if isinstance(fields, dict) else [] if fields is None else [fields]
    if not all(isinstance(value, str) for value in [*plain, language]):
        raise JudgmentError(f"fields must be texts by name and language a text, not {fields!r} and {language!r}")
    return Entry(text, tuple(box) if box else None, fields or None, language, replaces)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def standing(entries: Mapping[int, Entry]) -> dict[int, Entry]:
    """Those of one rater's entries that hold, by position: neither replaced nor removed, in the order of their start.

    Example:
        >>> standing({0: Entry("a cup"), 1: Entry("a plate"), 2: Entry("a red cup", replaces=0)})
        {2: Entry(text='a red cup', ...), 1: Entry(text='a plate', ...)}
    """
    begun: dict[int, int] = {}
    for position in sorted(entries):
        replaces = entries[position].replaces
        begun[position] = position if replaces is None else begun.get(replaces, replaces)
    replaced = {entry.replaces for entry in entries.values()}
    held = [position for position in entries if position not in replaced and entries[position].text]
    return {position: entries[position] for position in sorted(held, key=lambda place: (begun[place], place))}

"""Templates of the shop floor: fields with given choices that make a sentence, in English and in Japanese.

A template is plain data, such as `INSPECTION`:

    {"fields": {"part": {"en": "Part", "ja": "部位", "choices": [{"en": "rim", "ja": "縁"}, "A-12"]}, ...},
     "sentence": {"en": ["{severity} ", "{defect}", [" at the {location} of the {part}", " on the {part}"]], ...}}

A text is given by language, or as one string for all. A sentence is a list of pieces, put together without anything
between them. A piece is left out unless all its fields are chosen; of a list of pieces the first one that can be
filled is used. A choice is stored under its English text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Any

from percept.data.judgments.entries import clean_text
from percept.labelling.plan import SessionError
from percept.labelling.texts import LANGUAGES

Template = Mapping[str, Any]


def _pairs(text: str) -> list[dict[str, str]]:
    return [dict(zip(("en", "ja"), line.split("/"), strict=True)) for line in text.split(", ")]


INSPECTION: dict[str, Any] = {
    "fields": {
        "part": {
            "en": "Part",
            "ja": "部位",
            "choices": _pairs("surface/表面, edge/端部, corner/角部, hole/穴部, weld/溶接部, label/ラベル"),
        },
        "defect": {
            "en": "Defect",
            "ja": "欠陥",
            "choices": _pairs(
                "scratch/キズ, dent/打痕, crack/割れ, chip/欠け, burr/バリ, stain/汚れ, discolouration/変色, "
                "foreign matter/異物付着, no visible defect/異常なし"
            ),
        },
        "location": {
            "en": "Location",
            "ja": "位置",
            "choices": _pairs(
                "upper left/左上, top/上部, upper right/右上, left/左側, centre/中央, right/右側, lower left/左下, "
                "bottom/下部, lower right/右下"
            ),
        },
        "severity": {
            "en": "Severity",
            "ja": "程度",
            "choices": _pairs("slight/軽微な, moderate/中程度の, severe/重度の"),
        },
    },
    # As inspection sheets are written: "slight scratch at the upper left of the surface", 「表面の左上に軽微なキズ」.
    "sentence": {
        "en": ["{severity} ", "{defect}", [" at the {location} of the {part}", " on the {part}", " at the {location}"]],
        "ja": [["{part}の{location}に", "{part}に", "{location}に"], "{severity}", "{defect}"],
    },
}


def check_template(template: Template) -> None:
    """Refuse a template that would fail while somebody is at work.

    Raises:
        SessionError: names the field, choice or piece.
    """
    fields, sentence = template.get("fields"), template.get("sentence")
    if not isinstance(fields, Mapping) or not fields or not isinstance(sentence, Mapping):
        raise SessionError('a template needs "fields" and "sentence"; see percept.labelling.templates.INSPECTION')
    for name, field in fields.items():
        if not isinstance(field, Mapping) or not isinstance(field.get("choices"), list | tuple):
            raise SessionError(f'field {name!r} of the template needs a list "choices"')
        texts = [field, *field["choices"]]
        for text in texts:
            if lacking := [code for code in LANGUAGES if not in_language(text, code).strip()]:
                raise SessionError(f"field {name!r} of the template has no {lacking[0]!r} text in {text!r}")
        values = [in_language(choice, "en") for choice in field["choices"]]
        if len(set(values)) < len(values):
            raise SessionError(f"field {name!r} of the template has the same choice twice: {values}")
    for code in LANGUAGES:
        pieces = sentence.get(code)
        if not isinstance(pieces, Sequence) or isinstance(pieces, str) or not pieces:
            raise SessionError(f"the template's sentence needs a list of pieces in {code!r}, not {pieces!r}")
        for piece in pieces:
            for option in _options(piece):
                _check_piece(option, fields)


def _check_piece(piece: str, fields: Mapping[str, Any]) -> None:
    try:
        unknown = [name for name in _names(piece) if name not in fields]
    except ValueError as error:
        raise SessionError(f"piece {piece!r} of the template: {error}; fields stand in braces") from error
    if unknown:
        raise SessionError(f"piece {piece!r} names the field {unknown[0]!r}, which the template lacks")


def in_language(text: Any, language: str) -> str:
    """A text of a template in one language; empty if it has none."""
    return text if isinstance(text, str) else str(text.get(language, "")) if isinstance(text, Mapping) else ""


def form(template: Template, language: str) -> list[dict[str, Any]]:
    """The fields as a panel shows them: name, label, and choices of value and label."""
    return [
        {
            "name": name,
            "label": in_language(field, language),
            "choices": [[in_language(choice, "en"), in_language(choice, language)] for choice in field["choices"]],
        }
        for name, field in template["fields"].items()
    ]


def compose(template: Template, fields: Mapping[str, str], language: str) -> str:
    """The sentence that the choices make; empty without any.

    Args:
        template: one that `check_template` lets pass.
        fields: chosen values (English texts) by field; "" is none.
        language: "en" or "ja".

    Raises:
        SessionError: no such field or choice.

    Example:
        >>> chosen = {"part": "surface", "defect": "scratch", "location": "upper left", "severity": "slight"}
        >>> compose(INSPECTION, chosen, "en"), compose(INSPECTION, chosen, "ja")
        ('slight scratch at the upper left of the surface', '表面の左上に軽微なキズ')
        >>> compose(INSPECTION, {"part": "surface", "defect": "no visible defect"}, "ja")
        '表面に異常なし'
    """
    words = {}
    for name, value in fields.items():
        known = {in_language(choice, "en"): choice for choice in template["fields"].get(name, {}).get("choices", ())}
        if value and value not in known:
            raise SessionError(f"the template has no choice {value!r} in the field {name!r}")
        if value:
            words[name] = in_language(known[value], language)
    if not words:
        return ""
    fitting = (
        [o for o in _options(piece) if all(n in words for n in _names(o))] for piece in template["sentence"][language]
    )
    return clean_text("".join(options[0].format(**words) for options in fitting if options))


def _options(piece: str | Sequence[str]) -> Sequence[str]:
    return [piece] if isinstance(piece, str) else piece


def _names(piece: str) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(piece) if name is not None]

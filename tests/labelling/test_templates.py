"""Sentences from choices, in both languages."""

import copy
import itertools

import pytest

from percept.labelling import INSPECTION
from percept.labelling.plan import SessionError
from percept.labelling.templates import check_template, compose, form

FULL = {"part": "surface", "defect": "scratch", "location": "upper left", "severity": "slight"}
OWN = {
    "fields": {
        "machine": {"en": "Machine", "ja": "設備", "choices": ["A-1", "A-2"]},
        "state": {
            "en": "State",
            "ja": "状態",
            "choices": [{"en": "running", "ja": "運転中"}, {"en": "idle", "ja": "停止中"}],
        },
    },
    "sentence": {"en": ["machine {machine}", " is {state}"], "ja": ["設備{machine}", "：{state}"]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("left_out", "english", "japanese"),
    [
        ((), "slight scratch at the upper left of the surface", "表面の左上に軽微なキズ"),
        (("location",), "slight scratch on the surface", "表面に軽微なキズ"),
        (("part",), "slight scratch at the upper left", "左上に軽微なキズ"),
        (("severity",), "scratch at the upper left of the surface", "表面の左上にキズ"),
        (("part", "location", "severity"), "scratch", "キズ"),
        (tuple(FULL), "", ""),
    ],
)
def test_a_sentence_of_what_was_chosen(left_out, english, japanese):
    chosen = {name: "" if name in left_out else value for name, value in FULL.items()}
    assert compose(INSPECTION, chosen, "en") == english
    assert compose(INSPECTION, chosen, "ja") == japanese
    assert compose(INSPECTION, {name: value for name, value in chosen.items() if value}, "ja") == japanese


def test_every_choice_is_in_the_sentence_of_either_language():
    check_template(INSPECTION)
    shown = {language: {f["name"]: dict(f["choices"]) for f in form(INSPECTION, language)} for language in ("en", "ja")}
    for values in itertools.product(*shown["en"].values()):
        chosen = dict(zip(shown["en"], values, strict=True))
        for language, fields in shown.items():
            sentence = compose(INSPECTION, chosen, language)
            assert all(fields[name][value] in sentence for name, value in chosen.items())
            assert "{" not in sentence
            assert "  " not in sentence


def test_fields_as_the_panel_shows_them():
    assert form(OWN, "ja") == [
        {"name": "machine", "label": "設備", "choices": [["A-1", "A-1"], ["A-2", "A-2"]]},
        {"name": "state", "label": "状態", "choices": [["running", "運転中"], ["idle", "停止中"]]},
    ]
    assert compose(OWN, {"machine": "A-2", "state": "idle"}, "ja") == "設備A-2：停止中"
    assert compose(OWN, {"state": "idle"}, "en") == "is idle"


def _changed(*path, to):
    template = copy.deepcopy(OWN)
    place = template
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return template


BAD = [
    ({}, 'a template needs "fields" and "sentence"'),
    (_changed("fields", to={}), 'a template needs "fields" and "sentence"'),
    (_changed("sentence", to="x"), 'a template needs "fields" and "sentence"'),
    (_changed("fields", "machine", to="A"), "field 'machine' of the template needs a list \"choices\""),
    (_changed("fields", "machine", "choices", to="A-1"), "field 'machine' of the template needs a list"),
    (_changed("fields", "machine", "ja", to=""), "field 'machine' of the template has no 'ja' text"),
    (_changed("fields", "state", "choices", 0, to={"en": "on"}), "field 'state' of the template has no 'ja' text in"),
    (_changed("fields", "state", "choices", 0, to=3), "field 'state' of the template has no 'en' text in 3"),
    (
        _changed("fields", "machine", "choices", 0, to="A-2"),
        "field 'machine' of the template has the same choice twice",
    ),
    (_changed("sentence", "ja", to="設備{machine}"), "the template's sentence needs a list of pieces in 'ja'"),
    (_changed("sentence", "ja", to=[]), "the template's sentence needs a list of pieces in 'ja'"),
    (_changed("sentence", "en", 1, to=" is {stat}"), "names the field 'stat', which the template lacks"),
    (_changed("sentence", "en", 1, to=["{machine.x}"]), r"names the field 'machine\.x', which the template lacks"),
    (_changed("sentence", "en", 1, to="{"), "piece '{' of the template: .*; fields stand in braces"),
]


@pytest.mark.parametrize(("template", "message"), BAD)
def test_templates_that_do_not_fit_together(template, message):
    check_template(OWN)
    with pytest.raises(SessionError, match=message):
        check_template(template)


@pytest.mark.parametrize("chosen", [{"machine": "B-9"}, {"nowhere": "A-1"}])
def test_choices_that_are_none(chosen):
    with pytest.raises(SessionError, match="the template has no choice"):
        compose(OWN, chosen, "en")

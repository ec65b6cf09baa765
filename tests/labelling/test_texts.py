import string

import pytest

from percept.labelling.texts import LANGUAGES, TEXTS, remaining, text


def _fields(words):
    return {key: {name for _, name, _, _ in string.Formatter().parse(value) if name} for key, value in words.items()}


def test_both_languages_have_the_same_keys_and_values_to_fill_in():
    assert set(TEXTS) == set(LANGUAGES) == {"en", "ja"}
    assert _fields(TEXTS["en"]) == _fields(TEXTS["ja"])
    assert {key for key, value in TEXTS["en"].items() if not value} == {"stored", "stale"}


def test_japanese_texts_are_japanese_and_english_ones_ascii_enough():
    for key, value in TEXTS["ja"].items():
        assert not value or any("\u3040" <= c <= "\u30ff" or "\u4e00" <= c <= "\u9fff" for c in value), key
    for key, value in TEXTS["en"].items():
        assert all(c < "\u3000" for c in value), key


@pytest.mark.parametrize("outcome", ["stored", "stale", "early", "elsewhere", "undone", "nothing"])
def test_every_outcome_of_a_press_has_a_text(outcome):
    assert outcome in TEXTS["en"]


@pytest.mark.parametrize(
    ("seconds", "english", "japanese"),
    [(None, "", ""), (59, "less than a minute left", "残り1分未満"), (61, "about 2 min left", "残り約2分")],
)
def test_remaining_time_in_words(seconds, english, japanese):
    assert (remaining(seconds, "en"), remaining(seconds, "ja")) == (english, japanese)


def test_values_are_filled_in():
    assert text("progress", "ja", done=3, total=20) == "20問中 3問回答済み"

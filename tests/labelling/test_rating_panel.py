"""The panel for ratings and pairs: keys, buttons and slider, both languages."""

import html

import pytest

from percept.data.judgments import Judgments
from percept.labelling import Labeller, ScriptedRater, label_folder
from percept.labelling.plan import SessionError
from percept.labelling.texts import BY_TASK, LANGUAGES, TEXTS, words

GOOD = {"rating": 4, "slider": 62.5, "pair": "left"}


class Clock:
    """A second passes between any two looks at it."""

    now = 0.0

    def __call__(self):
        self.now += 1.0
        return self.now


@pytest.fixture
def panel(store, make_questions):
    def make(task, rater="", where=store, **options):
        options = {"clock": Clock(), "repeats": 0.25, "distance": 3} | options
        return Labeller(where, f"s {task}", make_questions(task), rater, **options)

    return make


def _send(panel, action, **more):
    """What the front end sends for a key or a click."""
    message = {"action": action, "token": panel.stage.trial["token"], "seconds": 1.0} | more
    panel.stage._handle_custom_msg(message, [])


def test_keys_and_buttons_of_ratings_end_in_the_same_store(panel, store):
    one = panel("rating")
    one.sign_in("ann")
    assert list(one.buttons) == ["1", "2", "3", "4", "5", "undo", "skip"]
    for number in range(6):
        before = one.stage.trial
        if number % 2:
            _send(one, str(number))
        else:
            one.buttons[("5", "2", "skip")[number // 2]].click()
        assert one.stage.trial["token"] != before["token"]
        assert len(one.stage.trial["pictures"]) == 1
    assert Judgments(store.path).answers("s rating")["answer"].tolist() == [5, 1, 2, 3, "skip", 5]
    one.buttons["undo"].click()
    _send(one, "undo")
    assert store.answers("s rating")["position"].tolist() == [0, 1, 2, 3]
    assert one.stage.message == TEXTS["en"]["undone"]


def test_the_slider_sends_its_number_and_has_no_buttons_but_undo_and_skip(panel, store):
    one = panel("slider")
    one.sign_in("ann")
    assert list(one.buttons) == ["undo", "skip"]
    assert one.stage.task == "slider"
    for answer in (0, 100, 37, 62.5, "skip"):
        _send(one, answer)
    assert store.answers("s slider")["answer"].tolist() == [0.0, 100.0, 37.0, 62.5, "skip"]


def test_pairs_are_chosen_as_they_are_shown(panel, store):
    one = panel("pair", language="ja")
    one.sign_in("ann")
    assert list(one.buttons) == ["left", "skip", "right", "undo"]
    pressed = ["left", "right", "skip", "left"]
    for action in pressed:
        assert len(one.stage.trial["pictures"]) == 2
        _send(one, action)
    answers = store.answers("s pair")
    exchanged = {"left": "right", "right": "left", "skip": "skip"}
    assert [exchanged[a] if s else a for a, s in zip(answers["answer"], answers["swapped"], strict=True)] == pressed


@pytest.mark.parametrize(
    ("task", "action"), [("rating", 6), ("rating", "confirm"), ("slider", None), ("slider", [50]), ("pair", "3")]
)
def test_what_no_key_sends_is_not_stored(panel, store, task, action):
    one = panel(task)
    one.sign_in("ann")
    before, sent = one.stage.trial, []
    one.stage.send = lambda content, buffers=None: sent.append(content)
    _send(one, action)
    assert "not stored" in one.stage.message
    assert one.stage.trial == before
    assert sent == [{"unlock": before["token"]}]
    assert not len(store.answers())
    with pytest.raises(SessionError, match=r"the scripted answer .* at position 0 was not accepted"):
        ScriptedRater(lambda trial: action).run(one)


@pytest.mark.parametrize("task", GOOD)
@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_panel_speaks_of_its_task_in_both_languages(panel, store, task, language):
    one = panel(task, language=language)
    said = words(language, task)
    assert said["question"] != TEXTS[language]["question"]
    assert html.escape(said["consent"].split("\n")[0]) in one.intro.value
    one.sign_in("ann")
    assert one.stage.words["question"] == said["question"]
    assert one.stage.words["keys_on"] == said["keys_on"]
    assert store.raters()["consent"][0] == f"{said['consent']}\n{said['agree']}"
    if task == "rating":
        anchors = {"en": ["Bad", "Poor", "Fair", "Good", "Excellent"],
                   "ja": ["非常に悪い", "悪い", "普通", "良い", "非常に良い"]}[language]  # fmt: skip
        assert [one.buttons[str(k)].description for k in range(1, 6)] == [f"{k} {w}" for k, w in enumerate(anchors, 1)]
        other = "ja" if language == "en" else "en"
        one.language.value = other
        assert one.buttons["5"].description == f"5 {words(other)['5']}"
    assert ScriptedRater(lambda trial: GOOD[task]).run(one) == 15
    assert one.final.layout.display is None
    one.back.click()
    assert len(store.answers(f"s {task}")) == 14


def test_task_texts_have_the_same_keys_in_both_languages():
    assert set(BY_TASK) == set(GOOD)
    for task, texts in BY_TASK.items():
        assert set(texts) == set(LANGUAGES)
        assert set(texts["en"]) == set(texts["ja"]) <= set(TEXTS["en"])
        assert words("ja", task)["consent"].endswith("いつでもお申し出いただけます。")
        assert all(any("\u3040" <= c <= "\u9fff" for c in value) for value in texts["ja"].values())
        assert all(c < "\u3000" for value in texts["en"].values() for c in value)


def test_a_picture_that_is_gone_cannot_be_rated(grey_photos, store):
    one = label_folder(grey_photos, task="rating", store=store)
    for path in grey_photos.iterdir():
        path.unlink()
    one.sign_in("ann")
    for _ in range(2):  # the next one may have been opened in time
        one.press("skip", seconds=1.0)
    assert one.stage.trial["pictures"] == [None]
    assert one.press(4, seconds=1.0) == "nothing"
    assert "no such file" in one.stage.message
    with pytest.raises(SessionError, match="not accepted"):
        ScriptedRater(lambda trial: 4).run(one)


def test_a_single_picture_gets_more_room(panel):
    assert [panel(task).size for task in GOOD] == [400, 400, 300]
    assert panel("rating", size=900).layout.max_width == "980px"
    with pytest.raises(SessionError, match="size=4"):
        panel("rating", size=4)

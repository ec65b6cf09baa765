"""The panel for descriptions without a browser: what the front end sends and is sent."""

import re
import string
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from percept.data.judgments import Entry, Judgments, descriptions_table
from percept.labelling import INSPECTION, Describer, Questions, describer
from percept.labelling.describe_session import ACTIONS
from percept.labelling.describe_texts import WORDS
from percept.labelling.plan import SessionError

FRONT = Path(describer.__file__).with_name("describe_front.js").read_text("utf-8")


class Clock:
    """A second passes between any two looks at it."""

    now = 0.0

    def __call__(self):
        self.now += 1.0
        return self.now


@pytest.fixture
def photos(tmp_path):
    """Three pictures larger than their place, one small."""
    paths = [tmp_path / f"secret-label-{number}.png" for number in range(4)]
    for number, path in enumerate(paths):
        shape = (20, 10) if number == 3 else (1500, 1000)
        Image.new("RGB", shape, (60 * number, 90, 90)).save(path)
    return Questions(paths, np.arange(4)[:, None], "describe")


@pytest.fixture
def panel(store, photos):
    def make(rater="", where=store, **options):
        one = Describer(where, "s", options.pop("pictures", photos), rater, **({"clock": Clock()} | options))
        one.sent = []
        one.desk.send = lambda content, buffers=None: one.sent.append(content)
        return one

    return make


def _send(panel, action, **more):
    """What the front end sends for a button or a key."""
    message = {"action": action, "token": panel.desk.token, "seconds": 1.0} | more
    panel.desk._handle_custom_msg(message, [])
    return panel.sent[-1]


def _visible(panel):
    pages = {"welcome": panel.welcome, "desk": panel.desk, "final": panel.final}
    return [name for name, page in pages.items() if page.layout.display != "none"]


def test_consent_comes_first_and_is_stored_as_it_was_shown(panel, store):
    one = panel(groups=["inspector", "designer"], language="ja")
    assert _visible(one) == ["welcome"]
    assert one.press("save", text="too soon") == "nothing"
    one.welcome.start.click()
    assert _visible(one) == ["welcome"]
    assert "個人名や機密情報は書かないでください" in one.welcome.intro.value
    one.sign_in("花子", "inspector")
    assert _visible(one) == ["desk"]
    row = store.raters().iloc[0]
    assert (row["rater"], row["group"], row["language"]) == ("花子", "inspector", "ja")
    assert row["consent"] == f"{WORDS['ja']['consent']}\n{WORDS['ja']['agree']}"


def test_what_the_front_end_sends_is_stored_and_shown(panel, store):
    one = panel()
    one.sign_in("ann")
    picture = one.desk.picture
    assert _send(one, "save", text="a plate", box=None, fields={}, entry=None) == {"outcome": "saved", "draft": None}
    _send(one, "save", text="its edge", box=[2, 0, 12, 8], fields={"part": "edge"}, entry=None)
    assert one.desk.entries == [
        {"entry": 0, "text": "a plate", "box": None, "fields": {}},
        {"entry": 1, "text": "its edge", "box": (2, 0, 12, 8), "fields": {"part": "edge"}},
    ]
    assert one.desk.message == "Saved."
    assert one.desk.picture is picture  # not sent again
    assert _send(one, "delete", entry=0)["outcome"] == "deleted"
    assert _send(one, "undo")["draft"] is None
    assert _send(one, "undo")["draft"] == {
        "text": "its edge", "box": (2, 0, 12, 8), "fields": {"part": "edge"}, "entry": None
    }  # fmt: skip
    assert _send(one, "next", text="", box=None, fields={}, entry=None)["outcome"] == "stored"
    assert one.desk.picture != picture
    assert one.desk.progress == {"done": 1, "total": 4, "text": "1 of 4 pictures"}
    assert len(Judgments(store.path).answers("s", "ann")) == 2


def test_a_refusal_is_said_in_the_panel_and_nothing_moves(panel, store):
    one = panel()
    one.sign_in("ann")
    before = one.desk.token, one.desk.picture
    for written, outcome, message in [
        ({"text": " \n"}, "empty", "Please write something first"),
        ({"text": "x" * 612}, "long", "At most 500 characters, please; this text has 612."),
        ({"text": "a", "box": [0, 0, 3, 3]}, "small", "each side must be at least 4 pixels"),
        ({"text": "a", "box": [0, 0, "x", 3]}, "failed", "This was not stored: a box is"),
    ]:
        assert _send(one, "save", **written)["outcome"] == outcome
        assert message in one.desk.message
    assert _send(one, "jump")["outcome"] == "failed"
    assert (one.desk.token, one.desk.picture) == before
    assert not len(store.answers())


def test_a_store_that_fails_is_said_so(panel, store):
    one = panel()
    one.sign_in("ann")
    store.delete_rater("ann")
    assert _send(one, "save", text="a cup")["outcome"] == "failed"
    assert "not stored" in one.desk.message
    assert not len(store.answers())


def test_large_pictures_are_reduced_and_boxes_are_in_px_of_the_original(panel):
    one = panel(size=600)
    one.sign_in("ann")
    seen = {}
    while one.current():
        seen[one.current().reference] = {k: one.desk.picture[k] for k in ("width", "height", "full", "crisp")}
        _send(one, "skip")
    large = {"width": 600, "height": 400, "full": (1500, 1000), "crisp": False}
    assert seen == {0: large, 1: large, 2: large, 3: {"width": 600, "height": 300, "full": (20, 10), "crisp": True}}


def test_names_of_files_stay_here_and_words_are_not_markup(panel):
    one = panel()
    one.sign_in("ann")
    _send(one, "save", text="<img src=x onerror=alert(1)>")
    state = one.desk.get_state()
    assert "secret" not in str({key: value for key, value in state.items() if not key.startswith("_")})
    assert one.desk.entries[0]["text"] == "<img src=x onerror=alert(1)>"
    assert "innerHTML" not in FRONT  # the front end sets text, so nothing that was typed runs


def test_a_picture_that_is_gone_can_only_be_closed(panel, photos, store):
    one = panel()
    one.sign_in("ann")
    _send(one, "save", text="a plate")
    for path in photos.images:
        path.unlink()
    again = panel("ann")
    assert again.desk.picture is None
    assert "no such file" in again.desk.message
    assert again.press("save", seconds=1.0, text="unseen") == "nothing"
    assert again.press("next", seconds=1.0, text="unseen") == "nothing"
    assert _send(again, "next", text="")["outcome"] == "stored"
    assert _send(again, "skip", text="")["outcome"] == "stored"
    assert descriptions_table(store, "s")["text"].tolist() == ["a plate"]


def test_choices_become_a_sentence_in_the_language_of_the_panel(panel):
    one = panel(template=INSPECTION)
    one.sign_in("ann")
    assert [field["label"] for field in one.desk.form] == ["Part", "Defect", "Location", "Severity"]
    chosen = {"part": "weld", "defect": "crack", "location": "", "severity": "severe"}
    one.desk._handle_custom_msg({"compose": chosen}, [])
    assert one.sent[-1] == {"composed": "severe crack on the weld"}
    one.language.value = "ja"
    assert [field["label"] for field in one.desk.form] == ["部位", "欠陥", "位置", "程度"]
    one.desk._handle_custom_msg({"compose": chosen}, [])
    assert one.sent[-1] == {"composed": "溶接部に重度の割れ"}
    _send(one, "save", text="溶接部に重度の割れ", fields=chosen)
    assert one.session.entries[0] == Entry(
        "溶接部に重度の割れ", None, {"part": "weld", "defect": "crack", "severity": "severe"}, "ja"
    )
    free = panel("ann")
    assert free.desk.form == []
    free.desk._handle_custom_msg({"compose": chosen}, [])
    assert free.sent == []


def test_the_last_page_and_back(panel, store):
    one = panel()
    one.sign_in("ann")
    for number in range(4):
        _send(one, "next", text=f"picture {number}")
    assert _visible(one) == ["final"]
    assert "All 4 pictures are done" in one.thanks.value
    one.back.click()
    assert _visible(one) == ["desk"]
    assert one.desk.entries[0]["text"] == "picture 3"
    assert len(store.answers("s").query("kind == 'ask'")) == 3


def test_a_known_rater_goes_on_at_once_and_another_group_is_refused(panel, store):
    one = panel()
    one.sign_in("ann", "inspector")
    _send(one, "next", text="first")
    two = panel("ann", where=Judgments(store.path))
    assert _visible(two) == ["desk"]
    assert two.current() == one.current()
    three = panel()
    three.sign_in("ann", "designer")
    assert _visible(three) == ["welcome"]
    assert 'role="alert"' in three.welcome.note.value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"language": "fr"}, "'fr' is not there"),
        ({"size": 50}, "size=50 is too small"),
        ({"template": {"fields": {}}}, 'a template needs "fields" and "sentence"'),
    ],
)
def test_bad_options(panel, options, message):
    with pytest.raises(SessionError, match=message):
        panel(**options)


def test_texts_have_the_same_keys_and_values_to_fill_in():
    fields = [
        {key: {name for _, name, _, _ in string.Formatter().parse(value) if name} for key, value in words.items()}
        for words in WORDS.values()
    ]
    assert set(WORDS) == {"en", "ja"}
    assert fields[0] == fields[1]
    outcomes = {"saved", "deleted", "stored", "undone", "nothing", "empty", "long", "small", "described", "early"}
    assert outcomes | {"stale", "elsewhere", "failed", "unreadable", "unsaved", "kept", "stalled"} <= set(WORDS["en"])
    assert {"save", "delete", "next", "skip", "undo"} == set(ACTIONS) <= set(WORDS["en"])
    for value in WORDS["en"].values():
        assert all(c < "\u3000" for c in value)
    for key, value in WORDS["ja"].items():
        assert not value or any("\u3040" <= c <= "\u30ff" or "\u4e00" <= c <= "\u9fff" for c in value), key


def test_the_front_end_asks_for_words_that_are_there():
    asked = set(re.findall(r'(?:word|say|filled)\("(\w+)"', FRONT))
    assert len(asked) >= 10
    assert asked <= set(WORDS["en"])

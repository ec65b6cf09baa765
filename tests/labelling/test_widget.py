import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from percept.data.judgments import Judgments
from percept.data.triplets import Triplets
from percept.labelling import Labeller, ScriptedRater
from percept.labelling.pictures import shown_picture
from percept.labelling.texts import TEXTS


class Clock:
    """A second passes between any two looks at it."""

    now = 0.0
    step = 1.0

    def __call__(self):
        self.now += self.step
        return self.now


@pytest.fixture
def panel(store, make_triplets):
    def make(rater="", where=store, **options):
        options = {"clock": Clock(), "repeats": 0.1} | options
        return Labeller(where, "s", options.pop("triplets", make_triplets()), rater, **options)

    return make


def _visible(panel):
    pages = {"welcome": panel.welcome, "trial": panel.trial, "final": panel.final}
    return [name for name, page in pages.items() if page.layout.display != "none"]


def _send(panel, action, **more):
    """What the front end sends for a key or a click."""
    message = {"action": action, "token": panel.stage.trial["token"], "seconds": 1.0} | more
    panel.stage._handle_custom_msg(message, [])


def test_first_page_lets_nobody_pass_without_name_and_consent(panel, store):
    one = panel(groups=["inspector", "designer"])
    assert _visible(one) == ["welcome"]
    assert one.start.disabled
    assert one.press("left") == "nothing"
    one.rater.value = " ann "
    assert one.start.disabled
    one.start.click()  # a click that got through is refused as well
    assert _visible(one) == ["welcome"]
    one.agree.value, one.group.value = True, "designer"
    assert not one.start.disabled
    one.start.click()
    assert _visible(one) == ["trial"]
    row = store.raters().iloc[0]
    assert (row["rater"], row["group"], row["language"]) == ("ann", "designer", "en")
    assert row["consent"] == f"{TEXTS['en']['consent']}\n{TEXTS['en']['agree']}"


def test_japanese_text_is_shown_and_stored(panel, store):
    one = panel(language="ja", consent={"ja": "独自の<b>説明</b>"})
    assert "独自の&lt;b&gt;説明" in one.intro.value
    one.sign_in("花子", "検査員")
    row = store.raters().iloc[0]
    assert (row["group"], row["language"]) == ("検査員", "ja")
    assert row["consent"].startswith("独自の<b>説明</b>")
    one.language.value = "en"
    assert one.buttons["left"].description == TEXTS["en"]["choose_left"]
    assert one.stage.words["question"] == TEXTS["en"]["question"]
    assert "0 of 22" in one.state.value


def test_buttons_and_keys_end_in_the_same_store(panel, store):
    one = panel()
    one.sign_in("ann")
    pressed = ["left", "right", "skip", "right"]
    for number, action in enumerate(pressed):
        before = one.stage.trial
        if number % 2:
            _send(one, action)
        else:
            one.buttons[action].click()
        assert len(Judgments(store.path).answers("s", "ann")) == number + 1
        assert one.stage.trial["token"] != before["token"]
        assert one.stage.trial["pictures"] != before["pictures"]
    answers = store.answers("s", "ann")
    exchanged = {"left": "right", "right": "left", "skip": "skip"}
    shown = [exchanged[a] if s else a for a, s in zip(answers["answer"], answers["swapped"], strict=True)]
    assert shown == pressed
    one.buttons["undo"].click()
    _send(one, "undo")
    assert store.answers("s", "ann")["position"].tolist() == [0, 1]
    assert one.stage.message == TEXTS["en"]["undone"]


def test_pictures_are_those_of_the_trial(panel, make_triplets):
    triplets = make_triplets()
    one = panel(triplets=triplets)
    one.sign_in("ann")
    trial = one.current()
    for picture, row in zip(one.stage.trial["pictures"], (trial.reference, trial.left, trial.right), strict=True):
        data = base64.b64decode(picture["src"].split(",")[1])
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), triplets.images[row])


def test_double_clicks_and_old_displays_are_ignored(panel, store):
    clock = Clock()
    one = panel(clock=clock)
    one.sign_in("ann")
    clock.step = 0.02
    one.buttons["left"].click()  # 0.02 s after the display
    assert one.stage.message == TEXTS["en"]["early"]
    token = one.stage.trial["token"]
    _send(one, "left")
    _send(one, "left", token=token)
    _send(one, "jump")
    assert len(store.answers("s", "ann")) == 1
    assert one.session.ignored == 2


def test_the_front_end_is_unlocked_also_when_nothing_was_stored(panel):
    one = panel(min_seconds=0.5)
    one.sign_in("ann")
    sent = []
    one.stage.send = lambda content, buffers=None: sent.append(content)
    _send(one, "left", seconds=0.1)
    assert sent == [{"unlock": one.stage.trial["token"]}]


def test_an_answer_that_cannot_be_stored_is_said_so_and_asked_again(panel, store):
    one = panel()
    one.sign_in("ann")
    before = one.stage.trial
    store.delete_rater("ann")
    assert one.press("left", seconds=1.0) == "failed"
    assert "not stored" in one.stage.message
    assert "ann" in one.stage.message
    assert one.stage.trial == before


def test_a_known_rater_goes_on_at_once_in_another_kernel(panel, store):
    one = panel()
    one.sign_in("ann", "inspector")
    ScriptedRater(lambda trial: "left").run(one, limit=7)
    two = panel("ann", where=Judgments(store.path))
    assert _visible(two) == ["trial"]
    assert two.current() == one.current()
    assert "7 of 22" in two.state.value
    three = panel()
    three.rater.value = "ann"
    assert "ann has begun already" in three.note.value
    three.sign_in("ann", "designer")  # the group it began with was another
    assert _visible(three) == ["welcome"]
    assert 'role="alert"' in three.note.value


def test_a_scripted_rater_reaches_the_last_page_and_can_go_back(panel, store):
    one = panel()
    one.sign_in("ann")
    assert ScriptedRater(lambda trial: "right").run(one) == 22
    assert _visible(one) == ["final"]
    assert "22" in one.thanks.value
    one.back.click()
    assert _visible(one) == ["trial"]
    assert len(store.answers("s", "ann")) == 21


def test_names_are_not_markup(panel):
    one = panel()
    one.sign_in("<img src=x>")
    two = panel()
    two.rater.value = "<img src=x>"
    assert "<img" not in two.note.value


@pytest.fixture
def files(tmp_path):
    """Four triplets of photos larger than their place."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"secret-label-{number}.png" for number in range(12)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (60, 90, 3), dtype=np.uint8)).save(path)
    return Triplets(paths, np.arange(12).reshape(4, 3), np.full(4, 0.5))


def test_files_are_opened_and_their_names_stay_here(panel, files):
    one = panel(triplets=files, size=48)
    one.sign_in("ann")
    assert [p["width"] for p in one.stage.trial["pictures"]] == [48] * 3
    ScriptedRater(lambda trial: "left").run(one, limit=2)
    state = one.stage.get_state()
    assert "secret" not in str({key: value for key, value in state.items() if not key.startswith("_")})


def test_a_picture_that_is_gone_can_only_be_skipped(panel, files, store):
    one = panel(triplets=files)
    one.sign_in("ann")
    for path in files.images:
        path.unlink()
    for _ in range(2):  # the next ones may have been opened in time
        one.press("skip", seconds=1.0)
    assert one.stage.trial["pictures"] == [None] * 3
    assert re.search(r"secret-label-\d+\.png: no such file", one.stage.message)
    done = len(store.answers("s", "ann"))
    assert one.press("left", seconds=1.0) == "nothing"
    assert len(store.answers("s", "ann")) == done
    assert one.press("skip", seconds=1.0) == "stored"


@pytest.mark.parametrize(
    ("shape", "size", "shown", "crisp"),
    [((8, 8), 224, (224, 224), True), ((64, 64), 224, (192, 192), True), ((64, 48), 64, (48, 64), False),
     ((300, 400), 200, (200, 150), False), ((150, 100), 224, (100, 150), False)],
)  # fmt: skip
def test_small_pictures_grow_by_whole_factors_and_large_ones_shrink_to_fit(shape, size, shown, crisp):
    images = np.zeros((1, *shape, 3), np.uint8)
    picture = shown_picture(Triplets(images, np.zeros((0, 3)), np.zeros(0)), 0, size)
    assert (picture["width"], picture["height"], picture["crisp"]) == (*shown, crisp)


@pytest.mark.parametrize(("options", "message"), [({"language": "fr"}, "'fr' is not there"), ({"size": 4}, "size=4")])
def test_bad_options(panel, options, message):
    with pytest.raises(ValueError, match=message):
        panel(**options)

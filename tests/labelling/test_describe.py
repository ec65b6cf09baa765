"""Describing pictures: the session without a panel, kills, two kernels, folders."""

import logging
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from percept.data.judgments import Entry, JudgmentError, Judgments, descriptions_table, export_captions, export_regions
from percept.data.opening import open_image
from percept.data.pair_files import read_csv
from percept.data.region_files import read_regions
from percept.labelling import DescribeSession, Labeller, Questions, describe_folder, label_folder
from percept.labelling.describe_session import fitted_box
from percept.labelling.pictures import full_size
from percept.labelling.plan import SessionError
from percept.labelling.templates import INSPECTION

WIDTH, HEIGHT = 90, 60


class Clock:
    """A second passes between any two looks at it."""

    now, step = 0.0, 1.0

    def __call__(self):
        self.now += self.step
        return self.now


@pytest.fixture
def pictures():
    images = np.random.default_rng(0).integers(0, 256, (5, HEIGHT, WIDTH, 3), dtype=np.uint8)
    return Questions(images, np.arange(5)[:, None], "describe")


@pytest.fixture
def open_session(store, pictures):
    def make(rater="ann", where=store, **options):
        options = {"consent": "simulated rater", "clock": Clock()} | options
        return DescribeSession(where, "s", options.pop("pictures", pictures), rater, **options)

    return make


@pytest.fixture
def parts(tmp_path):
    """Four photos of different shapes, one of them lying on its side by EXIF, and a broken one."""
    folder = tmp_path / "parts"
    folder.mkdir()
    for number, shape in enumerate([(40, 40), (80, 40), (40, 80), (30, 20)]):
        exif = Image.Exif()
        exif[0x0112] = 6 if number == 1 else 1
        Image.new("RGB", shape, (90, 10 * number, 0)).save(folder / f"{number}.jpg", exif=exif)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\x00")
    return folder


def _texts(session):
    return [entry.text for entry in session.entries.values()]


# --- one rater ------------------------------------------------------------------------------------------------------


def test_each_entry_is_on_the_disk_before_press_returns(open_session, store):
    session = open_session()
    first = str(session.current().triplet)
    assert session.press("save", text=" a red\n cup ", fields={"part": "rim", "severity": ""}) == "saved"
    assert session.press("save", text="its handle", box=[10.4, -3, 20, 13.2]) == "saved"
    assert session.current().triplet == int(first)
    again = Judgments(store.path).answers("s", "ann")
    assert again[["triplet", "position", "kind"]].to_numpy().tolist() == [[first, 0, "entry"], [first, 1, "entry"]]
    assert session.entries == {
        0: Entry("a red cup", None, {"part": "rim"}, "en"),
        1: Entry("its handle", (10, 0, 20, 10), None, "en"),
    }
    assert session.press("next") == "stored"
    assert str(session.current().triplet) != first
    assert session.entries == {}
    assert session.progress()[:2] == (1, 5)
    assert Judgments(store.path).answers("s")["answer"].iloc[2] == "done"


def test_next_saves_what_is_in_the_field_and_skip_says_nothing_to_describe(open_session, store):
    session = open_session()
    assert session.press("next", text="one", box=[0, 0, 90, 60]) == "stored"
    assert session.press("skip", text=" \n") == "stored"
    assert session.press("next", text="three") == "stored"
    answers = store.answers("s")
    assert answers["kind"].tolist() == ["entry", "ask", "ask", "entry", "ask"]
    assert answers["answer"].tolist()[1:3] == ["done", "skip"]
    assert answers["seconds"].gt(0).all()
    while session.current():
        session.press("skip")
    assert session.press("save", text="late") == session.press("skip") == "nothing"
    assert session.progress()[:2] == (5, 5)


@pytest.mark.parametrize(
    ("action", "written", "outcome"),
    [
        ("save", {"text": " \u3000\u200b\n"}, "empty"),
        ("save", {"text": "", "box": [1, 1, 20, 20]}, "empty"),
        ("next", {"box": [1, 1, 20, 20]}, "empty"),
        ("next", {}, "empty"),
        ("save", {"text": "x" * 501}, "long"),
        ("next", {"text": "x" * 501}, "long"),
        ("save", {"text": "a", "box": [1, 1, 3.4, 20]}, "small"),
        ("save", {"text": "a", "box": [200, 1, 30, 20]}, "small"),
        ("save", {"text": "a", "box": [30, 30, -20, 20]}, "small"),
        ("next", {"text": "a", "box": [87, 1, 30, 20]}, "small"),
        ("skip", {"text": "a"}, "described"),
        ("undo", {}, "nothing"),
        ("delete", {"entry": 0}, "elsewhere"),
        ("delete", {}, "elsewhere"),
        ("save", {"text": "a", "entry": 3}, "elsewhere"),
    ],
)
def test_what_cannot_be_stored_is_said_so(open_session, store, action, written, outcome):
    session = open_session()
    before = session.current(), session.token
    assert session.press(action, **written) == outcome
    assert (session.current(), session.token) == before
    assert not len(store.answers(include_undone=True))


@pytest.mark.parametrize(
    ("action", "written", "message"),
    [
        ("left", {}, "'left' is no action; use save, delete, next, skip, undo"),
        ("save", {"text": "a", "box": [1, 2, 3]}, r"a box is \[x, y, width, height\] in px, not \[1, 2, 3\]"),
        ("save", {"text": "a", "box": ["x", 2, 3, 4]}, "a box is"),
        ("save", {"text": "a", "box": [float("nan"), 2, 30, 40]}, "a box is"),
        ("save", {"text": "a", "box": [float("inf"), 2, 30, 40]}, "a box is"),
        ("save", {"text": "a", "fields": {"part": 3}}, "fields must be texts by name"),
    ],
)
def test_what_no_panel_sends_is_an_error(open_session, store, action, written, message):
    session = open_session()
    with pytest.raises(ValueError, match=message):
        session.press(action, **written)
    assert not len(store.answers())


def test_skip_needs_an_empty_page(open_session):
    session = open_session()
    session.press("save", text="a cup")
    assert session.press("skip") == "described"
    session.press("delete", entry=0)
    assert session.press("skip") == "stored"


def test_undo_goes_back_step_by_step_through_edits_removals_and_pictures(open_session, store):
    session = open_session()
    first = session.current()
    pages = [_texts(session)]
    for step in (
        {"action": "save", "text": "one"},
        {"action": "save", "text": "two", "box": [0, 0, 9, 9]},
        {"action": "save", "text": "one, better", "entry": 0},
        {"action": "delete", "entry": 1},
    ):
        assert session.press(**step) in ("saved", "deleted")
        pages.append(_texts(session))
    assert pages == [[], ["one"], ["one", "two"], ["one, better", "two"], ["one, better"]]
    session.press("next")
    session.press("skip")
    given_back = [None, None, None, "one, better", "two", "one"]
    for page, text in zip([[], pages[4], *pages[3::-1]], given_back, strict=True):
        assert session.press("undo") == "undone"
        assert _texts(session) == page
        assert (session.taken_back.text if session.taken_back else None) == text
    assert session.current() == first
    assert session.press("undo") == "nothing"
    assert len(store.answers("s", include_undone=True)) == 6
    assert not len(store.answers("s"))
    assert session.press("save", text="anew") == "saved"
    assert [*session.entries] == [6]  # no place is used twice


def test_an_edit_keeps_its_place_and_can_be_edited_again(open_session):
    session = open_session()
    for text in ("one", "two", "three"):
        session.press("save", text=text)
    assert session.press("save", text="ONE", entry=0) == "saved"
    assert session.press("save", text="One", entry=3, box=[1, 1, 50, 50]) == "saved"
    assert _texts(session) == ["One", "two", "three"]
    assert session.press("save", text="again", entry=0) == "elsewhere"  # that one is no longer there


def test_double_presses_and_old_displays_are_ignored(open_session):
    clock = Clock()
    session = open_session(clock=clock)
    token = session.token
    clock.step = 0.01
    assert session.press("skip") == "early"
    assert session.press("save", token, text="typed before") == "saved"
    assert session.press("next", token) == session.press("undo", token) == "stale"
    assert session.press("next") == "early"
    assert session.press("next", text="typed") == "stored"
    assert session.ignored == 4
    assert session.progress().done == 1


def test_resume_after_a_restart(open_session, store):
    session = open_session()
    session.press("next", text="first")
    session.press("save", text="second", box=[0, 0, 20, 20])
    again = open_session(where=Judgments(store.path), consent="")
    assert again.current() == session.current()
    assert again.entries == session.entries
    assert again.progress().done == 1


def test_raters_have_their_own_order_group_and_language(open_session, store):
    session = open_session("花子", group="inspector", language="ja", consent="同意します")
    session.press("next", text="赤い印")
    session.language = "en"
    session.press("next", text="a red mark")
    table = descriptions_table(store, "s")
    assert sorted(table["language"]) == ["en", "ja"]
    assert set(table["group"]) == {"inspector"}
    orders = [[trial.triplet for trial in open_session(name).trials] for name in ("ann", "ben", "eve")]
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in orders)
    assert len({tuple(order) for order in orders}) > 1


def test_who_and_what_a_session_needs(open_session, make_questions):
    with pytest.raises(SessionError, match="pseudonym"):
        open_session(" ")
    with pytest.raises(JudgmentError, match="consent"):
        open_session(consent="")
    with pytest.raises(SessionError, match="descriptions need Questions of the task 'describe', not 'rating'"):
        open_session(pictures=make_questions("rating"))
    open_session()
    with pytest.raises(JudgmentError, match="other pictures"):
        open_session(pictures=make_questions("describe"))


def test_random_boxes_lie_inside_and_differ_by_rounding_only():
    rng = np.random.default_rng(0)
    for _ in range(500):
        width, height = (int(side) for side in rng.integers(4, 300, 2))
        x, y, wide, tall = rng.uniform(-50, 350, 4)
        box = fitted_box([x, y, wide, tall], width, height)
        cut = np.clip([x, y, x + wide, y + tall], 0, [width, height] * 2)
        if box is None:
            assert min(cut[2] - cut[0], cut[3] - cut[1]) < 5
        else:
            left, top, w, h = box
            assert left >= 0
            assert top >= 0
            assert left + w <= width
            assert top + h <= height
            assert min(w, h) >= 4
            np.testing.assert_allclose([left, top, left + w, top + h], cut, atol=0.5)


@pytest.mark.parametrize("turn", range(1, 9))
def test_the_size_is_that_of_the_upright_picture(tmp_path, turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.new("RGB", (12, 7)).save(tmp_path / "a.jpg", exif=exif)
    questions = Questions([tmp_path / "a.jpg"], np.zeros((1, 1), int), "describe")
    assert full_size(questions, 0) == open_image(tmp_path / "a.jpg").size


# --- several at once ------------------------------------------------------------------------------------------------


def test_two_kernels_of_one_rater_lose_nothing(open_session, store):
    one, two = open_session(), open_session(where=Judgments(store.path))
    shown = one.current()
    assert one.press("save", text="by one") == "saved"
    assert two.press("save", text="by two") == "saved"
    assert _texts(two) == ["by one", "by two"]
    assert one.press("undo") == "elsewhere"  # it did not show the last step: nothing is taken back unseen
    assert _texts(one) == ["by one", "by two"]
    assert one.press("next") == "stored"
    assert two.press("save", text="about the first picture") == "saved"  # what it showed; kept though it is closed
    assert two.current() == one.current() != shown
    texts = descriptions_table(store, "s")["text"].tolist()
    assert texts == ["by one", "by two", "about the first picture"]
    assert one.press("skip") == "stored"
    assert two.press("skip") == "elsewhere"  # closed already; nothing is skipped unseen
    assert two.current() == one.current()
    assert len(store.answers("s").query("kind == 'ask'")) == 2


def test_an_entry_that_another_kernel_removed_is_not_edited(open_session, store):
    one = open_session()
    one.press("save", text="first")
    two = open_session(where=Judgments(store.path))
    one.press("delete", entry=0)
    assert two.press("save", text="edited", entry=0) == "elsewhere"
    assert two.entries == {}


WORKER = """
import sys
import numpy as np
from percept.data.judgments import Judgments
from percept.labelling import DescribeSession, Questions
path, rater, count, name = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
pictures = Questions(np.arange(count * 3600, dtype=np.uint32).astype(np.uint8).reshape(count, 30, 40, 3),
                     np.arange(count)[:, None], "describe")
session = DescribeSession(Judgments(path), "s", pictures, rater, consent="simulated rater")
print("ready", flush=True)
number = 0
while (trial := session.current()) is not None:
    for part in range(2):
        text = f"{name} wrote {number} of {trial.triplet}"
        outcome = session.press("save", text=text, box=[part, 0, 10, 10] if part else None, seconds=1.0)
        if outcome == "nothing":  # another kernel has closed the last picture
            break
        assert outcome == "saved", outcome
        print(text, flush=True)
        number += 1
    assert session.press("next", seconds=1.0) in ("stored", "elsewhere", "empty", "nothing")
"""


def test_a_kill_loses_nothing_that_was_said_to_be_saved(store):
    said = []
    for kill in range(5):
        command = [sys.executable, "-c", WORKER, str(store.path), "ann", "12", f"run{kill}"]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        lines = iter(worker.stdout)
        assert next(lines) == "ready\n"
        for _ in range(1 + kill):
            said.append(next(lines).strip())
        worker.kill()
        said += [line.strip() for line in lines if line.endswith("\n")]
        worker.wait(30)
    texts = descriptions_table(store, "s")["text"].tolist()
    assert len(said) >= 15
    assert set(said) <= set(texts)
    assert len(texts) == len(set(texts))
    assert len(texts) <= len(said) + 5  # at most the one under way at each kill
    done = subprocess.run([sys.executable, "-c", WORKER, str(store.path), "ann", "12", "last"], timeout=120)
    assert done.returncode == 0
    closed = store.answers("s").query("kind == 'ask'")
    assert sorted(map(int, closed["triplet"])) == list(range(12))


def test_two_raters_and_a_second_kernel_at_once(store):
    """Three processes on one file: ann twice, ben once."""
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(store.path), rater, "6", name], stdout=subprocess.PIPE, text=True
        )
        for rater, name in (("ann", "one"), ("ben", "two"), ("ann", "three"))
    ]
    said = [line.strip() for job in jobs for line in job.communicate(timeout=120)[0].splitlines() if "wrote" in line]
    assert [job.returncode for job in jobs] == [0, 0, 0]
    assert sorted(descriptions_table(store, "s")["text"]) == sorted(said)
    for rater in ("ann", "ben"):
        answers = store.answers("s", rater)
        closed = answers[answers["kind"] == "ask"]
        assert sorted(map(int, closed["triplet"])) == list(range(6))
        assert sorted(answers["position"]) == list(range(len(answers)))


# --- folders --------------------------------------------------------------------------------------------------------


def test_from_a_folder_to_files_that_are_trained_on(parts, store, caplog):
    with caplog.at_level(logging.WARNING):
        panel = describe_folder(parts, store=store, template=INSPECTION, groups=["inspector"])
    assert "1 images cannot be used" in caplog.text
    panel.sign_in("ann", "inspector")
    boxes = {"0.jpg": [0, 0, 40, 40], "1.jpg": [5, 25, 20, 25], "2.jpg": [0, 20, 40, 40], "3.jpg": [5.2, 0, 20, 20]}
    while (trial := panel.current()) is not None:
        name = panel.pictures.images[trial.reference].name
        assert panel.press("save", seconds=1.0, text=f"all of {name}") == "saved"
        assert panel.press("next", seconds=1.0, text=f"part of {name}", box=boxes[name]) == "stored"
    study = "parts describe"
    assert store.studies().iloc[0][["name", "task", "sampling"]].tolist() == [study, "describe", "all"]
    pairs = read_csv(export_captions(store, study, parts), strict=True)
    assert dict(zip([path.name for path in pairs.sources], [[*c] for c in pairs.captions], strict=True)) == {
        name: [f"all of {name}"] for name in boxes
    }
    source = read_regions(export_regions(store, study, parts))
    assert source.notes == []
    for row, path in enumerate(source.paths):
        drawn = source.regions(np.array([row]), "descriptions", 5, np.random.default_rng(0))
        assert drawn.texts == [f"part of {path.name}"]
        width, height = open_image(path).size
        side = min(width, height)
        x, y, w, h = boxes[path.name]
        centre = [round(x) - (width - side) // 2 + w / 2, y - (height - side) // 2 + h / 2, w, h]
        np.testing.assert_allclose(drawn.boxes[0], np.array(centre) / side, atol=1e-6)


def test_a_later_call_goes_on_with_the_pictures_it_began_with(parts, store):
    panel = describe_folder(parts, store=store, n=2, seed=1)
    panel.sign_in("ann")
    assert store.studies()["sampling"][0] == "random (seed 1)"
    assert len(store.items("parts describe")) == 2
    panel.press("next", seconds=1.0, text="one")
    Image.new("RGB", (9, 9)).save(parts / "new.jpg")
    again = describe_folder(parts, "ann", store=store, seed=1)
    assert again.current() == panel.current()
    assert len(again.pictures) == 2
    with pytest.raises(SessionError, match="study 'parts describe' has the task 'describe', not 'rating'"):
        label_folder(parts, task="rating", study="parts describe", store=store)
    (parts / "0.jpg").write_bytes((parts / "1.jpg").read_bytes())
    (parts / "2.jpg").unlink()
    (parts / "3.jpg").unlink()
    with pytest.raises(SessionError, match="put the images back"):
        describe_folder(parts, "ann", store=store)


def test_the_other_panels_send_one_here(parts, store, pictures):
    with pytest.raises(SessionError, match="not 'describe'; use describe_folder"):
        label_folder(parts, task="describe", store=store)
    with pytest.raises(SessionError, match="use describe_folder, or Describer"):
        Labeller(store, "s", pictures)


def test_no_path_of_the_machine_is_stored(parts, store):
    panel = describe_folder(parts, store=store)
    panel.sign_in("ann")
    panel.press("next", seconds=1.0, text="one")
    files = [path.read_bytes() for path in store.path.parent.glob(f"{store.path.name}*")]
    assert any(b"0.jpg" in content for content in files)
    assert not any(str(parts).encode() in content for content in files)

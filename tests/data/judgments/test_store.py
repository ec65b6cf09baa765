import math
import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from percept.data.judgments import AnsweredError, JudgmentError, Judgments

from .conftest import table


def test_answers_come_back_as_they_were_given(store):
    number = store.record("photos", "ann", "t2", 0, "left", True, 1.25)
    store.record("photos", "ann", "t0", 1, "skip", False, 0.5)
    store.record("photos", "ben", "t0", 0, "right", False, 2)
    frame = Judgments(store.path).answers("photos")
    assert frame["id"].tolist()[0] == number
    assert frame["rater"].tolist() == ["ann", "ann", "ben"]
    assert frame["group"].tolist() == ["inspectors", "inspectors", "designers"]
    assert frame["triplet"].tolist() == ["t2", "t0", "t0"]
    assert frame["answer"].tolist() == ["left", "skip", "right"]
    assert frame["swapped"].tolist() == [True, False, False]
    assert frame["seconds"].tolist() == [1.25, 0.5, 2.0]
    assert str(frame["time"].dtype) == "datetime64[us, UTC]"
    assert (pd.Timestamp.now("UTC") - frame["time"]).max().total_seconds() < 60
    assert store.answers("photos", "ben")["position"].tolist() == [0]
    empty = Judgments(store.path.with_name("other.sqlite")).answers()
    typed = ["position", "swapped", "seconds", "time", "undone"]
    assert (empty.dtypes == frame.dtypes)[typed].all(), "an empty table has the types of a full one"


def test_the_same_answer_twice_is_one_and_another_is_refused(store):
    first = store.record("photos", "ann", "t1", 0, "left", False, 1.0)
    assert store.record("photos", "ann", "t1", 0, "left", False, 7.0) == first
    assert len(store.answers()) == 1
    with pytest.raises(AnsweredError, match="'ann', study 'photos': position 0 has the answer 'left' to 't1'"):
        store.record("photos", "ann", "t1", 0, "right", False, 1.0)
    with pytest.raises(AnsweredError, match="position 0 has"):
        store.record("photos", "ann", "t1", 0, "left", True, 1.0)
    with pytest.raises(AnsweredError, match="'t1' was asked at position 0"):
        store.record("photos", "ann", "t1", 9, "left", False, 1.0)
    store.record("photos", "ann", "t1", 9, "right", True, 1.0, kind="repeat")
    store.record("photos", "ben", "t1", 0, "right", False, 1.0)
    assert store.answers()["kind"].tolist() == ["ask", "repeat", "ask"]


def test_undo_keeps_history_and_frees_the_place(store):
    assert store.undo("photos", "ann") is None
    for position, answer in enumerate(["left", "right", "skip"]):
        store.record("photos", "ann", f"t{position}", position, answer, False, 1.0)
    assert store.undo("photos", "ann") == {
        "id": 3, "triplet": "t2", "position": 2, "answer": "skip", "swapped": False, "kind": "ask",
    }  # fmt: skip
    assert store.undo("photos", "ann")["position"] == 1
    assert store.progress("photos", "ann").next_position == 1
    store.record("photos", "ann", "t1", 1, "left", False, 1.0)
    assert store.answers("photos", "ann")["answer"].tolist() == ["left", "left"]
    history = store.answers("photos", "ann", include_undone=True)
    assert history["answer"].tolist() == ["left", "right", "skip", "left"]
    assert history["undone"].notna().tolist() == [False, True, True, False]


def test_progress(store):
    before = store.progress("photos", "ann")
    assert (before.answered, before.next_position, before.items) == (0, 0, 4)
    assert math.isnan(before.seconds)
    for position, seconds in ((0, 1.0), (2, 3.0), (3, 9.0)):
        store.record("photos", "ann", f"t{position}", position, "skip" if position else "left", False, seconds)
    store.record("photos", "ann", "t0", 4, "left", False, 2.0, "repeat")
    now = store.progress("photos", "ann")
    assert (now.answered, now.skipped, now.repeats, now.next_position, now.seconds) == (4, 2, 1, 1, 2.5)


def test_every_write_is_durable_before_it_returns(store):
    with store.file.transaction() as connection:
        settings = ["synchronous", "journal_mode", "secure_delete", "foreign_keys"]
        found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in settings]
    assert found == [2, "wal", 1, 1]


def test_a_failed_transaction_leaves_nothing(store):
    def fails():
        with store.file.transaction() as connection:
            connection.execute("DELETE FROM consents")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert (store.raters()["consent"] != "").all()


def test_the_same_rater_in_eight_threads_and_two_kernels_gives_one_answer_each(store):
    code = "import sys; from percept.data.judgments import Judgments; s = Judgments(sys.argv[1]);" + (
        "[s.record('photos', 'ann', f't{i}', i, 'left', False, 1.0) for i in range(4)]"
    )
    kernels = [subprocess.Popen([sys.executable, "-c", code, str(store.path)]) for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        jobs = [(rater, i) for i in range(4) for rater in ("ann", "ben")] * 4
        ids = list(pool.map(lambda job: store.record("photos", job[0], f"t{job[1]}", job[1], "left", False, 1.0), jobs))
    assert [kernel.wait(60) for kernel in kernels] == [0, 0]
    assert len(set(ids)) == len(store.answers(include_undone=True)) == 8


def test_many_may_make_the_file_at_once(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(lambda _: Judgments(tmp_path / "deep" / "new.sqlite"), range(16)))
    stores[0].register("ann", consent="yes")
    assert stores[9].raters()["rater"].tolist() == ["ann"]


def test_a_writer_waits_for_another(store):
    code = (
        "import sys, time; from percept.data.judgments import Judgments; s = Judgments(sys.argv[1])\n"
        "with s.file.transaction() as c:\n"
        "    c.execute('UPDATE studies SET note = \"held\"'); print('held', flush=True); time.sleep(0.5)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(store.path)], stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"held\n"
    assert store.studies()["note"].tolist() == [""], "readers do not wait and see what is finished"
    store.record("photos", "ann", "t0", 0, "left", False, 1.0)
    assert store.studies()["note"].tolist() == ["held"]
    assert other.wait(30) == 0


def test_coming_back_needs_no_group_and_a_new_consent_is_kept(store):
    store.register("  ann ", consent="Neue Fassung", language="de")
    row = store.raters().set_index("rater").loc["ann"]
    assert (row["group"], row["language"], row["consent"]) == ("inspectors", "de", "Neue Fassung")
    with store.file.transaction(write=False) as connection:
        assert connection.execute("SELECT count(*) FROM consents WHERE rater = 'ann'").fetchone()[0] == 2
    with pytest.raises(JudgmentError, match="'ann' is registered in group 'inspectors', not 'visitors'"):
        store.register("ann", "visitors", consent="text")


def test_names_are_one_name_in_every_unicode_form(store):
    store.register("ガ", consent="同意")
    store.record("photos", "カ\u3099", "t0", 0, "left", False, 1.0)
    assert store.answers()["rater"].tolist() == ["ガ"]


def test_a_deleted_rater_is_gone_from_the_bytes(store):
    store.add_study("long", pd.concat([table(40)]), note="stays")
    secret = "secret-pseudonym-0815"
    store.register(secret, "rare-group-4711", "en", "a consent text only this rater saw")
    for i in range(40):
        store.record("long", secret, f"t{i}", i, "left", False, 1.0)
        store.record("long", "ben", f"t{i}", i, "right", False, 1.0)
    for _ in range(3):
        store.undo("long", secret)

    def everything():
        return b"".join(path.read_bytes() for path in store.path.parent.glob("judgments.sqlite*"))

    assert everything().count(secret.encode()) > 10
    # An open connection of another kernel keeps the log alive, which holds the rows as well.
    reader = sqlite3.connect(store.path)
    reader.execute("SELECT count(*) FROM answers").fetchone()
    assert store.delete_rater(secret) == 40
    left = everything()
    reader.close()
    assert not any(text in left for text in (secret.encode(), b"rare-group-4711", b"only this rater saw"))
    assert store.raters()["rater"].tolist() == ["ann", "ben"]
    assert store.answers("long")["rater"].unique().tolist() == ["ben"]
    assert store.items("long")["id"].tolist() == [f"t{i}" for i in range(40)]


def test_a_study_is_entered_once(store, photos):
    assert store.add_study("photos", table()) == 4
    assert store.items("photos")[["id", "reference", "category"]].to_numpy().tolist()[1] == ["t1", "r1.png", "plate"]
    with pytest.raises(JudgmentError, match="'photos' exists with other triplets"):
        store.add_study("photos", table().iloc[::-1])


def test_moved_and_changed_images_are_noticed(store, photos):
    store.add_study("files", table(), folder=photos)
    assert store.changed_images("files", photos) == []
    (photos / "a1.png").write_bytes((photos / "a0.png").read_bytes())
    (photos / "b2.png").rename(photos / "moved.png")
    assert store.changed_images("files", photos) == ["a1.png", "b2.png"]
    (photos / "moved.png").rename(photos / "b2.png")
    with pytest.raises(JudgmentError, match=r"'a1.png' is no longer the picture that was shown"):
        store.add_study("files", table(), folder=photos)


BAD_ANSWERS = {
    "unknown study": ({"study": "plates"}, r"no study 'plates' \(there are: photos\); call add_study first"),
    "unknown rater": ({"rater": "eve"}, r"no rater 'eve' \(there are: ann, ben\); call register first"),
    "unknown triplet": ({"triplet": "t99"}, "study 'photos' has no triplet 't99'"),
    "answer not in the set": ({"answer": "Left"}, "answer must be one of left, right, skip, not 'Left'"),
    "negative seconds": ({"seconds": -0.1}, "seconds must be a number of 0 or more, not -0.1"),
    "seconds not a number": ({"seconds": math.nan}, "seconds must be a number of 0 or more, not nan"),
    "endless seconds": ({"seconds": math.inf}, "seconds must be a number of 0 or more, not inf"),
    "negative position": ({"position": -1}, "position must be a whole number of 0 or more, not -1"),
    "position between two": ({"position": 0.5}, "position must be a whole number of 0 or more, not 0.5"),
    "unknown kind": ({"kind": "catch"}, "kind must be one of ask, repeat, not 'catch'"),
    "empty pseudonym": ({"rater": " "}, "rater must be a name of 1 to 100 printable characters"),
}


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_bad_answers(store, case):
    changes, message = BAD_ANSWERS[case]
    good = {"study": "photos", "rater": "ann", "triplet": "t0", "position": 0, "answer": "left", "seconds": 1.0}
    with pytest.raises(JudgmentError, match=message):
        store.record(**(good | changes))
    assert not len(store.answers())


def test_numbers_of_numpy_are_numbers(store):
    store.record("photos", "ann", np.str_("t0"), np.int64(3), np.str_("left"), np.bool_(True), np.float32(1.5))
    columns = ["triplet", "position", "answer", "swapped", "seconds"]
    assert store.answers()[columns].to_numpy().tolist() == [["t0", 3, "left", True, 1.5]]
    store.record("photos", "ann", "t0", 3, "left", True, 1.5)
    assert len(store.answers()) == 1


BAD_STUDIES = {
    "missing column": (table().drop(columns="left"), r"no column 'left' \(columns: id, reference, right, category\)"),
    "same id twice": (table().assign(id=["a", "b", "a", "c"]), "row 3: id 'a' is there already"),
    "empty cell": (table().assign(right=["x", None, "y", "z"]), "row 2: right is empty"),
    "no triplets": (table().iloc[:0], "the study has no triplets"),
    "same picture": (table().assign(left="q.png", right="q.png"), "row 1: left and right are the same picture 'q.png'"),
    "half a vote": (table().assign(votes_left=0.5), "row 1: votes_left must be a whole number of 0 or more, not 0.5"),
}


@pytest.mark.parametrize("case", BAD_STUDIES)
def test_bad_studies(store, case):
    triplets, message = BAD_STUDIES[case]
    with pytest.raises(JudgmentError, match=message):
        store.add_study("new", triplets)
    assert store.studies()["name"].tolist() == ["photos"]


def test_bad_pictures_of_a_study(store, photos):
    with pytest.raises(JudgmentError, match=r"'t0': '../judgments.sqlite' is outside the image folder"):
        store.add_study("new", table().assign(left="../judgments.sqlite"), folder=photos)
    with pytest.raises(JudgmentError, match=r"'t0': .*absent.png: no such file"):
        store.add_study("new", table().assign(left="absent.png"), folder=photos)
    (photos / "note.png").write_text("hello")
    with pytest.raises(JudgmentError, match=r"'t0': .*note.png: is not an image"):
        store.add_study("new", table().assign(left="note.png"), folder=photos)
    with pytest.raises(JudgmentError, match=r"task must be one of two_alternative, .* not 'ranking'"):
        store.add_study("new", table(), task="ranking")


def test_registration_needs_pseudonym_and_consent(store):
    with pytest.raises(JudgmentError, match="rater 'eve': give the consent text that was shown"):
        store.register("eve", consent=" ")
    for name in ("", "a\nb", "x" * 101):
        with pytest.raises(JudgmentError, match="rater must be a name of 1 to 100 printable characters"):
            store.register(name, consent="yes")
    with pytest.raises(JudgmentError, match="no rater 'eve'"):
        store.delete_rater("eve")


def test_files_that_are_no_stores(tmp_path, store):
    text = tmp_path / "answers.csv"
    text.write_text("rater,answer\n" * 200)
    with pytest.raises(JudgmentError, match=r"answers.csv: is not an SQLite file; choose another name, or import it"):
        Judgments(text)
    assert text.read_text().startswith("rater"), "a file of the user is never touched"
    other = sqlite3.connect(tmp_path / "other.sqlite")
    other.execute("CREATE TABLE rows (key BLOB)")
    other.close()
    with pytest.raises(JudgmentError, match=r"other.sqlite: is an SQLite file, but not of judgments"):
        Judgments(tmp_path / "other.sqlite")
    folder = tmp_path / "photos"
    folder.mkdir()
    with pytest.raises(JudgmentError, match=r"photos: .*(cannot be opened|is a directory|cannot be written)"):
        Judgments(folder)
    with store.file.transaction() as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(JudgmentError, match=r"newer percept \(form 2, this one knows 1\); update percept"):
        Judgments(store.path)
    with pytest.raises(JudgmentError, match="newer percept"):
        store.record("photos", "ann", "t0", 0, "left", False, 1.0)


def test_a_store_that_was_moved_away_is_not_started_anew(store):
    store.path.rename(store.path.with_name("moved.sqlite"))
    with pytest.raises(JudgmentError, match="cannot be opened; was it moved or deleted"):
        store.record("photos", "ann", "t0", 0, "left", False, 1.0)
    assert not store.path.exists()


def test_damage_is_said(store):
    data = bytearray(store.path.read_bytes())
    data[4096:8192] = b"\x55" * 4096
    store.path.write_bytes(data)
    with pytest.raises(JudgmentError, match=r"judgments.sqlite: is damaged"):
        store.studies()


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="no users on this system")
def test_a_folder_without_permission(tmp_path_factory):
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o555)
        root = os.geteuid() == 0
        try:
            if root:  # who may do everything is not stopped by permissions
                os.seteuid(65534)
            with pytest.raises(JudgmentError, match=r"j.sqlite: cannot be written \(Permission denied\); choose"):
                Judgments(f"{place}/j.sqlite")
        finally:
            if root:
                os.seteuid(0)
            os.chmod(place, 0o755)

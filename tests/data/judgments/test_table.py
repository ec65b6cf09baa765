import csv
import io

import pytest

from percept.data.judgments import AnsweredError, JudgmentError, Judgments, export_csv, import_csv

HEADER = "rater,triplet,reference,left,right,answer"
LINE = "ann,t0,r0.png,a0.png,b0.png,left"


def fill(store):
    """Answers of every sort: skip, repeat, swapped, undone, unusual text."""
    store.register("=SUM(A1)", "-old", "en", '+1 thing,\nwith "quotes" and \'')
    store.record("photos", "ann", "t0", 0, "left", True, 1.2345678901234567)
    store.record("photos", "ann", "t1", 1, "skip", False, 0.1)
    store.record("photos", "ann", "t2", 2, "right", False, 3.0)
    store.undo("photos", "ann")
    store.record("photos", "ann", "t2", 2, "left", False, 4.0)
    store.record("photos", "ann", "t0", 3, "left", False, 2.0, "repeat")
    store.record("photos", "=SUM(A1)", "t3", 0, "right", False, 1.0)


def without_ids(store):
    return store.answers(include_undone=True).drop(columns="id").astype(str).to_numpy().tolist()


def test_round_trip_is_identical(store, tmp_path):
    fill(store)
    path = export_csv(store, tmp_path / "out" / "answers.csv", licence="CC BY 4.0")
    other = Judgments(tmp_path / "other.sqlite")
    assert import_csv(other, path) == 6
    assert without_ids(other) == without_ids(store)
    columns = ["id", "reference", "left", "right", "category"]
    assert other.items("photos")[columns].equals(store.items("photos")[columns])
    asked = store.raters().set_index("rater").drop(columns="time").drop(index="ben")
    assert other.raters().set_index("rater").drop(columns="time").sort_index().equals(asked.sort_index())
    again = export_csv(other, tmp_path / "again.csv")
    assert again.read_bytes() == path.read_bytes()
    assert import_csv(other, path) == 0, "importing once more doubles nothing"
    assert "CC BY 4.0" in (tmp_path / "out" / "answers.card.md").read_text("utf-8")


def test_file_is_fit_for_spreadsheets(store, tmp_path):
    fill(store)
    raw = export_csv(store, tmp_path / "a.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf"), "Excel knows UTF-8 by this mark"
    cells = [cell for row in csv.reader(io.StringIO(raw.decode("utf-8-sig"))) for cell in row]
    assert "'=SUM(A1)" in cells
    assert not [cell for cell in cells if cell[:1] in "=+-@" and cell]


def test_one_rater_gets_the_own_answers(store, tmp_path):
    fill(store)
    store.add_study("second", store.items("photos"))
    store.record("second", "ann", "t0", 0, "right", False, 1.0)
    other = Judgments(tmp_path / "other.sqlite")
    assert import_csv(other, export_csv(store, tmp_path / "ann.csv", rater="ann")) == 6
    assert other.raters()["rater"].tolist() == ["ann"]
    assert other.studies()["name"].tolist() == ["photos", "second"]


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        (f"{HEADER}\n{LINE}\nベン,t1,r1.png,a1.png,b1.png,skip\n", "utf-8-sig"),
        (f"{HEADER}\r\n{LINE}\r\n\r\nベン,t1,r1.png,a1.png,b1.png,skip\r\n", "cp932"),
        (f"{HEADER}\n{LINE}\nベン,t1,r1.png,a1.png,b1.png,skip\n".replace(",", ";"), "utf-8"),
        (f"{HEADER}\n{LINE}\nベン,t1,r1.png,a1.png,b1.png,skip\n".replace(",", "\t"), "utf-16"),
        (f"{HEADER.title()}\n{LINE}\nベン, t1,r1.png,a1.png,b1.png,Skip\n".replace(",", "\t"), "utf-8"),
    ],
)
def test_files_of_other_programs(tmp_path, text, codec):
    (tmp_path / "a.csv").write_bytes(text.encode(codec))
    store = Judgments(tmp_path / "j.sqlite")
    assert import_csv(store, tmp_path / "a.csv", "survey") == 2
    answers = store.answers("survey")
    assert answers[["rater", "triplet", "position", "answer"]].to_numpy().tolist() == [
        ["ann", "t0", 0, "left"],
        ["ベン", "t1", 0, "skip"],
    ]
    assert answers[["seconds", "time"]].isna().all(axis=None), "what is not known is not made up"


def test_times_are_kept_in_utc(tmp_path, store):
    lines = f"{HEADER},time,position\n{LINE},2026-01-31T09:00:00+09:00,5\n"
    (tmp_path / "a.csv").write_text(lines)
    import_csv(store, tmp_path / "a.csv", "photos")
    assert store.answers()["time"].astype(str).tolist() == ["2026-01-31 00:00:00+00:00"]
    assert store.answers()["position"].tolist() == [5]


def test_pictures_are_checked_when_a_folder_is_given(tmp_path, photos):
    store = Judgments(tmp_path / "j.sqlite")
    (tmp_path / "a.csv").write_text(f"{HEADER}\n{LINE}\n")
    import_csv(store, tmp_path / "a.csv", "survey", folder=photos)
    (photos / "a0.png").write_bytes(b"changed")
    assert store.changed_images("survey", photos) == ["a0.png"]


BAD = {
    "missing column": (HEADER.replace("left,", ""), LINE, r"a.csv: has no column 'left' \(columns: rater, triplet"),
    "column twice": (HEADER + ",left", LINE + ",x", "a.csv: has two columns 'left'"),
    "short row": (HEADER, "ann,t1", "a.csv, row 3: has 2 cells, the header has 6"),
    "no rater": (HEADER, LINE.replace("ann", ""), "a.csv, row 3: rater must be a name"),
    "unknown answer": (HEADER, LINE.replace("left", "nan"), "a.csv, row 3: answer must be one of left, right, skip"),
    "empty picture": (HEADER, LINE.replace("a0.png", ""), "a.csv, row 3: left is empty"),
    "negative seconds": (HEADER + ",seconds", LINE + ",-1", "a.csv, row 3: seconds must be a number of 0 or more"),
    "seconds of NaN": (HEADER + ",seconds", LINE + ",nan", "a.csv, row 3: seconds 'nan' is not a number"),
    "broken position": (HEADER + ",position", LINE + ",1.5", "a.csv, row 3: position must be a whole number"),
    "strange time": (HEADER + ",time", LINE + ",yesterday", "a.csv, row 3: time 'yesterday' is no ISO 8601 time"),
    "strange swapped": (HEADER + ",swapped", LINE + ",maybe", "a.csv, row 3: swapped 'maybe' must be True or False"),
    "asked twice": (HEADER, LINE, "a.csv, row 3: .*triplet 't0' was asked at position 0"),
    "other pictures": (HEADER, LINE.replace("r0", "r9"), "a.csv, row 3: study 'new' has a triplet 't0' of other pictu"),
    "other group": (
        HEADER + ",group",
        LINE.replace("t0", "t1") + ",b",
        "row 3: rater 'ann' is registered in group 'a'",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_store_nothing(tmp_path, case):
    header, line, message = BAD[case]
    good = LINE + {"seconds": ",1", "position": ",0", "group": ",a", "left": ",y"}.get(header.split(",")[-1], ",")
    good = LINE if header.count(",") <= HEADER.count(",") else good
    (tmp_path / "a.csv").write_text(f"{header}\n{good}\n{line}\n")
    store = Judgments(tmp_path / "j.sqlite")
    with pytest.raises(JudgmentError, match=message):
        import_csv(store, tmp_path / "a.csv", "new")
    assert not len(store.answers())
    assert not len(store.studies())
    assert not len(store.raters())


def test_other_answers_than_those_stored_are_refused(store, tmp_path):
    store.record("photos", "ann", "t0", 0, "right", False, 1.0)
    (tmp_path / "a.csv").write_text(f"{HEADER}\nben{LINE[3:]}\n{LINE}\n")
    with pytest.raises(AnsweredError, match=r"a.csv, row 3: .*position 0 has the answer 'right' to 't0'"):
        import_csv(store, tmp_path / "a.csv", "photos")
    assert store.answers()["rater"].tolist() == ["ann"]


def test_files_that_are_no_tables(store, tmp_path):
    path = tmp_path / "a.csv"
    for content, message in [
        (b"", "has no column 'rater' .columns: none"),
        (HEADER.encode() + b"\n", "has no rows below its header"),
        (b"caf\xe9,x\n", "neither UTF-8 nor Shift-JIS"),
        (f'{HEADER}\n"ann,t0\n'.encode(), "not a readable table"),
        (f"{HEADER}\n{LINE}\n".encode(), r"row 2: study \(a column, or the argument\) must be a name"),
    ]:
        path.write_bytes(content)
        with pytest.raises(JudgmentError, match=f"a.csv.*{message}"):
            import_csv(store, path)
    with pytest.raises(JudgmentError, match=r"absent.csv: cannot be read \(No such file"):
        import_csv(store, tmp_path / "absent.csv")
    with pytest.raises(JudgmentError, match="no study 'plates'"):
        export_csv(store, tmp_path / "b.csv", "plates")
    assert not (tmp_path / "b.csv").exists()

"""Descriptions in the store, and as files that `read_csv` and `read_regions` read back."""

import csv
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from percept.data.judgments import (
    AnsweredError,
    Entry,
    JudgmentError,
    Judgments,
    coded,
    data_card,
    descriptions_table,
    export_captions,
    export_csv,
    export_regions,
    import_csv,
)
from percept.data.judgments.entries import MAX_TEXT, clean_text, parsed_entry, standing
from percept.data.pair_files import read_csv
from percept.data.region_files import read_regions

NAMES = ("a.png", "-b, c.png", "箱/あ.png", "wide.png")
STUDY = "parts describe"
WRITTEN = [
    ("0", Entry("a red mark", language="en")),
    ("0", Entry("scratch, upper left", (2, 3, 10, 8), {"defect": "scratch"}, "en")),
    ("1", Entry("=1+1", language="en")),
    ("2", Entry("赤い「印」, 丸い", (0, 0, 40, 40), None, "ja")),
    ("2", Entry('he said "ok" ✓', None, None, "ja")),
    ("3", Entry("in the middle", (25, 5, 20, 20))),
    ("3", Entry("-5 mm to the left", (24, 0, 36, 36))),
]


@pytest.fixture
def parts(tmp_path):
    folder = tmp_path / "parts"
    (folder / "箱").mkdir(parents=True)
    for name in NAMES:
        Image.new("RGB", (80, 40) if name == "wide.png" else (40, 40)).save(folder / name)
    return folder


@pytest.fixture
def store(tmp_path, parts):
    """A study of four pictures; ann wrote `WRITTEN` and closed all; ben knows nothing yet."""
    store = Judgments(tmp_path / "judgments.sqlite")
    items = pd.DataFrame({"id": [str(i) for i in range(4)], "reference": NAMES})
    store.add_study(STUDY, items, folder=parts, task="describe", sampling="all")
    for rater, language in (("ann", "en"), ("ben", "ja")):
        store.register(rater, "inspectors", language, "agreed")
    place = 0
    for image, entry in WRITTEN:
        store.record(STUDY, "ann", image, place, entry.encoded(), seconds=2.0, kind="entry")
        place += 1
    for image in range(4):
        store.record(STUDY, "ann", str(image), place, "done", seconds=9.0)
        place += 1
    return store


# --- one entry ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", [entry for _, entry in WRITTEN] + [Entry("", replaces=0), Entry("x", replaces=7)])
def test_an_entry_comes_back_as_it_went(entry):
    assert parsed_entry(entry.encoded()) == entry
    assert parsed_entry(entry.encoded()).encoded() == entry.encoded()


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("  two  words \r\n three\t", "two words three"),
        ("\x00a\x1bb\x7f\x85c\u2028d", "a b c d"),
        ("safe\u202egnp.exe", "safe gnp.exe"),
        ("\ud800x", "x"),
        ("か\u3099", "が"),
        ("全角　空白　", "全角　空白"),
        ("👩‍🔧 checks", "👩‍🔧 checks"),
        ("\u200b\u200d \u3000\ufeff", ""),
        ("...", "..."),
    ],
)
def test_text_becomes_plain(text, clean):
    assert clean_text(text) == clean
    assert clean_text(clean) == clean


def test_random_text_is_stored_as_one_clean_line():
    rng = np.random.default_rng(0)
    for _ in range(300):
        text = "".join(map(chr, rng.choice([*range(0x300), *range(0x2000, 0x2070), 0x3000, 0xFEFF, 0xD800], 30)))
        clean = clean_text(text)
        assert clean_text(clean) == clean
        assert clean == clean.strip()
        assert "\n" not in clean
        assert len(clean.splitlines()) <= 1
        if clean:
            assert parsed_entry(Entry(clean).encoded()).text == clean
            clean.encode("utf-8")


BAD = [
    ("a cup", "an entry must be JSON such as"),
    (4, "an entry must be JSON such as"),
    ("[" * 100_000, "an entry must be JSON such as"),
    ('["text"]', "an entry must be JSON such as"),
    ('{"box": [0, 0, 9, 9]}', "an entry must be JSON such as"),
    ('{"text": 3}', "an entry must be JSON such as"),
    ('{"text": "a", "colour": "red"}', "an entry must be JSON such as"),
    ('{"text": " \\u200b\\n"}', "a description is empty"),
    ('{"text": "", "box": [0, 0, 9, 9], "replaces": 1}', "a description is empty"),
    (json.dumps({"text": "x" * (MAX_TEXT + 1)}), "at most 500 characters, this one has 501"),
    ('{"text": "a", "box": [0, 0, 9]}', r"box must be \[x, y, width, height\] in whole px"),
    ('{"text": "a", "box": [0, 0, 9, 9.5]}', "box must be"),
    ('{"text": "a", "box": [-1, 0, 9, 9]}', "box must be"),
    ('{"text": "a", "box": [true, 0, 9, 9]}', "box must be"),
    ('{"text": "a", "box": {"x": 1}}', "box must be"),
    ('{"text": "a", "box": [0, 0, 3, 9]}', r"box \[0, 0, 3, 9\] is too small; .* at least 4 px"),
    ('{"text": "a", "fields": {"part": 3}}', "fields must be texts by name"),
    ('{"text": "a", "fields": ["part"]}', "fields must be texts by name"),
    ('{"text": "a", "language": 1}', "language a text"),
    ('{"text": "a", "replaces": "0"}', "replaces must be the position of an entry"),
    ('{"text": "a", "replaces": -1}', "replaces must be the position of an entry"),
]


@pytest.mark.parametrize(("answer", "message"), BAD)
def test_entries_that_are_none_are_not_stored(store, answer, message):
    before = len(store.answers())
    with pytest.raises(JudgmentError, match=message):
        store.record(STUDY, "ben", "0", 0, answer, kind="entry")
    assert len(store.answers()) == before


def slow_standing(entries):
    """Apply the entries one by one to a list, as somebody would with pencil and rubber."""
    page = []
    for position in sorted(entries):
        entry = entries[position]
        places = [i for i, (held, _) in enumerate(page) if held == entry.replaces]
        if places:
            page[places[0] : places[0] + 1] = [(position, entry)] if entry.text else []
        elif entry.text:
            page.append((position, entry))
    return dict(page)


def test_what_holds_equals_pencil_and_rubber():
    rng = np.random.default_rng(1)
    for _ in range(200):
        entries, position = {}, 0
        for _ in range(12):
            position += int(rng.integers(1, 3))
            held = [*slow_standing(entries)]
            replaces = int(rng.choice(held)) if held and rng.random() < 0.6 else None
            text = "" if replaces is not None and rng.random() < 0.4 else f"text {position}"
            entries[position] = Entry(text, replaces=replaces)
            assert [*standing(entries).items()] == [*slow_standing(entries).items()]


# --- in the store ---------------------------------------------------------------------------------------------------


def test_entries_do_not_count_as_answers_and_are_not_doubled(store):
    counts = store.progress(STUDY, "ann")
    assert (counts.answered, counts.skipped, counts.items, counts.next_position) == (4, 0, 4, 11)
    again = store.record(STUDY, "ann", "0", 0, WRITTEN[0][1].encoded(), kind="entry")
    assert again == store.answers()["id"][0]
    with pytest.raises(AnsweredError, match="position 0 has the answer"):
        store.record(STUDY, "ann", "0", 0, Entry("other").encoded(), kind="entry")
    with pytest.raises(AnsweredError, match="picture '0' was asked at position 7"):
        store.record(STUDY, "ann", "0", 11, "skip")


def test_each_task_has_its_kinds_and_answers(store):
    store.add_study("five", pd.DataFrame({"id": ["0"], "reference": ["a.png"]}), task="rating")
    for study, answer, kind, message in [
        ("five", Entry("a").encoded(), "entry", "kind must be one of ask, repeat, not 'entry'"),
        (STUDY, "done", "repeat", "kind must be one of ask, entry, not 'repeat'"),
        (STUDY, "left", "ask", "answer must be one of done, skip, not 'left'"),
        (STUDY, Entry("a").encoded(), "ask", "answer must be one of done, skip"),
    ]:
        with pytest.raises(JudgmentError, match=message):
            store.record(study, "ben", "0", 0, answer, kind=kind)
    with pytest.raises(JudgmentError, match=r"has descriptions .* of '0'\): use descriptions_table"):
        coded(store.answers(STUDY))
    with pytest.raises(JudgmentError, match="has the task 'rating'; this needs 'describe'"):
        descriptions_table(store, "five")


def test_undo_takes_a_change_and_a_removal_back(store):
    ben = (STUDY, "ben", "0")
    steps = [Entry("one"), Entry("two"), Entry("one, better", replaces=0), Entry("", replaces=1)]
    shown = [["one"], ["one", "two"], ["one, better", "two"], ["one, better"]]
    for place, (entry, texts) in enumerate(zip(steps, shown, strict=True)):
        store.record(*ben, place, entry.encoded(), kind="entry")
        assert _texts(store, "ben") == texts
    for texts in [*shown[-2::-1], []]:
        store.undo(STUDY, "ben")
        assert _texts(store, "ben") == texts
    assert len(store.answers(STUDY, "ben", include_undone=True)) == 4


def _texts(store, rater):
    table = descriptions_table(store, STUDY)
    return table.loc[table["rater"] == rater, "text"].tolist()


def test_the_table_holds_everything_that_was_written(store):
    table = descriptions_table(store, STUDY)
    assert table["image"].tolist() == [NAMES[int(image)] for image, _ in WRITTEN]
    for row, (_, entry) in zip(table.itertuples(), WRITTEN, strict=True):
        assert (row.text, row.box, row.fields or None, row.language) == entry[:4]
        assert (row.rater, row.group, row.seconds) == ("ann", "inspectors", 2.0)


def test_csv_round_trip_keeps_case_quotes_and_history(store, tmp_path):
    store.record(STUDY, "ben", "0", 0, Entry("Big LETTERS").encoded(), kind="entry")
    store.undo(STUDY, "ben")
    store.record(STUDY, "ben", "0", 1, Entry("Big LETTERS, again", (1, 2, 30, 4)).encoded(), kind="entry")
    export_csv(store, tmp_path / "all.csv")
    other = Judgments(tmp_path / "other.sqlite")
    assert import_csv(other, tmp_path / "all.csv") == 13
    assert import_csv(other, tmp_path / "all.csv") == 0
    pd.testing.assert_frame_equal(descriptions_table(other, STUDY), descriptions_table(store, STUDY))
    assert (
        other.answers(include_undone=True)["answer"].tolist() == store.answers(include_undone=True)["answer"].tolist()
    )
    export_csv(store, tmp_path / "ben.csv", rater="ben")
    text = (tmp_path / "ben.csv").read_text("utf-8-sig")
    assert "Big LETTERS, again" in text
    assert "red mark" not in text


def test_a_rater_can_be_deleted_with_every_word(store):
    assert store.delete_rater("ann") == 11
    assert descriptions_table(store, STUDY).empty
    assert b"upper left" not in store.path.read_bytes()


# --- files to train on ----------------------------------------------------------------------------------------------


def test_captions_are_read_back_by_the_reader_of_notebook_02(store, parts):
    store.record(STUDY, "ben", "0", 0, Entry("a second sentence", language="ja").encoded(), kind="entry")
    path = export_captions(store, STUDY, parts)
    pairs = read_csv(path, strict=True)
    assert [path.relative_to(parts).as_posix() for path in pairs.sources] == ["a.png", "-b, c.png", "箱/あ.png"]
    assert pairs.captions == [["a red mark", "a second sentence"], ["=1+1"], ['he said "ok" ✓']]
    rows = [*csv.reader(path.read_text("utf-8").splitlines())]
    assert rows[0] == ["filepath", "title"]
    assert [cell for row in rows for cell in row if cell[0] in "=+-@"] == []  # nothing runs in a spreadsheet
    assert read_csv(export_captions(store, STUDY, parts, language="ja")).captions == [
        ["a second sentence"],
        ['he said "ok" ✓'],
    ]


def test_captions_may_lie_elsewhere(store, parts, tmp_path):
    pairs = read_csv(export_captions(store, STUDY, tmp_path / "out"), parts, strict=True)
    assert len(pairs.sources) == 3


def test_regions_are_read_back_by_the_reader_of_notebook_06(store, parts):
    path = export_regions(store, STUDY, parts)
    source = read_regions(path)
    assert [path.relative_to(parts).as_posix() for path in source.paths] == [*NAMES]
    assert source.notes == []
    assert source.caption_rows.tolist() == [0, 1, 2]
    assert source.region_rows.tolist() == [0, 2, 3]
    _, captions = source.captions(np.array([0, 1, 2]), np.random.default_rng(0))
    assert captions == ["a red mark", "=1+1", 'he said "ok" ✓']
    found = {}
    for row in source.region_rows:
        drawn = source.regions(np.array([row]), "descriptions", 9, np.random.default_rng(0))
        found |= dict(zip(drawn.texts, drawn.boxes, strict=True))
    for image, entry in WRITTEN:
        if entry.box:
            x, y, wide, tall = entry.box
            left = 20 if image == "3" else 0  # the centre square of the wide picture
            centre = np.array([x - left + wide / 2, y + tall / 2, wide, tall]) / 40
            np.testing.assert_allclose(found.pop(entry.text), centre, atol=1e-6)
    assert not found


def test_region_records_have_the_published_form(store, parts):
    store.record(STUDY, "ben", "0", 0, Entry("by ben", (0, 0, 4, 4), language="ja").encoded(), kind="entry")
    records = json.loads(export_regions(store, STUDY, parts).read_text("utf-8"))
    assert records[0] == {
        "image": "a.png",
        "caption": ["a red mark"],
        "elems": [{"caption": "scratch, upper left", "bb": [2, 3, 10, 8]}, {"caption": "by ben", "bb": [0, 0, 4, 4]}],
    }
    assert records[3]["elems"][1] == {"caption": "-5 mm to the left", "bb": [24, 0, 36, 36]}
    assert "caption" not in records[3]
    japanese = json.loads(export_regions(store, STUDY, parts, language="ja").read_text("utf-8"))
    assert [record["image"] for record in japanese] == ["a.png", "箱/あ.png"]


def test_nothing_to_write(store, tmp_path):
    for export, language, message in [
        (export_captions, "fr", "has no captions of whole pictures yet; nothing was written"),
        (export_regions, "fr", "has no descriptions of boxes yet; nothing was written"),
    ]:
        with pytest.raises(JudgmentError, match=message):
            export(store, STUDY, tmp_path / "out", language=language)
        with pytest.raises(JudgmentError, match="no study 'absent'"):
            export(store, "absent", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_card_counts_and_warns(store, parts):
    store.record(STUDY, "ben", "0", 0, "skip", seconds=1.0)
    store.record(STUDY, "ben", "1", 1, Entry("oops").encoded(), kind="entry")
    store.undo(STUDY, "ben")
    export_captions(store, STUDY, parts, licence="CC0")
    card = (parts / "captions.card.md").read_text("utf-8")
    for line in (
        "- raters: 2 (known by pseudonyms only)",
        "- pictures: 4, answered: 4",
        '- first answers: 5, of these "nothing to describe": 1',
        "- taken back: 1",
        "- descriptions of whole pictures: 3, of boxes: 4",
        "- descriptions in en: 3",
        "- descriptions in ja: 2",
        "- descriptions in a language not stated: 2",
        "- in this export, captions: 3",
        "- in this export, pictures: 3",
        "- in this export, descriptions left out: 4",
        f"- {STUDY}: descriptions are not compared between raters",
        "- of the answers: CC0",
        "- descriptions are free text: read them before passing them on, they may name people or secrets",
    ):
        assert line in card.splitlines(), line
    export_regions(store, STUDY, parts)
    card = (parts / "regions.card.md").read_text("utf-8")
    assert "- in this export, regions: 4\n- in this export, captions: 3\n- in this export, pictures: 4\n" in card
    assert "- descriptions of whole pictures: 0, of boxes: 0" in data_card(store, STUDY, rater="ben")

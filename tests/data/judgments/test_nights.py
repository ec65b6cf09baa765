import numpy as np
import pandas as pd
import pytest
from PIL import Image

from percept.data.judgments import JudgmentError, Judgments, coded, export_nights, import_nights, tally
from percept.data.nights import read_nights
from percept.data.opening import ImageError

from .conftest import table

HEADER = "id,left_vote,right_vote,votes,prompt,ref_path,left_path,right_path,split,is_imagenet"


def fill(store):
    """By hand: t0 left 2, t1 right 1 left 1, t2 right 1 (one skip, repeats), t3 nobody."""
    store.record("photos", "ann", "t0", 0, "left", True, 1.0)
    store.record("photos", "ann", "t1", 1, "right", False, 1.0)
    store.record("photos", "ann", "t2", 2, "left", False, 1.0)
    store.undo("photos", "ann")
    store.record("photos", "ann", "t2", 2, "right", False, 1.0)
    store.record("photos", "ann", "t0", 3, "right", False, 1.0, "repeat")
    store.record("photos", "ben", "t0", 0, "left", False, 1.0)
    store.record("photos", "ben", "t1", 1, "left", False, 1.0)
    store.record("photos", "ben", "t2", 2, "skip", False, 1.0)


def test_tally_by_hand(store):
    fill(store)
    votes = tally(store, "photos")
    assert votes[["n_left", "n_right", "n_skip"]].to_numpy().tolist() == [[2, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 0]]
    np.testing.assert_array_equal(votes["right_share"], [0, 0.5, 1, np.nan])


def test_coded_answers(store):
    fill(store)
    frame = coded(store.answers("photos"))
    assert frame.columns.tolist() == ["rater", "group", "item", "answer", "order", "seconds", "kind", "swapped"]
    np.testing.assert_array_equal(frame["answer"], [0, 1, 1, 1, 0, 0, np.nan])
    assert frame["kind"].tolist() == ["ask"] * 3 + ["repeat"] + ["ask"] * 3


def test_written_beside_the_pictures_and_read(store, photos):
    fill(store)
    counts = export_nights(store, "photos", photos, split="test")
    assert list(counts.values()) == [3, 5, 1, 1, 1]
    text = (photos / "data.csv").read_text("utf-8")
    assert text.splitlines()[:3] == [
        HEADER,
        "t0,1,0,2,cup,r0.png,a0.png,b0.png,test,",
        "t1,0.5,0.5,2,plate,r1.png,a1.png,b1.png,test,",
    ]
    triplets = read_nights(photos, "test", min_votes=1)
    assert triplets.vote_right.tolist() == [0, 0.5, 1]
    assert triplets.votes.tolist() == [2, 2, 1]
    assert triplets.groups.tolist() == ["cup", "plate", "cup"]
    assert [path.name for path in np.array(triplets.images, object)[triplets.items[2]]] == [
        "r2.png",
        "a2.png",
        "b2.png",
    ]


@pytest.mark.parametrize("source", ["folder", "arrays"])
def test_copied_pictures_are_the_same_without_metadata(store, photos, tmp_path, source):
    fill(store)
    pixels = {path.name: np.asarray(Image.open(path)) for path in photos.glob("*.png")}
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    Image.fromarray(pixels["r2.png"]).save(photos / "r2.png", exif=exif)
    folder = tmp_path / "export"
    export_nights(store, "photos", folder, pictures=photos if source == "folder" else pixels, copy=True)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    assert names[:3] == ["distort/000/000_0.png", "distort/000/000_1.png", "distort/000/001_0.png"]
    assert (len(names), names[-1]) == (9, "ref/000/002.png")
    triplets = read_nights(folder, "train", min_votes=0)
    shown = triplets.pictures(triplets.items[2])
    for picture, name in zip(shown, ("r2.png", "a2.png", "b2.png"), strict=True):
        np.testing.assert_array_equal(np.asarray(picture), pixels[name])
    assert b"taken at home" not in b"".join(path.read_bytes() for path in folder.rglob("*.png"))


def test_round_trip_through_another_store(store, photos, tmp_path):
    fill(store)
    store.add_study("flags", table().assign(is_imagenet=[True, False, None, True], split=["val", "test", "", "train"]))
    for position in range(4):
        for rater in ("ann", "ben"):
            answer = "left" if rater == "ann" and position == 3 else "right"
            store.record("flags", rater, f"t{position}", position, answer, False, 1.0)
    export_nights(store, "flags", photos, split="train")
    first = (photos / "data.csv").read_bytes()
    other = Judgments(tmp_path / "other.sqlite")
    assert import_nights(other, "again", photos) == 4
    assert other.items("again")[["votes_left", "votes_right"]].to_numpy().tolist() == [[0, 2], [0, 2], [0, 2], [1, 1]]
    assert other.changed_images("again", photos) == []
    assert len(other.raters()) == 0, "nobody is invented"
    export_nights(other, "again", photos)
    assert (photos / "data.csv").read_bytes() == first
    # Votes of people here are added to those that came with the data.
    other.register("eve", consent="yes")
    other.record("again", "eve", "t3", 0, "right", False, 1.0)
    assert tally(other, "again").iloc[3][["n_left", "n_right"]].tolist() == [1, 2]
    assert import_nights(other, "again", photos) == 4


def test_splits_keep_the_triplets_of_one_reference_together(store, tmp_path):
    count = 600
    numbers = np.arange(count)
    ids = pd.Series(numbers).astype(str)
    frame = pd.DataFrame({"id": ids, "reference": (numbers // 3).astype(str), "left": "a", "right": "b"})
    store.add_study("many", frame.assign(votes_left=6))
    export_nights(store, "many", tmp_path / "out", split={"train": 0.7, "val": 0.1, "test": 0.2})
    written = pd.read_csv(tmp_path / "out" / "data.csv")
    assert (written.groupby("ref_path")["split"].nunique() == 1).all()
    shares = written["split"].value_counts(normalize=True)
    for name, share in (("train", 0.7), ("val", 0.1), ("test", 0.2)):
        assert abs(shares[name] - share) < 0.08, "200 references: two standard deviations are 0.065"


def test_published_columns_in_any_order_with_unknown_ones(tmp_path, photos):
    lines = [
        "is_imagenet,split,right_path,left_path,ref_path,extra,prompt,votes,right_vote,left_vote,id",
        "True,train,b0.png,a0.png,./r0.png,?,cup,7,1.0,0.0,17",
        "False,test,b1.png,a1.png,r1.png,?,,3,0.67,0.33,18",
    ]
    (photos / "data.csv").write_text("\n".join(lines), "utf-8-sig")
    store = Judgments(tmp_path / "j.sqlite")
    import_nights(store, "nights", photos, sampling="as published")
    assert store.items("nights").to_numpy().tolist() == [
        ["17", "r0.png", "a0.png", "b0.png", "cup", "train", 1, 0, 7],
        ["18", "r1.png", "a1.png", "b1.png", "", "test", 0, 1, 2],
    ]


GOOD = "1,1,0,6,cup,r0.png,a0.png,b0.png,train,True"
BAD = {
    "missing column": (HEADER.replace("votes,", ""), GOOD.replace("6,", ""), "has no column 'votes'"),
    "vote of NaN": (HEADER, GOOD.replace("1,1,0", "2,nan,0"), "row 3: left_vote 'nan' is not a number"),
    "empty vote": (HEADER, GOOD.replace("1,1,0", "2,,0"), "row 3: left_vote '' is not a number"),
    "votes for both": (HEADER, GOOD.replace("1,1,0", "2,1,1"), "row 3: left_vote 1 and right_vote 1 must be 0 or more"),
    "half a vote": (HEADER, GOOD.replace("6,", "6.5,"), "row 3: votes must be a whole number of 0 or more, not '6.5'"),
    "no such share": (HEADER, GOOD.replace("1,1,0,6", "2,.5,.5,1"), "row 3: right_vote 0.5 is not a share of 1 votes"),
    "id twice": (HEADER, GOOD, "row 3: id '1' is there already"),
    "same picture": (HEADER, GOOD.replace("1,1", "2,1").replace("b0", "a0"), "row 3: left and right are the same"),
    "strange flag": (
        HEADER,
        GOOD.replace("1,1", "2,1").replace("True", "yes"),
        "row 3: is_imagenet 'yes' must be True",
    ),
    "outside": (HEADER, GOOD.replace("1,1", "2,1").replace("a0", "../a0"), "row 3: .*'../a0.png' is outside the image"),
    "absent": (HEADER, GOOD.replace("1,1", "2,1").replace("a0", "absent"), "row 3: .*absent.png: no such file"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_store_nothing(tmp_path, photos, case):
    header, line, message = BAD[case]
    good = GOOD if header == HEADER else line
    (photos / "data.csv").write_text(f"{header}\n{good}\n{line}\n")
    store = Judgments(tmp_path / "j.sqlite")
    with pytest.raises(JudgmentError, match=message):
        import_nights(store, "nights", photos)
    assert not len(store.studies())


def test_exports_that_cannot_be(store, photos, tmp_path):
    with pytest.raises(JudgmentError, match="study 'photos' has no votes yet; nothing was written"):
        export_nights(store, "photos", tmp_path / "out")
    fill(store)
    for split in ("validation", {"train": 0.5, "test": 0.6}, {"train": -1, "test": 2}, {}):
        with pytest.raises(JudgmentError, match="split must be train, val or test"):
            export_nights(store, "photos", tmp_path / "out", split=split)
    with pytest.raises(JudgmentError, match="copy=True needs pictures="):
        export_nights(store, "photos", tmp_path / "out", copy=True)
    with pytest.raises(JudgmentError, match=r"has 'r0.png'"):
        export_nights(store, "photos", tmp_path / "out", copy=True, pictures={})
    (photos / "a1.png").unlink()
    with pytest.raises(ImageError, match=r"a1.png: no such file"):
        export_nights(store, "photos", tmp_path / "out", copy=True, pictures=photos)
    assert not (tmp_path / "out" / "data.csv").exists()


def test_names_that_spreadsheets_would_run(tmp_path, photos):
    for name in ("=r.png", "-a.png", "@b.png"):
        (photos / name).write_bytes((photos / "r0.png").read_bytes())
    store = Judgments(tmp_path / "j.sqlite")
    row = {"id": "=1", "reference": "=r.png", "left": "-a.png", "right": "@b.png", "category": "+x", "votes_left": 1}
    store.add_study("odd", pd.DataFrame([row]))
    export_nights(store, "odd", photos)
    assert (photos / "data.csv").read_text().splitlines()[1] == "'=1,1,0,1,'+x,./=r.png,./-a.png,./@b.png,train,"
    assert len(read_nights(photos, "train", min_votes=1)) == 1
    import_nights(store, "again", photos)
    assert store.items("again").equals(store.items("odd").assign(split="train"))

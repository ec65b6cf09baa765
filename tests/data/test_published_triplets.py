"""Readers of NIGHTS, BAPPS and THINGS on tiny folders that are true to the published formats."""

import csv
import pickle

import numpy as np
import pytest
from PIL import Image

from percept.data.bapps import read_bapps, read_bapps_jnd
from percept.data.nights import read_nights
from percept.data.opening import ImageError
from percept.data.things import read_things_csv, read_things_npy, read_things_stems
from percept.data.triplets import TripletsError
from percept.evaluation.distances import pair_distances, pixel_distances
from percept.evaluation.similarity import jnd_map, odd_one_out_accuracy, odd_one_out_distances

HEADER = [
    "id",
    "left_vote",
    "right_vote",
    "votes",
    "ref_path",
    "left_path",
    "right_path",
    "split",
    "is_imagenet",
    "prompt",
]


def picture(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 12), (value, value, value)).save(path)


def nights_rows():
    """id, votes, winner (1 = right), split, imagenet; left and right do not follow _0 and _1."""
    rows = []
    for number, (votes, right, split, imagenet) in enumerate(
        [
            (7, 1, "train", True),
            (6, 0, "train", False),
            (5, 1, "train", True),
            (8, 0, "val", True),
            (6, 1, "test", False),
        ]
    ):
        first, second = (0, 1) if number % 2 else (1, 0)
        stem = f"000/{number:03d}"
        rows.append({
            "id": number, "left_vote": 1 - right, "right_vote": right, "votes": votes, "ref_path": f"ref/{stem}.png",
            "left_path": f"distort/{stem}_{first}.png", "right_path": f"distort/{stem}_{second}.png", "split": split,
            "is_imagenet": imagenet, "prompt": "An image of a 犬" if number == 0 else "An image of a cup, blue",
        })  # fmt: skip
    return rows


def write_nights(folder, rows=None, header=HEADER, encoding="utf-8", change=None):
    rows = nights_rows() if rows is None else rows
    for row in rows:
        for value, name in enumerate(("ref_path", "left_path", "right_path")):
            picture(folder / row[name].replace("\\", "/"), value * 40 + int(row["id"]))
    if change:
        for row in rows:
            row.update(change(row) or {})
    with (folder / "data.csv").open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, header, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_nights_by_name_with_the_vote_filter_stated(tmp_path):
    triplets = read_nights(write_nights(tmp_path), "train")
    assert (len(triplets), triplets.name, triplets.split) == (2, "NIGHTS (votes >= 6)", "train")
    assert triplets.vote_right.tolist() == [1, 0]
    assert triplets.votes.tolist() == [7, 6]
    names = [[triplets.images[i].relative_to(tmp_path).as_posix() for i in row] for row in triplets.items]
    assert names == [
        ["ref/000/000.png", "distort/000/000_1.png", "distort/000/000_0.png"],
        ["ref/000/001.png", "distort/000/001_0.png", "distort/000/001_1.png"],
    ]
    assert triplets.groups.tolist() == ["An image of a 犬", "An image of a cup, blue"]
    assert len(triplets.images) == 6
    everything = read_nights(tmp_path, "train", min_votes=0)
    assert (len(everything), everything.name) == (3, "NIGHTS (votes >= 0)")


def test_nights_columns_may_stand_in_any_order_and_hold_others(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    write_nights(one)
    write_nights(two, header=[*reversed(HEADER)])
    assert read_nights(one, "train").vote_right.tolist() == read_nights(two, "train").vote_right.tolist()
    upper = (two / "data.csv").read_text(encoding="utf-8").replace("left_path", " Left_Path ", 1)
    (two / "data.csv").write_text("\ufeff" + upper, encoding="utf-8")
    assert len(read_nights(two, "val")) == 1


def test_nights_subsets_by_is_imagenet(tmp_path):
    write_nights(tmp_path, change=lambda row: {"is_imagenet": ["False", "0", "TRUE", "1", "false"][row["id"]]})
    assert read_nights(tmp_path, "train", min_votes=0, subset="imagenet").vote_right.tolist() == [1]
    part = read_nights(tmp_path, "test", subset="no_imagenet")
    assert (len(part), part.name) == (1, "NIGHTS (votes >= 6, other categories)")


def test_nights_saved_again_by_japanese_excel_on_windows(tmp_path):
    def windows(row):
        return {name: row[name].replace("/", "\\") for name in ("ref_path", "left_path", "right_path")}

    write_nights(tmp_path, encoding="cp932", change=windows)
    triplets = read_nights(tmp_path, "train")
    assert triplets.groups[0] == "An image of a 犬"
    assert triplets.images[0].is_file()
    text = (tmp_path / "data.csv").read_text(encoding="cp932")
    (tmp_path / "data.csv").write_text(text, encoding="utf-16")
    assert read_nights(tmp_path, "train").groups[0] == "An image of a 犬"


def test_nights_soft_votes_are_read_as_shares_and_pictures_open(tmp_path):
    write_nights(tmp_path, change=lambda row: {"left_vote": 0.4, "right_vote": 0.6})
    triplets = read_nights(tmp_path, "val")
    assert triplets.vote_right.tolist() == [0.6]
    left, right = pixel_distances(triplets)
    assert (left[0], right[0]) == (40, 80)


def test_a_damaged_picture_is_named_when_it_is_opened(tmp_path):
    triplets = read_nights(write_nights(tmp_path), "val")
    path = tmp_path / "distort/000/003_0.png"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ImageError, match=r"003_0\.png: is (truncated|damaged)"):
        triplets.pictures()


def only(number, **cells):
    return lambda row: cells if row["id"] == number else None


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (None, ("validation",), "split must be one of train, val, test, got 'validation'"),
        (None, ("train", 6, "imagenette"), "subset must be 'imagenet', 'no_imagenet' or None"),
        (None, ("train", 9), r"no row of train has 9 votes \(at most 7\); lower min_votes"),
        (None, ("test", 6, "imagenet"), "no row of test is in subset 'imagenet'"),
        (only(1, split="valid"), ("train",), r"data\.csv, row 3: split 'valid' is none of train, val, test"),
        (only(0, right_vote="nan"), ("train",), r"row 2: right_vote 'nan' is not a share"),
        (only(0, right_vote=""), ("train",), r"row 2: right_vote '' is not a share"),
        (only(1, right_vote=5, left_vote=1), ("train",), r"row 3: right_vote '5' is not a share"),
        (only(1, right_vote=1, left_vote=1), ("train",), "row 3: left_vote and right_vote do not add up to 1"),
        (only(1, votes="many"), ("train",), "row 3: votes 'many' is not a number of votes"),
        (only(1, is_imagenet="yes?"), ("train", 6, "imagenet"), r"row 3: is_imagenet 'yes\?' is neither"),
        (only(0, ref_path="../secret.png"), ("train",), "row 2: '../secret.png' must be the path of a picture inside"),
        (only(0, ref_path="C:\\nights\\a.png"), ("train",), "row 2: .* must be the path of a picture inside"),
        (only(0, ref_path="ref/000/999.png"), ("train",), "row 2: picture 'ref/000/999.png' not found .*; unpack"),
        (only(1, ref_path="ref/000/009.png"), ("train",), "row 3: picture 'ref/000/009.png' not found"),
        (only(0, left_path="distort/000/000_0.png"), ("train",), "row 2: left_path and right_path are the same"),
    ],
)
def test_bad_nights_are_named_with_their_row(tmp_path, change, arguments, message):
    write_nights(tmp_path, change=change)
    options = dict(zip(("min_votes", "subset"), arguments[1:], strict=False))
    with pytest.raises(TripletsError, match=message):
        read_nights(tmp_path, arguments[0], **options)


@pytest.mark.parametrize("column", ["right_vote", "split", "ref_path", "votes"])
def test_a_missing_column_is_named(tmp_path, column):
    write_nights(tmp_path, header=[name for name in HEADER if name != column])
    with pytest.raises(TripletsError, match=f"data.csv, row 1: has no column '{column}'"):
        read_nights(tmp_path, "train")


def test_is_imagenet_is_needed_for_subsets_only(tmp_path):
    write_nights(tmp_path, header=HEADER[:8])
    assert len(read_nights(tmp_path, "train")) == 2
    with pytest.raises(TripletsError, match="has no column 'is_imagenet'"):
        read_nights(tmp_path, "train", subset="imagenet")


def test_files_that_are_no_nights_table(tmp_path):
    with pytest.raises(TripletsError, match=r"data\.csv: no such file; name the NIGHTS folder"):
        read_nights(tmp_path, "train")
    (tmp_path / "data.csv").write_bytes(b"")
    with pytest.raises(TripletsError, match="is not a readable table"):
        read_nights(tmp_path, "train")
    (tmp_path / "data.csv").write_bytes(b"id,split\n\x81\xff\xff,train\n")
    with pytest.raises(TripletsError, match="neither UTF-8 nor Shift-JIS"):
        read_nights(tmp_path, "train")
    write_nights(tmp_path, rows=nights_rows()[:3])
    with pytest.raises(TripletsError, match="has no row of split 'val'"):
        read_nights(tmp_path, "val")


def write_bapps(folder, subsets=("cnn", "traditional"), split="val"):
    for s, subset in enumerate(subsets):
        root = folder / "2afc" / split / subset
        jnd = folder / "jnd" / "val" / subset
        for number in range(3):
            for side, name in enumerate(("ref", "p0", "p1")):
                picture(root / name / f"{number:06d}.png", 60 * s + 10 * number + side)
            for side, name in enumerate(("p0", "p1")):
                picture(jnd / name / f"{number:06d}.png", 10 * number * side)
            for place, value in ((root / "judge", number / 5), (jnd / "same", 1 - number / 3)):
                place.mkdir(parents=True, exist_ok=True)
                np.save(place / f"{number:06d}.npy", np.array([value], dtype=np.float32))
    return folder


def test_bapps_pairs_files_of_one_stem(tmp_path):
    write_bapps(tmp_path)
    (tmp_path / "2afc/val/cnn/ref/.DS_Store").write_bytes(b"x")
    triplets = read_bapps(tmp_path, "val")
    assert len(triplets) == 6
    np.testing.assert_allclose(triplets.vote_right, [0, 0.2, 0.4] * 2, atol=1e-6)
    assert triplets.groups.tolist() == ["cnn"] * 3 + ["traditional"] * 3
    assert set(triplets.votes) == {5}
    values = [[int(np.asarray(p)[0, 0, 0]) for p in triplets.pictures(row)] for row in triplets.items]
    assert values[4] == [70, 71, 72]
    assert read_bapps(tmp_path, "val", subsets=["traditional"]).groups.tolist() == ["traditional"] * 3
    write_bapps(tmp_path, split="train")
    assert set(read_bapps(tmp_path, "train", subsets="cnn").votes) == {2}


def test_bapps_jnd_goes_into_the_score(tmp_path):
    pairs = read_bapps_jnd(write_bapps(tmp_path), subsets=["cnn"])
    np.testing.assert_allclose(pairs.same, [1, 2 / 3, 1 / 3], atol=1e-6)
    assert [int(np.asarray(p)[0, 0, 0]) for p in pairs.pictures(pairs.items[2])] == [0, 20]
    features = np.stack([[1.0, np.asarray(p).mean()] for p in pairs.pictures()])
    distance = pair_distances(features, pairs.items)
    assert np.all(np.diff(distance) > 0)
    assert jnd_map(distance, pairs.same) == pytest.approx(0.5 * 1 + (1 / 3) * (5 / 6) + (1 / 6) * (2 / 3))


def bad_bapps(folder, how):
    judge = folder / "2afc/val/cnn/judge/000001.npy"
    actions = {
        "unpaired": lambda: (folder / "2afc/val/cnn/p1/000002.png").unlink(),
        "no judge": judge.unlink,
        "nan": lambda: np.save(judge, np.array([np.nan])),
        "outside": lambda: np.save(judge, np.array([1.4])),
        "two": lambda: np.save(judge, np.array([0.0, 1.0])),
        "malformed": lambda: judge.write_bytes(b"\x93NUMPY\x01\x00nonsense"),
        "pickle": lambda: judge.write_bytes(pickle.dumps([0.5])),
        "object": lambda: np.save(judge, np.array([{"a": 1}], dtype=object), allow_pickle=True),
    }
    actions[how]()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("unpaired", r"val/cnn: '000002' is missing in p1/ \(1 of 3\)"),
        ("no judge", r"val/cnn: '000001' is missing in judge/ \(1 of 3\)"),
        ("nan", r"000001\.npy: holds \[nan\] instead of one share"),
        ("outside", r"000001\.npy: holds \[1\.4\] instead of one share"),
        ("two", r"000001\.npy: holds \[0\.0, 1\.0\] instead of one share"),
        ("malformed", r"000001\.npy: is no plain \.npy array"),
        ("pickle", r"000001\.npy: is no plain \.npy array .*Pickles are not opened"),
        ("object", r"000001\.npy: is no plain \.npy array .*Pickles are not opened"),
    ],
)
def test_bad_bapps_files_are_named(tmp_path, how, message):
    bad_bapps(write_bapps(tmp_path), how)
    with pytest.raises(TripletsError, match=message):
        read_bapps(tmp_path, "val")


def test_bapps_splits_and_subsets(tmp_path):
    write_bapps(tmp_path)
    with pytest.raises(TripletsError, match=r"split must be one of train, val \(BAPPS has no other\), got 'test'"):
        read_bapps(tmp_path, "test")
    with pytest.raises(TripletsError, match=r"2afc.train: no such folder"):
        read_bapps(tmp_path, "train")
    with pytest.raises(TripletsError, match="has no subset 'deblur'; there are: cnn, traditional"):
        read_bapps(tmp_path, "val", subsets=["cnn", "deblur"])


@pytest.fixture
def things(tmp_path):
    """Five objects: a.jpg, b.png, ... and lists of them in every published form."""
    for value, name in enumerate(["aardvark.jpg", "abacus.png", "accordion.jpg", "acorn.jpg", "犬.jpg"]):
        picture(tmp_path / "images" / name, value * 10)
    stems = ["aardvark", "abacus", "accordion", "acorn", "犬"]
    (tmp_path / "names.txt").write_text("\n".join(stems) + "\n", encoding="utf-8")
    lines = ["Word\tuniqueID\tWordNet ID", *(f"word\t{stem}\tn0{i}" for i, stem in enumerate(stems))]
    (tmp_path / "things_concepts.tsv").write_text("\n".join(lines), encoding="utf-8")
    rows = [
        "image1\timage2\timage3\tchoice\tRT\tsubject_id",
        "1\t2\t5\t3\t900\tA1",
        "4\t2\t1\t1\t800\tA1",
        "3\t5\t1\t2\t9\tA2",
    ]
    (tmp_path / "choices.csv").write_text("\n".join(rows), encoding="utf-8")
    np.save(tmp_path / "test_10.npy", np.array([[0, 1, 4], [1, 0, 3], [2, 0, 4]]))
    (tmp_path / "things_valset.txt").write_text("aardvark abacus 犬\nabacus  aardvark acorn\n\naccordion aardvark 犬\n")
    return tmp_path


def as_names(triplets):
    return [[triplets.images[i].stem for i in row] for row in triplets.items]


def test_things_three_forms_are_the_same_choices(things):
    table = read_things_csv(things / "choices.csv", things / "names.txt", things / "images", "train")
    array = read_things_npy(things / "test_10.npy", things / "things_concepts.tsv", things / "images")
    stems = read_things_stems(things / "things_valset.txt", things / "images")
    expected = [
        ["aardvark", "abacus", "犬"], ["abacus", "aardvark", "犬"], ["abacus", "aardvark", "acorn"],
        ["aardvark", "abacus", "acorn"], ["accordion", "aardvark", "犬"], ["aardvark", "accordion", "犬"],
    ]  # fmt: skip
    for triplets in (table, array, stems):
        assert as_names(triplets) == expected
        assert triplets.vote_right.tolist() == [0] * 6
    assert (table.split, array.split, stems.split) == ("train", "", "val")
    distances = odd_one_out_distances(*pixel_distances(table))
    assert odd_one_out_accuracy(*distances) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="every choice gives two triplets, got 5"):
        odd_one_out_distances(np.zeros(5), np.zeros(5))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1\t2\t6\t3", r"choices\.csv, row 2: image3 '6' is not the number of an object, counted from 1 to 5"),
        ("0\t2\t5\t3", r"row 2: image1 '0' is not the number of an object, counted from 1 to 5"),
        ("1\t2\t5\t4", r"row 2: choice '4' is not 1, 2 or 3"),
        ("1\t2\t5\t0", r"row 2: choice '0' is not 1, 2 or 3"),
        ("1\t2\t5\t", r"row 2: choice '' is not 1, 2 or 3"),
        ("1\t2\t2.5\t1", r"row 2: \[1\.0, 2\.0, 2\.5\] must be whole numbers"),
        ("1\t2\t2\t1", "row 2: names one object twice"),
    ],
)
def test_bad_choices_are_named(things, row, message):
    (things / "choices.csv").write_text("image1\timage2\timage3\tchoice\n" + row, encoding="utf-8")
    with pytest.raises(TripletsError, match=message):
        read_things_csv(things / "choices.csv", things / "names.txt", things / "images")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (
            np.array([[1, 2, 5], [2, 3, 4]]),
            r"row 0: objects \[1, 2, 5\] are not all in 0\.\.4; they seem to be counted",
        ),
        (np.array([[0, 1, 2], [0, 9, 2]]), r"row 1: objects \[0, 9, 2\] are not all in 0\.\.4$"),
        (np.array([[0, 1]]), r"whole numbers \[M, 3\] with the odd one last, got \[1, 2\]"),
        (np.array([[0.5, 1, 2]]), "must be whole numbers"),
        (np.array([[0, 0, 2]]), "row 0: names one object twice"),
        (np.array([["a", "b", "c"]]), r"whole numbers \[M, 3\]"),
    ],
)
def test_bad_arrays_are_named(things, array, message):
    np.save(things / "bad.npy", array)
    with pytest.raises(TripletsError, match=message):
        read_things_npy(things / "bad.npy", things / "names.txt", things / "images")


def test_things_files_that_cannot_be_used(things):
    images = things / "images"
    (things / "bad.npy").write_bytes(pickle.dumps(np.zeros((2, 3), int)))
    with pytest.raises(TripletsError, match="Pickles are not opened"):
        read_things_npy(things / "bad.npy", things / "names.txt", images)
    with pytest.raises(TripletsError, match=r"gone\.npy: no such file"):
        read_things_npy(things / "gone.npy", things / "names.txt", images)
    with pytest.raises(TripletsError, match=r"gone\.csv: no such file"):
        read_things_csv(things / "gone.csv", things / "names.txt", images)
    commas = (things / "choices.csv").read_text().replace("\t", ",")
    (things / "commas.csv").write_text(commas)
    with pytest.raises(TripletsError, match="has no column 'image1'; columns are read by name and separated by tabs"):
        read_things_csv(things / "commas.csv", things / "names.txt", images)
    (things / "commas.csv").write_text("image1\timage2\timage3\tchoice\n")
    with pytest.raises(TripletsError, match="has a header but no choices"):
        read_things_csv(things / "commas.csv", things / "names.txt", images)
    (things / "stems.txt").write_text("aardvark abacus\n")
    with pytest.raises(TripletsError, match=r"stems\.txt, row 1: has 2 names instead of three"):
        read_things_stems(things / "stems.txt", images)
    (things / "stems.txt").write_text("\naardvark abacus zebra\n")
    with pytest.raises(TripletsError, match=r"row 2: picture 'zebra\.png' not found"):
        read_things_stems(things / "stems.txt", images)
    (images / "acorn.jpg").unlink()
    (images / "aardvark.jpg").unlink()
    with pytest.raises(TripletsError, match=r"names\.txt, row 1: picture 'aardvark\.png' and 1 more not found"):
        read_things_csv(things / "choices.csv", things / "names.txt", images)
    with pytest.raises(TripletsError, match="no such folder; name the folder"):
        read_things_stems(things / "things_valset.txt", things / "nowhere")

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from percept.data.images import ImageError
from percept.data.pair_files import read_coco, read_csv
from percept.data.pairs import ArrayPairs, OpenedPairs, PairsError, templated
from percept.data.shards import read_webdataset


def picture(value):
    stream = io.BytesIO()
    Image.new("RGB", (6, 4), (value, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path):
    """Images 0.png ... 3.png whose red value is 10 times their number, and a broken one."""
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(picture(10 * number))
    (tmp_path / "cut.png").write_bytes(picture(99)[:45])
    return tmp_path


def reds(pairs):
    images, captions = pairs.batch(np.arange(len(pairs)), np.random.default_rng(0))
    return [np.asarray(image)[0, 0, 0] for image in images], captions


@pytest.mark.parametrize("separator", ["\t", ","])
def test_csv_with_tab_or_comma(folder, separator):
    rows = ["filepath,title", "0.png,a zero", "2.png,二", "0.png,nothing"]
    (folder / "p.csv").write_text("\n".join(rows).replace(",", separator), encoding="utf-8-sig")
    pairs = read_csv(folder / "p.csv")
    assert len(pairs) == 2
    assert pairs.captions == [["a zero", "nothing"], ["二"]]
    assert reds(pairs)[0] == [0, 20]
    assert pairs.problems == []


def test_csv_reports_each_bad_row_and_image(folder):
    lines = ["title,filepath,more", "a,0.png,x", ",1.png,x", "b,,x", "c,absent.png,x", "d,cut.png,x"]
    (folder / "p.csv").write_text("\n".join(lines))
    pairs = read_csv(folder / "p.csv")
    assert len(pairs) == 1
    where = [place.rsplit(" ", 1)[-1] for place, _ in pairs.problems[:3]]
    assert where == ["3", "4", "5"]
    assert [reason for _, reason in pairs.problems[:2]] == ["no caption", "no image path"]
    assert "'absent.png' is not in" in pairs.problems[2][1]
    assert pairs.problems[3][0].endswith("cut.png")
    assert "truncated" in pairs.problems[3][1]
    with pytest.raises(PairsError, match=r"line 3: no caption \(3 problems\)"):
        read_csv(folder / "p.csv", strict=True)


def test_csv_strict_stops_at_a_bad_image_and_lazy_reading_when_it_is_needed(folder):
    (folder / "p.csv").write_text("filepath,title\n0.png,a\ncut.png,b\n")
    with pytest.raises(PairsError, match=r"cut\.png: .*truncated.*strict=False"):
        read_csv(folder / "p.csv", strict=True)
    with pytest.raises(ImageError, match=r"cut\.png"):
        reds(read_csv(folder / "p.csv", decode=False))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,title\n0.png,a", r"no column \['filepath'\] in the header \['path', 'title'\]"),
        ("", "no column"),
        ("filepath,title\n", "has no usable pair"),
        ("filepath,title\nx.png,a", r"has no usable pair: .*line 2: image 'x\.png' is not in"),
        ("filepath,title\ncut.png,a", r"no image can be opened; the first is .*cut\.png"),
    ],
)
def test_csv_that_cannot_be_used(folder, text, message):
    (folder / "p.csv").write_text(text)
    with pytest.raises(PairsError, match=message):
        read_csv(folder / "p.csv")


def test_columns_and_folder_can_be_named(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("elsewhere") / "p.csv"
    path.write_text("file;text\n3.png;three, exactly\n")
    pairs = read_csv(path, folder, separator=";", image_column="file", caption_column="text")
    assert reds(pairs) == ([30], ["three, exactly"])


def coco(folder, images, notes):
    content = {
        "images": [{"id": key, "file_name": name} for key, name in images],
        "annotations": [{"image_id": key, "caption": caption} for key, caption in notes],
    }
    (folder / "captions.json").write_text(json.dumps(content))
    return folder / "captions.json"


def test_coco_gathers_the_captions_of_an_image(folder):
    notes = [(7, "one"), (5, "zero"), (7, " also one \n")]
    pairs = read_coco(coco(folder, [(5, "0.png"), (7, "1.png")], notes), folder)
    assert pairs.captions == [["one", "also one"], ["zero"]]
    assert reds(pairs)[0] == [10, 0]


def test_coco_reports_what_does_not_fit(folder):
    path = coco(folder, [(1, "0.png"), (2, "gone.png")], [(1, "a"), (1, " "), (2, "b"), (9, "c")])
    pairs = read_coco(path, folder)
    assert len(pairs) == 1
    assert [reason for _, reason in pairs.problems] == [
        f"image 'gone.png' is not in {folder}",
        "no caption",
        "image id 9 is not among the images",
    ]
    with pytest.raises(PairsError, match=r"image 2: image 'gone\.png'"):
        read_coco(path, folder, strict=True)
    (folder / "bad.json").write_text('{"images": []}')
    with pytest.raises(PairsError, match="not a COCO captions file"):
        read_coco(folder / "bad.json", folder)


def shard(path, members, mode="w"):
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def test_webdataset_shards(tmp_path):
    shard(tmp_path / "0.tar", {"a/1.png": picture(50), "a/1.txt": "fifty\n五十\n".encode(), "a/1.cls": b"3"})
    shard(
        tmp_path / "1.tar",
        {
            "x.json": b'{"caption": "sixty"}',
            "x.PNG": picture(60),
            "y.png": picture(70),
            "y.json": b'{"caption": ["seventy"]}',
        },
    )
    for source in (tmp_path, f"{tmp_path}/*.tar", [tmp_path / "0.tar", tmp_path / "1.tar"]):
        pairs = read_webdataset(source)
        assert reds(pairs)[0] == [50, 60, 70]
        assert pairs.captions == [["fifty", "五十"], ["sixty"], ["seventy"]]
    swapped, _ = pairs.batch(np.array([2, 0]), np.random.default_rng(0))
    assert [np.asarray(image)[0, 0, 0] for image in swapped] == [70, 50]  # random access


def test_webdataset_reports_what_does_not_fit(tmp_path):
    members = {"a.png": picture(1), "a.txt": b"a", "b.png": picture(2), "c.txt": b"c", "d.png": picture(3)[:50]}
    shard(tmp_path / "0.tar", members | {"d.txt": b"d"})
    pairs = read_webdataset(tmp_path)
    assert len(pairs) == 1
    assert [reason for _, reason in pairs.problems[:2]] == ["has no caption", "has no image"]
    assert pairs.problems[2][0].endswith("0.tar member d.png")
    with pytest.raises(PairsError, match=r"0\.tar sample b has no caption"):
        read_webdataset(tmp_path, strict=True)


def test_webdataset_that_cannot_be_used(tmp_path):
    with pytest.raises(PairsError, match="no shard at"):
        read_webdataset(tmp_path)
    with pytest.raises(PairsError, match=r"no shard at .*gone\.tar"):
        read_webdataset([tmp_path / "gone.tar"])
    shard(tmp_path / "z.tar", {"a.png": picture(1), "a.txt": b"a"}, mode="w:gz")
    with pytest.raises(PairsError, match=r"z\.tar is not a plain tar file"):
        read_webdataset(tmp_path / "z.tar")
    shard(tmp_path / "j.tar", {"a.png": picture(1), "a.json": b"{"})
    with pytest.raises(PairsError, match=r"j\.tar member a\.json is not readable as json"):
        read_webdataset(tmp_path / "j.tar")
    shard(tmp_path / "e.tar", {"a.cls": b"1"})
    with pytest.raises(PairsError, match="no sample has an image"):
        read_webdataset(tmp_path / "e.tar")


def test_captions_are_drawn_evenly_and_by_the_generator_alone():
    pairs = ArrayPairs(np.zeros((2, 4, 4, 3), np.uint8), [["a", "b", "c"], ["d"]])
    _, captions = pairs.batch(np.zeros(3000, int), np.random.default_rng(0))
    counts = [captions.count(letter) for letter in "abc"]
    assert sum(counts) == 3000
    assert min(counts) > 900
    assert (
        pairs.batch(np.zeros(50, int), np.random.default_rng(5))[1]
        == pairs.batch(np.zeros(50, int), np.random.default_rng(5))[1]
    )


@pytest.mark.parametrize("captions", [[["a"], []], [["a"], [""]], [["a"], "b"], [["a"], [3]]])
def test_an_image_without_captions_is_named(captions):
    with pytest.raises(PairsError, match="row 1 needs a list of non-empty captions"):
        ArrayPairs(np.zeros((2, 4, 4, 3), np.uint8), captions)


def test_counts_must_agree():
    with pytest.raises(PairsError, match="2 images but 1 caption lists"):
        ArrayPairs(np.zeros((2, 4, 4, 3), np.uint8), [["a"]])
    with pytest.raises(PairsError, match="1 images but 0 caption lists"):
        OpenedPairs(["a.png"], [])


def test_templates_make_captions_of_ones_own_words():
    made = templated(["スクラッチ", "dent"], ["a {} here", "{}"])
    assert made == [["a スクラッチ here", "スクラッチ"], ["a dent here", "dent"]]
    with pytest.raises(PairsError, match=r"templates need a \{\}"):
        templated(["dent"], ["a defect"])
    with pytest.raises(PairsError, match="templates need"):
        templated(["dent"], [])

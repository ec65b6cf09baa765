"""Folders of good and bad images: nothing is lost, everything is named, no handle stays open."""

import gc
import os
import unicodedata
import warnings

import numpy as np
import pytest
from PIL import Image

from percept.data.images import ImageError, load_images, open_image, read_folder, scan_folder
from percept.data.labels import read_labels


def picture(path, seed=0, size=(24, 20), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize(
    "name",
    ["a.png", "A.PNG", "写真 その1.png", "b.webp", "c.tif", "d.gif", "e.bmp", "f.ppm", "g.JPG", "h.Jpeg", "é.jpg"],
)
def test_names_and_formats(name, tmp_path):
    image = open_image(picture(tmp_path / name, size=(24, 20)))
    assert (image.mode, image.size) == ("RGB", (24, 20))


def test_the_content_decides_not_the_suffix(tmp_path):
    path = picture(tmp_path / "a.png")
    path.rename(tmp_path / "b.jpg")
    assert open_image(tmp_path / "b.jpg").size == (24, 20)


def test_first_frame_of_animations_and_page_of_tiffs(tmp_path):
    red, blue = Image.new("RGB", (9, 9), "red"), Image.new("RGB", (9, 9), "blue")
    for name in ("a.gif", "a.tif", "a.webp", "a.png"):
        red.save(tmp_path / name, save_all=True, append_images=[blue], **({"lossless": True} if "w" in name else {}))
        assert open_image(tmp_path / name).getpixel((0, 0)) == (255, 0, 0), name
    scan = scan_folder(tmp_path)
    assert len(scan.paths) == 4
    assert scan.table(notes=True)["reason"].tolist() == ["2 frames or pages, the first is used"] * 4


def test_phone_photo_with_a_preview_is_an_ordinary_jpeg(tmp_path):
    red, blue = Image.new("RGB", (16, 16), "red"), Image.new("RGB", (8, 8), "blue")
    red.save(tmp_path / "phone.JPG", "MPO", save_all=True, append_images=[blue])
    assert open_image(tmp_path / "phone.JPG").getpixel((0, 0))[0] > 250
    assert scan_folder(tmp_path).notes == []


def test_same_bytes_same_pixels(tmp_path):
    path = picture(tmp_path / "a.jpg")
    first, second = load_images([path, path])
    assert first.tobytes() == second.tobytes()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_no_handle_stays_open(tmp_path):
    good = picture(tmp_path / "good.tif")
    (tmp_path / "bad.jpg").write_bytes(picture(tmp_path / "x.jpg").read_bytes()[:200])
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    kept = [open_image(good) for _ in range(5)]
    for _ in range(5):
        with pytest.raises(ImageError):
            open_image(tmp_path / "bad.jpg")
    scan_folder(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before
    assert len(kept) == 5


def mixed(folder):
    picture(folder / "b.png")
    picture(folder / "sub" / "a.JPG")
    picture(folder / "thin.png", size=(1, 400))
    Image.fromarray(np.full((9, 9), 4095, np.uint16)).save(folder / "dark.png")
    (folder / "text.jpg").write_text("hello")
    (folder / "empty.png").touch()
    (folder / "raw.NEF").write_bytes(b"x")
    for name in ("labels.csv", "Thumbs.db", ".hidden.png", "sub/.DS_Store", "sub/._a.JPG"):
        (folder / name).write_bytes(b"x")
    picture(folder / "__MACOSX" / "z.png")
    picture(folder / ".cache" / "z.png")


def test_scan_reports_the_bad_and_goes_on_with_the_good(tmp_path):
    mixed(tmp_path)
    scan = scan_folder(tmp_path)
    inside = [path.relative_to(tmp_path).as_posix() for path in scan.paths]
    assert inside == ["b.png", "dark.png", "sub/a.JPG", "thin.png"]
    table = scan.table()
    assert table["file"].tolist() == ["empty.png", "raw.NEF", "text.jpg"]
    assert table["reason"].str.split(";").str[0].tolist() == [
        "is empty (0 bytes)",
        ".nef is not supported",
        "is not an image",
    ]
    notes = dict(scan.table(notes=True).to_numpy())
    assert notes["thin.png"] == "extreme shape, 1 x 400 pixels"
    assert "bits=12" in notes["dark.png"]
    assert [path.name for path in scan.ignored] == ["Thumbs.db", "labels.csv"]


def test_threads_do_not_change_the_result(tmp_path):
    mixed(tmp_path)
    one, many = scan_folder(tmp_path, threads=1), scan_folder(tmp_path, threads=6)
    assert (one.paths, one.problems, one.notes) == (many.paths, many.problems, many.notes)


def test_without_decoding_only_headers_are_checked(tmp_path):
    whole = picture(tmp_path / "a.jpg", size=(200, 200)).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("x")
    assert [path.name for path in scan_folder(tmp_path, decode=False).paths] == ["a.jpg", "cut.jpg"]
    assert [path.name for path in scan_folder(tmp_path).paths] == ["a.jpg"]


def test_a_good_scan_opens_everywhere(tmp_path):
    mixed(tmp_path)
    assert len(load_images(scan_folder(tmp_path).paths)) == 4


def test_links_to_folders_are_not_followed(tmp_path):
    picture(tmp_path / "real" / "a.png")
    (tmp_path / "real" / "loop").symlink_to(tmp_path)
    (tmp_path / "link.png").symlink_to(tmp_path / "real" / "a.png")
    assert [path.name for path in scan_folder(tmp_path).paths] == ["link.png", "a.png"]


def test_class_subfolders(tmp_path):
    for name in ("良品/1.png", "良品/deep/2.png", "傷/1.png", "傷/2.png", "masks/1.png", "depth/1.png"):
        picture(tmp_path / name)
    (tmp_path / "傷" / "3.png").write_text("broken")
    data = read_folder(tmp_path)
    assert data.classes == ["傷", "良品"]
    assert data.table.to_numpy().tolist() == [
        ["傷/1.png", "傷"],
        ["傷/2.png", "傷"],
        ["良品/1.png", "良品"],
        ["良品/deep/2.png", "良品"],
    ]
    assert [path.relative_to(tmp_path).as_posix() for path in data.paths] == data.table["file"].tolist()
    assert [(path.name, reason.split(";")[0]) for path, reason in data.problems] == [("3.png", "is not an image")]


def test_plain_images_have_no_labels(tmp_path):
    picture(tmp_path / "a.png")
    data = read_folder(tmp_path)
    assert list(data.table) == ["file"]
    assert data.classes == []


def test_loose_images_beside_classes_are_problems(tmp_path):
    for name in ("x/1.png", "x/2.png", "loose.png"):
        picture(tmp_path / name)
    data = read_folder(tmp_path)
    assert [path.name for path, _ in data.problems] == ["loose.png"]
    assert len(data.paths) == 2


def test_one_image_of_a_class_warns(tmp_path):
    for name in ("many/1.png", "many/2.png", "single/1.png"):
        picture(tmp_path / name)
    with pytest.warns(UserWarning, match="only one image of single"):
        read_folder(tmp_path)
    picture(tmp_path / "single/2.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_folder(tmp_path)


def test_labels_table_joins_good_images_only(tmp_path):
    for name in ("a.png", "sub/b.png", "unlisted.png"):
        picture(tmp_path / name)
    (tmp_path / "bad.png").write_text("x")
    (tmp_path / "Labels.CSV").write_text(
        "note,count,File,score\nn1,3,sub\\b.png,0.5\nn2,,a.png,\nn3,1,bad.png,1\nn4,1,gone.png,1\n"
    )
    data = read_folder(tmp_path)
    assert list(data.table) == ["file", "count", "score", "note"]
    assert [path.name for path in data.paths] == ["b.png", "a.png"]
    assert data.table["count"].tolist()[0] == 3
    assert np.isnan(data.table["count"].tolist()[1])
    reasons = [(path.name, reason.split(";")[0]) for path, reason in data.problems]
    gone = ("Labels.CSV", "row 5: 'gone.png' is not in the folder or not an image")
    assert reasons == [("bad.png", "is not an image"), gone]


def test_decomposed_names_of_macos_are_found(tmp_path):
    name = "ガーゼ.png"
    picture(tmp_path / unicodedata.normalize("NFD", name))
    (tmp_path / "labels.csv").write_text(f"file,caption\n{unicodedata.normalize('NFC', name)},布\n", "utf-8")
    data = read_folder(tmp_path)
    assert len(data.paths) == 1
    assert not data.problems


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_what_spreadsheets_write(encoding, separator, tmp_path):
    path = tmp_path / "labels.csv"
    rows = [["file", "label", "caption"], ["表面①.png", "良品", '"白い, 布\n二行目"'], ["b.png", "", "ソ能"]]
    path.write_bytes("\r\n".join(separator.join(row) for row in rows).encode(encoding))
    table = read_labels(path)
    assert table["file"].tolist() == ["表面①.png", "b.png"]
    assert table["label"].tolist()[0] == "良品"
    assert table["label"].isna().tolist() == [False, True]
    assert table["caption"].tolist() == ["白い, 布\n二行目", "ソ能"]
    assert table["row"].tolist() == [2, 3]


def test_encoding_can_be_forced(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes("file\ncafé.png\n".encode("latin-1"))
    assert read_labels(path, encoding="latin-1")["file"].tolist() == ["café.png"]

"""Bad inputs of every kind, and the message each must give: name, action, what the message must say."""

import io
import os
import socket
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from percept.data.images import ImageError, LabelsError, open_image, read_folder, scan_folder
from percept.data.labels import read_labels


def noise(height=40, width=50, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(kind, image=None, **options):
    buffer = io.BytesIO()
    (image or Image.fromarray(noise())).save(buffer, kind, **options)
    return buffer.getvalue()


def write(folder, name, content):
    path = Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def opening(name, content):
    return lambda folder: open_image(write(folder, name, content))


def cut(kind, **options):
    raw = encoded(kind, **options)
    return raw[: len(raw) // 2]


def bomb_png():
    """A PNG of a few bytes whose header promises 60,000 x 60,000 pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    return b"\x89PNG\r\n\x1a\n" + chunk + encoded("PNG")[33:]


def broken_checksum():
    raw = bytearray(encoded("PNG"))
    start = raw.index(b"IDAT")
    raw[start + 20] ^= 0xFF
    return bytes(raw)


def listing(text, *images):
    """A folder with the named images and this labels.csv, read as a user's data."""

    def act(folder):
        for name in images:
            write(folder, name, encoded("PNG"))
        write(folder, "labels.csv", text)
        return read_folder(folder, strict=True)

    return act


def missing_folder(folder):
    return scan_folder(folder / "写真")


def file_as_folder(folder):
    return scan_folder(write(folder, "a.png", encoded("PNG")))


def broken_link(folder):
    (folder / "link.png").symlink_to(folder / "gone.png")
    return open_image(folder / "link.png")


def pipe(folder):
    os.mkfifo(folder / "pipe.png")
    return open_image(folder / "pipe.png")


def listening_socket(folder):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "s.png"))
        return open_image(folder / "s.png")


def folder_as_image(folder):
    (folder / "album.jpg").mkdir()
    return open_image(folder / "album.jpg")


def over_limit(folder):
    return open_image(write(folder, "wide.png", encoded("PNG")), max_pixels=1_999)


def nan_image(folder):
    values = np.full((8, 8), np.nan, np.float32)
    return open_image(write(folder, "heat.tif", encoded("TIFF", Image.fromarray(values))))


def strict_scan(folder):
    write(folder, "a.png", encoded("PNG"))
    write(folder, "b.jpg", "not a picture")
    write(folder, "c.jpg", b"")
    return scan_folder(folder, strict=True)


def strict_heic(folder):
    write(folder, "IMG_0001.HEIC", b"\0\0\0\x18ftypheic")
    return scan_folder(folder, strict=True)


def empty_folder(folder):
    return read_folder(folder)


def only_bad(folder):
    write(folder, "ok/a.jpg", b"")
    return read_folder(folder)


def loose_image(folder):
    write(folder, "dent/a.png", encoded("PNG"))
    write(folder, "b.png", encoded("PNG"))
    return read_folder(folder, strict=True)


def csv(content):
    return lambda folder: read_labels(write(folder, "labels.csv", content))


CASES = [
    ("missing file", lambda folder: open_image(folder / "no.png"), "no.png: no such file"),
    ("folder given as image", folder_as_image, "album.jpg: is a folder"),
    ("broken link", broken_link, "link.png: broken link"),
    ("named pipe", pipe, "pipe.png: is not a regular file"),
    ("socket", listening_socket, "s.png: is not a regular file"),
    ("zero bytes", opening("zero.jpg", b""), "zero.jpg: is empty (0 bytes)"),
    ("text named .jpg", opening("notes.jpg", "just text"), "notes.jpg: is not an image"),
    ("web page named .png", opening("page.png", "\n<!DOCTYPE html><html>"), "page.png: is a web page"),
    ("SVG named .png", opening("logo.png", "<svg xmlns=''/>"), "logo.png: is an SVG drawing"),
    ("PDF named .jpg", opening("scan.jpg", b"%PDF-1.7 ..."), "scan.jpg: is a PDF"),
    ("PostScript named .png", opening("f.png", b"%!PS-Adobe-3.0 EPSF"), "f.png: is a PostScript file"),
    ("zip named .jpg", opening("all.jpg", b"PK\x03\x04rest"), "all.jpg: is a zip archive"),
    ("HEIC named .jpg", opening("IMG.jpg", b"\0\0\0\x18ftypheic" + bytes(40)), "IMG.jpg: is a HEIC photo"),
    (
        "Git LFS pointer",
        opening("big.png", "version https://git-lfs.github.com/spec/v1\n"),
        "big.png: is a Git LFS pointer",
    ),
    ("Japanese name, text inside", opening("写真 一.JPG", "文字"), "写真 一.JPG: is not an image"),
    ("truncated JPEG", opening("t.jpg", cut("JPEG")), "t.jpg: is truncated"),
    ("truncated PNG", opening("t.png", cut("PNG")), "t.png: is truncated"),
    ("truncated WebP", opening("t.webp", cut("WEBP")), "t.webp: "),
    ("truncated TIFF", opening("t.tif", cut("TIFF")), "t.tif: "),
    ("truncated GIF", opening("t.gif", cut("GIF")), "t.gif: is truncated"),
    ("truncated BMP", opening("t.bmp", cut("BMP")), "t.bmp: is truncated"),
    ("truncated LZW TIFF", opening("z.tif", cut("TIFF", compression="tiff_lzw")), "z.tif: "),
    ("JPEG header only", opening("h.jpg", encoded("JPEG")[:20]), "h.jpg: "),
    ("PNG with a flipped byte", opening("crc.png", broken_checksum()), "crc.png: cannot be decoded"),
    ("bomb: 3.6 gigapixel header", opening("bomb.png", bomb_png()), "bomb.png: far too many pixels"),
    ("more than max_pixels", over_limit, "wide.png: 50 x 40 = 2,000 pixels, more than max_pixels=1,999"),
    ("float image with NaN", nan_image, "heat.tif: holds NaN"),
    ("missing folder, Japanese", missing_folder, "写真: no such folder"),
    ("file given as folder", file_as_folder, "a.png: is a file, not a folder"),
    ("strict scan stops at the first", strict_scan, "b.jpg: is not an image"),
    ("strict scan, HEIC suffix", strict_heic, "IMG_0001.HEIC: .heic is not supported"),
    ("empty data folder", empty_folder, "no images; put images into one subfolder per class"),
    ("all images bad", only_bad, "no usable image (ok/a.jpg: is empty"),
    ("loose image beside classes", loose_image, "b.png: lies beside the class folders"),
    ("labels: empty file", csv(""), "labels.csv: is empty"),
    ("labels: header only", csv("file,label\n"), "labels.csv: has a header but no rows"),
    ("labels: no file column", csv("name,label\na.png,x\n"), "row 1: has no column 'file' (columns: name, label)"),
    ("labels: repeated column", csv("file,label,Label\na,b,c\n"), "row 1: column 'label' appears twice"),
    ("labels: reserved column", csv("file,row\na,1\n"), "row 1: column 'row' is reserved"),
    ("labels: too many cells", csv("file,label\na.png,x\nb.png,y,z\n"), "row 3: has 3 cells, the header has 2"),
    ("labels: open quotation mark", csv('file,label\n"a.png,x\n'), "labels.csv: not a readable table"),
    ("labels: empty file cell", csv("file,label\n\n ,x\n"), "row 3: the 'file' cell is empty"),
    ("labels: duplicate", csv("file\na.png\nb.png\n./a.png\n"), "row 4: 'a.png' is already listed in row 2"),
    ("labels: path outside", csv("file\n../a.png\n"), "row 2: '../a.png' must be a path inside"),
    ("labels: absolute path", csv("file\nC:\\photos\\a.png\n"), "row 2: 'C:\\\\photos\\\\a.png' must be a path"),
    ("labels: count not whole", csv("file,count\na.png,2\nb.png,2.5\n"), "row 3: count '2.5' is not a whole"),
    ("labels: negative count", csv("file,count\na.png,-1\n"), "row 2: count '-1' is not a whole"),
    ("labels: score is text", csv("file,score\na.png,good\n"), "row 2: score 'good' is not a finite number"),
    ("labels: score infinite", csv("file,score\na.png,inf\n"), "row 2: score 'inf' is not a finite number"),
    ("labels: unknown encoding", csv(b"file\na\xff\xff.png\n"), "row 2: text is not UTF-8 nor cp932"),
    ("labels: half a Shift-JIS character", csv(b"file\na\x82"), "row 2: text is not UTF-8 nor cp932"),
    (
        "labels: listed image absent",
        listing("file,label\na.png,x\nb.png,y\n", "a.png"),
        "row 3: 'b.png' is not in the folder",
    ),
]


@pytest.mark.parametrize(("action", "fragment"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_message_names_the_culprit(action, fragment, tmp_path):
    with pytest.raises((ImageError, LabelsError)) as caught:
        action(tmp_path)
    assert fragment in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_there_are_many_cases_with_distinct_names():
    assert len({name for name, _, _ in CASES}) == len(CASES) >= 25


def test_unreadable_file(tmp_path, monkeypatch):
    path = write(tmp_path, "locked.png", encoded("PNG"))

    def refuse(self, *arguments, **options):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)  # root may read everything, so the mode bits would not do
    with pytest.raises(ImageError, match=r"locked\.png: cannot be read \(Permission denied\)"):
        open_image(path)


def test_bomb_is_refused_before_any_pixel_is_decoded(tmp_path, monkeypatch):
    path = write(tmp_path, "a.png", encoded("PNG"))
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(ImageError, match="max_pixels"):
        open_image(path, max_pixels=10)


@pytest.mark.filterwarnings("error")
def test_large_image_with_warnings_as_errors(tmp_path, monkeypatch):
    path = write(tmp_path, "a.png", encoded("PNG"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1500)  # Pillow warns from here, refuses at twice as many
    with pytest.raises(ImageError, match=r"a\.png: far too many pixels"):
        open_image(path)


def test_errors_carry_path_reason_and_row(tmp_path):
    with pytest.raises(ImageError) as caught:
        open_image(tmp_path / "no.png")
    assert caught.value.path == tmp_path / "no.png"
    assert caught.value.reason == "no such file"
    path = write(tmp_path, "labels.csv", "file,count\na.png,x\n")
    with pytest.raises(LabelsError) as listed:
        read_labels(path)
    assert (listed.value.path, listed.value.row) == (path, 2)

"""The battery on a user's own folder."""

import numpy as np
import pytest
from PIL import Image

from percept.evaluation.own_data import OwnDataError, folder_battery, read_depth, read_mask


class Colours:
    """An encoder of mean colours: [N, 3], or [N, 3, 8, 8]."""

    tokenizer = None

    def features(self, images, kind="global", batch_size=64):
        small = [Image.fromarray(np.asarray(image)).resize((8, 8), Image.Resampling.BOX) for image in images]
        maps = np.stack([np.asarray(image, np.float32).transpose(2, 0, 1) for image in small]) + 1
        return maps if kind == "patch" else maps.mean((2, 3))


@pytest.fixture
def folder(tmp_path):
    """Twenty pictures, left part red and right part blue; the border gives count, score, mask and depth."""
    lines = ["file,label,count,score,group"]
    for name in ("masks", "depth"):
        (tmp_path / name).mkdir()
    for i in range(20):
        border = 8 + 5 * (i % 10)
        pixels = np.zeros((64, 80, 3), np.uint8)
        pixels[:, : border + 8, 0], pixels[:, border + 8 :, 2] = 200, 200
        Image.fromarray(pixels).save(tmp_path / f"p{i}.png")
        lines.append(f"p{i}.png,{'many' if border > 30 else 'few'},{i % 10},{border / 10},g{i // 2}")
        right = pixels[..., 2] > 0
        Image.fromarray(right.astype(np.uint8)).save(tmp_path / "masks" / f"p{i}.png")
        np.save(tmp_path / "depth" / f"p{i}.npy", np.where(right, 4.0, 2.0))
    (tmp_path / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def test_every_kind_of_truth_is_used(folder):
    scores = folder_battery(Colours(), folder)
    assert scores["own label linear"].value > 0.85
    assert scores["own retrieval precision@3"].value > 0.75
    assert scores["own counting linear MAE"].value < 0.3 * scores["own counting linear MAE"].blind
    assert scores["own score RMSE"].value < 0.3 * scores["own score RMSE"].blind
    assert scores["own segmentation mIoU"].value > 0.9 > scores["own segmentation mIoU"].blind
    assert scores["own depth RMSE"].value < scores["own depth RMSE"].blind
    assert all(not score.testable for score in scores.values())


def test_groups_stay_in_one_half_and_the_seed_decides(folder):
    first, again, other = (folder_battery(Colours(), folder, seed) for seed in (0, 0, 1))
    score = "own counting linear MAE"
    assert len(first[score].items) == 10
    assert all(one.n == 5 for one in first.values())  # five groups of two
    assert np.array_equal(first[score].items, again[score].items)
    assert not np.array_equal(first[score].items, other[score].items)


def test_only_what_is_there_is_scored(folder):
    (folder / "labels.csv").write_text("file\n" + "\n".join(f"p{i}.png" for i in range(20)), encoding="utf-8")
    assert {name.split()[1] for name in folder_battery(Colours(), folder)} == {"segmentation", "depth"}


def test_nothing_to_score_says_what_to_add(tmp_path):
    for i in range(9):
        Image.new("RGB", (70, 70), (i, i, i)).save(tmp_path / f"{i}.png")
    with pytest.raises(OwnDataError, match=r"no label .* count, score, masks/ or depth/"):
        folder_battery(Colours(), tmp_path)


def test_a_map_of_another_size_is_named(folder):
    Image.new("L", (60, 60)).save(folder / "masks" / "p3.png")
    with pytest.raises(OwnDataError, match=r"p3\.png: is 60 x 60 px, p3.png 80 x 64"):
        folder_battery(Colours(), folder)


def test_unusable_maps_are_named(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "rgb.png")
    Image.new("L", (4, 4), 77).save(tmp_path / "id.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    np.save(tmp_path / "cube.npy", np.zeros((2, 2, 2)))
    (tmp_path / "text.npy").write_text("no array")
    np.save(tmp_path / "zero.npy", np.zeros((2, 2)))
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    for read, name, message in (
        (read_mask, "rgb.png", "colour mode RGB; it must be an 8-bit image"),
        (read_mask, "id.png", "class id 77; use 0 to 63"),
        (read_mask, "broken.png", "broken.png"),
        (read_depth, "cube.npy", r"shape \(2, 2, 2\)"),
        (read_depth, "zero.npy", "no pixel of known depth"),
        (read_depth, "text.npy", "not a readable array"),
        (read_depth, "object.npy", "not a readable array"),
    ):
        with pytest.raises(OwnDataError, match=message):
            read(tmp_path / name)


def test_depth_of_zero_is_unknown_and_sixteen_bits_are_kept(tmp_path):
    values = np.array([[0, 300], [60_000, 5]], np.uint16)
    Image.fromarray(values).save(tmp_path / "d.png")
    depth = read_depth(tmp_path / "d.png")
    assert np.isnan(depth[0, 0])
    assert depth[1, 0] == 60_000

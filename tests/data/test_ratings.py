"""Ratings: checks on construction, selection, direction, splits by group, the user's own folder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from percept.data.labels import LabelsError
from percept.data.ratings import PARTS, Ratings, RatingsError, from_folder, split_by_group

PIXELS = np.arange(4 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 8, 8, 3)
FILES = [Path(f"images/{name}.png") for name in "abcd"]


def rated(**changes):
    made = Ratings(
        PIXELS, score=[1, 2.5, 4, 5], spread=[0.5, 0, 1, 2], distribution=[[1, 0], [0.5, 0.5], [0.25, 0.75], [0, 1]],
        categories=("bad", "good"), groups=["x", "x", "y", "z"], split=["train", "", "validate", "test"],
        kind=[1, 1, 2, 25], level=[5, 4, 3, 2], low=1, high=5, name="made",
    )  # fmt: skip
    return replace(made, **changes)


def test_fields_become_arrays_of_their_types():
    made = rated()
    assert [made.score.dtype, made.spread.dtype, made.distribution.dtype] == [np.float64] * 3
    assert [made.kind.dtype, made.level.dtype] == [np.int64] * 2
    assert (len(made), made.higher_is_better) == (4, True)
    bare = Ratings(FILES, [0, 1, 0.5, 0.5])
    assert bare.images == FILES
    assert len(set(bare.groups)) == 4
    assert bare.split.tolist() == [""] * 4
    assert [bare.spread, bare.distribution, bare.kind, bare.level] == [None] * 4


@pytest.mark.parametrize(
    "rows", [[2, 0, 2], np.array([False, True, False, True]), [True, False, True, True], np.array([3])]
)
def test_select_takes_every_field_along(rows):
    made = rated()
    part, files = made.select(rows), Ratings(FILES, made.score, low=1, high=5).select(rows)
    positions = np.arange(4)[np.asarray(rows)]
    for name in ("images", "score", "spread", "distribution", "groups", "split", "kind", "level"):
        np.testing.assert_array_equal(getattr(part, name), getattr(made, name)[positions])
    assert (part.low, part.high, part.name, part.categories) == (1, 5, "made", ("bad", "good"))
    assert files.images == [FILES[row] for row in positions]
    assert files.groups.tolist() == [str(row) for row in positions]


def test_direction_is_turned_once_and_said():
    down = rated(higher_is_better=False)
    up = down.with_direction_up()
    assert up.score.tolist() == [5, 3.5, 2, 1]
    assert (up.name, up.higher_is_better) == ("made (turned, higher is better)", True)
    assert up.spread.tolist() == down.spread.tolist()
    assert up.with_direction_up() is up
    assert rated().with_direction_up().score.tolist() == rated().score.tolist()
    edge = Ratings(PIXELS, [0.1, 0.3, 0.2, 0.2], low=0.1, high=0.3, higher_is_better=False).with_direction_up()
    assert edge.score[:2] == pytest.approx([0.3, 0.1])  # 0.1 + 0.3 - 0.3 is below 0.1 in floats
    shares = rated(score=None, higher_is_better=False)
    assert shares.with_direction_up() is shares


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": PIXELS.astype(float)}, r"images must be uint8 \[N, H, W, 3\] or files, got float64"),
        ({"images": PIXELS[..., 0]}, "images must be uint8"),
        ({"images": []}, "images is empty"),
        ({"score": None, "distribution": None}, "neither score nor distribution is given"),
        ({"score": [1, 2, 3]}, r"score must hold one value per image \(4\), got shape \(3,\)"),
        ({"score": [1, 2, np.nan, 3]}, "score of image 2 is nan; it must be a number from 1 to 5"),
        ({"score": [1, 2, 3, 6]}, "score of image 3 is 6; it must be a number from 1 to 5"),
        ({"images": FILES, "score": [1, 0.5, 3, 4]}, r"score of image 1 \(images.b\.png\) is 0\.5"),
        ({"spread": [1, -0.1, 1, 1]}, "spread of image 1 is -0.1; it must be a number of 0 or more"),
        ({"spread": [1, 1, np.inf, 1]}, "spread of image 2 is inf"),
        ({"distribution": [[1, 0]] * 3}, r"distribution must be \[images, categories\] = \[4, 2\], got \[3, 2\]"),
        ({"categories": ("one",)}, r"= \[4, 1\], got \[4, 2\]"),
        (
            {"distribution": [[1, 0], [0.5, 0.4], [1, 0], [1, 0]]},
            r"shares of image 1 are \[0\.5, 0\.4\]; .* add up to 1",
        ),
        ({"distribution": [[1, 0], [1.5, -0.5], [1, 0], [1, 0]]}, "shares of image 1 .* must be 0 or more"),
        ({"distribution": [[np.nan, 1]] + [[1, 0]] * 3}, "shares of image 0 are"),
        ({"groups": ["a", "b"]}, r"groups must hold one value per image \(4\)"),
        ({"split": ["train", "val", "test", ""]}, "split 'val' is none of train, validate, test"),
        ({"kind": [1, 2, 3]}, r"kind must hold one value per image \(4\)"),
        ({"level": [1.5, 2, 3, 4]}, "level must hold whole numbers, got float64"),
        ({"low": 5}, "low must be below high and both finite, got 5 and 5"),
        ({"high": np.inf}, "both finite, got 1 and inf"),
    ],
)
def test_bad_ratings_are_named(changes, message):
    with pytest.raises(RatingsError, match=message):
        rated(**changes)


def test_selecting_nothing_is_an_error():
    with pytest.raises(RatingsError, match="images is empty"):
        rated().select([])


def many(groups, repeat=3, **more):
    count = groups * repeat
    names = np.repeat([f"g{number}" for number in range(groups)], repeat)
    pictures = np.zeros((count, 2, 2, 3), np.uint8)
    return Ratings(pictures, np.linspace(0, 1, count), groups=names, **more)


def test_random_parts_are_whole_groups_in_kadid_numbers():
    ratings = many(81)
    parts = split_by_group(ratings, seed=3)
    named = [set(ratings.groups[rows]) for rows in parts]
    assert [len(names) for names in named] == [57, 8, 16]
    assert len(set.union(*named)) == 81  # no group in two parts
    assert sorted(np.concatenate(parts).tolist()) == list(range(243))
    assert all(rows.dtype == np.int64 for rows in parts)
    again, other = split_by_group(ratings, seed=3), split_by_group(ratings, seed=4)
    assert [rows.tolist() for rows in again] == [rows.tolist() for rows in parts]
    assert other.test.tolist() != parts.test.tolist()


def test_every_share_above_zero_gets_a_group():
    parts = split_by_group(many(3), (0.98, 0.01, 0.01))
    assert [len(rows) for rows in parts] == [3, 3, 3]
    assert [len(rows) for rows in split_by_group(many(5), (0.8, 0, 0.2))] == [12, 0, 3]


def test_official_parts_come_first_and_can_be_set_aside():
    split = np.array(["test", "train", "validate", "", "train", "train"])
    ratings = many(6, 1, split=split)
    parts = split_by_group(ratings, seed=9)
    assert dict(zip(PARTS, (rows.tolist() for rows in parts), strict=True)) == {
        "train": [1, 4, 5], "validate": [2], "test": [0],
    }  # fmt: skip
    drawn = split_by_group(ratings, (0.5, 0, 0.5), official=False)
    assert [len(rows) for rows in drawn] == [3, 0, 3]
    with pytest.raises(RatingsError, match="of the official parts only train is here; official=False draws new ones"):
        split_by_group(ratings.select(split == "train"))


@pytest.mark.parametrize(
    ("groups", "shares", "message"),
    [
        (5, (0.5, 0.5), "shares must be three of 0 or more that add up to 1"),
        (5, (0.5, 0.3, 0.3), "add up to 1"),
        (5, (1.2, -0.4, 0.2), "three of 0 or more"),
        (2, (0.7, 0.1, 0.2), "2 groups are too few"),
    ],
)
def test_bad_shares(groups, shares, message):
    with pytest.raises(RatingsError, match=message):
        split_by_group(many(groups), shares)


@pytest.fixture
def own(tmp_path):
    """Four good images and a damaged one."""
    for number, name in enumerate(["a", "b", "c", "d", "bad"]):
        Image.new("RGB", (16, 16), (40 * number,) * 3).save(tmp_path / f"{name}.png")
    (tmp_path / "bad.png").write_bytes((tmp_path / "bad.png").read_bytes()[:40])
    return tmp_path


def labels(folder, text):
    (folder / "labels.csv").write_text(text, encoding="utf-8")
    return folder


def test_own_folder_with_groups_and_gaps(own):
    labels(own, "file,score,group\nd.png,4,line 2\na.png,,line 1\nb.png,2,\nc.png,3.5,line 2\n")
    with pytest.warns(UserWarning, match=r"1 images of .* cannot be used; the first is bad\.png: is"):
        ratings = from_folder(own, low=1, high=5)
    assert [path.name for path in ratings.images] == ["d.png", "b.png", "c.png"]
    assert ratings.score.tolist() == [4, 2, 3.5]
    assert ratings.groups.tolist() == ["line 2", "b.png", "line 2"]
    assert (ratings.low, ratings.high) == (1, 5)
    assert ratings.name == f"{own.name} (1 images without score left out)"


def test_own_folder_takes_the_scale_from_the_scores_unless_given(own):
    (own / "bad.png").unlink()
    labels(own, "file,score\na.png,10\nb.png,-2\n")
    ratings = from_folder(own, higher_is_better=False)
    assert (ratings.low, ratings.high, ratings.higher_is_better, ratings.name) == (-2, 10, False, own.name)
    assert ratings.groups.tolist() == ["a.png", "b.png"]
    assert ratings.with_direction_up().score.tolist() == [-2, 10]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("file,label\na.png,x\nb.png,x\n", RatingsError, r"labels\.csv: gives no image a score; write the columns"),
        ("file,score\na.png,\nb.png,\n", RatingsError, "gives no image a score"),
        ("file,score\na.png,3\nb.png,3\n", RatingsError, r"labels\.csv: scores are all 3; nothing can be learned"),
        ("file,score\na.png,3\nb.png,9\n", RatingsError, r"score of image 1 \(.*b\.png\) is 9; .* from 1 to 5"),
        ("file,score\na.png,3\nb.png,many\n", LabelsError, r"labels\.csv, row 3: score 'many' is not a finite number"),
    ],
)
def test_bad_own_folders(own, text, error, message):
    (own / "bad.png").unlink()
    with pytest.raises(error, match=message):
        from_folder(labels(own, text), low=1, high=5)

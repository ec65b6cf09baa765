from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from percept.data.opening import ImageError
from percept.data.triplets import Triplets, TripletsError, concat, from_odd_one_out, shuffled_votes


def some(count=6, pictures=5, seed=0, **fields):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (pictures, 8, 8, 3), dtype=np.uint8)
    items = np.stack([rng.permutation(pictures)[:3] for _ in range(count)])
    return Triplets(images, items, rng.integers(5, size=count) / 4, rng.integers(1, 9, size=count), **fields)


def test_fields_get_their_types_and_defaults():
    triplets = Triplets(np.zeros((3, 8, 8, 3), np.uint8), [[0, 1, 2]], [1])
    assert (triplets.items.dtype, triplets.vote_right.dtype, triplets.votes.dtype) == (np.int64, np.float64, np.int64)
    assert triplets.groups.tolist() == [""]
    assert len(triplets) == 1
    files = Triplets(["a.png", "b.png", "c.png"], [[0, 1, 2]], [1], [6], ["dogs"])
    assert files.images[0] == Path("a.png")
    assert len(Triplets(np.zeros((3, 8, 8, 3), np.uint8), [], [])) == 0


def test_select_keeps_pictures_and_compact_drops_the_unused():
    triplets = some(pictures=9)
    part = triplets.select(triplets.vote_right > 0.4)
    assert part.images is triplets.images
    assert len(part) == (triplets.vote_right > 0.4).sum()
    one = triplets.select([2])
    small = one.compact()
    assert len(small.images) == 3
    np.testing.assert_array_equal(small.images[small.items[0]], triplets.images[triplets.items[2]])
    assert small.compact() is small
    assert len(triplets.select([])) == 0


def test_pictures_of_arrays_and_files(tmp_path):
    triplets = some()
    np.testing.assert_array_equal(triplets.pictures([3, 1]), triplets.images[[3, 1]])
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, array in zip(paths[:2], triplets.images, strict=False):
        Image.fromarray(array).save(path)
    paths[2].write_bytes(b"\x89PNG broken")
    files = Triplets(paths, [[0, 1, 2]], [0.0])
    np.testing.assert_array_equal(np.asarray(files.pictures([1])[0]), triplets.images[1])
    with pytest.raises(ImageError, match=r"2\.png: is damaged"):
        files.pictures()


def test_identity_follows_content_and_nothing_else():
    base = some()
    assert base.identity == some().identity == some(name="other").identity
    assert len(base.identity) == 16
    other = [some(seed=1), base.select([0, 1]), Triplets(base.images, base.items, 1 - base.vote_right, base.votes)]
    assert len({base.identity, *(each.identity for each in other)}) == 4


def test_summary_counts():
    triplets = Triplets(np.zeros((4, 8, 8, 3), np.uint8), [[0, 1, 2]] * 4, [0, 1, 1, 0.6], [2, 2, 2, 6], list("aabb"))
    assert triplets.summary == {
        "name": "", "split": "", "triplets": 4, "pictures": 3, "votes": 3.0, "right": 0.75, "unanimous": 0.75,
        "groups": {"a": 2, "b": 2},
    }  # fmt: skip


def test_odd_one_out_gives_both_references():
    images = np.zeros((4, 8, 8, 3), np.uint8)
    triplets = from_odd_one_out(images, [[0, 1, 2], [3, 2, 0]], "things", "test", ["a", "b"])
    assert triplets.items.tolist() == [[0, 1, 2], [1, 0, 2], [3, 2, 0], [2, 3, 0]]
    assert triplets.vote_right.tolist() == [0] * 4
    assert triplets.groups.tolist() == ["a", "a", "b", "b"]
    assert (triplets.name, triplets.split) == ("things", "test")


def test_concat_shares_pictures_and_keeps_every_judgment():
    one, two = some(name="one"), some(seed=1, pictures=7)
    same = concat([one, one.select([0, 2])], name="both", split="train")
    assert same.images is one.images
    assert len(same) == 8
    both = concat([one, two])
    assert len(both.images) == 12
    np.testing.assert_array_equal(both.images[both.items[6:]], two.images[two.items])
    np.testing.assert_array_equal(both.votes, np.concatenate([one.votes, two.votes]))
    first = Triplets(["a", "b", "c"], [[0, 1, 2]], [0.0], [1], ["x"])
    second = Triplets(["c", "d", "a"], [[0, 1, 2]], [1.0], [2], ["longer"])
    files = concat([first, second])
    assert [str(path) for path in files.images] == ["a", "b", "c", "d"]
    assert files.items.tolist() == [[0, 1, 2], [2, 3, 0]]
    assert files.groups.tolist() == ["x", "longer"]


def test_shuffled_votes_carry_no_information_even_when_one_side_always_won():
    triplets = from_odd_one_out(np.zeros((3, 8, 8, 3), np.uint8), [[0, 1, 2]] * 500)
    shuffled = shuffled_votes(triplets, seed=3)
    assert shuffled.vote_right.mean() == 0.5
    assert triplets.vote_right.sum() == 0
    np.testing.assert_array_equal(shuffled.items, triplets.items)
    np.testing.assert_array_equal(shuffled.vote_right, shuffled_votes(triplets, seed=3).vote_right)
    assert (shuffled.vote_right != shuffled_votes(triplets, seed=4).vote_right).any()
    soft = some(count=2000)
    mixed = shuffled_votes(soft, seed=0)
    decided = np.maximum(soft.vote_right, 1 - soft.vote_right)
    np.testing.assert_array_equal(np.sort(np.maximum(mixed.vote_right, 1 - mixed.vote_right)), np.sort(decided))
    assert sorted(mixed.votes) == sorted(soft.votes)
    assert abs(np.corrcoef(mixed.vote_right, soft.vote_right)[0, 1]) < 0.06


PICTURES = np.zeros((3, 8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((PICTURES, [[0, 1, 3]], [0.0]), r"triplet 0 names pictures \[0, 1, 3\], but positions go from 0 to 2"),
        ((PICTURES, [[0, 1, 2], [-1, 0, 1]], [0.0, 0.0]), r"triplet 1 names pictures \[-1, 0, 1\]"),
        ((PICTURES, [[0, 1, 1]], [0.0]), "same picture on both sides"),
        ((PICTURES, [[0, 1]], [0.0]), r"items must be whole numbers \[T, 3\]"),
        ((PICTURES, [[0.0, 1.0, 2.0]], [0.0]), r"items must be whole numbers"),
        ((PICTURES, [[0, 1, 2]], [np.nan]), "vote_right of triplet 0 is nan"),
        ((PICTURES, [[0, 1, 2]], [1.2]), r"vote_right of triplet 0 is 1\.2"),
        ((PICTURES, [[0, 1, 2]], [0.0, 1.0]), r"one share per triplet \(1\)"),
        ((PICTURES, [[0, 1, 2]], [0.0], [0]), "votes of triplet 0 is 0"),
        ((PICTURES, [[0, 1, 2]], [0.0], [1], ["a", "b"]), "groups must hold one name per triplet"),
        ((PICTURES.astype(float), [[0, 1, 2]], [0.0]), r"uint8 \[N, H, W, 3\] or files, got float64"),
        (([], [[0, 1, 2]], [0.0]), "images is empty"),
    ],
)
def test_what_does_not_fit_is_named(arguments, message):
    with pytest.raises(TripletsError, match=message):
        Triplets(*arguments)


def test_parts_that_cannot_be_joined():
    files = Triplets(["a", "b", "c"], [[0, 1, 2]], [0.0])
    with pytest.raises(TripletsError, match="nothing to join"):
        concat([])
    with pytest.raises(TripletsError, match="open the files first"):
        concat([files, some()])
    with pytest.raises(TripletsError, match="several sizes"):
        concat([some(), Triplets(np.zeros((3, 9, 8, 3), np.uint8), [[0, 1, 2]], [0.0])])
    with pytest.raises(TripletsError, match="odd one last"):
        from_odd_one_out(PICTURES, [0, 1, 2])

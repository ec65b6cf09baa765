"""The simulated textile images: complete, split without leakage, tiled at native resolution."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from percept.data import inspection
from percept.data.images import tile


@pytest.mark.parametrize(("kind", "count"), [("nominal", 1000), ("local", 500), ("global", 500)])
def test_published_counts_and_size(kind, count):
    paths = inspection.textile_images(kind)
    assert len(set(paths)) == count
    assert paths == sorted(paths)
    with Image.open(paths[0]) as image:
        assert image.size == (250, 250)


def test_unknown_kind_names_the_choices():
    with pytest.raises(ValueError, match="nominal, local, global, got 'broken'"):
        inspection.textile_images("broken")


def test_docstring_says_simulated():
    assert "SIMULATED BY THEIR AUTHORS" in inspection.__doc__


def test_the_white_frame_is_cut_off():
    path = inspection.textile_images("nominal")[0]
    with Image.open(path) as image:
        stored = np.asarray(image.convert("RGB")).astype(float)
    assert stored[:, -1].mean() > 240
    assert stored[-1].mean() > 240
    (cut,) = inspection.load_textiles([path])
    assert cut.shape == (249, 249, 3)
    assert cut[:, -1].mean() < 200
    assert cut[-1].mean() < 200


@pytest.mark.parametrize("seed", [0, 2025])
def test_split_is_balanced_and_disjoint(seed):
    split = inspection.textile_split(seed)
    assert {name: len(part.paths) for name, part in split.items()} == {"train": 100, "calibrate": 100, "test": 200}
    for part in split.values():
        half = len(part.paths) // 2
        assert part.labels.tolist() == [0] * half + [1] * half
        assert part.kinds.count("local") == part.kinds.count("global") == half // 2
        assert [path.parent.name for path in part.paths] == part.kinds
    contents = [hashlib.sha256(p.read_bytes()).digest() for part in split.values() for p in part.paths]
    assert len(set(contents)) == 400


def test_split_is_fixed_by_its_seed():
    first, second = inspection.textile_split(1), inspection.textile_split(1)
    assert first["test"].paths == second["test"].paths
    assert first["test"].paths != inspection.textile_split(2)["test"].paths


def test_growing_the_test_part_keeps_the_training_part():
    small, large = inspection.textile_split(test=20), inspection.textile_split(test=200)
    assert small["train"].paths == large["train"].paths


@pytest.mark.parametrize("sizes", [{"train": 51}, {"train": -2}, {"train": 900, "test": 200}])
def test_impossible_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match="even, not negative and at most 1,000"):
        inspection.textile_split(**sizes)


def test_batch_tiles_equal_single_image_tiles():
    images = np.random.default_rng(0).integers(0, 256, (3, 100, 90, 3), dtype=np.uint8)
    for size, stride in ((64, None), (32, 20)):
        batch = inspection.cut_tiles(images, size, stride)
        single = [[np.asarray(t) for t in tile(Image.fromarray(image), size, stride)] for image in images]
        assert np.array_equal(batch, np.array(single))
    with pytest.raises(ValueError, match="100 x 90 px are smaller than a tile of 128"):
        inspection.cut_tiles(images, 128)


def brightness(tiles):
    return tiles.reshape(len(tiles), -1, 3).mean(axis=1)


def test_pooling_against_a_slow_loop():
    images = np.random.default_rng(1).integers(0, 256, (5, 100, 90, 3), dtype=np.uint8)
    slow = []
    for image in images:
        values = [np.asarray(t).reshape(-1, 3).mean(axis=0) for t in tile(Image.fromarray(image), 64)]
        slow.append([np.mean(values, axis=0), np.max(values, axis=0)])
    slow = np.array(slow)
    both = inspection.pooled_tile_features(brightness, images, batch=2)
    assert both.dtype == np.float32
    np.testing.assert_allclose(both, slow.reshape(5, 6), rtol=1e-5)
    for index, pool in enumerate(("mean", "max")):
        alone = inspection.pooled_tile_features(brightness, images, pool=pool)
        np.testing.assert_allclose(alone, slow[:, index], rtol=1e-5)


def test_pil_images_of_any_size_give_the_same_features():
    images = np.random.default_rng(2).integers(0, 256, (3, 80, 80, 3), dtype=np.uint8)
    extra = Image.new("RGB", (200, 30), "white")
    listed = [Image.fromarray(image) for image in images] + [extra]
    features = inspection.pooled_tile_features(brightness, listed, batch=3)
    np.testing.assert_array_equal(features[:3], inspection.pooled_tile_features(brightness, images))
    assert features[3].tolist() == [255.0] * 6


def test_a_small_mark_moves_the_maximum_more_than_the_mean():
    clean = np.full((1, 249, 249, 3), 100, np.uint8)
    marked = clean.copy()
    marked[:, 70:90, 70:80] = 255
    mean, top = np.split(
        inspection.pooled_tile_features(brightness, marked) - inspection.pooled_tile_features(brightness, clean),
        2,
        axis=1,
    )
    assert (top > 10 * mean).all()
    assert (mean > 0).all()


def test_wrong_pooling_input_is_refused():
    images = np.zeros((2, 64, 64, 3), np.uint8)
    with pytest.raises(ValueError, match="mean, max, mean_max, got 'median'"):
        inspection.pooled_tile_features(brightness, images, pool="median")
    with pytest.raises(ValueError, match="no images"):
        inspection.pooled_tile_features(brightness, images[:0])
    with pytest.raises(ValueError, match=r"shape \(1, 3\) for 2 tiles"):
        inspection.pooled_tile_features(lambda tiles: brightness(tiles)[:1], images)


def test_published_results_name_their_source():
    table = inspection.published_results()
    assert table["accuracy"].between(0.5, 1).all()
    assert table["auc"].between(0.5, 1).all()
    assert table["source"].str.len().min() > 10

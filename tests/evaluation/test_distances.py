import numpy as np
import pytest
from PIL import Image
from skimage.metrics import structural_similarity

from percept import load_encoder
from percept.data.triplets import Triplets
from percept.evaluation import distances as module
from percept.evaluation.distances import (
    deep_distances,
    encoder_distances,
    encoder_features,
    histogram_distances,
    pixel_distances,
    ssim_distances,
    triplet_distances,
)
from percept.models.cache import EmbeddingCache


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("percept-tiny", device="cpu")


@pytest.fixture(scope="module")
def triplets():
    """Smooth pictures; picture 5 is the same as picture 0."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
    images = np.stack([np.asarray(Image.fromarray(each).resize((64, 64), 2)) for each in small])
    images[5] = images[0]
    items = np.array([[0, 5, 1], [2, 3, 4], [1, 0, 5], [3, 1, 0]])
    return Triplets(images, items, np.array([0, 1, 0.5, 0.2]))


def cosine_distance(a, b):
    return 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def test_triplet_distances_equal_a_slow_loop_across_blocks(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 7)
    rng = np.random.default_rng(0)
    features, items = rng.normal(size=(10, 4)), rng.integers(10, size=(30, 3))
    left, right = triplet_distances(features, items)
    for t, (r, a, b) in enumerate(items):
        assert left[t] == pytest.approx(cosine_distance(features[r], features[a]), abs=1e-12)
        assert right[t] == pytest.approx(cosine_distance(features[r], features[b]), abs=1e-12)


@pytest.mark.parametrize("kind", ["embedding", "global", "cls_patch"])
def test_encoder_distances_of_equal_pictures_are_zero_and_they_tie(encoder, triplets, kind, tmp_path):
    left, right = encoder_distances(encoder, triplets, kind)
    assert left[0] == pytest.approx(0, abs=1e-6)
    # The same picture held twice: its place in the batch may change the last digits.
    assert left[2] == pytest.approx(right[2], abs=1e-6)
    assert right[1] > 0.001
    cached = EmbeddingCache(tmp_path)
    for _ in range(2):
        again = encoder_distances(encoder, triplets, kind, cache=cached)
        np.testing.assert_allclose(again, (left, right), atol=1e-6)
    assert cached.misses == 5  # six positions, two of them the same picture


def test_each_used_picture_is_encoded_once_and_the_unused_never(encoder, triplets, monkeypatch):
    seen = []
    plain = type(encoder).encode_images
    monkeypatch.setattr(type(encoder), "encode_images", lambda self, x, *a, **k: seen.append(len(x)) or plain(self, x))
    encoder_distances(encoder, triplets.select([1]))
    assert sum(seen) == 3
    monkeypatch.setattr(module, "BLOCK", 4)
    seen.clear()
    assert encoder_features(encoder, triplets).shape == (6, encoder.dim)
    assert seen == [4, 2]


def test_pixel_distance_is_the_root_mean_square(triplets):
    left, right = pixel_distances(triplets)
    a, b = triplets.images[2].astype(float), triplets.images[4].astype(float)
    assert right[1] == pytest.approx(np.sqrt(((a - b) ** 2).mean()))
    assert left[0] == 0


def test_ssim_distance_is_one_minus_scikit_images(triplets):
    left, right = ssim_distances(triplets)
    expected = np.mean(
        [
            structural_similarity(
                triplets.images[2][..., c], triplets.images[3][..., c], data_range=255, gaussian_weights=True,
                sigma=1.5, use_sample_covariance=False,
            )
            for c in range(3)
        ]
    )  # fmt: skip
    assert left[1] == pytest.approx(1 - expected, abs=1e-9)
    assert left[0] == pytest.approx(0, abs=1e-12)
    assert 0 < right[0] < 2
    with pytest.raises(ValueError, match="at least 11 x 11 px, got 8 x 8"):
        ssim_distances(Triplets(np.zeros((3, 8, 8, 3), np.uint8), [[0, 1, 2]], [0.0]))


def test_histogram_distance_ignores_places_and_sees_colours(triplets):
    images = triplets.images.copy()
    images[1] = np.random.default_rng(0).permutation(images[0].reshape(-1, 3)).reshape(64, 64, 3)
    images[2], images[3] = 0, 255
    left, right = histogram_distances(Triplets(images, [[0, 1, 2], [2, 3, 4]], [0.0, 0.0]))
    assert left[0] == 0
    assert left[1] == 1  # black and white share no cell
    slow = {}
    for index in (0, 2):
        cells = [tuple(int(v) // 32 for v in pixel) for pixel in images[index].reshape(-1, 3)]
        slow[index] = {cell: cells.count(cell) / len(cells) for cell in set(cells)}
    keys = set(slow[0]) | set(slow[2])
    assert right[0] == pytest.approx(sum(abs(slow[0].get(k, 0) - slow[2].get(k, 0)) for k in keys) / 2)


def test_deep_distance_compares_place_by_place(encoder, triplets, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 2)
    left, right = deep_distances(encoder, triplets)
    patches = encoder.features(triplets.images, "patch").numpy().astype(float)
    a, b = patches[2], patches[4]
    places = [
        np.sum((a[:, y, x] / np.linalg.norm(a[:, y, x]) - b[:, y, x] / np.linalg.norm(b[:, y, x])) ** 2)
        for y in range(a.shape[1])
        for x in range(a.shape[2])
    ]
    assert right[1] == pytest.approx(np.mean(places), rel=1e-4)
    assert left[0] == pytest.approx(0, abs=1e-9)


def test_files_are_opened_block_by_block_and_squashed_for_pixel_measures(encoder, triplets, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 2)
    paths = []
    for index, array in enumerate(triplets.images):
        paths.append(tmp_path / f"画像{index}.png")
        Image.fromarray(array).save(paths[-1])
    files = Triplets(paths, triplets.items, triplets.vote_right)
    for measure in (pixel_distances, histogram_distances, ssim_distances):
        np.testing.assert_allclose(measure(files), measure(triplets), atol=1e-9)
    np.testing.assert_allclose(encoder_distances(encoder, files), encoder_distances(encoder, triplets), atol=1e-6)
    Image.fromarray(triplets.images[1]).resize((40, 90)).save(paths[1])
    assert pixel_distances(files, size=16)[0].shape == (4,)

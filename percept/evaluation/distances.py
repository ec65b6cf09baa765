"""Distances from a reference to two candidates: of an encoder, and of plain baselines.

Every function gives `(d_left, d_right)`, float64 [T] each; `percept.evaluation.similarity` scores them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from percept.data.bapps import JndPairs
from percept.data.triplets import Triplets
from percept.evaluation.arrays import to_numpy, unit_rows

Distances = tuple[np.ndarray, np.ndarray]
BLOCK = 512  # triplets or pictures worked on at once, so that memory does not grow with the data


def triplet_distances(features: Any, items: Any) -> Distances:
    """Cosine distances of triplets, 0..2.

    Args:
        features: [N, D], one row per picture; no row of zeros.
        items: whole numbers [T, 3], positions of reference, left, right.

    Returns:
        (d_left, d_right), float64 [T].

    Raises:
        ValueError: a row without direction, NaN, or a position outside 0..N-1.

    Example:
        >>> triplet_distances([[1.0, 0], [2.0, 0], [0, 1.0]], [[0, 1, 2]])
        (array([0.]), array([1.]))
    """
    rows = unit_rows(to_numpy(features).astype(np.float64), "features")
    positions = to_numpy(items)
    if positions.ndim != 2 or positions.shape[1] != 3 or not np.issubdtype(positions.dtype, np.integer):
        raise ValueError(f"items must be whole numbers [T, 3], got {positions.dtype} {positions.shape}")
    if positions.size and (positions.min() < 0 or positions.max() >= len(rows)):
        raise ValueError(f"items must lie in 0..{len(rows) - 1}, got {positions.min()}..{positions.max()}")
    found = np.empty((2, len(positions)))
    for start in range(0, len(positions), BLOCK):
        part = positions[start : start + BLOCK]
        for side in (0, 1):
            found[side, start : start + BLOCK] = 1 - (rows[part[:, 0]] * rows[part[:, side + 1]]).sum(axis=1)
    return found[0], found[1]


def pair_distances(features: Any, items: Any) -> np.ndarray:
    """Cosine distances float64 [P] of pairs, whole numbers [P, 2], as `jnd_map` wants them."""
    pairs = to_numpy(items)
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ValueError(f"items must be whole numbers [P, 2], got shape {pairs.shape}")
    return triplet_distances(features, pairs[:, [0, 1, 1]])[0]


def encoder_features(
    encoder: Any, triplets: Triplets | JndPairs, kind: str = "embedding", cache: Any = None, batch_size: int = 64
) -> np.ndarray:
    """Features of every picture of some triplets or pairs, each encoded once; files are opened block by block.

    Args:
        encoder: `percept.models.encoders.Encoder`.
        triplets: N pictures (`Triplets.compact` drops those that no triplet uses); or pairs.
        kind: "embedding" (`encode_images`), "global", "cls_patch" or "patch".
        cache: `percept.models.cache.EmbeddingCache`, or None.
        batch_size: pictures per forward pass.

    Returns:
        float32 [N, D] ([N, D, h, w] for "patch").
    """
    parts = []
    for start in range(0, len(triplets.images), BLOCK):
        pictures = triplets.pictures(np.arange(start, min(start + BLOCK, len(triplets.images))))
        if cache is not None:
            parts.append(cache.encode(encoder, pictures, kind, batch_size).numpy())
        elif kind == "embedding":
            parts.append(encoder.encode_images(pictures, batch_size).numpy())
        else:
            parts.append(encoder.features(pictures, kind, batch_size).numpy())
    return np.concatenate(parts)


def encoder_distances(
    encoder: Any, triplets: Triplets, kind: str = "embedding", cache: Any = None, batch_size: int = 64
) -> Distances:
    """Cosine distances between an encoder's features; arguments as in `encoder_features`."""
    used = triplets.compact()
    return triplet_distances(encoder_features(encoder, used, kind, cache, batch_size), used.items)


def deep_distances(encoder: Any, triplets: Triplets, cache: Any = None, batch_size: int = 64) -> Distances:
    """LPIPS-type distances: patch features scaled to length 1 at every place, squared differences, mean over places.

    One layer (the last) and no learned channel weights, unlike LPIPS itself. Scrambled places make pictures far
    apart that a global feature may take for the same.
    """

    def unit_patches(part: Triplets) -> np.ndarray:
        patches = encoder_features(encoder, part, "patch", cache, batch_size).astype(np.float64)
        return patches / np.maximum(np.linalg.norm(patches, axis=1, keepdims=True), 1e-12)

    def compare(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(((a - b) ** 2).sum(axis=1).mean(axis=(1, 2)))

    return _by_blocks(triplets, unit_patches, compare)


def pixel_distances(triplets: Triplets, size: int = 64) -> Distances:
    """Root mean square difference of pixels, 0..255. Files are first squashed to `size` x `size` px."""
    return _by_blocks(
        triplets,
        lambda part: _pixels(part, size).astype(np.float64),
        lambda a, b: np.sqrt(((a - b) ** 2).mean(axis=(1, 2, 3))),
    )


def ssim_distances(triplets: Triplets, size: int = 64) -> Distances:
    """1 - SSIM, 0..2, mean over colour channels, with the Gaussian window of Wang et al. (2004), 11 px wide.

    Files are first squashed to `size` x `size` px.

    Raises:
        ValueError: pictures smaller than the window.
    """
    from skimage.metrics import structural_similarity

    def ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        if min(a.shape[1:3]) < 11:
            raise ValueError(f"SSIM needs pictures of at least 11 x 11 px, got {a.shape[1]} x {a.shape[2]}")
        wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
        return np.array([1 - structural_similarity(x, y, channel_axis=-1, **wang) for x, y in zip(a, b, strict=True)])

    return _by_blocks(triplets, lambda part: _pixels(part, size), ssim)


def histogram_distances(triplets: Triplets, bins: int = 8, size: int = 64) -> Distances:
    """Half the absolute difference of joint RGB histograms (`bins` to the third cells), 0..1; places do not matter.

    Files are first squashed to `size` x `size` px.
    """

    def histograms(part: Triplets) -> np.ndarray:
        cells = (_pixels(part, size).reshape(len(part.images), -1, 3).astype(np.int64) * bins) // 256
        codes = (cells[..., 0] * bins + cells[..., 1]) * bins + cells[..., 2]
        return np.stack([np.bincount(row, minlength=bins**3) / row.size for row in codes])

    return _by_blocks(triplets, histograms, lambda a, b: np.abs(a - b).sum(axis=1) / 2)


def _by_blocks(
    triplets: Triplets,
    describe: Callable[[Triplets], np.ndarray],
    compare: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Distances:
    found = np.empty((2, len(triplets)))
    for start in range(0, len(triplets), BLOCK):
        part = triplets.select(np.arange(start, min(start + BLOCK, len(triplets)))).compact()
        values = describe(part)
        for side in (0, 1):
            result = compare(values[part.items[:, 0]], values[part.items[:, side + 1]])
            found[side, start : start + BLOCK] = result
    return found[0], found[1]


def _pixels(triplets: Triplets, size: int) -> np.ndarray:
    from PIL import Image

    pictures = triplets.pictures()
    if isinstance(pictures, np.ndarray):
        return pictures
    return np.stack([np.asarray(image.resize((size, size), Image.Resampling.BICUBIC)) for image in pictures])

"""Plain pixel and texture statistics: the baseline that every encoder must beat, without any training.

All functions are batched over images of one size. Local binary patterns and co-occurrence matrices equal
scikit-image's `local_binary_pattern(..., 8, 1, "uniform")` and `graycomatrix(symmetric=True, normed=True)`.

Sources: Ojala et al., TPAMI 2002 (local binary patterns); Haralick et al., 1973 (co-occurrence).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import fft

COLOUR_BINS = 16
GRAY_LEVELS = 16
OFFSETS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 4), (4, 0))
DIRECTIONS = 8
BANDS = 12
_CHUNK_PIXELS = 1 << 19  # keeps the working arrays of one chunk near the processor's cache


def pixel_statistics(images: np.ndarray) -> np.ndarray:
    """Colour statistics of each image.

    Args:
        images: uint8 [N, H, W, 3].

    Returns:
        float32 [N, 54]: mean and standard deviation of R, G, B (in 0..1), then a 16-bin histogram of each
        channel (shares that sum to 1).

    Raises:
        ValueError: wrong dtype or shape, or no images.

    >>> pixel_statistics(np.full((1, 4, 4, 3), 255, np.uint8))[0, :6].tolist()
    [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    """
    return _chunked(_pixel_chunk, images)


def texture_statistics(images: np.ndarray) -> np.ndarray:
    """Texture statistics of the gray version of each image.

    Args:
        images: uint8 [N, H, W, 3], sides of at least 8 px.

    Returns:
        float32 [N, 54]: uniform local binary patterns (10 shares), contrast, homogeneity, energy, correlation
        of the 16-level co-occurrence at 6 offsets (24), gradient directions weighted by strength (8 shares),
        log10 of the mean spectral power in 12 rings from coarse to fine.

    Raises:
        ValueError: wrong dtype or shape, or no images.
    """
    if images.ndim == 4 and min(images.shape[1:3]) < 8:
        raise ValueError(f"texture needs sides of at least 8 px, got {images.shape[1]} x {images.shape[2]}")
    return _chunked(_texture_chunk, images)


def _chunked(statistics: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> np.ndarray:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not images.size:
        raise ValueError(f"images must be uint8 [N, H, W, 3] with N > 0, got {images.dtype} {images.shape}")
    step = max(1, _CHUNK_PIXELS // (images.shape[1] * images.shape[2]))
    parts = [statistics(images[start : start + step]) for start in range(0, len(images), step)]
    return np.concatenate(parts).astype(np.float32)


def _pixel_chunk(images: np.ndarray) -> np.ndarray:
    values = np.arange(256) / 255
    counts = np.stack([_counts(images[..., channel], 256) for channel in range(3)], axis=1)
    shares = counts / counts.sum(axis=-1, keepdims=True)
    mean = shares @ values
    spread = np.sqrt(np.maximum(shares @ values**2 - mean**2, 0))
    coarse = shares.reshape(len(images), 3, COLOUR_BINS, -1).sum(axis=-1)
    return np.concatenate([mean, spread, coarse.reshape(len(images), -1)], axis=1)


def _counts(codes: np.ndarray, size: int) -> np.ndarray:
    """Histogram of codes 0..size-1 for each image: [N, ...] -> [N, size]."""
    flat = codes.reshape(len(codes), -1).astype(np.int64)
    flat += np.arange(len(codes))[:, None] * size
    return np.bincount(flat.ravel(), minlength=len(codes) * size).reshape(len(codes), size)


def _texture_chunk(images: np.ndarray) -> np.ndarray:
    gray = to_gray(images)
    patterns = _counts(local_binary_patterns(gray), 10)
    levels = gray // (256 // GRAY_LEVELS)
    occurrence = [cooccurrence_statistics(levels, offset) for offset in OFFSETS]
    parts = [patterns / patterns.sum(axis=1, keepdims=True), *occurrence]
    parts += [gradient_directions(gray), radial_power(gray)]
    return np.concatenate(parts, axis=1)


def to_gray(images: np.ndarray) -> np.ndarray:
    """Integer luma (299 R + 587 G + 114 B + 500) // 1000, uint8 [N, H, W]: equal on every machine."""
    red, green, blue = (images[..., channel].astype(np.uint32) for channel in range(3))
    return ((299 * red + 587 * green + 114 * blue + 500) // 1000).astype(np.uint8)


def local_binary_patterns(gray: np.ndarray) -> np.ndarray:
    """Uniform local binary patterns, 8 points at radius 1.

    Neighbours are interpolated bilinearly, pixels outside the image count as 0, as in scikit-image.

    Args:
        gray: uint8 [N, H, W].

    Returns:
        uint8 [N, H, W], 0 to 8 = number of brighter neighbours in a uniform pattern, 9 = not uniform.
    """
    padded = np.pad(gray, ((0, 0), (1, 1), (1, 1))).astype(np.float64)
    centre = padded[:, 1:-1, 1:-1]
    signs = np.stack([_neighbour(padded, point) >= centre for point in range(8)])
    ones = signs.sum(axis=0, dtype=np.uint8)
    changes = (signs != np.roll(signs, 1, axis=0)).sum(axis=0, dtype=np.uint8)
    return np.where(changes <= 2, ones, np.uint8(9))


def _neighbour(padded: np.ndarray, point: int) -> np.ndarray:
    angle = 2 * np.pi * point / 8
    row, column = round(-np.sin(angle), 5), round(np.cos(angle), 5)
    top, left = int(np.floor(row)), int(np.floor(column))
    down, right = row - top, column - left

    def corner(dy: int, dx: int) -> np.ndarray:
        height, width = padded.shape[1:]
        return padded[:, 1 + top + dy : height - 1 + top + dy, 1 + left + dx : width - 1 + left + dx]

    if not down and not right:
        return corner(0, 0)
    # The order of operations is scikit-image's, so that ties between equal pixels round the same way.
    upper = (1 - right) * corner(0, 0) + right * corner(0, 1)
    lower = (1 - right) * corner(1, 0) + right * corner(1, 1)
    return (1 - down) * upper + down * lower


def cooccurrence(levels: np.ndarray, offset: tuple[int, int], size: int = GRAY_LEVELS) -> np.ndarray:
    """Symmetric normalised co-occurrence matrices.

    Args:
        levels: integers [N, H, W] below `size`.
        offset: rows down, columns right (may be negative).
        size: number of gray levels.

    Returns:
        float64 [N, size, size], each sums to 1.
    """
    down, right = offset
    height, width = levels.shape[1:]
    if down < 0 or down >= height or abs(right) >= width:
        raise ValueError(f"offset {offset} does not fit an image of {height} x {width} px")
    first = levels[:, : height - down, max(0, -right) : width - max(0, right)]
    second = levels[:, down:, max(0, right) : width + min(0, right)]
    codes = first.astype(np.uint16) * np.uint16(size) + second
    counts = _counts(codes, size * size).reshape(-1, size, size)
    both = counts + counts.swapaxes(1, 2)
    return both / both.sum(axis=(1, 2), keepdims=True)


def cooccurrence_statistics(levels: np.ndarray, offset: tuple[int, int]) -> np.ndarray:
    """Contrast, homogeneity, energy and correlation of `cooccurrence`: float64 [N, 4].

    The correlation of a flat image is 1, as in scikit-image.
    """
    matrix = cooccurrence(levels, offset)
    i, j = np.indices(matrix.shape[1:])
    contrast = (matrix * (i - j) ** 2).sum(axis=(1, 2))
    homogeneity = (matrix / (1 + (i - j) ** 2)).sum(axis=(1, 2))
    energy = np.sqrt((matrix**2).sum(axis=(1, 2)))
    mean = (matrix * i).sum(axis=(1, 2))
    variance = (matrix * i**2).sum(axis=(1, 2)) - mean**2
    covariance = (matrix * i * j).sum(axis=(1, 2)) - mean**2
    flat = variance < 1e-15
    correlation = np.where(flat, 1.0, covariance / np.where(flat, 1.0, variance))
    return np.stack([contrast, homogeneity, energy, correlation], axis=1)


def gradient_directions(gray: np.ndarray) -> np.ndarray:
    """Share of gradient strength in 8 directions over a half turn, bin 0 centred on a horizontal gradient.

    Args:
        gray: uint8 [N, H, W].

    Returns:
        float64 [N, 8]; zeros where the image is flat.
    """
    values = gray.astype(np.float32)
    across = values[:, 1:-1, 2:] - values[:, 1:-1, :-2]
    down = values[:, 2:, 1:-1] - values[:, :-2, 1:-1]
    turn = np.arctan2(down, across) * np.float32(DIRECTIONS / np.pi)
    codes = np.rint(turn).astype(np.int64) % DIRECTIONS
    codes += np.arange(len(gray))[:, None, None] * DIRECTIONS
    strength = np.hypot(across, down)
    sums = np.bincount(codes.ravel(), weights=strength.ravel(), minlength=len(gray) * DIRECTIONS)
    sums = sums.reshape(len(gray), DIRECTIONS)
    return sums / np.maximum(sums.sum(axis=1, keepdims=True), 1e-12)


def radial_power(gray: np.ndarray) -> np.ndarray:
    """log10 of 1e-6 plus the mean power in 12 rings of equal width between 0 and half a cycle per pixel.

    Args:
        gray: uint8 [N, H, W].

    Returns:
        float64 [N, 12], coarse to fine. The mean gray value is removed first; a Hann window keeps the
        borders from leaking into every ring.
    """
    height, width = gray.shape[1:]
    values = gray.astype(np.float32) / 255
    values -= values.mean(axis=(1, 2), keepdims=True)
    window = np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
    spectrum = fft.rfft2(values * window)
    power = (spectrum.real**2 + spectrum.imag**2) / np.square(window).sum()
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    ring = np.minimum((radius * 2 * BANDS).astype(int), BANDS).ravel()
    member = np.eye(BANDS + 1, dtype=np.float32)[ring][:, :BANDS]
    sums = power.reshape(len(gray), -1) @ member
    return np.log10(1e-6 + sums / np.maximum(member.sum(axis=0), 1))

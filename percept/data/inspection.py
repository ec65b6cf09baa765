"""Textile inspection images, SIMULATED BY THEIR AUTHORS: no camera has seen them.

The package `conformal-clip-data` (MIT) holds 1,000 nominal, 500 local-defect and 500 global-defect images
of 250 x 250 px, drawn with the R package `spc4sts` as a spatial autoregressive field (0.6, 0.35); a global
defect lowers both parameters by 5 %, a local defect disturbs a patch of roughly 10 x 20 px. Good numbers here
say that a method finds such patterns, not that it works on a loom.

Published results (nominal against defective; `published_results`): Megahed et al. 2025, arXiv:2501.12596, and
the benchmark table in the repository fmegahed/conformal_clip (commit 1999278,
results/textile_benchmark_classification.csv, uncalibrated rows). Neither reports local and
global defects apart, although they differ greatly in difficulty: report them apart.

Sources: Megahed et al., arXiv:2501.12596 (2025); Bui and Apley, Journal of Quality Technology 53(3), 2020.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from percept.data.opening import open_image
from percept.data.pixels import tile, tile_starts

KINDS = {"nominal": 1000, "local": 500, "global": 500}
POOLS = ("mean", "max", "mean_max")
_BENCHMARK = "conformal_clip benchmark, Nov 2025, 50+50 bank, 50+50 test"
_PAPER = "arXiv:2501.12596, 100+100 test"
_PUBLISHED = [
    ("CLIP ViT-L/14", 10, 0.900, 0.983, _PAPER),
    ("CLIP ViT-L/14", 50, 0.975, 0.996, _PAPER),
    ("CLIP ViT-L/14", 50, 0.960, 0.9968, _BENCHMARK),
    ("CLIP ViT-B/16", 50, 0.900, 0.9484, _BENCHMARK),
    ("CLIP ViT-B/32", 50, 0.710, 0.7608, _BENCHMARK),
    ("EfficientNet-B0", 50, 0.720, 0.8292, _BENCHMARK),
    ("ResNet-18", 50, 0.600, 0.6818, _BENCHMARK),
]


def textile_images(kind: str) -> list[Path]:
    """Sorted paths of the simulated textile images of one kind.

    Args:
        kind: "nominal" (1,000), "local" (500) or "global" (500).

    Raises:
        ValueError: unknown kind.
        FileNotFoundError: `conformal-clip-data` is missing or incomplete.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    spec = importlib.util.find_spec("conformal_clip_data")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("package 'conformal-clip-data' is not installed; run 'make install'")
    folder = Path(spec.origin).parent / "data" / "textile_images" / "simulated" / kind
    paths = sorted(folder.glob("*.jpg"))
    if len(paths) != KINDS[kind]:
        raise FileNotFoundError(f"{folder}: {len(paths)} images instead of {KINDS[kind]}; install it again")
    return paths


def load_textiles(paths: Sequence[Path]) -> np.ndarray:
    """Read textile images as uint8 [N, 249, 249, 3].

    The white last row and column, a trace of the plot they were exported from and the same in all three
    kinds, are cut off: in a tile they would outshine the weave.
    """
    return np.stack([np.asarray(open_image(path))[:249, :249] for path in paths])


@dataclass(frozen=True)
class TextileSet:
    """One part of a split: `paths`, `kinds` (nominal, local, global) and `labels` (int64, 1 = defective)."""

    paths: list[Path]
    kinds: list[str]

    @property
    def labels(self) -> np.ndarray:
        """int64 [N], 1 where the image is defective."""
        return np.array([kind != "nominal" for kind in self.kinds], dtype=np.int64)


def textile_split(seed: int = 2025, *, train: int = 50, calibrate: int = 50, test: int = 100) -> dict[str, TextileSet]:
    """Disjoint random parts with as many defective as nominal images, half local and half global.

    The sizes follow the published studies (50 + 50 in the bank and for calibration, 100 + 100 in the test);
    their exact draws cannot be repeated, since they depend on the order in which a disk lists files.

    Args:
        seed: draw of the images.
        train: nominal images, and as many defective ones; even.
        calibrate: likewise, 0 allowed.
        test: likewise.

    Returns:
        "train", "calibrate" and "test"; no image is in two parts.

    Raises:
        ValueError: odd or negative sizes, or more than 1,000 in total.
    """
    sizes = {"train": train, "calibrate": calibrate, "test": test}
    if any(size < 0 or size % 2 for size in sizes.values()) or sum(sizes.values()) > 1000:
        raise ValueError(f"sizes must be even, not negative and at most 1,000 in total, got {sizes}")
    rng = np.random.default_rng(seed)
    pools = {}
    for kind in KINDS:
        paths = textile_images(kind)
        pools[kind] = iter([paths[i] for i in rng.permutation(len(paths))])
    parts = {}
    for name, size in sizes.items():
        counts = {"nominal": size, "local": size // 2, "global": size // 2}
        kinds = [kind for kind, count in counts.items() for _ in range(count)]
        parts[name] = TextileSet([next(pools[kind]) for kind in kinds], kinds)
    return parts


def published_results() -> pd.DataFrame:
    """Published accuracy and AUC of nominal against defective: model, per_class, accuracy, auc, source."""
    return pd.DataFrame(_PUBLISHED, columns=["model", "per_class", "accuracy", "auc", "source"])


def cut_tiles(images: np.ndarray, size: int = 64, stride: int | None = None) -> np.ndarray:
    """Tiles of a batch at native resolution, covering every pixel (see `percept.data.images.tile`).

    Args:
        images: uint8 [N, H, W, 3], sides at least `size`.
        size: side of a tile.
        stride: step; default `size`. The last tile ends at the edge.

    Returns:
        uint8 [N, T, size, size, 3], row by row.
    """
    stride = size if stride is None else stride
    if min(images.shape[1:3]) < size:
        raise ValueError(f"images of {images.shape[1]} x {images.shape[2]} px are smaller than a tile of {size} px")
    corners = [
        (y, x) for y in tile_starts(images.shape[1], size, stride) for x in tile_starts(images.shape[2], size, stride)
    ]
    return np.stack([images[:, y : y + size, x : x + size] for y, x in corners], axis=1)


def pooled_tile_features(
    features: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray | Sequence[Image.Image],
    *,
    tile_size: int = 64,
    stride: int | None = None,
    pool: str = "mean_max",
    batch: int = 64,
) -> np.ndarray:
    """Features of images through their tiles: every encoder sees the same pixels at native resolution.

    Pooling over the tiles of an image, per feature: "mean" (a global change moves it), "max" (one odd tile
    moves it), "mean_max" both side by side. Rows are not renormalised.

    Args:
        features: maps uint8 [M, tile_size, tile_size, 3] to [M, D] (array or CPU tensor).
        images: uint8 [N, H, W, 3], or RGB images of any sizes.
        tile_size: side of a tile in pixels.
        stride: step between tiles; default `tile_size`.
        pool: "mean", "max" or "mean_max".
        batch: images per call of `features`.

    Returns:
        float32 [N, D], or [N, 2D] for "mean_max".

    Raises:
        ValueError: unknown pool, no images, or a result of `features` with the wrong number of rows.
    """
    if pool not in POOLS:
        raise ValueError(f"pool must be one of {', '.join(POOLS)}, got {pool!r}")
    if not len(images):
        raise ValueError("no images to compute features of")
    rows = []
    for start in range(0, len(images), batch):
        stacks = _tile_stacks(images[start : start + batch], tile_size, stride)
        flat = np.concatenate(stacks)
        values = np.asarray(features(flat), dtype=np.float32)
        if values.ndim != 2 or len(values) != len(flat):
            raise ValueError(f"features returned shape {values.shape} for {len(flat)} tiles; expected [M, D]")
        ends = np.cumsum([len(stack) for stack in stacks])[:-1]
        rows += [_pool(part, pool) for part in np.split(values, ends)]
    return np.stack(rows)


def _tile_stacks(images: np.ndarray | Sequence[Image.Image], size: int, stride: int | None) -> list[np.ndarray]:
    if isinstance(images, np.ndarray):
        return list(cut_tiles(images, size, stride))
    return [np.stack([np.asarray(part) for part in tile(image, size, stride)]) for image in images]


def _pool(values: np.ndarray, pool: str) -> np.ndarray:
    parts = {"mean": values.mean(axis=0), "max": values.max(axis=0)}
    return np.concatenate([parts[name] for name in pool.split("_")])

"""What frozen features are good for: the same pictures and the same probe for every encoder.

The baseline beside each encoder is plain statistics of pixels and textures; features that do not beat it have
learned nothing that the task needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from percept.data import inspection, realset
from percept.data.images import open_image, read_folder
from percept.data.scenes.sets import single_objects
from percept.data.statistics import pixel_statistics, texture_statistics
from percept.evaluation.few_shot import few_shot_curve, linear_probe

Describe = Callable[[np.ndarray], np.ndarray]
PARTS = ("train", "validate", "test")
_CUT = 10.0


class Task(NamedTuple):
    """Labelled pictures in three parts.

    Attributes:
        name: for tables.
        images: per part uint8 ``[N, H, W, 3]``, or a list of RGB images of any size if tiled.
        labels: per part int64 ``[N]``.
        tiled: read in 64 px tiles at native resolution, mean and maximum of the tiles' features pooled.
        groups: of the test pictures, for results apart.
        names: of the classes, where they have some.
    """

    name: str
    images: Mapping[str, Any]
    labels: Mapping[str, np.ndarray]
    tiled: bool = False
    groups: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(max(labels.max() for labels in self.labels.values())) + 1


def scene_task(shots: int, tests: int, seed: int = 0) -> Task:
    """Single objects of the scene world, all nouns; training scenes are drawn from the split "tune".

    Args:
        shots: training scenes per noun.
        tests: test scenes per noun.
        seed: another seed takes other scenes (0 to 4).
    """
    wanted = {"train": ("tune", shots, 18_000), "validate": ("validate", 4, 8_000), "test": ("test", tests, 18_000)}
    found = {
        part: single_objects(split, count, offset=seed * scan, scan=scan)
        for part, (split, count, scan) in wanted.items()
    }
    images = {part: chosen.pictures() for part, chosen in found.items()}
    return Task("scene objects", images, {part: chosen.labels for part, chosen in found.items()})


def digit_task(train: int = 600, test: int = 300, seed: int = 0) -> Task:
    """Real handwritten digits (scikit-learn), 8 px enlarged to 64.

    Args:
        train: pictures drawn from the 1,097 training digits.
        test: pictures drawn from the 400 test digits.
        seed: of both draws; draws of different seeds overlap.
    """
    sizes = {"train": train, "validate": min(300, train), "test": test}
    parts = {part: realset.digits(part, size=64) for part in PARTS}
    return _drawn("handwritten digits", parts, sizes, seed)


def texture_task(seed: int = 0) -> Task:
    """Real photographs of brick, grass and gravel (scikit-image): 64 px crops, three quarters of those there are.

    The parts share no pixel, but each class is one photograph. ``seed`` draws the crops; draws overlap.
    """
    parts = {part: realset.texture_crops(size=64, split=part) for part in PARTS}
    return _drawn("texture photographs", parts, {part: 3 * len(parts[part][1]) // 4 for part in PARTS}, seed)


def _drawn(name: str, parts: Mapping[str, Any], sizes: Mapping[str, int], seed: int) -> Task:
    rng = np.random.default_rng(seed)
    rows = {part: rng.permutation(len(parts[part][1]))[: sizes[part]] for part in PARTS}
    images = {part: parts[part][0][rows[part]] for part in PARTS}
    return Task(name, images, {part: parts[part][1][rows[part]] for part in PARTS})


def textile_task(train: int = 50, calibrate: int = 50, test: int = 100, seed: int = 2025) -> Task:
    """Textile inspection images (simulated by their authors), nominal 0 and defective 1, native resolution in tiles.

    Args:
        train: nominal images, and as many defective ones, half with local and half with global defects.
        calibrate: likewise, for the choice of C.
        test: likewise.
        seed: of the draw of images.
    """
    sets = inspection.textile_split(seed, train=train, calibrate=calibrate, test=test)
    named = {"train": sets["train"], "validate": sets["calibrate"], "test": sets["test"]}
    images = {part: inspection.load_textiles(chosen.paths) for part, chosen in named.items()}
    labels = {part: chosen.labels for part, chosen in named.items()}
    return Task("textile inspection", images, labels, tiled=True, groups=tuple(named["test"].kinds))


def folder_task(folder: str | Path, seed: int = 0, largest: int = 400, side: int = 512) -> Task:
    """A user's own labelled folder (see `read_folder`), read in tiles at native resolution.

    Args:
        folder: class sub-folders, or a ``labels.csv`` with the columns file and label.
        seed: of the split: half to train, a quarter to validate, a quarter to test, class by class.
        largest: at most this many images are used, drawn by ``seed``.
        side: of larger images, the middle ``side`` px are read, so that memory stays bounded.

    Raises:
        ValueError: no labels, fewer than two classes, or a class with fewer than four readable images.
    """
    own = read_folder(folder)
    labelled = own.table["label"].notna().to_numpy() if "label" in own.table else np.zeros(len(own.paths), bool)
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(labelled))[:largest]
    given = [str(own.table["label"].iloc[row]) for row in rows]
    names = sorted(set(given))
    labels = np.array([names.index(name) for name in given], np.int64)
    counts = np.bincount(labels, minlength=1)
    if len(names) < 2 or counts.min() < 4:
        found = ", ".join(f"{name}: {count}" for name, count in zip(names, counts, strict=False)) or "no labels"
        raise ValueError(f"{folder} needs two classes or more with four readable images each; it has {found}")
    before = np.empty(len(rows))  # share of its class that comes before an image
    before[np.argsort(labels, kind="stable")] = np.concatenate([np.arange(count) / count for count in counts])
    kept = {"train": before < 0.5, "validate": (before >= 0.5) & (before < 0.75), "test": before >= 0.75}
    images = {part: [_middle(open_image(own.paths[row]), side) for row in rows[keep]] for part, keep in kept.items()}
    parts = {part: labels[keep] for part, keep in kept.items()}
    return Task(Path(folder).name, images, parts, tiled=True, names=tuple(names))


def _middle(image: Image.Image, side: int) -> Image.Image:
    width, height = image.size
    left, top = max((width - side) // 2, 0), max((height - side) // 2, 0)
    return image.crop((left, top, left + min(width, side), top + min(height, side)))


def describers(folder: str | Path, encoder: str = "percept-tiny", device: str = "auto") -> dict[str, Describe]:
    """The three ways to describe a picture that every comparison sets side by side.

    Args:
        folder: of the embedding cache.
        encoder: first entry: any name that `load_encoder` takes.
        device: see `load_encoder`.

    Returns:
        Name -> function from uint8 ``[N, H, W, 3]`` to float32 ``[N, D]``: the encoder's global features,
        EfficientNet-Lite0's (ImageNet), and statistics of pixels and textures.
    """
    from percept.models.cache import EmbeddingCache
    from percept.models.encoders import load_encoder

    cache = EmbeddingCache(folder)

    def of(name: str) -> Describe:
        loaded = load_encoder(name, device=device)
        # Small batches keep the feature maps of a convolutional net in memory that fits a laptop.
        return lambda images: cache.encode(loaded, images, "global", batch_size=32).numpy()

    def statistics(images: np.ndarray) -> np.ndarray:
        return np.hstack([pixel_statistics(images), texture_statistics(images)])

    return {encoder: of(encoder), "efficientnet-lite0": of("efficientnet-lite0"), "statistics": statistics}


def describe_task(task: Task, describe: Describe) -> dict[str, np.ndarray]:
    """Features of every part, scaled to mean 0 and deviation 1 on the training part, cut at 10 deviations.

    Statistics have units, hence the scale. A feature that is all but dead on the training part would be thousands of
    deviations away elsewhere, and would outvote all others, hence the cut.
    """

    def features(images: Any) -> np.ndarray:
        return inspection.pooled_tile_features(describe, images) if task.tiled else describe(images)

    found = {part: np.asarray(features(task.images[part]), np.float64) for part in PARTS}
    mean, deviation = found["train"].mean(0), found["train"].std(0)
    deviation[deviation < 1e-6] = 1.0
    return {part: np.clip((values - mean) / deviation, -_CUT, _CUT) for part, values in found.items()}


def probe(task: Task, describe: Describe, *, steps_per_decade: int = 1) -> dict[str, Any]:
    """Linear probe on all training pictures; see `linear_probe` for the result, plus ``groups`` {name: correct}."""
    features = describe_task(task, describe)
    result = linear_probe(*_pairs(features, task), steps_per_decade=steps_per_decade, max_iter=300)
    groups = np.array(task.groups)
    return result | {"groups": {str(group): result["correct"][groups == group] for group in np.unique(groups)}}


def learning_curve(
    task: Task, describe: Describe, shots: Sequence[int] = (1, 2, 4, 8, 16), draws: int = 3, seed: int = 0
) -> dict[str, Any]:
    """Few-shot curve on frozen features; see `few_shot_curve`. Equal seeds give every encoder the same pictures."""
    features = describe_task(task, describe)
    return few_shot_curve(
        *_pairs(features, task), shots=shots, draws=draws, seed=seed, grid=(1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    )


def _pairs(features: Mapping[str, np.ndarray], task: Task) -> list[np.ndarray]:
    return [array for part in PARTS for array in (features[part], task.labels[part])]

"""The real mini-set: photographs, textures, digits, coins and a stereo pair that ship inside two wheels.

Everything is read from the installed `scikit-image` and `scikit-learn` wheels; nothing is ever downloaded
(several functions of `skimage.data` would, so they are not used). These are the only real images with real
labels that work offline; they are few, so every number on them needs its interval.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from percept.data.opening import open_image

PHOTOGRAPHS = {
    "astronaut": "skimage/data/astronaut.png",
    "cat": "skimage/data/chelsea.png",
    "coffee": "skimage/data/coffee.png",
    "motorcycle": "skimage/data/motorcycle_left.png",
    "rocket": "skimage/data/rocket.jpg",
    "temple": "sklearn/datasets/images/china.jpg",
    "flower": "sklearn/datasets/images/flower.jpg",
}
TEXTURES = ("brick", "grass", "gravel")
TEXTURE_NAMES = {"en": ("a brick wall", "grass", "gravel"), "ja": ("れんがの壁", "芝生", "砂利")}
DIGIT_NAMES = {"en": tuple(f"the digit {n}" for n in range(10)), "ja": tuple(f"数字の{n}" for n in range(10))}
COIN_COUNT = 24  # four rows of six, counted by eye; a test counts them by segmentation
# Texture crops: columns of each 512 px photograph. Digits: positions in the published order.
TEXTURE_REGIONS = {"train": (0, 256), "validate": (256, 384), "test": (384, 512)}
DIGIT_RANGES = {"train": (0, 1097), "validate": (1097, 1397), "test": (1397, 1797)}
ATTRIBUTIONS = {
    "astronaut": "Eileen Collins, NASA; public domain",
    "cat": "Chelsea, photograph by Stefan van der Walt; CC0",
    "coffee": "photograph by Rachel Michetti, courtesy of Pikolo Espresso Bar; CC0",
    "motorcycle": "Middlebury 2014 stereo benchmark, Scharstein et al., GCPR 2014; downscaled",
    "rocket": "Falcon 9 with DSCOVR, SpaceX; public domain",
    "temple": "china.jpg by danielbuechele, Flickr; CC BY 2.0",
    "flower": "flower.jpg by vultilion, Flickr; CC BY 2.0",
    "brick": "CC0Textures Bricks25, rectified by scikit-image; CC0",
    "grass": "Grass 01 by linolafett, DeviantArt; CC0",
    "gravel": "CC0Textures Gravel04; CC0",
    "coins": "Greek coins from Pompeii, Brooklyn Museum; no known copyright restrictions",
    "digits": "Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI 1998; CC BY 4.0",
}


class Stereo(NamedTuple):
    """Rectified stereo pair: `left`, `right` uint8 [500, 741, 3].

    `disparity` in pixels and `depth` in metres are float32 [500, 741], NaN where unknown (7 % of the pixels).
    """

    left: np.ndarray
    right: np.ndarray
    disparity: np.ndarray
    depth: np.ndarray


def _wheel_file(name: str) -> Path:
    package, _, rest = name.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"{name}: package {package!r} is not installed; run 'make install'")
    path = Path(spec.origin).parent / rest
    if not path.is_file():
        raise FileNotFoundError(f"{path}: not in this version of {package}; install the locked version")
    return path


def _pixels(name: str) -> np.ndarray:
    return np.asarray(open_image(_wheel_file(name)))


def photographs() -> dict[str, np.ndarray]:
    """Seven colour photographs of everyday things, uint8 [H, W, 3], 300 to 512 px high.

    >>> sorted(photographs())[:3]
    ['astronaut', 'cat', 'coffee']
    """
    return {name: _pixels(path) for name, path in PHOTOGRAPHS.items()}


def texture_crops(size: int = 64, seed: int = 0, split: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Non-overlapping crops of three texture photographs: the first three-class set of real pixels.

    Each 512 px photograph is cut into columns that belong to one split (`TEXTURE_REGIONS`), so that no pixel
    is shared between splits. All crops of a class still come from one photograph: this measures recognition
    of these three surfaces, not of bricks in general.

    Args:
        size: side of a crop in pixels, at most 128. At 64 px: 96 train, 48 validate, 48 test crops.
        seed: order of the crops.
        split: "train", "validate" or "test".

    Returns:
        uint8 [N, size, size, 3] (gray values repeated) and int64 [N] index into `TEXTURES`.

    Raises:
        ValueError: unknown split, or a size outside 1 to 128.
    """
    low, high = _known(TEXTURE_REGIONS, split)
    if not 1 <= size <= 128:
        raise ValueError(f"size must be 1 to 128 (the narrowest region), got {size}")
    crops = []
    for name in TEXTURES:
        region = _pixels(f"skimage/data/{name}.png")[:, low:high]
        rows, columns = region.shape[0] // size, region.shape[1] // size
        grid = region[: rows * size, : columns * size].reshape(rows, size, columns, size, 3)
        crops.append(grid.swapaxes(1, 2).reshape(-1, size, size, 3))
    labels = np.repeat(np.arange(len(TEXTURES)), [len(part) for part in crops])
    order = np.random.default_rng(seed).permutation(len(labels))
    return np.concatenate(crops)[order], labels[order]


def _known(table: dict[str, tuple[int, int]], split: str) -> tuple[int, int]:
    if split not in table:
        raise ValueError(f"split must be one of {', '.join(table)}, got {split!r}")
    return table[split]


@lru_cache(maxsize=1)
def _digit_table() -> np.ndarray:
    path = _wheel_file("sklearn/datasets/data/digits.csv.gz")
    return np.loadtxt(path, delimiter=",", dtype=np.int64)


def digits(split: str = "train", *, size: int = 64, paper: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Handwritten digits, 1,797 images of 13 writers, upscaled from 8 x 8 to RGB.

    The split is by position (1,097 train, 300 validate, 400 test): neighbours in the published file are
    probably by the same hand, so a random split would leak writers. Writers are not recorded; blocks only
    limit the leak. Values 0..16 are scaled to 0..255 and enlarged bicubically.

    Args:
        split: "train", "validate" or "test".
        size: side of the result in pixels.
        paper: dark ink on white; otherwise the stored white on black.

    Returns:
        uint8 [N, size, size, 3] and int64 [N] digits 0 to 9.

    Raises:
        ValueError: unknown split.
    """
    low, high = _known(DIGIT_RANGES, split)
    rows = _digit_table()[low:high]
    gray = np.rint(rows[:, :64].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    gray = 255 - gray if paper else gray
    large = [np.asarray(Image.fromarray(g).resize((size, size), Image.Resampling.BICUBIC)) for g in gray]
    return np.repeat(np.stack(large)[..., None], 3, axis=-1), rows[:, 64]


def coins() -> tuple[np.ndarray, int]:
    """One photograph of coins on a dark ground, uint8 [303, 384, 3], and how many there are (24)."""
    return _pixels("skimage/data/coins.png"), COIN_COUNT


def stereo() -> Stereo:
    """The motorcycle pair with measured disparity; depth from the calibration that scikit-image documents.

    depth = focal length 994.978 px x baseline 0.193001 m / (disparity + 31.086 px): 2.1 m to 5.0 m.
    """
    with np.load(_wheel_file("skimage/data/motorcycle_disp.npz")) as archive:
        disparity = archive["arr_0"].astype(np.float32)
    disparity[~np.isfinite(disparity)] = np.nan
    depth = (994.978 * 0.193001 / (disparity + 31.086)).astype(np.float32)
    left, right = (_pixels(f"skimage/data/motorcycle_{side}.png") for side in ("left", "right"))
    return Stereo(left, right, disparity, depth)

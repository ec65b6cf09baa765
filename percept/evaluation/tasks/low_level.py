"""What a representation keeps of the pixels: how distorted a picture is, and what it looks like at 16 x 16 px."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from percept.evaluation.scores import TaskScore, score
from percept.evaluation.tasks.ridge import fit_ridge

LEVELS = 5  # 0 = as it was
BLUR = (0.0, 0.5, 0.8, 1.2, 1.8)  # px, deviation of the Gaussian, of pictures of 64 px
NOISE = (0.0, 6.0, 12.0, 22.0, 36.0)  # deviation, of values 0..255
QUALITY = (100, 60, 35, 18, 8)  # of JPEG; level 0 is not compressed
SIDE = 16


def distort(picture: np.ndarray, kind: str, level: int, rng: np.random.Generator) -> np.ndarray:
    """One distorted picture.

    Args:
        picture: uint8 [H, W, 3].
        kind: "blur", "noise" or "jpeg".
        level: 0 (unchanged) to 4.
        rng: of the noise.

    Returns:
        uint8 [H, W, 3].
    """
    if kind not in ("blur", "noise", "jpeg") or not 0 <= level < LEVELS:
        raise ValueError(f"distortions are blur, noise and jpeg at levels 0 to {LEVELS - 1}, got {kind!r} {level}")
    if level == 0:
        return picture
    if kind == "noise":
        noisy = picture + rng.normal(0, NOISE[level], picture.shape)
        return np.asarray(np.clip(np.rint(noisy), 0, 255), np.uint8)
    image = Image.fromarray(picture)
    if kind == "blur":
        return np.asarray(image.filter(ImageFilter.GaussianBlur(BLUR[level] * picture.shape[0] / 64)))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY[level])
    return np.asarray(Image.open(buffer).convert("RGB"))


def distorted(pictures: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Each picture with a kind and a level drawn by the seed: uint8 [N, H, W, 3] and levels int64 [N]."""
    rng = np.random.default_rng([seed, 21])
    kinds, levels = rng.integers(0, 3, len(pictures)), rng.integers(0, LEVELS, len(pictures))
    names = ("blur", "noise", "jpeg")
    changed = [distort(p, names[k], int(level), rng) for p, k, level in zip(pictures, kinds, levels, strict=True)]
    return np.stack(changed), levels


def distortion_scores(x: Any, levels: Any, test: Any, truth: Any) -> list[TaskScore]:
    """Level 0..4 by ridge regression, whatever the kind: RMSE; the blind figure is the mean level's."""
    found = fit_ridge(x, levels).predict(test)[:, 0]
    blind = np.mean((np.mean(levels) - np.asarray(truth)) ** 2) ** 0.5
    note = f"levels 0 to {LEVELS - 1} of blur, noise or JPEG, kind unknown; blind: mean level"
    squares = (found - truth) ** 2
    return [score("distortion level RMSE", "low level", squares, blind, higher=False, summary="root", note=note)]


def thumbnails(pictures: np.ndarray) -> np.ndarray:
    """Pictures averaged to 16 x 16 px, 0..1, as rows: float64 [N, 768]."""
    small = [Image.fromarray(p).resize((SIDE, SIDE), Image.Resampling.BOX) for p in pictures]
    return np.stack([np.asarray(image, np.float64).ravel() / 255 for image in small])


def thumbnail_scores(x: Any, pictures: np.ndarray, test: Any, test_pictures: np.ndarray) -> list[TaskScore]:
    """Thumbnails by ridge regression: RMSE of values 0..1; the blind figure is the mean thumbnail's."""
    targets, truth = thumbnails(pictures), thumbnails(test_pictures)
    squares = ((fit_ridge(x, targets).predict(test) - truth) ** 2).mean(1)
    blind = np.mean((targets.mean(0) - truth) ** 2) ** 0.5
    note = f"{SIDE} x {SIDE} px, values 0 to 1; blind: mean thumbnail"
    return [score("thumbnail RMSE", "low level", squares, blind, higher=False, summary="root", note=note)]

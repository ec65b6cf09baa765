"""What a representation keeps of the pixels: how distorted a picture is, and what it looks like at 16 x 16 px."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from percept.data import stimuli
from percept.evaluation.scores import TaskScore, score
from percept.evaluation.tasks.ridge import fit_ridge

LEVELS = 5  # 0 = as it was
KINDS = ("blur", "noise", "jpeg")
SIDE = 16


def distorted(pictures: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Each picture with a kind and a level drawn by the seed: uint8 [N, H, W, 3] and levels int64 [N]."""
    rng = np.random.default_rng([seed, 21])
    kinds, levels = rng.integers(0, len(KINDS), len(pictures)), rng.integers(0, LEVELS, len(pictures))
    changed = [
        stimuli.distorted(picture, KINDS[kind], level / (LEVELS - 1), rng) if level else picture
        for picture, kind, level in zip(pictures, kinds, levels, strict=True)
    ]
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

"""`percept bench score`: pictures per second of a score model, beside the bare forward pass of its encoder."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image

from percept.benchmarks.pretrain import in_turn, now
from percept.data.views import Views
from percept.device import autocast
from percept.models.encoders import Encoder, load_encoder
from percept.score import ScoreModel, score_model
from percept.training.rate import RateConfig, rate
from percept.training.scorer import view_side


def run(
    *, encoder: str = "percept-tiny", method: str = "lora", images: int = 128, size: int = 128, views: int = 2,
    batch_size: int = 64, rounds: int = 5, device: str = "cpu",
) -> list[dict[str, Any]]:  # fmt: skip
    """Time `ScoreModel.predict` on pictures in memory and on a folder of JPEG files.

    The bare pass encodes the same views, cut and scaled before the clock starts, in the same batches, number format
    and threads, with the encoder as it was before it was tuned: no adapter, no head, no calibration, no distance to
    the training data. The folder is searched, every file checked, opened and cut.

    Args:
        encoder: for `load_encoder`; random weights where a name has none ("ViT-B-32").
        method: of the score model, "head", "lora" or "full".
        images: pictures.
        size: their side in pixels.
        views: along an axis at most.
        batch_size: views per forward pass.
        rounds: repetitions in turn; medians are reported.
        device: where.

    Returns:
        Rows with pictures per second, medians of ratios of neighbouring rounds, and the largest difference between
        scores in batches of 1, 7 and 32.
    """
    shipped = encoder in ("percept-tiny", "efficientnet-lite0") or Path(encoder).is_dir()
    base = load_encoder(encoder, None if shipped else "random", device=device)
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (images, size, size, 3), dtype=np.uint8)
    model = _model(base, pictures, rng.uniform(1, 5, images), method, views)
    cut = Views(pictures, view_side(base), views)
    ready = base.preprocess.scale(torch.from_numpy(cut(np.arange(len(cut)))))
    with tempfile.TemporaryDirectory() as home:
        for row, picture in enumerate(pictures):
            Image.fromarray(picture).save(Path(home) / f"{row:05}.jpg", quality=90)
        sides = {
            "bare": partial(_bare, base, ready, batch_size),
            "array": partial(_predict, model, pictures, batch_size),
            "folder": partial(_predict, model, home, batch_size),
        }
        for side in sides.values():
            side()
        seconds = dict(zip(sides, in_turn(list(sides.values()), rounds), strict=True))
    note = (
        f"{encoder}, {method}, {images} pictures of {size} px, {len(cut)} views, batch {batch_size}, {base.device}, "
        f"{base.precision}, {torch.get_num_threads()} threads, median of {rounds}"
    )
    rows = [
        _row(f"{name}_pictures_per_second", images / median(values), "pictures/s", note)
        for name, values in seconds.items()
    ]
    for name in ("array", "folder"):
        ratio = median(bare / ours for bare, ours in zip(seconds["bare"], seconds[name], strict=True))
        rows.append(_row(f"{name}_to_bare_ratio", ratio, "", "1 is as fast as the forward pass alone"))
    tables = [model.predict(pictures[:64], batch_size=many)["score"].to_numpy() for many in (1, 7, 32)]
    apart = max(float(np.abs(tables[0] - other).max()) for other in tables[1:])
    return [*rows, _row("largest_difference_between_batch_sizes", apart, "points", "1, 7 and 32; scale 1 to 5")]


def _model(base: Encoder, pictures: np.ndarray, labels: np.ndarray, method: str, views: int) -> ScoreModel:
    config = RateConfig(method, epochs=1, patience=0, most_views=views)
    place = str(base.device)
    rated = rate(base, pictures[:16], labels[:16], config=config, device=place, progress=None)
    return score_model(rated, pictures[:16], (pictures[16:48], labels[16:48]), low=1, high=5)


def _bare(base: Encoder, ready: torch.Tensor, batch_size: int) -> float:
    started, forward = now(base.device), getattr(base.model, "encode_image", base.model)
    with torch.inference_mode(), autocast(base.device, base.precision):
        for batch in ready.split(batch_size):
            forward(batch.to(base.device))
    return now(base.device) - started


def _predict(model: ScoreModel, source: Any, batch_size: int) -> float:
    place = model.rated.encoder.device
    started = now(place)
    model.predict(source, batch_size)
    return now(place) - started


def _row(name: str, value: float, unit: str, note: str) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "note": note}

"""Speed of `Encoder.encode_images` beside the bare forward pass and a plain open_clip loop.

All sides read the same decoded pictures from memory, in the same batches, with the same threads and number
format, and no cache. Rounds are interleaved, so that a busy moment of the machine meets every side.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from percept.models.encoders import Encoder, load_encoder


def run(
    images: int = 256,
    batch_size: int = 64,
    repeats: int = 7,
    encoder: str = "percept-tiny",
    pretrained: str | None = None,
    device: str = "auto",
    photo_size: int = 256,
) -> list[dict[str, Any]]:
    """Measure embedding throughput.

    Args:
        images: Pictures per round.
        batch_size: Pictures per forward pass, on every side.
        repeats: Interleaved rounds; medians are reported.
        encoder: Name for `load_encoder`.
        pretrained: As in `load_encoder`.
        device: As in `load_encoder`.
        photo_size: Side in pixels of the JPEG files whose decoding and resizing is timed apart.

    Returns:
        Rows with name, value, unit and note. A ratio is the median over rounds of (time of the other side) /
        (our time): above 1 we are faster.
    """
    tested = load_encoder(encoder, pretrained, device=device)
    height, width = tested.preprocess.size
    pixels = np.random.default_rng(0).integers(0, 256, (images, height, width, 3), dtype=np.uint8)
    pictures = [Image.fromarray(picture) for picture in pixels]
    ready = torch.stack([tested.preprocess(picture) for picture in pictures])
    sides: dict[str, Callable[[], Any]] = {
        "bare": lambda: _bare(tested, ready, batch_size),
        "array": lambda: tested.encode_images(pixels, batch_size),
        "pil": lambda: tested.encode_images(pictures, batch_size),
        "plain": lambda: _plain_loop(tested, pictures, batch_size),
    }
    seconds = _interleaved(sides, repeats)
    note = f"{encoder}, {tested.device}, {tested.precision}, batch {batch_size}, {torch.get_num_threads()} threads"
    rows = [
        _ratio("encode_images(array) / bare forward", seconds["bare"], seconds["array"], note),
        _ratio("encode_images(PIL) / bare forward", seconds["bare"], seconds["pil"], note),
        _ratio("encode_images(PIL) / plain open_clip loop", seconds["plain"], seconds["pil"], note),
        _ratio("encode_images(array) / plain open_clip loop", seconds["plain"], seconds["array"], note),
    ]
    for name, label in [("array", "encode_images(array)"), ("pil", "encode_images(PIL)"), ("bare", "bare forward")]:
        rows.append(_row(label, images / statistics.median(seconds[name]), "images/s", note))
    return rows + _decoding(tested, photo_size)


def _bare(tested: Encoder, ready: torch.Tensor, batch_size: int) -> None:
    from percept.device import autocast

    forward: Any = getattr(tested.model, "encode_image", tested.model)
    with torch.inference_mode(), autocast(tested.device, tested.precision):
        for batch in ready.split(batch_size):
            forward(batch.to(tested.device))
    _settle(tested)


def _plain_loop(tested: Encoder, pictures: list[Image.Image], batch_size: int) -> torch.Tensor:
    """What open_clip's README shows: preprocess picture by picture, stack, encode, normalise."""
    from percept.device import autocast

    transform, forward = _own_transform(tested), getattr(tested.model, "encode_image", tested.model)
    rows = []
    with torch.inference_mode(), autocast(tested.device, tested.precision):
        for start in range(0, len(pictures), batch_size):
            batch = torch.stack([transform(picture) for picture in pictures[start : start + batch_size]])
            features: Any = forward(batch.to(tested.device))  # type: ignore[operator]
            rows.append(F.normalize(features, dim=-1).float().cpu())
    return torch.cat(rows)


def _own_transform(tested: Encoder) -> Callable[[Image.Image], torch.Tensor]:
    """Return the pipeline of open_clip or timm itself, not ours."""
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from timm.data import create_transform, resolve_model_data_config

    visual = getattr(tested.model, "visual", None)
    if visual is None:
        transform: Any = create_transform(**resolve_model_data_config(tested.model), is_training=False)
    else:
        transform = image_transform_v2(PreprocessCfg(**visual.preprocess_cfg), is_train=False)
    return transform  # type: ignore[no-any-return]


def _interleaved(sides: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    for work in sides.values():
        work()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(repeats):
        # Each round starts with another side, so that none always follows the same neighbour.
        for name in names[number % len(names) :] + names[: number % len(names)]:
            start = time.perf_counter()
            sides[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def _decoding(tested: Encoder, side: int) -> list[dict[str, Any]]:
    """Time what the ratios leave out: reading a JPEG file, and shrinking it to the model's size."""
    from percept.data.opening import open_image

    count = 64
    noise = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)
    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "picture.jpg"
        picture.save(file, quality=90)
        open_image(file)
        start = time.perf_counter()
        opened = [open_image(file) for _ in range(count)]
        decoding = (time.perf_counter() - start) / count
    start = time.perf_counter()
    tested.preprocess.pixels(opened)
    resizing = (time.perf_counter() - start) / count
    note = f"JPEG of {side} x {side}, one thread, not part of the ratios"
    return [
        _row("decode one file", decoding * 1000, "ms", note),
        _row("resize and crop one picture", resizing * 1000, "ms", note),
    ]


def _settle(tested: Encoder) -> None:
    if tested.device.type == "cuda":
        torch.cuda.synchronize()


def _ratio(name: str, other: list[float], ours: list[float], note: str) -> dict[str, Any]:
    ratios = [theirs / mine for theirs, mine in zip(other, ours, strict=True)]
    spread = f"rounds {min(ratios):.2f} to {max(ratios):.2f}"
    return _row(name, statistics.median(ratios), "ratio", f"{note}; {spread}")


def _row(name: str, value: float, unit: str, note: str) -> dict[str, Any]:
    return {"name": name, "value": float(value), "unit": unit, "note": note}

"""`percept bench pretrain`: training images per second of `pretrain`, beside a bare torch loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any, TypeVar

import numpy as np
import torch

from percept.data.pairs import ArrayPairs
from percept.device import pick_device
from percept.losses.contrastive import clip_loss
from percept.training.pretrain import PretrainConfig, pretrain
from percept.training.tiny import MODEL, new_model

T = TypeVar("T")


def run(
    *, batch_size: int = 64, steps: int = 4, rounds: int = 5, precision: str = "fp32", device: str = "cpu"
) -> list[dict[str, Any]]:
    """Time both loops in turn: same model (of percept-tiny's size), batch, precision and threads.

    Images are in memory and token ids are ready on both sides. The bare loop converts pixels, runs forward,
    loss, backward and AdamW, and nothing else; `pretrain` also crops, clips the gradient, checks that numbers
    are finite, logs and asks its generators for chance.

    Args:
        batch_size: pairs per step.
        steps: steps per round; the first of each round is not timed.
        rounds: repetitions of the pair; the median is reported.
        precision: "fp32" or "bf16".
        device: where to train.

    Returns:
        Rows with images per second of both, and the median of the ratios of neighbouring rounds.
    """
    place = pick_device(device).device
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4 * batch_size, 64, 64, 3), dtype=np.uint8)
    text = MODEL["text_cfg"]
    tokens = torch.from_numpy(rng.integers(3, text["vocab_size"], (4 * batch_size, text["context_length"])))
    tokens[:, -1] = text["eos_id"]
    pairs = ArrayPairs(images, [[str(row)] for row in range(len(images))])

    def ours() -> float:
        config = PretrainConfig(steps=steps, batch_size=batch_size, precision=precision, log_every=1)
        look_up = _LookUp(tokens)
        result = pretrain(new_model(), look_up, pairs, config, device=device, progress=None)
        times = [row["seconds"] for row in result.history]
        return batch_size * (steps - 1) / (times[-1] - times[0])

    def bare() -> float:
        return batch_size / _bare_step(images, tokens, batch_size, steps, precision, place)

    speeds = in_turn([ours, bare], rounds)
    ratio = median(first / second for first, second in zip(*speeds, strict=True))
    note = f"batch {batch_size}, {precision}, {place}, {torch.get_num_threads()} threads, median of {rounds}"
    return [
        {"name": "pretrain_images_per_second", "value": median(speeds[0]), "unit": "images/s", "note": note},
        {"name": "bare_loop_images_per_second", "value": median(speeds[1]), "unit": "images/s", "note": note},
        {"name": "pretrain_to_bare_ratio", "value": ratio, "unit": "", "note": "above 1 is faster than bare"},
    ]


class _LookUp:
    """A tokenizer whose work is done before: caption "17" has the ids of row 17."""

    def __init__(self, tokens: torch.Tensor) -> None:
        self.tokens = tokens

    def __call__(self, captions: list[str]) -> torch.Tensor:
        return self.tokens[[int(caption) for caption in captions]]


def _bare_step(
    images: np.ndarray, tokens: torch.Tensor, size: int, steps: int, precision: str, place: torch.device
) -> float:
    """Seconds per step of the plain loop."""
    model = new_model().to(place).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(place)
    ids = tokens.to(place)
    started = 0.0
    for step in range(steps):
        if step == 1:
            started = now(place)
        rows = torch.arange(step * size, (step + 1) * size) % len(images)
        batch = (pixels[rows].float() / 255.0 - 0.45) / 0.27
        with torch.autocast(place.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
            image, text, scale = model(batch, ids[rows])
        loss = clip_loss(image, text, scale)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return (now(place) - started) / (steps - 1)


def in_turn(functions: list[Callable[[], T]], rounds: int) -> list[list[T]]:
    """Call the functions one after the other, round by round, so that a slow minute hits all of them."""
    results: list[list[T]] = [[] for _ in functions]
    for _ in range(rounds):
        for function, values in zip(functions, results, strict=True):
            values.append(function())
    return results


def now(place: torch.device) -> float:
    """Seconds, after what was queued on the device is done."""
    if place.type == "cuda":
        torch.cuda.synchronize(place)
    return time.perf_counter()

"""`percept bench align`: triplets per second of `align`, beside a plain loop with four forward passes a triplet."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import psutil
import torch
import torch.nn.functional as F

from percept.benchmarks.pretrain import in_turn, now
from percept.data.triplets import Triplets
from percept.device import autocast, pick_device
from percept.losses.triplets import triplet_hinge_loss
from percept.models.adapters import add_lora
from percept.models.encoders import Encoder, load_encoder
from percept.models.towers import tower_features
from percept.training.align import AlignConfig, align
from percept.training.student import Student

_EPOCHS = 8  # over which the one-off part is spread: those of the published recipe


class _Speed(NamedTuple):
    """Triplets per second without the one-off part, and seconds of that part."""

    steps: float
    once: float


def run(
    *, encoder: str = "percept-tiny", last_blocks: int = 2, triplets: int = 192, batch_size: int = 32, rounds: int = 3,
    kind: str = "embedding", precision: str = "fp32", device: str = "cpu", memory: bool = True,
) -> list[dict[str, Any]]:  # fmt: skip
    """Time one epoch of three loops in turn: same encoder, adapter, batch, optimiser, precision and threads.

    All have their pictures in memory as uint8, three for each triplet, none shared. The plain loop scales
    pixels, encodes reference, left, reference and right, and runs hinge, backward and Adam, nothing else.
    `align` runs once with the frozen blocks' states kept and once without; it also checks that numbers are
    finite, logs and asks its generators for chance. What it computes once is left out of "steps"; the
    amortised ratio spreads it over 8 epochs.

    Args:
        encoder: for `load_encoder`; random weights where a name has none ("ViT-B-32").
        last_blocks: with an adapter.
        triplets: in memory.
        batch_size: triplets per step.
        rounds: repetitions; medians are reported.
        kind: of features compared.
        precision: "fp32", "bf16" or "fp16".
        device: where to train.
        memory: measure peak memory too, each loop in a fresh process: on a GPU what torch allocated, on
            Linux the resident set's high-water mark above what was resident before the loop.

    Returns:
        Rows with triplets per second of the three, medians of ratios of neighbouring rounds, and peaks.
    """
    settings = {"last_blocks": last_blocks, "batch_size": batch_size, "kind": kind, "precision": precision}
    base, judged = _load(encoder, device), _judgments(_load(encoder, "cpu").preprocess.size, triplets)
    speeds = in_turn([partial(side, base, judged, settings, device) for side in _SIDES.values()], rounds)
    by_name = dict(zip(_SIDES, speeds, strict=True))
    note = (
        f"{encoder}, last {last_blocks} blocks, batch {batch_size}, {precision}, {device}, "
        f"{torch.get_num_threads()} threads, median of {rounds}"
    )
    rows = [
        _row(f"{name}_triplets_per_second", median(each.steps for each in values), "triplets/s", note)
        for name, values in by_name.items()
    ]
    for name in ("cached", "uncached"):
        pairs = list(zip(by_name[name], by_name["plain"], strict=True))
        once = [1 / each.steps + each.once / (triplets * _EPOCHS) for each, _ in pairs]
        whole = [1 / (seconds * plain.steps) for seconds, (_, plain) in zip(once, pairs, strict=True)]
        without = [each.steps / plain.steps for each, plain in pairs]
        rows.append(_row(f"{name}_to_plain_ratio", median(without), "", "steps only; above 1 is faster than plain"))
        rows.append(_row(f"{name}_to_plain_ratio_amortised", median(whole), "", f"one-off part over {_EPOCHS} epochs"))
    rows.append(_row("once_seconds", median(each.once for each in by_name["cached"]), "s", f"{triplets} triplets"))
    return rows + (_memory_rows(encoder, triplets, settings, device) if memory else [])


def _aligned(encoder: Encoder, judged: Triplets, settings: dict[str, Any], device: str, *, keep: bool) -> _Speed:
    config = AlignConfig(**settings, epochs=1, cache_gib=64.0 if keep else 0.0)
    result = align(encoder, judged, None, config, device=device, progress=None)
    assert result.kept == ("states" if keep else "nothing")
    return _Speed(result.triplets_per_second, result.prefix_seconds)


def _plain(encoder: Encoder, judged: Triplets, settings: dict[str, Any], device: str) -> _Speed:
    place, size = pick_device(device).device, settings["batch_size"]
    adapted = add_lora(encoder, last_blocks=settings["last_blocks"])
    model = Student(adapted, settings["kind"], None, train_all=False).to(place).train()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-4, betas=(0.5, 0.999))
    order = np.random.default_rng(0).permutation(len(judged))
    started = now(place)
    for first in range(0, len(judged), size):
        rows = order[first : first + size]
        votes = torch.from_numpy(judged.vote_right[rows]).float().to(place)
        with autocast(place, settings["precision"]):
            features = [_forward(adapted, judged, rows, column, settings["kind"]) for column in (0, 1, 0, 2)]
            left, right = (1 - F.cosine_similarity(features[i], features[i + 1]) for i in (0, 2))
            loss = triplet_hinge_loss(left, right, votes)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return _Speed(len(judged) / (now(place) - started), 0.0)


def _forward(adapted: Encoder, judged: Triplets, rows: np.ndarray, column: int, kind: str) -> torch.Tensor:
    pixels = torch.from_numpy(judged.images[judged.items[rows, column]]).to(adapted.device)  # type: ignore[index]
    scaled = adapted.preprocess.scale(pixels)
    if kind == "embedding" and adapted.tokenizer is not None:
        whole: torch.Tensor = adapted.visual(scaled)
        return whole
    return tower_features(adapted.visual, scaled, "global" if kind == "embedding" else kind)


_SIDES: dict[str, Callable[..., _Speed]] = {
    "cached": partial(_aligned, keep=True),
    "uncached": partial(_aligned, keep=False),
    "plain": _plain,
}


def _memory_rows(encoder: str, triplets: int, settings: dict[str, Any], device: str) -> list[dict[str, Any]]:
    rows = []
    for name in _SIDES:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peak = pool.apply(_peak, (name, encoder, triplets, settings, device))
        if peak is not None:
            rows.append(_row(f"{name}_peak_memory", peak / 2**20, "MiB", "above what was held before the loop"))
    return rows


def _peak(side: str, encoder: str, triplets: int, settings: dict[str, Any], device: str) -> float | None:
    """Bytes above what is held before the loop; None where the system does not say."""
    base = _load(encoder, device)
    judged = _judgments(base.preprocess.size, triplets)
    place, mark = pick_device(device).device, Path("/proc/self/clear_refs")
    if place.type == "cuda":
        held = torch.cuda.memory_allocated(place)
        torch.cuda.reset_peak_memory_stats(place)
        _SIDES[side](base, judged, settings, device)
        return float(torch.cuda.max_memory_allocated(place) - held)
    if not mark.exists():
        return None
    mark.write_text("5")  # the high-water mark starts anew
    held = psutil.Process().memory_info().rss
    _SIDES[side](base, judged, settings, device)
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return float(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 - held


def _load(name: str, device: str) -> Encoder:
    shipped = name in ("percept-tiny", "efficientnet-lite0") or Path(name).is_dir()
    return load_encoder(name, None if shipped else "random", device=device, precision="fp32")


def _judgments(size: tuple[int, int], count: int) -> Triplets:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3 * count, *size, 3), dtype=np.uint8)
    return Triplets(images, np.arange(3 * count).reshape(-1, 3), rng.integers(0, 2, count).astype(float))


def _row(name: str, value: float, unit: str, note: str) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "note": note}

"""Checkpoints that are whole or absent: a folder is written under a temporary name, then renamed.

`step-00000120/` holds the state after 120 updates: `model.safetensors`, `optimizer.pt` (read with
`weights_only=True`, so it can hold tensors and plain values only) and `state.json`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from percept import storage

_PREFIX = "step-"
_PARTIAL = ".partial-"


class CheckpointError(ValueError):
    """A checkpoint cannot be used for this run."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint folder holds, loaded to the CPU."""

    folder: Path
    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    state: dict[str, Any]


def save(
    folder: Path, step: int, model: Mapping[str, Tensor], optimizer: Mapping[str, Any],
    state: Mapping[str, Any], *, keep: int = 2,
) -> Path:  # fmt: skip
    """Write the checkpoint of `step` and remove all but the last `keep`.

    Args:
        folder: holds the checkpoint folders; made if missing.
        step: updates done.
        model: name -> tensor; tensors that share memory are stored apart.
        optimizer: nested dicts and lists of tensors and plain values.
        state: JSON-ready facts that a resuming run must check or restore.
        keep: checkpoints left in place, at least 1.

    Returns:
        The folder of the new checkpoint. A kill at any moment leaves the earlier ones as they were.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final, partial = folder / f"{_PREFIX}{step:08d}", folder / f"{_PARTIAL}{step:08d}"
    if final.exists():  # the same run at the same step: the same content
        return final
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    # safetensors refuses tensors that share memory (tied weights), hence a copy of each.
    copies = {name: value.detach().to("cpu", copy=True).contiguous() for name, value in model.items()}
    save_file(copies, partial / "model.safetensors")
    torch.save(dict(optimizer), partial / "optimizer.pt")
    storage.write_json(partial / "state.json", {"step": step, **state})
    for path in [*partial.iterdir(), partial]:
        _sync(path)
    os.replace(partial, final)
    _sync(folder)
    _prune(folder, keep)
    return final


def steps(folder: Path) -> list[int]:
    """Steps of the complete checkpoints in `folder`, ascending."""
    if not folder.is_dir():
        return []
    names = [path.name.removeprefix(_PREFIX) for path in folder.glob(f"{_PREFIX}*")]
    return sorted(int(name) for name in names if name.isdigit())


def latest(folder: Path) -> Checkpoint | None:
    """Load the newest complete checkpoint of `folder`, or None when there is none.

    Raises:
        CheckpointError: The newest one cannot be read; the message names the file and what to do.
    """
    found = steps(folder)
    return load(folder / f"{_PREFIX}{found[-1]:08d}") if found else None


def load(folder: Path) -> Checkpoint:
    """Load one checkpoint folder; see `latest`."""
    state = _read(folder, "state.json", lambda path: json.loads(path.read_text(encoding="utf-8")))
    model = _read(folder, "model.safetensors", load_file)
    optimizer = _read(folder, "optimizer.pt", lambda path: torch.load(path, map_location="cpu", weights_only=True))
    return Checkpoint(folder, model, optimizer, state)


def trainable_state(model: nn.Module) -> dict[str, Tensor]:
    """The trainable (`requires_grad`) parameters and all buffers of `model`, e.g. adapters alone.

    Returns:
        name -> tensor, sharing memory with the model.
    """
    frozen = {name for name, value in model.named_parameters() if not value.requires_grad}
    return {name: value for name, value in model.state_dict().items() if name not in frozen}


def _read(folder: Path, name: str, reader: Callable[[Path], Any]) -> Any:
    path = folder / name
    try:
        return reader(path)
    # The three readers raise a dozen unrelated types for a damaged file; all mean the same to the user.
    except Exception as error:
        raise CheckpointError(
            f"{path} cannot be read ({type(error).__name__}: {error}); remove {folder} to resume from the "
            "checkpoint before it"
        ) from error


def _prune(folder: Path, keep: int) -> None:
    for step in steps(folder)[: -max(1, keep)]:
        # Renamed first: a kill while files are being removed must not leave half a checkpoint under a good
        # name.
        doomed = folder / f"{_PARTIAL}{step:08d}"
        shutil.rmtree(doomed, ignore_errors=True)
        os.replace(folder / f"{_PREFIX}{step:08d}", doomed)
    for partial in folder.glob(f"{_PARTIAL}*"):
        shutil.rmtree(partial, ignore_errors=True)


def _sync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":  # Windows cannot open a folder, and needs no sync of one
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

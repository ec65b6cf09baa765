"""Read weights files without running code from them, and fingerprint what was read."""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

OPENAI_KEYS = ("input_resolution", "context_length", "vocab_size")


class WeightsError(ValueError):
    """A weights file cannot be used, with the reason and the way out."""


def read_weights(path: str | Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a ``.safetensors`` file or of a plain torch checkpoint.

    Args:
        path: The file. A checkpoint may hold the tensors under ``state_dict`` or ``model``; the prefix
            ``module.`` of data-parallel training is removed.

    Returns:
        Tensors by name, on the CPU.

    Raises:
        WeightsError: If the file is missing or damaged, or could be read only by running code from it.
    """
    file = Path(path)
    if not file.is_file():
        raise WeightsError(f"weights file {file} does not exist")
    content: Any = _read_safetensors(file) if file.suffix == ".safetensors" else _read_checkpoint(file)
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content:
        raise WeightsError(f"{file} holds no named tensors")
    if all(name.startswith("module.") for name in content):
        content = {name.removeprefix("module."): value for name, value in content.items()}
    # OpenAI's archives store three whole numbers beside the weights.
    tensors = {name: torch.as_tensor(v) for name, v in content.items() if isinstance(v, torch.Tensor | int)}
    if len(tensors) != len(content):
        other = sorted(set(content) - set(tensors))
        raise WeightsError(f"{file} holds entries that are no tensors: {', '.join(other[:5])}")
    return tensors


def _read_safetensors(file: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except SafetensorError as error:
        raise WeightsError(f"{file} is not a complete safetensors file: {error}") from error


def _read_checkpoint(file: Path) -> Any:
    if is_torchscript(file):
        raise WeightsError(
            f"{file} is a TorchScript archive, which holds code. If you trust it, convert it once: "
            "import torch; from safetensors.torch import save_file; "
            f"m = torch.jit.load({str(file)!r}, 'cpu'); "
            "save_file({k: v.contiguous() for k, v in m.state_dict().items()}, 'weights.safetensors')"
        )
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{file} is damaged or could be read only by running code from it, and is refused. "
            "Ask its maker for a .safetensors file, or for a plain state dict."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise WeightsError(f"{file} is not a readable torch checkpoint: {error}") from error


def is_torchscript(path: str | Path) -> bool:
    """Say whether a file is a TorchScript archive (the form in which OpenAI published CLIP)."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in f"/{name}" for name in archive.namelist())


def is_openai(state: Mapping[str, torch.Tensor]) -> bool:
    """Say whether these are OpenAI's CLIP weights, which were trained with QuickGELU."""
    return all(key in state for key in OPENAI_KEYS)


def hash_tensors(state: Mapping[str, torch.Tensor]) -> str:
    """Return the SHA-256 (hex) over name, type, shape and bytes of all tensors, sorted by name.

    >>> import torch
    >>> one = hash_tensors({"a": torch.zeros(2, 3)})
    >>> one == hash_tensors({"a": torch.zeros(3, 2)}), one == hash_tensors({"a": torch.zeros(2, 3)})
    (False, True)
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{list(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def make_fingerprint(parts: Mapping[str, Any], state: Mapping[str, torch.Tensor]) -> str:
    """Return the fingerprint of an encoder: 64 hex digits.

    Args:
        parts: Architecture, activation, preprocessing and tokenizer as plain JSON values.
        state: The weights.

    Returns:
        SHA-256 over both; equal exactly if everything is equal.
    """
    text = json.dumps(dict(parts), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(f"{text}|{hash_tensors(state)}".encode()).hexdigest()

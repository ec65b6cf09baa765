"""Choose device, number format and seeds, and say why."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import numpy as np
import torch

PRECISIONS = ("fp32", "bf16", "fp16")


class DeviceError(RuntimeError):
    """The device or number format that was asked for does not exist here."""


class Choice(NamedTuple):
    """A device and the reason for which it was chosen."""

    device: torch.device
    reason: str


class PrecisionChoice(NamedTuple):
    """A number format (``fp32``, ``bf16`` or ``fp16``) and the reason for which it was chosen."""

    precision: str
    reason: str


def pick_device(name: str | torch.device = "auto") -> Choice:
    """Return the device to compute on.

    Args:
        name: ``"auto"`` for the first of CUDA, MPS, CPU that is there, or a torch device name such as
            ``"cpu"`` or ``"cuda:1"``. A named device is never silently replaced by another.

    Returns:
        The device and the reason in words.

    Raises:
        DeviceError: If the named device is unknown or absent.

    >>> pick_device("cpu")
    Choice(device=device(type='cpu'), reason='cpu was asked for')
    """
    if str(name) == "auto":
        if torch.cuda.is_available():
            return Choice(torch.device("cuda"), f"CUDA is available ({torch.cuda.get_device_name()})")
        if torch.backends.mps.is_available():
            return Choice(torch.device("mps"), "no CUDA, Apple's MPS is available")
        return Choice(torch.device("cpu"), "neither CUDA nor MPS is available")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"unknown device {name!r}; use 'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'") from error
    _check_present(device)
    return Choice(device, f"{device} was asked for")


def _check_present(device: torch.device) -> None:
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise DeviceError(f"device '{device}' was asked for, but {count} CUDA devices are here; use 'auto'")
    elif device.type == "mps":
        if not torch.backends.mps.is_available():
            raise DeviceError("device 'mps' was asked for, but MPS is not available here; use 'auto'")
    elif device.type != "cpu":
        raise DeviceError(f"device '{device}' is not supported; use 'auto', 'cpu', 'cuda' or 'mps'")


def pick_precision(device: torch.device | str, name: str = "auto") -> PrecisionChoice:
    """Return the number format for matrix products; weights stay float32 in every case.

    Args:
        device: Where the work runs.
        name: ``"auto"``, ``"fp32"``, ``"bf16"`` or ``"fp16"``.

    Returns:
        The format and the reason in words. ``"auto"`` means bf16 on CUDA hardware that has it, fp16 on
        older CUDA hardware, otherwise fp32.

    Raises:
        DeviceError: If the format is unknown or the device lacks it.

    >>> pick_precision("cpu").precision
    'fp32'
    """
    device = torch.device(device)
    bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if name == "auto":
        if device.type != "cuda":
            return PrecisionChoice("fp32", f"{device.type}: half precision is not faster or not safe here")
        if bf16:
            return PrecisionChoice("bf16", "this GPU has bf16, which keeps the range of fp32")
        return PrecisionChoice("fp16", "this GPU has no bf16; gradients need a scaler")
    if name not in PRECISIONS:
        raise DeviceError(f"unknown precision {name!r}; use 'auto' or one of {', '.join(PRECISIONS)}")
    if name == "fp16" and device.type == "cpu":
        raise DeviceError("fp16 is not supported on the CPU; use 'fp32' or 'bf16'")
    if name == "bf16" and device.type == "cuda" and not bf16:
        raise DeviceError("bf16 was asked for, but this GPU does not have it; use 'fp16' or 'auto'")
    return PrecisionChoice(name, f"{name} was asked for")


def autocast(device: torch.device, precision: str) -> Any:
    """Return the context in which ``precision`` holds on ``device``; for fp32 it changes nothing."""
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, dtype=dtype, enabled=precision != "fp32")


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (all devices).

    Args:
        seed: A whole number in 0..2**32-1, the range that NumPy accepts.

    Raises:
        ValueError: If the seed is outside the range.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be in 0..2**32-1, got {seed}")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)

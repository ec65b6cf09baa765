"""Child processes of the runner: how much memory they take, and how to end the kernels among them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil


def _children() -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return psutil.Process().children(recursive=True)
    return []


def children_mb() -> float:
    """Memory of all child processes in MB; on Linux each counts with its own high-water mark."""
    total = 0
    for process in _children():
        with contextlib.suppress(psutil.Error, OSError, ValueError):
            total += _high_water(process.pid) or process.memory_info().rss
    return total / 1e6


def _high_water(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0
    lines = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) * 1024 if lines else 0


def end_kernels() -> None:
    """Kill the Jupyter kernels that this process has started."""
    for process in _children():
        with contextlib.suppress(psutil.Error):
            if any("ipykernel" in part for part in process.cmdline()):
                process.kill()

"""Files that are whole or absent, plain JSON, and the record of the environment a number came from."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = (
    "numpy", "torch", "torchvision", "open_clip_torch", "timm", "peft", "accelerate", "transformers",
    "tokenizers", "safetensors", "scikit-learn", "scipy", "pandas", "umap-learn", "papermill", "pillow",
    "resvg-py",
)  # fmt: skip


def write_atomic(path: Path, content: str | bytes) -> Path:
    """Write `content` so that readers and kills meet the old file or the new one, never a part.

    Args:
        path: Target; missing parent folders are made.
        content: Text (stored as UTF-8) or bytes.

    Returns:
        `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode("utf-8") if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes the file private to its owner; a run folder is meant to be shared.
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def write_json(path: Path, content: Any) -> Path:
    """Write JSON atomically; dataclasses, paths, numpy and torch are understood, NaN is an error."""
    text = json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    return write_atomic(path, text + "\n")


class BusyError(RuntimeError):
    """Another process is at work on the same thing."""


@contextlib.contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[None]:
    """Hold an exclusive lock on the file `path`; the system lets go of it when the holder is killed.

    Windows has no `fcntl`: there nothing is locked.

    Args:
        path: made if absent.
        wait: until it is free, instead of raising.

    Raises:
        BusyError: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        with contextlib.suppress(ImportError):
            import fcntl

            try:
                fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError as error:
                raise BusyError(f"another process holds {path.name}") from error
        yield


def environment() -> dict[str, Any]:
    """Record what explains a number later: versions, platform, git state, date. No names, no paths."""
    versions: dict[str, str | None] = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "git": {"commit": _git("rev-parse", "HEAD"), "dirty": None if changes is None else bool(changes)},
        "versions": versions,
    }


def plain(value: Any) -> Any:
    """Turn a value into what JSON can hold.

    Args:
        value: Nested mappings, lists, tuples, sets, dataclasses, paths, numpy arrays, tensors, scalars.

    Returns:
        Dicts, lists, strings and numbers; a path inside the repository becomes relative to it.

    Raises:
        TypeError: nothing plain stands for the value.

    Example:
        >>> plain({"shape": (2, 3), 1: None})
        {'shape': [2, 3], '1': None}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | range):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return value.relative_to(ROOT).as_posix() if value.is_relative_to(ROOT) else value.as_posix()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if hasattr(value, "tolist"):  # numpy and torch, scalars and arrays alike
        return value.tolist()
    raise TypeError(f"cannot store {type(value).__name__} {value!r} as JSON; use numbers, strings, lists, dicts")


def _git(*arguments: str) -> str | None:
    try:
        command = ["git", "-C", str(ROOT), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None

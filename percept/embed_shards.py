"""Shard files of embeddings: written whole or not at all, read back in order."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from percept.data.opening import ImageError, open_image
from percept.data.scanning import inside
from percept.models.encoders import Encoder
from percept.storage import write_atomic

MANIFEST, PROBLEMS = "manifest.json", "problems.csv"


class EmbedError(RuntimeError):
    """The output folder does not fit what was asked for, or is not complete."""


class Embeddings(NamedTuple):
    """Rows read back: ``paths`` (inside the folder), float32 ``rows`` [N, ...], the encoder's fingerprint."""

    paths: list[str]
    rows: np.ndarray
    fingerprint: str


def load_embeddings(output: str | Path) -> Embeddings:
    """Read what `embed_folder` wrote, in the order of the sorted paths.

    Raises:
        EmbedError: If it is no such folder, or shards are missing; the message says how many.
    """
    file = Path(output) / MANIFEST
    if not file.is_file():
        raise EmbedError(f"{output} holds no embeddings: {MANIFEST} is missing")
    manifest = json.loads(file.read_text(encoding="utf-8"))
    keys = manifest["shards"]
    missing = [index for index, key in enumerate(keys) if not is_done(shard_path(output, index), key)]
    if missing:
        raise EmbedError(f"{len(missing)} of {len(keys)} shards in {output} are missing; run `percept embed` again")
    paths: list[str] = []
    rows = []
    for index in range(len(keys)):
        with np.load(shard_path(output, index)) as shard:
            paths.extend(shard["path"].tolist())
            rows.append(shard["embedding"])
    parts = [part for part in rows if len(part)]
    return Embeddings(paths, np.concatenate(parts) if parts else np.empty((0, 0), np.float32), manifest["fingerprint"])


def shard_path(output: str | Path, index: int) -> Path:
    """Return the path of one shard file."""
    return Path(output) / f"shard-{index:05d}.npz"


def is_done(path: Path, key: str) -> bool:
    """Say whether a shard file is there, whole, and made from what ``key`` stands for."""
    try:
        with np.load(path) as shard:
            return bool(shard["key"] == key)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return False


def write_shard(
    path: Path,
    key: str,
    encoder: Encoder,
    kind: str,
    folder: Path,
    files: Sequence[Path],
    batch_size: int,
    strict: bool,
) -> None:
    """Embed ``files`` of ``folder`` into one shard file; unreadable ones are listed in it, or raised."""
    names: list[str] = []
    rows: list[torch.Tensor] = []
    problems: list[tuple[str, str]] = []
    for batch in _opened(files, batch_size):
        good = [(path, image) for path, image in batch if not isinstance(image, ImageError)]
        for file, problem in batch:
            if isinstance(problem, ImageError):
                if strict:
                    raise problem
                problems.append((inside(file, folder), problem.reason))
        if good:
            images = [image for _, image in good]
            rows.append(
                encoder.encode_images(images, batch_size)
                if kind == "embedding"
                else encoder.features(images, kind, batch_size)
            )
            names.extend(inside(file, folder) for file, _ in good)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        key=np.array(key),
        path=np.array(names, dtype=np.str_),
        embedding=torch.cat(rows).numpy() if rows else np.empty((0, encoder.dim), np.float32),
        problem_path=np.array([name for name, _ in problems], dtype=np.str_),
        problem_reason=np.array([reason for _, reason in problems], dtype=np.str_),
    )
    write_atomic(path, buffer.getvalue())


def _opened(files: Sequence[Path], batch_size: int) -> Iterator[list[tuple[Path, Any]]]:
    """Yield batches of (path, image or ImageError), decoding the next batch while one is in use."""

    def read(path: Path) -> tuple[Path, Any]:
        try:
            return path, open_image(path)
        except ImageError as error:
            return path, error

    batches = [files[start : start + batch_size] for start in range(0, len(files), batch_size)]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        ahead = [pool.submit(read, path) for path in batches[0]] if batches else []
        for position in range(len(batches)):
            current = ahead
            ahead = [pool.submit(read, path) for path in batches[position + 1]] if position + 1 < len(batches) else []
            yield [future.result() for future in current]

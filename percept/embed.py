"""Embed a folder of images into shard files: resumable, and by as many processes as one likes.

The sorted list of images is cut into shards of fixed size, so the result does not depend on the number of
processes. A process takes every W-th shard and writes each as one file that appears whole or not at all; a
rerun skips what is there and matches. Processes never wait for each other.
`percept embed FOLDER` is one process; several, here on CPUs, are::

    accelerate launch --cpu --num_processes 2 -m percept.embed FOLDER

On GPUs ``--multi_gpu`` takes the place of ``--cpu``.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from percept.cli import add_embed_options
from percept.data.scanning import inside, scan_folder
from percept.embed_shards import (
    MANIFEST,
    PROBLEMS,
    Embeddings,
    EmbedError,
    is_done,
    load_embeddings,
    shard_path,
    write_shard,
)
from percept.models.encoders import Encoder, load_encoder
from percept.models.towers import check_kind
from percept.storage import write_atomic, write_json

__all__ = ["EmbedError", "Embeddings", "embed_folder", "load_embeddings", "main", "shard_path"]

log = logging.getLogger(__name__)


def embed_folder(
    folder: str | Path,
    output: str | Path | None = None,
    *,
    encoder: str | Encoder = "percept-tiny",
    pretrained: str | None = None,
    activation: str | None = None,
    device: str = "auto",
    kind: str = "embedding",
    batch_size: int = 64,
    shard_size: int = 1024,
    strict: bool = False,
) -> dict[str, Any]:
    """Embed every image below a folder, or what of it is not embedded yet.

    Under ``accelerate launch`` or ``torchrun`` each process does its share.

    Args:
        folder: Searched with its subfolders; images are found as `percept.data.scanning.scan_folder` says.
        output: Receives ``shard-00000.npz`` ..., ``manifest.json`` and, at the end, ``problems.csv``;
            ``FOLDER-embeddings`` beside the folder unless given.
        encoder: Name for `load_encoder`, or an encoder.
        pretrained, activation: As in `load_encoder`.
        device: As in `load_encoder`; several processes on one machine take one GPU each.
        kind: ``"embedding"`` for unit rows of `Encoder.encode_images`, or a kind of `Encoder.features`.
        batch_size: Images per forward pass, at least 1.
        shard_size: Images per file, at least 1.
        strict: Stop at the first image that cannot be read instead of listing it in ``problems.csv``.

    Returns:
        ``images``, ``embedded`` and ``problems`` in the shards of this process, ``shards_written``,
        ``shards_skipped``, and ``complete``: whether all shards of all processes are there.

    Raises:
        EmbedError: If ``output`` holds embeddings of another encoder or kind, or a size is below 1.
        ValueError: If there is no such kind.
        ImageError: If the folder is missing or, with ``strict``, an image cannot be read.
    """
    if batch_size < 1 or shard_size < 1:
        raise EmbedError(f"batch_size and shard_size must be at least 1, got {batch_size} and {shard_size}")
    if kind != "embedding":
        check_kind(kind)
    output = _beside(Path(folder)) if output is None else Path(output)
    rank, world, place = _process(device)
    scan = scan_folder(folder, strict=strict, decode=False)
    if isinstance(encoder, str):
        encoder = load_encoder(encoder, pretrained, activation=activation, device=place)
    files = scan.paths
    shards = [files[start : start + shard_size] for start in range(0, len(files), shard_size)]
    keys = [_shard_key(encoder, kind, scan.folder, shard) for shard in shards]
    early = [(inside(path, scan.folder), reason) for path, reason in scan.problems]
    _write_manifest(output, encoder, kind, keys, len(files))
    report = {"images": 0, "embedded": 0, "problems": 0, "shards_written": 0, "shards_skipped": 0}
    for index in range(rank, len(shards), world):
        report["images"] += len(shards[index])
        path = shard_path(output, index)
        if is_done(path, keys[index]):
            report["shards_skipped"] += 1
        else:
            write_shard(path, keys[index], encoder, kind, scan.folder, shards[index], batch_size, strict)
            report["shards_written"] += 1
        with np.load(path) as shard:
            report["embedded"] += len(shard["path"])
            report["problems"] += len(shard["problem_path"])
    return report | {"complete": _finish(output, keys, early)}


def _beside(folder: Path) -> Path:
    """Return where the shards of a folder go by default."""
    folder = folder.resolve()  # "." has no name of its own
    if not folder.name:
        raise EmbedError(f"there is no place beside {folder}: say with --output where its embeddings go")
    return folder.with_name(f"{folder.name}-embeddings")


def _process(device: str) -> tuple[int, int, str]:
    """Return rank, number of processes and device; without a launcher nothing distributed is started."""
    if device == "auto" and os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true":
        device = "cpu"
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return 0, 1, device
    from accelerate import PartialState

    from percept.device import pick_device

    chosen = pick_device(device).device
    state = PartialState(cpu=chosen.type == "cpu")
    return state.process_index, state.num_processes, str(state.device)


def _shard_key(encoder: Encoder, kind: str, folder: Path, files: Sequence[Path]) -> str:
    """Return a digest of everything that decides a shard; an image counts by path, size and time."""
    digest = hashlib.sha256(f"{encoder.fingerprint}|{encoder.precision}|{kind}|".encode())
    for path in files:
        stat = path.stat()
        digest.update(f"{inside(path, folder)}|{stat.st_size}|{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _write_manifest(output: Path, encoder: Encoder, kind: str, keys: list[str], count: int) -> None:
    file = output / MANIFEST
    manifest = {"encoder": encoder.name, "fingerprint": encoder.fingerprint, "kind": kind}
    if file.is_file():
        held = json.loads(file.read_text(encoding="utf-8"))
        if any(held.get(key) != manifest[key] for key in ("fingerprint", "kind")):
            raise EmbedError(
                f"{output} holds {held.get('kind')!r} rows of encoder {held.get('encoder')!r} "
                f"({str(held.get('fingerprint'))[:12]}), not {kind!r} rows of {encoder.name!r} "
                f"({encoder.fingerprint[:12]}); choose another output folder or delete it"
            )
    write_json(file, manifest | {"dim": encoder.dim, "images": count, "shards": keys})


def _finish(output: Path, keys: list[str], early: list[tuple[str, str]]) -> bool:
    """Once every shard is there, gather the problems and remove leftovers; whoever sees it first does it."""
    if not all(is_done(shard_path(output, index), key) for index, key in enumerate(keys)):
        return False
    problems = list(early)
    for index in range(len(keys)):
        with np.load(shard_path(output, index)) as shard:
            problems.extend(zip(shard["problem_path"].tolist(), shard["problem_reason"].tolist(), strict=True))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["file", "reason"])
    writer.writerows(sorted(problems))
    write_atomic(output / PROBLEMS, text.getvalue())
    wanted = {shard_path(output, index).name for index in range(len(keys))}
    for old in [*output.glob("shard-*.npz"), *output.glob(".shard-*.tmp")]:
        if old.name not in wanted:
            old.unlink(missing_ok=True)
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `embed_folder` from a launcher; `percept embed` is the same for one process."""
    if "ACCELERATE_USE_CPU" in os.environ:
        # accelerate starts one process for CPUs whatever number was asked for.
        from percept.training.launch import start_all_processes

        start_all_processes("percept.embed")
    parser = argparse.ArgumentParser(prog="python -m percept.embed", description="Embed a folder of images.")
    add_embed_options(parser)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    report = embed_folder(**vars(parser.parse_args(arguments)))
    log.info(" ".join(f"{key}={value}" for key, value in report.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

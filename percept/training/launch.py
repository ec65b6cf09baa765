"""Pretraining from a shell; `accelerate launch ... -m percept.training.pretrain` ends here."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate import PartialState

from percept.training.batches import Pairs
from percept.training.fit import FitResult
from percept.training.pretrain import PretrainConfig, pretrain

_FIELDS = {field.name: field for field in dataclasses.fields(PretrainConfig)}


def main(arguments: Sequence[str] | None = None) -> FitResult:
    """Train from a source of pairs and a model folder; `--help` lists every setting.

    Returns:
        What `pretrain` returns. The main process also writes `RUN/model/`, which plain open_clip loads.
    """
    given = _parser().parse_args(arguments)
    start_all_processes("percept.training.pretrain")
    settings = {name: getattr(given, name) for name in _FIELDS if getattr(given, name) is not None}
    lists = {name: tuple(value) for name, value in settings.items() if isinstance(value, list)}
    config = PretrainConfig(**(settings | lists))
    folder = given.model.parent if given.model.is_file() else given.model
    model, tokenizer = new_model(folder, config.seed, weights=given.weights)
    pairs = read_pairs(given)
    result = pretrain(model, tokenizer, pairs, config, given.out, device=given.device, resume=not given.fresh)
    state = PartialState()
    if state.is_main_process:
        _export(model, folder, given.out / "model")
    state.wait_for_everyone()
    if state.num_processes > 1:
        state.destroy_process_group()
    return result


def start_all_processes(module: str) -> None:
    """Make `accelerate launch --cpu --num_processes N -m MODULE` start N processes.

    Without MPI, accelerate starts one process for CPUs, whatever N is, and says nothing. Then this process is
    replaced by torchrun, which accelerate itself uses for GPUs, with the same arguments. Under other launchers nothing
    happens.
    """
    environment = os.environ
    sizes = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
    # accelerate sets the address of a main process only if several processes were asked for.
    asked = environment.get("ACCELERATE_USE_CPU", "").lower() == "true" and "MASTER_ADDR" in environment
    if not asked or any(name in environment for name in sizes):
        return
    import psutil
    from accelerate.commands.launch import launch_command_parser

    line = psutil.Process().parent().cmdline()
    first = next((at for at, word in enumerate(line) if word == "launch" or word.endswith(".launch")), None)
    known = launch_command_parser().parse_known_args(line[first + 1 :])[0] if first is not None else None
    if known is None or (known.num_machines or 1) > 1 or (known.num_processes or 1) < 2:
        raise RuntimeError(
            "several CPU processes were asked for, but one was started; use "
            f"`torchrun --nproc_per_node N -m {module} ... --device cpu` instead of accelerate launch"
        )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node", str(known.num_processes), "-m", module, *sys.argv[1:]]
    os.execv(sys.executable, command)


def new_model(folder: Path, seed: int, *, weights: bool = False) -> tuple[Any, Any]:
    """An open_clip model and tokenizer from a folder in open_clip's `local-dir:` form.

    Args:
        folder: holds `open_clip_config.json` and tokenizer files.
        seed: of the initial weights.
        weights: start from the folder's weights instead.
    """
    import open_clip
    import torch

    if not (folder / "open_clip_config.json").is_file():
        raise FileNotFoundError(f"{folder} has no open_clip_config.json; --model takes an open_clip model folder")
    torch.manual_seed(seed)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=weights)
    return model, open_clip.get_tokenizer(f"local-dir:{folder}")


def read_pairs(given: argparse.Namespace) -> Pairs:
    """The source that the command line names."""
    from percept.data import pair_files, shards

    if given.folder:
        return _folder_pairs(given.folder, given.template, strict=given.strict)
    if given.csv:
        return pair_files.read_csv(given.csv, given.images, strict=given.strict)
    if given.coco:
        return pair_files.read_coco(given.coco, given.images or given.coco.parent, strict=given.strict)
    return shards.read_webdataset(given.webdataset, strict=given.strict)


def _folder_pairs(folder: Path, templates: Sequence[str], *, strict: bool) -> Pairs:
    """Labelled images with the user's own sentences around the labels."""
    from percept.data.images import read_folder
    from percept.data.pairs import OpenedPairs, PairsError, templated

    own = read_folder(folder, strict=strict)
    if "label" not in own.table or own.table["label"].isna().any():
        raise PairsError(f"{folder} needs a label for every image: class sub-folders, or a label column without gaps")
    return OpenedPairs(own.paths, templated(own.table["label"].astype(str).tolist(), templates))


def _export(model: Any, folder: Path, target: Path) -> None:
    from percept.models.export import save_open_clip_folder

    stored = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
    tokenizer = folder / "tokenizer.json"
    save_open_clip_folder(
        target, model.cpu(), stored["model_cfg"], tokenizer if tokenizer.is_file() else None,
        stored.get("preprocess_cfg", {}), dtype="fp32",
    )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="percept.training.pretrain", description=main.__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--csv", type=Path, help="columns filepath and title, tab or comma")
    source.add_argument("--coco", type=Path, help="COCO captions JSON")
    source.add_argument("--webdataset", help="folder or pattern of .tar shards")
    source.add_argument("--folder", type=Path, help="labelled images: class sub-folders, or a labels.csv")
    parser.add_argument("--template", nargs="+", default=["{}"], help="own sentences with {} for the label of --folder")
    parser.add_argument("--images", type=Path, help="folder of the images of --csv or --coco")
    parser.add_argument("--strict", action="store_true", help="stop at the first bad row or image")
    parser.add_argument("--model", type=Path, required=True, help="open_clip folder (or its config file)")
    parser.add_argument("--weights", action="store_true", help="start from the weights of --model")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--fresh", action="store_true", help="refuse a folder with checkpoints instead of resuming")
    for name, field in _FIELDS.items():
        default = None if field.default is dataclasses.MISSING else field.default
        option = "--" + name.replace("_", "-")
        if isinstance(default, tuple):
            parser.add_argument(option, nargs="*", type=type(default[0]) if default else str, help=f"default {default}")
        else:
            kind = int if default is None else type(default)
            parser.add_argument(option, type=kind, required=default is None, help=f"default {default}")
    return parser

"""Write a CLIP-style model as one folder that plain ``open_clip`` loads offline.

The folder holds the architecture and preprocessing (``open_clip_config.json``), the weights
(``open_clip_model.safetensors``), a Hugging Face tokenizer and, if wanted, a model card. With it
``open_clip.create_model_and_transforms("local-dir:FOLDER")`` and
``open_clip.get_tokenizer("local-dir:FOLDER")`` work without percept and without a network.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILE = "open_clip_model.safetensors"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
PREPROCESS_KEYS = ("size", "mode", "mean", "std", "interpolation", "resize_mode", "fill_color")
EOS_NAMES = ("[EOS]", "</s>", "<eos>", "<|endoftext|>", "<end_of_text>", "[SEP]")
PAD_NAMES = ("[PAD]", "<pad>", "<|pad|>")
UNK_NAMES = ("[UNK]", "<unk>", "<|unk|>")


class ExportError(ValueError):
    """The model, its configuration and its tokenizer do not fit together."""


def save_open_clip_folder(
    folder: str | Path,
    model: nn.Module,
    config: Mapping[str, Any],
    tokenizer_file: str | Path | None,
    preprocess: Mapping[str, Any],
    dtype: Literal["fp16", "fp32"] = "fp16",
    card: str | None = None,
) -> Path:
    """Write ``model`` in open_clip's ``local-dir:`` form, replacing an earlier folder in one step.

    Args:
        folder: The folder to make. Files in it that are not part of the format are kept.
        model: An ``open_clip`` model (``CLIP`` or ``CustomTextCLIP``); it is not changed.
        config: open_clip's model configuration: ``embed_dim``, ``vision_cfg``, ``text_cfg`` and
            optionally ``quick_gelu``, ``custom_text``.
        tokenizer_file: A Hugging Face ``tokenizer.json`` whose post-processor ends each text with
            the end token, or None for open_clip's built-in English BPE.
        preprocess: open_clip's preprocessing: ``mean`` and ``std`` (three numbers on the 0..1
            scale), ``interpolation``, ``resize_mode``.
        dtype: Storage of matrices; vectors and scalars stay float32 in both cases.
        card: Text of the model card, written as ``README.md``.

    Returns:
        The path of the folder.

    Raises:
        ExportError: If the tokenizer and ``text_cfg`` disagree, a key is missing, or a weight is not
            finite or does not fit in fp16.
    """
    settings = _model_config(config, tokenizer_file)
    tensors = stored_tensors(model, dtype)
    with replaced_folder(folder, {CONFIG_FILE, WEIGHTS_FILE, *TOKENIZER_FILES}) as work:
        _write_files(work, settings, tensors, tokenizer_file, preprocess, card)
    return Path(folder)


@contextlib.contextmanager
def replaced_folder(folder: str | Path, ours: set[str]) -> Iterator[Path]:
    """Yield an empty folder that takes the place of ``folder`` when the block ends without an error.

    Args:
        folder: The folder to make or replace.
        ours: Names of files of the format; everything else that was in ``folder`` is kept.
    """
    target = Path(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield work
        work.chmod(0o755)
        _keep_other_files(target, work, ours)
        _swap(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _write_files(
    work: Path,
    settings: dict[str, Any],
    tensors: dict[str, torch.Tensor],
    tokenizer_file: str | Path | None,
    preprocess: Mapping[str, Any],
    card: str | None,
) -> None:
    from safetensors.torch import save_file

    preprocess_cfg = {key: preprocess[key] for key in PREPROCESS_KEYS if key in preprocess}
    missing = [key for key in ("mean", "std") if key not in preprocess_cfg]
    if missing:
        raise ExportError(f"preprocess lacks {missing}: without it open_clip falls back to its own values")
    preprocess_cfg.setdefault("size", settings["vision_cfg"].get("image_size", 224))
    _write_json(work / CONFIG_FILE, {"model_cfg": settings, "preprocess_cfg": preprocess_cfg})
    save_file(tensors, str(work / WEIGHTS_FILE), metadata={"format": "pt"})
    if tokenizer_file is not None:
        _write_tokenizer(work, Path(tokenizer_file), settings["text_cfg"])
    if card is not None:
        (work / "README.md").write_text(card, encoding="utf-8")


def _model_config(config: Mapping[str, Any], tokenizer_file: str | Path | None) -> dict[str, Any]:
    settings = copy.deepcopy(dict(config))
    for key in ("embed_dim", "vision_cfg", "text_cfg"):
        if key not in settings:
            raise ExportError(f"config lacks {key!r}; open_clip needs embed_dim, vision_cfg and text_cfg")
    if tokenizer_file is not None:
        # open_clip reads the tokenizer from the folder as soon as this name is not empty.
        settings["text_cfg"]["hf_tokenizer_name"] = settings["text_cfg"].get("hf_tokenizer_name") or "local"
    return settings


def stored_tensors(model: nn.Module, dtype: str) -> dict[str, torch.Tensor]:
    """Return the state of a model as it is stored: matrices as ``dtype``, vectors and scalars as float32.

    Raises:
        ExportError: If ``dtype`` is unknown or a value is not finite in it.
    """
    if dtype not in ("fp16", "fp32"):
        raise ExportError(f"dtype must be 'fp16' or 'fp32', got {dtype!r}")
    stored = {}
    for name, value in model.state_dict().items():
        tensor = value.detach().cpu()
        if tensor.is_floating_point():
            # A scale of 100 loses its third digit in fp16, and vectors are a small share of the file.
            half = dtype == "fp16" and tensor.ndim > 1
            tensor = tensor.to(torch.float16 if half else torch.float32)
            if not torch.isfinite(tensor).all():
                raise ExportError(f"weight {name!r} is not finite as {tensor.dtype}; train on or use dtype='fp32'")
        stored[name] = tensor.clone().contiguous()
    return stored


def _write_tokenizer(work: Path, source: Path, text_cfg: dict[str, Any]) -> None:
    from tokenizers import Tokenizer

    if not source.is_file():
        raise ExportError(f"tokenizer file {source} does not exist")
    tokenizer = Tokenizer.from_file(str(source))
    special = {
        "eos_token": _special(tokenizer, EOS_NAMES, text_cfg.get("eos_id", 2), "end"),
        "pad_token": _special(tokenizer, PAD_NAMES, text_cfg.get("pad_id", 0), "padding"),
    }
    for name in UNK_NAMES:
        if tokenizer.token_to_id(name) is not None:
            special["unk_token"] = name
    _check_tokenizer(tokenizer, text_cfg)
    shutil.copyfile(source, work / "tokenizer.json")
    extra = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": int(text_cfg.get("context_length", 77)),
        "clean_up_tokenization_spaces": False,
    }
    _write_json(work / "tokenizer_config.json", extra | special)
    _write_json(work / "special_tokens_map.json", special)


def _special(tokenizer: Any, names: tuple[str, ...], expected: int, role: str) -> str:
    """Return the token that stands at id ``expected``, which is what the text tower will look for."""
    token = tokenizer.id_to_token(expected)
    if token is None or token not in names:
        held = {name: tokenizer.token_to_id(name) for name in names if tokenizer.token_to_id(name) is not None}
        raise ExportError(
            f"text_cfg says that the {role} token has id {expected}, where the tokenizer has {token!r}; "
            f"the tokenizer's candidates are {held}. Set eos_id and pad_id in text_cfg to match."
        )
    return str(token)


def _check_tokenizer(tokenizer: Any, text_cfg: dict[str, Any]) -> None:
    size, limit = tokenizer.get_vocab_size(), text_cfg.get("vocab_size", 49408)
    if size > limit:
        raise ExportError(f"the tokenizer has {size} entries, text_cfg['vocab_size'] is only {limit}")
    eos = text_cfg.get("eos_id", 2)
    tokenizer.no_padding()
    ids = tokenizer.encode("a").ids
    if not ids or ids[-1] != eos:
        raise ExportError(
            f"the tokenizer does not end a text with its end token (id {eos}), got ids {ids} for 'a'; "
            "give it a TemplateProcessing post-processor"
        )
    if text_cfg.get("pool_type", "argmax") == "argmax" and eos != size - 1:
        raise ExportError(
            "text_cfg has no pool_type='eos': open_clip would read the feature at the largest token id, "
            "which is a word here and not the end of the text"
        )


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _keep_other_files(target: Path, work: Path, ours: set[str]) -> None:
    """Carry over what is not ours, so that replacing a folder never deletes a user's file."""
    if not target.is_dir():
        return
    for item in target.iterdir():
        if item.name in ours or (work / item.name).exists():
            continue
        (shutil.copytree if item.is_dir() else shutil.copy2)(item, work / item.name)


def _swap(work: Path, target: Path) -> None:
    for path in work.iterdir():
        if path.is_file():
            with open(path, "rb+") as handle:
                os.fsync(handle.fileno())
    old = target.with_name(f".{target.name}.old-{os.getpid()}")
    if target.exists():
        target.rename(old)
    work.rename(target)
    shutil.rmtree(old, ignore_errors=True)

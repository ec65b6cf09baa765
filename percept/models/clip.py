"""open_clip models: a local folder, a published name, or a name with a weights file."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from percept.models.encoders import Encoder, EncoderError
from percept.models.hub import from_hub, one_line, plain_settings
from percept.models.preprocessing import from_transform
from percept.models.weights import OPENAI_KEYS, is_openai, is_torchscript, make_fingerprint, read_weights

TINY = Path(__file__).parent / "tiny"


def load_folder(name: str, pretrained: str | Path | None, activation: str | None) -> Encoder:
    """Load percept-tiny or a folder in open_clip's ``local-dir:`` form; never contacts a network."""
    import open_clip

    folder = TINY if name == "percept-tiny" else Path(name.removeprefix("local-dir:")).expanduser()
    if pretrained is not None:
        raise EncoderError(f"{name!r} brings its own weights; leave out pretrained={str(pretrained)!r}")
    settings = _folder_config(folder, name)
    _need_activation(settings["model_cfg"], activation, name)
    # Read once with our reader: it refuses files that would run code, with a message.
    read_weights(_folder_weights(folder))
    source = f"local-dir:{folder}"
    model = open_clip.create_model(source, weights_only=True)
    return _finish(name, model, settings["model_cfg"], open_clip.get_tokenizer(source))


def _folder_config(folder: Path, name: str) -> dict[str, Any]:
    file = folder / "open_clip_config.json"
    if not file.is_file():
        what = "percept-tiny is not in this checkout" if name == "percept-tiny" else f"{folder} is no encoder"
        raise EncoderError(f"{what}: {file.name} is missing; percept.models.export writes such a folder")
    try:
        settings: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        text_cfg = settings["model_cfg"]["text_cfg"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise EncoderError(f"{file} is not an open_clip configuration: {error!r}") from error
    if text_cfg.get("hf_model_name"):
        raise EncoderError(
            f"{file} describes its text tower only by the hub name {text_cfg['hf_model_name']!r}; "
            "such a folder cannot be used offline"
        )
    if text_cfg.get("hf_tokenizer_name") and not any(folder.glob("tokenizer*")):
        raise EncoderError(f"{folder} lacks tokenizer.json and tokenizer_config.json, which its configuration names")
    return settings


def _folder_weights(folder: Path) -> Path:
    from open_clip.factory import _find_checkpoint_in_dir

    found = _find_checkpoint_in_dir(folder)
    if found is None:
        raise EncoderError(f"{folder} holds no weights; expected open_clip_model.safetensors")
    return Path(found)


def load_open_clip(name: str, pretrained: str | Path | None, activation: str | None) -> Encoder:
    """Load an open_clip name with a published tag, a weights file or random weights."""
    import open_clip

    if name.startswith("hf-hub:"):
        return _hub_repository(name, activation)
    config = open_clip.get_model_config(name.replace("/", "-"))
    if config is None:
        raise EncoderError(
            f"{name!r} is neither a folder, nor an open_clip name (open_clip.list_models()), "
            "nor 'timm:NAME', percept-tiny or efficientnet-lite0"
        )
    tags = open_clip.list_pretrained_tags_by_model(name)
    weights = None if pretrained is None else str(pretrained)
    if weights in tags:
        model = _with_tag(name, config, str(weights), activation)
    elif weights == "random":
        _set_activation(config, activation or _activation(config), name)
        model = _empty(name, config)
    elif weights is not None and (Path(weights).is_file() or Path(weights).suffix):
        model = _with_file(name, config, Path(weights), activation)
    else:
        raise EncoderError(
            f"{name!r} needs pretrained=: a weights file, 'random', or a tag "
            f"({', '.join(tags) or 'none is published'}); got {weights!r}"
        )
    return _finish(name, model, config, from_hub(name, lambda: open_clip.get_tokenizer(name)))


def _hub_repository(name: str, activation: str | None) -> Encoder:
    import open_clip

    config = from_hub(name, lambda: open_clip.get_model_config(name))
    _need_activation(config, activation, name)
    model = from_hub(name, lambda: open_clip.create_model(name, require_pretrained=True, weights_only=True))
    return _finish(name, model, config, from_hub(name, lambda: open_clip.get_tokenizer(name)))


def _with_tag(name: str, config: dict[str, Any], tag: str, activation: str | None) -> nn.Module:
    import open_clip

    # The tag knows what its weights were trained with; the plain name does not.
    config["quick_gelu"] = bool(open_clip.get_pretrained_cfg(name, tag).get("quick_gelu", False))
    _need_activation(config, activation, f"{name} with {tag}")
    model: nn.Module = from_hub(
        f"{name} {tag}",
        lambda: open_clip.create_model(name, pretrained=tag, force_quick_gelu=config["quick_gelu"], weights_only=True),
    )
    return model


def _with_file(name: str, config: dict[str, Any], file: Path, activation: str | None) -> nn.Module:
    from open_clip.factory import load_checkpoint

    if activation is None:
        raise EncoderError(
            f"{file} does not say which activation it was trained with, and the wrong one silently costs "
            "accuracy: pass activation='quickgelu' (OpenAI's weights and a few others) or activation='gelu'"
        )
    if activation == "gelu" and file.is_file() and _looks_like_openai(file):
        raise EncoderError(f"{file} holds OpenAI's CLIP weights, trained with QuickGELU: pass activation='quickgelu'")
    state = read_weights(file)
    _set_activation(config, activation, name)
    model = _empty(name, config)
    try:
        if is_openai(state):
            model.load_state_dict({key: value for key, value in state.items() if key not in OPENAI_KEYS})
        else:
            load_checkpoint(model, str(file), weights_only=True)
    except RuntimeError as error:
        raise EncoderError(f"{file} does not fit {name}: {one_line(error)}") from error
    return model


def _looks_like_openai(file: Path) -> bool:
    # A TorchScript archive is how OpenAI published them; read_weights explains how to convert it.
    return not is_torchscript(file) and is_openai(read_weights(file))


def _empty(name: str, config: dict[str, Any]) -> nn.Module:
    import open_clip

    model: nn.Module = open_clip.create_model(
        name, force_quick_gelu=config["quick_gelu"], pretrained_text=False, pretrained_image=False
    )
    return model


def _finish(name: str, model: Any, config: dict[str, Any], tokenizer: Any) -> Encoder:
    from open_clip.transform import PreprocessCfg, image_transform_v2

    settings = dict(model.visual.preprocess_cfg)
    rule = from_transform(image_transform_v2(PreprocessCfg(**settings), is_train=False), settings)
    architecture = copy.deepcopy(config)
    architecture.pop("quick_gelu", None)
    # A name, not a property: the tokenizer's content is hashed instead.
    architecture["text_cfg"].pop("hf_tokenizer_name", None)
    parts = {
        "family": "open_clip",
        "architecture": architecture,
        "activation": _activation(config),
        "preprocess": plain_settings(rule),
        "tokenizer": _tokenizer_hash(tokenizer),
    }
    return Encoder(
        name,
        model,
        rule,
        make_fingerprint(parts, model.state_dict()),
        int(config["embed_dim"]),
        torch.device("cpu"),
        "fp32",
        tokenizer,
        parts,
    )


def _activation(config: dict[str, Any]) -> str:
    return "quickgelu" if config.get("quick_gelu") else "gelu"


def _need_activation(config: dict[str, Any], asked: str | None, name: str) -> None:
    if asked is not None and asked != _activation(config):
        raise EncoderError(f"{name} was trained with {_activation(config)}, not {asked}; leave out activation=")


def _set_activation(config: dict[str, Any], asked: str, name: str) -> None:
    if config.get("quick_gelu") and asked == "gelu":
        raise EncoderError(f"{name} means QuickGELU; use {name.removesuffix('-quickgelu')!r} with activation='gelu'")
    config["quick_gelu"] = asked == "quickgelu"


def _tokenizer_hash(tokenizer: Any) -> str:
    inner = getattr(tokenizer, "tokenizer", None)
    backend = getattr(inner, "backend_tokenizer", None)
    if backend is not None:
        return hashlib.sha256(backend.to_str().encode()).hexdigest()
    return f"{type(inner or tokenizer).__name__}-{getattr(tokenizer, 'context_length', '')}"

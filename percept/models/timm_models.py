"""Models of timm as encoders: features only, no text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from percept.models.encoders import Encoder, EncoderError
from percept.models.hub import from_hub, one_line, plain_settings
from percept.models.preprocessing import from_transform
from percept.models.weights import make_fingerprint, read_weights

SMALLEST = 32


def load_timm(name: str, pretrained: str | Path | None, image_size: int | None = None) -> Encoder:
    """Load a timm model by name, with a published tag, a weights file or random weights."""
    import timm

    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise EncoderError(
            f"timm has no model {architecture!r}; similar: {timm.list_models(f'*{architecture[:8]}*')[:5]}"
        )
    if pretrained == "random":
        model = timm.create_model(architecture, pretrained=False)
    elif pretrained is not None and (Path(pretrained).is_file() or Path(pretrained).suffix):
        model = _with_file(name, Path(pretrained))
    else:
        full = f"{architecture}.{pretrained or tag}" if (pretrained or tag) else architecture
        known = timm.list_models(f"{architecture}.*", pretrained=True)
        if not known or ("." in full and full not in known):
            raise EncoderError(f"timm has no published weights {full!r}; there are: {', '.join(known) or 'none'}")
        model = from_hub(f"timm:{full}", lambda: timm.create_model(full, pretrained=True))
    return _finish(f"timm:{name}", model, image_size)


def is_folder(folder: Path) -> bool:
    """Say whether this is a folder in timm's ``local-dir:`` form."""
    return (folder / "config.json").is_file() and not (folder / "open_clip_config.json").is_file()


def load_folder(name: str, pretrained: str | Path | None, image_size: int | None = None) -> Encoder:
    """Load a folder in timm's ``local-dir:`` form (`percept.models.saving`); never contacts a network."""
    import timm

    folder = Path(name.removeprefix("local-dir:")).expanduser()
    if pretrained is not None:
        raise EncoderError(f"{name!r} brings its own weights; leave out pretrained={str(pretrained)!r}")
    try:
        architecture = json.loads((folder / "config.json").read_text(encoding="utf-8"))["architecture"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise EncoderError(f"{folder / 'config.json'} is not a timm configuration: {error!r}") from error
    if not timm.is_model(architecture):
        raise EncoderError(f"{folder / 'config.json'} names the architecture {architecture!r}, which timm has not")
    # Read once with our reader: it refuses files that would run code, with a message.
    read_weights(folder / "model.safetensors")
    try:
        model = timm.create_model(f"local-dir:{folder}", pretrained=True)
    except (RuntimeError, KeyError, TypeError) as error:
        raise EncoderError(f"{folder} does not fit its architecture {architecture}: {one_line(error)}") from error
    return _finish(name, model, image_size)


def _with_file(name: str, file: Path) -> nn.Module:
    import timm

    state = read_weights(file)
    cfg = timm.get_pretrained_cfg(name)
    head = state.get(f"{cfg.classifier}.weight") if cfg is not None else None
    # timm loads strictly only if both sides have the same number of classes; a file of another network
    # would otherwise leave random weights in place without a word.
    classes = 0 if head is None else len(head)
    overlay = {"file": str(file), "num_classes": classes}
    try:
        model: nn.Module = timm.create_model(name, pretrained=True, num_classes=classes, pretrained_cfg_overlay=overlay)
    except (RuntimeError, KeyError) as error:
        raise EncoderError(f"{file} does not fit timm:{name}: {one_line(error)}") from error
    return model


def load_efficientnet(image_size: int | None = None) -> Encoder:
    """Load EfficientNet-Lite0 with the weights of its package; never contacts a network."""
    from percept.models import efficientnet

    return _finish("efficientnet-lite0", efficientnet.build(), image_size)


def _finish(name: str, model: Any, image_size: int | None) -> Encoder:
    from timm.data import create_transform, resolve_model_data_config

    if image_size is not None:
        _set_size(name, model, image_size)
    settings = {key: value for key, value in resolve_model_data_config(model).items() if key != "input_size"}
    transform = create_transform(**resolve_model_data_config(model), is_training=False)
    rule = from_transform(transform, settings)
    parts = {
        "family": "timm",
        "architecture": model.pretrained_cfg["architecture"],
        "activation": sorted({type(m).__name__ for m in model.modules() if "LU" in type(m).__name__.upper()}),
        "preprocess": plain_settings(rule),
    }
    width = int(getattr(model, "head_hidden_size", None) or model.num_features)
    digest = make_fingerprint(parts, model.state_dict())
    return Encoder(name, model, rule, digest, width, torch.device("cpu"), parts=parts)


def _set_size(name: str, model: Any, image_size: int) -> None:
    if isinstance(image_size, bool) or not isinstance(image_size, int) or image_size < SMALLEST:
        raise EncoderError(f"image_size must be a whole number of at least {SMALLEST}, got {image_size!r}")
    if model.pretrained_cfg.get("fixed_input_size") or hasattr(model, "patch_embed") or hasattr(model, "pos_embed"):
        raise EncoderError(
            f"{name!r} reads pictures on a fixed grid of patches; leave out {image_size=} "
            "(conv nets such as efficientnet-lite0 take any size)"
        )
    # In the model's own configuration, so that a saved folder carries it too.
    model.pretrained_cfg = dict(model.pretrained_cfg) | {"input_size": (3, image_size, image_size)}

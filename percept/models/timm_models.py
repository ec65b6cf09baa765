"""Models of timm as encoders: features only, no text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from percept.models.encoders import Encoder, EncoderError
from percept.models.hub import from_hub, one_line, plain_settings
from percept.models.preprocessing import from_transform
from percept.models.weights import make_fingerprint, read_weights


def load_timm(name: str, pretrained: str | Path | None) -> Encoder:
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
    return _finish(f"timm:{name}", model)


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


def load_efficientnet() -> Encoder:
    """Load EfficientNet-Lite0 with the weights of its package; never contacts a network."""
    from percept.models import efficientnet

    return _finish("efficientnet-lite0", efficientnet.build())


def _finish(name: str, model: Any) -> Encoder:
    from timm.data import create_transform, resolve_model_data_config

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

"""What all ways of loading an encoder share: hub names without a network, and settings as plain values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from percept.models.encoders import EncoderError
from percept.models.preprocessing import Preprocess

T = TypeVar("T")
LOCAL_HELP = (
    "Without a network, get the files on another machine and pass their folder: load_encoder('FOLDER'), "
    "where FOLDER holds open_clip_config.json, open_clip_model.safetensors and, for a Hugging Face "
    "tokenizer, tokenizer.json and tokenizer_config.json. A single weights file works as "
    "load_encoder('ViT-B-32', pretrained='FILE.safetensors', activation='gelu' or 'quickgelu'), "
    "and for timm as load_encoder('timm:NAME', pretrained='FILE.safetensors'). "
    "percept-tiny and efficientnet-lite0 never need a network."
)


class HubUnavailable(EncoderError):  # noqa: N818 - says what happened
    """A name on a model hub was asked for and could not be fetched."""


def from_hub(what: str, fetch: Callable[[], T]) -> T:
    """Return what ``fetch`` makes of the name ``what``; a failure becomes a message with the local-folder way.

    Raises:
        HubUnavailable: If it raised anything.
    """
    try:
        return fetch()
    except Exception as error:
        raise HubUnavailable(f"{what} could not be fetched from the hub ({one_line(error)}). {LOCAL_HELP}") from error


def plain_settings(rule: Preprocess) -> dict[str, Any]:
    """Return a preprocessing rule as JSON values for the fingerprint, with the size found by trying."""
    settings = {key: value for key, value in rule.settings.items() if isinstance(value, str | int | float)}
    return settings | {"size": list(rule.size), "mean": rule.mean.tolist(), "std": rule.std.tolist()}


def one_line(error: Exception) -> str:
    """Return the message of an error on one line of at most 300 characters."""
    return " ".join(str(error).split())[:300]

"""Published sets of rated pictures, each read as on disk into `percept.data.ratings.Ratings`.

Names are imported when first used.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "read_emoset": "emotion",
    "read_emotion6": "emotion",
    "read_kadid10k": "quality",
    "read_koniq10k": "quality",
    "read_lamem": "memorability",
    "read_live": "quality",
    "read_spaq": "quality",
    "read_things_memorability": "memorability",
    "read_tid2013": "quality",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])

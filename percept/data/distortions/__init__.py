"""The 25 distortion types of KADID-10k at five levels, seeded, uint8 in and out. Names are imported when first used."""

from importlib import import_module
from typing import Any

_HOME = {
    "DISTORTIONS": "table",
    "Distortion": "table",
    "KADID_CELL_MEANS": "table",
    "LEVELS": "table",
    "distortion": "table",
    "distort": "apply",
    "distort_strength": "apply",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])

"""Published fine-grained benchmarks, each read as on disk into `percept.data.probe_set.ProbeSet`.

The data are never part of the package: every reader takes the folder in which the user keeps them. Names are
imported when first used.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "read_aro_attribution": "aro",
    "read_aro_options": "aro_order",
    "read_aro_order": "aro_order",
    "read_aro_relation": "aro",
    "read_sugarcrepe": "sugarcrepe",
    "read_svo": "svo",
    "read_svo_pairs": "svo",
    "read_valse": "valse",
    "read_vsr": "vsr",
    "read_winoground": "winoground",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])

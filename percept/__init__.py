"""percept: vision models tuned towards what people see and what people want.

Nothing heavy is imported here: sub-packages and `load_encoder` are loaded on first use (PEP 562), so that
`import percept` costs milliseconds and a notebook pays only for what it uses.
"""

import importlib
import importlib.util
from typing import Any

__version__ = "0.1.0"

_HOME = {"load_encoder": "models.encoders"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"percept.{_HOME[name]}"), name)
    if not name.startswith("_") and importlib.util.find_spec(f"percept.{name}") is not None:
        return importlib.import_module(f"percept.{name}")
    raise AttributeError(f"module 'percept' has no attribute {name!r}")


def __dir__() -> list[str]:
    import pkgutil

    return sorted({*globals(), *_HOME, *(module.name for module in pkgutil.iter_modules(__path__))})

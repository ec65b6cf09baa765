"""One helper that lets a sub-package offer public names without importing the modules behind them."""

import importlib
from collections.abc import Callable
from typing import Any


def names(package: str, homes: dict[str, str]) -> Callable[[str], Any]:
    """Make the `__getattr__` (PEP 562) of a package whose public names live in its modules.

    Args:
        package: full name of the package, its `__name__`.
        homes: public name -> module of the package that defines it.

    Returns:
        A function that imports the module behind a name on first use and returns the object.

    >>> get = names("percept", {"names": "_lazy"})
    >>> get("names").__name__
    'names'
    """

    def __getattr__(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return __getattr__

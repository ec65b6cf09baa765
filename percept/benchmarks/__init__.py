"""Benchmarks behind `percept bench NAME`: one module each, with `run(**options)` that returns rows."""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any


class BenchmarkError(ValueError):
    """There is no such benchmark, or it has no such option."""


def names() -> list[str]:
    """Names of the benchmarks that exist."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def measure(name: str, settings: Sequence[str] = ()) -> list[Mapping[str, Any]]:
    """Run one benchmark.

    Args:
        name: One of `names()`.
        settings: `option=value` texts for its `run`; numbers, lists and True/False are read as such.

    Returns:
        Rows with name, value, unit, note.

    Raises:
        BenchmarkError: an unknown benchmark or option.
    """
    run = _function(name)
    rows: list[Mapping[str, Any]] = run(**_options(name, run, settings))
    return rows


def check(name: str, settings: Sequence[str] = ()) -> None:
    """Raise what `measure` would raise about the request, without measuring."""
    _options(name, _function(name), settings)


def _function(name: str) -> Callable[..., Any]:
    from percept.workbook.notebooks import unknown

    if name not in names():
        raise BenchmarkError(unknown("benchmark", name, names()))
    run: Callable[..., Any] = importlib.import_module(f"percept.benchmarks.{name}").run
    return run


def _options(name: str, run: Callable[..., Any], settings: Sequence[str]) -> dict[str, Any]:
    from percept.workbook.notebooks import unknown

    known = inspect.signature(run).parameters
    options: dict[str, Any] = {}
    for option, _, text in (setting.partition("=") for setting in settings):
        if option not in known:
            raise BenchmarkError(unknown(f"option of benchmark {name}", option, known))
        try:
            options[option] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            options[option] = text
    return options

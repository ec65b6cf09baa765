"""Collecting and judging human judgments and descriptions: widgets, sessions, what to ask next, whom to trust."""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "INSPECTION": "templates",
    "DescribeSession": "describe_session",
    "Describer": "describer",
    "Labeller": "widget",
    "Questions": "plan",
    "ScriptedRater": "session",
    "Session": "session",
    "describe_folder": "describe",
    "label_folder": "folder",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"percept.labelling.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})

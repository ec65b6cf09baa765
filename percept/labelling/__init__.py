"""Collecting and judging human judgments: the widget, its sessions, what to ask next, whom to trust."""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "Labeller": "widget",
    "Questions": "plan",
    "ScriptedRater": "session",
    "Session": "session",
    "label_folder": "folder",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"percept.labelling.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})

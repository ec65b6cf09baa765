"""The best state of a run by a number of its rows, kept through a kill, and the early end that follows from it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load, save
from torch import Tensor, nn

from percept.storage import write_atomic
from percept.training.checkpoint import trainable_state

FILE = "best.safetensors"


class Best:
    """Trainable state with the highest number so far; a tie keeps the earlier one.

    Args:
        model: whose trainable state is kept, as it is now to begin with.
        name: of the number in the rows.
        before: the number before training; None without evaluation.
        patience: evaluations without a better number after which it is enough; 0 is never enough.
        folder: where the state is kept beside the checkpoints; None keeps it in memory only.
        identity: plain facts that tell this run from another in the same folder.

    Attributes:
        score: the number of the best state.
        step: updates after which it was reached.
    """

    def __init__(
        self, model: nn.Module, name: str, before: float | None, patience: int, folder: str | Path | None,
        identity: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.model, self.name, self.before, self.patience = model, name, before, patience
        self.score, self.step = before, 0
        self.path = Path(folder) / FILE if folder else None
        self.run = hashlib.sha256(json.dumps(dict(identity), sort_keys=True).encode()).hexdigest()
        self.state = {} if before is None else _copied(model)
        if before is not None and self.path and self.path.exists():
            self._load(self.path)

    def offer(self, row: Mapping[str, Any]) -> None:
        """Take the model's present state if this row, which is about it, has a higher number."""
        if self.name not in row or row[self.name] <= (-math.inf if self.score is None else self.score):
            return
        self.score, self.step, self.state = row[self.name], row["step"], _copied(self.model)
        if self.path:
            facts = {"run": self.run, "score": repr(self.score), "step": str(self.step)}
            write_atomic(self.path, save(self.state, facts))

    def enough(self, rows: list[dict[str, Any]]) -> bool:
        """Whether the last `patience` evaluations brought nothing better."""
        scores = [self.before, *(row[self.name] for row in rows if self.name in row)]
        return 0 < self.patience <= len(scores) - 1 - scores.index(max(scores))

    def restore(self) -> int:
        """Put the best state into the model; returns its step."""
        self.model.load_state_dict(self.state, strict=False)
        return self.step

    def _load(self, path: Path) -> None:
        with safe_open(path, "pt") as file:
            facts = file.metadata()
        if facts and facts.get("run") == self.run:
            self.score, self.step = float(facts["score"]), int(facts["step"])
            self.state = load(path.read_bytes())


def _copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in trainable_state(model).items()}

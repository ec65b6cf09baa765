"""Settings of a training run, and the error that ends one."""

from __future__ import annotations

import math
from dataclasses import dataclass


class TrainingError(RuntimeError):
    """Training cannot go on; the message names the step and what is saved."""


@dataclass(frozen=True)
class FitConfig:
    """Settings of a run; everything but steps has a default.

    Attributes:
        steps: updates of the whole run.
        learning_rate: peak, after the warm-up.
        warmup: updates of the linear rise.
        schedule: what follows the rise: "cosine" is half a cosine to zero, "constant" keeps the peak.
        weight_decay: decoupled (AdamW), not for parameters with at most one axis, nor those in `exempt`.
        exempt: names, or parts of names, of further parameters without decay.
        betas: AdamW's averages.
        eps: AdamW's denominator.
        clip_norm: largest gradient norm; 0 does not clip.
        precision: "auto", "fp32", "bf16" or "fp16"; auto is fp32 on a CPU, where "bf16" can be asked for.
        seed: of everything random in the run.
        log_every: steps between rows of metrics.
        evaluate_every: steps between evaluations; 0 evaluates only at the end.
        checkpoint_every: steps between checkpoints; 0 saves only at the end.
        keep: checkpoints kept.
        prefetch: batches prepared ahead in a thread.
    """

    steps: int
    learning_rate: float = 1e-3
    warmup: int = 0
    schedule: str = "cosine"
    weight_decay: float = 0.0
    exempt: tuple[str, ...] = ()
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    clip_norm: float = 1.0
    precision: str = "auto"
    seed: int = 0
    log_every: int = 10
    evaluate_every: int = 0
    checkpoint_every: int = 0
    keep: int = 2
    prefetch: int = 1

    def __post_init__(self) -> None:
        for name in ("steps", "log_every", "keep"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("warmup", "weight_decay", "clip_norm", "evaluate_every", "checkpoint_every", "prefetch", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.schedule not in ("cosine", "constant"):
            raise ValueError(f'schedule must be "cosine" or "constant", got {self.schedule!r}')
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be positive and finite, got {self.learning_rate}")

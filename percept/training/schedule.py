"""Learning rate and weight decay: pure functions that a resumed run evaluates to the same values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import nn


def warmup_cosine(step: int, steps: float, warmup: int = 0) -> float:
    """Factor on the base learning rate: a linear rise over `warmup` steps, then half a cosine to 0.

    Args:
        step: index of the update about to be made, 0 ... `steps` - 1.
        steps: updates of the whole run; infinitely many keep the factor at 1 after the rise.
        warmup: updates of the rise; the first has factor 1 / `warmup`.

    Example:
        >>> [round(warmup_cosine(step, 6, warmup=2), 3) for step in range(6)]
        [0.5, 1.0, 1.0, 0.854, 0.5, 0.146]
    """
    if step < warmup:
        return (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def decay_groups(
    model: nn.Module, weight_decay: float, exempt: Sequence[str] = ()
) -> tuple[list[dict[str, Any]], list[str]]:
    """Split the trainable parameters into a decayed and an exempt group for an optimiser.

    Gains, biases and scalars (at most one axis) are never decayed: shrinking them does not regularise.

    Args:
        model: only parameters with `requires_grad` are taken.
        weight_decay: of the first group.
        exempt: names, or parts of names, of further parameters that must not be decayed.

    Returns:
        The two optimiser groups (an empty one is left out), and the names that are not decayed.

    Raises:
        ValueError: Nothing is trainable, or an entry of `exempt` matches no parameter.
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not named:
        raise ValueError("the model has no trainable parameter: set requires_grad on what should learn")
    unmatched = [part for part in exempt if not any(part in name for name, _ in named)]
    if unmatched:
        raise ValueError(f"no trainable parameter has {unmatched} in its name; there is e.g. {named[0][0]!r}")
    free = [name for name, value in named if value.ndim <= 1 or any(part in name for part in exempt)]
    chosen = set(free)
    groups: list[dict[str, Any]] = [
        {"params": [value for name, value in named if name not in chosen], "weight_decay": weight_decay},
        {"params": [value for name, value in named if name in chosen], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]], free

"""Ways to fill `.grad` from one batch: the plain one, sums over parts, and two passes for contrastive losses.

A loss that is a mean over items may be split: run the parts one after the other and add their gradients. A
contrastive loss may not, since every item is compared with all others: the parts would see fewer negatives.
Two passes give its exact gradient with the memory of one part (the idea of GradCache, Gao et al. 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn

Numbers = dict[str, float | Tensor]
Loss = Callable[[Any, Any], tuple[Tensor, Numbers]]
# Image and text features; what follows them belongs to the whole batch.
_PER_ITEM = 2


class Gradients(Protocol):
    """Adds the gradient of one batch to `.grad` and returns the loss, detached, with numbers to log."""

    def __call__(self, accelerator: Accelerator, model: nn.Module, batch: Any) -> tuple[Tensor, Numbers]:
        """Run forward and backward on one batch of this process."""
        ...


def plain(loss: Loss) -> Gradients:
    """One forward and one backward pass; a batch that is a list is a list of parts whose mean loss is meant.

    Args:
        loss: `loss(model, batch) -> (scalar, numbers)`, run under the precision of the run.
    """

    def step(accelerator: Accelerator, model: nn.Module, batch: Any) -> tuple[Tensor, Numbers]:
        parts = batch if isinstance(batch, list) else [batch]
        total = torch.zeros((), device=accelerator.device)
        numbers: Numbers = {}
        for index, part in enumerate(parts):
            with _sync_on(accelerator, model, last=index == len(parts) - 1):
                with accelerator.autocast():
                    value, numbers = loss(model, part)
                accelerator.backward(value / len(parts))
            total = total + value.detach().float() / len(parts)
        return total, numbers

    return step


def two_pass(
    features: Callable[[nn.Module, Any], tuple[Tensor, ...]],
    loss: Callable[..., Tensor],
    split: Callable[[Any], Sequence[Any]],
) -> Gradients:
    """Exact gradient of a loss over a whole batch with the memory of one micro-batch.

    First every micro-batch is encoded without a graph, and the loss of the whole batch is differentiated with
    respect to those features. Then every micro-batch is encoded again, now with a graph, and its part of that
    gradient is sent back through it. Random state is rewound, so that dropout makes the same choices twice.
    Layers with batch statistics are outside this exactness: they see the micro-batch.

    Args:
        features: `features(model, part) -> (image [b, D], text [b, D], scale, ...)`: two tensors with
            one row per item, then tensors that do not depend on the items (scale, bias). It must call
            `model(...)` itself, because precision and the averaging over processes are attached to that call.
        loss: of the same tensors, over all items.
        split: batch -> its micro-batches, the same number on every process.
    """

    def step(accelerator: Accelerator, model: nn.Module, batch: Any) -> tuple[Tensor, Numbers]:
        parts = split(batch)
        if len(parts) == 1:  # one pass suffices
            value = loss(*features(model, parts[0]))
            accelerator.backward(value)
            return value.detach(), {}
        states, cached = [], []
        with torch.no_grad():
            for part in parts:
                states.append(_random_state(accelerator.device))
                cached.append(features(model, part))
        after = _random_state(accelerator.device)
        leaves = [torch.cat(column).requires_grad_() for column in list(zip(*cached, strict=True))[:_PER_ITEM]]
        shared = [value.detach().requires_grad_() for value in cached[0][_PER_ITEM:]]
        value = loss(*leaves, *shared)
        wanted = torch.autograd.grad(value, leaves + shared)
        _send_back(accelerator, model, parts, states, features, wanted)
        _restore_random_state(after, accelerator.device)
        return value.detach(), {}

    return step


def _send_back(
    accelerator: Accelerator, model: nn.Module, parts: Sequence[Any], states: list[Any],
    features: Callable[..., tuple[Tensor, ...]], wanted: tuple[Tensor, ...],
) -> None:  # fmt: skip
    first = 0
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        _restore_random_state(states[index], accelerator.device)
        with _sync_on(accelerator, model, last=last):
            outputs = features(model, part)
            count = len(outputs[0])
            pieces = [gradient[first : first + count] for gradient in wanted[:_PER_ITEM]]
            # Scale and bias are the same tensors in every part: their gradient is sent back once.
            pieces += [gradient if last else torch.zeros_like(gradient) for gradient in wanted[_PER_ITEM:]]
            # The derivative of this sum with respect to each output is exactly the piece beside it.
            pairs = zip(outputs, pieces, strict=True)
            accelerator.backward(
                torch.stack([(output * piece).sum() for output, piece in pairs if output.requires_grad]).sum()
            )
            first += count


def _sync_on(accelerator: Accelerator, model: nn.Module, *, last: bool) -> Any:
    """Gradients are averaged over processes once per step, with the last part."""
    return nullcontext() if last else accelerator.no_sync(model)


def _random_state(device: torch.device) -> tuple[Tensor, Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def _restore_random_state(state: tuple[Tensor, Tensor | None], device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)

"""Low-rank adapters (LoRA, Hu et al. 2022, arXiv:2106.09685) in the image tower of an encoder, by ``peft``.

`percept.models.routes` says where they can sit, `percept.models.saving` writes and reads them.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from percept.models.attention import AdapterError
from percept.models.encoders import Encoder
from percept.models.prefix import check_last_blocks, tower_blocks
from percept.models.routes import ADAPTER, inject, lora_layers, pick_route, unload
from percept.models.weights import make_fingerprint


@dataclass(frozen=True)
class AdapterFacts:
    """What an adapter is and which encoder it belongs to.

    Attributes:
        route: One of `percept.models.routes.ROUTES`.
        rank: Columns of B and rows of A.
        alpha: The update is ``strength * alpha / rank * B @ A``.
        dropout: Share of an adapter's inputs dropped in training.
        last_blocks: Number of adapted blocks (stages of a conv net), counted from the end.
        base: Name of the base encoder.
        base_fingerprint: Its fingerprint.
    """

    route: str
    rank: int
    alpha: float
    dropout: float
    last_blocks: int
    base: str
    base_fingerprint: str


class AdaptedEncoder(Encoder):
    """An encoder with an adapter inside; made by `add_lora`.

    Its fingerprint is computed anew from the adapter's present tensors and strength each time it is read, so
    that no cached embedding of an earlier state is ever taken for one of the present state.

    Args:
        base: Where everything but the model comes from.
        model: The adapted model.
        facts: What the adapter is.
    """

    def __init__(self, base: Encoder, model: nn.Module, facts: AdapterFacts) -> None:
        super().__init__(**_settings(base) | {"model": model})
        self.facts = facts

    @property
    def strength(self) -> float:
        """Present factor on the low-rank update; 1 is what was trained, 0 the base."""
        layer = lora_layers(self.model)[0]
        # Rounded, so that the number that was set comes back, and with it the same fingerprint.
        return round(float(layer.scaling[ADAPTER] * layer.r[ADAPTER] / layer.lora_alpha[ADAPTER]), 12)

    @property
    def fingerprint(self) -> str:
        """Hex digest of the base, the facts, the strength and the adapter's tensors."""
        parts = dataclasses.asdict(self.facts) | {"strength": self.strength}
        # The base's name is how it was found on this machine; its fingerprint is what it is.
        del parts["base"]
        return make_fingerprint(parts, adapter_parameters(self))

    @fingerprint.setter
    def fingerprint(self, value: str) -> None:
        """Accept what the constructor passes; the base's fingerprint is kept in ``facts``."""


def add_lora(
    encoder: Encoder,
    *,
    rank: int = 16,
    alpha: float = 32.0,
    dropout: float = 0.2,
    last_blocks: int | None = None,
    route: str = "auto",
    seed: int = 0,
) -> AdaptedEncoder:
    """Return a copy of an encoder with trainable low-rank updates in its image tower.

    The base and its text tower stay as they are. B starts at zero, so the copy computes what the base does:
    the same bits, except that ``split`` rounds differently from the fused attention (below 1e-6). The
    defaults are those of DreamSim's single-backbone models (Fu et al. 2023, arXiv:2306.09344).

    Args:
        encoder: Any ViT of open_clip or timm, or an EfficientNet.
        rank: Rank of each update, at least 1.
        alpha: Scale; the update is ``alpha / rank * B @ A``.
        dropout: Share of an adapter's inputs dropped in training, 0 <= dropout < 1 (without effect on
            ``mha``).
        last_blocks: Adapt only so many of the last blocks (stages of a conv net); None means all.
        route: ``"auto"`` or one of `percept.models.routes.ROUTES`.
        seed: Seed of A; the global random state is left alone.

    Returns:
        The copy. Only its A and B require gradients; `adapter_parameters` lists them.

    Raises:
        AdapterError: If a setting is out of range, the route does not exist for this tower, or the encoder
            already has an adapter.
    """
    _check_settings(rank, alpha, dropout)
    if isinstance(encoder, AdaptedEncoder):
        raise AdapterError(f"{encoder.name!r} already has an adapter; use merged(encoder) as the base of another")
    trunk, _, blocks = tower_blocks(encoder.visual)
    chosen = pick_route(route, trunk)
    last = len(blocks) if last_blocks is None else check_last_blocks(last_blocks, len(blocks))
    model = copy.deepcopy(encoder.model).requires_grad_(False)
    inject(model, chosen, rank, alpha, dropout, last, seed)
    facts = AdapterFacts(chosen, rank, float(alpha), float(dropout), last, encoder.name, encoder.fingerprint)
    return AdaptedEncoder(encoder, model.eval(), facts)


def adapter_parameters(encoder: Encoder | nn.Module) -> dict[str, nn.Parameter]:
    """Return the A and B matrices by name.

    Raises:
        AdapterError: If there are none.
    """
    found = {name: value for name, value in _module(encoder).named_parameters() if re.search(r"\.lora_[AB]\.", name)}
    if not found:
        raise AdapterError("there is no adapter here; add_lora(encoder) or load_adapter(encoder, FOLDER) makes one")
    return found


def check_gradients(encoder: Encoder | nn.Module) -> None:
    """Raise unless every tensor of the adapter has a gradient that is not all zero.

    Call it after a backward pass, and not after the first: B starts at zero, so A has none there.

    Raises:
        AdapterError: Names the tensors that are not trained.
    """
    tensors = adapter_parameters(encoder)
    dead = [name for name, value in tensors.items() if value.grad is None or not bool(value.grad.any())]
    if dead:
        raise AdapterError(
            f"{len(dead)} of {len(tensors)} tensors of the adapter get no gradient: {', '.join(dead[:4])}"
            f"{' ...' if len(dead) > 4 else ''}. Is their block part of the loss, and is this after the second step?"
        )


def set_strength(encoder: Encoder | nn.Module, strength: float) -> None:
    """Scale the low-rank update of every adapted layer, at any time and without new training.

    Args:
        encoder: An adapted encoder, or any module with adapted layers inside.
        strength: 0 is the base, 1 the adapter as trained; values between, beyond and below are allowed.

    Raises:
        AdapterError: If there is no adapter, or ``strength`` is not finite.
    """
    if not math.isfinite(strength):
        raise AdapterError(f"strength must be a finite number, got {strength}")
    for layer in lora_layers(_module(encoder)):
        layer.set_scale(ADAPTER, float(strength))


def merged(encoder: Encoder, strength: float | None = None) -> Encoder:
    """Return the plain architecture again, with the update added to its weights.

    Args:
        encoder: An adapted encoder; it is not changed.
        strength: Factor on the update; None takes the present one.

    Returns:
        A frozen encoder without adapter, with the fingerprint that it will have when saved as fp32 and loaded.

    Raises:
        AdapterError: If there is no adapter or a merged weight is not finite.
    """
    tensors = adapter_parameters(encoder)
    assert isinstance(encoder, AdaptedEncoder)
    for name, value in tensors.items():
        if not bool(torch.isfinite(value).all()):
            raise AdapterError(f"adapter tensor {name} is not finite; the training went wrong before this point")
    model = copy.deepcopy(encoder.model)
    set_strength(model, encoder.strength if strength is None else strength)
    unload(model)
    return plain_encoder(encoder, model, f"{encoder.facts.base} + LoRA")


def plain_encoder(encoder: Encoder, model: nn.Module, name: str) -> Encoder:
    """Return a frozen encoder around ``model``, with the fingerprint of its present weights.

    Args:
        encoder: Where everything but the model comes from.
        model: Of the same architecture as the encoder's; used as it is.
        name: The new encoder's name.
    """
    fingerprint = make_fingerprint(encoder.parts or {"base": encoder.fingerprint}, model.state_dict())
    model = model.eval().requires_grad_(False)
    return Encoder(**_settings(encoder) | {"name": name, "model": model, "fingerprint": fingerprint})


def _settings(encoder: Encoder) -> dict[str, Any]:
    return {item.name: getattr(encoder, item.name) for item in dataclasses.fields(Encoder)}


def _module(encoder: Encoder | nn.Module) -> nn.Module:
    return encoder.model if isinstance(encoder, Encoder) else encoder


def _check_settings(rank: int, alpha: float, dropout: float) -> None:
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise AdapterError(f"rank must be a whole number of at least 1, got {rank!r}")
    if not math.isfinite(alpha) or alpha <= 0:
        raise AdapterError(f"alpha must be above 0, got {alpha}")
    if not 0 <= dropout < 1:
        raise AdapterError(f"dropout must be at least 0 and below 1, got {dropout}")

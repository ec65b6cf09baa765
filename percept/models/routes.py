"""Where low-rank adapters can sit in an image tower, and how they get in and out.

- ``split``: open_clip's attention written as separate q, k and v layers (`percept.models.attention`), each
  with its own A and B. The default for open_clip.
- ``fused``: the one ``qkv`` layer of timm's ViTs.
- ``mha``: peft's own wrapper of ``nn.MultiheadAttention``, for exchange with others. It shares A among q, k
  and v, adapts the output projection too, and merges before each forward pass, so that **dropout never
  acts**. peft 0.21.2 also applies the output projection's update twice; a merged encoder repeats that.
- ``pointwise``: the 1x1 convolutions of an EfficientNet. Its batch norms keep their ImageNet statistics, in
  training too.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn

from percept.models.attention import AdapterError, SplitAttention, fuse, split
from percept.models.prefix import tower_blocks

ADAPTER = "default"
ROUTES = ("split", "fused", "mha", "pointwise")


def pick_route(route: str, trunk: Any) -> str:
    """Return the route that ``route`` means for this tower, or raise AdapterError if it has none of that name."""
    allowed: tuple[str, ...] = ("pointwise",) if hasattr(trunk, "conv_stem") else ("fused",)
    if hasattr(trunk, "transformer"):
        allowed = ("split", "mha")
    if route not in ("auto", *ROUTES):
        raise AdapterError(f"route must be 'auto' or one of {', '.join(ROUTES)}, got {route!r}")
    if route not in ("auto", *allowed):
        raise AdapterError(
            f"route {route!r} does not exist for this {type(trunk).__name__}; use 'auto' or {' or '.join(allowed)}"
        )
    return allowed[0] if route == "auto" else route


def target_pattern(visual: nn.Module, route: str, last_blocks: int, prefix: str) -> str:
    """Return the regular expression of the adapted modules' names, as peft matches it (in full).

    Args:
        visual: The image tower.
        route: ``"split"``, ``"fused"``, ``"mha"`` or ``"pointwise"``.
        last_blocks: Number of adapted blocks.
        prefix: Path of the tower in the model, with its dot, or "".
    """
    _, path, blocks = tower_blocks(visual)
    numbers = "|".join(str(index) for index in range(len(blocks) - last_blocks, len(blocks)))
    inside = {"split": r"attn\.[qkv]_proj", "fused": r"attn\.qkv", "mha": "attn", "pointwise": r"\d+\.conv_pwl?"}
    pattern = rf"{re.escape(prefix + path)}\.(?:{numbers})\.{inside[route]}"
    if route == "pointwise":
        pattern = rf"{pattern}|{re.escape(prefix + path.removesuffix('blocks'))}conv_head"
    return pattern


def inject(model: nn.Module, route: str, rank: int, alpha: float, dropout: float, last: int, seed: int) -> None:
    """Put adapters into the last blocks of a model's image tower, in place; the arguments are `add_lora`'s.

    Raises:
        AdapterError: If the tower's blocks are of a kind that the route cannot enter.
    """
    from peft import LoraConfig, inject_adapter_in_model

    visual: nn.Module = getattr(model, "visual", model)
    blocks = list(tower_blocks(visual)[2])[-last:]
    if route == "split":
        for block in blocks:
            block.attn = split(block.attn)
    pattern = target_pattern(visual, route, last, "" if visual is model else "visual.")
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=pattern, bias="none")  # type: ignore[arg-type]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            inject_adapter_in_model(config, model)
        except (ValueError, TypeError) as error:
            raise AdapterError(f"route {route!r} finds nothing to adapt in this tower: {error}") from error
    for module in visual.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.register_forward_pre_hook(_keep_statistics)


def _keep_statistics(module: nn.Module, _inputs: Any) -> None:
    # A hook, not one call of eval(): every training loop calls train() on the whole model again.
    module.training = False


def unload(model: nn.Module) -> None:
    """Add every update at its present scale to the weights, in place, and make the architecture plain again."""
    from peft.tuners.lora.layer import LoraLayer, MultiheadAttention

    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, MultiheadAttention):
                setattr(parent, name, child.unload_and_optionally_merge_module(True, False, None))
            elif isinstance(child, LoraLayer) and not isinstance(parent, nn.MultiheadAttention):
                child.merge()  # type: ignore[operator]
                setattr(parent, name, child.get_base_layer())
    # peft's mark on the model would make it warn when the next adapter comes.
    model.__dict__.pop("peft_config", None)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, SplitAttention):
                setattr(parent, name, fuse(child))
        for key, hook in list(parent._forward_pre_hooks.items()):
            if hook is _keep_statistics:
                del parent._forward_pre_hooks[key]


def lora_layers(model: nn.Module) -> list[Any]:
    """Return peft's layers inside a module, or raise AdapterError if there are none."""
    from peft.tuners.lora.layer import LoraLayer

    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    if not layers:
        raise AdapterError("there is no adapter here; add_lora(encoder) or load_adapter(encoder, FOLDER) makes one")
    return layers

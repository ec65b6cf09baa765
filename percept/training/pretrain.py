"""Contrastive pretraining on image-text pairs (CLIP 2021, SigLIP 2023), from any source of pairs.

From a shell, on one machine or many processes:
    accelerate launch --cpu --num_processes 2 -m percept.training.pretrain --csv pairs.csv --model FOLDER
    --out RUN
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from percept.data import augment
from percept.losses.contrastive import clip_loss, siglip_loss
from percept.training.batches import Batches, Pairs
from percept.training.config import FitConfig
from percept.training.fit import FitResult, fit
from percept.training.gradients import two_pass

_MAX_LOG_SCALE = math.log(100.0)


@dataclass(frozen=True)
class PretrainConfig(FitConfig):
    """`FitConfig` with CLIP's values for its ViTs (paper, table 18-20), and what a contrastive batch needs.

    Attributes:
        batch_size: pairs that are compared with each other, over all processes.
        micro_batch: pairs encoded at once on one process, for memory; 0 takes all. It does not change the
            gradient.
        loss: "clip" or "siglip" (which needs a model with a logit bias).
        min_crop: side of the smallest random crop as a share of the image's; 1 does not crop.
        jitter: colour jitter, see `percept.data.augment.draw`; off, since captions name colours.
    """

    learning_rate: float = 5e-4
    weight_decay: float = 0.2
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-6
    batch_size: int = 256
    micro_batch: int = 0
    loss: str = "clip"
    min_crop: float = 0.8
    jitter: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss not in ("clip", "siglip"):
            raise ValueError(f'loss must be "clip" or "siglip", got {self.loss!r}')
        if self.batch_size < 2 or self.micro_batch < 0:
            raise ValueError(
                f"batch_size must be at least 2 and micro_batch at least 0, got {self.batch_size} and "
                f"{self.micro_batch}"
            )


def pretrain(
    model: Any,
    tokenizer: Callable[[list[str]], Tensor],
    pairs: Pairs,
    config: PretrainConfig,
    folder: str | Path | None = None,
    *,
    evaluate: Mapping[str, Callable[[nn.Module], float | Mapping[str, float]]] | None = None,
    log: Callable[[dict[str, Any]], object] | None = None,
    device: str = "auto",
    resume: bool = True,
    progress: Callable[[str], object] | str | None = "auto",
) -> FitResult:
    """Train both towers so that an image and its caption meet; the model is trained in place.

    Args:
        model: an open_clip model: `model(image, text)` gives unit image and text rows, the scale and, for
            SigLIP, the bias (as a tuple or a dict); `model.logit_scale` holds the logarithm of the scale.
        tokenizer: captions -> int64 `[B, context length]`.
        pairs: the source; epochs are seeded permutations of it, an incomplete last batch is left out.
        folder: for checkpoints and metrics; the same call goes on where a killed one stopped.
        evaluate, log, device, resume, progress: as in `percept.training.fit.fit`.

    Returns:
        As `fit`; rows of metrics hold `logit_scale` too.

    Raises:
        ValueError: Fewer pairs than a batch, a batch that the processes cannot share evenly, or SigLIP on a
            model without bias.
        TrainingError: As in `percept.training.fit.fit`; other `pairs` than those of the checkpoint are told by their
            number and, where they have one, their `identity`.
    """
    if config.loss == "siglip" and getattr(model, "logit_bias", None) is None:
        raise ValueError('loss="siglip" needs a model with a logit bias: add "init_logit_bias": -10 to its config')
    prepare = _pixels(model)

    def features(wrapped: nn.Module, part: dict[str, Tensor]) -> tuple[Tensor, ...]:
        output = wrapped(prepare(part["images"], part["crops"]), part["tokens"])
        if isinstance(output, dict):
            names = ("image_features", "text_features", "logit_scale", "logit_bias")
            output = tuple(output[name] for name in names if name in output)
        return tuple(output)

    def split(batch: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        size = config.micro_batch or len(batch["tokens"])
        pieces = {name: value.split(size) for name, value in batch.items()}
        return [dict(zip(pieces, part, strict=True)) for part in zip(*pieces.values(), strict=True)]

    log_scale = model.logit_scale
    step = two_pass(features, _clip if config.loss == "clip" else siglip_loss, split)

    def with_scale(accelerator: Accelerator, model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Any]]:
        value, numbers = step(accelerator, model, batch)
        return value, {**numbers, "logit_scale": log_scale.detach().exp()}

    return fit(
        model, Batches(pairs, tokenizer, config, _image_size(model)), None, config, folder,
        gradients=with_scale, after_step=_clamp_scale, evaluate=evaluate, log=log, device=device,
        resume=resume, progress=progress, identity={"pairs": len(pairs), "data": getattr(pairs, "identity", None)},
    )  # fmt: skip


def _pixels(model: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """Augment and normalise with the mean and deviation that the model's own preprocessing uses."""
    visual = model.visual
    mean = getattr(visual, "image_mean", None) or (0.48145466, 0.4578275, 0.40821073)
    std = getattr(visual, "image_std", None) or (0.26862954, 0.26130258, 0.27577711)
    shift, scale = (torch.tensor(values).view(1, 3, 1, 1) * 255.0 for values in (mean, std))

    def prepare(images: Tensor, crops: Tensor) -> Tensor:
        return (augment.apply(images, crops) - shift.to(images.device)) / scale.to(images.device)

    return prepare


def _image_size(model: Any) -> int:
    size = model.visual.image_size
    height, width = (size, size) if isinstance(size, int) else size
    if height != width:
        raise ValueError(f"only square inputs are supported, the model takes {height} x {width}")
    return int(height)


def _clip(image: Tensor, text: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    """CLIP's loss; a bias that a model has for SigLIP gets a zero gradient, since DDP waits for one."""
    return clip_loss(image, text, scale) + (0.0 if bias is None else 0.0 * bias)


def _clamp_scale(model: Any) -> None:
    """CLIP keeps the scale between 1 and 100: beyond that training becomes unstable."""
    with torch.no_grad():
        model.logit_scale.clamp_(0.0, _MAX_LOG_SCALE)


if __name__ == "__main__":
    from percept.training.launch import main

    main()

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
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from PIL import Image
from torch import Tensor, nn

from percept.data import augment
from percept.losses.contrastive import clip_loss, siglip_loss
from percept.training.config import FitConfig
from percept.training.fit import FitResult, fit
from percept.training.gradients import two_pass

Images = np.ndarray | list[Image.Image]
_MAX_LOG_SCALE = math.log(100.0)


class Pairs(Protocol):
    """A source of image-text pairs with random access (`percept.data.pairs` has several)."""

    def __len__(self) -> int:
        """Number of images."""
        ...

    def batch(self, indices: np.ndarray, rng: np.random.Generator) -> tuple[Images, list[str]]:
        """Images (uint8 `[B, H, W, 3]`, or a list) and one caption each; every choice is drawn from `rng`."""
        ...


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
        config: settings.
        folder: for checkpoints and metrics; the same call goes on where a killed one stopped.
        evaluate: see `percept.training.fit.fit`.
        log: see `percept.training.fit.fit`.
        device: see `percept.training.fit.fit`.
        resume: see `percept.training.fit.fit`.
        progress: see `percept.training.fit.fit`.

    Returns:
        Steps, history and last metrics; rows hold `logit_scale`.

    Raises:
        ValueError: Fewer pairs than a batch, a batch that the processes cannot share evenly, or SigLIP on a
            model without bias.
    """
    if config.loss == "siglip" and getattr(model, "logit_bias", None) is None:
        raise ValueError(
            'loss="siglip" needs a model with a logit bias: add "init_logit_bias": -10 to its config'
        )
    prepare = _pixels(model)

    def features(wrapped: nn.Module, part: dict[str, Tensor]) -> tuple[Tensor, ...]:
        output = wrapped(prepare(part["images"], part["crops"]), part["tokens"])
        if isinstance(output, dict):
            names = ("image_features", "text_features", "logit_scale", "logit_bias")
            output = tuple(output[name] for name in names if name in output)
        return tuple(output[:4] if config.loss == "siglip" else output[:3])

    def split(batch: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        size = config.micro_batch or len(batch["tokens"])
        pieces = {name: value.split(size) for name, value in batch.items()}
        return [dict(zip(pieces, part, strict=True)) for part in zip(*pieces.values(), strict=True)]

    log_scale = model.logit_scale
    step = two_pass(features, clip_loss if config.loss == "clip" else siglip_loss, split)

    def with_scale(accelerator: Accelerator, model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Any]]:
        value, numbers = step(accelerator, model, batch)
        return value, {**numbers, "logit_scale": log_scale.detach().exp()}

    return fit(
        model, Batches(pairs, tokenizer, config, _image_size(model)), None, config, folder,
        gradients=with_scale, after_step=_clamp_scale, evaluate=evaluate, log=log, device=device, resume=resume,
        progress=progress, identity={"pairs": len(pairs)},
    )  # fmt: skip


class Batches:
    """`batches(step)`: this process's share of the batch of one step, a function of the step alone.

    Args:
        pairs: the source.
        tokenizer: captions -> token ids.
        config: seed, batch size and augmentation.
        size: side of the images the model takes, in pixels.
    """

    def __init__(self, pairs: Pairs, tokenizer: Any, config: PretrainConfig, size: int) -> None:
        self.pairs, self.tokenizer, self.config, self.size = pairs, tokenizer, config, size
        self.epoch, self.order = -1, np.empty(0, np.int64)
        if len(pairs) < config.batch_size:
            raise ValueError(
                f"{len(pairs)} pairs do not fill a batch of {config.batch_size}: lower batch_size"
            )

    def indices(self, step: int) -> np.ndarray:
        """Positions in the source of all pairs of a step, over all processes: int64 `[batch_size]`."""
        size = self.config.batch_size
        epoch, batch = divmod(step, len(self.pairs) // size)
        if epoch != self.epoch:
            self.order = np.random.default_rng([self.config.seed, epoch]).permutation(len(self.pairs))
            self.epoch = epoch
        return self.order[batch * size : (batch + 1) * size]

    def __call__(self, step: int) -> dict[str, Tensor]:
        """Images uint8 `[b, 3, size, size]`, tokens int64 `[b, L]`, crops float32 `[b, 5]`."""
        config, state = self.config, PartialState()
        share, rest = divmod(config.batch_size, state.num_processes)
        if rest:
            raise ValueError(
                f"batch_size {config.batch_size} is not a multiple of {state.num_processes} processes"
            )
        mine = self.indices(step)[state.process_index * share :][:share]
        rng = np.random.default_rng([config.seed, step, state.process_index, 1])
        images, captions = self.pairs.batch(mine, rng)
        return {
            "images": to_square(images, self.size, rng if config.min_crop < 1 else None),
            "tokens": torch.as_tensor(self.tokenizer(captions)),
            "crops": augment.draw(rng, share, min_scale=config.min_crop, jitter=config.jitter),
        }


def to_square(images: Images, size: int, rng: np.random.Generator | None = None) -> Tensor:
    """Images of any size to uint8 `[B, 3, size, size]`: shorter side resized, a square cut out.

    Resizing is bicubic with antialiasing.

    Args:
        images: uint8 `[B, H, W, 3]`, or a list of RGB images.
        size: side in pixels.
        rng: draws where along the longer side to cut; None cuts from the centre.
    """
    if isinstance(images, np.ndarray) and images.shape[1:3] == (size, size):
        return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    squares = [
        _square(image if isinstance(image, Image.Image) else Image.fromarray(image), size, rng)
        for image in images
    ]
    return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).contiguous()


def _square(image: Image.Image, size: int, rng: np.random.Generator | None) -> np.ndarray:
    shorter = min(image.size)
    width, height = (max(size, round(side * size / shorter)) for side in image.size)
    image = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    share = 0.5 if rng is None else rng.uniform()
    left, top = round((width - size) * share), round((height - size) * share)
    return np.asarray(image.crop((left, top, left + size, top + size)))


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


def _clamp_scale(model: Any) -> None:
    """CLIP keeps the scale between 1 and 100: beyond that training becomes unstable."""
    with torch.no_grad():
        model.logit_scale.clamp_(0.0, _MAX_LOG_SCALE)


if __name__ == "__main__":
    from percept.training.launch import main

    main()

"""Perceptual alignment: an image tower tuned until its cosine distances rank pictures as people do.

The recipe is DreamSim's (Fu et al. 2023; Sundaram et al. 2024): hinge loss on triplets, LoRA in the image
tower, Adam at a constant 3e-4, no augmentation. What it does not have: each picture of a step is encoded once
(not the reference twice), frozen leading blocks are computed once for the whole run, and two regularisers can
hold the representation where it was.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState

from percept.data.triplets import Triplets
from percept.models.encoders import Encoder
from percept.models.prefix import KINDS
from percept.models.preprocessing import Images
from percept.training.align_run import SCORE, AlignRun
from percept.training.best import Best
from percept.training.triplet_batches import AlignError, check_apart, check_train

__all__ = ["AlignConfig", "AlignError", "Aligned", "align"]


@dataclass(frozen=True)
class AlignConfig:
    """Settings of an alignment; the defaults are those of DreamSim's single-backbone models.

    Attributes:
        method: "lora", or "full" for every weight of the image tower (or of its last blocks).
        kind: of features compared: "embedding", "global" or "cls_patch" (see `percept.models.towers`).
        rank, alpha, dropout, route: of the adapter, see `percept.models.adapters.add_lora`.
        last_blocks: train in so many of the last blocks only; what is before them is then computed once.
            None trains all.
        margin: of the hinge, in cosine distance.
        learning_rate, betas: of Adam; the rate is constant.
        batch_size: triplets per step; the last step of an epoch may have fewer.
        epochs: at most.
        patience: epochs without a better validation score after which to end; 0 never ends early.
        distill: weight of the feature distillation to the frozen model.
        local: weight of the preservation of local similarity to the frozen model.
        temperature: of the local similarity.
        precision: "auto", "fp32", "bf16" or "fp16"; auto is fp32 on a CPU.
        seed: of adapter, order and dropout.
        cache_gib: memory for frozen states (49 KiB a picture with percept-tiny) or else pixels, of all pictures
            together, in GiB; a set of pictures that does not fit is read and computed anew at every step. On a
            GPU states are kept there.
        keep_references: judgments with the same reference go into a step together. Where a reference has several
            candidates this leaves fewer pictures to encode, at the price of steps that see fewer references.
        allow_shared: let validation show pictures that are trained on.
    """

    method: str = "lora"
    kind: str = "embedding"
    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.2
    route: str = "auto"
    last_blocks: int | None = None
    margin: float = 0.05
    learning_rate: float = 3e-4
    betas: tuple[float, float] = (0.5, 0.999)
    batch_size: int = 32
    epochs: int = 8
    patience: int = 3
    distill: float = 0.0
    local: float = 0.0
    temperature: float = 0.1
    precision: str = "auto"
    seed: int = 0
    cache_gib: float = 1.0
    keep_references: bool = False
    allow_shared: bool = False

    def __post_init__(self) -> None:
        if self.method not in ("lora", "full"):
            raise AlignError(f'method must be "lora" or "full", got {self.method!r}')
        if self.kind not in KINDS:
            raise AlignError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        for name, least in {"batch_size": 1, "epochs": 1, "patience": 0}.items():
            if getattr(self, name) < least:
                raise AlignError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in ("margin", "distill", "local", "cache_gib"):
            if not 0 <= getattr(self, name) < math.inf:
                raise AlignError(f"{name} must be finite and not negative, got {getattr(self, name)}")
        if not self.temperature > 0:
            raise AlignError(f"temperature must be positive, got {self.temperature}")


@dataclass(frozen=True, eq=False)
class Aligned:
    """An aligned encoder, and how it came to be.

    Attributes:
        encoder: in the state of the best epoch: adapted, for `set_strength`, `merged` and `save_adapter`, or
            plain after full fine-tuning.
        history: rows of metrics of the whole run; the last row of an epoch holds "validation/score" and "/loss".
        best_epoch: 0 if no epoch was better on validation than the encoder as it came, which is then returned.
        epochs: done.
        score: validation 2AFC score (soft votes, ties half) at the best epoch; None without validation.
        score_before: the same before training.
        seconds: of the whole call.
        prefix_seconds: of them, to read the pictures and to compute what is frozen.
        triplets_per_second: in the steps of this call, without validation and prefix; 0 if nothing was left to do.
        kept: "states" (frozen blocks were computed once), "pixels" or "nothing" (files were opened each step).
        device: device, precision, and why each was chosen.
    """

    encoder: Encoder
    history: list[dict[str, Any]]
    best_epoch: int
    epochs: int
    score: float | None
    score_before: float | None
    seconds: float
    prefix_seconds: float
    triplets_per_second: float
    kept: str
    device: str


def align(
    encoder: Encoder, train: Triplets, validate: Triplets | None = None, config: AlignConfig | None = None,
    folder: str | Path | None = None, *, extra_images: Images | None = None, device: str = "auto",
    resume: bool = True, log: Callable[[dict[str, Any]], object] | None = None,
    progress: Callable[[str], object] | str | None = "auto",
) -> Aligned:  # fmt: skip
    """Tune a copy of an encoder's image tower on similarity judgments; the encoder itself stays as it is.

    Dropout acts in the adapters only, and batch norms keep their statistics, with full fine-tuning too. Triplets
    with an even vote are left out of training: the reference takes them as "left", which teaches noise.

    Args:
        encoder: any ViT of open_clip or timm, or an EfficientNet; "full" takes every encoder.
        train: judgments to learn from.
        validate: held-out judgments on other pictures, for the best epoch and the early end; without it all
            epochs are done and the last state is returned.
        config: settings; the defaults if None.
        folder: for checkpoints, metrics and the best state so far: the same call goes on where a killed one
            stopped, and ends at the same weights.
        extra_images: unlabelled pictures on which the regularisers act, as many per step as triplets; without
            them they act on the pictures of the step.
        device, resume, log, progress: as in `percept.training.fit.fit`.

    Raises:
        AlignError: no triplets, votes without any preference, or validation on pictures trained on.
        percept.models.attention.AdapterError: no adapter fits the tower, or a part of one gets no gradient.
        percept.models.towers.NoSuchFeature: the tower has no features of that kind.
        percept.training.config.TrainingError: as in `percept.training.fit.fit`.
    """
    started, config = time.perf_counter(), config or AlignConfig()
    _check(train, validate, config)
    run = AlignRun(encoder, train, validate, config, extra_images, device)
    prefix_seconds = time.perf_counter() - started
    same = {**run.identity, "fit": [config.learning_rate, config.betas, config.seed, config.precision]}
    best = Best(run.student, SCORE, run.before, config.patience, folder, same)
    result, seconds = run.train(best, folder, device, resume, log, progress)
    best_step = best.restore() if validate is not None else result.steps
    done = sum(len(run.rows(step)) for step in range(result.resumed_from, result.steps))
    return Aligned(
        run.finish(encoder), result.history, round(best_step / run.per_epoch), round(result.steps / run.per_epoch),
        best.score, run.before, time.perf_counter() - started, prefix_seconds, done / seconds if done else 0.0,
        run.inputs.kept, result.device,
    )  # fmt: skip


def _check(train: Triplets, validate: Triplets | None, config: AlignConfig) -> None:
    check_train(train, "train")
    if validate is not None:
        check_train(validate, "validate")
        if not config.allow_shared:
            check_apart(train, validate)
    if PartialState().num_processes > 1:
        raise AlignError("alignment runs in one process; start it without accelerate launch")

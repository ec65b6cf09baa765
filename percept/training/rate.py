"""Scores from few labels: an image tower and a small head trained to say what people say of a picture.

The architecture is PerceptCLIP's (Zalcher et al. 2025): the vision tower of CLIP kept, LoRA on its attention, an MLP
head; mean squared error for memorability, (1 - r)/2 for quality, cross-entropy for emotions. What it does not have:
pictures are read in views at native resolution (`percept.data.views`), and what is frozen is computed once.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from percept.data.views import Views
from percept.device import autocast, pick_device, pick_precision
from percept.losses import ratings
from percept.models.adapters import AdaptedEncoder, add_lora, check_gradients, plain_encoder
from percept.models.encoders import Encoder
from percept.models.heads import MLPHead
from percept.models.prefix import KINDS
from percept.training.best import Best
from percept.training.checkpoint import trainable_state
from percept.training.config import FitConfig
from percept.training.fit import fit
from percept.training.gradients import Numbers, plain
from percept.training.scorer import OF_SHARES, Frozen, Scorer, of_pictures, over_views, view_side
from percept.training.student import Student
from percept.training.triplet_batches import Inputs, epoch_rows

METHODS = ("lora", "full", "head")
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": nn.functional.mse_loss,
    "pearson": ratings.pearson_loss,
    "ranking": ratings.ranking_loss,
    "fidelity": ratings.fidelity_loss,
    "shares": ratings.distribution_loss,
    "emd": ratings.emd_loss,
}
_SCORE = "validation/score"
_CHUNK = 128


class RateError(ValueError):
    """Labels, encoder or settings with which no score can be trained, with the way out."""


@dataclass(frozen=True)
class RateConfig:
    """Settings; the defaults of adapter and head are PerceptCLIP's, those of the optimiser fit small encoders.

    Attributes:
        method: "lora", "full" (every weight of the tower) or "head" (frozen features).
        loss: one of `LOSSES`; "shares" and "emd" learn label distributions [N, K], the others a score [N].
        kind: of features the head reads: "embedding", "global" or "cls_patch".
        normalise: give the head rows of length 1.
        hidden, head_dropout: of the head.
        rank, alpha, dropout, route, last_blocks: of the adapter, see `percept.models.adapters.add_lora`.
        learning_rate: of AdamW, constant; the published one is 5e-5 (1e-4 for emotions), with CLIP ViT-L/14.
        weight_decay: of AdamW.
        batch_size: pictures per step, each by one view drawn anew.
        epochs: at most.
        patience: epochs without a better validation score after which to end; 0 never ends early.
        most_views: along an axis of a picture, see `percept.data.views.grid_views`.
        precision: "auto", "fp32", "bf16" or "fp16".
        seed: of head, adapter, order, views and dropout.
        cache_gib: memory for what is kept of the views: features, frozen states or pixels.
    """

    method: str = "lora"
    loss: str = "pearson"
    kind: str = "embedding"
    normalise: bool = False
    hidden: tuple[int, ...] = (512, 256)
    head_dropout: float = 0.5
    rank: int = 16
    alpha: float = 8.0
    dropout: float = 0.1
    route: str = "auto"
    last_blocks: int | None = None
    learning_rate: float = 3e-4
    weight_decay: float = 0.01
    batch_size: int = 32
    epochs: int = 20
    patience: int = 5
    most_views: int = 3
    precision: str = "auto"
    seed: int = 0
    cache_gib: float = 1.0

    def __post_init__(self) -> None:
        for name, known in {"method": METHODS, "loss": tuple(LOSSES), "kind": KINDS}.items():
            if getattr(self, name) not in known:
                raise RateError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        for name, least in {"batch_size": 2, "epochs": 1, "patience": 0, "most_views": 1}.items():
            if getattr(self, name) < least:
                raise RateError(f"{name} must be at least {least}, got {getattr(self, name)}")


@dataclass(frozen=True, eq=False)
class Rated:
    """A trained score, uncalibrated.

    Attributes:
        encoder: adapted, fine-tuned, or the frozen one that was given.
        head: reads the score, or the log-odds of shares, from its features.
        config: the settings.
        centre, unit: mean and deviation of the training scores; the head's output times `unit` plus `centre` is on
            their scale for "mse" (other losses leave scale or more open, and a calibration has to fix it).
        history: rows of metrics.
        best_epoch: with the best validation score; the last one without validation.
        score: on validation: Spearman correlation, or minus the loss for shares; None without validation.
        seconds: of the whole call.
        device: device, precision, and why each was chosen.
    """

    encoder: Encoder
    head: MLPHead
    config: RateConfig
    centre: float
    unit: float
    history: list[dict[str, Any]]
    best_epoch: int
    score: float | None
    seconds: float
    device: str

    def raw(self, pictures: Any, batch_size: int = _CHUNK) -> np.ndarray:
        """Uncalibrated output for pictures as in `percept.data.views.Views`: float64 [N], or shares [N, K]."""
        return self.read(pictures, batch_size)[0]

    def read(self, pictures: Any, batch_size: int = _CHUNK) -> tuple[np.ndarray, Tensor]:
        """Uncalibrated output and features float32 [N, D], means over the views, each of which is encoded once.

        Args:
            pictures: as in `percept.data.views.Views`.
            batch_size: views per forward pass; the numbers do not depend on it.
        """
        encoder = self.encoder
        views, tower = Views(pictures, view_side(encoder), self.config.most_views), Frozen(encoder, self.config.kind)
        features = over_views(tower.stem, views, len(views), encoder.device, encoder.precision, batch_size)
        with torch.no_grad():
            out = self.head.to("cpu")(features)
        mean = torch.from_numpy(views.mean(features.numpy())).float()
        return of_pictures(out, views, self.config.loss) * self.unit + self.centre, mean


def rate(
    encoder: Encoder, pictures: Any, targets: Any, validate: tuple[Any, Any] | None = None,
    config: RateConfig | None = None, folder: str | Path | None = None, *, device: str = "auto", resume: bool = True,
    log: Callable[[dict[str, Any]], object] | None = None, progress: Callable[[str], object] | str | None = "auto",
) -> Rated:  # fmt: skip
    """Train a score on labelled pictures; the encoder itself stays as it is.

    Args:
        encoder: any ViT of open_clip or timm, or an EfficientNet; "full" and "head" take every encoder.
        pictures: as in `percept.data.views.Views`.
        targets: scores [N], or with a loss of shares [N, K] whose rows add up to 1.
        validate: pictures and targets that choose the epoch; without them all epochs are done.
        config: settings; the defaults if None.
        folder: for checkpoints, metrics and the best state so far, see `percept.training.align.align`.
        device, resume, log, progress: as in `percept.training.fit.fit`.

    Raises:
        RateError: targets that do not fit pictures or loss, are not finite, or are all the same.
        percept.models.attention.AdapterError: no adapter fits the tower.
        percept.training.config.TrainingError: as in `percept.training.fit.fit`.
    """
    started, config = time.perf_counter(), config or RateConfig()
    run = _RateRun(encoder, (pictures, targets), validate, config, device)
    best = Best(run.scorer, _SCORE, run.before, config.patience, folder, run.identity)
    held = validate is not None

    def on_row(row: dict[str, Any]) -> None:
        best.offer(row)
        if log:
            log(row)

    per_epoch = math.ceil(len(run.targets) / config.batch_size)
    settings = FitConfig(
        steps=config.epochs * per_epoch, learning_rate=config.learning_rate, schedule="constant",
        weight_decay=config.weight_decay, precision=config.precision, seed=config.seed,
        log_every=max(1, per_epoch // 4), evaluate_every=per_epoch, checkpoint_every=per_epoch,
    )  # fmt: skip
    result = fit(
        run.scorer, run.batch, None, settings, folder, gradients=run.gradients(),
        evaluate={"validation": run.score} if held else None, stop=best.enough if held else None, log=on_row,
        device=device, state_dict=trainable_state, identity=run.identity, resume=resume, progress=progress,
    )  # fmt: skip
    step = best.restore() if held else result.steps
    return Rated(
        run.finish(encoder), run.scorer.head.eval().requires_grad_(False), config, run.centre, run.unit,
        result.history, round(step / per_epoch), best.score, time.perf_counter() - started, result.device,
    )  # fmt: skip


class _RateRun:
    """One call of `rate`: tower, head and inputs, with what happens to them at a step and at an epoch's end."""

    def __init__(
        self, encoder: Encoder, train: tuple[Any, Any], validate: tuple[Any, Any] | None, config: RateConfig,
        device: str,
    ) -> None:  # fmt: skip
        self.config, self.place = config, pick_device(device).device
        self.precision = pick_precision(self.place, config.precision).precision
        self.targets = _checked(train, config.loss, "train")
        scores = self.targets if config.loss not in OF_SHARES else torch.zeros(2)
        self.centre, self.unit = (float(scores.mean()), float(scores.std())) if config.loss == "mse" else (0.0, 1.0)
        self.encoder = _copy(encoder, config)
        self.encoder.model.to(self.place)
        tower = self._tower()
        self.left = config.cache_gib * 2**30
        self.views = Views(train[0], view_side(encoder), config.most_views)
        self.inputs = self._inputs(self.views, tower)
        self.scorer = self._scorer(tower)
        self.rows = epoch_rows(len(self.targets), config.batch_size, config.seed)
        self.before, self.held_out = None, validate
        if validate is not None:
            self.held_targets = _checked(validate, config.loss, "validate")
            self.held_views = Views(validate[0], view_side(encoder), config.most_views)
            self.held_inputs = self._inputs(self.held_views, tower)
            self.before = self.score(self.scorer)["score"]
        self.identity = {
            "encoder": encoder.fingerprint, "views": len(self.views), "targets": float(self.targets.double().sum()),
            **{name: str(value) for name, value in asdict(config).items()},
        }  # fmt: skip

    def batch(self, step: int) -> dict[str, Any]:
        """One view, drawn anew, of each picture of the step."""
        rows = self.rows(step)
        if len(rows) == 1:  # correlation and order need two
            rows = np.concatenate([rows, self.rows(step - 1 if step else step)[:1]])
        chosen = self.views.of(rows, np.random.default_rng([self.config.seed, step, 3]))
        return {
            "inputs": self.inputs(chosen),
            "targets": (self.targets[torch.from_numpy(rows)] - self.centre) / self.unit,
        }

    def loss(self, model: Any, batch: dict[str, Any]) -> tuple[Tensor, Numbers]:
        """The chosen loss of the batch."""
        return LOSSES[self.config.loss](model(batch["inputs"]).float(), batch["targets"]), {}

    def score(self, scorer: Any) -> dict[str, float]:
        """Spearman correlation with held-out scores, or minus the loss of held-out shares."""
        from scipy.stats import spearmanr

        scorer.eval()
        rows = over_views(scorer, self.held_inputs, len(self.held_views), self.place, self.precision, _CHUNK)
        found = of_pictures(rows, self.held_views, self.config.loss)
        if self.config.loss in OF_SHARES:
            logits = torch.from_numpy(found).clamp_min(1e-8).log().float()
            return {"score": -float(LOSSES[self.config.loss](logits, self.held_targets))}
        # Before training a head may say the same of every picture: that is no order at all.
        same = bool(np.ptp(found) == 0)
        return {"score": 0.0 if same else float(spearmanr(found, self.held_targets.numpy()).statistic)}

    def finish(self, encoder: Encoder) -> Encoder:
        """The encoder after training, frozen."""
        if self.config.method == "head":
            return encoder
        self.encoder.model.eval().requires_grad_(False)
        if self.config.method == "full":
            return plain_encoder(self.encoder, self.encoder.model, f"{encoder.name} + fine-tuning")
        return self.encoder

    def gradients(self) -> Any:
        """The plain ones; the fourth step of LoRA checks that every tensor of the adapter gets one."""
        step, done = plain(self.loss), [0]

        def checked(accelerator: Any, model: nn.Module, batch: Any) -> tuple[Tensor, Numbers]:
            value = step(accelerator, model, batch)
            done[0] += 1
            if done[0] == 4 and self.config.method == "lora":
                check_gradients(self.encoder)
            return value

        return checked

    def _tower(self) -> Student | Frozen:
        if self.config.method == "head":
            return Frozen(self.encoder, self.config.kind)
        full = self.config.method == "full"
        return Student(self.encoder, self.config.kind, self.config.last_blocks, train_all=full)

    def _scorer(self, tower: Student | Frozen) -> Scorer:
        config = self.config
        tower.eval()
        with torch.no_grad(), autocast(self.place, self.precision):
            first = tower([self.inputs(np.arange(min(len(self.views), _CHUNK))).to(self.place)]).float()
        outs = self.targets.shape[1] if self.targets.ndim == 2 else 1
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            head = MLPHead(first.shape[1], outs, config.hidden, config.head_dropout, config.normalise)
        head.to(self.place).fit_scale(first)
        return Scorer(tower, head)

    def _inputs(self, views: Views, tower: Student | Frozen) -> Inputs:
        def stem(pixels: Tensor) -> Tensor:
            with torch.no_grad(), autocast(self.place, self.precision):
                return tower.stem(pixels.to(self.place))

        inputs = Inputs(views, len(views), self.encoder, stem if tower.has_prefix else None, self.left)
        self.left -= inputs.bytes
        return inputs


def _copy(encoder: Encoder, config: RateConfig) -> Encoder:
    if config.method == "lora":
        return add_lora(
            encoder, rank=config.rank, alpha=config.alpha, dropout=config.dropout, last_blocks=config.last_blocks,
            route=config.route, seed=config.seed,
        )  # fmt: skip
    if config.method == "head":
        return encoder
    if isinstance(encoder, AdaptedEncoder):
        raise RateError(f"{encoder.name!r} has an adapter; full fine-tuning starts from merged(encoder)")
    return plain_encoder(encoder, copy.deepcopy(encoder.model), encoder.name)


def _checked(labelled: tuple[Any, Any], loss: str, name: str) -> Tensor:
    pictures, given = labelled
    targets = torch.as_tensor(np.asarray(given), dtype=torch.float32)
    wanted = 2 if loss in OF_SHARES else 1
    if targets.ndim != wanted or len(targets) != len(pictures) or len(targets) < 2:
        form = "[N, K] shares" if wanted == 2 else "[N] scores"
        raise RateError(f"targets of {name} must be {form} for {len(pictures)} pictures, at least 2, got shape "
                        f"{list(targets.shape)}")  # fmt: skip
    bad = ~torch.isfinite(targets).reshape(len(targets), -1).all(1)
    if bool(bad.any()):
        raise RateError(f"target {int(bad.nonzero()[0])} of {name} is not a finite number")
    if wanted == 2 and (bool((targets < 0).any()) or not torch.allclose(targets.sum(1), torch.ones(()), atol=1e-3)):
        raise RateError(f"shares of {name} must lie in 0..1 and add up to 1 in every row")
    if bool((targets == targets[0]).all()):
        raise RateError(f"all {len(targets)} targets of {name} are the same; nothing can be learned or measured")
    return targets

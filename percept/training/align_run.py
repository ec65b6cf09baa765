"""One call of `align`: encoder, inputs and judgments, with what happens to them at a step and at an epoch's end."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from percept.data.triplets import Triplets
from percept.device import autocast, pick_device, pick_precision
from percept.losses.triplets import feature_distillation_loss, local_similarity_loss, triplet_hinge_loss
from percept.models.adapters import AdaptedEncoder, add_lora, check_gradients, plain_encoder
from percept.models.encoders import Encoder
from percept.models.preprocessing import Images, check_images
from percept.training.best import Best
from percept.training.checkpoint import trainable_state
from percept.training.config import FitConfig
from percept.training.fit import FitResult, fit
from percept.training.gradients import Gradients, Numbers, plain
from percept.training.student import Student
from percept.training.triplet_batches import AlignError, Inputs, epoch_rows, soft_score, triplet_distances

if TYPE_CHECKING:
    from percept.training.align import AlignConfig

SCORE = "validation/score"
_CHUNK = 128
_TRIES = 5


class AlignRun:
    """The parts of one call of `align`."""

    def __init__(
        self, encoder: Encoder, train: Triplets, validate: Triplets | None, config: AlignConfig,
        extra: Images | None, device: str,
    ) -> None:  # fmt: skip
        train = train.decided()
        self.config, self.place = config, pick_device(device).device
        self.precision = pick_precision(self.place, config.precision).precision
        self.encoder = _copy(encoder, config, self.place)
        self.student = Student(self.encoder, config.kind, config.last_blocks, train_all=config.method == "full")
        self.left = config.cache_gib * 2**30
        self.triplets = train.compact()
        self.inputs = self._inputs(self.triplets.pictures, len(self.triplets.images))
        self.per_epoch = math.ceil(len(train) / config.batch_size)
        together = train.items[:, 0] if config.keep_references else None
        self.rows = epoch_rows(len(train), config.batch_size, config.seed, together)
        # Before any step the student is the frozen model.
        self._encode(self.inputs, 1)
        self.validate = None if validate is None else validate.compact()
        if self.validate:
            self.held_out = self._inputs(self.validate.pictures, len(self.validate.images))
        self.before = self.score(self.student)["score"] if self.validate else None
        self.extra, self.teacher = None, torch.empty(0)
        if config.distill or config.local:
            if extra is not None:
                pictures = check_images(extra)
                self.extra = self._inputs(lambda rows: _take(pictures, rows), len(pictures))
            self.teacher = self._encode(self.extra or self.inputs).cpu()
        self.identity = {
            "encoder": encoder.fingerprint, "train": train.identity, "extra": 0 if extra is None else len(extra),
            "validate": validate.identity if validate else "", **_settings(config),
        }  # fmt: skip

    def train(
        self, best: Best, folder: str | Path | None, device: str, resume: bool, log: Any, progress: Any
    ) -> tuple[FitResult, float]:
        """Run `fit`; returns its result and the seconds spent in it outside validation."""
        config, spent = self.config, [0.0]

        def evaluate(student: nn.Module) -> dict[str, float]:
            began = time.perf_counter()
            numbers = self.score(student)
            spent[0] += time.perf_counter() - began
            return numbers

        def on_row(row: dict[str, Any]) -> None:
            best.offer(row)
            if log:
                log(row)

        settings = FitConfig(
            steps=config.epochs * self.per_epoch, learning_rate=config.learning_rate, schedule="constant",
            betas=config.betas, clip_norm=0.0, precision=config.precision, seed=config.seed,
            log_every=max(1, self.per_epoch // 4), evaluate_every=self.per_epoch, checkpoint_every=self.per_epoch,
        )  # fmt: skip
        began, held = time.perf_counter(), self.validate is not None
        result = fit(
            self.student, self.batch, None, settings, folder, gradients=self._gradients(),
            evaluate={"validation": evaluate} if held else None, stop=best.enough if held else None, log=on_row,
            device=device, state_dict=trainable_state, identity=self.identity, resume=resume, progress=progress,
        )  # fmt: skip
        return result, time.perf_counter() - began - spent[0]

    def batch(self, step: int) -> dict[str, Any]:
        """Inputs of the distinct pictures of a step, and where each triplet finds its three."""
        rows = self.rows(step)
        used, items = np.unique(self.triplets.items[rows], return_inverse=True)
        inputs, first, taught = [self.inputs(used)], 0, used
        if self.extra is not None:
            rng = np.random.default_rng([self.config.seed, step, 2])
            taught = rng.choice(self.extra.count, min(self.extra.count, self.config.batch_size), replace=False)
            inputs, first = [*inputs, self.extra(taught)], len(used)
        return {
            "inputs": inputs,
            "items": torch.from_numpy(items.reshape(-1, 3)),
            "votes": torch.from_numpy(self.triplets.vote_right[rows]).float(),
            "teacher": self.teacher[torch.from_numpy(taught)] if len(self.teacher) else None,
            "first": first,
        }

    def loss(self, model: Any, batch: dict[str, Any]) -> tuple[Tensor, Numbers]:
        """Hinge, and what the regularisers add."""
        config, teacher = self.config, batch["teacher"]
        features = model(batch["inputs"])
        total = triplet_hinge_loss(*triplet_distances(features, batch["items"]), batch["votes"], config.margin)
        numbers: Numbers = {"hinge": total.detach()}
        student = features[batch["first"] :]
        if config.distill:
            value = feature_distillation_loss(teacher, student)
            total, numbers["distill"] = total + config.distill * value, value.detach()
        if config.local:
            value = local_similarity_loss(teacher, student, config.temperature)
            total, numbers["local"] = total + config.local * value, value.detach()
        return total, numbers

    def score(self, student: Any) -> dict[str, float]:
        """Held-out 2AFC score and hinge loss."""
        assert self.validate is not None
        items, votes = (torch.from_numpy(values) for values in (self.validate.items, self.validate.vote_right))
        distances = triplet_distances(self._encode(self.held_out).cpu(), items)
        loss = triplet_hinge_loss(*distances, votes.float(), self.config.margin)
        return {"score": soft_score(*distances, votes), "loss": float(loss)}

    def finish(self, encoder: Encoder) -> Encoder:
        """The trained encoder, frozen."""
        self.encoder.model.eval().requires_grad_(False)
        if self.config.method == "full":
            return plain_encoder(self.encoder, self.encoder.model, f"{encoder.name} + fine-tuning")
        return self.encoder

    def _inputs(self, pictures: Callable[[np.ndarray], Any], count: int) -> Inputs:
        def stem(pixels: Tensor) -> Tensor:
            with torch.no_grad(), autocast(self.place, self.precision):
                return self.student.stem(pixels.to(self.place))

        inputs = Inputs(pictures, count, self.encoder, stem if self.student.has_prefix else None, self.left)
        self.left -= inputs.bytes
        return inputs

    def _encode(self, inputs: Inputs, count: int | None = None) -> Tensor:
        """Features of the first `count` (all) pictures by the student as it is, without gradient."""
        self.student.eval()
        parts = []
        with torch.no_grad(), autocast(self.place, self.precision):
            for start in range(0, count or inputs.count, _CHUNK):
                rows = np.arange(start, min(start + _CHUNK, count or inputs.count))
                parts.append(self.student([inputs(rows).to(self.place)]).float())
        return torch.cat(parts)

    def _gradients(self) -> Gradients:
        step, tries = plain(self.loss), [_TRIES if self.config.method == "lora" else 0]

        def checked(accelerator: Accelerator, model: nn.Module, batch: Any) -> tuple[Tensor, Numbers]:
            value, numbers = step(accelerator, model, batch)
            # B starts at zero, so A has no gradient in the first step, and nothing has any where no triplet
            # is within the margin.
            if tries[0] and bool(value > 0):
                tries[0] -= 1
                try:
                    check_gradients(self.encoder)
                    tries[0] = 0
                except ValueError:
                    if not tries[0]:
                        raise
            return value, numbers

        return checked


def _copy(encoder: Encoder, config: AlignConfig, place: torch.device) -> Encoder:
    if config.method == "lora":
        copied: Encoder = add_lora(
            encoder, rank=config.rank, alpha=config.alpha, dropout=config.dropout, last_blocks=config.last_blocks,
            route=config.route, seed=config.seed,
        )  # fmt: skip
    else:
        if isinstance(encoder, AdaptedEncoder):
            raise AlignError(f"{encoder.name!r} has an adapter; full fine-tuning starts from merged(encoder)")
        copied = plain_encoder(encoder, copy.deepcopy(encoder.model), encoder.name)
    copied.model.to(place)
    copied.device = place
    return copied


def _settings(config: AlignConfig) -> dict[str, Any]:
    """What a resumed run must share; `fit` compares the rest."""
    free = {"epochs", "patience", "cache_gib", "allow_shared", "precision", "seed", "learning_rate", "betas"}
    return {name: value for name, value in asdict(config).items() if name not in free}


def _take(pictures: Any, rows: np.ndarray) -> Any:
    return pictures[rows] if isinstance(pictures, np.ndarray) else [pictures[row] for row in rows]

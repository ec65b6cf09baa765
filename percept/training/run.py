"""One call of `fit`: model, optimiser and folder, with what is done to them at a step."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from torch import Tensor, nn

from percept import storage
from percept.training import checkpoint
from percept.training.config import FitConfig, TrainingError
from percept.training.gradients import Gradients
from percept.training.process import seed_step
from percept.training.schedule import decay_groups, warmup_cosine

_MAX_SKIPS = 20
# Settings that a resumed run may change: they do not touch the weights.
_FREE = {"log_every", "evaluate_every", "checkpoint_every", "keep", "prefetch"}


class Run:
    """Model, optimiser and folder of one call of `fit`."""

    def __init__(
        self, model: nn.Module, config: FitConfig, accelerator: Accelerator, folder: Path | None,
        state_dict: Callable[[nn.Module], dict[str, Tensor]],
        after_step: Callable[[nn.Module], object] | None,
        identity: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.bare, self.config, self.accelerator, self.folder = model, config, accelerator, folder
        self.state_dict, self.after_step, self.identity = state_dict, after_step, dict(identity)
        self.skipped = self.skips_in_a_row = 0
        self.started = time.monotonic()
        self.own_forward = model.__dict__.get("forward")
        model.train()
        groups, self.not_decayed = decay_groups(model, config.weight_decay, config.exempt)
        self.parameters = [parameter for group in groups for parameter in group["params"]]
        optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, eps=config.eps)
        self.model, self.optimizer = accelerator.prepare(model, optimizer)

    def update(self, step: int, batch: Any, step_gradients: Gradients) -> dict[str, Any]:
        """One update; returns its row of metrics."""
        config, accelerator = self.config, self.accelerator
        seed_step(config.seed, step, accelerator)
        # A rise is all that a constant rate shares with a cosine: without an end it stays at its peak.
        steps = config.steps if config.schedule == "cosine" else math.inf
        rate = config.learning_rate * warmup_cosine(step, steps, config.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = send_to_device(batch, accelerator.device, non_blocking=True)
        loss, numbers = step_gradients(accelerator, self.model, batch)
        loss = accelerator.reduce(loss.detach().float(), "mean")
        norm = accelerator.clip_grad_norm_(self.parameters, config.clip_norm or math.inf)
        self._check_finite(step, loss, norm)
        self.optimizer.step()
        self.skipped += accelerator.optimizer_step_was_skipped
        self.optimizer.zero_grad(set_to_none=True)
        if self.after_step:
            self.after_step(self.bare)
        row = {"step": step + 1, "loss": loss, "learning_rate": rate, "gradient_norm": norm, **numbers}
        return row | {"seconds": round(time.monotonic() - self.started, 3)}

    def _check_finite(self, step: int, loss: Tensor, norm: Tensor) -> None:
        """Save and stop. The loss is the mean over processes, so that all of them decide alike."""
        loss_ok, norm_ok = bool(torch.isfinite(loss)), bool(torch.isfinite(norm))
        if loss_ok and norm_ok:
            self.skips_in_a_row = 0
            return
        self.skips_in_a_row += 1
        # With fp16 the scaler has seen the overflow: its own step skips the update and lowers the scale.
        if loss_ok and self.accelerator.scaler is not None and self.skips_in_a_row <= _MAX_SKIPS:
            return
        bad = [name for name, value in self.bare.named_parameters() if _broken(value.grad)]
        self.optimizer.zero_grad(set_to_none=True)
        if not any(_broken(value) for value in self.bare.state_dict().values()):
            self.save(step)
        what = f"gradient norm is {norm.item()}" if loss_ok else f"loss is {loss.item()}"
        where = f", first in {bad[0]}" if bad else ""
        raise TrainingError(
            f"step {step + 1}: {what}{where}; no update was made and {self.saved()}. Lower learning_rate, "
            'use precision="fp32", or look at the batch of that step'
        )

    def evaluate(self, functions: Mapping[str, Callable[[nn.Module], Any]]) -> dict[str, Any]:
        """Numbers of all evaluations, with every module's training flag put back as it was."""
        row: dict[str, Any] = {}
        if not self.accelerator.is_main_process:
            return row
        training = [module for module in self.bare.modules() if module.training]
        self.bare.eval()
        with torch.no_grad():
            for name, function in functions.items():
                value = function(self.bare)
                pairs = (
                    {f"{name}/{key}": each for key, each in value.items()}
                    if isinstance(value, Mapping)
                    else {name: value}
                )
                row |= pairs
        for module in training:
            module.training = True
        return row

    def describe(self, why: str) -> None:
        """Write what this run is beside its checkpoints."""
        if self.folder and self.accelerator.is_main_process:
            facts = {"config": self.config, "device": why, "processes": self.accelerator.num_processes}
            facts["not_decayed"] = self.not_decayed
            storage.write_json(self.folder / "config.json", facts)

    def save(self, step: int) -> None:
        """Write the state after `step` updates; every process must call it."""
        if not self.folder:
            return
        if self.accelerator.is_main_process:
            optimizer: dict[str, Any] = {"optimizer": self.optimizer.state_dict()}
            if self.accelerator.scaler is not None:
                optimizer["scaler"] = self.accelerator.scaler.state_dict()
            where = self.folder / "checkpoints"
            checkpoint.save(where, step, self.state_dict(self.bare), optimizer, self._facts(), keep=self.config.keep)
        self.accelerator.wait_for_everyone()

    def saved(self) -> str:
        """Where the newest checkpoint is, as a clause of a message."""
        found = checkpoint.steps(self.folder / "checkpoints") if self.folder else []
        if not found:
            return "nothing was saved, since no folder was given" if not self.folder else "nothing was saved yet"
        return f"the state after step {found[-1]:,} is saved in {self.folder}: run the same call to go on"

    def restore(self, resume: bool) -> int:
        """Load the newest checkpoint of the folder, if any; returns its step."""
        where = self.folder / "checkpoints" if self.folder else None
        if where is None or not checkpoint.steps(where):
            return 0
        if not resume:
            raise TrainingError(f"{where} holds checkpoints of a run; give another folder, or resume=True to go on")
        found = checkpoint.latest(where)
        assert found is not None
        self._check_same_run(found)
        missing = sorted(set(self.state_dict(self.bare)) - set(found.model))
        unexpected = self.bare.load_state_dict(found.model, strict=False).unexpected_keys
        if missing or unexpected:
            raise TrainingError(f"{found.folder} is of another model: missing {missing[:3]}, unknown {unexpected[:3]}")
        self.optimizer.load_state_dict(found.optimizer["optimizer"])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(found.optimizer["scaler"])
        return int(found.state["step"])

    def close(self) -> None:
        """Give the model back without accelerate's wrapping of its `forward`."""
        self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        # What accelerate puts back is an attribute of the object, which would survive in copies of the model.
        if self.own_forward is None:
            self.bare.__dict__.pop("forward", None)
        self.bare.eval()

    def _facts(self) -> dict[str, Any]:
        return {
            "config": storage.plain(self.config),
            "processes": self.accelerator.num_processes,
            "precision": self.accelerator.mixed_precision,
            "identity": self.identity,
        }

    def _check_same_run(self, found: checkpoint.Checkpoint) -> None:
        now, then = json.loads(json.dumps(self._facts())), found.state
        common = (set(now["config"]) & set(then["config"])) - _FREE
        pairs = {name: (then["config"][name], now["config"][name]) for name in sorted(common)}
        identity = then.get("identity", {})
        pairs |= {name: (identity[name], value) for name, value in self.identity.items() if name in identity}
        pairs |= {name: (then[name], now[name]) for name in ("processes", "precision")}
        changed = [f"{name} was {old}, is {new}" for name, (old, new) in pairs.items() if old != new]
        if changed:
            raise TrainingError(
                f"{found.folder} belongs to a run with other settings: {'; '.join(changed)}. "
                "Use the same settings to resume, or another folder to start anew"
            )


def _broken(value: Tensor | None) -> bool:
    return value is not None and value.is_floating_point() and not bool(torch.isfinite(value).all())

"""The one training loop. It knows no task: a batch is a function of the step, a loss one of a batch.

Everything that happens in step s depends on (seed, s, process) and on the state after step s - 1 alone:
batches are asked for by step, the learning rate is a function of the step, and random generators are seeded
anew for each step. So a run that is killed and resumed, or that is evaluated in between, ends at the same
weights bit for bit on a CPU with the same number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from percept.training import gradients as ways
from percept.training.config import FitConfig, TrainingError
from percept.training.process import Interrupts, agreed, ahead, make_accelerator
from percept.training.progress import Metrics, Progress
from percept.training.run import Run

__all__ = ["FitConfig", "FitResult", "TrainingError", "fit"]


@dataclass(frozen=True)
class FitResult:
    """What a run leaves behind.

    Attributes:
        steps: updates done, those before a resume included; fewer than asked for where `stop` ended the run.
        resumed_from: step of the checkpoint this call began with; 0 for a fresh start.
        skipped: updates left out in this call because an fp16 gradient overflowed; the loss scale adapts by it.
        history: rows of metrics of the whole run.
        final: the last row.
        folder: where checkpoints and `metrics.jsonl` are, or None.
        device: device, precision, and why each was chosen, in one sentence.
    """

    steps: int
    resumed_from: int
    skipped: int
    history: list[dict[str, Any]]
    final: dict[str, Any]
    folder: Path | None
    device: str


def fit(
    model: nn.Module,
    batches: Callable[[int], Any],
    loss: ways.Loss | None,
    config: FitConfig,
    folder: str | Path | None = None,
    *,
    gradients: ways.Gradients | None = None,
    after_step: Callable[[nn.Module], object] | None = None,
    evaluate: Mapping[str, Callable[[nn.Module], float | Mapping[str, float]]] | None = None,
    stop: Callable[[list[dict[str, Any]]], bool] | None = None,
    log: Callable[[dict[str, Any]], object] | None = None,
    device: str = "auto",
    state_dict: Callable[[nn.Module], dict[str, Tensor]] = nn.Module.state_dict,
    identity: Mapping[str, Any] | None = None,
    resume: bool = True,
    progress: Callable[[str], object] | str | None = "auto",
) -> FitResult:
    """Train `model` in place with AdamW; it is left on its device, in evaluation mode.

    Args:
        model: trained where `requires_grad` is on; set to training mode.
        batches: `batches(step)` makes this process's batch of that step, always the same one. It is called in
            a thread, so it must draw from its own generator (made from the seed and the step), never a global
            one. A list of batches is a batch in parts, whose mean loss is minimised (accumulation).
        loss: `loss(model, batch) -> (scalar, numbers to log)`. Over several processes it must call
            `model(...)`. Batches sampled from the model itself (REINFORCE) are drawn here, under
            `torch.no_grad()`.
        folder: for `metrics.jsonl`, `config.json` and `checkpoints/`; None keeps nothing on disk.
        gradients: replaces the plain forward and backward pass, and `loss` (see
            `percept.training.gradients`).
        after_step: called with the bare model after each update, e.g. to clamp a parameter.
        evaluate: name -> `f(bare model)`, run on the main process without gradient, in evaluation mode, every
            `evaluate_every` steps and at the end; a dict of numbers is logged under `name/key`.
        stop: asked after each evaluation with all rows so far (and again by a resumed run): True ends the run.
        log: called with each row of metrics, a dict of plain values.
        device: as in `percept.device.pick_device`.
        state_dict: what of the model is saved; `percept.training.checkpoint.trainable_state` for adapters
            alone.
        identity: plain facts about data or model that a resumed run must share, such as the number of items.
        resume: go on from the newest checkpoint in `folder`; when off, a folder with checkpoints is an error.
        progress: receives progress lines; "auto" writes them to standard output, None is silent.

    Raises:
        TrainingError: A loss or gradient is not finite (an fp16 gradient: 21 times in a row), or the folder
            holds another run.
        KeyboardInterrupt: The run was interrupted; the step in progress was finished and saved first.
    """
    step_gradients = gradients or ways.plain(_required(loss))
    accelerator, why = make_accelerator(device, config.precision)
    folder = Path(folder) if folder else None
    run = Run(model, config, accelerator, folder, state_dict, after_step, identity or {})
    try:
        start = run.restore(resume)
        run.describe(why)
        main = accelerator.is_main_process
        metrics = Metrics(folder / "metrics.jsonl" if folder and main else None, log if main else None, start)
        speaker = Progress(config.steps, progress if main else None)
        speaker.note(why + (f"; resumed after step {start:,}" if start else ""))
        done, ended = start, agreed(accelerator, bool(start and stop and stop(metrics.rows)))
        with Interrupts(accelerator) as interrupts:
            for step, batch in ahead(batches, start, start if ended else config.steps, config.prefetch):
                row = run.update(step, batch, step_gradients)
                done, interrupted = step + 1, interrupts.wanted()
                last = done == config.steps
                speaker.update(done, float(row["loss"]))
                evaluated = evaluate and (last or _due(done, config.evaluate_every))
                if evaluate and evaluated:
                    row |= run.evaluate(evaluate)
                    last = last or agreed(accelerator, bool(stop and stop([*metrics.rows, _plain(row)])))
                if last or interrupted or evaluated or _due(done, config.log_every):
                    metrics.add(_plain(row))
                if last or interrupted or _due(done, config.checkpoint_every):
                    run.save(done)
                if interrupted and not last:
                    interrupts.stop(f"stopped after step {done:,}; {run.saved()}")
                if last:
                    break
    finally:
        run.close()
    final = metrics.rows[-1] if metrics.rows else {}
    return FitResult(done, start, run.skipped, metrics.rows, final, folder, why)


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _required(loss: ways.Loss | None) -> ways.Loss:
    if loss is None:
        raise ValueError("give either loss or gradients")
    return loss


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.item() if hasattr(value, "item") else value for name, value in row.items()}

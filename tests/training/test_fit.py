import json
import math
import os
import random
import signal

import numpy as np
import pytest
import torch
from torch import nn

from percept.training.checkpoint import trainable_state
from percept.training.config import FitConfig, TrainingError
from percept.training.fit import fit
from percept.training.process import make_accelerator
from percept.training.progress import Progress, read

TARGET = torch.tensor([[1.0, -2.0, 0.5]])


def line():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.2), nn.Linear(8, 1))


def batches(step):
    return torch.randn(16, 3, generator=torch.Generator().manual_seed(step))


def squared(model, batch):
    return ((model(batch) - batch @ TARGET.T) ** 2).mean(), {"size": len(batch)}


def train(model, folder=None, loss=squared, source=batches, **changes):
    options = {name: changes.pop(name) for name in list(changes) if name in fit.__kwdefaults__}
    config = FitConfig(**({"steps": 12, "log_every": 1, "checkpoint_every": 4} | changes))
    return fit(model, source, loss, config, folder, **({"device": "cpu", "progress": None} | options))


def weights(model):
    return torch.cat([value.detach().flatten() for value in model.parameters()])


def test_learns_and_says_what_it_did(tmp_path):
    model, rows, lines = line(), [], []
    result = train(model, tmp_path, steps=200, learning_rate=0.02, log=rows.append, progress=lines.append)
    assert result.final["loss"] < 0.1 * result.history[0]["loss"]
    assert (result.steps, result.resumed_from, result.skipped) == (200, 0, 0)
    assert rows == result.history == read(tmp_path / "metrics.jsonl")
    assert rows[3].keys() == {"step", "loss", "learning_rate", "gradient_norm", "size", "seconds"}
    assert rows[3]["step"] == 4
    assert lines[0].startswith("device cpu (cpu was asked for), precision fp32 (")
    assert lines[-1].startswith("step 200 of 200: loss ")
    assert len(lines) == 2  # the run is shorter than the interval between lines
    assert not model.training
    assert json.loads((tmp_path / "config.json").read_text())["device"] == lines[0]


def test_one_step_is_that_of_plain_torch():
    model, twin = line().eval(), line().eval()
    model[1].p = twin[1].p = 0.0
    train(model, steps=1, learning_rate=0.1, weight_decay=0.3, clip_norm=0.5)
    groups = [{"params": [twin[0].weight, twin[2].weight], "weight_decay": 0.3}]
    groups += [{"params": [twin[0].bias, twin[2].bias], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.1)
    squared(twin, batches(0))[0].backward()
    nn.utils.clip_grad_norm_(twin.parameters(), 0.5)
    optimizer.step()
    assert torch.equal(weights(model), weights(twin))


def test_a_resumed_run_ends_at_the_same_weights_bit_for_bit(tmp_path):
    whole, first, second = line(), line(), line()
    expected = train(whole, tmp_path / "whole").history

    def fail(step):
        if step == 9:
            raise OSError("the disk went away")
        return batches(step)

    with pytest.raises(OSError, match="disk"):
        train(first, tmp_path / "parts", source=fail, prefetch=0)
    assert [row["step"] for row in read(tmp_path / "parts/metrics.jsonl")] == list(range(1, 10))
    with (tmp_path / "parts/metrics.jsonl").open("a") as stream:
        stream.write('{"step": 1')  # what a kill in the middle of a write leaves
    nn.init.zeros_(second[0].weight)
    result = train(second, tmp_path / "parts")
    assert result.resumed_from == 8
    assert torch.equal(weights(second), weights(whole))
    strip = [{name: value for name, value in row.items() if name != "seconds"} for row in result.history]
    assert strip == [{name: value for name, value in row.items() if name != "seconds"} for row in expected]


def test_a_finished_run_is_only_loaded(tmp_path):
    first, second = line(), line()
    train(first, tmp_path)
    result = train(second, tmp_path, source=lambda step: pytest.fail("trained again"))
    assert torch.equal(weights(first), weights(second))
    assert result.final["step"] == 12


def test_evaluation_does_not_change_training():
    quiet, watched, seen = line(), line(), []

    def look(model):
        seen.append((model.training, torch.is_grad_enabled()))
        torch.rand(5), np.random.rand(5), random.random()
        return {"a": 1.0, "b": float(torch.rand(()))}

    train(quiet)
    functions = {"look": look, "norm": lambda model: 2.0}
    result = train(watched, evaluate=functions, evaluate_every=5, log_every=100)
    assert torch.equal(weights(quiet), weights(watched))
    assert seen == [(False, False)] * 3
    assert [row["step"] for row in result.history] == [5, 10, 12]
    assert result.final["look/a"] == 1.0
    assert result.final["norm"] == 2.0


def test_other_settings_data_or_model_are_refused(tmp_path):
    train(line(), tmp_path, identity={"pairs": 5})
    with pytest.raises(TrainingError, match=r"learning_rate was 0\.001, is 0\.5"):
        train(line(), tmp_path, learning_rate=0.5)
    with pytest.raises(TrainingError, match="pairs was 5, is 6"):
        train(line(), tmp_path, identity={"pairs": 6})
    with pytest.raises(TrainingError, match="resume=True"):
        train(line(), tmp_path, resume=False)
    with pytest.raises(TrainingError, match="another model"):
        train(nn.Sequential(nn.Linear(3, 8), nn.Linear(8, 1)), tmp_path)
    train(line(), tmp_path, keep=5, log_every=3)  # these do not touch the weights


def test_a_loss_that_is_not_finite_stops_with_everything_saved(tmp_path):
    model, twin = line(), line()

    def breaks(model, batch):
        value, numbers = squared(model, batch)
        return value * (math.nan if torch.equal(batch, batches(6)) else 1.0), numbers

    with pytest.raises(TrainingError, match=r"step 7: loss is nan.*state after step 6 is saved"):
        train(model, tmp_path, loss=breaks, checkpoint_every=0)
    assert torch.isfinite(weights(model)).all()
    result = train(model, tmp_path, checkpoint_every=0)  # the cause removed, the same call goes on
    train(twin)
    assert result.resumed_from == 6
    assert torch.equal(weights(model), weights(twin))


def test_a_gradient_that_is_not_finite_names_the_parameter():
    class Broken(nn.Linear):
        def forward(self, batch):
            # The value is fine, the slope of a root at zero is not.
            return super().forward(batch) + (self.bias - self.bias.detach()).sum().sqrt()

    with pytest.raises(TrainingError, match=r"step 1: gradient norm is .*, first in bias; no update"):
        train(Broken(3, 1))


def scaled(monkeypatch, overflows):
    """Let fp16's loss scaler, which needs no GPU itself, work on a CPU; overflow in the given steps."""
    from percept.training import fit as module

    def make(device, precision):
        accelerator, why = make_accelerator(device, precision)
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
        accelerator.native_amp, accelerator.state._mixed_precision = True, "fp16"
        return accelerator, why

    monkeypatch.setattr(module, "make_accelerator", make)

    def loss(model, batch):
        value, numbers = squared(model, batch)
        if any(torch.equal(batch, batches(step)) for step in overflows):
            # The value is fine, the slope of a root at zero is not.
            bias = model[2].bias
            value = value + (bias - bias.detach()).sum().sqrt()
        return value, numbers

    return loss


def test_an_overflow_of_the_fp16_gradient_is_skipped_and_the_scale_adapts(tmp_path, monkeypatch):
    model = line()
    result = train(model, tmp_path, loss=scaled(monkeypatch, (2, 3)))
    assert result.skipped == 2
    assert torch.isfinite(weights(model)).all()
    from percept.training import checkpoint

    assert checkpoint.latest(tmp_path / "checkpoints").optimizer["scaler"]["scale"] == 1.0


def test_fp16_gives_up_in_the_end_and_at_once_on_a_loss_that_is_not_finite(tmp_path, monkeypatch):
    with pytest.raises(TrainingError, match="step 21: gradient norm is"):
        train(line(), loss=scaled(monkeypatch, range(50)), steps=50)
    with pytest.raises(TrainingError, match=r"step 1: loss is nan.*state after step 0 is saved"):
        train(line(), tmp_path, loss=lambda model, batch: (squared(model, batch)[0] * math.nan, {}))


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_an_interrupt_finishes_the_step_and_saves(tmp_path, number, error):
    model, whole = line(), line()

    def interrupt(row):
        if row["step"] == 5:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with pytest.raises(error):
        train(model, tmp_path, log=interrupt, checkpoint_every=0)
    assert signal.getsignal(number) is before
    result = train(model, tmp_path, checkpoint_every=0)
    train(whole)
    assert result.resumed_from in (5, 6)
    assert torch.equal(weights(model), weights(whole))


def test_adapters_alone_can_be_saved(tmp_path):
    model = line()
    model[0].requires_grad_(False)
    train(model, tmp_path, state_dict=trainable_state)
    from percept.training import checkpoint

    found = checkpoint.latest(tmp_path / "checkpoints")
    assert found.model.keys() == {"2.weight", "2.bias"}
    twin = line()
    twin[0].requires_grad_(False)
    train(twin, tmp_path, state_dict=trainable_state)
    assert torch.equal(weights(model), weights(twin))


def test_batches_sampled_from_the_model_itself_learn():
    """REINFORCE on a two-armed choice: the loop needs to know nothing about it."""
    policy = nn.Linear(1, 2, bias=False)

    def reinforce(model, batch):
        logits = model(batch).log_softmax(dim=-1)
        choice = logits.detach().exp().multinomial(1)
        reward = (choice == 1).float()
        return -((reward - reward.mean()) * logits.gather(1, choice)).mean(), {"reward": reward.mean()}

    result = train(policy, loss=reinforce, source=lambda step: torch.ones(64, 1), steps=80, learning_rate=0.1)
    assert result.final["reward"] > 0.9
    assert isinstance(result.final["reward"], float)


def test_precision_and_device_can_change_in_one_process_and_leave_the_model_clean():
    model = line()
    for precision in ("fp32", "bf16", "fp32"):
        result = train(model, precision=precision)
        assert f"precision {precision}" in result.device
        assert "forward" not in model.__dict__
    assert model[0].weight.dtype == torch.float32


def test_bf16_loss_curve_follows_fp32():
    curves = []
    for precision in ("fp32", "bf16"):
        curves.append([row["loss"] for row in train(line(), precision=precision, learning_rate=0.02, steps=60).history])
    assert curves[0] != curves[1]
    assert np.allclose(*curves, rtol=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"learning_rate": math.inf}, "learning_rate must be positive"),
        ({"warmup": -1}, "warmup must not be negative"),
    ],
)
def test_settings_are_checked(change, message):
    with pytest.raises(ValueError, match=message):
        FitConfig(**({"steps": 1} | change))


def test_nothing_to_train_and_no_loss_are_named():
    with pytest.raises(ValueError, match="no trainable parameter"):
        train(line().requires_grad_(False))
    with pytest.raises(ValueError, match="either loss or gradients"):
        train(line(), loss=None)


def test_progress_outside_a_terminal_is_one_plain_line_now_and_then(capsys, monkeypatch):
    clock = iter(range(0, 1000, 3))
    monkeypatch.setattr("percept.training.progress.time.monotonic", lambda: next(clock))
    progress = Progress(100, "auto", every=10)
    for step in range(1, 101):
        progress.update(step, 1.0 / step)
    lines = capsys.readouterr().out.splitlines()
    assert 20 < len(lines) < 35
    assert lines[1].startswith("step 8 of 100: loss 0.1250, 21 s, about 5 min left")
    assert not any("\r" in each or "\x1b" in each for each in lines)


def test_a_constant_schedule_keeps_its_peak_after_the_rise():
    rates = [row["learning_rate"] for row in train(line(), steps=6, warmup=2, schedule="constant").history]
    assert rates == [0.0005, 0.001, 0.001, 0.001, 0.001, 0.001]
    with pytest.raises(ValueError, match='schedule must be "cosine" or "constant"'):
        FitConfig(steps=1, schedule="linear")


def test_a_run_that_was_ended_early_stays_ended(tmp_path):
    def enough(rows):
        return sum("count" in row for row in rows) == 2

    options = {"evaluate": {"count": lambda model: 1.0}, "evaluate_every": 3, "stop": enough}
    ended, again = line(), line()
    result = train(ended, tmp_path, **options)
    assert result.steps == result.final["step"] == 6
    resumed = train(again, tmp_path, **options)
    assert (resumed.steps, resumed.resumed_from, len(resumed.history)) == (6, 6, 6)
    assert torch.equal(weights(again), weights(ended))
    assert train(line(), steps=12, evaluate={"count": lambda model: 1.0}).steps == 12

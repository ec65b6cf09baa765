import random

import numpy as np
import pytest
import torch

from percept.device import DeviceError, autocast, pick_device, pick_precision, seed_everything


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def fake_gpu(monkeypatch, *, bf16):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "Test GPU")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16)


def test_auto_takes_the_cpu_where_nothing_else_is(no_gpu):
    choice = pick_device()
    assert choice.device == torch.device("cpu")
    assert "neither CUDA nor MPS" in choice.reason
    assert pick_precision(choice.device).precision == "fp32"


@pytest.mark.parametrize(("bf16", "expected"), [(True, "bf16"), (False, "fp16")])
def test_auto_takes_a_gpu_and_its_format(monkeypatch, bf16, expected):
    fake_gpu(monkeypatch, bf16=bf16)
    assert pick_device().device.type == "cuda"
    assert "Test GPU" in pick_device().reason
    assert pick_precision("cuda").precision == expected
    if not bf16:
        with pytest.raises(DeviceError, match="does not have it"):
            pick_precision("cuda", "bf16")


def test_a_named_device_is_never_replaced(no_gpu, monkeypatch):
    for name in ("cuda", "cuda:1", "mps"):
        with pytest.raises(DeviceError, match="was asked for"):
            pick_device(name)
    with pytest.raises(DeviceError, match="unknown device"):
        pick_device("gpu")
    with pytest.raises(DeviceError, match="not supported"):
        pick_device("meta")
    fake_gpu(monkeypatch, bf16=True)
    assert pick_device("cuda:1").device.index == 1
    with pytest.raises(DeviceError, match="2 CUDA devices"):
        pick_device("cuda:2")


def test_precision_by_name():
    assert pick_precision("cpu", "bf16") == ("bf16", "bf16 was asked for")
    with pytest.raises(DeviceError, match="fp16 is not supported on the CPU"):
        pick_precision("cpu", "fp16")
    with pytest.raises(DeviceError, match="unknown precision"):
        pick_precision("cpu", "fp8")


def test_autocast_changes_products_only_when_asked():
    cpu, x = torch.device("cpu"), torch.ones(2, 2)
    with autocast(cpu, "fp32"):
        assert (x @ x).dtype == torch.float32
    with autocast(cpu, "bf16"):
        assert (x @ x).dtype == torch.bfloat16


def test_seeds():
    draws = []
    for _ in range(2):
        seed_everything(3)
        draws.append((random.random(), float(np.random.rand()), float(torch.rand(()))))
    assert draws[0] == draws[1]
    with pytest.raises(ValueError, match="seed must be"):
        seed_everything(-1)

"""What surrounds the steps of a run: the accelerator, random seeds, batches made ahead, and interruption."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import FrameType, TracebackType
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType

from percept.device import pick_device, pick_precision

_SUPPORTED = {DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU}


def make_accelerator(device: str = "auto", precision: str = "auto") -> tuple[Accelerator, str]:
    """An `Accelerator` for a device and a precision, and a sentence that says what was chosen and why.

    Args:
        device: as in `percept.device.pick_device`; `accelerate launch --cpu` wins over "auto".
        precision: as in `percept.device.pick_precision`; `accelerate launch --mixed_precision` wins over "auto".

    Raises:
        ValueError: accelerate was configured for something this loop does not support (FSDP, DeepSpeed, TPU).
    """
    if device == "auto" and os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes"):
        device = "cpu"
    choice = pick_device(device)
    launched = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if precision == "auto" and launched in ("bf16", "fp16"):
        precision = launched
    name, why = pick_precision(choice.device, precision)
    if choice.device.type == "cuda" and choice.device.index is not None and "LOCAL_RANK" not in os.environ:
        torch.cuda.set_device(choice.device)
    # accelerate keeps the first device and precision of a process; a notebook trains more than one model. The
    # process group of a launched run belongs to the partial state, which stays.
    AcceleratorState._reset_state(reset_partial_state=not dist.is_initialized())
    accelerator = Accelerator(
        cpu=choice.device.type == "cpu",
        mixed_precision={"fp32": "no"}.get(name, name),
        step_scheduler_with_optimizer=False,
    )
    if accelerator.distributed_type not in _SUPPORTED:
        raise ValueError(
            f"accelerate is configured for {accelerator.distributed_type.value}; this loop trains on one "
            "device or by DDP over several: run `accelerate launch --multi_gpu` or `--cpu --num_processes N`"
        )
    many = f", {accelerator.num_processes} processes" if accelerator.num_processes > 1 else ""
    return accelerator, f"device {accelerator.device} ({choice.reason}), precision {name} ({why}){many}"


def seed_step(seed: int, step: int, accelerator: Accelerator) -> None:
    """Seed every global generator for one step of one process.

    Nothing drawn earlier, such as by an evaluation, can then change a step, and there is no state to save.
    """
    words = np.random.SeedSequence([seed, step, accelerator.process_index]).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
    # torch.manual_seed would also queue a call for CUDA that is never made on a machine without it.
    torch.default_generator.manual_seed(int(words[2]))
    if accelerator.device.type == "cuda":
        torch.cuda.manual_seed(int(words[2]))
    elif accelerator.device.type == "mps":
        torch.mps.manual_seed(int(words[2]))


def ahead(batches: Callable[[int], Any], first: int, last: int, depth: int) -> Iterator[tuple[int, Any]]:
    """`(step, batches(step))` for each step, with up to `depth` batches made ahead in a thread.

    Args:
        batches: see `percept.training.fit.fit`.
        first, last: first step, and the step after the last.
        depth: 0 makes each batch when it is needed.
    """
    if depth == 0:
        yield from ((step, batches(step)) for step in range(first, last))
        return
    # Fetching is one thread: a source may use more inside, and the order of reads stays that of the steps.
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    waiting: deque[Future[Any]] = deque()
    try:
        for step in range(first, last):
            while len(waiting) <= depth and step + len(waiting) < last:
                waiting.append(pool.submit(batches, step + len(waiting)))
            yield step, waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def agreed(accelerator: Accelerator, wish: bool) -> bool:
    """Whether any process wishes so; every process must ask, and all get the same answer."""
    if accelerator.num_processes == 1:
        return wish
    flag = torch.tensor(float(wish), device=accelerator.device)
    return bool(accelerator.reduce(flag, "sum").item())


class Interrupts:
    """Turns Ctrl-C, the notebook's stop button and SIGTERM into a wish that is granted between two steps.

    An exception in the middle of an update could leave half-changed weights. A second Ctrl-C interrupts at
    once.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.signal = 0
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():  # only there may handlers be set
            self.before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt("interrupted twice; the last checkpoint is the newest complete one")
        self.signal = number

    def wanted(self) -> bool:
        """Whether to stop now; all processes get the same answer, since all must leave at the same step."""
        return agreed(self.accelerator, self.signal != 0)

    def stop(self, message: str) -> None:
        """Leave as the signal would have."""
        if self.signal == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)
        raise KeyboardInterrupt(message)

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def _load(name):
    spec = importlib.util.spec_from_file_location(f"percept_test_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def towers():
    return _load("towers")


@pytest.fixture(scope="session")
def tiny():
    return _load("tiny_run")


@pytest.fixture(scope="session")
def script():
    """Starts a script of this folder: `script("tiny_run", *arguments, processes=1)` -> list of processes."""

    def start(name, *arguments, processes=1, **environment):
        shared = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **environment}
        if processes > 1:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = str(free.getsockname()[1])
            shared |= {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            shared |= {"ACCELERATE_USE_CPU": "true", "LOCAL_WORLD_SIZE": str(processes)}
        command = [sys.executable, str(HERE / f"{name}.py"), *map(str, arguments)]
        return [
            subprocess.Popen(
                command, env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} if processes
                > 1 else {**os.environ, **shared}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for rank in range(processes)
        ]  # fmt: skip

    return start


@pytest.fixture(scope="session")
def finish():
    """Waits for processes and returns their standard outputs; fails with the error output of a failed one."""

    def wait(processes, expect=0):
        outputs = [process.communicate(timeout=240) for process in processes]
        for process, (_, errors) in zip(processes, outputs, strict=True):
            assert process.returncode == expect, errors[-3000:]
        return [output for output, _ in outputs]

    return wait

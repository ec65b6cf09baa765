"""Shared by all tests: no network, fixed seeds, run folders in a temporary place."""

import os
import random
import socket
import sys

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"


@pytest.fixture(autouse=True, scope="session")
def _home_of_session(tmp_path_factory):
    """Session fixtures that start runs never write into the reader's `runs/`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERCEPT_HOME", str(tmp_path_factory.mktemp("runs")))
        yield


@pytest.fixture(autouse=True)
def _home_of_test(tmp_path, monkeypatch):
    monkeypatch.setenv("PERCEPT_HOME", str(tmp_path / "runs"))


@pytest.fixture(autouse=True)
def _seeds():
    """Seed what is already imported; a test without torch shall not pay for importing it."""
    random.seed(0)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(0)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_network(request, monkeypatch):
    """Only tests marked `network` may leave this machine."""
    if request.node.get_closest_marker("network"):
        return
    connect = socket.socket.connect

    def local_only(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"a test tried to reach {address[0]}; mark it `network` if it must")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local_only)

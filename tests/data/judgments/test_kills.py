"""Answers survive kills at random moments (`kill_trial.py` runs it by hand with other numbers)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TRIAL = Path(__file__).with_name("kill_trial.py")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the trial forks its raters")


def counts(*arguments):
    command = [sys.executable, str(TRIAL), *map(str, arguments)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=280).stdout)
    print(found)
    return found


def check(found, answers, kills):
    assert (found["answers"], found["lost"], found["doubled"], found["wrong"]) == (answers, 0, 0, 0)
    assert found["kills"] == kills
    # A kill between storing and reporting leaves an answer that nobody was told of; it must be there all the same.
    assert answers - kills <= found["acknowledged"] <= answers


def test_200_answers_by_two_raters_with_10_kills():
    check(counts(200, 10, 3), 200, 10)


@pytest.mark.slow
def test_1000_answers_by_two_raters_with_50_kills():
    check(counts(1000, 50, 0), 1000, 50)

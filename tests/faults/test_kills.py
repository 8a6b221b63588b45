"""A kill at any moment of a write leaves the old state or the new one, and nothing behind after the next."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.kills import CASES

STRIDE = 23  # of 92 to 965 lines; a stride of 1 takes minutes


def run(module, *arguments):
    """Run a module of tests in a process of its own, and return what it prints."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", CASES)
def test_every_moment_is_complete(tmp_path, case):
    found = run("tests.faults.kills", case, tmp_path, STRIDE)
    assert found["problems"] == []
    assert found["kills"] >= 4


@pytest.mark.parametrize("case", ["leave-one-out", "verify"])
def test_retraining_loses_no_result(tmp_path, case):
    """Results are kept one by one, so that kills at random moments leave more and more of them."""
    pytest.importorskip("torch")
    found = run("tests.faults.retraining_kills", case, tmp_path, 8)
    assert found["problems"] == []
    assert found["kills"] == 8
    assert found["grown"] > 2

"""A kill at any moment of a write leaves the old state or the new one, and nothing behind after the next."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.kills import CASES

STRIDE = 11  # of 92 to 965 lines; a stride of 1 takes minutes


@pytest.mark.parametrize("case", CASES)
def test_every_moment_is_complete(tmp_path, case):
    command = [sys.executable, "-m", "tests.faults.kills", case, str(tmp_path), str(STRIDE)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["problems"] == []
    assert found["kills"] > 20

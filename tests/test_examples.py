"""The examples of recorded loops, run small as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("record_*.py"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(name, tmp_path):
    found = subprocess.run(
        [sys.executable, ROOT / "examples" / name, "--quick"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'backends'}", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-2000:]
    assert "of them proved" in found.stdout
    assert "states" not in found.stdout.split("\n")[0]


def test_there_is_one_for_each_framework():
    assert EXAMPLES == ["record_keras.py", "record_lightning.py", "record_torch.py", "record_transformers.py"]

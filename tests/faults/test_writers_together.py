"""Several processes that write to one folder at once: nothing is lost, and readers see whole states."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

import dataval as dv
from dataval.retraining.store import Store
from tests.faults.recorded import first, second

ROOT = Path(__file__).parents[2]

ADD = """
import sys
from pathlib import Path
import numpy as np
from dataval.retraining.store import Store
folder, writer = Path(sys.argv[1]), int(sys.argv[2])
for i in range(200):
    if i % 50 == 0:
        store = Store(folder, "k")
    store.add({f"{writer}.{i}": np.array(1000 * writer + i), "shared": np.array(7)})
"""

SAVE = """
import sys
from tests.faults.recorded import first, second
for _ in range(8):
    for run in (first(), second()):
        run.save(sys.argv[1], overwrite=True)
"""


def start(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def finish(process):
    _, errors = process.communicate()
    assert process.returncode == 0, errors


def test_stores(tmp_path):
    for process in [start(ADD, tmp_path, writer) for writer in range(2)]:
        finish(process)
    found = Store(tmp_path, "k")
    for writer in range(2):
        kept = found.take([f"{writer}.{i}" for i in range(200)])
        np.testing.assert_array_equal(kept, 1000 * writer + np.arange(200))
    assert found.take(["shared"]) == 7


def test_runs(tmp_path):
    folder = first().save(tmp_path / "run")
    savers = [start(SAVE, folder) for _ in range(2)]
    sums, loads = {first().weights.sum(), second().weights.sum()}, 0
    while any(saver.poll() is None for saver in savers):
        assert dv.TrainingRun.load(folder).weights.sum() in sums
        loads += 1
    for saver in savers:
        finish(saver)
    assert loads > 10
    assert len(list(folder.iterdir())) == 3

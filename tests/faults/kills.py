"""Kill what writes at the lines of the code that does, and look at what is left.

``python -m tests.faults.kills CASE FOLDER STRIDE`` does so at every STRIDE-th line, and at random moments. One
process, without a framework or threads, forks a child a kill. It prints as JSON how many kills there were and
what went wrong.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from time import sleep
from types import FrameType
from typing import Any

import numpy as np

import dataval as dv
from dataval.evaluation.comparison import Comparison, MethodResult, Outcome
from dataval.metrics.fidelity import SubsetTruth
from dataval.retraining.store import Store
from tests.faults.recorded import FORMAT_1, first, second

WRITERS = ("dataval/files/", "dataval/retraining/store.py")
N_RANDOM = 15


def killed_at(line: int, write: Callable[[], object]) -> bool:
    """Whether a child that writes got to its n-th line in one of the writers' files, and was killed there."""
    child = os.fork()
    if child == 0:
        left = line

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal left
            if not any(part in frame.f_code.co_filename for part in WRITERS):
                return None
            left -= event == "line"
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        write()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def killed_after(seconds: float, write: Callable[[], object]) -> None:
    """Let a child write again and again, and kill it after a while."""
    child = os.fork()
    if child == 0:
        while True:
            write()
    sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


class Runs:
    """A run that replaces another one, or nothing."""

    def __init__(self, folder: Path, start: str) -> None:
        self.folder, self.start = folder / "run", start
        self.old, self.new = first(), second()

    def prepare(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.start == "format_1":
            shutil.copytree(FORMAT_1, self.folder)
        elif self.start == "format_2":
            self.old.save(self.folder)
        if self.start != "nothing":
            (self.folder / "notes.txt").write_text("mine")

    def write(self) -> None:
        self.new.save(self.folder, overwrite=True)

    def check(self) -> None:
        """Find the old run or the new one, and no file too many after one more save."""
        try:
            found = dv.TrainingRun.load(self.folder).weights.sum()
        except FileNotFoundError:
            assert self.start == "nothing", "the old run is lost"
            found = self.old.weights.sum()
        assert found in (self.old.weights.sum(), self.new.weights.sum()), "neither run"
        self.write()
        left = sorted(path.name.split("-")[0] for path in self.folder.iterdir())
        notes = [] if self.start == "nothing" else ["notes.txt"]
        assert left == ["manifest.json", *notes, "record", "states"], left
        assert dv.TrainingRun.load(self.folder).weights.sum() == self.new.weights.sum()


class Truths:
    """One file that replaces another."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "truth.npz"
        self.old, self.new = (SubsetTruth(np.eye(3, dtype=bool), np.full(3, x)) for x in (1.0, 2.0))

    def prepare(self) -> None:
        self.old.save(self.path)

    def write(self) -> None:
        self.new.save(self.path)

    def check(self) -> None:
        assert SubsetTruth.load(self.path).changes[0] in (1.0, 2.0)
        self.write()
        assert [path.name for path in self.path.parent.iterdir()] == ["truth.npz"]


class Comparisons:
    """A record and its values, that replace others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        methods = (MethodResult(name="a", outcomes=(Outcome(seed=0),)),)
        self.old, self.new = (
            Comparison((0,), methods, {"a": np.full((1, 4), x)}, (f"{x}",)) for x in (1.0, 2.0)
        )

    def prepare(self) -> None:
        self.old.save(self.folder)

    def write(self) -> None:
        self.new.save(self.folder)

    def check(self) -> None:
        found = Comparison.load(self.folder)
        assert found.problems == (f"{found.values['a'][0, 0]}",)
        self.write()
        assert len(list(self.folder.iterdir())) == 2


class Stores:
    """Results that are added to others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        shutil.rmtree(self.folder)
        Store(self.folder, "k").add({"a": np.float64(1)})

    def write(self) -> None:
        Store(self.folder, "k").add({"b": np.float64(2), "c": np.float64(3)})

    def check(self) -> None:
        store = Store(self.folder, "k")
        assert store.take(["a"]) == 1
        assert ("b" in store) == ("c" in store), "half of what was added"
        self.write()
        assert Store(self.folder, "k").take(["a", "b", "c"]).tolist() == [1, 2, 3]


CASES: dict[str, Callable[[Path], Any]] = {
    "run over nothing": lambda folder: Runs(folder, "nothing"),
    "run over format 1": lambda folder: Runs(folder, "format_1"),
    "run over format 2": lambda folder: Runs(folder, "format_2"),
    "truth": Truths,
    "comparison": Comparisons,
    "store": Stores,
}


def main() -> None:
    case, folder, stride = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    subject, problems, n_kills, line = CASES[case](folder), [], 0, 0

    def look(when: str) -> None:
        try:
            subject.check()
        except (AssertionError, ValueError, OSError) as error:
            problems.append(f"killed {when}: {error!r}")

    subject.prepare()
    while killed_at(line, subject.write):
        look(f"at line {line}")
        n_kills, line = n_kills + 1, line + stride
        subject.prepare()
    random = Random(0)
    for _ in range(N_RANDOM):
        seconds = random.uniform(0, 0.03)
        killed_after(seconds, subject.write)
        look(f"after {seconds} s")
    print(json.dumps({"kills": n_kills + N_RANDOM, "problems": problems}))


if __name__ == "__main__":
    main()

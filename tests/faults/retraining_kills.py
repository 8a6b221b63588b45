"""Kill what retrains at random moments, again and again over one folder, and look at what it kept.

``python -m tests.faults.retraining_kills CASE FOLDER KILLS`` forks a child a kill, from one process whose
PyTorch has one thread. It prints as JSON how many kills there were, after how many of them more was kept, and
what went wrong.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from time import sleep

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import dataval as dv

N = 120
Samples = tuple[NDArray[np.float64], NDArray[np.int64]]


def _fitted(
    make: Callable[[dv.Learner], dv.ValuationMethod],
) -> tuple[dv.ValuationMethod, tuple[NDArray, NDArray]]:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(N, 4)), rng.integers(0, 3, N)
    torch.manual_seed(0)
    learner = dv.Learner(
        nn.Linear(4, 3).double(), training=dv.Training(epochs=6, batch_size=20), progress=False
    )
    return make(learner).fit(X, y), (X[:9], y[:9])


def leave_one_out(folder: Path | None) -> NDArray[np.float64]:
    method, validation = _fitted(partial(dv.LeaveOneOut, folder=folder, group_size=1))
    return method.score(*validation)


def verify(folder: Path | None) -> NDArray[np.float64]:
    method, validation = _fitted(dv.HyDRA)
    fidelity = method.verify(*validation, n_subsets=N, fraction=0.05, folder=folder, group_size=1)
    return np.array([fidelity.score])


CASES = {"leave-one-out": leave_one_out, "verify": verify}


def kept(folder: Path) -> set[str]:
    """Return the whole records in a folder: each is one retraining."""
    files = folder.rglob("*.jsonl")
    return {line for path in files for line in path.read_text(encoding="utf-8").split("\n")[:-1]}


def killed_when_there_is_more(folder: Path, n: int, seconds: float, retrain: Callable[[], object]) -> None:
    """Let a child retrain until it has kept n results more, and kill it some time later."""
    wanted, child = len(kept(folder)) + n, os.fork()
    if child == 0:
        retrain()
        os._exit(0)
    while len(kept(folder)) < wanted and os.waitpid(child, os.WNOHANG) == (0, 0):
        sleep(0.002)
    sleep(seconds)
    with suppress(ProcessLookupError, ChildProcessError):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def main() -> None:
    retrain, folder, n_kills = CASES[sys.argv[1]], Path(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    expected, random, problems, before, grown = retrain(None), Random(0), [], set(), 0
    for kill in range(n_kills):
        killed_when_there_is_more(
            folder, random.randint(0, 4), random.uniform(0, 0.02), partial(retrain, folder)
        )
        found = kept(folder)
        if not found >= before:
            problems.append(f"kill {kill} lost {len(before - found)} results")
        before, grown = found, grown + (len(found) > len(before))
    if not np.array_equal(retrain(folder), expected):
        problems.append("other values than without a folder")
    after = kept(folder)
    if not after >= before or len({json.loads(line)["name"] for line in after}) != len(after):
        problems.append("a result that was kept was found again")
    problems += [f"{path} was left" for path in folder.rglob("*") if path.is_file() and path.suffix != ".jsonl"]
    print(json.dumps({"kills": n_kills, "grown": grown, "problems": problems}))


if __name__ == "__main__":
    main()

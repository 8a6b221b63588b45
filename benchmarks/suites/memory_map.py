"""Memory and time of training and scoring samples that lie in a file, beside a plain loop over the same file.

200,000 samples of 784 float32 (598 MiB) in a memory map, softmax regression or a network with one hidden layer,
two epochs of batches of 256, Hessian-free HyDRA with 32 MiB of checkpoints, 1,000 validation samples in memory.
Each program runs in a process of its own, after a tiny run that has the framework load what it needs. Reported
are the peaks of the resident memory (VmRSS, which counts the pages of a map) and of the anonymous part of it
(RssAnon), above what they are once torch is imported, and above what they are after the tiny run. Linux only.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.runner.memory import Peaks, in_fresh_process
from benchmarks.runner.rows import Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Figures, Suite

N, FEATURES, CLASSES, N_VALIDATION = 200_000, 784, 10, 1000
EPOCHS, BATCH = 2, 256
PROGRAMS = ("plain loop", "train", "train and score")


def make_files(folder: Path, n: int) -> None:
    """Write samples of ten overlapping clusters, some at a time."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(CLASSES, FEATURES)).astype(np.float32) / 8
    y = rng.integers(0, CLASSES, n + N_VALIDATION)
    X = np.lib.format.open_memmap(folder / "X.npy", "w+", dtype=np.float32, shape=(n + N_VALIDATION, FEATURES))
    for part in np.array_split(np.arange(len(y)), 50):
        X[part] = centers[y[part]] + rng.normal(size=(len(part), FEATURES)).astype(np.float32)
    np.save(folder / "y.npy", y)


def make_model(name: str) -> nn.Module:
    """Return one of the two models."""
    torch.manual_seed(0)
    if name == "linear":
        return nn.Linear(FEATURES, CLASSES)
    return nn.Sequential(nn.Linear(FEATURES, 64), nn.ReLU(), nn.Linear(64, CLASSES))


def plain_loop(model: nn.Module, X: np.ndarray, y: np.ndarray) -> None:
    """Train as a PyTorch tutorial does, reading each batch from the file."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(EPOCHS):
        for batch in np.array_split(np.random.default_rng(0).permutation(len(X)), -(-len(X) // BATCH)):
            optimizer.zero_grad()
            inputs, targets = torch.from_numpy(np.asarray(X[batch])), torch.from_numpy(y[batch])
            nn.functional.cross_entropy(model(inputs), targets).backward()
            optimizer.step()


def run(program: str, name: str, folder: str) -> dict[str, Any]:
    """Run one program in this process."""
    X, y = np.load(Path(folder, "X.npy"), mmap_mode="r"), np.load(Path(folder, "y.npy"))
    few = slice(len(X) - N_VALIDATION - BATCH, None)
    with Peaks() as whole:
        carry_out(program, make_model(name), np.array(X[few]), y[few])
        start, peaks = time.perf_counter(), Peaks()
        with peaks:
            carry_out(program, make_model(name), X, y)
        seconds = time.perf_counter() - start
    return {
        "seconds": round(seconds, 1),
        "above_import_MiB": whole.rises(),
        "above_tiny_run_MiB": peaks.rises(),
    }


def carry_out(program: str, model: nn.Module, X: np.ndarray, y: np.ndarray) -> None:
    """Run one program on some samples, the last of which are for validation."""
    if program == "plain loop":
        plain_loop(model, X[:-N_VALIDATION], y[:-N_VALIDATION])
    else:
        _value(model, X, y, scores=program == "train and score")


def _value(model: nn.Module, X: np.ndarray, y: np.ndarray, *, scores: bool) -> None:
    import dataval as dv

    n = len(X) - N_VALIDATION
    training = dv.Training(optimizer=dv.SGD(learning_rate=0.05, momentum=0.9), epochs=EPOCHS, batch_size=BATCH)
    learner = dv.Learner(model, training=training, progress=False, checkpoints=dv.Checkpoints(max_bytes=2**25))
    method = dv.HyDRA(learner).fit(X[:n], y[:n])
    if scores:
        values = method.score(np.array(X[n:]), y[n:])
        assert np.isfinite(values).all()


def find(settings: Settings) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        make_files(Path(folder), settings.pick(N, 2000))
        for name in ("linear", "hidden layer"):
            for program in PROGRAMS:
                found = in_fresh_process(run, program, name, folder)
                yield from rows(f"{name}, {program}", found)


def rows(title: str, found: dict[str, Any]) -> Iterator[Row]:
    """Yield memory and time of one program."""
    anonymous = found["above_tiny_run_MiB"]["RssAnon"]
    yield Row(f"{title}: anonymous memory", anonymous, "MiB above a tiny run", details=found)
    yield Row(f"{title}: time", found["seconds"], "s")


SUITE = Suite(
    "memory_map",
    "Memory and time of training and scoring 200,000 samples that lie in a file of 598 MiB, beside a "
    "plain loop over the same file, each in a process of its own. Linux only.",
    [Figures("memory map", find, "MiB")],
    cpu_only=True,
)

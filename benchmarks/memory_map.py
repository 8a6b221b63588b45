"""Memory and time of training and scoring samples that lie in a file, beside a plain loop over the same file.

200,000 samples of 784 float32 (598 MiB) in a memory map, softmax regression or a network with one hidden layer,
two epochs of batches of 256, Hessian-free HyDRA with 32 MiB of checkpoints, 1,000 validation samples in memory.
Each program runs in a process of its own, after a tiny run that has the framework load what it needs. Reported
are the peaks of the resident memory (VmRSS, which counts the pages of a map) and of the anonymous part of it
(RssAnon), above what they are once torch is imported, and above what they are after the tiny run. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _common import report
from torch import nn

N, FEATURES, CLASSES, N_VALIDATION = 200_000, 784, 10, 1000
EPOCHS, BATCH = 2, 256
PROGRAMS = ("plain loop", "train", "train and score")


class Peaks:
    """Watches this process's resident memory, every five milliseconds."""

    def __enter__(self) -> Peaks:
        self._before = _memory()
        self._peaks, self._stop = self._before, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def rises(self) -> dict[str, float]:
        """Return the rise of each in MiB."""
        return {key: round((self._peaks[key] - self._before[key]) / 1024, 1) for key in self._before}

    def _watch(self) -> None:
        while not self._stop.is_set():
            self._peaks = {key: max(self._peaks[key], now) for key, now in _memory().items()}
            time.sleep(5e-3)


def _memory() -> dict[str, int]:
    """Return VmRSS and RssAnon in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {key: int(fields[key].split()[0]) for key in ("VmRSS", "RssAnon")}


def make_files(folder: Path) -> None:
    """Write samples of ten overlapping clusters, some at a time."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(CLASSES, FEATURES)).astype(np.float32) / 8
    y = rng.integers(0, CLASSES, N + N_VALIDATION)
    X = np.lib.format.open_memmap(folder / "X.npy", "w+", dtype=np.float32, shape=(N + N_VALIDATION, FEATURES))
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


def run(program: str, name: str, folder: Path) -> dict[str, Any]:
    """Run one program in this process."""
    X, y = np.load(folder / "X.npy", mmap_mode="r"), np.load(folder / "y.npy")
    few = slice(N - BATCH, None)
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


def main() -> None:
    """Run every program on both models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=3, metavar=("PROGRAM", "MODEL", "FOLDER"))
    one = parser.parse_args().one
    if one:
        print(json.dumps(run(one[0], one[1], Path(one[2]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_files(Path(folder))
        found = {
            f"{name}, {program}": _in_process(program, name, folder)
            for name in ("linear", "hidden layer")
            for program in PROGRAMS
        }
    size = N * FEATURES * 4 / 2**20
    report("memory_map", {"file_MiB": round(size, 1), "epochs": EPOCHS, "batch_size": BATCH, "results": found})


def _in_process(program: str, name: str, folder: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", program, name, folder]
    found: dict[str, Any] = json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout
    )
    print(f"{name}, {program}: {found}", file=sys.stderr)
    return found


if __name__ == "__main__":
    main()

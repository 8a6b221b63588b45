"""Memory that exact ``score`` takes beyond the checkpoints, as the number of samples grows.

Each size runs in a process of its own: LeNet, batch 50, 320 updates whatever the size (so the checkpoints are
the same), 200 validation images. Reported is by how much the resident memory rises above what it was when
scoring began. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

from _common import LeNet, report

import dataval as dv

UPDATES, BATCH = 320, 50


class PeakMemory:
    """Samples this process's resident memory every millisecond."""

    def __enter__(self) -> PeakMemory:
        self.start = self.peak = _resident()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.is_set():
            self.peak = max(self.peak, _resident())
            time.sleep(1e-3)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def measure(n: int, hessian: bool) -> float:
    data = dv.datasets.load_fashion_mnist(n_train=n, n_val=200)
    training = dv.Training(
        optimizer=dv.SGD(learning_rate=0.01, momentum=0.9), epochs=UPDATES * BATCH // n, batch_size=BATCH
    )
    learner = dv.Learner(LeNet(), training=training, progress=False)
    warm = dv.HyDRA(learner, hessian=hessian).fit(data.X_train[:500], data.y_train[:500])
    warm.score(data.X_val, data.y_val)  # lazily loaded code is not what is measured
    del warm
    hydra = dv.HyDRA(learner, hessian=hessian).fit(data.X_train, data.y_train)
    with PeakMemory() as memory:
        hydra.score(data.X_val, data.y_val)
    return (memory.peak - memory.start) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 4000, 16000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--hessian", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.hessian)))
        return
    found: dict[str, dict[int, float]] = {}
    for name, flag in {"exact": ["--hessian"], "hessian_free": []}.items():
        found[name] = {}
        for n in arguments.sizes:
            command = [sys.executable, __file__, "--one", str(n), *flag]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found[name][n] = round(json.loads(output.splitlines()[-1]), 1)
    report("hydra_memory", {"updates": UPDATES, "mebibytes_above_start_by_n": found})


if __name__ == "__main__":
    main()

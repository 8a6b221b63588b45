"""Measures one peer, in the peers' environment: ``-m benchmarks.peers.run PEER FOLDER SETTINGS LIMIT``."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import resource
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.peers.task import Task
from benchmarks.runner.clock import interleaved
from benchmarks.runner.memory import Peaks
from benchmarks.runner.rows import ABSENT, FAILED, MEASURED, AbsentError
from benchmarks.runner.settings import Settings


def measure(prepare: Callable[[Task], Callable[[], Any]], task: Task, path: Path) -> dict[str, Any]:
    """Run one method: once under watch, which warms up, then in turn with the plain loop.

    Where the first time took longer than the budget, it is the one that counts.
    """
    action, plain, settings = prepare(task), task.work.plain, task.settings
    plain()
    found: list[Any] = []
    start = perf_counter()
    with Peaks() as peaks:
        times = interleaved(lambda: found.append(action()), plain, repeats=0, budget=0, clock=settings.clock)
    values = found[0]
    if values is not None:
        np.save(path, np.asarray(values, dtype=np.float64))
    if perf_counter() - start < settings.budget:
        times = interleaved(
            action, plain, repeats=settings.repeats, budget=settings.budget, clock=settings.clock
        )
    return {
        "status": MEASURED,
        "ratios": times.ratios,
        "ratio": times.ratio,
        "seconds": times.action,
        "memory_MiB": peaks.rises()["RssAnon"],
        "values": None if values is None else path.name,
    }


def main(peer: str, folder: Path, settings: Settings) -> None:
    """Measure all methods of a peer; what is done so far is on disk at any moment."""
    warnings.simplefilter("ignore")
    module = importlib.import_module(f"benchmarks.peers.{peer}")
    distribution = getattr(module, "DISTRIBUTION", None)
    found: dict[str, Any] = {"version": importlib.metadata.version(distribution) if distribution else None}
    found["methods"] = {}
    task = Task(settings)
    for index, (name, prepare) in enumerate(module.METHODS.items()):
        try:
            result = measure(prepare, task, folder / f"{peer}_{index}.npy")
        except AbsentError as error:
            result = {"status": ABSENT, "note": str(error)}
        except Exception as error:  # noqa: BLE001 - named in the output, and the other methods go on
            result = {"status": FAILED, "note": f"{type(error).__name__}: {error}"[:400]}
        found["methods"][name] = result
        (folder / f"{peer}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    limit = int(sys.argv[4])
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 10))  # whatever else the machine is busy with
    main(sys.argv[1], Path(sys.argv[2]), Settings(**json.loads(sys.argv[3])))

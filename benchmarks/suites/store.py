"""The store of finished retrainings: writing and reading it, by one process and by several at once.

Results of one number each, added one by one, as retraining in groups of one does. Eight writers share the
folder and the same number of results. What is read back is compared with what was written. Beside it, the
layout of earlier versions: one JSON object, written anew for every result.
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.runner.rows import Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Figures, Suite
from dataval.retraining.store import Store


def measure(folder: Path, n_writers: int, n_results: int) -> dict[str, Any]:
    shares = np.array_split(np.arange(n_results), n_writers)
    context = multiprocessing.get_context("spawn")
    barrier, times = context.Barrier(n_writers), context.SimpleQueue()
    writers = [context.Process(target=write, args=(folder, share, barrier, times)) for share in shares]
    for writer in writers:
        writer.start()
    starts, ends = zip(*(times.get() for _ in writers), strict=True)
    for writer in writers:
        writer.join()
    start = perf_counter()
    store = Store(folder, "key")
    read = perf_counter() - start
    kept = sum(store.take([name(i)])[0] == i / 3 for i in range(n_results) if name(i) in store)
    files = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return {
        "write_seconds": round(max(ends) - min(starts), 3),
        "read_seconds": round(read, 3),
        "lost": n_results - int(kept),
        "exit_codes": [writer.exitcode for writer in writers],
        "files": len(files),
        "bytes": sum(files),
    }


def write(folder: Path, share: np.ndarray, barrier: Any, times: Any) -> None:
    store = Store(folder, "key")
    barrier.wait()
    start = perf_counter()
    for i in share.tolist():
        store.add({name(i): np.float64(i / 3)})
    times.put((start, perf_counter()))


def rewrite(folder: Path, n_results: int) -> float:
    results: dict[str, float] = {}
    start = perf_counter()
    for i in range(n_results):
        results[name(i)] = i / 3
        scratch = folder / "results.tmp"
        scratch.write_text(json.dumps(results))
        scratch.replace(folder / "results.json")
    return perf_counter() - start


def name(i: int) -> str:
    return f"{i:024x}"


def find(n_writers: int, settings: Settings) -> Iterator[Row]:
    n = settings.pick(10_000, 100)
    with tempfile.TemporaryDirectory() as folder:
        yield from rows(f"{n_writers} writers", measure(Path(folder), n_writers, n), n)


def rows(title: str, found: dict[str, Any], n: int) -> Iterator[Row]:
    """Yield the figures of one number of writers."""
    yield Row(f"{title}: writing {n} results", found["write_seconds"], "s", details=found)
    yield Row(f"{title}: reading them", found["read_seconds"], "s")
    yield Row(f"{title}: lost", found["lost"], "results", floor=0.0)


def find_rewritten(settings: Settings) -> Iterator[Row]:
    n = settings.pick(2000, 100)
    with tempfile.TemporaryDirectory() as folder:
        yield rewritten(rewrite(Path(folder), n), n)


def rewritten(seconds: float, n: int) -> Row:
    """Return the figure of the layout of earlier versions."""
    return Row(f"one JSON object written anew: writing {n} results", round(seconds, 3), "s", better=None)


SUITE = Suite(
    "store",
    "The store of finished retrainings: 10,000 results added one by one, by one process and by eight at "
    "once, and read back; beside one JSON object that is written anew for every result. Elapsed time.",
    [
        *(Figures(f"{n} writers", partial(find, n), "s") for n in (1, 8)),
        Figures("one JSON object written anew", find_rewritten, "s"),
    ],
    cpu_only=True,
)

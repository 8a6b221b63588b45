"""The store of finished retrainings: writing and reading it, by one process and by several at once.

Results of one number each, added one by one, as retraining in groups of one does. Eight writers share the
folder and the same number of results. What is read back is compared with what was written. Beside it, the
layout of earlier versions: one JSON object, written anew for every result.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from dataval.retraining.store import Store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=int, default=10_000)
    parser.add_argument("--writers", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rewritten", type=int, default=2000)
    parser.add_argument("--folder", type=Path, help="where to write; the system's own by default")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"results": arguments.results}
    for n_writers in arguments.writers:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            result[f"{n_writers}_writers"] = measure(Path(folder), n_writers, arguments.results)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        seconds = rewrite(Path(folder), arguments.rewritten)
        result["rewritten_as_one_object"] = {"results": arguments.rewritten, "write_seconds": round(seconds, 3)}
    from _common import report  # here, so that the writers don't load its frameworks

    report("store", result)


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


if __name__ == "__main__":
    main()

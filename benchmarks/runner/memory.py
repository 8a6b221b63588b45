"""Resident memory: how far it rises while something is done, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.runner.rows import AbsentError

ROOT = Path(__file__).parents[2]
_STATUS = Path("/proc/self/status")
_INTERVAL = 2e-3


class Peaks:
    """Watches this process's resident memory and the anonymous part of it (Linux only).

    Raises
    ------
    AbsentError
        If the system doesn't tell.
    """

    def __enter__(self) -> Peaks:
        if not _STATUS.exists():
            raise AbsentError("resident memory is read from /proc, which only Linux has")
        self._before = _memory()
        self._peaks, self._stop = self._before, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._look()
        self._stop.set()
        self._thread.join()

    def rises(self) -> dict[str, float]:
        """Return by how many MiB each rose: VmRSS, which counts the pages of a memory map, and RssAnon."""
        return {key: round((self._peaks[key] - self._before[key]) / 1024, 1) for key in self._before}

    def _watch(self) -> None:
        while not self._stop.wait(_INTERVAL):
            self._look()

    def _look(self) -> None:
        now = _memory()
        self._peaks = {key: max(self._peaks[key], now[key]) for key in now}


def _memory() -> dict[str, int]:
    """Return VmRSS and RssAnon in KiB."""
    fields = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return {key: int(fields[key].split()[0]) for key in ("VmRSS", "RssAnon")}


def in_fresh_process(function: Callable[..., Any], *arguments: Any, timeout: float = 600) -> Any:
    """Call a function of a module in a new interpreter and return its result; both go as JSON.

    Raises
    ------
    RuntimeError
        If the process fails.
    """
    code = (
        "import importlib, json, sys; module, name, given = sys.argv[1:4]; "
        "found = getattr(importlib.import_module(module), name)(*json.loads(given)); "
        "print('\\n' + json.dumps(found))"
    )
    command = [sys.executable, "-c", code, function.__module__, function.__name__, json.dumps(arguments)]
    found = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False, env=environment()
    )
    if found.returncode:
        raise RuntimeError(
            f"{function.__name__}{arguments} failed in its process: {found.stderr.strip()[-400:]}"
        )
    return json.loads(found.stdout.splitlines()[-1])


def environment() -> dict[str, str]:
    """Return the environment in which a process finds the benchmarks, and dataval as it is imported here."""
    paths = [str(ROOT), str(ROOT / "backends"), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def seconds_and_rises(action: Callable[[], object]) -> dict[str, Any]:
    """Return how long an action takes and how far memory rises."""
    start = time.perf_counter()
    with Peaks() as peaks:
        action()
    return {"seconds": round(time.perf_counter() - start, 2)} | peaks.rises()

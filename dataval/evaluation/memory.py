"""How much memory a stretch of work takes."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import TracebackType

__all__ = ["PeakMemory"]

_INTERVAL = 2e-3
_STATUS = Path("/proc/self/statm")


class PeakMemory:
    """By how much the process's resident memory rises while the body of a ``with`` runs.

    Sampled every 2 milliseconds where there is a ``/proc`` (Linux); elsewhere from the process's high-water
    mark, which notices nothing below an earlier peak; unknown where there is neither (Windows). Memory of an
    accelerator, and of other processes, is not in it.

    Attributes
    ----------
    rise : int or None
        Bytes; None where it can't be known.
    """

    rise: int | None = None

    def __enter__(self) -> PeakMemory:
        self._start = self._peak = _memory()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        if _STATUS.is_file():
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        last = _memory()
        if self._start is not None and self._peak is not None and last is not None:
            self.rise = max(self._peak, last) - self._start

    def _watch(self) -> None:
        while not self._stop.wait(_INTERVAL):
            self._peak = max(self._peak or 0, _memory() or 0)


def _memory() -> int | None:
    """Return the resident memory in bytes, or its high-water mark."""
    if _STATUS.is_file():
        import resource

        return int(_STATUS.read_text().split()[1]) * resource.getpagesize()
    return _high_water()


def _high_water() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

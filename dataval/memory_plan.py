"""What a call will take of memory, told beforehand, and refused where it can't fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dataval.errors import InsufficientMemoryError

__all__ = ["MemoryPlan", "Need", "available_memory"]

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_UNIT = 2.0**20


@dataclass(frozen=True)
class Need:
    """One thing that takes memory.

    Attributes
    ----------
    what : str
    n_bytes : int
        At most, all at once.
    cure : str
        The option that makes it smaller.
    """

    what: str
    n_bytes: int
    cure: str


@dataclass(frozen=True)
class MemoryPlan:
    """What a call will take of memory, largest first; `print` it.

    The numbers are of what grows with samples, parameters and updates. Model, data and what the framework
    keeps for itself are there already, or come on top.

    Attributes
    ----------
    call : str
    needs : tuple of Need
    available : int or None
        Bytes that are free where the work is done; None where it can't be known.
    """

    call: str
    needs: tuple[Need, ...]
    available: int | None

    @classmethod
    def of(cls, call: str, needs: Iterable[Need], available: int | None) -> MemoryPlan:
        """Make a plan of what takes anything."""
        kept = sorted((need for need in needs if need.n_bytes), key=lambda need: -need.n_bytes)
        return cls(call, tuple(kept), available)

    @property
    def n_bytes(self) -> int:
        """All needs together."""
        return sum(need.n_bytes for need in self.needs)

    @property
    def fits(self) -> bool:
        """Whether it fits into what is available, as far as that is known."""
        return self.available is None or self.n_bytes <= self.available

    def check(self) -> None:
        """Raise `InsufficientMemoryError` if it doesn't fit, naming the largest need and its cure."""
        if self.fits or not self.needs:
            return
        assert self.available is not None
        largest = self.needs[0]
        raise InsufficientMemoryError(
            f"{self.call} would take {_megabytes(self.n_bytes)}, and {_megabytes(self.available)} are free: "
            f"{largest.what} take {_megabytes(largest.n_bytes)}; {largest.cure}"
        )

    def __str__(self) -> str:
        """Return a line for each need."""
        free = "an unknown amount" if self.available is None else _megabytes(self.available)
        head = f"{self.call}: {_megabytes(self.n_bytes)} of {free} that is free"
        lines = [f"  {_megabytes(need.n_bytes):>12}  {need.what} ({need.cure})" for need in self.needs]
        return "\n".join([head, *lines])


def available_memory() -> int | None:
    """Return how many bytes this process can still get, under the limits of its container; None if unknown."""
    found = [n for n in (_of_machine(), _of_container()) if n is not None]
    return min(found, default=None)


def _of_machine() -> int | None:
    try:
        lines = _MEMINFO.read_text().splitlines()
    except OSError:
        return None
    free = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(free[0]) * 1024 if free else None


def _of_container() -> int | None:
    try:
        limit, used = ((_CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return None
    return max(0, int(limit) - int(used)) if limit.isdigit() else None


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / _UNIT:,.0f} MiB" if n_bytes < 10_000 * _UNIT else f"{n_bytes / _UNIT / 1024:,.1f} GiB"

"""Timing two actions in turn."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

Action = Callable[[], object]


@dataclass(frozen=True)
class Clock:
    """A clock and its name.

    Process time counts what this process does, whatever else the machine is busy with, and so is the one to
    take for a single thread; elapsed time for several threads or an accelerator.
    """

    name: str
    now: Callable[[], float]
    settle: Action = lambda: None


def clock_for(threads: int, device: str) -> Clock:
    """Return the clock for work on so many threads of a device."""
    if device.startswith("cuda"):
        import torch

        return Clock("elapsed", time.perf_counter, torch.cuda.synchronize)
    if threads == 1:
        return Clock("process", time.process_time)
    return Clock("elapsed", time.perf_counter)


@dataclass(frozen=True)
class Timings:
    """Seconds of an action and of what it is held against, pair by pair."""

    action: list[float]
    base: list[float]
    warmed: bool

    @property
    def ratios(self) -> list[float]:
        """The ratio of every pair."""
        return [a / b for a, b in zip(self.action, self.base, strict=True)]

    @property
    def ratio(self) -> float:
        """The median ratio."""
        return median(self.ratios)


def interleaved(action: Action, base: Action, *, repeats: int, budget: float, clock: Clock) -> Timings:
    """Time two actions in turn, so that a slow moment of the machine meets both.

    Parameters
    ----------
    action, base : callable
    repeats : int
        Pairs that count. One more comes first, to warm up.
    budget : float
        Seconds of elapsed time after which no further pair begins. A first pair that takes longer is the only
        one, and counts.
    clock : Clock
    """
    start, pairs = time.perf_counter(), []
    for index in range(repeats + 1):
        order = (base, action) if index % 2 else (action, base)
        seconds = {each: _seconds(each, clock) for each in order}
        pairs.append((seconds[action], seconds[base]))
        if time.perf_counter() - start > budget:
            break
    kept = pairs[1:] or pairs
    return Timings([a for a, _ in kept], [b for _, b in kept], warmed=len(pairs) > 1)


def _seconds(action: Action, clock: Clock) -> float:
    gc.collect()
    clock.settle()
    start = clock.now()
    action()
    clock.settle()
    return max(clock.now() - start, 1e-9)

"""How suites are run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from benchmarks.runner.clock import Clock, clock_for

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """What a person chose on the command line.

    Attributes
    ----------
    quick : bool
        Little work, to see that everything runs: its figures mean nothing.
    repeats : int
        Timings of each case, of which medians are taken; of stochastic experiments, seeds.
    threads : int
        Threads of the numerical libraries.
    device : str
    budget : float
        Seconds after which a case takes no further timings.
    """

    quick: bool = False
    repeats: int = 5
    threads: int = 1
    device: str = "cpu"
    budget: float = 40.0

    def pick(self, full: T, quick: T) -> T:
        """Return the one of two sizes of the work that is to be done."""
        return quick if self.quick else full

    @property
    def clock(self) -> Clock:
        """What seconds are taken with."""
        return clock_for(self.threads, self.device)

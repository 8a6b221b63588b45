"""Which states of a run are kept, and in what order the others are recomputed.

A backward sweep needs the states in reverse order. Between two kept states they are replayed, and where even
that stretch is too long to hold, its replay is itself checkpointed by the binomial schedule that needs the
fewest updates for a given number of held states:

Griewank & Walther (2000). Algorithm 799: revolve. ACM Transactions on Mathematical Software 26(1), 19-45.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import comb
from typing import Self, TypeVar

from pydantic import Field, model_validator

from dataval.options import Options

__all__ = ["Checkpoints", "reverse_walk"]

State = TypeVar("State")


class Checkpoints(Options):
    """How many states of a run are kept in memory.

    With ``every=1`` nothing is ever recomputed; with ``every=k`` each sweep replays the run once and holds up
    to k states more while it does; with a number of bytes, all are kept if they fit, and otherwise half
    the bytes go to evenly spaced states and half to the replays between them.

    Parameters
    ----------
    every : int, optional
        Keep the state before every so many updates, whatever it takes.
    max_bytes : int, default 2**30
        Budget where `every` is not given, in bytes. At least four states are held even if they exceed it.
    """

    every: int | None = Field(default=None, gt=0)
    max_bytes: int = Field(default=2**30, gt=0)

    @model_validator(mode="after")
    def _check_exclusive(self) -> Self:
        if self.every is not None and "max_bytes" in self.model_fields_set:
            raise ValueError("give either every or max_bytes, not both")
        return self

    def interval(self, n_steps: int, state_bytes: int) -> int:
        """Return the number of updates from one kept state to the next."""
        if self.every is not None:
            return self.every
        n_states = self._n_states(state_bytes)
        return 1 if n_steps <= n_states else -(-n_steps // max(1, n_states // 2))

    def workspace(self, state_bytes: int) -> int:
        """Return the number of states that a replay between two kept ones may hold."""
        if self.every is not None:
            return self.every
        return max(1, self._n_states(state_bytes) // 2)

    def _n_states(self, state_bytes: int) -> int:
        return max(4, self.max_bytes // max(1, state_bytes))


def reverse_walk(
    start: int, stop: int, state: State, advance: Callable[[State, int], State], n_held: int
) -> Iterator[tuple[int, State]]:
    """Yield ``(t, state before update t)`` for t from ``stop - 1`` down to ``start``.

    Parameters
    ----------
    start, stop : int
        The stretch of updates to walk.
    state
        The state before update `start`.
    advance : callable
        ``advance(state, t)`` performs update t.
    n_held : int
        Number of states that may be held at a time, `state` included.
    """
    held = [(start, state)]
    while stop > start:
        step, current = held[-1]
        while step < stop - 1:
            free = n_held - len(held)
            target = step + _stride(stop - step, free) if free > 0 else stop - 1
            while step < target:
                current = advance(current, step)
                step += 1
            if free > 0:
                held.append((step, current))
        yield step, current
        stop = step
        if held[-1][0] == stop and len(held) > 1:
            held.pop()


def _stride(length: int, n_free: int) -> int:
    """Return how far to advance before holding the next state.

    A stretch of up to ``reach(c, r) = comb(c + r, r)`` updates can be reversed with c held states when no
    update is replayed more than r times. With r minimal, a split is optimal where the left part stays within
    reach of
    r - 1 replays and the right part, which has one held state less, within reach of r, and neither
    could do with fewer still.
    """
    if n_free >= length - 1:
        return 1
    repeats = 1
    while comb(n_free + 1 + repeats, repeats) < length:
        repeats += 1
    shortest_left = comb(n_free + repeats - 1, repeats - 2) if repeats > 1 else 1
    return max(shortest_left, length - comb(n_free + repeats, repeats), 1)

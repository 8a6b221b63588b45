"""Sweeps over a recorded run that collect the derivative in every sample's weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Array, Backend
from dataval.training.program import State
from dataval.training.replay import Replay

__all__ = ["SweepResult", "sweep_backward", "sweep_forward"]

_FLUSH_EVERY = 64  # reading numbers back waits for the accelerator, so it is done for many updates at a time

Pullback = Callable[[State, State, int], tuple[State, Array]]
Tick = Callable[[], Any]


@dataclass(frozen=True)
class SweepResult:
    """What a sweep found.

    Attributes
    ----------
    values : ndarray of float64, shape (N,) or (K, N)
        Minus the derivative in every weight; NaN where the sweep stopped early.
    cotangent_norm : ndarray of float64, shape (T + 1,)
        Norm of the parameters' cotangent before every update and after the last; the largest of K; NaN before
        the update where the sweep stopped.
    stopped_at : int
        The update at which the cotangent overflowed, -1 if it didn't.
    """

    values: NDArray[np.float64]
    cotangent_norm: NDArray[np.float64]
    stopped_at: int = -1


def sweep_backward(replay: Replay, cotangent: State, pullback: Pullback, tick: Tick) -> SweepResult:
    """Pull the cotangent of the last state back through every update.

    Parameters
    ----------
    replay : Replay
        A finished run with its program.
    cotangent : State
        Of the last state; with a leading axis for K cotangents.
    pullback : callable
        `Program.pullback` or `Program.pullback_hessian_free`.
    tick : callable
        Called after every update.
    """
    backend = replay.program.backend
    values = _ValueSums(replay, cotangent.parameters)
    norms = _NormLog(backend, replay.run.n_steps)
    norms.add(replay.run.n_steps, cotangent.parameters)
    for step, state in replay.backward():
        cotangent, slopes = pullback(cotangent, state, step)
        values.add(step, slopes)
        norms.add(step, cotangent.parameters)
        if step % _FLUSH_EVERY == 0:
            values.flush()
            if norms.flush_finds_overflow():
                break
        tick()
    return SweepResult(values.result(norms.stopped_at), norms.norms, norms.stopped_at)


def sweep_forward(replay: Replay, vector: Array, tick: Tick) -> SweepResult:
    """Collect a linear program's Hessian-free derivatives in one replay.

    Parameters
    ----------
    replay : Replay
        Of a program that `is_linear`.
    vector : array, shape (P,) or (K, P)
        Gradient of the objective in the last parameters.
    tick : callable
        Called after every update.
    """
    program = replay.program
    received, carried = program.coefficients()
    values = _ValueSums(replay, vector)
    for step, state in replay.forward():
        if received[step] != 0:
            values.add(step, program.slopes(vector, state, step), received[step])
        if step % _FLUSH_EVERY == 0:
            values.flush()
        tick()
    norms = np.abs(carried) * np.max(_norms(program.backend, vector))
    return SweepResult(values.result(-1), norms)


class _ValueSums:
    """Minus the sums of the weights' cotangents, read back some updates late."""

    def __init__(self, replay: Replay, like: Array) -> None:
        self._plan = replay.run.plan
        self._backend: Backend = replay.program.backend
        self._sums = np.zeros((*like.shape[:-1], replay.run.n_samples))
        self._pending: list[tuple[int, Array, float]] = []

    def add(self, step: int, slopes: Array, factor: float = 1.0) -> None:
        self._pending.append((step, slopes, factor))

    def flush(self) -> None:
        for step, slopes, factor in self._pending:
            found = factor * self._backend.arrays.to_numpy(slopes).astype(np.float64)
            np.subtract.at(self._sums.T, self._plan.batch(step), found.T)
        self._pending.clear()

    def result(self, stopped_at: int) -> NDArray[np.float64]:
        self.flush()
        if stopped_at >= 0:
            self._sums[...] = np.nan
        return self._sums


class _NormLog:
    """Norms of a cotangent, read back some updates late."""

    def __init__(self, backend: Backend, n_steps: int) -> None:
        self._backend = backend
        self._pending: list[tuple[int, Array]] = []
        self.norms = np.full(n_steps + 1, np.nan)
        self.stopped_at = -1

    def add(self, step: int, vectors: Array) -> None:
        self._pending.append((step, self._backend.arrays.inner(vectors, vectors)))

    def flush_finds_overflow(self) -> bool:
        for step, squares in self._pending:
            norm = float(np.sqrt(self._backend.arrays.to_numpy(squares).astype(np.float64).max()))
            self.norms[step] = norm
            if not np.isfinite(norm) and self.stopped_at < 0:
                self.stopped_at = step
        self._pending.clear()
        return self.stopped_at >= 0


def _norms(backend: Backend, vectors: Array) -> NDArray[np.float64]:
    return np.sqrt(backend.arrays.to_numpy(backend.arrays.inner(vectors, vectors)).astype(np.float64))

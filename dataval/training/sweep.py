"""Sweeps over a recorded run that collect the derivative in every sample's weight."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Array, Backend
from dataval.backend.layers import Blocks
from dataval.errors import InvalidDataError
from dataval.process import uninterrupted
from dataval.training.faults import check_finite, curvature_fault, name_samples
from dataval.training.program import State
from dataval.training.replay import Replay

__all__ = ["BackwardSweep", "ForwardSweep", "Pullback", "Sweep", "SweepResult"]

_FLUSH_EVERY = 64  # reading numbers back waits for the accelerator, so it is done for many updates at a time
_LEAP = 1e8  # chaos takes several updates to grow by so much

Pullback = Callable[[State, State, int], tuple[State, Array]]
Tick = Callable[[], Any]


@dataclass(frozen=True)
class SweepResult:
    """What a sweep found.

    Attributes
    ----------
    values : ndarray of float64, shape (N,) or (K, N)
        Minus the derivative in every weight. NaN in the rows whose cotangent overflowed, and for samples of
        weight 0 that have no derivative.
    cotangent_norm : ndarray of float64, shape (T + 1,)
        Norm of the parameters' cotangent before every update and after the last; the largest of K; NaN before
        the update where the sweep stopped.
    stopped_at : int
        The update at which a cotangent overflowed, the first that the sweep met; -1 if none did.
    """

    values: NDArray[np.float64]
    cotangent_norm: NDArray[np.float64]
    stopped_at: int = -1


class Sweep(ABC):
    """A walk through a recorded run that adds up derivatives, and can be interrupted.

    Parameters
    ----------
    replay : Replay
        A finished run with its program.
    like : array, shape (P,) or (K, P)
        Shaped as the cotangents of the parameters.
    """

    def __init__(self, replay: Replay, like: Array) -> None:
        self._replay = replay
        self._values = _ValueSums(replay, like)
        self.n_done = 0
        """Number of updates that were walked through."""

    @abstractmethod
    def carry_out(self, tick: Tick) -> SweepResult:
        """Walk through all updates, or through those that are left after an interruption.

        Parameters
        ----------
        tick : callable
            Called after every update.

        Raises
        ------
        InvalidDataError
            If a sample with a weight has no finite derivative; it is named.
        """


class BackwardSweep(Sweep):
    """Pulls the cotangent of the last state back through every update.

    Parameters
    ----------
    replay : Replay
        A finished run with its program.
    cotangent : State
        Of the last state; with a leading axis for K cotangents.
    pullback : callable
        `Program.pullback`, `Program.pullback_gauss_newton` or `Program.pullback_hessian_free`.
    """

    def __init__(self, replay: Replay, cotangent: State, pullback: Pullback) -> None:
        super().__init__(replay, cotangent.parameters)
        self._cotangent, self._pullback = cotangent, pullback
        self._norms = _NormLog(replay, cotangent.parameters)
        self._norms.add(replay.run.n_steps, cotangent.parameters)

    def carry_out(self, tick: Tick) -> SweepResult:
        """Go back from the last update, or from where an interruption came."""
        for step, state in self._replay.backward(self._replay.run.n_steps - self.n_done):
            cotangent, slopes = self._pullback(self._cotangent, state, step)
            with uninterrupted():
                self._take(step, cotangent, slopes)
            if (self._norms.overflowed_at >= 0).all():
                break
            tick()
        norms = self._norms
        norms.flush()
        return SweepResult(
            self._values.result(norms.overflowed_at), norms.norms, int(norms.overflowed_at.max())
        )

    def _take(self, step: int, cotangent: State, slopes: Array) -> None:
        self._values.add(step, slopes)
        self._norms.add(step, cotangent.parameters)
        self._cotangent, self.n_done = cotangent, self._replay.run.n_steps - step
        if step % _FLUSH_EVERY == 0:
            self._norms.flush()
            self._values.flush(self._norms.overflowed_at)


class ForwardSweep(Sweep):
    """Collects a linear program's Hessian-free derivatives in one replay.

    Parameters
    ----------
    replay : Replay
        Of a program that `is_linear`.
    vector : array, shape (P,) or (K, P)
        Gradient of the objective in the last parameters.
    blocks : sequence of LayerGradients, optional
        The same K gradients by layer: products with them take less where layers are wide.
    """

    def __init__(self, replay: Replay, vector: Array, blocks: Blocks | None = None) -> None:
        super().__init__(replay, vector)
        self._vector, self._blocks = vector, blocks
        self._received, self._carried = replay.program.coefficients()

    def carry_out(self, tick: Tick) -> SweepResult:
        """Go on from the first update, or from where an interruption came."""
        program, values = self._replay.program, self._values
        for step, state in self._replay.forward(self.n_done):
            slopes = self._slopes(state, step) if self._received[step] != 0 else None
            with uninterrupted():
                if slopes is not None:
                    values.add(step, slopes, self._received[step])
                if step % _FLUSH_EVERY == 0:
                    values.flush(values.no_overflow)
                self.n_done = step + 1
            tick()
        norms = np.abs(self._carried) * np.max(_norms(program.backend, self._vector))
        return SweepResult(values.result(values.no_overflow), norms)

    def _slopes(self, state: State, step: int) -> Array:
        program = self._replay.program
        if self._blocks is None:
            return program.slopes(self._vector, state, step)
        return program.products(self._blocks, state, step)


class _ValueSums:
    """Minus the sums of the weights' cotangents, read back some updates late."""

    def __init__(self, replay: Replay, like: Array) -> None:
        self._plan, self._weights = replay.run.plan, replay.program.weights
        self._backend: Backend = replay.program.backend
        self._sums = np.zeros((*like.shape[:-1], replay.run.n_samples))
        self._pending: list[tuple[int, Array, float]] = []
        self.no_overflow = np.full(self._rows(self._sums).shape[0], -1)

    def add(self, step: int, slopes: Array, factor: float = 1.0) -> None:
        self._pending.append((step, slopes, factor))

    def flush(self, overflowed_at: NDArray[np.int64]) -> None:
        for step, slopes, factor in self._pending:
            found = factor * self._backend.arrays.to_numpy(slopes).astype(np.float64)
            if not np.isfinite(found).all():
                self._check(step, self._rows(found)[overflowed_at < step])
            np.subtract.at(self._sums.T, self._plan.batch(step), found.T)
        self._pending.clear()

    def result(self, overflowed_at: NDArray[np.int64]) -> NDArray[np.float64]:
        self.flush(overflowed_at)
        self._rows(self._sums)[overflowed_at >= 0] = np.nan
        return self._sums

    def _check(self, step: int, found: NDArray[np.float64]) -> None:
        """Raise where samples have no finite slope along cotangents that are finite before and after."""
        what = f"the gradient of its loss at update {step} of {self._plan.n_steps}"
        check_finite(found, self._plan.batch(step), self._weights, what)

    def _rows(self, array: NDArray[np.float64]) -> NDArray[np.float64]:
        return array.reshape(-1, array.shape[-1])


class _NormLog:
    """Norms of cotangents, read back some updates late.

    Attributes
    ----------
    norms : ndarray of float64, shape (T + 1,)
    overflowed_at : ndarray of int64, shape (K,)
        The update at which each of the K cotangents overflowed, -1 where it didn't.
    """

    def __init__(self, replay: Replay, like: Array) -> None:
        self._replay, self._arrays = replay, replay.program.backend.arrays
        self._pending: list[tuple[int, Array]] = []
        self._last = 0.0
        self.norms = np.full(replay.run.n_steps + 1, np.nan)
        self.overflowed_at = np.full(1 if like.ndim == 1 else len(like), -1)

    def add(self, step: int, vectors: Array) -> None:
        self._pending.append((step, self._arrays.inner(vectors, vectors)))

    def flush(self) -> None:
        for step, squares in self._pending:
            norms = np.sqrt(self._arrays.to_numpy(squares).astype(np.float64)).reshape(-1)
            self.norms[step] = norms.max()
            is_new = ~np.isfinite(norms) & (self.overflowed_at < 0)
            if is_new.any():
                self._check_growth(step)
                self.overflowed_at[is_new] = step
            self._last = max([0.0, *norms[np.isfinite(norms)]])
        self._pending.clear()

    def _check_growth(self, step: int) -> None:
        """Raise where one update has made a moderate cotangent infinite, and a sample is to blame."""
        limit = float(np.sqrt(np.finfo(self._arrays.dtype).max))
        if step >= self._replay.run.n_steps or self._last * _LEAP > limit:
            return
        bad = curvature_fault(self._replay.program, self._replay.at(step), step)
        if len(bad):
            raise InvalidDataError(
                f"training {name_samples(bad)}: the second derivative of its loss at update {step} of "
                f"{self._replay.run.n_steps} is not finite: use hessian=False, or leave it out (weight 0)"
            )


def _norms(backend: Backend, vectors: Array) -> NDArray[np.float64]:
    return np.sqrt(backend.arrays.to_numpy(backend.arrays.inner(vectors, vectors)).astype(np.float64))

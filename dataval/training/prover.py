"""Doing a loop's update again while it is recorded, by the functions that a replay calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Array, Backend
from dataval.training.diagnosis import explain_change, explain_gradient, explain_step
from dataval.training.evidence import norm_of
from dataval.training.hyperparameters import Hyperparameters
from dataval.training.optimizers import Optimizer
from dataval.training.program import State
from dataval.training.tape import Setting
from dataval.training.update import Update

__all__ = ["Observed", "ObservedPass", "Prover", "tolerance_of"]

FloatArray = NDArray[Any]


@dataclass(frozen=True)
class ObservedPass:
    """One forward pass of an update.

    Attributes
    ----------
    batch
        What model and loss see, as the backend has it.
    coefficients : ndarray, shape (n,)
        Of the samples' losses.
    seed : int
    buffers : array
        Before the pass.
    """

    batch: Any
    coefficients: FloatArray
    seed: int
    buffers: Array


@dataclass(frozen=True)
class Observed:
    """One update of the loop.

    Attributes
    ----------
    passes : sequence of ObservedPass
    setting : Setting
        What the optimizer was told.
    counts : sequence of int
        How many updates it had done on each parameter array.
    gradient : array, shape (P,), or None
        What the optimizer used, where it can be seen.
    before, after : State
    """

    passes: Sequence[ObservedPass]
    setting: Setting
    counts: Sequence[int]
    gradient: Array | None
    before: State
    after: State


class Prover:
    """Computes gradients and updates anew, and names what differs.

    Parameters
    ----------
    backend : Backend
        Of the loop's model.
    optimizer : Optimizer
        Of the loop's kind.
    clip_norm : float or None
    slack : float, default 1
        How many times the usual tolerance is allowed, for frameworks whose formulas differ by that much.
    """

    def __init__(
        self, backend: Backend, optimizer: Optimizer, clip_norm: float | None, slack: float = 1.0
    ) -> None:
        self._slack = slack
        self._backend, self._optimizer, self._clip_norm = backend, optimizer, clip_norm
        self._names = [name for name, _ in backend.signature.parameters]
        self._sizes = [int(np.prod(shape)) for _, shape in backend.signature.parameters]
        self._previous: FloatArray | None = None

    def prove(self, seen: Observed) -> float | str:
        """Return by how much an update, done again, misses, relative to its length, or else what differs."""
        expected, before = self._gradient(seen), self._numpy(seen.before.parameters)
        if seen.gradient is not None:
            found, previous = self._numpy(seen.gradient), self._previous
            self._previous = found
            if not self._is_near(found, expected, found):
                older = None if previous is None else self._split(previous)
                return explain_gradient(
                    self._names,
                    self._split(expected),
                    self._split(found),
                    self._split(before),
                    older,
                    self._clip_norm,
                    tolerance_of(found),
                )
        return self._prove_step(seen, expected)

    def explain_change(self, before: Array, now: Array, step: int) -> str:
        """Say how parameters were changed after update `step` by something else than the optimizer."""
        parts = self._split(self._numpy(before)), self._split(self._numpy(now))
        return explain_change(self._names, *parts, step)

    def _gradient(self, seen: Observed) -> FloatArray:
        """Return the gradient of the weighted losses of an update, as the optimizer gets it."""
        arrays, total = self._backend.arrays, None
        for each in seen.passes:
            weights = arrays.from_numpy(each.coefficients)
            found = self._backend.loss.gradient(
                seen.before.parameters, each.buffers, each.batch, weights, each.seed
            )[1]
            total = found if total is None else total + found
        return self._numpy(self._update(seen, self._optimizer, self._clip_norm).used(total, 0))

    def _prove_step(self, seen: Observed, expected: FloatArray) -> float | str:
        """Look at the step with the gradient that the optimizer used, and then with the expected one."""
        used = expected if seen.gradient is None else self._numpy(seen.gradient)

        def step(optimizer: Optimizer, setting: Setting, gradient: FloatArray = used) -> FloatArray:
            update = self._update(replace(seen, setting=setting), optimizer, None)
            loaded = self._backend.arrays.from_numpy(gradient)
            parameters, slots = update(seen.before.parameters, seen.before.slots, loaded, 0)
            return np.stack([self._numpy(array) for array in (parameters, *slots)])

        after, before = (
            np.stack([self._numpy(array) for array in (state.parameters, *state.slots)])
            for state in (seen.after, seen.before)
        )
        moved, mine = after - before, step(self._optimizer, seen.setting)
        if self._is_near(after, mine, moved):
            found, length = step(self._optimizer, seen.setting, expected)[0], norm_of(moved[0])
            return norm_of(found - after[0]) / length if length else 0.0
        return explain_step(self._optimizer, seen.setting, step, after, mine, self._names, self._sizes)

    def _update(self, seen: Observed, optimizer: Optimizer, clip_norm: float | None) -> Update:
        settings = single_step(seen.setting, seen.counts, optimizer)
        return Update(optimizer, clip_norm, settings, self._sizes, self._backend.arrays)

    def _is_near(self, found: FloatArray, expected: FloatArray, scale: FloatArray) -> bool:
        """Whether two agree, relative to the size of something and to the precision of the numbers."""
        rounding = 10 * np.finfo(found.dtype).eps * norm_of(found)
        allowed = self._slack * tolerance_of(found) * norm_of(scale) + rounding
        return bool(norm_of(found - expected) <= allowed)

    def _split(self, vector: FloatArray) -> list[FloatArray]:
        return np.split(vector, np.cumsum(self._sizes)[:-1])

    def _numpy(self, array: Array) -> FloatArray:
        return self._backend.arrays.to_numpy(array)


def single_step(setting: Setting, counts: Sequence[int], optimizer: Optimizer) -> Hyperparameters:
    """Return the hyperparameters of one update, each parameter array a group of its own."""
    values = {
        name: np.array([[setting.values[group][name] for group in setting.groups]])
        for name in optimizer.hyperparameters
    }
    n = len(setting.groups)
    return Hyperparameters(values, np.array([counts]), np.array([setting.active]), np.arange(n))


def tolerance_of(array: FloatArray) -> float:
    """Return the relative difference that rounding explains; losses may be computed in single precision."""
    return 1e-6 if array.dtype == np.float64 else 1e-4

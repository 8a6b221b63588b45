"""Training as a pure program: one update of the state, and its pullback.

A `Program` joins a backend (the loss), an optimizer (the update) and a plan (which samples, when). It holds
no state of its own: every method maps a `State` to a new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend.contract import Array, Backend, Ensemble
from dataval.data import Data
from dataval.retraining.ensemble import PlainEnsemble
from dataval.training.config import Training
from dataval.training.optimizers import Slots, clip_by_norm, clip_by_norm_vjp
from dataval.training.plan import Plan

__all__ = ["Program", "State"]

_FEW_VECTORS = 3
_N_EXAMPLES = 4
_ROW_BYTES = 2**28


@dataclass(frozen=True)
class State:
    """All that one update hands to the next.

    The same class holds cotangents of a state. Any of the arrays may have a leading axis of K.

    Attributes
    ----------
    parameters : array, shape (P,)
    slots : tuple of array, shape (P,)
        Momentum, Adam's moments.
    buffers : array, shape (S,)
        Running statistics of the model.
    """

    parameters: Array
    slots: Slots
    buffers: Array

    def arrays(self) -> tuple[Array, ...]:
        """Return all arrays in a fixed order."""
        return (self.parameters, *self.slots, self.buffers)


class Program:
    """A training run as a function of its state and of the samples' weights.

    Parameters
    ----------
    backend : Backend
    data : Data
    training : Training
    plan : Plan
    weights : ndarray of float64, shape (N,)
        Sample weights :math:`w_j`.
    row_bytes : int
        Memory that per-sample gradients may take at a time.
    """

    def __init__(
        self,
        backend: Backend,
        data: Data,
        training: Training,
        plan: Plan,
        weights: NDArray[np.float64],
        row_bytes: int = _ROW_BYTES,
    ) -> None:
        self.backend = backend
        self.data = data
        self.training = training
        self.plan = plan
        self.weights = weights
        self._batches = backend.batches(data)
        self._n_rows = max(1, row_bytes // (8 * max(1, backend.signature.n_parameters)))

    def with_weights(self, weights: NDArray[np.float64]) -> Program:
        """Return the same program under other weights ``(N,)``, or ``(K, N)`` for an `ensemble`."""
        return Program(self.backend, self.data, self.training, self.plan, weights)

    def initial_state(self) -> State:
        """Return the state before the first update."""
        parameters, buffers = self.backend.initial()
        return State(parameters, self.training.optimizer.init_slots(parameters), buffers)

    def check_second_order(self) -> None:
        """Raise `NotTwiceDifferentiableError` if `pullback` can't be exact, naming the layer."""
        few = np.arange(min(len(self.data), _N_EXAMPLES))
        self.backend.check_second_order(self._batches.take(few))

    def load(self, state: State) -> State:
        """Return a state whose arrays may be NumPy's as one of the backend's arrays."""
        return State(
            self._load(state.parameters),
            tuple(map(self._load, state.slots)),
            self._load(state.buffers),
        )

    def step(self, state: State, step: int) -> tuple[State, Array]:
        """Return the state after update number `step`, and the batch's losses before it."""
        weights = self._scaled_weights(step)
        losses, gradient, buffers = self.backend.gradient(
            state.parameters, state.buffers, self._batch(step), weights, self._seed(step)
        )
        parameters, slots = self.training.optimizer.update(
            state.parameters, state.slots, self._clip(gradient), self._rate(step), step
        )
        return State(parameters, slots, buffers), losses

    def ensemble(self, start: State, capacity: int) -> Ensemble:
        """Return an ensemble of up to `capacity` members that start from one state."""
        training, arrays = self.training, (start.parameters, start.slots, start.buffers)
        fast = None
        if training.clip_norm is None:
            fast = self.backend.ensemble(*arrays, training.optimizer, self._batches, capacity)
        return fast or PlainEnsemble(self.backend, training, *arrays, self._batches, capacity)

    def advance(self, ensemble: Ensemble, step: int) -> None:
        """Do update number `step` of an ensemble, whose members come in the order of the weights ``(K, N)``."""
        weights = self._scaled_weights(step)[: ensemble.size]
        ensemble.step(self.plan.batch(step), weights, self._seed(step), self._rate(step), step)

    def losses(self, state: State, step: int) -> Array:
        """Return the losses of the batch of update number `step` before it."""
        return self.backend.losses(state.parameters, state.buffers, self._batch(step), self._seed(step))

    def pullback(self, cotangent: State, state: State, step: int) -> tuple[State, Array]:
        r"""Pull a cotangent back through update number `step`, exactly.

        Parameters
        ----------
        cotangent : State
            Of the state after the update; with a leading axis for K cotangents at once.
        state : State
            Before the update.
        step : int
            Number of the update.

        Returns
        -------
        State
            The cotangent of the state before the update.
        array, shape (n,) or (K, n)
            The cotangents of the weights of the batch's samples, :math:`\langle\bar g,\nabla\ell_j\rangle/b`.
        """
        linearization = self.backend.gradient_vjp(
            state.parameters,
            state.buffers,
            self._batch(step),
            self._scaled_weights(step),
            self._seed(step),
        )
        gradient = None if self.is_linear else linearization.gradient
        after, gradient_bar = self._update_vjp(cotangent, state, gradient, step)
        through_loss, slopes, buffers_bar = linearization.pullback(gradient_bar, cotangent.buffers)
        before = State(after.parameters + through_loss, after.slots, buffers_bar)
        return before, slopes / self.plan.batch_size

    def pullback_hessian_free(self, cotangent: State, state: State, step: int) -> tuple[State, Array]:
        """Pull a cotangent back with the gradient's dependence on the parameters cut.

        As `pullback` otherwise; the running statistics are held fixed.
        """
        _, gradient, _ = self.backend.gradient(
            state.parameters,
            state.buffers,
            self._batch(step),
            self._scaled_weights(step),
            self._seed(step),
        )
        before, gradient_bar = self._update_vjp(cotangent, state, gradient, step)
        return before, self.slopes(gradient_bar, state, step)

    def slopes(self, vectors: Array, state: State, step: int) -> Array:
        r"""Return :math:`\langle v, \nabla\ell_j\rangle / b` for the samples of a batch.

        Parameters
        ----------
        vectors : array, shape (P,) or (K, P)
            One direction or K.
        state : State
            Before the update.
        step : int
            Number of the update.

        Returns
        -------
        array, shape (n,) or (K, n)
        """
        if vectors.ndim == 1:
            return self._slope(vectors, state, step) / self.plan.batch_size
        if len(vectors) <= _FEW_VECTORS:
            rows = [self.backend.to_numpy(self._slope(vector, state, step)) for vector in vectors]
            return self.backend.from_numpy(np.stack(rows) / self.plan.batch_size)
        blocks = [
            self.backend.to_numpy(self.backend.outer_slopes(vectors, gradients))
            for gradients in self._gradient_blocks(state, step)
        ]
        return self.backend.from_numpy(np.concatenate(blocks, axis=1) / self.plan.batch_size)

    def cotangent_of(self, parameters_bar: Array, buffers_bar: Array) -> State:
        """Return the cotangent of the last state from the gradients of an objective."""
        return State(parameters_bar, self.training.optimizer.init_slots(parameters_bar), buffers_bar)

    @property
    def is_linear(self) -> bool:
        """Whether the Hessian-free cotangent stays a multiple of the one it started from."""
        return self.training.optimizer.linear and self.training.clip_norm is None

    def coefficients(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        r"""Run the Hessian-free recursion on scalars, where the program `is_linear`.

        Returns
        -------
        ndarray of float64, shape (T,)
            The multiple of the starting cotangent that the gradient of each update receives.
        ndarray of float64, shape (T + 1,)
            The multiple that the parameters before each update carry, and after the last.
        """
        optimizer, n_steps = self.training.optimizer, self.plan.n_steps
        carried, slots = 1.0, (0.0,) * optimizer.n_slots
        received, all_carried = np.empty(n_steps), np.ones(n_steps + 1)
        for step in reversed(range(n_steps)):
            carried, slots, received[step] = optimizer.update_vjp(
                carried, slots, None, (), None, self._rate(step), step
            )
            all_carried[step] = carried
        return received, all_carried

    def _update_vjp(self, cotangent: State, state: State, gradient: Array, step: int) -> tuple[State, Array]:
        parameters_bar, slots_bar, gradient_bar = self.training.optimizer.update_vjp(
            cotangent.parameters,
            cotangent.slots,
            state.parameters,
            state.slots,
            self._clip(gradient),
            self._rate(step),
            step,
        )
        if self.training.clip_norm is not None:
            gradient_bar = clip_by_norm_vjp(gradient_bar, gradient, self.training.clip_norm, self.backend)
        return replace(cotangent, parameters=parameters_bar, slots=slots_bar), gradient_bar

    def _slope(self, vector: Array, state: State, step: int) -> Array:
        return self.backend.loss_jvp(
            state.parameters, state.buffers, self._batch(step), vector, self._seed(step)
        )

    def _gradient_blocks(self, state: State, step: int) -> Iterator[Array]:
        n = len(self.plan.batch(step))
        for start in range(0, n, self._n_rows):
            yield self.backend.per_sample_gradients(
                state.parameters,
                state.buffers,
                self._batch(step),
                self._seed(step),
                slice(start, min(n, start + self._n_rows)),
            )

    def _clip(self, gradient: Array | None) -> Array | None:
        if self.training.clip_norm is None:
            return gradient
        return clip_by_norm(gradient, self.training.clip_norm, self.backend)

    def _scaled_weights(self, step: int) -> Array:
        weights = self.weights[..., self.plan.batch(step)] / self.plan.batch_size
        return self.backend.from_numpy(weights)

    def _batch(self, step: int) -> Any:
        return self._batches.take(self.plan.batch(step))

    def _rate(self, step: int) -> float:
        return float(self.plan.learning_rates[step])

    def _seed(self, step: int) -> int:
        return int(self.plan.seeds[step])

    def _load(self, array: Array) -> Array:
        return self.backend.from_numpy(array) if isinstance(array, np.ndarray) else array

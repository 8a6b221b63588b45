"""Training as a pure program: one update of the state, and its pullback.

A `Program` joins a backend (the loss), an optimizer (the update) and a plan (which samples, when). It holds
no state of its own: every method maps a `State` to a new one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Array, Backend
from dataval.backend.second_order import check_second_order
from dataval.data import Samples
from dataval.training.config import Training
from dataval.training.optimizers import Slots, clip_by_norm, clip_by_norm_vjp
from dataval.training.plan import Plan

__all__ = ["Program", "State"]

_N_EXAMPLES = 4


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

    A sample of weight 0 is left out even where it has no finite loss or gradient, which 0 times it would not
    be: an update that isn't finite because of such samples is done with another sample in their place.

    Parameters
    ----------
    backend : Backend
    data : Samples
    training : Training
    plan : Plan
    weights : ndarray of float64, shape (N,)
        Sample weights :math:`w_j`.
    """

    def __init__(
        self,
        backend: Backend,
        data: Samples,
        training: Training,
        plan: Plan,
        weights: NDArray[np.float64],
    ) -> None:
        self.backend = backend
        self.data = data
        self.training = training
        self.plan = plan
        self.weights = weights
        self.batches = backend.batches(data)
        self._is_left_out = (weights == 0).reshape(-1, weights.shape[-1]).all(axis=0)
        self._leaves_out = bool(self._is_left_out.any() and not self._is_left_out.all())

    def with_weights(self, weights: NDArray[np.float64]) -> Program:
        """Return the same program under other weights ``(N,)``, or ``(K, N)`` for K models."""
        return Program(self.backend, self.data, self.training, self.plan, weights)

    def initial_state(self) -> State:
        """Return the state before the first update."""
        parameters, buffers = self.backend.initial()
        return State(parameters, self.training.optimizer.init_slots(parameters), buffers)

    def check_second_order(self) -> None:
        """Raise `NotTwiceDifferentiableError` if `pullback` can't be exact, naming the layer."""
        few = np.arange(min(len(self.data), _N_EXAMPLES))
        check_second_order(self.backend, self.batches.take(few))

    def load(self, state: State) -> State:
        """Return a state whose arrays may be NumPy's as one of the backend's arrays."""
        return State(
            self._load(state.parameters),
            tuple(map(self._load, state.slots)),
            self._load(state.buffers),
        )

    def step(self, state: State, step: int) -> tuple[State, Array]:
        """Return the state after update number `step`, and the batch's losses before it."""
        losses, gradient, buffers = self._gradient(state, step)
        parameters, slots = self.training.optimizer.update(
            state.parameters, state.slots, self._clip(gradient), self.rate(step), step
        )
        return State(parameters, slots, buffers), losses

    def losses(self, state: State, step: int) -> Array:
        """Return the losses of the batch of update number `step` before it."""
        return self.backend.loss.losses(state.parameters, state.buffers, self._batch(step), self.seed(step))

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
        before, slopes, _ = self._pull_back(cotangent, state, step, self._batch(step))
        if not self._is_sound(step, before.parameters, before.buffers):
            before, others, gradient_bar = self._pull_back(cotangent, state, step, self._replaced_batch(step))
            slopes = self._merged(step, self._slopes(gradient_bar, state, step, self._batch(step)), others)
        return before, slopes / self.plan.batch_size

    def pullback_hessian_free(self, cotangent: State, state: State, step: int) -> tuple[State, Array]:
        """Pull a cotangent back with the gradient's dependence on the parameters cut.

        As `pullback` otherwise; the running statistics are held fixed.
        """
        _, gradient, _ = self._gradient(state, step)
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
        found = self._slopes(vectors, state, step, self._batch(step))
        if not self._is_sound(step, found):
            found = self._merged(step, found, self._slopes(vectors, state, step, self._replaced_batch(step)))
        return found / self.plan.batch_size

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
                carried, slots, None, (), None, self.rate(step), step
            )
            all_carried[step] = carried
        return received, all_carried

    def _gradient(self, state: State, step: int) -> tuple[Array, Array, Array]:
        """Return losses, gradient and new buffers, whatever the samples of weight 0 are."""
        arguments = self.scaled_weights(step), self.seed(step)
        at, gradient_of = (state.parameters, state.buffers), self.backend.loss.gradient
        losses, gradient, buffers = gradient_of(*at, self._batch(step), *arguments)
        if self._is_sound(step, gradient, buffers):
            return losses, gradient, buffers
        others, gradient, buffers = gradient_of(*at, self._replaced_batch(step), *arguments)
        return self._merged(step, losses, others), gradient, buffers

    def _pull_back(self, cotangent: State, state: State, step: int, batch: Any) -> tuple[State, Array, Array]:
        """Return the cotangent before an update, the slopes of the batch's losses, and their direction."""
        linearization = self.backend.loss.linearize(
            state.parameters, state.buffers, batch, self.scaled_weights(step), self.seed(step)
        )
        gradient = None if self.is_linear else linearization.gradient
        after, gradient_bar = self._update_vjp(cotangent, state, gradient, step)
        through_loss, slopes, buffers_bar = linearization.pullback(gradient_bar, cotangent.buffers)
        before = State(after.parameters + through_loss, after.slots, buffers_bar)
        return before, slopes, gradient_bar

    def _slopes(self, vectors: Array, state: State, step: int, batch: Any) -> Array:
        return self.backend.loss.slopes(state.parameters, state.buffers, batch, vectors, self.seed(step))

    def _is_sound(self, step: int, *found: Array) -> bool:
        """Whether nothing that was found can have been spoilt by a sample of weight 0."""
        if not (self._leaves_out and self._is_left_out[self.plan.batch(step)].any()):
            return True
        arrays = self.backend.arrays
        squares = [arrays.inner(array, array) for array in found]
        return all(bool(np.isfinite(arrays.to_numpy(square)).all()) for square in squares)

    def _replaced_batch(self, step: int) -> Any:
        """Return a batch with another sample in place of those of weight 0."""
        batch = self.plan.batch(step)
        kept = batch[~self._is_left_out[batch]]
        other = kept[0] if len(kept) else np.flatnonzero(~self._is_left_out)[0]
        return self.batches.take(np.where(self._is_left_out[batch], other, batch))

    def _merged(self, step: int, own: Array, others: Array) -> Array:
        """Return numbers of a batch's samples: their own for those of weight 0."""
        arrays = self.backend.arrays
        is_own = self._is_left_out[self.plan.batch(step)]
        return arrays.from_numpy(np.where(is_own, arrays.to_numpy(own), arrays.to_numpy(others)))

    def _update_vjp(self, cotangent: State, state: State, gradient: Array, step: int) -> tuple[State, Array]:
        parameters_bar, slots_bar, gradient_bar = self.training.optimizer.update_vjp(
            cotangent.parameters,
            cotangent.slots,
            state.parameters,
            state.slots,
            self._clip(gradient),
            self.rate(step),
            step,
        )
        if self.training.clip_norm is not None:
            gradient_bar = clip_by_norm_vjp(
                gradient_bar, gradient, self.training.clip_norm, self.backend.arrays
            )
        return replace(cotangent, parameters=parameters_bar, slots=slots_bar), gradient_bar

    def _clip(self, gradient: Array | None) -> Array | None:
        if self.training.clip_norm is None:
            return gradient
        return clip_by_norm(gradient, self.training.clip_norm, self.backend.arrays)

    def scaled_weights(self, step: int) -> Array:
        """Return the weights of the batch of update number `step`, over b; ``(n,)`` or ``(K, n)``."""
        weights = self.weights[..., self.plan.batch(step)] / self.plan.batch_size
        return self.backend.arrays.from_numpy(weights)

    def _batch(self, step: int) -> Any:
        return self.batches.take(self.plan.batch(step))

    def rate(self, step: int) -> float:
        """Return the learning rate of update number `step`."""
        return float(self.plan.learning_rates[step])

    def seed(self, step: int) -> int:
        """Return the seed of update number `step`."""
        return int(self.plan.seeds[step])

    def _load(self, array: Array) -> Array:
        return self.backend.arrays.from_numpy(array) if isinstance(array, np.ndarray) else array

"""Training as a pure program: one update of the state, and its pullback.

A `Program` joins the passes (the loss of which samples, when) and the update (the optimizer). It holds no state
of its own: every method maps a `State` to a new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Array, Backend, Batches, Linearization
from dataval.backend.layers import Blocks
from dataval.backend.second_order import check_gauss_newton, check_second_order
from dataval.data import Samples
from dataval.training.config import Training
from dataval.training.optimizers import Slots
from dataval.training.passes import Passes
from dataval.training.plan import Plan
from dataval.training.update import Update

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

    A sample of weight 0 is left out even where it has no finite loss or gradient; see `Passes`.

    Parameters
    ----------
    backend : Backend
    data : Samples
    training : Training
    plan : Plan
    weights : ndarray of float64, shape (N,) or (K, N)
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
        self.passes = Passes(backend, data, plan, weights)
        sizes = [int(np.prod(shape)) for _, shape in backend.signature.parameters]
        self.update = Update(
            training.optimizer, training.clip_norm, plan.hyperparameters, sizes, backend.arrays
        )

    def with_weights(self, weights: NDArray[np.float64]) -> Program:
        """Return the same program under other weights ``(N,)``, or ``(K, N)`` for K models."""
        return Program(self.backend, self.data, self.training, self.plan, weights)

    @property
    def batches(self) -> Batches:
        """The data on their way to the device."""
        return self.passes.batches

    def initial_state(self) -> State:
        """Return the state before the first update."""
        parameters, buffers = self.backend.initial()
        return State(parameters, self.training.optimizer.init_slots(parameters), buffers)

    def check_second_order(self) -> None:
        """Raise `NotTwiceDifferentiableError` if `pullback` can't be exact, naming the layer."""
        check_second_order(self.backend, self._few())

    def check_gauss_newton(self) -> None:
        """Raise if there is no `pullback_gauss_newton`: `NotTwiceDifferentiableError`, `InvalidModelError`."""
        check_gauss_newton(self.backend, self._few())

    def load(self, state: State) -> State:
        """Return a state whose arrays may be NumPy's as one of the backend's arrays."""
        return State(
            self._load(state.parameters),
            tuple(map(self._load, state.slots)),
            self._load(state.buffers),
        )

    def step(self, state: State, step: int) -> tuple[State, Array]:
        """Return the state after update number `step`, and the losses of its samples before it."""
        losses, gradient, buffers = self.gradient(state, step)
        parameters, slots = self.update(state.parameters, state.slots, gradient, step)
        return State(parameters, slots, buffers), losses

    def gradient(self, state: State, step: int) -> tuple[Array, Array, Array]:
        """Return the losses ``(n,)`` of an update's samples, the gradient ``(P,)`` and the buffers after it."""
        numbers, buffers = self.plan.passes(step), state.buffers
        found = []
        for number in numbers:
            losses, gradient, buffers = self.passes.gradient(state.parameters, buffers, number)
            found.append((losses, gradient))
        return self._joined([losses for losses, _ in found]), _total([g for _, g in found]), buffers

    def losses(self, state: State, step: int) -> Array:
        """Return the losses of the samples of update number `step` before it."""
        through = zip(self.plan.passes(step), self.buffers(state, step), strict=True)
        return self._joined([self.passes.losses(state.parameters, b, number) for number, b in through])

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
            The cotangents of the weights of the update's samples, :math:`c_j\langle\bar g,\nabla\ell_j\rangle`.
        """
        return self._pullback(cotangent, state, step, gauss_newton=False)

    def pullback_gauss_newton(self, cotangent: State, state: State, step: int) -> tuple[State, Array]:
        """Pull a cotangent back with the Gauss-Newton matrix of the losses in place of their Hessian.

        As `pullback` otherwise; see `TrainingLoss.linearize_gauss_newton`.
        """
        return self._pullback(cotangent, state, step, gauss_newton=True)

    def pullback_hessian_free(self, cotangent: State, state: State, step: int) -> tuple[State, Array]:
        """Pull a cotangent back with the gradient's dependence on the parameters cut.

        As `pullback` otherwise; the running statistics are held fixed.
        """
        if self.is_linear or len(self.plan.passes(step)) > 1:
            before, gradient_bar = self.through_update(cotangent, state, step)
            return before, self.slopes(gradient_bar, state, step)
        (number,) = self.plan.passes(step)
        found = self.passes.first_order(state.parameters, state.buffers, number)
        before, gradient_bar = self._update_vjp(cotangent, state, found.gradient, step)
        return before, found.slopes(gradient_bar)

    def through_update(self, cotangent: State, state: State, step: int) -> tuple[State, Array]:
        """Pull a cotangent back through update `step` alone: the gradient is held fixed in what it depends on.

        Returns
        -------
        State
            The cotangent of the state before the update.
        array, shape (P,) or (K, P)
            That of the gradient, along which the slopes of the losses are taken.
        """
        gradient = None if self.is_linear else self.gradient(state, step)[1]
        return self._update_vjp(cotangent, state, gradient, step)

    def slopes(self, vectors: Array, state: State, step: int) -> Array:
        r"""Return :math:`c_j\langle v, \nabla\ell_j\rangle` for the samples of an update.

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
        through = zip(self.plan.passes(step), self.buffers(state, step), strict=True)
        return self._joined([self.passes.slopes(vectors, state.parameters, b, m) for m, b in through])

    def products(self, blocks: Blocks, state: State, step: int) -> Array:
        """Return what `slopes` does, ``(K, n)``, along K vectors that are gradients by layer."""
        through = zip(self.plan.passes(step), self.buffers(state, step), strict=True)
        return self._joined([self.passes.products(blocks, state.parameters, b, m) for m, b in through])

    def cotangent_of(self, parameters_bar: Array, buffers_bar: Array) -> State:
        """Return the cotangent of the last state from the gradients of an objective."""
        return State(parameters_bar, self.training.optimizer.zero_slots(parameters_bar), buffers_bar)

    @property
    def is_linear(self) -> bool:
        """Whether the Hessian-free cotangent stays a multiple of the one it started from."""
        return self.update.is_linear

    def coefficients(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        r"""Run the Hessian-free recursion on scalars, where the program `is_linear`.

        Returns
        -------
        ndarray of float64, shape (T,)
            The multiple of the starting cotangent that the gradient of each update receives.
        ndarray of float64, shape (T + 1,)
            The multiple that the parameters before each update carry, and after the last.
        """
        return self.update.coefficients()

    def _pullback(
        self, cotangent: State, state: State, step: int, *, gauss_newton: bool
    ) -> tuple[State, Array]:
        is_one = len(self.plan.passes(step)) == 1
        through = self._through_one_pass if is_one else self._through_passes
        return through(cotangent, state, step, gauss_newton=gauss_newton)

    def _through_one_pass(
        self, cotangent: State, state: State, step: int, *, gauss_newton: bool
    ) -> tuple[State, Array]:
        """Pull back through an update whose gradient is known as soon as its pass is."""
        after = cotangent

        def direction_of(linearization: Linearization) -> Array:
            nonlocal after
            gradient = None if self.is_linear else linearization.gradient
            after, gradient_bar = self._update_vjp(cotangent, state, gradient, step)
            return gradient_bar

        (number,) = self.plan.passes(step)
        at = state.parameters, state.buffers, number
        through, slopes, buffers_bar = self.passes.pullback(
            direction_of, cotangent.buffers, *at, gauss_newton=gauss_newton
        )
        return State(after.parameters + through, after.slots, buffers_bar), slopes

    def _through_passes(
        self, cotangent: State, state: State, step: int, *, gauss_newton: bool
    ) -> tuple[State, Array]:
        """Pull back through an update of several passes, the last first; only one of their graphs is alive."""
        after, gradient_bar = self.through_update(cotangent, state, step)
        parameters_bar, buffers_bar, all_slopes = after.parameters, cotangent.buffers, []
        numbers, buffers = self.plan.passes(step), self.buffers(state, step)
        for number, before in zip(reversed(numbers), reversed(buffers), strict=True):
            at = state.parameters, before, number
            through, slopes, buffers_bar = self.passes.pullback(
                lambda _: gradient_bar, buffers_bar, *at, gauss_newton=gauss_newton
            )
            parameters_bar = parameters_bar + through
            all_slopes.append(slopes)
        return State(parameters_bar, after.slots, buffers_bar), self._joined(all_slopes[::-1])

    def buffers(self, state: State, step: int) -> list[Array]:
        """Return the buffers before each pass of an update."""
        found = [state.buffers]
        for number in self.plan.passes(step)[:-1]:
            has_any = 0 not in tuple(state.buffers.shape)
            after = self.passes.gradient(state.parameters, found[-1], number)[2] if has_any else found[-1]
            found.append(after)
        return found

    def _update_vjp(
        self, cotangent: State, state: State, gradient: Array | None, step: int
    ) -> tuple[State, Array]:
        parameters_bar, slots_bar, gradient_bar = self.update.vjp(
            cotangent.parameters, cotangent.slots, state.parameters, state.slots, gradient, step
        )
        return State(parameters_bar, slots_bar, cotangent.buffers), gradient_bar

    def _few(self) -> Any:
        """Return a few samples as a batch."""
        return self.batches.take(np.arange(min(len(self.data), _N_EXAMPLES)))

    def _joined(self, of_passes: list[Array]) -> Array:
        return of_passes[0] if len(of_passes) == 1 else self.backend.arrays.concatenate(of_passes)

    def _load(self, array: Array) -> Array:
        return self.backend.arrays.from_numpy(array) if isinstance(array, np.ndarray) else array


def _total(arrays: list[Array]) -> Array:
    first, *others = arrays
    for other in others:
        first = first + other
    return first

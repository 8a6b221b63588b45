"""The forward passes of a run: losses, gradients, slopes and second-order products of each, by its number."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Array, Backend, FirstOrder, Linearization
from dataval.backend.layers import Blocks, compact, inner_products
from dataval.data import Samples
from dataval.errors import RunMismatchError
from dataval.training.evidence import digest_of
from dataval.training.plan import Plan

__all__ = ["Passes"]


class Passes:
    """The weighted losses of each pass of a plan, and their derivatives.

    A sample of weight 0 is left out even where it has no finite loss or gradient, which 0 times it would not
    be: what isn't finite because of such samples is found with another sample in their place.

    Parameters
    ----------
    backend : Backend
    data : Samples
    plan : Plan
    weights : ndarray of float64, shape (N,) or (K, N)
        Sample weights :math:`w_j`.
    """

    def __init__(self, backend: Backend, data: Samples, plan: Plan, weights: NDArray[np.float64]) -> None:
        self.backend, self.plan, self.weights = backend, plan, weights
        self.batches = backend.batches(data)
        self._is_left_out = (weights == 0).reshape(-1, weights.shape[-1]).all(axis=0)
        digests = plan.digests
        self._is_as_recorded = np.ones(plan.n_passes, dtype=bool) if digests is None else digests == 0
        self._leaves_out = bool(self._is_left_out.any() and not self._is_left_out.all())

    def batch(self, number: int) -> Any:
        """Return the batch of a pass.

        Raises
        ------
        RunMismatchError
            If a recorded loop saw another one.
        """
        batch = self._take(number, self.plan.samples(number))
        if not self._is_as_recorded[number]:
            self._check_digest(batch, number)
        return batch

    def seed(self, number: int) -> int:
        """Return the seed of a pass."""
        return int(self.plan.seeds[number])

    def scaled_weights(self, number: int) -> Array:
        """Return the weights of a pass's samples times their coefficients; ``(n,)`` or ``(K, n)``."""
        weights = self.weights[..., self.plan.samples(number)] * self.plan.pass_coefficients(number)
        return self.backend.arrays.from_numpy(weights)

    def losses(self, parameters: Array, buffers: Array, number: int) -> Array:
        """Return the losses of a pass ``(n,)``."""
        return self.backend.loss.losses(parameters, buffers, self.batch(number), self.seed(number))

    def gradient(self, parameters: Array, buffers: Array, number: int) -> tuple[Array, Array, Array]:
        """Return losses, gradient and new buffers, whatever the samples of weight 0 are."""
        arguments = self.scaled_weights(number), self.seed(number)
        gradient_of = self.backend.loss.gradient
        losses, gradient, after = gradient_of(parameters, buffers, self.batch(number), *arguments)
        if self._is_sound(number, gradient, after):
            return losses, gradient, after
        others, gradient, after = gradient_of(parameters, buffers, self._replaced(number), *arguments)
        return self._merged(number, losses, others), gradient, after

    def slopes(self, vectors: Array, parameters: Array, buffers: Array, number: int) -> Array:
        """Return ``c_j <vector, grad loss_j>`` for the samples of a pass, ``(n,)`` or ``(K, n)``."""
        return self._of_samples(number, partial(self._slopes, vectors, parameters, buffers, number))

    def products(self, blocks: Blocks, parameters: Array, buffers: Array, number: int) -> Array:
        """Return ``c_j <v_k, grad loss_j>`` for K gradients by layer and the samples of a pass, ``(K, n)``."""
        loss, arrays, seed = self.backend.loss, self.backend.arrays, self.seed(number)

        def of_batch(batch: Any) -> Array:
            layers = compact(arrays, loss.layer_gradients(parameters, buffers, batch, seed))
            return inner_products(arrays, blocks, layers)

        return self._of_samples(number, of_batch)

    def _of_samples(self, number: int, of_batch: Callable[[Any], Array]) -> Array:
        """Return numbers of a pass's samples times their coefficients, whatever those of weight 0 are."""
        found = of_batch(self.batch(number))
        if not self._is_sound(number, found):
            found = self._merged(number, found, of_batch(self._replaced(number)))
        return found * self._coefficients(number)

    def first_order(self, parameters: Array, buffers: Array, number: int) -> FirstOrder:
        """Return the gradient of a pass, and a function for the slopes of its samples times their coefficients.

        What samples of weight 0 spoil is found in two passes.
        """
        weights, seed = self.scaled_weights(number), self.seed(number)
        found = self.backend.loss.first_order(parameters, buffers, self.batch(number), weights, seed)
        if not self._is_sound(number, found.gradient):
            gradient = self.gradient(parameters, buffers, number)[1]
            return FirstOrder(gradient, lambda vectors: self.slopes(vectors, parameters, buffers, number))
        return FirstOrder(found.gradient, lambda vectors: found.slopes(vectors) * self._coefficients(number))

    def pullback(
        self,
        direction_of: Callable[[Linearization], Array],
        buffers_bar: Array,
        parameters: Array,
        buffers: Array,
        number: int,
        *,
        gauss_newton: bool = False,
    ) -> tuple[Array, Array, Array]:
        """Pull cotangents back through the gradient of a pass and its new buffers.

        Parameters
        ----------
        direction_of : callable
            Returns the cotangent of the gradient; it may look at the gradient itself.
        buffers_bar : array
            Cotangent of the buffers after the pass.
        parameters, buffers : array
            Before it.
        number : int
            Of the pass.
        gauss_newton : bool
            Whether the Gauss-Newton matrix stands for the Hessian.

        Returns
        -------
        array
            Cotangent of the parameters.
        array, shape (n,) or (K, n)
            Cotangents of the weights of the pass's samples.
        array
            Cotangent of the buffers before it.
        """
        loss = self.backend.loss
        linearize = loss.linearize_gauss_newton if gauss_newton else loss.linearize

        def pull(batch: Any) -> tuple[Array, tuple[Array, Array, Array]]:
            arguments = parameters, buffers, batch, self.scaled_weights(number), self.seed(number)
            linearization = linearize(*arguments)
            direction = direction_of(linearization)
            return direction, linearization.pullback(direction, buffers_bar)

        direction, (through, slopes, before) = pull(self.batch(number))
        if not self._is_sound(number, through, before):
            direction, (through, others, before) = pull(self._replaced(number))
            own = self._slopes(direction, parameters, buffers, number, self.batch(number))
            slopes = self._merged(number, own, others)
        return through, slopes * self._coefficients(number), before

    def _check_digest(self, batch: Any, number: int) -> None:
        """Hold a batch against what the recorded loop saw, once."""
        assert self.plan.digests is not None
        if digest_of(*batch.arrays()) != self.plan.digests[number]:
            few = ", ".join(map(str, self.plan.samples(number)[:4]))
            raise RunMismatchError(
                f"pass {number} of the recorded loop saw other data than these (samples {few}, ...): pass "
                "the data set of the loop, in the same order, prepared as the model saw it"
            )
        self._is_as_recorded[number] = True

    def _slopes(self, vectors: Array, parameters: Array, buffers: Array, number: int, batch: Any) -> Array:
        return self.backend.loss.slopes(parameters, buffers, batch, vectors, self.seed(number))

    def _coefficients(self, number: int) -> Any:
        """Return the coefficients of a pass, as one float where they are equal."""
        found = self.plan.pass_coefficients(number)
        if (found == found[0]).all():
            return float(found[0])
        return self.backend.arrays.from_numpy(found)

    def _is_sound(self, number: int, *found: Array) -> bool:
        """Whether nothing that was found can have been spoilt by a sample of weight 0."""
        if not (self._leaves_out and self._is_left_out[self.plan.samples(number)].any()):
            return True
        arrays = self.backend.arrays
        squares = [arrays.inner(array, array) for array in found]
        return all(bool(np.isfinite(arrays.to_numpy(square)).all()) for square in squares)

    def _replaced(self, number: int) -> Any:
        """Return the batch of a pass with another sample in place of those of weight 0."""
        samples = self.plan.samples(number)
        kept = samples[~self._is_left_out[samples]]
        other = kept[0] if len(kept) else np.flatnonzero(~self._is_left_out)[0]
        return self._take(number, np.where(self._is_left_out[samples], other, samples))

    def _take(self, number: int, samples: NDArray[np.int64]) -> Any:
        """Return samples as they were read in a pass."""
        draws = self.plan.pass_draws(number)
        return self.batches.take(samples) if draws is None else self.batches.take(samples, draws)

    def _merged(self, number: int, own: Array, others: Array) -> Array:
        """Return numbers of a pass's samples: their own for those of weight 0."""
        arrays = self.backend.arrays
        is_own = self._is_left_out[self.plan.samples(number)]
        return arrays.from_numpy(np.where(is_own, arrays.to_numpy(own), arrays.to_numpy(others)))

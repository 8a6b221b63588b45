"""What the user cares about: a function of the model's outputs on validation samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Array, Backend, ObjectiveFunction
from dataval.backend.layers import LayerGradients
from dataval.checks import described
from dataval.data import Samples
from dataval.errors import InvalidDataError, InvalidModelError
from dataval.training.faults import is_finite, name_samples
from dataval.training.program import State

__all__ = ["ValidationObjective", "check_objective", "explained_failure"]

CHUNK_SIZE = 500


class ValidationObjective:
    """The mean over validation samples of a per-sample objective, in evaluation mode.

    An objective that returns a single number instead is evaluated on all samples at once.

    Parameters
    ----------
    backend : Backend
    data : Samples
        The validation samples.
    function : callable or None
        (outputs, targets) -> ``(n,)`` or a number, in the model's framework; None stands for the loss.
    chunk_size : int
        Samples in one forward pass. Does not change the result.

    Attributes
    ----------
    name : str
        ``"loss"``.
    greater_is_better : bool
        False: this is what a model is trained to make small.
    function : callable or None
        As given.
    is_scalar : bool
        Whether the function returns a single number.
    """

    name = "loss"
    greater_is_better = False

    def __init__(
        self, backend: Backend, data: Samples, function: ObjectiveFunction | None, chunk_size: int = CHUNK_SIZE
    ) -> None:
        check_objective(function)
        self.function = function
        self._backend = backend
        self._batches = backend.batches(data)
        self._function, self._objective = function, backend.objective(function)
        self._n = len(data)
        self._chunk_size = chunk_size
        with explained_failure():
            if function is None:
                backend.check_targets(data)
            self.is_scalar = self._probe()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what a framework compiled, which can't travel to another process."""
        return {name: value for name, value in self.__dict__.items() if name != "_objective"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Have the backend make it again."""
        self.__dict__.update(state)
        self._objective = self._backend.objective(self._function)

    def value(self, state: State) -> NDArray[np.float64]:
        """Return the objective at a state, shape ``()``, or ``(K,)`` for a state with a leading axis."""
        total: NDArray[np.float64] = np.zeros(())
        for batch in self._chunks():
            values = self._objective.values(state.parameters, state.buffers, batch)
            values = self._backend.arrays.to_numpy(values).astype(np.float64)
            total = total + (values if self.is_scalar else values.sum(axis=-1))
        return np.asarray(total if self.is_scalar else total / self._n)

    def values(self, state: State) -> NDArray[np.float64]:
        """Return every sample's objective at a state, shape ``(n,)``, or ``(K, n)`` with a leading axis."""
        parts = [
            self._backend.arrays.to_numpy(
                self._objective.values(state.parameters, state.buffers, batch)
            ).astype(np.float64)
            for batch in self._chunks()
        ]
        return np.concatenate(parts, axis=-1)

    def gradient(self, state: State) -> tuple[Array, Array]:
        """Return the gradients ``(P,)`` and ``(S,)`` of the objective in parameters and buffers.

        Raises
        ------
        InvalidDataError
            If they are not finite; the validation sample is named where one is to blame.
        """
        parts = [self._objective.gradient(state.parameters, state.buffers, batch) for batch in self._chunks()]
        scale = 1.0 if self.is_scalar else 1.0 / self._n
        found = sum(p for p, _ in parts) * scale, sum(b for _, b in parts) * scale
        if not is_finite(self._backend.arrays, *found):
            raise self._fault(state, np.arange(0 if self.is_scalar else self._n))
        return found

    def gradients(self, state: State, indices: NDArray[np.int64]) -> tuple[Array, Array]:
        """Return the gradients ``(n, P)`` and ``(n, S)`` of some samples' objective.

        Raises
        ------
        InvalidDataError
            If one is not finite; the validation sample is named.
        """
        found = self._objective.rows(state.parameters, state.buffers, self._batches.take(indices))
        if not is_finite(self._backend.arrays, *found):
            raise self._fault(state, indices)
        return found

    def layer_gradients(self, state: State, indices: NDArray[np.int64]) -> Sequence[LayerGradients]:
        """Return the gradients of some samples' objective in the parameters, by layer; finite or not."""
        return self._objective.layer_gradients(state.parameters, state.buffers, self._batches.take(indices))

    def _fault(self, state: State, indices: NDArray[np.int64]) -> InvalidDataError:
        """Return the error for gradients that aren't finite, having looked at samples one by one."""
        bad = []
        for sample in indices:
            batch = self._batches.take(np.array([sample]))
            found = self._objective.gradient(state.parameters, state.buffers, batch)
            if not is_finite(self._backend.arrays, *found):
                bad.append(int(sample))
        return _named_fault(bad)

    def _chunks(self) -> Iterator[Any]:
        size = self._n if self.is_scalar else self._chunk_size
        for start in range(0, self._n, size):
            yield self._batches.take(np.arange(start, min(self._n, start + size)))

    def _probe(self) -> bool:
        """Evaluate the objective on some samples; return whether it gives a single number."""
        n = min(CHUNK_SIZE, self._n)
        values = self._objective.values(*self._backend.initial(), self._batches.take(np.arange(n)))
        shape = tuple(values.shape)
        if shape not in {(), (n,)}:
            raise InvalidDataError(
                f"the objective returned shape {shape} for {n} samples: it must be ({n},), one number a "
                "sample, or a single number"
            )
        return shape == ()


def check_objective(function: Any) -> None:
    """Raise `TypeError` if an objective is neither a function nor None."""
    if function is not None and not callable(function):
        raise TypeError(
            "objective must be a function (outputs, targets) -> one number a sample, in the model's framework, "
            f"or None for the learner's loss, got {described(function)}"
        )


def _named_fault(samples: list[int]) -> InvalidDataError:
    if not samples:
        return InvalidDataError(
            "the gradient of the validation objective is not finite: look for a division by 0, a root or a "
            "logarithm in the model or the objective, or for sums that overflow"
        )
    return InvalidDataError(
        f"validation {name_samples(samples)}: the gradient of its objective is not finite: look for a division "
        "by 0, a root or a logarithm at 0 in the model or the objective, or leave the sample out"
    )


@contextmanager
def explained_failure(what: str = "validation") -> Iterator[None]:
    """Turn whatever model or objective raise on samples that they can't take into one kind of error."""
    try:
        yield
    except (InvalidDataError, InvalidModelError):
        raise
    except Exception as error:
        raise InvalidDataError(
            f"the model or the objective failed on the first {what} samples: {error}. Check that their "
            "shape and dtype are those of the training samples, and what the objective does with its arguments"
        ) from error

"""The gradients that the curvature is made of: of drawn targets, of all directions, or of the given targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend.layers import LayerGradients
from dataval.backend.losses import Loss, NamedLoss, resolve_loss
from dataval.curvature.kronecker.options import Kronecker
from dataval.curvature.kronecker.outputs import OutputDirections, directions_of
from dataval.curvature.operator import sample_scale
from dataval.errors import InvalidDataError, InvalidModelError
from dataval.objectives.training import TrainingSamples, layer_chunk_size
from dataval.training.program import Program, State

__all__ = ["FisherGradients"]

_MOST_DIRECTIONS = 1_000


class FisherGradients:
    r"""Gradients :math:`g_{jk}` and weights for which :math:`\sum c_{jk}\,g_{jk}g_{jk}^\top` is the matrix.

    Parameters
    ----------
    program : Program
        Gives samples, weights and their scale; samples of weight 0 are left out.
    state : State
    loss
        The learner's.
    options : Kronecker
    chunk_size : int, optional
        Samples handled at a time. Doesn't change what is drawn.

    Raises
    ------
    InvalidModelError
        If the loss has no name, and its own targets are not asked for.
    """

    def __init__(
        self, program: Program, state: State, loss: Loss, options: Kronecker, chunk_size: int | None = None
    ) -> None:
        resolved = resolve_loss(loss)
        self._loss: NamedLoss | None = None
        if options.fisher != "empirical":
            self._loss = _named(resolved, options)
        self._backend, self._state, self._options = program.backend, state, options
        self._objective, self._data = program.backend.objective(), program.data
        self._batches = program.backend.batches(program.data)
        self._training = TrainingSamples(program, state)
        self._weights = program.weights * sample_scale(program)
        self.samples = np.flatnonzero(program.weights)
        if not len(self.samples):
            raise InvalidDataError("the weights of all training samples are 0: there is no curvature")
        self._chunk_size = chunk_size

    def __iter__(self) -> Iterator[tuple[Sequence[LayerGradients], NDArray[np.float64]]]:
        """Yield gradients by layer with their weights ``(n,)``."""
        size = self._chunk_size or layer_chunk_size(self._backend.arrays, self.probe(1))
        for start in range(0, len(self.samples), size):
            yield from self.of(self.samples[start : start + size])

    def of(self, samples: NDArray[np.int64]) -> Iterator[tuple[Sequence[LayerGradients], NDArray[np.float64]]]:
        """Yield the gradients of some samples, one draw or direction after another."""
        batch, weights = self._batches.take(samples), self._weights[samples]
        at = self._state.parameters, self._state.buffers
        if self._loss is None:
            yield self._objective.layer_gradients(*at, batch), weights
            return
        arrays = self._backend.arrays
        outputs = arrays.to_numpy(self._backend.predict(*at, batch)).astype(np.float64)
        targets = self._data.take(samples).targets
        directions = directions_of(self._loss, outputs, targets, self._backend.class_axis)
        for cotangents in self._cotangents(directions, samples):
            blocks = self._objective.layer_gradients(*at, batch, arrays.from_numpy(cotangents))
            yield blocks, weights / self._n_draws

    def probe(self, n: int = 2) -> Sequence[LayerGradients]:
        """Return the layers, by the gradients of the first n samples.

        Raises
        ------
        InvalidModelError
            If the backend or the model can't do what is asked for.
        """
        try:
            blocks, _ = next(self.of(self.samples[:n]))
        except NotImplementedError:
            raise InvalidModelError(
                f"the backend {self._backend.name!r} has gradients of given targets alone: choose "
                "fisher='empirical'"
            ) from None
        return blocks

    def fault(self) -> InvalidDataError:
        """Return the error for gradients that aren't finite, having looked at the samples one by one."""
        try:
            for sample in self.samples:
                self._training.gradients(np.array([sample]))
        except InvalidDataError as error:
            return error
        return InvalidDataError(
            "the curvature's factors are not finite although all gradients are: look for outputs or "
            "activations that overflow"
        )

    @property
    def _n_draws(self) -> int:
        return self._options.n_draws if self._options.fisher == "sampled" else 1

    def _cotangents(
        self, directions: OutputDirections, samples: NDArray[np.int64]
    ) -> Iterator[NDArray[np.float64]]:
        if self._options.fisher == "exact":
            if directions.n_all > _MOST_DIRECTIONS:
                raise InvalidModelError(
                    f"fisher='exact' takes a pass for each of the model's {directions.n_all} outputs: choose "
                    f"fisher='sampled' above {_MOST_DIRECTIONS}"
                )
            yield from map(directions.direction, range(directions.n_all))
            return
        for draw in range(self._options.n_draws):
            seeds = ([self._options.seed, draw, int(sample)] for sample in samples)
            yield directions.drawn([np.random.default_rng(seed) for seed in seeds])


def _named(resolved: NamedLoss | Callable[..., Any], options: Kronecker) -> NamedLoss:
    if isinstance(resolved, NamedLoss):
        return resolved
    name = getattr(resolved, "__name__", type(resolved).__name__)
    raise InvalidModelError(
        f"fisher={options.fisher!r} needs to know what targets the model predicts, which the loss {name!r} "
        "doesn't tell: use a loss with a name, such as 'cross_entropy', or "
        f"{type(options).__name__}(fisher='empirical')"
    )

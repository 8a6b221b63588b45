"""Similarity of gradients at the final state: inner products and cosines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataval.backend import ObjectiveFunction
from dataval.backend.layers import gradient_of, squared_norms_of
from dataval.checks import whole_number
from dataval.curvature.compression import Compression, Uncompressed, projected
from dataval.data import Samples
from dataval.methods.gradient_index import Stage, chunks
from dataval.methods.indexed import IndexedValuator
from dataval.methods.of_states import States
from dataval.objectives.products import gradient_products
from dataval.objectives.sample_gradients import ObjectiveGradients
from dataval.objectives.training import TrainingSamples
from dataval.objectives.utility import SampleObjectives
from dataval.objectives.validation import ValidationObjective
from dataval.progress import progress_bar
from dataval.training.learner import Learner
from dataval.training.program import Program, State

__all__ = ["GradCos", "GradDot"]

FloatArray = NDArray[np.float64]


class GradDot(IndexedValuator):
    r"""Inner products of gradients at the final state.

    .. math:: \mathrm{value}_j = \langle\nabla F(\theta),\,\nabla\ell_j(\theta)\rangle

    by how much F falls per unit of step along sample j's gradient, to first order: `TracIn` at one state, and
    `InfluenceFunction` with the identity for the curvature. Positive: the sample helps. The cheapest
    method that looks at gradients, and what any other has to beat.

    Products of layers are taken from their inputs and output gradients where that takes less than forming the
    gradients. With a `dimension`, gradients are projected and kept, as those of `TRAK`.

    Parameters
    ----------
    learner : Learner
    dimension : int, optional
        Of a sparse random projection; values then err by about
        :math:`\lVert\nabla F\rVert\lVert\nabla\ell_j\rVert/\sqrt k`. By default nothing is projected, and every
        question takes the gradients of all training samples.
    objective : callable, optional
        What the validation set measures, as for `HyDRA`; the learner's loss by default.
    seed : int, default 0
        Draws the projection.
    folder : path, optional
        Where the projected gradients are kept.
    chunk_size : int, optional
        Samples handled at a time. Doesn't change the values beyond rounding.

    Attributes
    ----------
    run_ : TrainingRun

    References
    ----------
    Charpiat, Girard, Felardos & Tarabalka (2019). Input similarity from the neural network perspective.
    NeurIPS.
    """

    _is_cosine = False

    def __init__(
        self,
        learner: Learner,
        *,
        dimension: int | None = None,
        objective: ObjectiveFunction | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        chunk_size: int | None = None,
    ) -> None:
        self.learner = learner
        self.dimension = dimension
        self.objective = objective
        self.seed = seed
        self.folder = folder
        self.chunk_size = chunk_size

    def _prepare(self, program: Program) -> None:
        super()._prepare(program)
        if self.dimension is not None:
            whole_number("dimension", self.dimension, minimum=1)
        elif self.folder is not None:
            raise ValueError("folder keeps projected gradients: give a dimension, or leave it out")

    def _stages(self) -> list[Stage]:
        program = self._replay.program
        return [Stage(program, self._replay.final, ObjectiveGradients(program.backend, program.data))]

    def _build(self, stages: list[Stage]) -> None:
        if self.dimension is not None:
            super()._build(stages)

    def _compression(self, program: Program, stage: Stage) -> Compression:
        assert self.dimension is not None
        return projected(program.backend.signature.n_parameters, self.dimension, self.seed)

    def _score(self, states: States, validation: Samples) -> FloatArray:
        if self.dimension is not None:
            return np.asarray(self._from_index(self._directions(states, validation))[0])
        samples = TrainingSamples(states.program, states.final, self.chunk_size)
        return self._divided(samples, samples.slopes(self._direction(states, validation)[None])[0])

    def _attribute(self, states: States, validation: Samples) -> FloatArray:
        objective = self._objective(states.program.backend, validation)
        SampleObjectives(objective)  # refuses a single number
        if self.dimension is not None:
            return self._from_index(self._rows(states, validation))
        program, found = states.program, []
        samples = TrainingSamples(program, states.final, self.chunk_size)
        plain = Uncompressed(program.backend.signature.n_parameters)
        with progress_bar("attributing", len(validation), self.learner.progress) as bar:
            for part in chunks(0, len(validation), plain, program.backend, self.chunk_size):
                found.append(self._products(samples, objective, states.final, part))
                bar.update(len(part))
        return self._divided(samples, np.concatenate(found))

    def _products(
        self,
        samples: TrainingSamples,
        objective: ValidationObjective,
        state: State,
        indices: NDArray[np.int64],
    ) -> FloatArray:
        """Return the products of some validation samples' gradients with all training samples'."""
        return gradient_products(samples, objective, state, indices)

    def _divided(self, samples: TrainingSamples, products: FloatArray) -> FloatArray:
        """Divide by the training gradients' norms, where a method does."""
        return products

    def _direction(self, states: States, validation: Samples) -> FloatArray:
        """Return the vector ``(P,)`` along which training samples have their values."""
        backend = states.program.backend
        gradient = self._objective(backend, validation).gradient(states.final)[0]
        return np.asarray(backend.arrays.to_numpy(gradient), dtype=np.float64)

    def _directions(self, states: States, validation: Samples) -> FloatArray:
        """Return the same, projected, ``(1, k)``."""
        return self._mean_gradient(states.program, states.final, validation)

    def _rows(self, states: States, validation: Samples) -> FloatArray:
        """Return the projected gradients of validation samples, ``(n_val, k)``."""
        return self._gradients(states.program, states.final, validation)

    def _from_index(self, vectors: FloatArray) -> FloatArray:
        read, n = self._index.read(0), self._index.n
        parts = []
        for part in chunks(0, n, self._index.compression, self._replay.program.backend):
            rows = read(part[0], part[-1] + 1)
            parts.append(vectors @ (_normalised(rows) if self._is_cosine else rows).T)
        return np.concatenate(parts, axis=1)


class GradCos(GradDot):
    r"""Cosines of gradients at the final state.

    .. math:: \mathrm{value}_j = \frac{\langle\nabla F,\,\nabla\ell_j\rangle}
              {\lVert\nabla F\rVert\,\lVert\nabla\ell_j\rVert}

    for one validation sample, and `score` their mean over validation samples. Positive: the sample helps.
    Without the norms, outliers and samples that are far from fitted don't lead every list; values lie in
    [-1, 1], have no unit and don't add up. 0 for a gradient that is 0.

    An objective that is a single number for all samples has one gradient, with which `score` takes the cosine.

    Parameters
    ----------
    learner, dimension, objective, seed, folder, chunk_size
        As for `GradDot`.

    Attributes
    ----------
    run_ : TrainingRun

    References
    ----------
    Charpiat, Girard, Felardos & Tarabalka (2019). Input similarity from the neural network perspective.
    NeurIPS.
    Hanawa, Yokoi, Hara & Inui (2021). Evaluation of similarity-based explanations. ICLR.
    """

    _is_cosine = True

    def _products(
        self,
        samples: TrainingSamples,
        objective: ValidationObjective,
        state: State,
        indices: NDArray[np.int64],
    ) -> FloatArray:
        norms = self._norms(samples, objective, state, indices)
        return super()._products(samples, objective, state, indices) / norms[:, None]

    def _divided(self, samples: TrainingSamples, products: FloatArray) -> FloatArray:
        return products / _divisors(np.sqrt(samples.squared_norms()))

    def _norms(
        self,
        samples: TrainingSamples,
        objective: ValidationObjective,
        state: State,
        indices: NDArray[np.int64],
    ) -> FloatArray:
        """Return what products with some validation samples' gradients are divided by."""
        arrays = self._replay.program.backend.arrays
        squares = samples.numpy(squared_norms_of(arrays, objective.layer_gradients(state, indices)))
        return _divisors(np.sqrt(np.maximum(squares, 0)))

    def _direction(self, states: States, validation: Samples) -> FloatArray:
        gradient, backend = super()._direction(states, validation), states.program.backend
        objective, n = self._objective(backend, validation), len(validation)
        if objective.is_scalar:
            return np.asarray(_normalised(gradient[None])[0])
        samples = TrainingSamples(states.program, states.final)
        total = np.zeros_like(gradient)
        plain = Uncompressed(len(gradient))
        for part in chunks(0, n, plain, backend, self.chunk_size):
            blocks = objective.layer_gradients(states.final, part)
            weights = 1 / (n * self._norms(samples, objective, states.final, part))
            total += samples.numpy(gradient_of(backend.arrays, blocks, backend.arrays.from_numpy(weights)))
        return total

    def _directions(self, states: States, validation: Samples) -> FloatArray:
        objective = self._objective(states.program.backend, validation)
        if objective.is_scalar:
            return _normalised(super()._directions(states, validation))
        return np.asarray(self._rows(states, validation).mean(axis=0, keepdims=True))

    def _rows(self, states: States, validation: Samples) -> FloatArray:
        return _normalised(super()._rows(states, validation))


def _normalised(rows: FloatArray) -> FloatArray:
    return np.asarray(rows / _divisors(np.linalg.norm(rows, axis=1, keepdims=True)))


def _divisors(norms: FloatArray) -> FloatArray:
    """Return norms, with infinity for 0: what has no gradient has no cosine."""
    return np.where(norms == 0, np.inf, norms)

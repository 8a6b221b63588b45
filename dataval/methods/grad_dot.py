"""Similarity of gradients at the final state: inner products and cosines."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataval.backend import ObjectiveFunction
from dataval.backend.layers import Blocks, gradient_of, inner_products, slopes_along, squared_norms_of
from dataval.checks import whole_number
from dataval.curvature.compression import Compression, Uncompressed, projected
from dataval.data import Samples
from dataval.methods.gradient_index import Stage, chunks
from dataval.methods.indexed import IndexedValuator, check_validation
from dataval.methods.of_states import States
from dataval.objectives.sample_gradients import ObjectiveGradients
from dataval.objectives.utility import SampleObjectives
from dataval.progress import progress_bar
from dataval.training.faults import check_finite
from dataval.training.learner import Learner
from dataval.training.program import Program

__all__ = ["GradCos", "GradDot"]

FloatArray = NDArray[np.float64]

_WHAT = "the gradient of its loss in evaluation mode"


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
        vector = self._direction(states, validation)

        def products(blocks: Blocks) -> FloatArray:
            slopes = _numpy(states, slopes_along(states.program.backend.arrays, blocks, vector))
            return (slopes / self._own_norms(states, blocks, slopes.shape))[None]

        return np.asarray(self._over_training(states, "scoring", products)[0])

    def _attribute(self, states: States, validation: Samples) -> FloatArray:
        objective = self._objective(states.program.backend, validation)
        SampleObjectives(objective)  # refuses a single number
        if self.dimension is not None:
            return self._from_index(self._rows(states, validation))
        backend = states.program.backend
        plain = Uncompressed(backend.signature.n_parameters)
        gradients, found = ObjectiveGradients(backend, validation, self.objective), []
        for rows in chunks(0, len(validation), plain, backend, self.chunk_size):
            theirs = gradients.at(states.final, rows)
            check_validation(_numpy(states, squared_norms_of(backend.arrays, theirs))[:, None], rows)
            what = f"attributing {rows[-1] + 1}/{len(validation)}"
            found.append(self._over_training(states, what, partial(self._products, states, theirs)))
        return np.concatenate(found)

    def _products(self, states: States, theirs: Blocks, mine: Blocks) -> FloatArray:
        found = _numpy(states, inner_products(states.program.backend.arrays, theirs, mine))
        if not self._is_cosine:
            return found
        norms = self._own_norms(states, theirs, (len(found),))
        return found / norms[:, None] / self._own_norms(states, mine, (found.shape[1],))

    def _over_training(self, states: States, what: str, products: Callable[[Blocks], FloatArray]) -> FloatArray:
        """Return what a function ``(m, n)`` of gradients gives for all training samples, ``(m, N)``.

        Where it isn't finite, sample by sample, lest one spoil what its neighbours have.
        """
        program = states.program
        gradients = ObjectiveGradients(program.backend, program.data)
        plain = Uncompressed(program.backend.signature.n_parameters)

        def of(part: NDArray[np.int64]) -> FloatArray:
            found = products(gradients.at(states.final, part))
            if len(part) == 1 or np.isfinite(found).all():
                return found
            return np.concatenate([of(one) for one in part[:, None]], axis=1)

        parts = []
        with progress_bar(what, len(program.data), self.learner.progress) as bar:
            for part in chunks(0, len(program.data), plain, program.backend, self.chunk_size):
                parts.append(of(part))
                bar.update(len(part))
        found = np.concatenate(parts, axis=1)
        check_finite(found, np.arange(len(program.data)), program.weights, _WHAT)
        return found

    def _direction(self, states: States, validation: Samples) -> object:
        """Return the vector ``(P,)`` along which training samples have their values."""
        objective = self._objective(states.program.backend, validation)
        return objective.gradient(states.final)[0]

    def _directions(self, states: States, validation: Samples) -> FloatArray:
        """Return the same, projected, ``(1, k)``."""
        return self._mean_gradient(states.program, states.final, validation)

    def _rows(self, states: States, validation: Samples) -> FloatArray:
        return self._gradients(states.program, states.final, validation)

    def _from_index(self, vectors: FloatArray) -> FloatArray:
        read, n = self._index.read(0), self._index.n
        parts = []
        for part in chunks(0, n, self._index.compression, self._replay.program.backend):
            rows = read(part[0], part[-1] + 1)
            parts.append(vectors @ (_normalised(rows) if self._is_cosine else rows).T)
        return np.concatenate(parts, axis=1)

    def _own_norms(self, states: States, blocks: Blocks, shape: tuple[int, ...]) -> FloatArray:
        """Return what products are divided by, for every sample of some blocks."""
        if not self._is_cosine:
            return np.ones(shape)
        squares = _numpy(states, squared_norms_of(states.program.backend.arrays, blocks))
        return np.sqrt(np.where(squares == 0, np.inf, np.maximum(squares, 0)))


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

    def _direction(self, states: States, validation: Samples) -> object:
        backend = states.program.backend
        objective, arrays = self._objective(backend, validation), backend.arrays
        if objective.is_scalar:
            gradient = _numpy(states, objective.gradient(states.final)[0])
            return arrays.from_numpy(_normalised(gradient[None])[0])
        objective.gradient(states.final)  # names samples whose gradient isn't finite
        gradients, total = ObjectiveGradients(backend, validation, self.objective), 0.0
        plain = Uncompressed(backend.signature.n_parameters)
        for rows in chunks(0, len(validation), plain, backend, self.chunk_size):
            blocks = gradients.at(states.final, rows)
            weights = 1 / (self._own_norms(states, blocks, (len(rows),)) * len(validation))
            total = total + gradient_of(arrays, blocks, arrays.from_numpy(weights))
        return total

    def _directions(self, states: States, validation: Samples) -> FloatArray:
        objective = self._objective(states.program.backend, validation)
        if objective.is_scalar:
            return _normalised(super()._directions(states, validation))
        return np.asarray(self._rows(states, validation).mean(axis=0, keepdims=True))

    def _rows(self, states: States, validation: Samples) -> FloatArray:
        return _normalised(super()._rows(states, validation))


def _normalised(rows: FloatArray) -> FloatArray:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms == 0, np.inf, norms))


def _numpy(states: States, array: object) -> FloatArray:
    return np.asarray(states.program.backend.arrays.to_numpy(array), dtype=np.float64)

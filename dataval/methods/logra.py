"""LoGra: influence in projected gradients, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from dataval.backend import ObjectiveFunction
from dataval.backend.layers import Blocks
from dataval.backend.registry import framework_settings
from dataval.checks import one_of, real_number, whole_number
from dataval.curvature.compression import Compression, Uncompressed
from dataval.curvature.gram import DampedGram
from dataval.curvature.layer_projections import LayerProjections, principal_factors, random_factors
from dataval.curvature.operator import sample_scale
from dataval.data import Samples
from dataval.errors import DamagedFileError
from dataval.files.atomic import write_atomic
from dataval.files.npz import read_npz, write_npz
from dataval.files.rows import MappedRows
from dataval.methods.gradient_index import GradientIndex, Stage, chunks
from dataval.methods.indexed import IndexedValuator
from dataval.methods.of_states import States
from dataval.objectives.sample_gradients import ObjectiveGradients
from dataval.training.learner import Learner
from dataval.training.program import Program

__all__ = ["LoGra"]

FloatArray = NDArray[np.float64]

_FACTORS = "factors.npz"
_MEAN_SHARE = 0.1  # of the mean eigenvalue, as Grosse et al. (2023) and Choe et al. damp


class LoGra(IndexedValuator):
    r"""Influence at the final state, in gradients that are projected layer by layer and kept.

    .. math:: \mathrm{value}_j = s\,(P\nabla F)^\top\Big(s\sum_i w_i\,P\nabla\ell_i\,(P\nabla\ell_i)^\top
              + \lambda I\Big)^{-1} P\nabla\ell_j

    with s = 1/N (as in `InfluenceFunction`), and P the projection that takes a layer's gradient
    :math:`\delta a^\top` to :math:`(P_o\delta)(P_i a)^\top`. In place of the curvature stands the empirical
    Fisher matrix, which is near it only where the loss is a likelihood and the model fits. Positive: the sample
    helps.

    `fit` passes once over the training samples; `score` and `attribute` then take gradients of the validation
    samples and one product, whatever their number, and no training sample is run again. With a `folder` the
    compressed gradients are kept there, for later processes.

    Choose `InfluenceFunction` for the Gauss-Newton matrix of the whole model, `TRAK` for several models, and
    exact `HyDRA` for what one run does.

    Parameters
    ----------
    learner : Learner
    rank : int or None, default 32
        Inputs and output gradients of a layer are projected to so many numbers each, where they have more.
        Parameters of no such layer are projected to the square of it. None: nothing is projected, and the
        matrix is the exact empirical Fisher matrix: N gradients of all parameters are kept.
    projection : {"random", "pca"}, default "random"
        ``"random"``: random signs; ``"pca"``: the leading eigenvectors of the sums of :math:`aa^\top` and of
        :math:`\delta\delta^\top` over the training samples, which takes one more pass and errs less.
    damping : float, optional
        :math:`\lambda \ge 0`. By default a tenth of the mean of the min(k, N) eigenvalues that can
        be other than 0, which hardly depends on the rank.
    objective : callable, optional
        What the validation set measures, as for `HyDRA`; the learner's loss by default.
    seed : int, default 0
        Draws the random projections.
    folder : path, optional
        Where the index is kept.
    chunk_size : int, optional
        Samples handled at a time. Doesn't change the values beyond rounding.

    Attributes
    ----------
    run_ : TrainingRun
    diagnostics_ : dict
        ``"damping"``, and ``"dimension"``, how many numbers a gradient is kept in.

    References
    ----------
    Choe et al. (2024). What is your data worth to GPT? LLM-scale data valuation with influence functions.
    https://arxiv.org/abs/2405.13954

    Examples
    --------
    >>> logra = dv.LoGra(learner, folder="index").fit(X, y, run=run)
    >>> matrix = logra.attribute(X_val, y_val)
    """

    def __init__(
        self,
        learner: Learner,
        *,
        rank: int | None = 32,
        projection: Literal["random", "pca"] = "random",
        damping: float | None = None,
        objective: ObjectiveFunction | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        chunk_size: int | None = None,
    ) -> None:
        self.learner = learner
        self.rank = rank
        self.projection = projection
        self.damping = damping
        self.objective = objective
        self.seed = seed
        self.folder = folder
        self.chunk_size = chunk_size

    @framework_settings()
    def self_scores(self) -> FloatArray:
        r"""Return every sample's value for its own loss, from the index alone.

        Large for outliers and wrong labels.

        Returns
        -------
        ndarray of float64, shape (N,)

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        check_is_fitted(self, "run_")
        program = self._replay.program
        return sample_scale(program) * self._fisher(program).leverages()

    def _prepare(self, program: Program) -> None:
        super()._prepare(program)
        if self.rank is not None:
            whole_number("rank", self.rank, minimum=1)
        one_of("projection", self.projection, ("random", "pca"))
        if self.damping is not None:
            real_number("damping", self.damping, minimum=0)

    def _stages(self) -> list[Stage]:
        program = self._replay.program
        return [Stage(program, self._replay.final, ObjectiveGradients(program.backend, program.data))]

    def _compression(self, program: Program, stage: Stage) -> Compression:
        if self.rank is None:
            return Uncompressed(program.backend.signature.n_parameters)
        blocks = self._example(stage)
        factors = random_factors(blocks, self.rank, self.seed)
        described = {"compression": "by layer", "projection": self.projection}
        return LayerProjections(blocks, factors, self.rank, self.seed, described)

    def _complete(self, index: GradientIndex, stages: list[Stage]) -> None:
        """Replace the random matrices by principal ones, read or found."""
        if self.rank is None or self.projection == "random":
            return
        blocks, rows = self._example(stages[0]), index.rows
        path = rows.folder / _FACTORS if isinstance(rows, MappedRows) else None
        with rows.writing():
            if path is not None and path.exists():
                factors = read_npz(path)
            elif path is not None and rows.n_done:
                raise DamagedFileError(f"{path} is gone: remove the folder, so that the index is built again")
            else:
                arrays = stages[0].program.backend.arrays
                factors = principal_factors(arrays, self._passed(stages[0], index), self.rank, self.seed)
                if path is not None:
                    write_atomic(path, lambda scratch: write_npz(scratch, factors))
        described = index.compression.description()
        index.compression = LayerProjections(blocks, factors, self.rank, self.seed, described)

    def _example(self, stage: Stage) -> Blocks:
        kept = np.flatnonzero(stage.program.weights)[:1]
        return stage.gradients.at(stage.state, kept if len(kept) else np.arange(1))

    def _passed(self, stage: Stage, index: GradientIndex) -> Iterator[Blocks]:
        for part in chunks(0, index.n, index.compression, stage.program.backend, self.chunk_size):
            kept = part[stage.program.weights[part] != 0]
            if len(kept):
                yield stage.gradients.at(stage.state, kept)

    def _score(self, states: States, validation: Samples) -> FloatArray:
        found = self._values(states, self._mean_gradient(states.program, states.final, validation))
        return np.asarray(found[0])

    def _attribute(self, states: States, validation: Samples) -> FloatArray:
        return self._values(states, self._gradients(states.program, states.final, validation))

    def _values(self, states: States, gradients: FloatArray) -> FloatArray:
        gram = self._fisher(states.program)
        self.diagnostics_ = {"damping": gram.damping, "dimension": self._index.compression.size}
        return sample_scale(states.program) * gram.values(gradients)

    def _fisher(self, program: Program) -> DampedGram:
        return self._gram(0, program.weights, sample_scale(program), self.damping, _MEAN_SHARE)

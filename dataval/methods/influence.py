"""Influence functions: differentiating the minimum that training approaches."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from dataval.backend import Array, ObjectiveFunction
from dataval.backend.registry import framework_settings
from dataval.checks import one_of, real_number, whole_number
from dataval.curvature.operator import Curvature, sample_scale
from dataval.curvature.system import LinearSystem
from dataval.data import Samples
from dataval.errors import SolverWarning
from dataval.methods.groups import Groups
from dataval.methods.of_states import States, StateValuator
from dataval.objectives.training import CurvatureKind, TrainingSamples
from dataval.objectives.utility import SampleObjectives
from dataval.objectives.validation import CHUNK_SIZE, ValidationObjective
from dataval.progress import progress_bar
from dataval.solvers import Solver, as_solver
from dataval.training.learner import Learner
from dataval.training.program import Program

__all__ = ["InfluenceFunction"]

FloatArray = NDArray[np.float64]
Gradients = Callable[[NDArray[np.int64]], tuple[Array, Array]]


class InfluenceFunction(StateValuator):
    r"""Influence functions at the parameters that training ended with.

    .. math:: \mathrm{value}_j = s\,\nabla F(\theta)^\top (C + \lambda I + \delta I)^{-1}\,\nabla\ell_j(\theta)

    with C the weighted sum :math:`s\sum_i w_i\nabla^2\ell_i` of the training losses' Hessians (or Gauss-Newton
    matrices), :math:`\lambda` the run's coupled weight decay, :math:`\delta` the damping, and s = 1/N (with a
    short last batch, 1 over the number of updates in an epoch times the batch size). Where training ends in a
    minimum of :math:`s\sum_i w_i\ell_i + \frac\lambda2\lVert\theta\rVert^2` and damping is 0, this is exactly
    :math:`-\mathrm dF/\mathrm dw_j` of the minimum, to which the values of exact `HyDRA` converge. Decoupled
    weight decay (`AdamW`) is not part of any such objective, and left out.

    Model and losses are in evaluation mode: no dropout, running statistics held fixed.

    `score` solves one linear system, whatever the number of samples; `attribute` one for every validation
    sample, side by side. The mean of its rows is `score` up to the
    solver's tolerance.

    It needs nothing but the trained model: ``run=learner.adopt(X, y)``, where s = 1/N.

    A run of a network ends far from a minimum, so the values only sketch what retraining does: choose `HyDRA`
    for this run, `LeaveOneOut` for the truth, and ``verify`` to see how far to trust them.

    Parameters
    ----------
    learner : Learner
    solver : str or Solver, default "cg"
        ``"cg"``, ``"exact"`` (small models), ``"lissa"``, ``"arnoldi"`` (low rank), ``"identity"`` (inner
        products of gradients); or a `ConjugateGradient`, `Exact`, `LiSSA` or `Arnoldi` of `dataval.solvers`
        with options.
    curvature : {"gauss_newton", "hessian"}, default "gauss_newton"
        The Gauss-Newton matrix is never indefinite where the loss is convex in the outputs, costs less, and
        equals the Hessian where the model is linear. The Hessian is what theory asks for at a minimum.
    damping : float, default 0.1
        :math:`\delta \ge 0`, in the unit of the curvature, on top of the run's weight decay. 0 for a convex
        problem that was trained to its minimum.
    normalize : bool, "theta" or "loss", default False
        Relative influence (RelatIF), which ranks down samples that influence everything (outliers): values are
        divided by :math:`\lVert A^{-1}\nabla\ell_j\rVert` (``"theta"``, or True) or
        :math:`\sqrt{\nabla\ell_j^\top A^{-1}\nabla\ell_j}` (``"loss"``), A being the matrix above. Costs one
        solve a training sample. With ``solver="identity"``, True gives the cosine of the gradients instead.
        Normalised values have no unit and don't add up.
    objective : callable, optional
        What the validation set measures, as for `HyDRA`; the learner's loss by default.
    chunk_size : int, optional
        Samples handled at a time. Doesn't change the values.

    Attributes
    ----------
    run_ : TrainingRun
    diagnostics_ : dict
        ``"residuals"``: relative residual of every linear system, shape ``(1,)`` or ``(n_val,)``;
        ``"iterations"``: the most that one took; ``"converged"``. A `SolverWarning` says if a solver did not
        converge, or the curvature was indefinite.

    References
    ----------
    Koh & Liang (2017). Understanding black-box predictions via influence functions. ICML.
    Barshan, Brunet & Dziugaite (2020). RelatIF: Identifying explanatory training samples via relative
    influence. AISTATS.
    Schraudolph (2002). Fast curvature matrix-vector products for second-order gradient descent. Neural
    Computation.

    Examples
    --------
    >>> influence = dv.InfluenceFunction(learner).fit(X, y, run=run)
    >>> values = influence.score(X_val, y_val)
    >>> influence.diagnostics_["residuals"]
    """

    def __init__(
        self,
        learner: Learner,
        *,
        solver: str | Solver = "cg",
        curvature: CurvatureKind = "gauss_newton",
        damping: float = 0.1,
        normalize: bool | Literal["theta", "loss"] = False,
        objective: ObjectiveFunction | None = None,
        chunk_size: int | None = None,
    ) -> None:
        self.learner = learner
        self.solver = solver
        self.curvature = curvature
        self.damping = damping
        self.normalize = normalize
        self.objective = objective
        self.chunk_size = chunk_size

    @framework_settings()
    def self_scores(self) -> FloatArray:
        r"""Return every sample's value for its own loss, :math:`s\,\nabla\ell_j^\top A^{-1}\nabla\ell_j`.

        Large for samples that the model can only fit by having seen them: outliers and wrong labels. Costs
        one solve a training sample.

        Returns
        -------
        ndarray of float64, shape (N,)

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        check_is_fitted(self, "run_")
        with self._system(self._replay) as system:
            energies, _ = system.own()
        return sample_scale(self._replay.program) * energies

    def _prepare(self, program: Program) -> None:
        one_of("curvature", self.curvature, ("hessian", "gauss_newton"))
        real_number("damping", self.damping, minimum=0)
        one_of("normalize", self.normalize, (False, True, "theta", "loss"))
        if self.chunk_size is not None:
            whole_number("chunk_size", self.chunk_size, minimum=1)
        solver = as_solver(self.solver)
        solver.check_size(program.backend.signature.n_parameters)
        if solver.name != "identity":
            self._check_curvature(program)

    def _check_curvature(self, program: Program) -> None:
        """Raise, before any training, if the model's curvature can't be had."""
        if self.curvature == "hessian":
            program.check_second_order()
            return
        samples = TrainingSamples(program, program.initial_state())
        samples.check_gauss_newton()

    def _score(self, states: States, validation: Samples) -> FloatArray:
        objective = self._objective(states, validation)
        gradient = states.program.backend.arrays.to_numpy(objective.gradient(states.final)[0])
        with self._system(states) as system:
            values = system.values(gradient.astype(np.float64)[None])[0]
            return self._normalised(values, gradient[None], system, sample_scale(states.program))

    def _attribute(self, states: States, validation: Samples) -> FloatArray:
        objective = self._objective(states, validation)
        return self._of_each(states, objective, len(validation), partial(objective.gradients, states.final))

    def _attribute_groups(self, states: States, validation: Samples, groups: Groups) -> FloatArray:
        if self._is_cosine:  # which no mean gradient gives
            return super()._attribute_groups(states, validation, groups)
        members = groups.members
        objective = self._objective(states, validation)

        def means(block: NDArray[np.int64]) -> tuple[Array, Array]:
            return objective.mean_gradients(states.final, [members[number] for number in block])

        return self._of_each(states, objective, len(members), means)

    def _of_each(
        self, states: States, objective: ValidationObjective, n: int, gradients: Gradients
    ) -> FloatArray:
        """Return the values for n questions, from the gradients of some of them at a time."""
        SampleObjectives(objective)  # refuses an objective that is a single number
        blocks, found, to_numpy = [], [], states.program.backend.arrays.to_numpy
        with self._system(states) as system:
            for block in system.blocks(n):
                rows = to_numpy(gradients(block)[0]).astype(np.float64)
                blocks.append(system.values(rows))
                found.append(np.linalg.norm(rows, axis=1, keepdims=True))
            values, norms = np.concatenate(blocks), np.concatenate(found)
            return self._normalised(values, norms, system, sample_scale(states.program))

    @property
    def _is_cosine(self) -> bool:
        return self.normalize is True and as_solver(self.solver).name == "identity"

    def _normalised(
        self, values: FloatArray, gradients: FloatArray, system: LinearSystem, scale: float
    ) -> FloatArray:
        """Divide by the norms that `normalize` asks for; of `gradients` only the rows' norms matter."""
        if self.normalize is False:
            return values
        energies, norms = system.own()
        divisors = np.sqrt(np.maximum(energies, 0.0)) if self.normalize == "loss" else norms
        if self._is_cosine:
            rows = np.linalg.norm(gradients, axis=1)
            divisors = scale * divisors * _column(rows, values)
        return np.asarray(values / np.where(divisors > 0, divisors, np.inf))

    def _objective(self, states: States, validation: Samples) -> ValidationObjective:
        return ValidationObjective(
            states.program.backend, validation, self.objective, self.chunk_size or CHUNK_SIZE
        )

    @contextmanager
    def _system(self, states: States) -> Iterator[LinearSystem]:
        """Hand out the linear system at the final parameters; afterwards report how its solutions went."""
        samples = TrainingSamples(states.program, states.final, self.chunk_size)
        with progress_bar("products with the curvature", None, self.learner.progress) as bar:
            curvature = Curvature(samples, states.program, self.curvature, self.damping, bar.update)
            system = LinearSystem(as_solver(self.solver), curvature, samples, sample_scale(states.program))
            yield system
        self.diagnostics_ = system.diagnostics()
        for problem in system.problems:
            warnings.warn(problem, SolverWarning, stacklevel=5)


def _column(rows: FloatArray, like: FloatArray) -> FloatArray:
    return rows[:, None] if like.ndim == 2 else rows

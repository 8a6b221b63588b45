"""Influence functions: differentiating the minimum that training approaches."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from dataval.backend import Array, ObjectiveFunction
from dataval.backend.registry import framework_settings
from dataval.checks import one_of, whole_number
from dataval.curvature.kronecker.estimate import check_layers
from dataval.curvature.kronecker.factors import factor_entries
from dataval.curvature.kronecker.fisher import FisherGradients
from dataval.curvature.kronecker.inverse import check_damping, check_layer_damping, check_layer_names
from dataval.curvature.kronecker.options import Kronecker, as_curvature
from dataval.curvature.kronecker.system import KroneckerSystem
from dataval.curvature.operator import Curvature, sample_scale
from dataval.curvature.system import LinearSystem
from dataval.data import Samples
from dataval.errors import SolverWarning
from dataval.methods.factored import FactoredValuator
from dataval.methods.groups import Groups
from dataval.methods.of_states import States
from dataval.objectives.training import CurvatureKind, TrainingSamples
from dataval.objectives.utility import SampleObjectives
from dataval.objectives.validation import CHUNK_SIZE, ValidationObjective
from dataval.progress import progress_bar
from dataval.solvers import ConjugateGradient, Solver, as_solver
from dataval.training.learner import Learner
from dataval.training.program import Program

__all__ = ["InfluenceFunction"]

FloatArray = NDArray[np.float64]
System = LinearSystem | KroneckerSystem
Gradients = Callable[[NDArray[np.int64]], tuple[Array, Array]]


class InfluenceFunction(FactoredValuator):
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

    For many validation samples choose ``curvature="ekfac"``: the matrix is approximated layer by layer by
    Kronecker factors, whose inverse is known, and `attribute` takes one pass over the training samples for all
    of them (two more, once, for the factors, which `save_factors` keeps). Layers are taken as independent, so
    that values are sketchier than those of a solver where that matters; `score` alone costs no more with
    ``solver="cg"``.

    It needs nothing but the trained model: ``run=learner.adopt(X, y)``, where s = 1/N.

    A run of a network ends far from a minimum, so the values only sketch what retraining does: choose `HyDRA`
    for this run, `LeaveOneOut` for the truth, and ``verify`` to see how far to trust them.

    Parameters
    ----------
    learner : Learner
    solver : str or Solver, default "cg"
        ``"cg"``, ``"exact"`` (small models), ``"lissa"``, ``"arnoldi"`` (low rank), ``"identity"`` (inner
        products of gradients); or a `ConjugateGradient`, `Exact`, `LiSSA` or `Arnoldi` of `dataval.solvers`
        with options. Left out with ``"kfac"`` and ``"ekfac"``, which need none.
    curvature : {"gauss_newton", "hessian", "ekfac", "kfac"}, KFAC or EKFAC, default "gauss_newton"
        The Gauss-Newton matrix is never indefinite where the loss is convex in the outputs, costs less, and
        equals the Hessian where the model is linear. The Hessian is what theory asks for at a minimum.
        Approximations of the Gauss-Newton matrix by Kronecker factors for many questions; `EKFAC` and `KFAC`
        have options.
    damping : float, "layer" or dict, default 0.1
        :math:`\delta \ge 0`, in the unit of the curvature, on top of the run's weight decay. 0 for a convex
        problem that was trained to its minimum. With Kronecker factors it may differ by layer: ``"layer"`` is
        a tenth of the mean of each layer's eigenvalues (Grosse et al., 2023), and a dict gives each layer's by
        its name.
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
        converge, or the curvature was indefinite. With Kronecker factors: ``"covered"`` and ``"uncovered"``,
        the layers' names; ``"damping"`` of each; ``"converged"``, False where directions without curvature or
        damping were left out.

    References
    ----------
    Koh & Liang (2017). Understanding black-box predictions via influence functions. ICML.
    Barshan, Brunet & Dziugaite (2020). RelatIF: Identifying explanatory training samples via relative
    influence. AISTATS.
    George, Laurent, Bouthillier, Ballas & Vincent (2018). Fast approximate natural gradient descent in a
    Kronecker-factored eigenbasis. NeurIPS.
    Grosse et al. (2023). Studying large language model generalization with influence functions.
    arXiv:2308.03296.
    Schraudolph (2002). Fast curvature matrix-vector products for second-order gradient descent. Neural
    Computation.

    Examples
    --------
    >>> influence = dv.InfluenceFunction(learner).fit(X, y, run=run)
    >>> values = influence.score(X_val, y_val)
    >>> influence.diagnostics_["residuals"]
    >>> factored = dv.InfluenceFunction(learner, curvature="ekfac", damping="layer").fit(X, y, run=run)
    >>> matrix = factored.attribute(X_val, y_val)
    """

    def __init__(
        self,
        learner: Learner,
        *,
        solver: str | Solver = "cg",
        curvature: CurvatureKind | Literal["kfac", "ekfac"] | Kronecker = "gauss_newton",
        damping: float | Literal["layer"] | Mapping[str, float] = 0.1,
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
        one solve a training sample; with Kronecker factors, one pass over them.

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
        curvature = as_curvature(self.curvature)
        if isinstance(curvature, Kronecker):
            check_layer_damping(self.damping)
        else:
            check_damping(self.damping)
        one_of("normalize", self.normalize, (False, True, "theta", "loss"))
        if self.chunk_size is not None:
            whole_number("chunk_size", self.chunk_size, minimum=1)
        solver = as_solver(self.solver)
        if isinstance(curvature, Kronecker):
            self._check_layers(program, curvature)
            return
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

    def _check_layers(self, program: Program, options: Kronecker) -> None:
        """Raise, before any training, if the model's layers can't be handled as asked."""
        if as_solver(self.solver) != ConjugateGradient():
            raise ValueError(
                f"curvature={options.name!r} has an inverse in closed form, in which no solver plays a part: "
                f"leave solver out, got {self.solver!r}"
            )
        gradients = FisherGradients(program, program.initial_state(), self.learner.loss, options)
        layers = gradients.probe()
        check_layer_names(self.damping, check_layers(layers, options))
        self._factor_entries = sum(factor_entries(layer, options.uncovered) for layer in layers)

    def _score(self, states: States, validation: Samples) -> FloatArray:
        objective = self._objective(states, validation)
        gradient = objective.gradient(states.final)[0][None]
        with self._system(states) as system:
            values = system.values([gradient])[0]
            return self._normalised(values, self._norms(states, [gradient]), system, states)

    def _attribute(self, states: States, validation: Samples) -> FloatArray:
        objective = self._objective(states, validation)
        return self._of_each(states, objective, len(validation), partial(objective.gradients, states.final))

    def _attribute_groups(self, states: States, validation: Samples, groups: Groups) -> FloatArray:
        if self._is_cosine or self._is_factored:  # no mean gradient gives a cosine; layers cost no more
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
        size, found = self.chunk_size or CHUNK_SIZE, []
        with self._system(states) as system:
            for block in system.blocks(n):
                parts = [block[start : start + size] for start in range(0, len(block), size)]
                if isinstance(system, LinearSystem):
                    found.append(self._solved(system, states, [gradients(part)[0] for part in parts]))
                else:
                    found.append(self._answers(system, objective, states, parts))
            values, norms = (np.concatenate(each) for each in zip(*found, strict=True))
            return self._normalised(values, norms, system, states)

    def _solved(self, system: LinearSystem, states: States, rows: list[Array]) -> tuple[FloatArray, FloatArray]:
        """Return the values for questions with gradients in parts of some, and their norms."""
        return system.values(rows), self._norms(states, rows)

    def _answers(
        self,
        system: KroneckerSystem,
        objective: ValidationObjective,
        states: States,
        parts: list[NDArray[np.int64]],
    ) -> tuple[FloatArray, FloatArray]:
        """Return the values for validation samples in parts of some, layer by layer."""
        found = system.answers([system.query(objective.layer_gradients(states.final, part)) for part in parts])
        if not np.isfinite(found).all():
            raise objective.fault(states.final, np.concatenate(parts))
        return found, np.zeros(len(found))

    @property
    def _is_factored(self) -> bool:
        return isinstance(as_curvature(self.curvature), Kronecker)

    @property
    def _is_cosine(self) -> bool:
        return self.normalize is True and as_solver(self.solver).name == "identity"

    def _normalised(
        self, values: FloatArray, lengths: FloatArray, system: System, states: States
    ) -> FloatArray:
        """Divide by the norms that `normalize` asks for; `lengths` are those of the validation gradients."""
        if self.normalize is False:
            return values
        energies, norms = system.own()
        divisors = np.sqrt(np.maximum(energies, 0.0)) if self.normalize == "loss" else norms
        if self._is_cosine:
            divisors = sample_scale(states.program) * divisors * _column(lengths, values)
        return np.asarray(values / np.where(divisors > 0, divisors, np.inf))

    def _norms(self, states: States, rows: list[Any]) -> FloatArray:
        arrays = states.program.backend.arrays
        squares = [arrays.to_numpy(arrays.inner(part, part))[:, 0] for part in rows]
        return np.sqrt(np.concatenate(squares).astype(np.float64))

    def _objective(self, states: States, validation: Samples) -> ValidationObjective:
        return ValidationObjective(
            states.program.backend, validation, self.objective, self.chunk_size or CHUNK_SIZE
        )

    @contextmanager
    def _system(self, states: States) -> Iterator[System]:
        """Hand out the linear system at the final parameters; afterwards report how its solutions went."""
        curvature = as_curvature(self.curvature)
        if isinstance(curvature, Kronecker):
            system: System = self._in_closed_form(states, curvature)
            yield system
        else:
            samples = TrainingSamples(states.program, states.final, self.chunk_size)
            with progress_bar("products with the curvature", None, self.learner.progress) as bar:
                damping = check_damping(self.damping)
                matrix = Curvature(samples, states.program, curvature, damping, bar.update)
                system = LinearSystem(as_solver(self.solver), matrix, samples, sample_scale(states.program))
                yield system
        self.diagnostics_ = system.diagnostics()
        for problem in system.problems:
            warnings.warn(problem, SolverWarning, stacklevel=5)

    def _in_closed_form(self, states: States, options: Kronecker) -> KroneckerSystem:
        spectra = self._factors_at(states, options).spectra
        check_layer_damping(self.damping)
        check_layer_names(self.damping, [spectrum.name for spectrum in spectra])
        samples = TrainingSamples(states.program, states.final, self.chunk_size)
        return KroneckerSystem(spectra, states.program, self.damping, samples, sample_scale(states.program))


def _column(rows: FloatArray, like: FloatArray) -> FloatArray:
    return rows[:, None] if like.ndim == 2 else rows

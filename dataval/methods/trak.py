"""TRAK: one Newton step of a linearised model, in randomly projected gradients, averaged over models."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from dataval.backend import ObjectiveFunction
from dataval.backend.registry import framework_settings
from dataval.checks import described, flag, one_of, real_number, seed_list, whole_number, whole_numbers
from dataval.curvature.compression import Compression, projected
from dataval.curvature.projections import ProjectionKind
from dataval.data import Samples
from dataval.methods.gradient_index import Stage
from dataval.methods.indexed import IndexedValuator, compressed_samples
from dataval.methods.of_states import States
from dataval.objectives.logits import check_classifier
from dataval.objectives.predictions import is_classification
from dataval.objectives.sample_gradients import OutputGradients
from dataval.training.learner import Learner
from dataval.training.plan import Plan
from dataval.training.program import Program, State
from dataval.training.recording import carry_out
from dataval.training.replay import Replay
from dataval.training.run import TrainingRun

__all__ = ["TRAK"]

FloatArray = NDArray[np.float64]

_MEAN_SHARE = 0.1  # of the mean eigenvalue


class TRAK(IndexedValuator):
    r"""Tracing with the randomly projected after kernel.

    .. math:: \mathrm{value}_j = \Big[\frac1M\sum_m (1 - p_{m,j})\Big]\,\Big[\frac1M\sum_m
              -(P\nabla F_m)^\top\big(\Phi_m^\top\Phi_m + N\lambda I\big)^{-1}\varphi_{m,j}\Big]

    over M models, with :math:`\varphi_j = P\nabla f_j` the projected gradient of the model output function,
    the log-odds of the label :math:`f = \log\frac{p}{1-p}`, and :math:`\Phi` the matrix of these. For a
    regression f is the output and the residual :math:`y - f` stands for 1 - p.

    The paper attributes f: with ``output="margin"`` a value is how much the validation sample's log-odds (or a
    regression's output) would fall without sample j. By default it is how much F, the loss, would rise: by the
    chain rule, as :math:`-\nabla F = (1 - p)\nabla f` for the cross-entropy, each row is the paper's times the
    validation sample's own 1 - p, in the unit that all methods have here. Positive: the sample helps.

    `fit` passes once over the training samples for every model; `score` and `attribute` then take gradients of
    the validation samples and one product, and no training sample is run again. With a `folder` the projected
    gradients are kept there, for later processes.

    Values of one model are noisy; the paper takes the average over 10 to 100, here `seeds`. It answers
    what training does on average, not what one run does: choose exact `HyDRA` for that, `LoGra` for the
    loss's own Fisher matrix layer by layer.

    Parameters
    ----------
    learner : Learner
        Of a classifier with one label a sample, or a regression with one output.
    dimension : int, default 512
        k; from the number of parameters on, nothing is projected. Should be well below the number of samples:
        with more, a model that is linear in f fits everything, and values say little of a sample but itself.
    projection : {"sparse", "rademacher"}, default "sparse"
        Four entries other than 0 for each parameter, or all; the first costs the same for any dimension.
    seeds : sequence of int, optional
        The learner is trained with these seeds too, and values are averaged. Where its model is a callable,
        each seed has its own initialisation.
    checkpoints : {"final"}, "epochs" or sequence of int, default "final"
        States of each run that count as models: the last one, those after every epoch, or before these update
        numbers (T is the end).
    output : {"loss", "margin"}, default "loss"
        What is attributed.
    damping : float, optional
        :math:`\lambda \ge 0`, in the unit of :math:`\Phi^\top\Phi/N`. By default a tenth of the mean of
        its min(k, N) eigenvalues that can be other than 0: with less, the values of one model on few samples
        predict worse. 0 is the paper's, for many more samples than dimensions.
    leave_one_out : bool, default False
        Take :math:`\Phi^\top\Phi` without the row of sample j, as retraining without it would:
        divide by :math:`1 - \varphi_j^\top(\Phi^\top\Phi + N\lambda I)^{-1}\varphi_j` (Sherman-Morrison), which
        makes a least-squares problem's values exact. The paper leaves it out; the two part where leverages
        are large, for outliers and for many dimensions.
    objective : callable, optional
        F, as for `HyDRA`; the learner's loss by default.
    seed : int, default 0
        Draws the projection.
    folder : path, optional
        Where the index is kept.
    chunk_size : int, optional
        Samples handled at a time. Doesn't change the values beyond rounding.

    Attributes
    ----------
    run_ : TrainingRun
        The first model's.
    runs_ : list of TrainingRun
        All models' runs.
    diagnostics_ : dict
        ``"damping"``, shape ``(M,)``; ``"n_models"``; ``"dimension"``.

    References
    ----------
    Park, Georgiev, Ilyas, Leclerc & Madry (2023). TRAK: Attributing model behavior at scale. ICML.
    https://arxiv.org/abs/2303.14186

    Examples
    --------
    >>> trak = dv.TRAK(learner, seeds=range(1, 10), folder="index").fit(X, y, run=run)
    >>> matrix = trak.attribute(X_val, y_val)
    """

    def __init__(
        self,
        learner: Learner,
        *,
        dimension: int = 512,
        projection: ProjectionKind = "sparse",
        seeds: Sequence[int] | None = None,
        checkpoints: Literal["final", "epochs"] | Sequence[int] = "final",
        output: Literal["loss", "margin"] = "loss",
        damping: float | None = None,
        leave_one_out: bool = False,
        objective: ObjectiveFunction | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        chunk_size: int | None = None,
    ) -> None:
        self.learner = learner
        self.dimension = dimension
        self.projection = projection
        self.seeds = seeds
        self.checkpoints = checkpoints
        self.output = output
        self.damping = damping
        self.leave_one_out = leave_one_out
        self.objective = objective
        self.seed = seed
        self.folder = folder
        self.chunk_size = chunk_size

    _gradients_of = "output"

    def fit(self, X: Any, y: Any = None, *, run: TrainingRun | Sequence[TrainingRun] | None = None) -> Self:
        """Train the models, or adopt runs recorded before, and build the index.

        Parameters
        ----------
        X, y
            Training inputs and targets, as for `Learner.train`.
        run : TrainingRun or list of TrainingRun, optional
            The learner's run on the same data; or several, the first with the learner's seed and the others
            with any. A seed of `seeds` that none of them has is trained.

        Returns
        -------
        self

        Raises
        ------
        InvalidDataError, InvalidModelError
            If data, model or loss can't be used, or it is neither a classifier with one label a sample nor a
            regression with one output; before any training.
        RunMismatchError, DamagedFileError, FileExistsError
            If a run, or the folder, can't be used.
        """
        given = _as_runs(run)
        self._given = given[1:]
        super().fit(X, y, run=given[0])
        return self

    @framework_settings()
    def self_scores(self) -> FloatArray:
        r"""Return by how much every sample's own log-odds (or output) would move without it.

        :math:`\frac{h_j}{1 - h_j}(1 - p_j)` with :math:`h_j` its leverage: here the sample's own row is always
        left out of :math:`\Phi^\top\Phi`, which would otherwise hide what only it has. From the index alone;
        large for outliers and wrong labels.

        Returns
        -------
        ndarray of float64, shape (N,)

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        check_is_fitted(self, "run_")
        found = []
        for number, (program, _) in enumerate(self._models(self._replay)):
            leverages = self._leverages(number, program)
            found.append(leverages / (1 - program.weights * leverages))
        return np.asarray(np.mean(found, axis=0) * self._terms())

    def _prepare(self, program: Program) -> None:
        super()._prepare(program)
        whole_number("dimension", self.dimension, minimum=1)
        one_of("projection", self.projection, ("sparse", "rademacher"))
        one_of("output", self.output, ("loss", "margin"))
        flag("leave_one_out", self.leave_one_out)
        if self.damping is not None:
            real_number("damping", self.damping, minimum=0)
        if self.seeds is not None:
            seed_list(self.seeds)
        if self.output == "margin" and self.objective is not None:
            raise ValueError("objective is what output='loss' attributes; with output='margin' leave it out")
        self._steps(program.plan)
        self._check_outputs(program)

    def _check_outputs(self, program: Program) -> None:
        self._is_classifier = all(
            is_classification(form.dtype, self.learner.loss)
            for name, form in program.data.form().items()
            if name.startswith("y")
        )
        if self._is_classifier:
            check_classifier(program, "TRAK")
        few = np.arange(min(2, len(program.data)))
        outputs = OutputGradients(program.backend, program.data, self._is_classifier)
        outputs.terms(program.initial_state(), few)

    def _stages(self) -> list[Stage]:
        self._others = list(self._other_replays())
        self.runs_ = [self._replay.run, *(replay.run for replay in self._others)]
        found = []
        for replay in (self._replay, *self._others):
            program = replay.program
            gradients = OutputGradients(program.backend, program.data, self._is_classifier)
            states = (replay.at(step) for step in self._steps(program.plan))
            found += [Stage(program, state, gradients, gradients.terms) for state in states]
        return found

    def _other_replays(self) -> Iterator[Replay]:
        """Yield the other models' runs, trained where they aren't given."""
        program, learner = self._replay.program, copy.copy(self.learner)
        samples, known = program.data.as_arguments(), {program.training.seed}
        missing = () if self.seeds is None else seed_list(self.seeds)
        runs: list[TrainingRun | None] = list(self._given)
        known |= {run.training.seed for run in self._given}
        seeds = [run.training.seed for run in self._given]
        seeds += [seed for seed in missing if seed not in known]
        runs += [None] * (len(seeds) - len(runs))
        if self._replay.run.origin != "trained" and any(run is None for run in runs):
            self._replay.check_updates("TRAK with seeds")
        for seed, run in zip(seeds, runs, strict=True):
            learner.training = program.training.model_copy(update={"seed": seed})
            replay = learner.prepare(*samples, program.weights, run=run)
            if run is None:
                carry_out(replay.program, replay.run, progress=learner.progress)
            replay.check_complete()
            yield replay

    def _steps(self, plan: Plan) -> list[int]:
        """Return the numbers of the updates before which the states of a run are."""
        if isinstance(self.checkpoints, str):
            one_of("checkpoints", self.checkpoints, ("final", "epochs"))
            return [plan.n_steps] if self.checkpoints == "final" else [int(end) for end in plan.epoch_ends]
        return list(whole_numbers("checkpoints", self.checkpoints, minimum=0, maximum=plan.n_steps))

    def _compression(self, program: Program, stage: Stage) -> Compression:
        n_parameters = program.backend.signature.n_parameters
        return projected(n_parameters, self.dimension, self.seed, self.projection)

    def _models(self, first: States) -> Iterator[tuple[Program, State]]:
        for states in (first, *self._others):
            for step in self._steps(states.program.plan):
                yield states.program, states.at(step)

    def _score(self, states: States, validation: Samples) -> FloatArray:
        return np.asarray(self._values(states, validation, True)[0])

    def _attribute(self, states: States, validation: Samples) -> FloatArray:
        return self._values(states, validation, False)

    def _values(self, first: States, validation: Samples, is_mean: bool) -> FloatArray:
        found, dampings = [], []
        for number, (program, state) in enumerate(self._models(first)):
            gradients = self._directions(program, state, validation, is_mean)
            gram = self._moment(number, program)
            values = gram.values(gradients) / self._index.n
            if self.leave_one_out:
                values = values / (1 - program.weights * self._leverages(number, program))
            found.append(values)
            dampings.append(gram.damping)
        self.diagnostics_ = {
            "damping": np.array(dampings),
            "n_models": len(found),
            "dimension": self._index.compression.size,
        }
        return np.asarray(np.mean(found, axis=0) * self._terms())

    def _directions(self, program: Program, state: State, validation: Samples, is_mean: bool) -> FloatArray:
        """Return the projected gradients of what is attributed, ``(n_val, k)``, or their mean ``(1, k)``."""
        if self.output == "loss" or self.objective is not None:
            get = self._mean_gradient if is_mean else self._gradients
            return np.negative(get(program, state, validation))
        self._objective(program.backend, validation)  # refuses targets that don't fit
        outputs = OutputGradients(program.backend, validation, self._is_classifier)
        rows = compressed_samples(
            outputs, program.backend, state, len(validation), self._index.compression, self.chunk_size
        )
        return np.asarray(rows.mean(axis=0, keepdims=True)) if is_mean else rows

    def _terms(self) -> FloatArray:
        """Return the mean over models of 1 - p, or of the residuals."""
        found = [self._index.terms(number) for number in range(self._index.n_states)]
        return np.asarray(np.mean(found, axis=0))

    def _moment(self, number: int, program: Program) -> Any:
        return self._gram(number, program.weights, 1 / self._index.n, self.damping, _MEAN_SHARE)

    def _leverages(self, number: int, program: Program) -> FloatArray:
        return np.asarray(self._moment(number, program).leverages() / self._index.n)


def _as_runs(run: Any) -> list[Any]:
    if run is None or isinstance(run, TrainingRun):
        return [run]
    if not isinstance(run, list | tuple) or not run or not all(isinstance(one, TrainingRun) for one in run):
        raise TypeError(f"run must be a dataval.TrainingRun or a list of such, got {described(run)}")
    return list(run)

"""HyDRA: differentiating the whole training run with respect to the weight of every sample."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Array, ObjectiveFunction
from dataval.backend.layers import Blocks
from dataval.backend.registry import framework_settings
from dataval.checks import whole_number
from dataval.data import Samples
from dataval.memory_plan import MemoryPlan, Need
from dataval.methods.average import Average
from dataval.methods.averaged_runs import average_over_runs
from dataval.methods.averaging import advise_averaging, averaging_needs, check_averaging
from dataval.methods.chaos import joined, report_growth
from dataval.methods.curvatures import SweepCurvature, check_curvature, curvature_of, make_sweep, pullback_of
from dataval.methods.groups import Groups
from dataval.methods.of_run import RunValuator
from dataval.methods.outcomes import Outcome
from dataval.methods.removed_shares import RemovedShares
from dataval.methods.sketch import ProbeKind, Sketch, check_directions, check_projection, make_probes
from dataval.methods.unfinished import Unfinished
from dataval.methods.validation_question import ValidationQuestion
from dataval.metrics.fidelity import LinearDatamodelingScore
from dataval.objectives.utility import SampleObjectives
from dataval.objectives.validation import CHUNK_SIZE, ValidationObjective
from dataval.progress import progress_bar
from dataval.training.learner import Learner
from dataval.training.masked_runs import MaskedRuns
from dataval.training.memory import activation_need, replayed_states_need
from dataval.training.program import Program
from dataval.training.replay import Replay
from dataval.training.run import TrainingRun
from dataval.training.sweep import Sweep, SweepResult
from dataval.training.token_sweep import token_values

__all__ = ["HyDRA"]

_ATTRIBUTE_BYTES = 2**28
_COPIES = 4  # of a cotangent, while it is pulled back
_PASSES = 3  # that keep a batch's activations, where curvature is followed


class HyDRA(RunValuator):
    r"""Hypergradient data relevance analysis.

    .. math:: \mathrm{value}_j = -\frac{\mathrm d F(\theta_T)}{\mathrm d w_j}

    where :math:`F` is the validation objective, :math:`\theta_T` the parameters that training ends with, and
    :math:`w_j` the weight of sample j's loss in every update. To first order this is how much :math:`F` would
    rise if the sample were left out of training.

    - ``hessian=True`` is exact: the cotangent of :math:`(\theta_t, \text{slots}_t)` is pulled back through
      every update of the run, at the cost of a few training runs, whatever the number of samples.
    - ``hessian=False`` is the paper's approximation: the gradient's dependence on the parameters is dropped.
      It costs about one more training run. It predicts retraining poorly. It may find wrong labels where the
      exact values don't, also where training is chaotic, but how well depends on the run: compare it with
      `MeanLoss`.

    Where the exact values should predict retraining, ask `verify` whether they do: it is the judge, and
    the growth of the cotangent in ``diagnostics_`` only a hint. A derivative answers for a small change: for
    that of removing many samples give their share as `removed`. For a utility without derivatives, retrain.

    Parameters
    ----------
    learner : Learner
        Any optimizer, schedule and model that a learner takes.
    hessian : bool, optional
        True is ``curvature="exact"``, False (the default) ``curvature="none"``.
    curvature : {"exact", "gauss_newton", "none"}, optional
        ``"gauss_newton"`` follows, of the losses' Hessian in the parameters, only what the loss's own curvature
        in the outputs makes of it, :math:`J^\top DJ`, at about the cost of the exact values. It is what may
        still hold under chaos, where exact values don't (ReLU with max-pooling at a large rate); where training
        is smooth, choose the exact ones.
    objective : callable, optional
        What the validation set measures: a function (outputs, targets) -> one number a sample ``(n,)``,
        averaged, or a single number; differentiable, in the model's framework. The learner's loss by
        default. The model is in evaluation mode.
    chunk_size : int, optional
        Number of validation samples handled at a time; chosen from the model's size by default. Doesn't
        change the values.
    projection : int or ndarray, shape (k, P), optional
        Answer questions that come later: `fit` pulls k probes :math:`r_i` back through the run, at the cost of
        one `attribute` of k samples, and keeps the k x N numbers
        :math:`\langle r_i,\mathrm d\theta_T/\mathrm dw_j\rangle`, the paper's forward form under a
        projection. `score` and `attribute` are then products with these, and walk through no update. By
        default every question is a sweep of its own, and exact. An array holds directions in the parameters:
        values are exact for gradients in their span, and what lies outside is left out.
    probes : {"random", "gradients"}, default "random"
        What a number of probes is of. ``"random"``: independent signs, with
        :math:`\mathrm{value}_j = -\frac1k\sum_i\langle r_i,\nabla F\rangle\langle r_i,
        \mathrm d\theta_T/\mathrm dw_j\rangle`, unbiased, with a standard deviation of about
        :math:`\lVert\nabla F\rVert\lVert\mathrm d\theta_T/\mathrm dw_j\rVert/\sqrt k`, often larger than the
        value. ``"gradients"``: the leading principal directions of training samples' gradients at the final
        state, of 4 k samples; exact in their span, which holds most of a gradient for far fewer probes. What
        flows through buffers (batch normalisation's statistics) is then left out.
    removed : float, "uniform" or sequence of float, optional
        Average over runs in which a random share f of the weights is 0, with the same start, batches and draws:
        :math:`-\mathbb E_S\,\mathrm dF/\mathrm dw_j` at :math:`w_i [i\notin S]`, true at the scale of removing
        that share. 1/2 is like Banzhaf's value; ``"uniform"``, shares from 0 to 1 alike, like Shapley's; a
        sequence is taken in turn. It costs as many trainings and sweeps as there are runs.
    n_runs : int, default 4
        The most such runs. More go on from fewer: masks are the same, and drawn without replacement.
    include_plain : bool, optional
        Take the mean of the average and of the run's own values, which is true at both scales; by default where
        all shares are below 1/2.
    tolerance : float, optional
        Stop from 4 runs on when ``"relative_error"`` is as small; 0.1 is a tenth of the values' spread.
    n_jobs : int, optional
        Processes that train and sweep, as for `LeaveOneOut`. Doesn't change values.
    folder : path, optional
        Where answers of single runs are kept, so that an interrupted call goes on where it stopped.
    seed : int, default 0
        Draws probes and masks.

    Attributes
    ----------
    run_ : TrainingRun
    diagnostics_ : dict
        ``"cotangent_norm"``: norm of the parameters' cotangent before every update and after the last, shape
        ``(T + 1,)`` (after `attribute`: the largest over the samples). ``"growth"``: its maximum relative to
        the last entry, where the sweep starts. ``"stability"`` (exact values): what the plain run tells of
        how smooth training was, a `RunStability` with the ``risks`` that it names. With a `projection`, these
        are of the probes, and a question adds ``"standard_error"`` of every value (random probes), or
        ``"captured"``, the share of a gradient's squared norm that lies in the span, shape ``(1,)`` or
        ``(n_val,)``. With `removed` they are the largest
        of all runs, and there are ``"standard_error"`` of every value, ``"relative_error"`` (its median over
        the values' standard deviation), ``"n_runs"`` done, ``"rank_correlation"`` of their values (mean over
        pairs); for each run ``"share_removed"``, ``"rank_correlation_with_plain"``, and ``"actual_change"`` of
        the objective beside ``"predicted_change"``, the sum of the removed samples' plain values.

    References
    ----------
    Chen, Li, Yu, Wu & Miao (2021). HyDRA: Hypergradient data relevance analysis for interpreting deep neural
    networks. AAAI. https://arxiv.org/abs/2102.02515

    Examples
    --------
    >>> hydra = dv.HyDRA(learner, hessian=True).fit(X, y)
    >>> values = hydra.score(X_val, y_val)
    >>> hydra.verify(X_val, y_val).score
    >>> dv.HyDRA(learner, hessian=True, removed=0.2).fit(X, y).verify(X_val, y_val, fraction=0.2).score
    """

    def __init__(
        self,
        learner: Learner,
        *,
        hessian: bool | None = None,
        curvature: SweepCurvature | None = None,
        objective: ObjectiveFunction | None = None,
        chunk_size: int | None = None,
        projection: int | NDArray[Any] | None = None,
        probes: ProbeKind = "random",
        removed: RemovedShares | None = None,
        n_runs: int = 4,
        include_plain: bool | None = None,
        tolerance: float | None = None,
        n_jobs: int | None = None,
        folder: str | Path | None = None,
        seed: int = 0,
    ) -> None:
        self.learner = learner
        self.hessian = hessian
        self.curvature = curvature
        self.objective = objective
        self.chunk_size = chunk_size
        self.projection = projection
        self.probes = probes
        self.removed = removed
        self.n_runs = n_runs
        self.include_plain = include_plain
        self.tolerance = tolerance
        self.n_jobs = n_jobs
        self.folder = folder
        self.seed = seed

    @framework_settings()
    def fit(self, X: Any, y: Any = None, *, run: TrainingRun | None = None) -> Self:
        """Train the learner and record the run, or adopt a run; with a `projection`, pull the probes back.

        As `RunValuator.fit`. Ctrl-C keeps the probes that are done for the next call with the same run.
        """
        super().fit(X, y, run=run)
        self._masked_runs = MaskedRuns(self._replay)
        if self.projection is not None:
            self._sketch = self._sketched(self._replay)
        return self

    @framework_settings()
    def score_tokens(self, X: Any, y: Any = None) -> NDArray[np.float64]:
        r"""Return the value of every token of every training sample for a validation set.

        .. math:: \mathrm{value}_{j,k} = -\frac{\mathrm dF}{\mathrm dw_{j,k}}

        with :math:`w_{j,k}` the weight of token k's loss in the loss of sample j. They add up to what `score`
        gives the sample; values of spans are sums of them. It costs about as much as `score` does.

        Parameters
        ----------
        X, y
            Validation inputs and targets, as for `score`.

        Returns
        -------
        ndarray of float64, shape (N, L)
            0 for tokens that don't count. With ``shift``, a token's value is that of predicting it.

        Raises
        ------
        TypeError
            If the learner's loss is no `TokenCrossEntropy`, or with `removed`.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        replay, validation = self._question(X, y)
        if self.removed is not None:
            raise TypeError("score_tokens gives values of one run: leave removed out")
        program = replay.program
        tokens = program.backend.token_loss()
        if tokens is None:
            raise TypeError(
                "values by token need a loss that is a sum over tokens: "
                "Learner(loss=dataval.TokenCrossEntropy(...))"
            )
        start = program.cotangent_of(*self._objective(replay, validation).gradient(replay.final))
        n_tokens = program.data.form()["y"].shape[0]
        with progress_bar("scoring tokens", replay.run.n_steps, self.learner.progress) as bar:
            pullback = pullback_of(self._curvature, program)
            return token_values(replay, start, tokens, n_tokens, pullback=pullback, tick=bar.update)

    def _prepare(self, program: Program) -> None:
        self._unfinished = Unfinished()
        check_projection(self.projection, self.probes)
        whole_number("seed", self.seed, minimum=0)
        check_averaging(self, program.weights)
        if isinstance(self.projection, np.ndarray):
            check_directions(self.projection, program.backend.signature.n_parameters)
        if self.chunk_size is not None:
            whole_number("chunk_size", self.chunk_size, minimum=1)
        if not (optimizer := program.training.optimizer).differentiable:
            warnings.warn(
                f"{type(optimizer).__name__} moves by signs, whose derivative is 0: so are all values. Choose "
                "InfluenceFunction, TracIn or retraining",
                UserWarning,
                stacklevel=5,
            )
        check_curvature(self._curvature, program)

    @property
    def _curvature(self) -> SweepCurvature:
        return curvature_of(self.hessian, self.curvature)

    def _sketched(self, replay: Replay) -> Sketch:
        """Return the values for each probe, going on where an interrupted call on the same run stopped."""
        probes = make_probes(replay.program, replay.final, self.projection, self.probes, self.seed)
        asked = id(self.projection), self.probes, self.seed, self.chunk_size
        question = id(replay.run), self._curvature, *asked
        n_bytes = 8 * len(probes) * replay.run.n_samples
        need = Need(f"a sketch of {len(probes)} probes", n_bytes, "choose a smaller projection")
        needs = [need, *self._sweep_needs(replay, len(probes))]
        MemoryPlan.of("HyDRA.fit", needs, replay.program.backend.free_bytes).check()
        self._sketching: Unfinished = getattr(self, "_sketching", None) or Unfinished()
        with self._sketching.going_on(lambda: question) as parts:
            results = [
                self._sweep(
                    replay,
                    parts,
                    int(chunk[0]),
                    f"sketching {chunk[-1] + 1}/{len(probes)}",
                    partial(probes.cotangents, replay.program, chunk),
                )
                for chunk in self._chunks(replay, len(probes))
            ]
        result = joined(results)
        self.diagnostics_ = report_growth(result, replay, is_exact=self._curvature == "exact")
        return Sketch(probes, result.values, self.diagnostics_)

    def _from_sketch(self, replay: Replay, gradients: Iterable[tuple[Array, Array]]) -> NDArray[np.float64]:
        values, self.diagnostics_ = self._sketch.answer(replay.program.backend.arrays, gradients)
        return values

    def _score(self, replay: Replay, validation: Samples) -> NDArray[np.float64]:
        if self.projection is not None:
            gradient = self._objective(replay, validation).gradient(replay.final)
            return np.asarray(self._from_sketch(replay, [gradient])[0])
        return self._answered(replay, ValidationQuestion(validation))

    def _attribute(self, replay: Replay, validation: Samples) -> NDArray[np.float64]:
        if self.projection is not None:
            objective = self._objective(replay, validation)
            SampleObjectives(objective)  # refuses a single number
            chunks = self._chunks(replay, len(validation))
            return self._from_sketch(replay, (objective.gradients(replay.final, chunk) for chunk in chunks))
        return self._answered(replay, ValidationQuestion(validation, is_of_each=True))

    def _attribute_groups(self, replay: Replay, validation: Samples, groups: Groups) -> NDArray[np.float64]:
        if self.projection is not None:
            return super()._attribute_groups(replay, validation, groups)
        return self._answered(replay, ValidationQuestion(validation, is_of_each=True, groups=groups))

    def _answered(self, replay: Replay, question: ValidationQuestion) -> NDArray[np.float64]:
        with self._unfinished.going_on(partial(self._asked, replay, question)) as parts:
            found: SweepResult | Average
            if self.removed is None:
                found, more = self._swept(replay, question, parts), {}
            else:
                found = average_over_runs(self, HyDRA._outcome, self._masked_runs, replay, question, parts)
                more = found.diagnostics()
        self.diagnostics_ = report_growth(found, replay, is_exact=self._curvature == "exact") | more
        return found.values

    def _outcome(self, replay: Replay, question: ValidationQuestion, parts: dict[Any, Any]) -> Outcome:
        """Return what one run answers."""
        found = self._swept(replay, question, parts)
        objective = self._objective(replay, question.validation).value(replay.final)
        return Outcome(found.values, objective, found.cotangent_norm, np.array(found.stopped_at))

    def _swept(self, replay: Replay, question: ValidationQuestion, parts: dict[Any, Any]) -> SweepResult:
        """Return what sweeps through one run find, of which `parts` holds what is done already."""
        objective = self._objective(replay, question.validation)
        if not question.is_of_each:
            return self._sweep(replay, parts, 0, "scoring", lambda: objective.gradient(replay.final))
        if objective.is_scalar:
            raise TypeError(
                "the objective returns a single number for all samples: attribute needs one number a sample"
            )
        n = len(question)
        results = [
            self._sweep(
                replay,
                parts,
                int(rows[0]),
                f"attributing {rows[-1] + 1}/{n}",
                *question.gradients(objective, replay.final, rows),
            )
            for rows in self._chunks(replay, n)
        ]
        return joined(results)

    def _asked(self, replay: Replay, question: ValidationQuestion) -> Hashable:
        """Return what tells a question from others: another run, other samples, another objective."""
        averaging = str(self.removed), self.include_plain, self.seed
        return id(replay.run), question.key(), id(self.objective), self._curvature, self.chunk_size, *averaging

    def _objective(self, replay: Replay, validation: Samples) -> ValidationObjective:
        return ValidationObjective(
            replay.program.backend, validation, self.objective, self.chunk_size or CHUNK_SIZE
        )

    def _sweep(
        self,
        replay: Replay,
        parts: dict[int, Sweep | SweepResult],
        part: int,
        what: str,
        gradients: Callable[[], tuple[Array, Array]],
        layers: Callable[[], Blocks] | None = None,
    ) -> SweepResult:
        """Return the result of a sweep, of which `parts` holds what is done already."""
        if part not in parts:
            start = replay.program.cotangent_of(*gradients())
            parts[part] = make_sweep(self._curvature, replay, start, layers)
        found = parts[part]
        if isinstance(found, Sweep):
            with progress_bar(what, replay.run.n_steps, self.learner.progress, found.n_done) as bar:
                found = parts[part] = found.carry_out(bar.update)
        return found

    def _chunks(self, replay: Replay, n: int) -> Iterator[NDArray[np.int64]]:
        """Split validation samples so that their cotangents stay within a memory budget."""
        size = self.chunk_size or max(1, min(CHUNK_SIZE, _ATTRIBUTE_BYTES // replay.run.state_bytes))
        for start in range(0, n, size):
            yield np.arange(start, min(n, start + size))

    def _memory_needs(self, replay: Replay, n_questions: int) -> list[Need]:
        if self.projection is not None:
            return super()._memory_needs(replay, n_questions)
        more = [] if self.removed is None else averaging_needs(self, replay, self._masked_runs, n_questions)
        return [*self._sweep_needs(replay, n_questions), *more]

    def _advise(self, found: LinearDatamodelingScore) -> None:
        if self._curvature == "exact" and self.removed is None and self.projection is None:
            advise_averaging(found)

    def _sweep_needs(self, replay: Replay, n_questions: int) -> list[Need]:
        n = min(n_questions, max(map(len, self._chunks(replay, n_questions))))
        n_bytes = _COPIES * n * replay.run.state_bytes
        cotangents = Need(f"the cotangents of {n} questions", n_bytes, "choose a smaller chunk_size")
        activations = activation_need(replay.program, 1 if self._curvature == "none" else _PASSES)
        return [replayed_states_need(replay.run), activations, cotangents]

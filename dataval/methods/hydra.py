"""HyDRA: differentiating the whole training run with respect to the weight of every sample."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Array, ObjectiveFunction
from dataval.backend.layers import Blocks, compact
from dataval.backend.registry import framework_settings
from dataval.checks import flag, whole_number
from dataval.data import Samples
from dataval.errors import ChaoticTrainingWarning
from dataval.memory_plan import Need
from dataval.methods.of_run import RunValuator
from dataval.methods.unfinished import Unfinished
from dataval.objectives.validation import CHUNK_SIZE, ValidationObjective
from dataval.progress import progress_bar
from dataval.training.learner import Learner
from dataval.training.memory import activation_need, replayed_states_need
from dataval.training.program import Program, State
from dataval.training.replay import Replay
from dataval.training.sweep import BackwardSweep, ForwardSweep, Sweep, SweepResult
from dataval.training.token_sweep import token_values

__all__ = ["HyDRA"]

_CHAOS = 1e3
_ATTRIBUTE_BYTES = 2**28
_COPIES = 4  # of a cotangent, while it is pulled back
_PASSES = 3  # that keep a batch's activations, where the Hessian is followed


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
    the growth of the cotangent in ``diagnostics_`` only a hint. For values at the scale of removing many
    samples at once, or of a non-differentiable utility, retrain instead.

    Parameters
    ----------
    learner : Learner
        Any optimizer, schedule and model that a learner takes.
    hessian : bool, default False
    objective : callable, optional
        What the validation set measures: a function (outputs, targets) -> one number a sample ``(n,)``,
        averaged, or a single number; differentiable, in the model's framework. The learner's loss by
        default. The model is in evaluation mode.
    chunk_size : int, optional
        Number of validation samples handled at a time; chosen from the model's size by default. Doesn't
        change the values.

    Attributes
    ----------
    run_ : TrainingRun
    diagnostics_ : dict
        ``"cotangent_norm"``: norm of the parameters' cotangent before every update and after the last, shape
        ``(T + 1,)`` (after `attribute`: the largest over the samples). ``"growth"``: its maximum relative to
        the last entry, where the sweep starts.

    References
    ----------
    Chen, Li, Yu, Wu & Miao (2021). HyDRA: Hypergradient data relevance analysis for interpreting deep neural
    networks. AAAI. https://arxiv.org/abs/2102.02515

    Examples
    --------
    >>> hydra = dv.HyDRA(learner, hessian=True).fit(X, y)
    >>> values = hydra.score(X_val, y_val)
    >>> hydra.verify(X_val, y_val).score
    """

    def __init__(
        self,
        learner: Learner,
        *,
        hessian: bool = False,
        objective: ObjectiveFunction | None = None,
        chunk_size: int | None = None,
    ) -> None:
        self.learner = learner
        self.hessian = hessian
        self.objective = objective
        self.chunk_size = chunk_size

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
            If the learner's loss is no `TokenCrossEntropy`.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        replay, validation = self._question(X, y)
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
            return token_values(replay, start, tokens, n_tokens, exact=self.hessian, tick=bar.update)

    def _prepare(self, program: Program) -> None:
        self._unfinished = Unfinished()
        if self.chunk_size is not None:
            whole_number("chunk_size", self.chunk_size, minimum=1)
        if not (optimizer := program.training.optimizer).differentiable:
            warnings.warn(
                f"{type(optimizer).__name__} moves by signs, whose derivative is 0: so are all values. Choose "
                "InfluenceFunction, TracIn or retraining",
                UserWarning,
                stacklevel=5,
            )
        if flag("hessian", self.hessian):
            program.check_second_order()

    def _score(self, replay: Replay, validation: Samples) -> NDArray[np.float64]:
        with self._unfinished.going_on(partial(self._asked, replay, validation, None)) as parts:
            objective = self._objective(replay, validation)
            result = self._sweep(replay, parts, 0, "scoring", lambda: objective.gradient(replay.final))
        self._report(result)
        return result.values

    def _attribute(self, replay: Replay, validation: Samples) -> NDArray[np.float64]:
        with self._unfinished.going_on(partial(self._asked, replay, validation, self.chunk_size)) as parts:
            objective = self._objective(replay, validation)
            if objective.is_scalar:
                raise TypeError(
                    "the objective returns a single number for all samples: attribute needs one number a sample"
                )
            results = [
                self._sweep(
                    replay,
                    parts,
                    int(chunk[0]),
                    f"attributing {chunk[-1] + 1}/{len(validation)}",
                    partial(objective.gradients, replay.final, chunk),
                    partial(objective.layer_gradients, replay.final, chunk),
                )
                for chunk in self._chunks(replay, len(validation))
            ]
        norms = np.max([result.cotangent_norm for result in results], axis=0)
        values = np.concatenate([result.values for result in results])
        self._report(SweepResult(values, norms, max(result.stopped_at for result in results)))
        return values

    def _asked(self, replay: Replay, validation: Samples, chunk_size: int | None) -> Hashable:
        """Return what tells a question from others: another run, other samples, another objective."""
        return id(replay.run), validation.fingerprint(), id(self.objective), self.hessian, chunk_size

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
            parts[part] = self._make_sweep(replay, replay.program.cotangent_of(*gradients()), layers)
        found = parts[part]
        if isinstance(found, Sweep):
            with progress_bar(what, replay.run.n_steps, self.learner.progress, found.n_done) as bar:
                found = parts[part] = found.carry_out(bar.update)
        return found

    def _make_sweep(self, replay: Replay, start: State, layers: Callable[[], Blocks] | None) -> Sweep:
        program = replay.program
        if self.hessian:
            return BackwardSweep(replay, start, program.pullback)
        if program.is_linear and layers is not None and program.backend.loss.has_layers:
            return ForwardSweep(replay, start.parameters, compact(program.backend.arrays, layers()))
        if program.is_linear:
            return ForwardSweep(replay, start.parameters)
        return BackwardSweep(replay, start, program.pullback_hessian_free)

    def _chunks(self, replay: Replay, n: int) -> Iterator[NDArray[np.int64]]:
        """Split validation samples so that their cotangents stay within a memory budget."""
        size = self.chunk_size or max(1, min(CHUNK_SIZE, _ATTRIBUTE_BYTES // replay.run.state_bytes))
        for start in range(0, n, size):
            yield np.arange(start, min(n, start + size))

    def _memory_needs(self, replay: Replay, n_questions: int) -> list[Need]:
        n = min(n_questions, max(map(len, self._chunks(replay, n_questions))))
        cotangents = _COPIES * n * replay.run.state_bytes
        cure = "choose a smaller chunk_size"
        return [
            replayed_states_need(replay.run),
            activation_need(replay.program, _PASSES if self.hessian else 1),
            Need(f"the cotangents of {n} questions", cotangents, cure),
        ]

    def _report(self, result: SweepResult) -> None:
        norms = result.cotangent_norm
        growth = float(np.nanmax(norms / norms[-1])) if 0 < norms[-1] < np.inf else 0.0
        growth = np.inf if result.stopped_at >= 0 else growth
        self.diagnostics_ = {"cotangent_norm": norms, "growth": growth}
        if result.stopped_at >= 0:
            self._warn(f"overflowed at update {result.stopped_at}, so the values are NaN")
        elif growth > _CHAOS:
            self._warn(f"grew by a factor of {growth:.1e}")

    def _warn(self, what: str) -> None:
        help_ = "; for finding wrong labels use hessian=False" if self.hessian else ""
        warnings.warn(
            f"the cotangent {what} over the backward sweep: training is chaotic here, and no derivative "
            "predicts what retraining would do. A smaller learning rate, smooth activations (GELU), average "
            f"pooling or larger batches help{help_}. verify() shows how far the values can be trusted",
            ChaoticTrainingWarning,
            stacklevel=5,
        )

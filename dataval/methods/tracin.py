"""TracIn: how the losses of validation samples moved along the gradients of training samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from dataval.backend import Array, ObjectiveFunction
from dataval.backend.registry import framework_settings
from dataval.checks import whole_number, whole_numbers
from dataval.data import Samples
from dataval.errors import RunMismatchError
from dataval.memory_plan import Need
from dataval.methods.of_states import States, StateValuator
from dataval.objectives.products import gradient_products
from dataval.objectives.training import TrainingSamples
from dataval.objectives.validation import CHUNK_SIZE, ValidationObjective
from dataval.progress import progress_bar
from dataval.training.faults import check_finite
from dataval.training.learner import Learner
from dataval.training.plan import Plan
from dataval.training.program import Program, State
from dataval.training.replay import Replay

__all__ = ["TracIn"]

FloatArray = NDArray[np.float64]
Part = tuple[float | FloatArray, FloatArray]

_ATTRIBUTE_BYTES = 2**28


class TracIn(StateValuator):
    r"""Gradient products along the run, at checkpoints or at every update.

    .. math:: \mathrm{value}_j = \sum_{t\,:\,j\in B_t} \eta_t c_{t,j}\,
              \langle\nabla F(\theta_{c(t)}),\,\nabla\ell_j(\theta_{c(t)})\rangle

    with :math:`\eta_t` the run's own learning rates, :math:`c_{t,j}` the coefficients of the losses (1 over the
    batch size), and :math:`c(t)` the checkpoint that stands for update t. To first order, each term is by how
    much the update's step along sample j lowered the validation objective at that moment. The values of one
    plain SGD run therefore add up to the fall of the objective.

    What later updates make of a step is left out, as are momentum and the preconditioning of Adam, so the
    values keep the sign and the rough unit of a derivative but not its size. Choose exact `HyDRA` for that,
    and Hessian-free `HyDRA` for a like approximation that knows the optimizer.

    Parameters
    ----------
    learner : Learner
    checkpoints : {"epochs", "updates"} or sequence of int, default "epochs"
        ``"epochs"``: the state after an epoch stands for the epoch's updates (TracInCP), in evaluation mode.
        ``"updates"``: every update is taken at its own state, in training mode ("ideal" TracIn), which costs a
        validation gradient an update. A list of update numbers in 1 ... T: each state stands for the updates
        since the one before it, the last one also for those that follow. Of a run of states alone
        (`TrainingRun.from_checkpoints`), "epochs" and the numbers mean its states: then this is TracInCP, the
        sum over the states of :math:`\frac{\eta_i}{b}\langle\nabla F,\nabla\ell_j\rangle`.
    objective : callable, optional
        What the validation set measures, as for `HyDRA`; the learner's loss by default.
    chunk_size : int, optional
        Number of validation samples handled at a time. Doesn't change the values.

    Attributes
    ----------
    run_ : TrainingRun

    References
    ----------
    Pruthi, Liu, Kale & Sundararajan (2020). Estimating training data influence by tracing gradient descent.
    NeurIPS.

    Examples
    --------
    >>> values = dv.TracIn(learner).fit(X, y, run=run).score(X_val, y_val)
    """

    def __init__(
        self,
        learner: Learner,
        *,
        checkpoints: Literal["epochs", "updates"] | Sequence[int] = "epochs",
        objective: ObjectiveFunction | None = None,
        chunk_size: int | None = None,
    ) -> None:
        self.learner = learner
        self.checkpoints = checkpoints
        self.objective = objective
        self.chunk_size = chunk_size

    @framework_settings()
    def self_scores(self) -> FloatArray:
        r"""Return every sample's value for its own loss, the sum of :math:`\eta_t\lVert\nabla\ell_j\rVert^2/b`.

        Large for samples that training had to work for: outliers and wrong labels. Needs the gradient of every
        sample at every checkpoint.

        Returns
        -------
        ndarray of float64, shape (N,)

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            With ``checkpoints="updates"``.
        """
        check_is_fitted(self, "run_")
        if isinstance(self.checkpoints, str) and self.checkpoints == "updates":
            raise ValueError("self_scores needs checkpoints: choose checkpoints='epochs' or a list of updates")
        total = np.zeros(self.run_.n_samples)
        for state, parts in self._stages(self._replay, "self-scoring"):
            samples = TrainingSamples(self._replay.program, state)
            total += sum(shares * samples.squared_norms(mask) for mask, shares in parts)
        return total

    def _prepare(self, program: Program) -> None:
        if self.chunk_size is not None:
            whole_number("chunk_size", self.chunk_size, minimum=1)
        if not isinstance(self.checkpoints, str) or self.checkpoints != "updates":
            _check_steps(self._steps(program.plan), program.plan.n_steps)

    def _check_run(self, replay: Replay) -> None:
        if isinstance(self.checkpoints, str) and self.checkpoints == "updates":
            replay.check_updates("TracIn(checkpoints='updates')")
        if replay.run.origin == "states" and not replay.run.plan.learning_rates.any():
            raise RunMismatchError(
                "TracIn sums over states by their learning rates, which the run doesn't have: pass "
                "TrainingRun.from_checkpoints(..., learning_rates=[...]), one a state (for one trained model "
                "[1.0] gives the products of its gradients alone)"
            )

    def _score(self, states: States, validation: Samples) -> FloatArray:
        objective = self._objective(states, validation)
        return np.asarray(self._trace(states, "scoring", _Mean(objective))[0])

    def _attribute(self, states: States, validation: Samples) -> FloatArray:
        objective = self._objective(states, validation)
        if objective.is_scalar:
            raise TypeError(
                "the objective returns a single number for all samples: attribute needs one number a sample"
            )
        found = []
        for chunk in self._chunks(states, len(validation)):
            what = f"attributing {chunk[-1] + 1}/{len(validation)}"
            found.append(self._trace(states, what, _Each(objective, chunk)))
        return np.concatenate(found)

    def _objective(self, states: States, validation: Samples) -> ValidationObjective:
        backend = states.program.backend
        return ValidationObjective(backend, validation, self.objective, self.chunk_size or CHUNK_SIZE)

    def _trace(self, states: States, what: str, question: _Question) -> FloatArray:
        """Return the values for K objectives, shape (K, N)."""
        if isinstance(self.checkpoints, str) and self.checkpoints == "updates":
            return self._trace_updates(states, what, question)
        total: FloatArray | float = 0.0
        for state, parts in self._stages(states, what):
            samples = TrainingSamples(states.program, state)
            for mask, shares in parts:
                total = total + shares * question.products(samples, state, mask)
        return np.asarray(total)

    def _trace_updates(self, states: States, what: str, question: _Question) -> FloatArray:
        if not isinstance(states, Replay):
            raise TypeError("checkpoints='updates' needs a recorded run: choose 'epochs' or a list of updates")
        program, plan = states.program, states.program.plan
        total: FloatArray | None = None
        with progress_bar(what, plan.n_steps, self.learner.progress) as bar:
            for step, state in states.forward():
                slopes = _slopes_at_rates(program, question.gradients(state), state, step)
                what = f"the gradient of its loss at update {step} of {plan.n_steps}"
                check_finite(slopes, plan.batch(step), program.weights, what)
                total = np.zeros((len(slopes), plan.n_samples)) if total is None else total
                np.add.at(total.T, plan.batch(step), slopes.T)
                bar.update()
        assert total is not None
        return total

    def _stages(self, states: States, what: str) -> Iterator[tuple[State, list[Part]]]:
        """Yield the state of every checkpoint with each sample's share in it, by group of parameters."""
        plan, sizes = states.program.plan, states.program.update.sizes
        steps = self._steps(plan)
        ends = [*steps[:-1], plan.n_steps]
        with progress_bar(what, len(steps), self.learner.progress) as bar:
            for start, step, end in zip([0, *ends[:-1]], steps, ends, strict=True):
                yield states.at(step), list(_parts(plan, sizes, start, end))
                bar.update()

    def _steps(self, plan: Plan) -> list[int]:
        """Return the numbers of the updates before which the checkpoints are."""
        if isinstance(self.checkpoints, str):
            if self.checkpoints != "epochs":
                raise ValueError(
                    f"checkpoints must be 'epochs', 'updates' or a list of updates, got {self.checkpoints!r}"
                )
            return [int(end) for end in plan.epoch_ends]
        return list(whole_numbers("checkpoints", self.checkpoints))

    def _memory_needs(self, replay: Replay, n_questions: int) -> list[Need]:
        n = max(map(len, self._chunks(replay, n_questions)))
        n_bytes = 2 * n * 8 * replay.program.backend.signature.n_parameters
        gradients = Need(f"the gradients of {n} questions", n_bytes, "choose a smaller chunk_size")
        return [*super()._memory_needs(replay, n_questions), gradients]

    def _chunks(self, states: States, n: int) -> Iterator[NDArray[np.int64]]:
        """Split validation samples so that their gradients stay within a memory budget."""
        row_bytes = 8 * states.program.backend.signature.n_parameters
        size = self.chunk_size or max(1, min(CHUNK_SIZE, _ATTRIBUTE_BYTES // row_bytes))
        for start in range(0, n, size):
            yield np.arange(start, min(n, start + size))


class _Question(ABC):
    """One objective or K of them.

    Parameters
    ----------
    objective : ValidationObjective
    """

    def __init__(self, objective: ValidationObjective) -> None:
        self._objective = objective

    @abstractmethod
    def gradients(self, state: State) -> Array:
        """Return the gradients ``(K, P)``."""

    def products(self, samples: TrainingSamples, state: State, mask: float | FloatArray) -> FloatArray:
        """Return their inner products with the training samples' gradients, times a mask, ``(K, N)``."""
        return samples.slopes(mask * samples.numpy(self.gradients(state)))


class _Mean(_Question):
    """The mean over the validation samples."""

    def gradients(self, state: State) -> Array:
        """Return the gradient ``(1, P)``."""
        return self._objective.gradient(state)[0][None]


class _Each(_Question):
    """Some of the validation samples, each on its own.

    Parameters
    ----------
    objective : ValidationObjective
    indices : ndarray of int64
    """

    def __init__(self, objective: ValidationObjective, indices: NDArray[np.int64]) -> None:
        super().__init__(objective)
        self._indices = indices

    def gradients(self, state: State) -> Array:
        """Return the gradients ``(K, P)``."""
        return self._objective.gradients(state, self._indices)[0]

    def products(self, samples: TrainingSamples, state: State, mask: float | FloatArray) -> FloatArray:
        """Multiply layer by layer where all parameters count alike."""
        if isinstance(mask, float) and mask == 1.0:
            return gradient_products(samples, self._objective, state, self._indices)
        return super().products(samples, state, mask)


def _slopes_at_rates(program: Program, gradients: Array, state: State, step: int) -> FloatArray:
    """Return the slopes ``(K, n)`` along gradients, times the learning rates of an update."""
    rates = program.update.spread(program.plan.hyperparameters.learning_rates[step])
    factor, along = (rates, gradients) if isinstance(rates, float) else (1.0, rates * gradients)
    slopes = program.backend.arrays.to_numpy(program.slopes(along, state, step)).astype(np.float64)
    return np.asarray(factor * slopes)


def _parts(plan: Plan, sizes: NDArray[np.int64], start: int, stop: int) -> Iterator[Part]:
    """Yield each sample's share in a stretch, the sum of its coefficients times the rates of a group.

    Groups whose rates are always the same are one; a mask ``(P,)`` says which parameters are of it.
    """
    rates = plan.hyperparameters.learning_rates[start:stop]
    if (rates == rates[:, :1]).all():
        yield 1.0, _shares(plan, start, rates[:, 0])
        return
    for group in range(rates.shape[1]):
        mask = np.repeat(plan.hyperparameters.groups == group, sizes).astype(np.float64)
        yield mask, _shares(plan, start, rates[:, group])


def _shares(plan: Plan, start: int, rates: FloatArray) -> FloatArray:
    shares = np.zeros(plan.n_samples)
    for step, rate in enumerate(rates, start):
        np.add.at(shares, plan.batch(step), rate * plan.batch_coefficients(step))
    return shares


def _check_steps(steps: list[int], n_steps: int) -> None:
    if not steps or steps != sorted({*steps}) or not 1 <= steps[0] <= steps[-1] <= n_steps:
        raise ValueError(f"checkpoints must be update numbers that rise within 1 ... {n_steps}, got {steps}")

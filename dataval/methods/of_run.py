"""Methods of a run: they need a recorded training run, update by update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self

from sklearn.utils.validation import check_is_fitted

from dataval.backend.registry import framework_settings
from dataval.checks import described, one_of, whole_number
from dataval.data import Samples
from dataval.memory_plan import MemoryPlan, Need, available_memory
from dataval.methods.base import DataValuator
from dataval.methods.matching import as_validation
from dataval.objectives.validation import check_objective
from dataval.training.learner import Learner
from dataval.training.memory import activation_need
from dataval.training.program import Program
from dataval.training.recording import carry_out
from dataval.training.replay import Replay
from dataval.training.run import TrainingRun

__all__ = ["RunValuator", "record"]


class RunValuator(DataValuator):
    """Base of the methods that need a recorded run.

    ``fit`` trains the learner and records its run, or adopts a run. Subclasses implement
    ``_score(replay, validation)``, and may check what they need in `_prepare`.

    Parameters
    ----------
    learner : Learner
    """

    needs: ClassVar[str] = "a recorded run"

    needs_updates: ClassVar[bool] = True
    """Whether it does updates of the run again, which not every recording allows."""

    learner: Learner

    @framework_settings()
    def fit(self, X: Any, y: Any = None, *, run: TrainingRun | None = None) -> Self:
        """Train the learner and record the run, or adopt a run recorded before.

        Parameters
        ----------
        X : array, nested tuples or dicts of arrays, data frame, or data set
            Training inputs, or a data set that yields them with their targets; see `Learner.train`.
        y : array, shape (N, ...), optional
            Training targets.
        run : TrainingRun, optional
            A run of the same learner on the same data, to be used instead of training again.

        Returns
        -------
        self

        Raises
        ------
        InvalidDataError, InvalidModelError
            If data, model or loss can't be used; before any training.
        RunMismatchError
            If `run` was recorded with something else, or its updates are needed and can't be done again.
        TypeError
            If there is no learner.
        """
        if not isinstance(self.learner, Learner):
            name, given = type(self).__name__, type(self.learner).__name__
            raise TypeError(
                f"{name} needs a dataval.Learner, got {given}: it asks its question of {self.needs}; wrap the "
                "model in Learner(model, loss=..., training=...)"
            )
        check_objective(getattr(self, "objective", None))
        self._replay = record(self.learner, X, y, run, self._prepare, self._check_run)
        self.run_ = self._replay.run
        return self

    def plan_memory(self, n_val: int, *, call: Literal["score", "attribute"] = "score") -> MemoryPlan:
        """Return what a question about so many validation samples will take of memory; nothing is computed.

        Parameters
        ----------
        n_val : int
            Number of validation samples.
        call : {"score", "attribute"}
            Which question: one about all of them, or one about each.

        Returns
        -------
        MemoryPlan
            The call raises `InsufficientMemoryError` where it does not fit.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.

        Examples
        --------
        >>> print(hydra.plan_memory(10_000, call="attribute"))
        """
        whole_number("n_val", n_val, minimum=1)
        one_of("call", call, ("score", "attribute"))
        check_is_fitted(self, "run_")
        return self._memory_plan(self._replay, n_val, call)

    def _prepare(self, program: Program) -> None:
        """Check what the method needs, before any training."""

    def _check_run(self, replay: Replay) -> None:
        """Raise `RunMismatchError` if a run that was given can't answer the method's question."""
        if self.needs_updates:
            replay.check_updates(type(self).__name__)

    def _check_memory(self, source: Replay, n_val: int, call: str) -> None:
        plan = self._memory_plan(source, n_val, call)
        MemoryPlan.of(plan.call, [self._result_need(source, n_val, call)], available_memory()).check()
        plan.check()

    def _memory_plan(self, replay: Replay, n_val: int, call: str) -> MemoryPlan:
        """Return what a call takes; its result is left out where the rest is on an accelerator."""
        backend, n_questions = replay.program.backend, n_val if call == "attribute" else 1
        needs = self._memory_needs(replay, n_questions)
        if not backend.is_accelerated:
            needs.append(self._result_need(replay, n_val, call))
        return MemoryPlan.of(f"{type(self).__name__}.{call}", needs, backend.free_bytes)

    def _result_need(self, replay: Replay, n_val: int, call: str) -> Need:
        n_train, n_rows = replay.run.n_samples, n_val if call == "attribute" else 1
        cure = "ask about fewer validation samples at a time, or score them together"
        return Need(f"{n_rows} x {n_train} values", 8 * n_rows * n_train, cure)

    def _memory_needs(self, replay: Replay, n_questions: int) -> list[Need]:
        """Return what a call takes of memory beside its result."""
        return [activation_need(replay.program)]

    def _question(self, X: Any, y: Any) -> tuple[Replay, Samples]:
        check_is_fitted(self, "run_")
        return self._replay, as_validation(X, y, self._replay.program.data)

    def _predicting(self) -> Replay:
        check_is_fitted(self, "run_")
        return self._replay

    def _trained_again(self) -> Replay:
        check_is_fitted(self, "run_")
        self._replay.check_updates("verify")
        return self._replay


def record(
    learner: Learner,
    X: Any,
    y: Any,
    run: TrainingRun | None,
    check: Callable[[Program], Any],
    check_run: Callable[[Replay], Any],
) -> Replay:
    """Train a learner and record the run, or adopt a run; return it joined with its program.

    Parameters
    ----------
    learner, X, y, run
        As for `Learner.prepare`.
    check : callable
        Raises, before any training, if the program can't be used.
    check_run : callable
        Raises if the run that was given can't be used.

    Raises
    ------
    InvalidDataError, InvalidModelError, RunMismatchError
        As `Learner.train`.
    """
    if run is not None and not isinstance(run, TrainingRun):
        raise TypeError(
            f"run must be a dataval.TrainingRun, as learner.train(X, y) returns it, got {described(run)}"
        )
    prepared = learner.prepare(X, y, run=run)
    check_run(prepared)
    check(prepared.program)
    if run is None:
        carry_out(prepared.program, prepared.run, progress=learner.progress)
    prepared.check_complete()
    return prepared

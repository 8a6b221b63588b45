"""Asking many runs in which random samples have weight 0 one question, and averaging what they answer."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from copy import copy
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend.registry import framework_settings
from dataval.methods.average import Average
from dataval.methods.averaging import Averaging, deciding
from dataval.methods.outcomes import Outcome, OutcomeStore
from dataval.methods.validation_question import ValidationQuestion
from dataval.process import uninterrupted
from dataval.progress import progress_bar
from dataval.retraining.retrain import retraining_key
from dataval.retraining.workers import carry_out, in_order, worker_count
from dataval.training.masked_runs import MaskedRuns, begin_without, finish
from dataval.training.replay import Replay

__all__ = ["average_over_runs"]

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]
Parts = dict[Any, Any]
Ask = Callable[[Any, Replay, ValidationQuestion, Parts], Outcome]


def average_over_runs(
    method: Any, ask: Ask, runs: MaskedRuns, plain: Replay, question: ValidationQuestion, parts: Parts
) -> Average:
    """Ask the plain run and masked ones, one after another or in processes, until there are enough.

    Parameters
    ----------
    method : RunValuator
        With the parameters of `Averaging`.
    ask : callable
        (method, run, question, parts) -> what one run answers.
    runs : MaskedRuns
        Trains masked runs in this process.
    plain : Replay
        The run with all its weights.
    question : ValidationQuestion
        What is asked.
    parts : dict
        What is done already of the answer; it is added to.
    """
    return _AveragedRuns(method, ask, runs, plain, question).answer(parts)


class _AveragedRuns:
    def __init__(
        self, method: Any, ask: Ask, runs: MaskedRuns, plain: Replay, question: ValidationQuestion
    ) -> None:
        self._method, self._ask, self._runs = method, ask, runs
        self._plain, self._question = plain, question
        self._options, self._progress = Averaging.of(method), method.learner.progress
        self._store = OutcomeStore(self._options.folder, self._key())

    def answer(self, parts: Parts) -> Average:
        """Return the average; `parts` holds what is done of it already, and is added to."""
        average = self._begun(parts)
        options = self._options
        masks = options.masks(self._plain.run.weights)[average.n_runs :]
        with progress_bar("averaging over runs", options.n_runs, self._progress, average.n_runs) as bar:
            outcomes = self._outcomes(masks, parts)
            while not options.is_done(average):
                outcome, removed = next(outcomes)
                with uninterrupted():
                    average.add(outcome, removed)
                bar.update()
            outcomes.close()
        return average

    def _begun(self, parts: Parts) -> Average:
        if "average" not in parts:
            plain, weights = self._plain, self._plain.run.weights
            swept = parts.setdefault("plain", {})
            outcome = self._known(weights, lambda: self._ask(self._method, plain, self._question, swept))
            include = self._options.include_plain
            parts["average"] = Average(self._question, outcome, weights, include_plain=include)
            del parts["plain"]
        average: Average = parts["average"]
        return average

    def _outcomes(self, masks: Mask, parts: Parts) -> Generator[tuple[Outcome, Mask], None, None]:
        """Yield what runs answer, in the order of their masks, whoever finds it."""
        missing = np.array([self._weights(mask) not in self._store for mask in masks], dtype=bool)
        is_spread = worker_count(self._options.n_jobs) > 1 and missing.sum() > 1
        elsewhere = self._found_elsewhere(masks[missing]) if is_spread else None
        for mask, is_missing in zip(masks, missing, strict=True):
            if elsewhere is not None and is_missing:
                outcome = next(elsewhere)
            else:
                outcome = self._known(self._weights(mask), partial(self._found_here, mask, parts))
            yield outcome, mask

    def _found_here(self, mask: Mask, parts: Parts) -> Outcome:
        replay = self._runs.trained(mask, progress=self._progress)
        outcome = self._ask(self._method, replay, self._question, parts.setdefault("run", {}))
        del parts["run"]
        return outcome

    def _found_elsewhere(self, masks: Mask) -> Iterator[Outcome]:
        """Yield what is found by workers, which get the method without what it holds of fitting."""
        method = type(self._method)(**self._method.get_params(deep=False))
        method.learner = copy(method.learner).set_params(progress=False)
        begun = begin_without(self._plain, np.zeros(masks.shape[1], dtype=bool))
        shared = method, self._ask, begun, self._question
        parts = [np.flatnonzero(mask) for mask in masks]
        return in_order(self._kept(carry_out(_train_and_ask, shared, parts, self._options.n_jobs), masks))

    def _kept(self, results: Iterator[tuple[int, Outcome]], masks: Mask) -> Iterator[tuple[int, Outcome]]:
        """Yield the same, keeping each as it comes."""
        for number, outcome in results:
            self._store.add(self._weights(masks[number]), outcome)
            yield number, outcome

    def _known(self, weights: FloatArray, find: Callable[[], Outcome]) -> Outcome:
        """Return what is kept of a run, or find it and keep it."""
        n_rows = len(self._question) if self._question.is_of_each else None
        outcome = self._store.get(weights, n_rows)
        if outcome is None:
            outcome = find()
            self._store.add(weights, outcome)
        return outcome

    def _weights(self, mask: Mask) -> FloatArray:
        return np.where(mask, 0.0, self._plain.run.weights)

    def _key(self) -> str:
        """Return what tells outcomes in the folder from those of other questions, runs and methods."""
        if self._options.folder is None:
            return ""
        parts = type(self._method).__name__, str(self._question.key()), *deciding(self._method)
        return retraining_key(self._plain, self._question.validation, *parts)


@framework_settings()
def _train_and_ask(shared: tuple[Any, Ask, Replay, ValidationQuestion], removed: NDArray[np.int64]) -> Outcome:
    method, ask, begun, question = shared
    mask = np.zeros(begun.run.n_samples, dtype=bool)
    mask[removed] = True
    replay = begin_without(begun, mask)
    finish(replay, progress=False)
    return ask(method, replay, question, {})

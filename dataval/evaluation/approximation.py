"""How the error of an approximation grows over the epochs of one run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from dataval.checks import described, whole_numbers
from dataval.data import as_data
from dataval.methods.of_run import RunValuator
from dataval.metrics.statistics import correlation, rank_correlation
from dataval.training.program import Program
from dataval.training.replay import Replay

if TYPE_CHECKING:
    from dataval.methods.base import DataValuator
    from dataval.training.program import State

__all__ = ["ApproximationError", "approximation_error", "values_over_epochs"]

FloatArray = npt.NDArray[np.float64]


class ApproximationError(BaseModel):
    """What `approximation_error` found, one entry an epoch; printable, and JSON by `model_dump_json`.

    Attributes
    ----------
    epochs : tuple of int
        Number of epochs trained, from 1.
    relative_error : tuple of float
        Norm of the difference between approximate and exact values, relative to the norm of the exact ones:
        0 is perfect, 1 is as wrong as values of 0.
    pearson, spearman : tuple of float
        Correlations of approximate and exact values, in [-1, 1]; NaN where one side is constant.
    same_sign : tuple of float
        Share of the samples on whose sign both agree.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    epochs: tuple[int, ...]
    relative_error: tuple[float, ...]
    pearson: tuple[float, ...]
    spearman: tuple[float, ...]
    same_sign: tuple[float, ...]

    def __str__(self) -> str:
        rows = zip(self.epochs, self.relative_error, self.pearson, self.spearman, self.same_sign, strict=True)
        header = f"{'epochs':>6}{'relative error':>16}{'Pearson':>9}{'Spearman':>10}{'same sign':>11}"
        return "\n".join(
            [header, *(f"{e:>6}{r:>16.3f}{p:>9.3f}{s:>10.3f}{g:>11.1%}" for e, r, p, s, g in rows)]
        )


def approximation_error(
    exact: DataValuator,
    approximate: DataValuator,
    X_val: Any,
    y_val: Any = None,
    *,
    epochs: Sequence[int] | None = None,
) -> ApproximationError:
    r"""Compare approximate with exact values at the end of every epoch of one run.

    .. math:: \frac{\lVert\tilde v^{(e)} - v^{(e)}\rVert_2}{\lVert v^{(e)}\rVert_2},
              \qquad v^{(e)} = \text{values of the run that ends after epoch } e

    For `dataval.HyDRA` with and without the Hessian this is the first experiment of its paper.

    Parameters
    ----------
    exact, approximate : DataValuator
        Two fitted methods that share a run, such as ``HyDRA(learner, hessian=True)`` and ``HyDRA(learner)``.
    X_val, y_val
        Validation samples.
    epochs : sequence of int, optional
        After which epochs to compare, from 1; all by default. Each e costs what scoring a run of e epochs
        does, so that all E together cost (E + 1)/2 times the scores of the whole run.

    Returns
    -------
    ApproximationError

    Raises
    ------
    ValueError
        If the methods don't share a run, or an epoch is out of range.
    InvalidDataError
        If the validation data don't fit.
    sklearn.exceptions.NotFittedError
        Before `fit`.

    Notes
    -----
    The run is not trained again: its first e epochs are a run of their own, with the same checkpoints. Under a
    schedule that depends on the number of epochs they keep the learning rates of the whole run.

    References
    ----------
    Chen, Li, Yu, Wu & Miao (2021). HyDRA: Hypergradient data relevance analysis for interpreting deep neural
    networks. AAAI. https://arxiv.org/abs/2102.02515

    Examples
    --------
    >>> exact = dv.HyDRA(learner, hessian=True).fit(X, y)
    >>> free = dv.HyDRA(learner).fit(X, y, run=exact.run_)
    >>> print(dv.evaluation.approximation_error(exact, free, X_val, y_val))
    """
    pairs = values_over_epochs([exact, approximate], X_val, y_val, epochs=epochs)
    return ApproximationError(
        epochs=tuple(pairs),
        relative_error=tuple(_relative_error(true, found) for true, found in pairs.values()),
        pearson=tuple(correlation(found, true) for true, found in pairs.values()),
        spearman=tuple(rank_correlation(found, true) for true, found in pairs.values()),
        same_sign=tuple(float(np.mean(np.sign(found) == np.sign(true))) for true, found in pairs.values()),
    )


def values_over_epochs(
    methods: Sequence[DataValuator], X_val: Any, y_val: Any = None, *, epochs: Sequence[int] | None = None
) -> dict[int, FloatArray]:
    """Return the values that methods give the run they share as it stood after each epoch.

    Parameters
    ----------
    methods : sequence of DataValuator
        Fitted methods that share a run.
    X_val, y_val
        Validation samples.
    epochs : sequence of int, optional
        After which epochs, from 1; all by default.

    Returns
    -------
    dict of int to ndarray of float64, shape (n_methods, N)
        The values of every method, by the number of epochs trained.

    Raises
    ------
    ValueError
        If the methods don't share a run, or an epoch is out of range.
    """
    methods = [copy(method) for method in methods]  # whose diagnostics stay as they were
    replay = _shared_replay(methods, X_val, y_val)
    validation = as_data(X_val, y_val, "validation")
    return {
        epoch: np.stack([method._score(part, validation) for method in methods])
        for epoch, part in _beginnings(replay, _checked_epochs(epochs, replay.run.training.epochs))
    }


def _shared_replay(methods: Sequence[DataValuator], X_val: Any, y_val: Any) -> Replay:
    for method in methods:
        if not isinstance(method, RunValuator):
            raise TypeError(f"values over the epochs need methods of a run, got {described(method)}")
    replays: list[Replay] = [method._question(X_val, y_val)[0] for method in methods]
    if any(replay.run is not replays[0].run for replay in replays[1:]):
        raise ValueError(
            "the methods must share a run, so that they differ in nothing else: "
            "second.fit(X, y, run=first.run_)"
        )
    return replays[0]


def _checked_epochs(epochs: Sequence[int] | None, n_epochs: int) -> list[int]:
    chosen = sorted({*(range(1, n_epochs + 1) if epochs is None else whole_numbers("epochs", epochs))})
    if chosen[0] < 1 or chosen[-1] > n_epochs:
        raise ValueError(f"epochs must be numbers from 1 to the run's {n_epochs}, got {epochs}")
    return chosen


def _beginnings(replay: Replay, epochs: Sequence[int]) -> Iterator[tuple[int, Replay]]:
    """Yield the run as it stood after each of some epochs, by one walk through it."""
    ends = {int(replay.run.plan.epoch_ends[epoch - 1]): epoch for epoch in epochs}
    for step, state in replay.forward():
        if step in ends:
            yield ends[step], _beginning(replay, step, ends[step], state)
    if replay.run.n_steps in ends:
        yield ends[replay.run.n_steps], replay


def _beginning(replay: Replay, n_steps: int, epoch: int, state: State) -> Replay:
    """Return the first updates of a run as a run of their own."""
    program, run = replay.program, replay.run
    plan = run.plan.until(n_steps)
    kept = {step: kept for step, kept in run.checkpoints.items() if step < n_steps}
    shorter = replace(
        run, plan=plan, losses=run.losses[:epoch], checkpoints=kept | {n_steps: state}, n_completed=n_steps
    )
    return Replay(Program(program.backend, program.data, program.training, plan, program.weights), shorter)


def _relative_error(true: FloatArray, found: FloatArray) -> float:
    size = float(np.linalg.norm(true))
    return float(np.linalg.norm(found - true)) / size if size > 0 else float("nan")

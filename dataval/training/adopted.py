"""Runs of states alone: a model that is trained already, or checkpoints of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dataval.checks import whole_number
from dataval.data import Samples
from dataval.errors import InvalidDataError
from dataval.training.checkpoints import Checkpoints
from dataval.training.config import Training
from dataval.training.optimizers import SGD
from dataval.training.plan import Plan, make_plan
from dataval.training.program import Program, State
from dataval.training.run import TrainingRun
from dataval.training.schedules import ExplicitSchedule

if TYPE_CHECKING:
    from dataval.backend import Backend

__all__ = ["run_of_states"]


def run_of_states(
    backend: Backend,
    data: Samples,
    states: Sequence[Any],
    learning_rates: ArrayLike | None,
    *,
    losses: ArrayLike | None,
    batch_size: int,
    loss: str,
) -> tuple[TrainingRun, Program]:
    """Return a run that holds states and stands for no updates, with the program that they are parameters of.

    Parameters
    ----------
    backend : Backend
        Of the model.
    data : Samples
        That it was trained on.
    states : sequence
        What `Backend.read_state` reads, or `State`; the last one is the trained model.
    learning_rates : array, shape (K,), optional
        One a state.
    losses : array, shape (E, N), optional
        As they were logged.
    batch_size : int
        Of the training.
    loss : str
        How a run describes it.

    Raises
    ------
    InvalidDataError
        If there are no states, or rates and losses don't fit.
    """
    found = [_read(backend, given, i) for i, given in enumerate(states)]
    if not found:
        raise InvalidDataError("there are no states: pass at least the trained model")
    n = len(data)
    rates = _rates(learning_rates, len(found))
    size = whole_number("batch_size", batch_size, minimum=1)
    training, plan = _plan(rates, n, min(size, n))
    run = TrainingRun(
        training=training,
        plan=plan,
        weights=np.ones(n),
        losses=_losses(losses, len(found), n),
        checkpoints=dict(zip(map(int, plan.epoch_ends), found, strict=True)),
        policy=Checkpoints(every=1),
        n_completed=plan.n_steps,
        backend=backend.name,
        loss=loss,
        signature=backend.signature,
        environment=backend.environment,
        data_fingerprint=data.fingerprint(),
        origin="states",
    )
    return run, Program(backend, data, training, plan, run.weights)


def _read(backend: Backend, given: Any, number: int) -> State:
    if isinstance(given, State):
        return State(given.parameters, (), given.buffers)
    parameters, buffers = backend.read_state(given, f"state {number}")
    if not np.isfinite(backend.arrays.to_numpy(parameters)).all():
        raise InvalidDataError(f"state {number} has parameters that are not finite")
    return State(parameters, (), buffers)


def _rates(learning_rates: ArrayLike | None, n: int) -> NDArray[np.float64]:
    if learning_rates is None:
        return np.zeros(n)
    rates = np.asarray(learning_rates, dtype=np.float64)
    if rates.shape != (n,) or not (np.isfinite(rates) & (rates > 0)).all():
        raise InvalidDataError(
            f"learning_rates must be one positive number for each of the {n} states, got {learning_rates!r}"
        )
    return rates


def _losses(losses: ArrayLike | None, n_epochs: int, n: int) -> NDArray[np.float64]:
    if losses is None:
        return np.full((n_epochs, n), np.nan)
    found = np.asarray(losses, dtype=np.float64)
    if found.ndim != 2 or found.shape[1] != n:
        raise InvalidDataError(f"losses must have shape (epochs, {n}), got {found.shape}")
    if np.isinf(found).any():
        raise InvalidDataError("losses are infinite; NaN stands for those that were not logged")
    return found


def _plan(rates: NDArray[np.float64], n: int, size: int) -> tuple[Training, Plan]:
    """Return a plan in which every state is that after an epoch at its rate."""
    largest = float(rates.max()) or 1.0
    training = Training(
        optimizer=SGD(learning_rate=largest),
        schedule=ExplicitSchedule(values=tuple(rates / largest), per="epoch"),
        epochs=len(rates),
        batch_size=size,
        shuffle=False,
    )
    return training, make_plan(training, n)

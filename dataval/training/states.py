"""Runs of states alone: a model that is trained already, or checkpoints of a training.

With T states, update i of such a run stands for all of the training that led to state i: one step along the
mean gradient of all samples. Its rate is the state's learning rate times the N/b updates that an epoch has, so
that a sample's share in it is the rate times 1/b, as in an epoch of updates with b samples each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dataval.backend import Backend
from dataval.backend.states import flat_state
from dataval.checks import described, whole_number
from dataval.data import to_numpy
from dataval.errors import InvalidDataError, InvalidModelError
from dataval.training.config import Training
from dataval.training.hyperparameters import constant_hyperparameters
from dataval.training.plan import Plan
from dataval.training.program import State
from dataval.training.schedules import ConstantSchedule

__all__ = ["as_rates", "as_record", "plan_of_states", "read_states", "training_of_states"]

FloatArray = NDArray[np.float64]


def read_states(backend: Backend, given: Any) -> list[State]:
    """Return states without slots as NumPy's arrays; of None, the model's own.

    Raises
    ------
    TypeError, ValueError
        If it is no sequence of states, or an empty one.
    InvalidModelError
        If one is not of the model, or has numbers that are not finite; it is named by its place.
    FileNotFoundError
        If one is the path of no file.
    """
    if given is None:
        parameters, buffers = map(backend.arrays.to_numpy, backend.initial())
        return [_checked(State(parameters, (), buffers), backend, "the learner's model")]
    if not isinstance(given, list | tuple):
        raise TypeError(f"states must be a list of states, also of one: states=[net]; got {described(given)}")
    if not given:
        raise ValueError("states is empty: give the trained model, or checkpoints in the order of training")
    return [_read(backend, state, f"states[{place}]") for place, state in enumerate(given)]


def training_of_states(training: Training, n_states: int, n_samples: int) -> Training:
    """Return the configuration that a run of states has: its optimizer gives the weight decay."""
    changes = {"epochs": n_states, "batch_size": n_samples, "schedule": ConstantSchedule()}
    return training.model_copy(update=changes)


def as_rates(given: ArrayLike | None, n_states: int) -> FloatArray | None:
    """Return one learning rate a state, or None where they are not known.

    Raises
    ------
    ValueError
        If there are more or fewer, or they are negative, not finite, or all 0.
    """
    if given is None:
        return None
    rates = _numbers("learning_rates", given)
    if rates.shape != (n_states,):
        raise ValueError(f"learning_rates must be one number a state, {n_states}; got shape {rates.shape}")
    if not (np.isfinite(rates).all() and (rates >= 0).all() and rates.any()):
        raise ValueError(f"learning_rates must be finite, from 0 and not all 0, got {rates.tolist()}")
    return rates


def plan_of_states(
    training: Training,
    names: Sequence[str],
    n_samples: int,
    rates: FloatArray | None,
    n_states: int,
    batch_size: int,
) -> Plan:
    """Return the plan of a run of states; rates that are not known are 0.

    Parameters
    ----------
    training : Training
        As `training_of_states` gives it.
    names : sequence of str
        Of the model's parameters.
    n_samples : int
        N.
    rates : ndarray of float64, shape (T,), or None
        One a state.
    n_states : int
        T.
    batch_size : int
        Number of samples b of an update of the training that the states are of.

    Raises
    ------
    InvalidDataError
        If a batch is larger than the data, and the rates make it matter.
    """
    size = whole_number("batch_size", batch_size, minimum=1)
    if rates is not None and size > n_samples:
        raise InvalidDataError(
            f"batch_size={size} exceeds the {n_samples} training samples: pass the batch_size of the training "
            "that the states are of"
        )
    settings = constant_hyperparameters(training.optimizer, np.ones(n_states), {}, names)
    steps = np.zeros(n_states) if rates is None else rates * (n_samples / size)
    settings.values["learning_rate"][:] = steps[:, None]
    return Plan(
        order=np.tile(np.arange(n_samples), n_states),
        offsets=np.arange(n_states + 1) * n_samples,
        coefficients=np.full(n_states * n_samples, 1 / n_samples),
        seeds=np.zeros(n_states, dtype=np.int64),
        steps=np.arange(n_states + 1),
        epochs=np.arange(n_states),
        hyperparameters=settings,
        batch_size=n_samples,
        n_samples=n_samples,
    )


def as_record(name: str, given: ArrayLike | None, n_samples: int) -> FloatArray:
    """Return what was logged of every sample in every epoch, shape (E, N); (0, N) for None.

    Raises
    ------
    ValueError
        If it has another shape or infinite numbers; NaN stands for an epoch that didn't see a sample.
    """
    if given is None:
        return np.zeros((0, n_samples))
    record = _numbers(name, given)
    if record.ndim != 2 or record.shape[1] != n_samples or not len(record):
        raise ValueError(f"{name} must have shape (epochs, {n_samples}), got {record.shape}")
    if np.isinf(record).any():
        raise ValueError(f"{name} are infinite; NaN stands for an epoch that didn't see a sample")
    return record


def _read(backend: Backend, given: Any, what: str) -> State:
    if isinstance(given, State):
        return _checked(State(to_numpy(given.parameters), (), to_numpy(given.buffers)), backend, what)
    parameters, buffers = flat_state(backend, given, what)
    return State(parameters, (), buffers)


def _checked(state: State, backend: Backend, what: str) -> State:
    signature = backend.signature
    found, expected = (
        (state.parameters.shape, state.buffers.shape),
        (
            (signature.n_parameters,),
            (signature.n_buffers,),
        ),
    )
    if found != expected:
        raise InvalidModelError(
            f"{what} is of another model than the learner's: parameters and buffers have shapes {found}, the "
            f"model's {expected}"
        )
    if not (np.isfinite(state.parameters).all() and np.isfinite(state.buffers).all()):
        raise InvalidModelError(f"{what} has infinite or NaN numbers: the training diverged")
    return State(state.parameters.astype(signature.dtype), (), state.buffers.astype(signature.dtype))


def _numbers(name: str, given: ArrayLike) -> FloatArray:
    try:
        array = np.asarray(given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} can't be read as numbers: {error}") from error
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} must be real numbers, got an array of {array.dtype}")
    return array.astype(np.float64)

"""A plan as arrays by name, and back; what is read is checked against itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.training.config import Training
from dataval.training.hyperparameters import Hyperparameters
from dataval.training.plan import Plan, make_plan

__all__ = [
    "OPTIONAL",
    "check_former_plan",
    "pack_plan",
    "plan_names",
    "require",
    "unpack_former_plan",
    "unpack_plan",
]

Arrays = Mapping[str, NDArray[Any]]

_INTEGERS = ("order", "offsets", "seeds", "steps", "epochs")
OPTIONAL = ("draws", "digests")
"""Arrays that a plan may have."""

_SETTING = "hyperparameter_"


def pack_plan(plan: Plan) -> dict[str, NDArray[Any]]:
    """Return the arrays of a plan by name."""
    settings = plan.hyperparameters
    found = {name: getattr(plan, name) for name in (*_INTEGERS, "coefficients")}
    found |= {name: getattr(settings, name) for name in ("counts", "active", "groups")}
    found |= {_SETTING + name: array for name, array in settings.values.items()}
    return found | {name: getattr(plan, name) for name in OPTIONAL if getattr(plan, name) is not None}


def plan_names(training: Training) -> set[str]:
    """Return the names of the arrays that a plan must have; those in `OPTIONAL` it may have."""
    settings = {_SETTING + name for name in training.optimizer.hyperparameters}
    return {*_INTEGERS, "coefficients", "counts", "active", "groups", *settings}


def unpack_plan(arrays: Arrays, training: Training, batch_size: int, n_samples: int) -> Plan:
    """Return the plan that arrays make, or raise `ValueError` if they make no sense, naming one."""
    _check_dtypes(arrays, training)
    values = {name: arrays[_SETTING + name] for name in training.optimizer.hyperparameters}
    settings = Hyperparameters(values, arrays["counts"], arrays["active"], arrays["groups"])
    named: dict[str, Any] = {name: arrays[name] for name in (*_INTEGERS, "coefficients")}
    named |= {name: arrays.get(name) for name in OPTIONAL}
    plan = Plan(
        **named,
        hyperparameters=settings,
        batch_size=batch_size,
        n_samples=n_samples,
    )
    _check(plan)
    return plan


def unpack_former_plan(
    arrays: Arrays, training: Training, batch_size: int, n_samples: int, steps_per_epoch: int
) -> Plan:
    """Return the plan that formats 1 and 2 hold: one pass an update, one divisor, one group."""
    rates, order = arrays["learning_rates"], arrays["order"]
    require(rates.ndim == 1 and rates.dtype == np.float64, "learning_rates of its plan is no vector of numbers")
    n_steps = len(rates)
    constants = training.optimizer.constants()
    values = {name: np.full((n_steps, 1), constant) for name, constant in constants.items()}
    now: dict[str, NDArray[Any]] = {_SETTING + name: array for name, array in values.items()}
    now |= {
        _SETTING + "learning_rate": rates[:, None],
        "order": order,
        "offsets": arrays["offsets"],
        "seeds": arrays["seeds"],
        "steps": np.arange(n_steps + 1),
        "epochs": np.arange(n_steps) // steps_per_epoch,
        "coefficients": np.full(order.shape, 1 / batch_size),
        "counts": np.arange(n_steps)[:, None],
        "active": np.ones((n_steps, 1), dtype=bool),
        "groups": np.zeros(0, dtype=np.int64),
    }
    require(n_steps > 0, "its plan has no updates")
    return unpack_plan(now, training, batch_size, n_samples)


def check_former_plan(plan: Plan, training: Training) -> None:
    """Compare a plan with the one its configuration gives, but for draws, which may differ between versions."""
    expected = make_plan(training, plan.n_samples)
    rounding = 1e-12 * training.optimizer.learning_rate
    require(
        plan.batch_size == expected.batch_size
        and np.array_equal(plan.epochs, expected.epochs)
        and np.array_equal(plan.offsets, expected.offsets),
        "its plan has other batches than its training configuration",
    )
    require(
        np.abs(plan.learning_rates - expected.learning_rates).max() <= rounding,
        "its plan has other learning_rates than its training configuration",
    )
    seen = np.unique(np.repeat(plan.epochs, np.diff(plan.offsets)) * plan.n_samples + plan.order)
    require(len(seen) == len(plan.order), "order of its plan has a sample twice in one epoch")


def require(holds: bool | np.bool_, problem: str) -> None:
    """Raise `ValueError` unless something holds."""
    if not holds:
        raise ValueError(problem)


def _check_dtypes(arrays: Arrays, training: Training) -> None:
    kinds: dict[str, np.dtype[Any]] = dict.fromkeys(
        (*_INTEGERS, "counts", "groups", *OPTIONAL), np.dtype(np.int64)
    )
    kinds["active"] = np.dtype(bool)
    for name in (*plan_names(training), *({*OPTIONAL} & set(arrays))):
        expected = kinds.get(name, np.dtype(np.float64))
        require(arrays[name].dtype == expected, f"{name} of its record has dtype {arrays[name].dtype}")


def _check(plan: Plan) -> None:
    vectors = {name: getattr(plan, name) for name in (*_INTEGERS, "coefficients")}
    for name, array in vectors.items():
        require(array.ndim == 1, f"{name} of its plan is no vector")
    require(plan.n_steps > 0, "its plan has no updates")
    _check_cuts("offsets", plan.offsets, plan.n_passes, len(plan.order), "the order into batches")
    _check_cuts("steps", plan.steps, plan.n_steps, plan.n_passes, "the batches into updates")
    require(
        bool(((plan.order >= 0) & (plan.order < plan.n_samples)).all()),
        f"order of its plan names samples outside 0..{plan.n_samples - 1}",
    )
    require(
        plan.epochs[0] >= 0 and bool((np.diff(plan.epochs) >= 0).all()), "epochs of its plan do not rise from 0"
    )
    require(bool((plan.seeds >= 0).all()), "seeds of its plan are not non-negative numbers")
    require(
        plan.coefficients.shape == plan.order.shape and bool(np.isfinite(plan.coefficients).all()),
        "coefficients of its plan are not one finite number a sample",
    )
    sizes = {"draws": plan.order.shape, "digests": plan.seeds.shape}
    for name, shape in sizes.items():
        array = getattr(plan, name)
        require(array is None or array.shape == shape, f"{name} of its plan have not the shape {shape}")
    _check_hyperparameters(plan.hyperparameters, plan.n_steps)


def _check_cuts(name: str, cuts: NDArray[np.int64], n_parts: int, end: int, what: str) -> None:
    require(cuts.shape == (n_parts + 1,), f"{name} of its plan has shape {cuts.shape}")
    require(
        cuts[0] == 0 and cuts[-1] == end and bool((np.diff(cuts) > 0).all()),
        f"{name} of its plan don't cut {what}",
    )


def _check_hyperparameters(found: Hyperparameters, n_steps: int) -> None:
    shape = found.counts.shape
    require(len(shape) == 2 and shape[0] == n_steps and shape[1] > 0, f"counts of its plan has shape {shape}")
    for name, array in [*found.values.items(), ("active", found.active)]:
        require(array.shape == shape, f"{name} of its plan has shape {array.shape}, not {shape}")
    for name, array in found.values.items():
        require(bool((np.isfinite(array) & (array >= 0)).all()), f"{name}s of its plan are not finite and >= 0")
    require(bool((found.counts >= 0).all()), "counts of its plan are negative")
    groups = found.groups
    is_named = groups.ndim == 1 and (len(groups) > 0 or shape[1] == 1)
    require(
        is_named and bool(((groups >= 0) & (groups < shape[1])).all()),
        f"groups of its plan don't say which of {shape[1]} each parameter is of",
    )

"""A recorded run as JSON and arrays, and back; what is read is checked against itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dataval.backend.contract import Signature
from dataval.data import to_numpy
from dataval.training.checkpoints import Checkpoints
from dataval.training.config import Training
from dataval.training.plan import Plan, make_plan
from dataval.training.program import State

__all__ = ["pack", "unpack"]

Arrays = dict[str, NDArray[Any]]

_PLAN_ARRAYS = ("order", "offsets", "learning_rates", "seeds")
_DTYPES = {
    "order": np.int64,
    "offsets": np.int64,
    "learning_rates": np.float64,
    "seeds": np.int64,
    "weights": np.float64,
    "losses": np.float64,
}

_MOST = 2**53

Count = Annotated[int, Field(ge=0, le=_MOST)]
Positive = Annotated[int, Field(gt=0, le=_MOST)]
Shapes = tuple[tuple[str, tuple[Count, ...]], ...]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _PlanNumbers(_Strict):
    batch_size: Positive
    n_samples: Positive
    steps_per_epoch: Positive


class _SignatureFields(_Strict):
    parameters: Shapes
    buffers: Shapes
    dtype: str


class _Manifest(_Strict):
    """What the JSON holds."""

    format: int
    training: Training
    plan: _PlanNumbers
    policy: Checkpoints
    n_completed: Count
    steps: tuple[Count, ...]
    backend: str
    loss: str
    signature: _SignatureFields
    environment: dict[str, str]
    data_fingerprint: str


def pack(run: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Arrays]]:
    """Return the JSON and the arrays of a run, given its fields.

    Returns
    -------
    dict
        What JSON can hold.
    dict of str to dict of str to ndarray
        ``record``: the plan, weights and losses. ``states``: the kept states, array i of the state before
        update t under ``"t.i"``.
    """
    plan, signature = run["plan"], run["signature"]
    document = {
        "training": run["training"].model_dump(mode="json"),
        "plan": {name: getattr(plan, name) for name in _PlanNumbers.model_fields},
        "policy": run["policy"].model_dump(mode="json", exclude_unset=True),
        "steps": sorted(run["checkpoints"]),
        "signature": {name: getattr(signature, name) for name in _SignatureFields.model_fields},
        **{key: run[key] for key in ("n_completed", "backend", "loss", "environment", "data_fingerprint")},
    }
    record = {name: getattr(plan, name) for name in _PLAN_ARRAYS}
    record |= {name: run[name] for name in ("weights", "losses")}
    states = {
        f"{step}.{index}": array
        for step, state in run["checkpoints"].items()
        for index, array in enumerate(state.arrays())
    }
    return document, {"record": _as_numpy(record), "states": _as_numpy(states)}


def unpack(document: dict[str, Any], arrays: Mapping[str, Arrays]) -> dict[str, Any]:
    """Return the fields of a run.

    Parameters
    ----------
    document, arrays
        What `pack` gave; the document with its ``format``. Format 1 was written without digests, so its content
        is checked more closely.

    Raises
    ------
    ValueError
        If they don't fit together, naming the entry.
    """
    manifest = _read_manifest(document)
    plan = _plan(manifest, arrays["record"])
    fields = {
        **{name: getattr(manifest, name) for name in ("training", "policy", "n_completed", "backend", "loss")},
        "environment": manifest.environment,
        "data_fingerprint": manifest.data_fingerprint,
        "signature": Signature(**dict(manifest.signature)),
        "plan": plan,
        "weights": arrays["record"]["weights"],
        "losses": arrays["record"]["losses"],
        "checkpoints": _states(manifest, plan, arrays["states"]),
    }
    _check_losses(fields["losses"], plan, manifest)
    _check_weights(fields["weights"], plan)
    if manifest.format == 1:
        _check_unsealed(manifest, plan, arrays)
    return fields


def _as_numpy(arrays: Mapping[str, Any]) -> Arrays:
    return {name: to_numpy(array) for name, array in arrays.items()}


def _read_manifest(document: dict[str, Any]) -> _Manifest:
    try:
        return _Manifest.model_validate_json(json.dumps(document))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where or 'an entry'} of the manifest makes no sense: {first['msg']}") from error


def _plan(manifest: _Manifest, record: Arrays) -> Plan:
    _require(record.keys() == _DTYPES.keys(), f"its record holds {sorted(record)}, not {sorted(_DTYPES)}")
    for name, dtype in _DTYPES.items():
        _require(record[name].dtype == dtype, f"{name} of its record has dtype {record[name].dtype}")
    named: dict[str, Any] = {name: record[name] for name in _PLAN_ARRAYS}
    plan = Plan(**named, **dict(manifest.plan))
    _check_batches(plan)
    _check_rates_and_seeds(plan)
    _require(
        plan.n_steps <= plan.steps_per_epoch * manifest.training.epochs,
        f"its plan has {plan.n_steps} updates, more than {manifest.training.epochs} epochs have",
    )
    return plan


def _check_batches(plan: Plan) -> None:
    order, offsets = plan.order, plan.offsets
    _require(
        order.ndim == 1 and plan.learning_rates.ndim == 1, "order or learning_rates of its plan is no vector"
    )
    _require(offsets.shape == (plan.n_steps + 1,), f"offsets of its plan has shape {offsets.shape}")
    _require(plan.n_steps > 0, "its plan has no updates")
    _require(
        offsets[0] == 0 and offsets[-1] == len(order) and bool((np.diff(offsets) > 0).all()),
        "offsets of its plan don't cut the order into batches",
    )
    _require(
        bool(((order >= 0) & (order < plan.n_samples)).all()),
        f"order of its plan names samples outside 0..{plan.n_samples - 1}",
    )


def _check_rates_and_seeds(plan: Plan) -> None:
    rates, seeds = plan.learning_rates, plan.seeds
    _require(
        bool((np.isfinite(rates) & (rates >= 0)).all()), "learning_rates of its plan are not finite and >= 0"
    )
    _require(
        seeds.shape == (plan.n_steps,) and bool((seeds >= 0).all()),
        "seeds of its plan are not one non-negative number an update",
    )


def _states(manifest: _Manifest, plan: Plan, states: Arrays) -> dict[int, State]:
    steps, n_slots = manifest.steps, manifest.training.optimizer.n_slots
    _require(
        list(steps) == sorted({0, manifest.n_completed, *steps}) and steps[-1] == manifest.n_completed,
        f"its states are those before the updates {list(steps)}: they must rise from 0 to n_completed="
        f"{manifest.n_completed}",
    )
    _require(
        manifest.n_completed <= plan.n_steps, f"n_completed={manifest.n_completed} of {plan.n_steps} updates"
    )
    names = {f"{step}.{index}" for step in steps for index in range(n_slots + 2)}
    _require(states.keys() == names, f"its states file lacks or adds {sorted(names ^ states.keys())[:3]}")
    _check_shapes(manifest, states)
    return {
        step: State(
            states[f"{step}.0"],
            tuple(states[f"{step}.{slot}"] for slot in range(1, n_slots + 1)),
            states[f"{step}.{n_slots + 1}"],
        )
        for step in steps
    }


def _check_shapes(manifest: _Manifest, states: Arrays) -> None:
    signature = Signature(**dict(manifest.signature))
    last = str(manifest.training.optimizer.n_slots + 1)
    for name, array in states.items():
        size = signature.n_buffers if name.split(".")[1] == last else signature.n_parameters
        _require(
            array.shape == (size,) and array.dtype.name == signature.dtype,
            f"state {name} is {array.dtype}{array.shape}, not {signature.dtype}({size},)",
        )


def _check_losses(losses: NDArray[np.float64], plan: Plan, manifest: _Manifest) -> None:
    shape = (manifest.training.epochs, plan.n_samples)
    _require(losses.shape == shape, f"losses have shape {losses.shape}, not {shape}")
    _require(not np.isinf(losses).any(), "losses are infinite")
    done = plan.order[: plan.offsets[manifest.n_completed]]
    epochs = np.repeat(np.arange(plan.n_steps) // plan.steps_per_epoch, np.diff(plan.offsets))[: len(done)]
    _require(np.isfinite(losses[epochs, done]).all(), "losses lack samples that were seen")


def _check_weights(weights: NDArray[np.float64], plan: Plan) -> None:
    _require(weights.shape == (plan.n_samples,), f"weights have shape {weights.shape}, not ({plan.n_samples},)")
    _require((np.isfinite(weights) & (weights >= 0)).all(), "weights are not finite and >= 0")


def _check_unsealed(manifest: _Manifest, plan: Plan, arrays: Mapping[str, Arrays]) -> None:
    """Compare a plan with the one its configuration gives, but for draws, which may differ between versions."""
    expected = make_plan(manifest.training, plan.n_samples)
    rounding = 1e-12 * manifest.training.optimizer.learning_rate
    _require(
        (plan.batch_size, plan.steps_per_epoch) == (expected.batch_size, expected.steps_per_epoch)
        and np.array_equal(plan.offsets, expected.offsets),
        "its plan has other batches than its training configuration",
    )
    _require(
        np.abs(plan.learning_rates - expected.learning_rates).max() <= rounding,
        "its plan has other learning_rates than its training configuration",
    )
    epochs = np.repeat(np.arange(plan.n_steps) // plan.steps_per_epoch, np.diff(plan.offsets))
    seen = np.unique(epochs * plan.n_samples + plan.order)
    _require(len(seen) == len(plan.order), "order of its plan has a sample twice in one epoch")
    _require(all(np.isfinite(array).all() for array in arrays["states"].values()), "a state is not finite")


def _require(holds: bool | np.bool_, problem: str) -> None:
    if not holds:
        raise ValueError(problem)

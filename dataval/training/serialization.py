"""A recorded run as JSON and arrays, and back; what is read is checked against itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dataval.backend.contract import Signature
from dataval.data import to_numpy
from dataval.training.checkpoints import Checkpoints
from dataval.training.config import Training
from dataval.training.evidence import EVIDENCE, Evidence
from dataval.training.optimizers import is_own
from dataval.training.plan import Plan
from dataval.training.plan_arrays import (
    OPTIONAL,
    check_former_plan,
    pack_plan,
    plan_names,
    require,
    unpack_former_plan,
    unpack_plan,
)
from dataval.training.program import State

__all__ = ["pack", "unpack"]

Arrays = dict[str, NDArray[Any]]

_FORMER = ("order", "offsets", "learning_rates", "seeds")
_SEEN = ("weights", "losses")
_MARGINS = "margins"

_AS_THEY_ARE = ("n_completed", "backend", "loss", "environment", "data_fingerprint", "origin", "marks")
_FIRST_WITH_PASSES = 3  # the format from which a plan has passes, coefficients and groups
_MOST = 2**53

Origin = Literal["trained", "recorded", "states"]

Count = Annotated[int, Field(ge=0, le=_MOST)]
Positive = Annotated[int, Field(gt=0, le=_MOST)]
Shapes = tuple[tuple[str, tuple[Count, ...]], ...]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _PlanNumbers(_Strict):
    batch_size: Positive
    n_samples: Positive
    steps_per_epoch: Positive | None = None


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
    origin: Origin = "trained"
    marks: dict[str, Count] = {}
    notes: tuple[str, ...] = ()


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
    if is_own(optimizer := run["training"].optimizer):
        raise TypeError(
            f"the run's optimizer is a {type(optimizer).__name__}, a class of your own, which can't be "
            "saved: keep the run in memory, or train it again"
        )
    plan, signature, evidence = run["plan"], run["signature"], run["evidence"]
    document = {
        "training": run["training"].model_dump(mode="json"),
        "plan": {name: getattr(plan, name) for name in ("batch_size", "n_samples")},
        "policy": run["policy"].model_dump(mode="json", exclude_unset=True),
        "steps": sorted(run["checkpoints"]),
        "signature": {name: getattr(signature, name) for name in _SignatureFields.model_fields},
        **{key: run[key] for key in _AS_THEY_ARE},
        "notes": () if evidence is None else evidence.notes,
    }
    record = pack_plan(plan) | {name: run[name] for name in _SEEN}
    record |= {} if evidence is None else evidence.arrays()
    record |= {_MARGINS: run[_MARGINS]} if len(run[_MARGINS]) else {}
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
    record = arrays["record"]
    plan = _plan(manifest, record)
    fields = {
        **{name: getattr(manifest, name) for name in ("training", "policy", *_AS_THEY_ARE)},
        "signature": Signature(**dict(manifest.signature)),
        "plan": plan,
        **{name: record[name] for name in (*_SEEN, _MARGINS) if name in record},
        "evidence": Evidence.of_arrays(record, manifest.notes),
        "checkpoints": _states(manifest, plan, arrays["states"]),
    }
    if manifest.origin == "states":
        _check_logs(fields, plan)
    else:
        _check_losses(fields["losses"], plan, manifest)
    _check_weights(fields["weights"], plan)
    _check_evidence(fields["evidence"], plan)
    require(all(step <= plan.n_steps for step in manifest.marks.values()), "marks are behind its last update")
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
    training, numbers = manifest.training, manifest.plan
    is_former = manifest.format < _FIRST_WITH_PASSES
    expected = {*_FORMER, *_SEEN} if is_former else plan_names(training) | {*_SEEN}
    found = record.keys() - ({*OPTIONAL, _MARGINS, *EVIDENCE} if not is_former else set())
    require(found == expected, f"its record holds {sorted(record)}, not {sorted(expected)}")
    for name in record.keys() & {*_SEEN, _MARGINS}:
        require(record[name].dtype == np.float64, f"{name} of its record has dtype {record[name].dtype}")
    size = numbers.batch_size, numbers.n_samples
    if is_former:
        require(numbers.steps_per_epoch is not None, "steps_per_epoch of the manifest is missing")
        plan = unpack_former_plan(record, training, *size, numbers.steps_per_epoch or 1)
    else:
        plan = unpack_plan(record, training, *size)
    require(
        plan.n_epochs <= training.epochs,
        f"its plan has updates of {plan.n_epochs} epochs, more than {training.epochs}",
    )
    return plan


def _states(manifest: _Manifest, plan: Plan, states: Arrays) -> dict[int, State]:
    steps, n_slots, first = manifest.steps, _n_slots(manifest), int(manifest.origin == "states")
    require(
        list(steps) == sorted({first, manifest.n_completed, *steps}) and steps[-1] == manifest.n_completed,
        f"its states are those before the updates {list(steps)}: they must rise from {first} to n_completed="
        f"{manifest.n_completed}",
    )
    require(
        manifest.n_completed <= plan.n_steps, f"n_completed={manifest.n_completed} of {plan.n_steps} updates"
    )
    names = {f"{step}.{index}" for step in steps for index in range(n_slots + 2)}
    require(states.keys() == names, f"its states file lacks or adds {sorted(names ^ states.keys())[:3]}")
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
    last = str(_n_slots(manifest) + 1)
    for name, array in states.items():
        size = signature.n_buffers if name.split(".")[1] == last else signature.n_parameters
        require(
            array.shape == (size,) and array.dtype.name == signature.dtype,
            f"state {name} is {array.dtype}{array.shape}, not {signature.dtype}({size},)",
        )


def _n_slots(manifest: _Manifest) -> int:
    """Return how many slots a state has; states that somebody else's training kept come without."""
    return 0 if manifest.origin == "states" else manifest.training.optimizer.n_slots


def _check_logs(fields: Mapping[str, Any], plan: Plan) -> None:
    for name in ("losses", _MARGINS):
        log = fields.get(name, np.zeros((0, plan.n_samples)))
        require(log.ndim == 2 and log.shape[1] == plan.n_samples, f"{name} have shape {log.shape}")
        require(not np.isinf(log).any(), f"{name} are infinite")


def _check_losses(losses: NDArray[np.float64], plan: Plan, manifest: _Manifest) -> None:
    shape = (manifest.training.epochs, plan.n_samples)
    require(losses.shape == shape, f"losses have shape {losses.shape}, not {shape}")
    require(not np.isinf(losses).any(), "losses are infinite")
    done = plan.until(manifest.n_completed) if manifest.n_completed else None
    if done is None:
        return
    epochs = np.repeat(done.epochs, np.diff(done.offsets[done.steps]))
    require(np.isfinite(losses[epochs, done.order]).all(), "losses lack samples that were seen")


def _check_evidence(evidence: Evidence | None, plan: Plan) -> None:
    require((evidence is None) == (plan.digests is None), "its evidence or the digests of its plan are missing")
    if evidence is None:
        return
    found = [(array.shape, array.dtype.name) for array in (evidence.projections, evidence.deviations)]
    expected = [((plan.n_steps + 1, evidence.projections.shape[-1]), "float64"), ((plan.n_steps,), "float64")]
    require(found == expected, f"its evidence has the shapes and dtypes {found}, not {expected}")
    require(bool(np.isfinite(evidence.projections).all()), "projections of its evidence are not finite")


def _check_weights(weights: NDArray[np.float64], plan: Plan) -> None:
    require(weights.shape == (plan.n_samples,), f"weights have shape {weights.shape}, not ({plan.n_samples},)")
    require((np.isfinite(weights) & (weights >= 0)).all(), "weights are not finite and >= 0")


def _check_unsealed(manifest: _Manifest, plan: Plan, arrays: Mapping[str, Arrays]) -> None:
    check_former_plan(plan, manifest.training)
    require(all(np.isfinite(array).all() for array in arrays["states"].values()), "a state is not finite")

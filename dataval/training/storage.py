"""Runs on disk: ``manifest.json``, ``record.safetensors`` and ``states.safetensors``."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from dataval.backend import Signature
from dataval.data import to_numpy
from dataval.training.checkpoints import Checkpoints
from dataval.training.config import Training
from dataval.training.plan import Plan
from dataval.training.program import State
from dataval.training.run import TrainingRun

__all__ = ["load_run", "save_run"]

_FORMAT = 1
_MANIFEST, _RECORD, _STATES = "manifest.json", "record.safetensors", "states.safetensors"
_PLAN_ARRAYS = ("order", "offsets", "learning_rates", "seeds")
_PLAN_NUMBERS = ("batch_size", "n_samples", "steps_per_epoch")


def save_run(run: TrainingRun, folder: Path, *, overwrite: bool) -> Path:
    """Write a run; see `TrainingRun.save`."""
    _check_target(folder, overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        (scratch / _MANIFEST).write_text(json.dumps(_manifest(run), indent=2) + "\n")
        save_file(_record(run), scratch / _RECORD)
        save_file(_states(run), scratch / _STATES)
        scratch.chmod(0o755)
        _put_in_place(scratch, folder)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return folder


def _put_in_place(scratch: Path, folder: Path) -> None:
    """Rename `scratch` to `folder`; what is there is removed after that, or put back if it fails."""
    if not folder.exists():
        scratch.rename(folder)
        return
    old = Path(f"{scratch}-old")
    folder.rename(old)
    try:
        scratch.rename(folder)
    except BaseException:
        old.rename(folder)
        raise
    shutil.rmtree(old)


def load_run(folder: Path) -> TrainingRun:
    """Read a run; see `TrainingRun.load`."""
    path = folder / _MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no recorded run: there is no {_MANIFEST} in it")
    with _reported_damage(folder):
        manifest = json.loads(path.read_text())
        version = int(manifest["format"])
    if version > _FORMAT:
        raise ValueError(
            f"the run in {folder} has format {version}, this version of dataval reads up to {_FORMAT}: "
            "upgrade dataval"
        )
    with _reported_damage(folder):
        return _from_files(manifest, load_file(folder / _RECORD), load_file(folder / _STATES))


@contextmanager
def _reported_damage(folder: Path) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, SafetensorError, OSError) as error:
        raise ValueError(f"the run in {folder} is damaged: {error!r}") from error


def _check_target(folder: Path, overwrite: bool) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (overwrite and (folder / _MANIFEST).is_file()):
        raise FileExistsError(
            f"{folder} exists and is not empty: choose another folder"
            + ("" if overwrite else ", or pass overwrite=True to replace a run saved there")
        )


def _manifest(run: TrainingRun) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "training": run.training.model_dump(mode="json"),
        "plan": {name: getattr(run.plan, name) for name in _PLAN_NUMBERS},
        "policy": run.policy.model_dump(mode="json", exclude_unset=True),
        "n_completed": run.n_completed,
        "steps": sorted(run.checkpoints),
        "backend": run.backend,
        "loss": run.loss,
        "signature": {
            "parameters": run.signature.parameters,
            "buffers": run.signature.buffers,
            "dtype": run.signature.dtype,
        },
        "environment": run.environment,
        "data_fingerprint": run.data_fingerprint,
    }


def _record(run: TrainingRun) -> dict[str, NDArray[Any]]:
    arrays = {name: getattr(run.plan, name) for name in _PLAN_ARRAYS}
    return {
        key: np.ascontiguousarray(a)
        for key, a in {**arrays, "weights": run.weights, "losses": run.losses}.items()
    }


def _states(run: TrainingRun) -> dict[str, NDArray[Any]]:
    return {
        f"{step}.{index}": np.ascontiguousarray(to_numpy(array))
        for step, state in run.checkpoints.items()
        for index, array in enumerate(state.arrays())
    }


def _from_files(
    manifest: dict[str, Any], record: dict[str, NDArray[Any]], states: dict[str, NDArray[Any]]
) -> TrainingRun:
    training = Training.model_validate(manifest["training"])
    last = training.optimizer.n_slots + 1
    if max(manifest["steps"]) != manifest["n_completed"]:
        raise ValueError("the last state is not that after the last update")
    return TrainingRun(
        training=training,
        plan=_plan(manifest["plan"], record),
        weights=record["weights"],
        losses=record["losses"],
        checkpoints={
            step: State(
                states[f"{step}.0"],
                tuple(states[f"{step}.{slot}"] for slot in range(1, last)),
                states[f"{step}.{last}"],
            )
            for step in manifest["steps"]
        },
        policy=Checkpoints.model_validate(manifest["policy"]),
        n_completed=manifest["n_completed"],
        backend=manifest["backend"],
        loss=manifest["loss"],
        signature=_signature(manifest["signature"]),
        environment=manifest["environment"],
        data_fingerprint=manifest["data_fingerprint"],
    )


def _plan(numbers: dict[str, int], record: dict[str, Any]) -> Plan:
    return Plan(
        order=record["order"],
        offsets=record["offsets"],
        learning_rates=record["learning_rates"],
        seeds=record["seeds"],
        **numbers,
    )


def _signature(fields: dict[str, Any]) -> Signature:
    named = {
        key: tuple((name, tuple(shape)) for name, shape in fields[key]) for key in ("parameters", "buffers")
    }
    return Signature(**named, dtype=fields["dtype"])

"""What a classifier said of its training samples while it was trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.data import Data, Samples
from dataval.errors import InvalidDataError
from dataval.progress import progress_bar
from dataval.training.faults import check_finite
from dataval.training.program import Program, State
from dataval.training.replay import Replay

__all__ = ["batch_logits", "check_classifier", "logits_at", "margins", "mean_probabilities", "probabilities"]

FloatArray = NDArray[np.float64]
Labels = NDArray[np.int64]

_CHUNK_SIZE = 500


def check_classifier(program: Program, method: str) -> None:
    """Raise if a model gives no class logits for integer labels, one a sample.

    Raises
    ------
    InvalidDataError
        Before any training, naming what is needed.
    """
    few = program.data.take(np.arange(min(2, len(program.data))))
    outputs = _outputs(program, program.initial_state(), few)
    n_classes = 2 if outputs.ndim == 1 or outputs.shape[1:] == (1,) else outputs.shape[-1]
    parts = (targets for _, targets in program.data.target_parts())
    if outputs.ndim > 2 or not all(_are_labels(targets, n_classes) for targets in parts):
        raise InvalidDataError(
            f"{method} needs a classifier with one label a sample and outputs (n, classes), or (n,) for two "
            f"classes; the outputs are ('n', {', '.join(map(str, outputs.shape[1:]))}), the targets "
            f"{_described_targets(program.data)}"
        )


def batch_logits(replay: Replay, progress: bool | None) -> Iterator[tuple[int, FloatArray, Labels]]:
    """Yield the number of every update with the logits ``(n, C)`` and labels of its batch before it.

    The model is in evaluation mode: dropout masks don't count as changes of mind.
    """
    program, plan = replay.program, replay.run.plan
    with progress_bar("replaying", plan.n_steps, progress) as bar:
        for step, state in replay.forward():
            yield step, *_logits(program, state, plan.batch(step))
            bar.update()


def mean_probabilities(replay: Replay, progress: bool | None) -> FloatArray:
    """Return every sample's class probabilities ``(N, C)``, the mean over the epochs, each before its update.

    In evaluation mode; NaN for a sample that no epoch saw.
    """
    total: FloatArray | None = None
    seen = np.zeros(replay.run.plan.n_samples)
    for step, logits, _ in batch_logits(replay, progress):
        batch = replay.run.plan.batch(step)
        total = np.zeros((len(seen), logits.shape[1])) if total is None else total
        total[batch] += probabilities(logits)
        seen[batch] += 1
    assert total is not None
    return np.asarray(np.where(seen[:, None] > 0, total / np.maximum(1, seen)[:, None], np.nan))


def logits_at(program: Program, state: State) -> tuple[FloatArray, Labels]:
    """Return the logits ``(N, C)`` and labels of all training samples at a state, in evaluation mode."""
    n = len(program.data)
    chunks = [np.arange(start, min(n, start + _CHUNK_SIZE)) for start in range(0, n, _CHUNK_SIZE)]
    logits, labels = zip(*(_logits(program, state, chunk) for chunk in chunks), strict=True)
    return np.concatenate(logits), np.concatenate(labels)


def margins(logits: FloatArray, labels: Labels) -> FloatArray:
    """Return the logit of every sample's label minus the largest other one."""
    rows = np.arange(len(labels))
    others = logits.copy()
    others[rows, labels] = -np.inf
    return np.asarray(logits[rows, labels] - others.max(axis=1))


def probabilities(logits: FloatArray) -> FloatArray:
    """Return the softmax of logits."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def _are_labels(targets: Any, n_classes: int) -> bool:
    """Whether these are integers, one a sample, that are not above the number of classes."""
    if not isinstance(targets, np.ndarray) or targets.size != len(targets):
        return False
    is_whole = targets.dtype.kind in "iub" or bool((targets == np.round(targets)).all())
    return is_whole and bool(0 <= targets.max() < n_classes)


def _described_targets(data: Samples) -> str:
    forms = {name: form for name, form in data.form().items() if name.startswith("y")}
    return ", ".join(f"{form.dtype} of shape {(len(data), *form.shape)}" for form in forms.values())


def _logits(program: Program, state: State, indices: NDArray[np.int64]) -> tuple[FloatArray, Labels]:
    """Return class logits and labels; one logit z for two classes becomes (0, z).

    Raises
    ------
    InvalidDataError
        If a sample's are not finite and it has a weight; it is named.
    """
    data = program.data.take(indices)
    outputs = _outputs(program, state, data).astype(np.float64)
    check_finite(outputs.reshape(len(outputs), -1).T, indices, program.weights, "an output of the model")
    logit = outputs.reshape(len(outputs), -1)
    both = np.concatenate([np.zeros_like(logit), logit], axis=1) if logit.shape[1] == 1 else logit
    return both, data.targets.reshape(-1).astype(np.int64)


def _outputs(program: Program, state: State, data: Data) -> NDArray[np.floating]:
    backend = program.backend
    batch = backend.batches(data).take(np.arange(len(data)))
    outputs = backend.predict(state.parameters, state.buffers, batch)
    if isinstance(outputs, tuple | list | dict):
        raise InvalidDataError(f"class logits are needed, the model returned a {type(outputs).__name__}")
    return backend.arrays.to_numpy(outputs)

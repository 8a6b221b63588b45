"""What a classifier said of its training samples while it was trained."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dataval.errors import InvalidDataError
from dataval.progress import progress_bar
from dataval.training.faults import check_finite
from dataval.training.program import Program, State
from dataval.training.replay import Replay

__all__ = ["batch_logits", "check_classifier", "logits_at", "margins", "probabilities"]

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
    targets = program.data.targets
    outputs = _outputs(program, program.initial_state(), np.arange(min(2, len(targets))))
    is_labels = targets.dtype.kind in "iub" or bool((targets == np.round(targets)).all())
    n_classes = 2 if outputs.ndim == 1 or outputs.shape[1:] == (1,) else outputs.shape[-1]
    if outputs.ndim > 2 or targets.size != len(targets) or not is_labels or not 0 <= targets.max() < n_classes:
        raise InvalidDataError(
            f"{method} needs a classifier with one label a sample and outputs (n, classes), or (n,) for two "
            f"classes; the outputs are ('n', {', '.join(map(str, outputs.shape[1:]))}), the targets "
            f"{targets.dtype} of shape {targets.shape}"
        )


def batch_logits(replay: Replay, progress: bool | None) -> Iterator[tuple[int, FloatArray, Labels]]:
    """Yield the number of every update with the logits ``(n, C)`` and labels of its batch before it.

    The model is in evaluation mode: dropout masks don't count as changes of mind.
    """
    program, plan = replay.program, replay.run.plan
    with progress_bar("replaying", plan.n_steps, progress) as bar:
        for step, state in replay.forward():
            batch = plan.batch(step)
            yield step, _logits(program, state, batch), _labels(program, batch)
            bar.update()


def logits_at(program: Program, state: State) -> tuple[FloatArray, Labels]:
    """Return the logits ``(N, C)`` and labels of all training samples at a state, in evaluation mode."""
    n = len(program.data)
    chunks = [np.arange(start, min(n, start + _CHUNK_SIZE)) for start in range(0, n, _CHUNK_SIZE)]
    logits = np.concatenate([_logits(program, state, chunk) for chunk in chunks])
    return logits, _labels(program, np.arange(n))


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


def _labels(program: Program, indices: NDArray[np.int64]) -> Labels:
    return program.data.targets[indices].reshape(-1).astype(np.int64)


def _logits(program: Program, state: State, indices: NDArray[np.int64]) -> FloatArray:
    """Return class logits; one logit z for two classes becomes (0, z).

    Raises
    ------
    InvalidDataError
        If a sample's are not finite and it has a weight; it is named.
    """
    outputs = _outputs(program, state, indices).astype(np.float64)
    check_finite(outputs.reshape(len(outputs), -1).T, indices, program.weights, "an output of the model")
    logit = outputs.reshape(len(outputs), -1)
    return np.concatenate([np.zeros_like(logit), logit], axis=1) if logit.shape[1] == 1 else logit


def _outputs(program: Program, state: State, indices: NDArray[np.int64]) -> NDArray[np.floating]:
    backend = program.backend
    batch = backend.batches(program.data.take(indices)).take(np.arange(len(indices)))
    outputs = backend.predict(state.parameters, state.buffers, batch)
    if isinstance(outputs, tuple | list | dict):
        raise InvalidDataError(f"class logits are needed, the model returned a {type(outputs).__name__}")
    return backend.arrays.to_numpy(outputs)

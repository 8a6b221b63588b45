"""Whether a classifier is right about each of some samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Backend
from dataval.data import Samples, concatenated
from dataval.objectives.validation import CHUNK_SIZE
from dataval.training.program import State

__all__ = ["SampleCorrectness"]

FloatArray = NDArray[np.float64]


class SampleCorrectness:
    """1 for every sample whose class has the largest output (the logit's sign, of two classes), 0 for others.

    Parameters
    ----------
    backend : Backend
        Of a classifier.
    data : Samples
        With one label a sample.
    """

    def __init__(self, backend: Backend, data: Samples) -> None:
        self._backend, self._batches, self._n = backend, backend.batches(data), len(data)
        targets = concatenated([targets for _, targets in data.target_parts()])
        self._labels = np.asarray(targets).reshape(-1)

    def value(self, state: State) -> FloatArray:
        """Return them, shape ``(n,)``, or ``(K, n)`` for a state with a leading axis; NaN where undecided."""
        if state.parameters.ndim == 1:
            return self._right(state.parameters, state.buffers)
        rows = zip(state.parameters, state.buffers, strict=True)
        return np.array([self._right(parameters, buffers) for parameters, buffers in rows])

    def _right(self, parameters: Any, buffers: Any) -> FloatArray:
        starts = range(0, self._n, CHUNK_SIZE)
        chunks = (np.arange(start, min(self._n, start + CHUNK_SIZE)) for start in starts)
        outputs = [self._backend.predict(parameters, buffers, self._batches.take(chunk)) for chunk in chunks]
        logits = np.concatenate([self._backend.arrays.to_numpy(part) for part in outputs])
        logits = logits.reshape(self._n, -1)
        found = logits.argmax(axis=1) if logits.shape[1] > 1 else logits[:, 0] > 0
        right = (found == self._labels).astype(np.float64)
        return np.where(np.isfinite(logits).all(axis=1), right, np.nan)

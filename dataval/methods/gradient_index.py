"""Compressed gradients of all training samples at some states, computed once and asked many times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Backend
from dataval.backend.losses import describe_loss
from dataval.curvature.compression import Compression
from dataval.files.digests import array_digest
from dataval.files.rows import KeptRows, MappedRows, RowsInMemory
from dataval.objectives.sample_gradients import SampleGradients
from dataval.progress import progress_bar
from dataval.training.faults import check_finite
from dataval.training.learner import Learner
from dataval.training.program import Program, State

__all__ = ["GradientIndex", "Stage", "chunks"]

FloatArray = NDArray[np.float64]
Terms = Callable[[State, NDArray[np.int64]], FloatArray]

_CHUNK_SIZE = 250
_PLAIN_BYTES = 2**27  # of gradients that are formed on the way
_LAYERS = 4  # inputs, output gradients and patches of all layers, in activations
_WHAT = "the gradient of its loss in evaluation mode"


@dataclass(frozen=True)
class Stage:
    """A state at which the training samples have gradients.

    Attributes
    ----------
    program : Program
        What it is a state of.
    state : State
    gradients : SampleGradients
        Of the training samples.
    terms : callable, optional
        Returns one more number a sample, which is kept in the last column.
    """

    program: Program
    state: State
    gradients: SampleGradients
    terms: Terms | None = None


class GradientIndex:
    """The compressed gradients of the N training samples at S states.

    Parameters
    ----------
    stages : sequence of Stage
        Of the same samples.
    compression : Compression
    what : str
        What the gradients are of: "loss".
    learner : Learner
        Names the loss in what tells the index from others.
    folder : Path or None
        Where it is kept; in memory for None.

    Attributes
    ----------
    rows : KeptRows
        ``(S N, k)`` or ``(S N, k + 1)``.

    Raises
    ------
    RunMismatchError, DamagedFileError, FileExistsError
        As `MappedRows`.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        compression: Compression,
        what: str,
        learner: Learner,
        folder: Path | None,
    ) -> None:
        program = stages[0].program
        self.n_states, self.n = len(stages), len(program.data)
        self.compression = compression
        self._has_terms = stages[0].terms is not None
        width = compression.size + self._has_terms
        key = {
            "samples": program.data.fingerprint(),
            "model": [[name, list(shape)] for name, shape in program.backend.signature.parameters],
            "loss": describe_loss(learner.loss, learner.outputs),
            "states": [_state_digest(stage) for stage in stages],
            "gradients": what,
            **compression.description(),
        }
        shape, dtype = (self.n_states * self.n, width), program.backend.signature.dtype
        self.rows: KeptRows = (
            RowsInMemory(key, shape, dtype) if folder is None else MappedRows(folder, key, shape, dtype)
        )

    @property
    def is_complete(self) -> bool:
        """Whether all rows are there."""
        return self.rows.n_done == self.n_states * self.n

    def build(self, stages: Sequence[Stage], chunk_size: int | None, progress: bool | None) -> None:
        """Compute the rows that aren't there yet; those that are done stay where this is interrupted.

        Raises
        ------
        InvalidDataError
            If a sample with a weight has no finite gradient; it is named.
        """
        if self.is_complete:
            return
        with (
            self.rows.writing(),
            progress_bar("indexing gradients", self.rows.shape[0], progress, self.rows.n_done) as bar,
        ):
            for number, stage in enumerate(stages):
                first = max(0, self.rows.n_done - number * self.n)
                for part in chunks(first, self.n, self.compression, stage.program.backend, chunk_size):
                    self.rows.append(self._compressed(stage, part))
                    bar.update(len(part))

    def read(self, number: int) -> Callable[[int, int], FloatArray]:
        """Return what reads the gradients at a state, from one sample to another, in float64."""
        return partial(self._read, number * self.n)

    def terms(self, number: int) -> FloatArray:
        """Return the numbers that are kept beside the gradients at a state, ``(N,)``."""
        found = self.rows.read(number * self.n, (number + 1) * self.n)
        return np.array(found[:, -1], dtype=np.float64)

    def _read(self, first: int, start: int, stop: int) -> FloatArray:
        found = self.rows.read(first + start, first + stop)
        return np.asarray(found[:, : self.compression.size], dtype=np.float64)

    def _compressed(self, stage: Stage, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Return rows; sample by sample where any isn't finite, lest it spoil those of its neighbours."""
        arrays = stage.program.backend.arrays
        found = self.compression.rows(arrays, stage.gradients.at(stage.state, indices))
        if not np.isfinite(found).all() and len(indices) > 1:
            return np.concatenate([self._compressed(stage, one) for one in indices[:, None]])
        check_finite(found.T, indices, stage.program.weights, _WHAT)
        if stage.terms is None:
            return found
        terms = stage.terms(stage.state, indices)[:, None].astype(found.dtype)
        return np.concatenate([found, terms], axis=1)


def chunks(
    start: int, stop: int, compression: Compression, backend: Backend, chunk_size: int | None = None
) -> Iterator[NDArray[np.int64]]:
    """Split samples so that what is formed of their gradients, and what layers keep, fit a memory budget."""
    each = 8 * compression.plain_size + _LAYERS * backend.activation_bytes
    size = chunk_size or max(1, min(_CHUNK_SIZE, _PLAIN_BYTES // max(1, each)))
    for first in range(start, stop, size):
        yield np.arange(first, min(stop, first + size))


def _state_digest(stage: Stage) -> str:
    to_numpy = stage.program.backend.arrays.to_numpy
    state = stage.state
    return array_digest({"parameters": to_numpy(state.parameters), "buffers": to_numpy(state.buffers)})

"""Methods that compress the gradients of the training samples once, and answer later questions from these."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Backend, ObjectiveFunction
from dataval.backend.registry import framework_settings
from dataval.checks import folder_path, whole_number
from dataval.curvature.compression import Compression
from dataval.curvature.gram import DampedGram
from dataval.data import Samples
from dataval.errors import InvalidDataError
from dataval.files.rows import check_rows_folder
from dataval.memory_plan import MemoryPlan, Need, available_memory
from dataval.methods.gradient_index import GradientIndex, Stage, chunks
from dataval.methods.of_states import StateValuator
from dataval.objectives.sample_gradients import ObjectiveGradients, SampleGradients
from dataval.objectives.utility import SampleObjectives
from dataval.objectives.validation import ValidationObjective
from dataval.training.faults import name_samples
from dataval.training.program import Program, State
from dataval.training.run import TrainingRun

__all__ = ["IndexedValuator", "check_validation", "compressed_gradient", "compressed_samples"]

FloatArray = NDArray[np.float64]


class IndexedValuator(StateValuator):
    """Base of the methods whose `fit` builds an index of gradients, or reads one that a folder holds.

    `score` and `attribute` compute gradients of the validation samples alone, and no training sample is run.
    Subclasses say at which states, and how gradients are compressed.
    """

    needs_updates = False
    objective: ObjectiveFunction | None
    seed: int
    folder: Any
    chunk_size: int | None
    _gradients_of = "loss"

    @framework_settings()
    def fit(self, X: Any, y: Any = None, *, run: TrainingRun | None = None) -> Self:
        """Train the learner, or adopt a run recorded before, and build the index.

        With a `folder`, the gradients that it holds are used, and those that are missing are added: an
        interrupted call goes on where it stopped. Without one, a second call on the same run does.

        Parameters
        ----------
        X, y
            Training inputs and targets, as for `Learner.train`.
        run : TrainingRun, optional
            A run of the same learner on the same data, to be used instead of training again.

        Returns
        -------
        self

        Raises
        ------
        InvalidDataError, InvalidModelError
            If data, model or loss can't be used; before any training.
        RunMismatchError
            If `run`, or the index in the folder, is of something else.
        DamagedFileError
            If a file in the folder is not what was written.
        FileExistsError
            If the folder holds files of others.
        """
        super().fit(X, y, run=run)
        self._build(self._stages())
        return self

    @abstractmethod
    def _stages(self) -> list[Stage]:
        """Return the states at which training samples have gradients in the index."""

    @abstractmethod
    def _compression(self, program: Program, stage: Stage) -> Compression:
        """Return how gradients are compressed."""

    def _complete(self, index: GradientIndex, stages: list[Stage]) -> None:
        """Find what of the compression depends on the samples."""

    def _build(self, stages: list[Stage]) -> None:
        folder = folder_path("folder", self.folder)
        learner = self.learner
        compression = self._compression(stages[0].program, stages[0])
        _memory_needed(f"{type(self).__name__}.fit", stages, compression, folder is None).check()
        index = GradientIndex(stages, compression, self._gradients_of, learner, folder)
        before = getattr(self, "_index", None)
        if folder is None and before is not None and before.rows.key == index.rows.key:
            index.rows = before.rows
        self._index = index
        self._grams: dict[Any, DampedGram] = {}
        self._complete(index, stages)
        index.build(stages, self.chunk_size, learner.progress)

    def _prepare(self, program: Program) -> None:
        whole_number("seed", self.seed, minimum=0)
        if self.chunk_size is not None:
            whole_number("chunk_size", self.chunk_size, minimum=1)
        folder = folder_path("folder", self.folder)
        if folder is not None:
            check_rows_folder(folder)

    def _gram(
        self, number: int, weights: FloatArray, scale: float, damping: float | None, share: float
    ) -> DampedGram:
        """Return the damped second moment of the gradients at a state, factorised once."""
        key = number, damping
        if key not in self._grams:
            shape = self._index.n, self._index.compression.size
            self._grams = {k: gram for k, gram in self._grams.items() if k[1] == damping}
            self._grams[key] = DampedGram(self._index.read(number), shape, weights, scale, damping, share)
        return self._grams[key]

    def _objective(self, backend: Backend, validation: Samples) -> ValidationObjective:
        return ValidationObjective(backend, validation, self.objective)

    def _mean_gradient(self, program: Program, state: State, validation: Samples) -> FloatArray:
        """Return the compressed gradient of the objective, ``(1, k)``."""
        objective = self._objective(program.backend, validation)
        return compressed_gradient(objective, program.backend, state, self._index.compression)

    def _gradients(self, program: Program, state: State, validation: Samples) -> FloatArray:
        """Return the compressed gradients of the objective of every validation sample, ``(n_val, k)``."""
        SampleObjectives(self._objective(program.backend, validation))  # refuses a single number
        gradients = ObjectiveGradients(program.backend, validation, self.objective)
        return compressed_samples(
            gradients, program.backend, state, len(validation), self._index.compression, self.chunk_size
        )


def _memory_needed(call: str, stages: list[Stage], compression: Compression, in_memory: bool) -> MemoryPlan:
    """Return what building an index and asking it take."""
    program, n = stages[0].program, len(stages[0].program.data)
    row_bytes = (compression.size + 1) * np.dtype(program.backend.signature.dtype).itemsize
    smaller = "compress to fewer numbers (dimension, rank)"
    rows = Need(f"{len(stages)} x {n} compressed gradients", len(stages) * n * row_bytes, "give a folder")
    moment = Need("the moments of the gradients", 16 * len(stages) * min(n, compression.size) ** 2, smaller)
    return MemoryPlan.of(call, [rows, moment] if in_memory else [moment], available_memory())


def compressed_gradient(
    objective: ValidationObjective, backend: Backend, state: State, compression: Compression
) -> FloatArray:
    """Return the gradient of an objective in few numbers, ``(1, k)``."""
    gradient = backend.arrays.to_numpy(objective.gradient(state)[0])
    return compression.vectors(gradient.astype(np.float64)[None])


def compressed_samples(
    gradients: SampleGradients,
    backend: Backend,
    state: State,
    n: int,
    compression: Compression,
    chunk_size: int | None = None,
) -> FloatArray:
    """Return the gradients of all of n validation samples in few numbers, ``(n, k)``.

    Raises
    ------
    InvalidDataError
        If one is not finite.
    """
    parts = [
        compression.rows(backend.arrays, gradients.at(state, part)).astype(np.float64)
        for part in chunks(0, n, compression, backend, chunk_size)
    ]
    found = np.concatenate(parts)
    check_validation(found, np.arange(n))
    return found


def check_validation(found: FloatArray, indices: NDArray[np.int64]) -> None:
    """Raise `InvalidDataError` if numbers ``(n, ...)`` of validation samples' gradients are not finite."""
    bad = indices[~np.isfinite(found).all(axis=1)]
    if len(bad):
        raise InvalidDataError(
            f"validation {name_samples(map(int, bad))}: the gradient of its objective is not finite: look for "
            "a division by 0, a root or a logarithm at 0 in the model or the objective, or leave the sample out"
        )

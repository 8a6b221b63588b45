"""Methods in which the nearest training samples vote on a validation sample."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.data import Samples
from dataval.memory_plan import MemoryPlan, Need, available_memory
from dataval.methods.nearest import Block, Distances
from dataval.methods.of_features import FeatureValuator
from dataval.progress import progress_bar

__all__ = ["NeighbourValuator"]

FloatArray = NDArray[np.float64]


class NeighbourValuator(FeatureValuator):
    """Base of the methods of neighbours.

    Subclasses implement `_block`, and may look at the training samples in `_begin`.
    """

    @abstractmethod
    def _block(self, block: Block, targets: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """Return values for validation samples of these targets, and the utilities ``(B,)`` of all samples.

        Values are ``(B, N)``, of the nearest first where `_is_sorted`, or else in the training samples' order.
        """

    _is_sorted = True

    def _begin(self, distances: Distances) -> dict[str, Any]:
        """Return what `diagnostics_` begins with."""
        return {}

    def _score(self, data: Samples, validation: Samples) -> FloatArray:
        total = np.zeros(len(data))
        for block, values in self._blocks(validation):
            if self._is_sorted:
                total += np.bincount(block.order.ravel(), values.ravel(), len(total))
            else:
                total += values.sum(axis=0)
        return total / len(validation)

    def _attribute(self, data: Samples, validation: Samples) -> FloatArray:
        found = np.empty((len(validation), len(data)))
        for block, values in self._blocks(validation):
            if self._is_sorted:
                np.put_along_axis(found[block.rows], block.order, values, axis=1)
            else:
                found[block.rows] = values
        return found

    def _blocks(self, validation: Samples) -> Iterator[tuple[Block, FloatArray]]:
        """Yield blocks with their values, and report at the end."""
        vectors, targets = self._validation_vectors(validation), self._validation_targets(validation)
        distances = Distances(self._vectors, self.metric)
        utilities = []
        self.diagnostics_ = self._begin(distances)
        with progress_bar("valuing", len(vectors), self._progress) as bar:
            for block in distances.blocks(vectors):
                values, utility = self._block(block, targets[block.rows])
                utilities.append(utility)
                yield block, values
                bar.update(len(utility))
        self.diagnostics_["utility"] = float(np.concatenate(utilities).mean())

    def _check_memory(self, source: Samples, n_val: int, call: str) -> None:
        n_rows, n = (n_val if call == "attribute" else 1), len(source)
        cure = "ask about fewer validation samples at a time, or score them together"
        need = Need(f"{n_rows} x {n} values", 8 * n_rows * n, cure)
        MemoryPlan.of(f"{type(self).__name__}.{call}", [need], available_memory()).check()

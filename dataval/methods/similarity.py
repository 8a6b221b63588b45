"""Baselines that compare inputs: what a search engine would call similar, without any model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.checks import flag
from dataval.data import Data, Samples, leaves
from dataval.errors import InvalidDataError
from dataval.methods.of_data import DataOnlyValuator

__all__ = ["SimilarityValuator", "parts_of"]

FloatArray = NDArray[np.float64]

_PART = 256


class SimilarityValuator(DataOnlyValuator):
    """Base of the methods that take what is similar for what helps.

    Subclasses implement `_similarities`.
    """

    signed: bool

    @abstractmethod
    def _similarities(self, data: Samples, validation: Samples) -> FloatArray:
        """Return the similarities ``(n_val, N)``."""

    def _score(self, data: Samples, validation: Samples) -> FloatArray:
        return np.asarray(self._attribute(data, validation).mean(axis=0))

    def _attribute(self, data: Samples, validation: Samples) -> FloatArray:
        found = self._similarities(data, validation)
        if not flag("signed", self.signed):
            return found
        mine, theirs = _labels(data), _labels(validation)
        return np.where(theirs[:, None] == mine, found, -found)


def parts_of(data: Samples) -> Iterator[Data]:
    """Yield samples in order, some at a time."""
    for start in range(0, len(data), _PART):
        yield data.take(slice(start, min(len(data), start + _PART)))


def _labels(data: Samples) -> NDArray[Any]:
    parts = [targets for _, targets in data.target_parts()]
    for targets in parts:
        kinds = {leaf.dtype.kind for _, leaf in leaves(targets)}
        is_one = isinstance(targets, np.ndarray) and targets.size == len(targets)
        if not is_one or not kinds <= {"i", "u", "b"}:
            raise InvalidDataError(
                "signed=True needs one label a sample, whole numbers as targets y: choose signed=False"
            )
    return np.concatenate(parts).reshape(-1)

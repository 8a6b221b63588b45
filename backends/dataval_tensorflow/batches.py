"""Data on its way to the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from dataval.data import Data, to_numpy

__all__ = ["Batch", "TensorFlowBatches", "to_device"]


@dataclass(frozen=True)
class Batch:
    """Samples on the device.

    Attributes
    ----------
    inputs : Tensor, tuple of Tensor, or dict of Tensor
    targets : Tensor
    """

    inputs: Any
    targets: tf.Tensor

    def __len__(self) -> int:
        return int(self.targets.shape[0])

    def arrays(self) -> list[NDArray[Any]]:
        """Return the arrays of inputs and targets, in a fixed order."""
        found: list[NDArray[Any]] = []
        self.map(lambda leaf: found.append(to_numpy(leaf)) or leaf)  # type: ignore[func-returns-value]
        return found

    def map(self, function: Callable[[tf.Tensor], tf.Tensor]) -> Batch:
        """Apply a function to every tensor."""
        return Batch(tf.nest.map_structure(function, self.inputs), function(self.targets))

    def rows(self, rows: slice) -> Batch:
        """Return some of the samples."""
        return self.map(lambda leaf: leaf[rows])


class TensorFlowBatches:
    """Takes batches from arrays, which are moved to an accelerator once where they are small.

    Parameters
    ----------
    data : Data
    device : str
    dtype : DType
        What floating-point inputs are converted to.
    target_dtype : DType
    """

    def __init__(self, data: Data, device: str, dtype: tf.DType, target_dtype: tf.DType) -> None:
        self._device, self._dtype, self._target_dtype = device, dtype, target_dtype
        self._data = data
        self._resident = self._convert(data) if _fits(data, device) else None

    def take(self, indices: NDArray[np.int64]) -> Batch:
        """Return the batch of the samples at `indices`."""
        if self._resident is None:
            return self._convert(self._data.take(indices))
        at = tf.constant(np.ascontiguousarray(indices))
        return self._resident.map(lambda leaf: tf.gather(leaf, at))

    def _convert(self, data: Data) -> Batch:
        with tf.device(self._device):
            return Batch(
                data.map_inputs(lambda leaf: to_device(leaf, self._dtype)),
                tf.cast(to_device(data.targets, None), self._target_dtype),
            )


def to_device(array: NDArray[Any], dtype: tf.DType | None) -> tf.Tensor:
    """Copy an array to a tensor; floating-point values become `dtype`."""
    array = _known(np.asarray(array))
    if dtype is not None and array.dtype.kind == "f":
        array = array.astype(dtype.as_numpy_dtype, copy=False)
    return tf.constant(array)


def _known(array: NDArray[Any]) -> NDArray[Any]:
    """Convert what TensorFlow lacks: wide unsigned integers, foreign byte orders, long doubles."""
    kind, width = array.dtype.kind, array.dtype.itemsize
    if kind == "u" and width > 1:
        return array.astype(np.int64)
    if kind == "f" and width > 8:
        return array.astype(np.float64)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


_RESIDENT_BYTES = 2**28


def _fits(data: Data, device: str) -> bool:
    """Whether to keep all data on an accelerator: not memory maps, and little beside its memory."""
    if "GPU" not in device or any(isinstance(leaf, np.memmap) for _, leaf in data.leaves()):
        return False
    return sum(leaf.nbytes for _, leaf in data.leaves()) < _RESIDENT_BYTES

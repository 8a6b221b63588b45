"""Data on its way to the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataval.data import Data, to_numpy

__all__ = ["Batch", "TorchBatches", "to_device"]


@dataclass(frozen=True)
class Batch:
    """Samples on the device.

    Attributes
    ----------
    inputs : Tensor, tuple of Tensor, or dict of Tensor
    targets : Tensor
    """

    inputs: Any
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def arrays(self) -> list[NDArray[Any]]:
        """Return the arrays of inputs and targets, in a fixed order."""
        found: list[NDArray[Any]] = []
        self.map(lambda leaf: found.append(to_numpy(leaf)) or leaf)  # type: ignore[func-returns-value]
        return found

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """Apply a function to every tensor."""
        if isinstance(self.inputs, dict):
            inputs: Any = {key: function(leaf) for key, leaf in self.inputs.items()}
        elif isinstance(self.inputs, tuple):
            inputs = tuple(map(function, self.inputs))
        else:
            inputs = function(self.inputs)
        return Batch(inputs, function(self.targets))

    def rows(self, rows: slice | Tensor) -> Batch:
        """Return some of the samples."""
        return self.map(lambda leaf: leaf[rows])

    def is_written(self) -> bool:
        """Whether a model has worked in place on these tensors, which were fresh before."""
        leaves = self.inputs.values() if isinstance(self.inputs, dict) else self.inputs
        tensors = [leaves] if isinstance(leaves, Tensor) else list(leaves)
        return any(tensor._version for tensor in [*tensors, self.targets])

    def call(self, model: Any) -> Any:
        """Call the model as its inputs' structure says."""
        if isinstance(self.inputs, dict):
            return model(**self.inputs)
        if isinstance(self.inputs, tuple):
            return model(*self.inputs)
        return model(self.inputs)


class TorchBatches:
    """Takes batches from arrays, which are moved to an accelerator once where they fit.

    Parameters
    ----------
    data : Data
    device : torch.device
    dtype : torch.dtype
        What floating-point inputs are converted to.
    target_dtype : torch.dtype
    """

    def __init__(self, data: Data, device: torch.device, dtype: torch.dtype, target_dtype: torch.dtype) -> None:
        self._device, self._dtype, self._target_dtype = device, dtype, target_dtype
        self._data = data
        self._resident = self._convert(data) if _fits(data, device) else None

    def __len__(self) -> int:
        return len(self._data)

    def take(self, indices: NDArray[np.int64]) -> Batch:
        """Return the batch of the samples at `indices`."""
        if self._resident is None:
            return self._convert(self._data.take(indices))
        at = torch.from_numpy(np.ascontiguousarray(indices)).to(self._device)
        return self._resident.rows(at)

    def _convert(self, data: Data) -> Batch:
        return Batch(
            data.map_inputs(lambda leaf: to_device(leaf, self._device, self._dtype)),
            to_device(data.targets, self._device, None).to(self._target_dtype),
        )


def to_device(array: NDArray[Any], device: torch.device, dtype: torch.dtype | None) -> Tensor:
    """Copy an array to a tensor on the device; floating-point values become `dtype`.

    The tensor never shares memory with the caller's array: a model may work in place on its inputs.
    """
    owned = np.require(_known(np.asarray(array)), requirements=["C", "W", "O"])
    tensor = torch.from_numpy(owned).to(device)
    return tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor


def _known(array: NDArray[Any]) -> NDArray[Any]:
    """Convert what torch lacks: wide unsigned integers, foreign byte orders, long doubles."""
    kind, width = array.dtype.kind, array.dtype.itemsize
    if kind == "u" and width > 1:
        return array.astype(np.int64)
    if kind == "f" and width > 8:
        return array.astype(np.float64)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _fits(data: Data, device: torch.device) -> bool:
    """Whether to keep all data on an accelerator: not memory maps, and a quarter of what is free at most."""
    if device.type != "cuda" or any(isinstance(leaf, np.memmap) for _, leaf in data.leaves()):
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return sum(leaf.nbytes for _, leaf in data.leaves()) < free // 4

"""Data on its way to the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataval.data import Data, Samples, first_leaf, leaves, map_leaves, to_numpy

__all__ = ["Batch", "TorchBatches", "to_device"]


@dataclass(frozen=True)
class Batch:
    """Samples on the device.

    Attributes
    ----------
    inputs, targets : Tensor, or nested tuples and dicts of Tensor
    """

    inputs: Any
    targets: Any

    def __len__(self) -> int:
        return len(first_leaf(self.targets))

    def arrays(self) -> list[NDArray[Any]]:
        """Return the arrays of inputs and targets, in a fixed order."""
        found: list[NDArray[Any]] = []
        self.map(lambda leaf: found.append(to_numpy(leaf)) or leaf)  # type: ignore[func-returns-value]
        return found

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """Apply a function to every tensor."""
        return Batch(map_leaves(function, self.inputs), map_leaves(function, self.targets))

    def rows(self, rows: slice | Tensor) -> Batch:
        """Return some of the samples."""
        return self.map(lambda leaf: leaf[rows])

    def is_written(self) -> bool:
        """Whether a model has worked in place on these tensors, which were fresh before."""
        return any(tensor._version for _, tensor in [*leaves(self.inputs), *leaves(self.targets)])

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
    data : Samples
    device : torch.device
    dtype : torch.dtype
        What floating-point inputs are converted to.
    target_dtype : callable
        Returns the dtype that an array of targets is converted to.
    """

    def __init__(
        self,
        data: Samples,
        device: torch.device,
        dtype: torch.dtype,
        target_dtype: Callable[[NDArray[Any]], torch.dtype],
    ) -> None:
        self._device, self._dtype, self._target_dtype = device, dtype, target_dtype
        self._data = data
        self._resident = self._convert(data.take(slice(None))) if _fits(data, device) else None

    def __len__(self) -> int:
        return len(self._data)

    def take(self, indices: NDArray[np.int64], draws: NDArray[np.int64] | None = None) -> Batch:
        """Return the batch of the samples at `indices`, each read under its seed where reading is random."""
        if self._resident is None:
            return self._convert(self._data.take(indices, draws))
        at = torch.from_numpy(np.ascontiguousarray(indices)).to(self._device)
        return self._resident.rows(at)

    def _convert(self, data: Data) -> Batch:
        return Batch(
            map_leaves(lambda leaf: to_device(leaf, self._device, self._dtype), data.inputs),
            map_leaves(self._converted_target, data.targets),
        )

    def _converted_target(self, leaf: NDArray[Any]) -> Tensor:
        return to_device(leaf, self._device, None).to(self._target_dtype(leaf))


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


def _fits(data: Samples, device: torch.device) -> bool:
    """Whether to keep all data on an accelerator: arrays in memory, and a quarter of what is free at most."""
    size = data.memory_bytes
    if device.type != "cuda" or size is None:
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return size < free // 4

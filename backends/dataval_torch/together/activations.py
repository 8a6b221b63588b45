"""How much memory a forward pass keeps for the backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

__all__ = ["Kept", "counted_activations"]


@dataclass
class Kept:
    """What autograd has kept so far: the size of every piece of memory by its address."""

    sizes: dict[int, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All together in bytes."""
        return sum(self.sizes.values())


@contextmanager
def counted_activations(parameters: list[Tensor]) -> Iterator[Kept]:
    """Count what autograd keeps while the body runs, other than parameters."""
    kept = Kept()
    own = {parameter.untyped_storage().data_ptr() for parameter in parameters}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept.sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        yield kept

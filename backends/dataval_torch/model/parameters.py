"""Which parameters are trained, and their flat form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dataval.backend.selection import Filter, select
from dataval.errors import InvalidModelError

__all__ = ["Layout", "Places", "select_parameters"]


class Layout:
    """Names and shapes of tensors that are kept concatenated in one flat vector."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.names = tuple(tensors)
        self.shapes = tuple(tuple(tensor.shape) for tensor in tensors.values())
        self._sizes = [tensor.numel() for tensor in tensors.values()]
        self.size = sum(self._sizes)

    def split(self, flat: Tensor) -> list[Tensor]:
        """Return views ``(..., *shape)`` of a vector ``(..., size)``."""
        lead = flat.shape[:-1]
        pieces = flat.split(self._sizes, dim=-1) if self._sizes else ()
        return [piece.view((*lead, *shape)) for piece, shape in zip(pieces, self.shapes, strict=True)]

    def named(self, flat: Tensor) -> dict[str, Tensor]:
        """Return `split` by name."""
        return dict(zip(self.names, self.split(flat), strict=True))

    def join(self, tensors: Sequence[Tensor], like: Tensor) -> Tensor:
        """Return tensors ``(..., *shape)`` as one vector ``(..., size)``, where `like` has the leading axes."""
        lead = like.shape[:-1]
        if not tensors:
            return like.new_zeros((*lead, 0))
        return torch.cat([tensor.reshape(*lead, -1) for tensor in tensors], dim=-1)

    def join_rows(self, tensors: Sequence[Tensor]) -> Tensor:
        """Return tensors ``(n, *shape)`` as rows ``(n, size)``."""
        return self.join(tensors, tensors[0].new_empty(len(tensors[0]), 0))


class Places:
    """Where in a module each of its parameters and buffers is kept; a tied one is kept in several places.

    Tensors put there stay until others are put: what recomputes a part of the forward pass during the
    backward pass (`torch.utils.checkpoint`) then finds the tensors of the pass that it belongs to.
    """

    def __init__(self, module: nn.Module) -> None:
        stores = [store for layer in module.modules() for store in (layer._parameters, layer._buffers)]
        at: dict[int, list[tuple[dict[str, Any], str]]] = {}
        for store in stores:
            for key, tensor in store.items():
                at.setdefault(id(tensor), []).append((store, key))
        named = [*module.named_parameters(), *module.named_buffers()]
        self._places = {name: at[id(tensor)] for name, tensor in named}

    def put(self, tensors: dict[str, Tensor]) -> None:
        """Put tensors where those of the same names are kept."""
        for name, tensor in tensors.items():
            for store, key in self._places[name]:
                store[key] = tensor

    def get(self, name: str) -> Tensor:
        """Return what is kept under a name."""
        store, key = self._places[name][0]
        kept: Tensor = store[key]
        return kept


def select_parameters(module: nn.Module, params: Filter) -> dict[str, nn.Parameter]:
    """Return the parameters to train by name, each tied one once.

    Raises
    ------
    InvalidModelError
        If there is none, a filter entry matches nothing, a parameter has no shape yet, or dtypes
        are mixed or too small to differentiate a run in.
    """
    named = dict(module.named_parameters())
    _check_initialised(named | dict(module.named_buffers()))
    selected = select({name: p for name, p in named.items() if p.requires_grad}, params, has_frozen=bool(named))
    _check_dtypes(selected)
    return selected


def _check_initialised(named: Mapping[str, Tensor]) -> None:
    lazy = [name for name, tensor in named.items() if nn.parameter.is_lazy(tensor)]
    if lazy:
        raise InvalidModelError(
            f"{lazy} have no shape yet: run the model once on a batch, so that its lazy layers are initialised"
        )


def _check_dtypes(selected: dict[str, nn.Parameter]) -> None:
    dtypes = {p.dtype for p in selected.values()}
    if len(dtypes) > 1:
        raise InvalidModelError(
            f"the trained parameters mix the dtypes {sorted(map(str, dtypes))}: convert the model with "
            "model.float() or model.double()"
        )
    if dtypes.isdisjoint({torch.float32, torch.float64}):
        raise InvalidModelError(
            f"the parameters are {dtypes.pop()}: use model.float() or model.double() "
            "(hypergradients need at least float32)"
        )

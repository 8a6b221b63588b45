"""Parameters whose memory something else in the module shares, as an attribute with `layer.weight.data` does.

In training such a tensor moves with its parameter. Where parameters are handed in from outside it stays behind,
so the two ways are compared where there is any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from dataval.errors import InvalidModelError

__all__ = ["check_moved", "copies_that_share", "moved_in_place", "shared_memory"]

Groups = list[dict[str, Tensor]]


def shared_memory(module: nn.Module) -> Groups:
    """Return the tensors by their places, for each piece of memory that a parameter shares with another."""
    by_memory: dict[int, dict[str, Tensor]] = {}
    for place, tensor in _distinct(module):
        if is_lazy(tensor) or tensor.is_meta or tensor.layout is not torch.strided:
            continue
        if tensor.numel():
            by_memory.setdefault(tensor.untyped_storage().data_ptr(), {})[place] = tensor
    return [group for group in by_memory.values() if len(group) > 1 and _overlap(list(group.values()))]


def copies_that_share(groups: Groups) -> dict[int, Tensor]:
    """Return a memo for `copy.deepcopy`, under which copies share memory as their originals do."""
    memo: dict[int, Tensor] = {}
    for group in groups:
        storage = next(iter(group.values())).untyped_storage().clone()
        for tensor in group.values():
            copied = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
            copied.set_(storage, tensor.storage_offset(), tensor.shape, tensor.stride())
            is_parameter = isinstance(tensor, nn.Parameter)
            memo[id(tensor)] = nn.Parameter(copied, tensor.requires_grad) if is_parameter else copied
    return memo


@contextmanager
def moved_in_place(module: nn.Module, moved: dict[str, Tensor]) -> Iterator[None]:
    """Write values into a module's parameters, as an optimizer does; put all back on leaving."""
    own = dict(module.named_parameters())
    before = {tensor: tensor.detach().clone() for tensor in [*own.values(), *module.buffers()]}
    try:
        with torch.no_grad():
            for name, value in moved.items():
                own[name].add_(value.to(own[name].device) - before[own[name]])
        yield
    finally:
        with torch.no_grad():
            for tensor, value in before.items():
                tensor.copy_(value)


def check_moved(in_place: Any, substituted: Any, groups: Groups) -> None:
    """Raise if a module with moved parameters gives other outputs than one that is called with these values."""
    if not _is_near(in_place, substituted):
        places = sorted(place for group in groups for place in group)
        raise InvalidModelError(
            f"{places} share memory, so that training one moves the other where no derivative sees it: tie "
            "them as one parameter (second.weight = first.weight), or compute one from the other in forward"
        )


def _is_near(left: Any, right: Any) -> bool:
    if isinstance(left, Tensor):
        tolerance = torch.finfo(left.dtype).eps ** 0.5 if left.is_floating_point() else 0.0
        return torch.allclose(left.cpu(), right.cpu(), rtol=tolerance, atol=tolerance, equal_nan=True)
    if isinstance(left, dict):
        return all(_is_near(value, right[key]) for key, value in left.items())
    return not isinstance(left, list | tuple) or all(map(_is_near, left, right))


def _distinct(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    seen: set[int] = set()
    for name, layer in module.named_modules():
        prefix = f"{name}." if name else ""
        kept = {**layer._parameters, **layer._buffers, **vars(layer)}
        for place, tensor in _tensors(kept, prefix):
            if id(tensor) not in seen:
                seen.add(id(tensor))
                yield place, tensor


def _tensors(value: Any, place: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield place.rstrip("."), value
    elif type(value) in {list, tuple, dict}:
        items: Callable[[], Any] = value.items if isinstance(value, dict) else lambda: enumerate(value)
        for key, item in items():
            if key not in {"_parameters", "_buffers", "_modules"}:
                yield from _tensors(item, f"{place}{key}.")


def _overlap(tensors: list[Tensor]) -> bool:
    """Whether a parameter and another tensor of the same memory reach into one another."""
    spans = [(isinstance(t, nn.Parameter), *_span(t)) for t in tensors]
    return any(
        trained and index != other and start < stop_of_other and start_of_other < stop
        for index, (trained, start, stop) in enumerate(spans)
        for other, (_, start_of_other, stop_of_other) in enumerate(spans)
    )


def _span(tensor: Tensor) -> tuple[int, int]:
    last = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    start, width = int(tensor.storage_offset()), tensor.element_size()
    return start * width, (start + last + 1) * width

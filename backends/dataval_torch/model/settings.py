"""Settings of a caller's module that change training in a way that can't be followed: refused, or warned of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from dataval.errors import InvalidModelError

__all__ = ["check_settings", "ignored_settings", "say_recorded"]

_WRAPPERS = {"DataParallel", "DistributedDataParallel", "FullyShardedDataParallel"}
_LIGHTNING = ("lightning.", "pytorch_lightning.")
_RECORDED = "_dataval_recorded"  # among the attributes of a recorder's copy, and of copies of that


def check_settings(module: nn.Module) -> None:
    """Raise if a module is wrapped or compiled, has hooks on gradients, or unusual kinds of parameters.

    Parameters
    ----------
    module : Module
        The caller's own: a copy has lost some of this.

    Raises
    ------
    InvalidModelError
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise InvalidModelError("a TorchScript module can't be used: pass the torch.nn.Module it was made from")
    for name, layer in module.named_modules():
        _check_layer(name, layer)
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        _check_tensor(name, tensor)


def say_recorded(module: nn.Module) -> None:
    """Note that what a module says about its training was used, by a loop that was recorded."""
    vars(module)[_RECORDED] = True


def ignored_settings(module: nn.Module) -> list[str]:
    """Name what a module says about its training, which is not used."""
    if _RECORDED in vars(module):
        return []
    is_lightning = any(base.__module__.startswith(_LIGHTNING) for base in type(module).__mro__)
    names = ("training_step", "configure_optimizers")
    return [name for name in names if is_lightning and hasattr(module, name)]


def _check_layer(name: str, layer: nn.Module) -> None:
    kinds = {base.__name__ for base in type(layer).__mro__}
    if kinds & _WRAPPERS or type(layer).__name__.startswith("FSDP"):
        raise InvalidModelError(
            f"{_place(name)} is wrapped in {type(layer).__name__}, which copies or splits parameters by "
            "itself: pass the module inside, model.module"
        )
    if name and "OptimizedModule" in kinds:
        raise InvalidModelError(
            f"{_place(name)} is compiled, and has no second derivative: pass the model as it was before "
            "torch.compile"
        )
    if layer._backward_hooks or layer._backward_pre_hooks:
        raise InvalidModelError(
            f"{_place(name)} has backward hooks, which may change gradients as no optimizer's derivative "
            "knows: remove them, and clip by Training(clip_norm=...)"
        )


def _check_tensor(name: str, tensor: Tensor) -> None:
    if tensor._backward_hooks or getattr(tensor, "_post_accumulate_grad_hooks", None):
        raise InvalidModelError(
            f"the parameter {name!r} has hooks on its gradient, which no optimizer's derivative knows: remove "
            "them, and clip by Training(clip_norm=...)"
        )
    for problem in _problems(tensor):
        raise InvalidModelError(f"{name!r} {problem}")


def _problems(tensor: Tensor) -> Iterator[str]:
    if nn.parameter.is_lazy(tensor):  # which has a message of its own
        return
    if tensor.is_meta:
        yield "is on the meta device and has no values: give it some, as by module.to_empty(device='cpu')"
    elif type(tensor).__name__ == "DTensor":
        yield "is split among devices (DTensor): pass a model whose parameters are whole"
    elif tensor.is_quantized:
        yield "is quantised: pass the model as it was before"
    elif tensor.layout is not torch.strided:
        yield f"has the layout {tensor.layout}: make it dense by to_dense()"
    elif tensor.requires_grad and tensor.is_complex():
        yield "is complex, but values are real: keep its real and imaginary parts as two parameters"
    elif tensor.requires_grad and _is_expanded(tensor):
        yield "is expanded, so that several entries are one number: keep the small tensor as the parameter"


def _is_expanded(tensor: Tensor) -> bool:
    return any(size > 1 and step == 0 for size, step in zip(tensor.shape, tensor.stride(), strict=True))


def _place(name: Any) -> str:
    return f"the layer {name!r}" if name else "the model"

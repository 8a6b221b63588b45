"""Whether a model can be differentiated twice, and if not, which layer is to blame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dataval.errors import NotTwiceDifferentiableError
from dataval_torch.batches import Batch
from dataval_torch.model import FunctionalModel

if TYPE_CHECKING:
    from dataval_torch.backend import TorchBackend

__all__ = ["check_twice_differentiable", "named_layer_error"]

_ADVICE = "Replace it by one that can be differentiated twice, or use hessian=False"


def check_twice_differentiable(backend: TorchBackend, batch: Batch) -> None:
    """Raise `NotTwiceDifferentiableError`, naming the layer, if a model has no exact second derivative."""
    untracked = backend.model.untracked_buffers
    if untracked:
        raise NotTwiceDifferentiableError(
            f"the buffers {list(untracked)} are computed from the parameters outside of differentiation, so "
            f"exact values would miss part of the derivative. {_ADVICE}"
        )
    parameters, buffers = backend.initial()
    weights = parameters.new_ones(len(batch))
    backend.gradient_vjp(parameters, buffers, batch, weights, 0).pullback(parameters, buffers)


@contextmanager
def named_layer_error(model: FunctionalModel, batch: Batch) -> Iterator[None]:
    """Turn the error of a missing second derivative into one that names the layer."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, NotImplementedError) as error:
        layer = _find_layer(model, batch)
        where = f"the layer {layer}" if layer else "an operation in the model's forward pass or loss"
        raise NotTwiceDifferentiableError(f"{where} has no second derivative ({error}). {_ADVICE}") from error


def _find_layer(model: FunctionalModel, batch: Batch) -> str | None:
    """Return the name and type of the first innermost layer whose double backward pass fails."""
    calls: list[tuple[str, nn.Module, tuple[Any, ...]]] = []
    handles = [
        layer.register_forward_pre_hook(lambda module, args, name=name: calls.append((name, module, args)))
        for name, layer in model.module.named_modules()
        if not list(layer.children())
    ]
    try:
        model.eval_outputs(model.leaves(model.parameters), model.buffers, batch)
    finally:
        for handle in handles:
            handle.remove()
    for name, layer, args in calls:
        if not _is_twice_differentiable(layer, args):
            return f"{name!r} ({type(layer).__name__})"
    return None


def _is_twice_differentiable(layer: nn.Module, args: tuple[Any, ...]) -> bool:
    leaves = [_free(arg) for arg in args]
    free = [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.requires_grad]
    try:
        outputs = layer(*leaves)
        output = outputs[0] if isinstance(outputs, tuple) else outputs
        first = torch.autograd.grad((output**3).sum(), free, create_graph=True, allow_unused=True)
        tied = [g.sum() for g in first if g is not None and g.requires_grad]
        if tied:
            torch.autograd.grad(torch.stack(tied).sum(), free, allow_unused=True)
    except (RuntimeError, NotImplementedError):
        return False
    return True


def _free(arg: Any) -> Any:
    if isinstance(arg, Tensor) and arg.is_floating_point():
        return arg.detach().requires_grad_()
    return arg

"""Which layer is to blame where a model can't be differentiated twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from dataval.backend.second_order import STEPS, is_close, missing_second_derivative
from dataval_torch.batches import Batch
from dataval_torch.derivatives.gradients import vjp
from dataval_torch.model.functional import FunctionalModel
from dataval_torch.model.randomness import seeded

__all__ = ["inexact_layer", "named_layer_error"]

_STEP = STEPS["float64"][0]


def inexact_layer(model: FunctionalModel, batch: Batch) -> str | None:
    """Name the first layer, or the buffers, whose second derivative differs from differences."""
    if model.untracked_buffers:
        return (
            f"the buffers {list(model.untracked_buffers)}, which are computed from the parameters outside of "
            "differentiation,"
        )
    return _find_layer(model, batch, _is_exact) if model.dtype == torch.float64 else None


@contextmanager
def named_layer_error(model: FunctionalModel, batch: Batch) -> Iterator[None]:
    """Turn the error of a missing second derivative into one that names the layer."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, NotImplementedError) as error:
        raise missing_second_derivative(_find_layer(model, batch, _has_second_derivative), error) from error


def _find_layer(
    model: FunctionalModel, batch: Batch, is_fine: Callable[[nn.Module, Any, Any], bool]
) -> str | None:
    """Return the name and type of the first innermost layer that isn't fine."""
    calls: list[tuple[str, nn.Module, Any, Any]] = []
    handles = [
        layer.register_forward_hook(
            lambda module, args, kwargs, _, name=name: calls.append((name, module, args, kwargs)),
            with_kwargs=True,
        )
        for name, layer in model.module.named_modules()
        if name
    ]
    try:
        model.train_outputs(model.leaves(model.parameters), model.buffers, batch, 0)
    finally:
        for handle in handles:
            handle.remove()
    for name, layer, args, kwargs in calls:  # a layer's call ends after those of the layers within it
        if not is_fine(layer, args, kwargs):
            return f"the layer {name!r} ({type(layer).__name__})"
    return None


def _has_second_derivative(layer: nn.Module, args: Any, kwargs: Any) -> bool:
    try:
        free, gradients = _layer_gradients(layer, [_free(arg) for arg in args], _free_values(kwargs))
        vjp(gradients, free, [torch.ones_like(g) for g in gradients])
    except (RuntimeError, NotImplementedError):
        return False
    return True


def _is_exact(layer: nn.Module, args: Any, kwargs: Any) -> bool:
    """Whether a layer's second derivative in its floating-point arguments is what differences say."""
    tensors = [i for i, arg in enumerate(args) if isinstance(arg, Tensor) and arg.is_floating_point()]
    if not tensors:
        return True
    directions = {i: _noise(args[i]) for i in tensors}

    def at(shift: float) -> tuple[list[Tensor], list[Tensor]]:
        moved = [a.detach() + shift * directions[i] if i in directions else a for i, a in enumerate(args)]
        return _layer_gradients(layer, [_free(arg) for arg in moved], _free_values(kwargs), len(tensors))

    free, gradients = at(0.0)
    found = vjp(gradients, free[: len(tensors)], list(directions.values()))
    pairs = zip(at(_STEP)[1], at(-_STEP)[1], strict=True)
    differences = [(above - below).detach() / (2 * _STEP) for above, below in pairs]
    size = float(torch.stack([g.detach().abs().max() for g in gradients]).max())
    size += max(float(d.abs().max()) for d in differences)
    return all(
        is_close(f.detach().cpu().numpy(), d.cpu().numpy(), size, "float64")
        for f, d in zip(found, differences, strict=True)
    )


def _layer_gradients(
    layer: nn.Module, args: list[Any], kwargs: dict[str, Any], n: int | None = None
) -> tuple[list[Tensor], list[Tensor]]:
    """Return a layer's free tensors (arguments first) and the gradients of a nonlinear function of its output.

    The gradients stay differentiable; with `n`, only the first n are taken.
    """
    free = [leaf for leaf in [*args, *kwargs.values()] if isinstance(leaf, Tensor) and leaf.requires_grad]
    free += [p for p in layer.parameters() if p.requires_grad]
    device = next((leaf.device for leaf in free), torch.device("cpu"))
    with torch.enable_grad(), seeded(0, device):  # every call of a layer that draws has to draw the same
        outputs = layer(*args, **kwargs)
        tensors = [o for o in _flat(outputs) if o.is_floating_point() and o.requires_grad]
        wanted = free if n is None else free[:n]
        if not tensors or not wanted:
            return free, [torch.zeros_like(leaf) for leaf in wanted]
        value = torch.stack([(o**3).sum() for o in tensors]).sum()
        gradients = torch.autograd.grad(value, wanted, create_graph=True, materialize_grads=True)
    return free, list(gradients)


def _flat(outputs: Any) -> list[Tensor]:
    if isinstance(outputs, Tensor):
        return [outputs]
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    return [t for o in outputs for t in _flat(o)] if isinstance(outputs, tuple | list) else []


def _free(arg: Any) -> Any:
    if isinstance(arg, Tensor) and arg.is_floating_point():
        return arg.detach().requires_grad_()
    return arg


def _free_values(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {key: _free(value) for key, value in kwargs.items()}


def _noise(like: Tensor) -> Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(0), device="cpu").to(like)

"""Whether a model can be differentiated twice, and if not, which layer is to blame."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dataval.data import Data
from dataval.errors import NotTwiceDifferentiableError
from dataval_torch.batches import Batch
from dataval_torch.derivatives.gradients import vjp
from dataval_torch.model.functional import FunctionalModel

if TYPE_CHECKING:
    from dataval_torch.backend import TorchBackend

__all__ = ["check_twice_differentiable", "named_layer_error"]

_ADVICE = "Replace it by one that can be differentiated twice, or use hessian=False"

# Second derivatives are compared with differences of gradients in float64. Steps this short cross the kink of
# a ReLU or a tie of a max-pooling almost never, where both sides would be right and yet differ; a derivative
# that is really missing shows at every step and in every direction. Rounding of gradients (1e-16) divided
# by the step leaves 1e-7 of their size.
_STEPS = (1e-8, 4e-9, 2e-9)
_TOLERANCE = 1e-3
_ROUNDING = 1e-5


def check_twice_differentiable(backend: TorchBackend, batch: Batch) -> None:
    """Raise `NotTwiceDifferentiableError`, naming the layer, if a model has no exact second derivative."""
    untracked = backend.model.untracked_buffers
    if untracked:
        raise NotTwiceDifferentiableError(
            f"the buffers {list(untracked)} are computed from the parameters outside of differentiation, so "
            f"exact values would miss part of the derivative. {_ADVICE}"
        )
    has_exact_slopes = _has_exact_slopes(backend, batch)
    double, doubled = _in_double(backend, batch), batch.map(_doubled)
    is_exact = double is None or not all(_is_inexact(double, doubled, step) for step in _STEPS)
    if not (has_exact_slopes and is_exact):
        layer = None if double is None else _find_layer(double.model, doubled, _is_exact)
        raise NotTwiceDifferentiableError(
            f"the second derivative of {_describe(layer)} differs from the derivative of its gradients: "
            f"something is detached, or a backward pass can't be differentiated. {_ADVICE}"
        )


@contextmanager
def named_layer_error(model: FunctionalModel, batch: Batch) -> Iterator[None]:
    """Turn the error of a missing second derivative into one that names the layer."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, NotImplementedError) as error:
        layer = _find_layer(model, batch, _has_second_derivative)
        raise NotTwiceDifferentiableError(
            f"{_describe(layer)} has no second derivative ({error}). {_ADVICE}"
        ) from error


def _has_exact_slopes(backend: TorchBackend, batch: Batch) -> bool:
    """Whether a pullback gives the slopes that single samples' gradients have.

    PyTorch drops the derivative of a once-differentiable function here without an error.
    """
    parameters, buffers = backend.initial()
    vector, weights = _noise(parameters), parameters.new_ones(len(batch))
    found = backend.gradient_vjp(parameters, buffers, batch, weights, 0).pullback(vector, _noise(buffers))[1]
    expected = backend.loss_jvp(parameters, buffers, batch, vector, 0)
    tolerance = torch.finfo(expected.dtype).eps ** 0.5 * expected.abs().max()
    return bool((found - expected).abs().max() <= tolerance)


def _in_double(backend: TorchBackend, batch: Batch) -> TorchBackend | None:
    """Return the same backend in float64, or None where the model or the loss insists on its dtype."""
    if backend.model.dtype == torch.float64:
        return backend
    arrays = batch.map(lambda leaf: leaf.cpu().numpy())  # type: ignore[arg-type, return-value]
    try:
        twin = type(backend)(
            copy.deepcopy(backend.template).double(),
            backend.loss,
            device=str(backend.model.device),
            params=backend.params,
            seed=0,
            example=Data(arrays.inputs, arrays.targets),  # type: ignore[arg-type]
        )
        weights = twin.model.parameters.new_ones(len(batch))
        twin.gradient_vjp(*twin.initial(), batch.map(_doubled), weights, 0)
    except (RuntimeError, TypeError, ValueError):
        return None
    return twin


def _is_inexact(backend: TorchBackend, batch: Batch, step: float) -> bool:
    """Whether a Hessian-vector product or the slopes contradict differences of gradients and losses."""
    parameters, buffers = backend.initial()
    vector = _noise(parameters)
    weights = parameters.new_ones(len(batch))
    pullback = backend.gradient_vjp(parameters, buffers, batch, weights, 0).pullback
    product, slopes, _ = pullback(vector, torch.zeros_like(buffers))

    def at(shift: float) -> tuple[Tensor, Tensor]:
        losses, gradient, _ = backend.gradient(parameters + shift * vector, buffers, batch, weights, 0)
        return losses, gradient

    (losses_above, above), (losses_below, below) = at(step), at(-step)
    layout = backend.model.layout
    difference = (above - below) / (2 * step)
    return not (
        _close([slopes], [(losses_above - losses_below) / (2 * step)], losses_above.abs().max())
        and _close(layout.split(product), layout.split(difference), above.abs().max())
    )


def _close(found: list[Tensor], expected: list[Tensor], size: Tensor) -> bool:
    """Whether tensors agree, each on its own scale, as far as rounding of what was subtracted allows."""
    overall = max((float(e.abs().max()) for e in expected if e.numel()), default=0.0)
    slack = _ROUNDING * (overall + float(size))
    return all(
        float((f - e).abs().max()) <= slack + _TOLERANCE * float(e.abs().max())
        for f, e in zip(found, expected, strict=True)
        if e.numel()
    )


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
            return f"{name!r} ({type(layer).__name__})"
    return None


def _describe(layer: str | None) -> str:
    return f"the layer {layer}" if layer else "an operation in the model's forward pass or loss"


def _has_second_derivative(layer: nn.Module, args: Any, kwargs: Any) -> bool:
    free, gradients = _layer_gradients(layer, [_free(arg) for arg in args], _free_values(kwargs))
    try:
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
    step = _STEPS[0]
    pairs = zip(at(step)[1], at(-step)[1], strict=True)
    difference = [(above - below).detach() / (2 * step) for above, below in pairs]
    size = torch.stack([g.detach().abs().max() for g in gradients]).max()
    return _close(found, difference, size)


def _layer_gradients(
    layer: nn.Module, args: list[Any], kwargs: dict[str, Any], n: int | None = None
) -> tuple[list[Tensor], list[Tensor]]:
    """Return a layer's free tensors (arguments first) and the gradients of a nonlinear function of its output.

    The gradients stay differentiable; with `n`, only the first n are taken.
    """
    free = [leaf for leaf in [*args, *kwargs.values()] if isinstance(leaf, Tensor) and leaf.requires_grad]
    free += [p for p in layer.parameters() if p.requires_grad]
    with torch.enable_grad():
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
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(0)).to(like)


def _doubled(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor

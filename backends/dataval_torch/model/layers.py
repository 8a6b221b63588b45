"""Layers whose own kernels can't serve, given another forward pass with the same result.

Only the backend's private copy of a model is touched.

- Batch normalisation in training mode updates its running statistics outside of differentiation, and in
  evaluation mode has no derivative in them. Exact values need both.
- The fused recurrent kernels lack derivatives (cuDNN's the second, oneDNN's the forward one); PyTorch's own
  have all.
- The kernel of weight normalisation has a wrong second derivative; plain arithmetic has the right one.
- Sparse gradients of embeddings have no second derivative; dense ones are the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from threading import RLock
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.backends import cuda, cudnn, mha, mkldnn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrizations import _WeightNorm
from torch.overrides import handle_torch_function, has_torch_function

__all__ = [
    "BufferUpdates",
    "own_modes",
    "own_settings",
    "patch_layers",
    "scale_and_shift",
    "under_own_settings",
]

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")

_BATCH_NORM_FORWARDS = (_BatchNorm.forward, nn.SyncBatchNorm.forward)  # a subclass may have its own

_SWITCHES: tuple[tuple[Callable[[], bool], Callable[[bool], Any], bool], ...] = (
    (mha.get_fastpath_enabled, mha.set_fastpath_enabled, False),
    (cuda.flash_sdp_enabled, cuda.enable_flash_sdp, False),
    (cuda.mem_efficient_sdp_enabled, cuda.enable_mem_efficient_sdp, False),
    (cuda.cudnn_sdp_enabled, cuda.enable_cudnn_sdp, False),
    (cuda.math_sdp_enabled, cuda.enable_math_sdp, True),
)
"""Attention kernels, on the CPU too: how to read and set each, and what differentiation needs."""

BufferUpdates = dict[str, Tensor]
"""New values of buffers by name, written by patched layers during a forward pass."""


def patch_layers(module: nn.Module, updates: BufferUpdates) -> frozenset[str]:
    """Replace forward passes in `module`, in place.

    Parameters
    ----------
    module : Module
        The backend's copy.
    updates : dict
        Where patched layers put the new values of their buffers.

    Returns
    -------
    frozenset of str
        Names of the buffers that are updated differentiably from now on.
    """
    tracked: set[str] = set()
    for name, layer in module.named_modules():
        prefix = f"{name}." if name else ""
        if _is_batch_norm(layer) and layer.running_mean is not None:
            layer.forward = partial(_batch_norm, layer, prefix, updates)
            if layer.training:
                tracked |= {prefix + key for key in _STATISTICS}
        elif isinstance(layer, nn.RNNBase):
            layer.forward = partial(_unfused, layer.forward)
        elif isinstance(layer, _WeightNorm):
            layer.forward = partial(_weight_norm, layer.dim)  # type: ignore[method-assign]
        elif isinstance(layer, nn.Embedding | nn.EmbeddingBag):
            layer.sparse = False
    return frozenset(tracked)


_calls = RLock()


@contextmanager
def own_modes() -> Iterator[None]:
    """Have gradients on, autocast and inference mode off, as if the caller had set nothing."""
    with torch.inference_mode(False), torch.enable_grad(), ExitStack() as modes:
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                modes.enter_context(torch.autocast(kind, enabled=False))
        yield


@contextmanager
def own_settings(device: torch.device) -> Iterator[None]:
    """Compute under settings of our own, whatever the caller's are, which come back on leaving.

    Gradients are on, autocast and inference mode off; attention kernels have every derivative, and cuDNN's
    repeat themselves. As kernels and generators belong to the process, one thread computes at a time.
    """
    with _calls, own_modes(), _differentiable_kernels(device):
        yield


@contextmanager
def _differentiable_kernels(device: torch.device) -> Iterator[None]:
    before = [read() for read, _, _ in _SWITCHES]
    deterministic = cudnn.deterministic
    try:
        for _, switch, wanted in _SWITCHES:
            switch(wanted)
        if device.type == "cuda":
            cudnn.deterministic = True
        yield
    finally:
        for (_, switch, _), value in zip(_SWITCHES, before, strict=True):
            switch(value)
        if device.type == "cuda":
            cudnn.deterministic = deterministic


class _HasModel(Protocol):
    model: Any


Owner = TypeVar("Owner", bound=_HasModel)
P = ParamSpec("P")
R = TypeVar("R")


def under_own_settings(method: Callable[Concatenate[Owner, P], R]) -> Callable[Concatenate[Owner, P], R]:
    """Run a method of an object that has a model under `own_settings`."""

    @wraps(method)
    def wrapped(self: Owner, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with own_settings(self.model.device):
            return method(self, *args, **kwargs)

    return wrapped


def _unfused(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    # Flag by flag, as the modules' own context managers reset their other settings as well, with warnings.
    before = cudnn.enabled, mkldnn.enabled
    _enable_fused(False, False)
    try:
        return forward(*args, **kwargs)
    finally:
        _enable_fused(*before)


def _weight_norm(dim: int, size: Tensor, direction: Tensor) -> Tensor:
    return direction * (size / torch.norm_except_dim(direction, 2, dim))


def _enable_fused(on_gpu: Any, on_cpu: Any) -> None:
    cudnn.enabled = on_gpu
    mkldnn.enabled = on_cpu


def _is_batch_norm(layer: nn.Module) -> bool:
    return isinstance(layer, _BatchNorm) and type(layer).forward in _BATCH_NORM_FORWARDS


def _batch_norm(layer: _BatchNorm, prefix: str, updates: BufferUpdates, x: Tensor) -> Tensor:
    if not layer.training:
        return _normalise(layer, x)
    outputs = nn.functional.batch_norm(x, None, None, layer.weight, layer.bias, True, 0.0, layer.eps)
    _update_statistics(layer, prefix, updates, x)
    return outputs


def _normalise(layer: _BatchNorm, x: Tensor) -> Tensor:
    """Normalise in evaluation mode, in plain arithmetic, with a derivative in the running statistics."""
    assert layer.running_mean is not None
    assert layer.running_var is not None
    shape = (1, -1) + (1,) * (x.ndim - 2)
    scale = torch.rsqrt(layer.running_var + layer.eps)
    x = (x - layer.running_mean.view(shape)) * scale.view(shape)
    return scale_and_shift(x, layer.weight, layer.bias)


def scale_and_shift(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """Multiply channels by a weight and add a bias, each ``(channels,)`` if given."""
    if has_torch_function((x, weight, bias)):
        found: Tensor = handle_torch_function(scale_and_shift, (x, weight, bias), x, weight, bias)
        return found
    shape = (1, -1) + (1,) * (x.ndim - 2)
    x = x if weight is None else x * weight.view(shape)
    return x if bias is None else x + bias.view(shape)


def _update_statistics(layer: _BatchNorm, prefix: str, updates: BufferUpdates, x: Tensor) -> None:
    axes = [0, *range(2, x.ndim)]
    count = _current(updates, prefix, "num_batches_tracked", layer) + 1
    share = 1.0 / count if layer.momentum is None else layer.momentum
    new = {
        "running_mean": x.mean(dim=axes),
        "running_var": x.var(dim=axes, unbiased=True),
    }
    for key, statistic in new.items():
        old = _current(updates, prefix, key, layer)
        updates[prefix + key] = (1 - share) * old + share * statistic
    updates[prefix + "num_batches_tracked"] = count


def _current(updates: BufferUpdates, prefix: str, key: str, layer: _BatchNorm) -> Tensor:
    """Return a buffer's present value, which a layer used twice has already updated in this pass."""
    value = updates.get(prefix + key, getattr(layer, key))
    assert isinstance(value, Tensor)
    return value

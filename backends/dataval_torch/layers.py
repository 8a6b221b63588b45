"""Layers whose own kernels can't serve, given another forward pass with the same result.

Only the backend's private copy of a model is touched.

- Batch normalisation in training mode updates its running statistics outside of differentiation, and in
  evaluation mode has no derivative in them. Exact values need both.
- The fused recurrent kernels (cuDNN, oneDNN) have no second derivative; PyTorch's own have.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["BufferUpdates", "differentiable_kernels", "patch_layers"]

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")

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
        if isinstance(layer, _BatchNorm) and layer.running_mean is not None:
            layer.forward = partial(_batch_norm, layer, prefix, updates)  # type: ignore[method-assign]
            if layer.training:
                tracked |= {prefix + key for key in _STATISTICS}
        elif isinstance(layer, nn.RNNBase):
            layer.forward = partial(_unfused, layer.forward)
    return frozenset(tracked)


@contextmanager
def differentiable_kernels(device: torch.device) -> Iterator[None]:
    """Choose attention kernels that have a second derivative, and cuDNN kernels that repeat themselves."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    on_gpu = device.type == "cuda"
    flags = torch.backends.cudnn.flags(deterministic=True) if on_gpu else nullcontext()
    try:
        with sdpa_kernel(SDPBackend.MATH), flags:
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)


def _unfused(forward: object, *args: object, **kwargs: object) -> object:
    with torch.backends.cudnn.flags(enabled=False), torch.backends.mkldnn.flags(enabled=False):
        return forward(*args, **kwargs)  # type: ignore[operator]


def _batch_norm(layer: _BatchNorm, prefix: str, updates: BufferUpdates, x: Tensor) -> Tensor:
    if layer.training:
        _update_statistics(layer, prefix, updates, x)
        return nn.functional.batch_norm(x, None, None, layer.weight, layer.bias, True, 0.0, layer.eps)
    return _normalise(layer, x)


def _normalise(layer: _BatchNorm, x: Tensor) -> Tensor:
    """Normalise in evaluation mode, in plain arithmetic, with a derivative in the running statistics."""
    assert layer.running_mean is not None
    assert layer.running_var is not None
    scale = torch.rsqrt(layer.running_var + layer.eps)
    if layer.weight is not None:
        scale = scale * layer.weight
    shape = (1, -1) + (1,) * (x.ndim - 2)
    x = (x - layer.running_mean.view(shape)) * scale.view(shape)
    return x if layer.bias is None else x + layer.bias.view(shape)


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

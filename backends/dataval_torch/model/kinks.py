"""Modules at whose kinks a gradient jumps."""

from __future__ import annotations

from torch import nn

__all__ = ["kinked_layers"]

_KINKED = (
    nn.ReLU,
    nn.LeakyReLU,
    nn.PReLU,
    nn.RReLU,
    nn.Hardtanh,  # and ReLU6
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.Hardshrink,
    nn.Softshrink,
    nn.Threshold,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d,
    nn.AdaptiveMaxPool3d,
)


def kinked_layers(module: nn.Module) -> tuple[str, ...]:
    """Return the kinds of modules with kinks within a module, each once, in the order of their first use."""
    return tuple(dict.fromkeys(type(each).__name__ for each in module.modules() if isinstance(each, _KINKED)))

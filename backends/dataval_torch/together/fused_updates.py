"""PyTorch's own optimizers, whose fused kernels update all arrays in place and in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dataval.training.optimizers import SGD, Adam, AdamW, Optimizer

__all__ = ["FusedUpdates"]

_SLOTS = {SGD: ("momentum_buffer",), Adam: ("exp_avg", "exp_avg_sq"), AdamW: ("exp_avg", "exp_avg_sq")}


class FusedUpdates:
    """Updates of some tensors in place, as `Optimizer.update` defines them.

    Parameters
    ----------
    optimizer : SGD, Adam or AdamW
        See `can_do`.
    parameters : sequence of Tensor
    slots : sequence of sequence of Tensor
        The slots of each.
    """

    def __init__(
        self, optimizer: Optimizer, parameters: Sequence[Tensor], slots: Sequence[Sequence[Tensor]]
    ) -> None:
        self._optimizer, self._parameters, self._slots = optimizer, parameters, slots
        self._theirs = _torch_optimizer(optimizer, list(parameters)) if parameters else None

    @staticmethod
    def can_do(optimizer: Optimizer, device: torch.device) -> bool:
        """Whether PyTorch has this optimizer, and a fused kernel for it on the device."""
        return type(optimizer) in _SLOTS and device.type in {"cpu", "cuda"}

    def step(self, gradients: Sequence[Tensor], learning_rate: float, step: int) -> None:
        """Do update number `step`."""
        if self._theirs is None:
            return
        group = self._theirs.param_groups[0]
        group["lr"] = learning_rate
        if isinstance(self._optimizer, SGD) and step == 0:
            group["dampening"] = 0.0
        for parameter, gradient, slots in zip(self._parameters, gradients, self._slots, strict=True):
            parameter.grad = gradient.contiguous()  # the kernels go through memory, whatever the strides
            self._theirs.state[parameter] = self._state(slots, step)
        self._theirs.step()
        self._theirs.zero_grad()
        if isinstance(self._optimizer, SGD):
            group["dampening"] = self._optimizer.dampening

    def _state(self, slots: Sequence[Tensor], step: int) -> dict[str, Tensor]:
        state = dict(zip(_SLOTS[type(self._optimizer)], slots, strict=False))
        if not isinstance(self._optimizer, SGD):
            state["step"] = torch.tensor(float(step), dtype=torch.float32, device=slots[0].device)
        return state


def _torch_optimizer(optimizer: Optimizer, parameters: list[Tensor]) -> torch.optim.Optimizer:
    options: dict[str, Any] = {"lr": optimizer.learning_rate, "fused": True}
    if isinstance(optimizer, SGD):
        kind: Any = torch.optim.SGD
        options |= {
            "momentum": optimizer.momentum,
            "dampening": optimizer.dampening,
            "nesterov": optimizer.nesterov,
            "weight_decay": optimizer.weight_decay,
        }
    elif isinstance(optimizer, Adam | AdamW):
        kind = torch.optim.AdamW if isinstance(optimizer, AdamW) else torch.optim.Adam
        options |= {
            "betas": optimizer.betas,
            "eps": optimizer.epsilon,
            "weight_decay": optimizer.weight_decay,
        }
    theirs: torch.optim.Optimizer = kind(parameters, **options)
    return theirs

"""The forward passes of a loop, watched by hooks of the module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from dataval.errors import InvalidDataError
from dataval_torch.batches import Batch
from dataval_torch.own_loss import tensors_of
from dataval_torch.recorder.loader import NotedBatch

__all__ = ["Pass", "PassWatch"]


@dataclass
class Pass:
    """One forward pass on its way: what went in, what came out, and what came back.

    Attributes
    ----------
    noted : NotedBatch
        Its samples.
    batch : Batch
        What model and loss see.
    seed : int
        Under which it was made.
    buffers : Tensor
        Before it, flat.
    outputs
        What the loss is a function of.
    gradients : list of Tensor or None
        Of the loop's loss in each tensor of the outputs; None until the backward pass.
    """

    noted: NotedBatch
    batch: Batch
    seed: int
    buffers: Tensor
    outputs: Any = None
    gradients: list[Tensor | None] = field(default_factory=list)

    @property
    def is_back(self) -> bool:
        """Whether a backward pass came through."""
        return any(gradient is not None for gradient in self.gradients)

    def arrived(self) -> list[Tensor]:
        """Return the gradients in the tensors of the outputs; 0 where none came."""
        pairs = zip(self.gradients, differentiable(self.outputs), strict=True)
        return [torch.zeros_like(leaf) if gradient is None else gradient for gradient, leaf in pairs]


class PassWatch:
    """Hooks on a module that hand over each training pass.

    Parameters
    ----------
    net : Module
    begin : callable
        ``begin(args, kwargs)`` returns a `Pass` for a call that is one, or None; it is called before the call.
    end : callable
        ``end(pass)`` is called after it; without outputs where the call failed.
    read : callable
        What is done with what the module returns before the loss.
    """

    def __init__(
        self,
        net: nn.Module,
        begin: Callable[[tuple[Any, ...], dict[str, Any]], Pass | None],
        end: Callable[[Pass], None],
        read: Callable[[Any], Any],
    ) -> None:
        self._begin, self._end, self._read = begin, end, read
        self._current: Pass | None = None
        self._depth = 0
        self._hooks = [
            net.register_forward_pre_hook(self._before, with_kwargs=True, prepend=True),
            net.register_forward_hook(self._after, with_kwargs=True, always_call=True),
        ]

    def remove(self) -> None:
        """Take the hooks off the module."""
        for hook in self._hooks:
            hook.remove()

    def _before(self, net: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._depth += 1
        if self._depth == 1 and torch.is_grad_enabled():
            self._current = self._begin(args, kwargs)

    def _after(self, net: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], returned: Any) -> None:
        self._depth -= 1
        if self._depth or self._current is None:
            return
        current, self._current = self._current, None
        if returned is not None:
            self._await(current, self._read(returned))
        self._end(current)

    def _await(self, current: Pass, outputs: Any) -> None:
        """Keep what comes back to the outputs."""
        leaves = differentiable(outputs)
        current.outputs, current.gradients = outputs, [None] * len(leaves)
        for i, leaf in enumerate(leaves):
            leaf.register_hook(_keeper(current.gradients, i))


def differentiable(outputs: Any) -> list[Tensor]:
    """Return the tensors of a structure that a gradient may come back to."""
    return [leaf for leaf in tensors_of(outputs) if leaf.requires_grad]


def batch_of(args: tuple[Any, ...], kwargs: dict[str, Any], targets: Any, known: set[str] | None) -> Batch:
    """Return what model and loss see of a call.

    Parameters
    ----------
    args, kwargs
        Of the call.
    targets
        Of its samples.
    known : set of str, optional
        Names of the inputs that the data set has; other keywords are settings.
    """
    named = {key: value for key, value in kwargs.items() if known is None or key in known}
    tensors = {key: value for key, value in named.items() if isinstance(value, Tensor)}
    if args and tensors:
        raise InvalidDataError(
            "the model is called with positional and keyword arguments together, which can't be done again: "
            "use one kind"
        )
    inputs = tensors if not args else args[0] if len(args) == 1 else tuple(args)
    return Batch(inputs, targets)


def _keeper(gradients: list[Tensor | None], i: int) -> Callable[[Tensor], None]:
    def keep(gradient: Tensor) -> None:
        before = gradients[i]
        gradients[i] = gradient.detach().clone() if before is None else before + gradient.detach()

    return keep

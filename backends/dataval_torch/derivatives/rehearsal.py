"""Small cases on which fast ways of computing a derivative are tried out before they are relied on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dataval_torch.batches import Batch

if TYPE_CHECKING:
    from dataval_torch.backend import TorchBackend

__all__ = ["Rehearsal"]

Named = dict[str, Tensor]


class Rehearsal:
    """Arguments for each of the functions that a `FirstThatWorks` chooses between.

    Parameters
    ----------
    backend : TorchBackend
    example : Batch
        A few samples.
    """

    def __init__(self, backend: TorchBackend, example: Batch) -> None:
        self._backend, self._model, self._example = backend, backend.model, example

    def slopes(self) -> tuple[Callable[[Named], Tensor], Named, Named]:
        """For the directional derivative of training losses."""
        buffers = self._model.buffers
        return self._along(lambda leaves: self._backend.train_losses(leaves, buffers, self._example, 0)[0])

    def objective_slopes(self) -> tuple[Callable[[Named], Tensor], Named, Named]:
        """For the directional derivative of losses in evaluation mode."""
        return self._along(
            lambda leaves: self._backend.eval_values(leaves, self._model.buffers, self._example, None)
        )

    def gauss_newton(self) -> tuple[Tensor, Tensor, Batch, Tensor, Tensor]:
        """For a Gauss-Newton product."""
        point = self._point()
        return point, self._model.buffers, self._example, point.new_ones(len(self._example)), self._noise(1)

    def rows(self) -> tuple[Any, ...]:
        """For per-sample gradients of training losses."""
        buffers = self._model.buffers
        return (
            lambda leaves, part: self._backend.train_losses(leaves, buffers, part, 0)[0],
            self._model.leaves(self._point()),
            self._example,
            slice(None),
        )

    def evaluation_rows(self) -> tuple[Any, ...]:
        """For per-sample gradients in evaluation mode."""
        arguments = self._model.leaves(self._point()) | {"": self._model.buffers.detach().requires_grad_()}
        return self._backend.values_of(None), arguments, self._example, slice(None)

    def ensemble(self) -> tuple[Named, Tensor, Batch, Tensor, int]:
        """For the gradients of two models at once."""
        leaves, buffers, batch = self.outputs()
        return leaves, buffers, batch, buffers.new_ones(2, len(batch)), 0

    def outputs(self) -> tuple[Named, Tensor, Batch]:
        """For the outputs of two models at once."""
        points = torch.stack([self._point(), self._model.parameters])
        return self._model.leaves(points), self._model.buffers.expand(2, -1), self._example

    def _along(self, function: Callable[[Named], Tensor]) -> tuple[Callable[[Named], Tensor], Named, Named]:
        named = self._model.layout.named
        return function, named(self._point()), named(self._noise(1))

    def _point(self) -> Tensor:
        """Parameters away from the model's own, which may be special (zeros, ties)."""
        return self._model.parameters * 1.01 + 0.01 * self._noise(0)

    def _noise(self, seed: int) -> Tensor:
        own = self._model.parameters
        return torch.randn(len(own), generator=torch.Generator().manual_seed(seed)).to(own)

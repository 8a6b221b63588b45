"""Small cases on which fast ways of computing a derivative are tried out before they are relied on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dataval_torch.batches import Batch
from dataval_torch.derivatives.gradients import BLOCK, Named, Values
from dataval_torch.model.functional import FunctionalModel

__all__ = ["Rehearsal"]


class Rehearsal:
    """Arguments for each of the functions that a `FirstThatWorks` chooses between.

    Parameters
    ----------
    model : FunctionalModel
    example : Batch
        A few samples.
    """

    def __init__(self, model: FunctionalModel, example: Batch) -> None:
        self._model, self.example = model, example

    def along(self, values_of: Values) -> tuple[Callable[[Named], Tensor], Named, Named]:
        """For the directional derivative of values that are a function of leaves and a batch."""
        named = self._model.layout.named
        return lambda leaves: values_of(leaves, self.example), named(self._point()), named(self._noise(1))

    def rows(self, values_of: Values) -> tuple[Any, ...]:
        """For per-sample gradients in the parameters, of more samples than are run together where few are.

        They repeat a sample in the first block, so that blocks and the batch have other statistics.
        """
        few = torch.arange(BLOCK + 1, device=self._model.device) // BLOCK % len(self.example)
        return values_of, self._model.leaves(self._point()), self.example.rows(few), slice(None)

    def rows_with_buffers(self, values_of: Values) -> tuple[Any, ...]:
        """For per-sample gradients in the parameters and, under the name "", the buffers."""
        values_of, leaves, batch, part = self.rows(values_of)
        return values_of, leaves | {"": self._model.buffers.detach().requires_grad_()}, batch, part

    def product(self) -> tuple[Named, Tensor, Batch, Tensor, Tensor]:
        """For the product of a curvature matrix and one vector."""
        point = self._point()
        weights = point.new_ones(len(self.example))
        return self._model.leaves(point), self._model.buffers, self.example, weights, self._noise(1)

    def gradients_together(self) -> tuple[Named, Tensor, Batch, Tensor, int]:
        """For the gradients of two models at once."""
        leaves, buffers, batch = self.outputs_together()
        return leaves, buffers, batch, buffers.new_ones(2, len(batch)), 0

    def outputs_together(self) -> tuple[Named, Tensor, Batch]:
        """For the outputs of two models at once."""
        points = torch.stack([self._point(), self._model.parameters])
        return self._model.leaves(points), self._model.buffers.expand(2, -1), self.example

    def _point(self) -> Tensor:
        """Parameters away from the model's own, which may be special (zeros, ties)."""
        return self._model.parameters * 1.01 + 0.01 * self._noise(0)

    def _noise(self, seed: int) -> Tensor:
        own = self._model.parameters
        return torch.randn(len(own), generator=torch.Generator().manual_seed(seed), device="cpu").to(own)

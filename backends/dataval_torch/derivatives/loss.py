"""The loss of a module in training mode, and its derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from dataval.backend import Arrays, Linearization, TrainingLoss
from dataval.backend.layers import LayerGradients, plain_gradients, rows_of
from dataval_torch.batches import Batch
from dataval_torch.derivatives import slopes
from dataval_torch.derivatives.curvature import gauss_newton_linearization
from dataval_torch.derivatives.fast_layers import FastLayers, TwiceDifferentiable
from dataval_torch.derivatives.gradients import (
    COST_OF_ROWS,
    FirstThatWorks,
    Named,
    batched_vjp,
    blocked_rows,
    jacobian_rows,
    vmapped_rows,
)
from dataval_torch.derivatives.rehearsal import Rehearsal
from dataval_torch.derivatives.second_order import named_layer_error
from dataval_torch.layerwise.engine import Layerwise
from dataval_torch.losses import PerSample, check_tensor
from dataval_torch.model.functional import FunctionalModel
from dataval_torch.model.layers import own_settings, under_own_settings
from dataval_torch.together.vmapped import gradients_one_by_one, vmapped_gradients, ways_to_fold

__all__ = ["TorchLoss"]


class TorchLoss(TrainingLoss):
    """See `dataval.backend.TrainingLoss`.

    Parameters
    ----------
    arrays : Arrays
    model : FunctionalModel
    per_sample : callable
        (outputs, targets) -> ``(n,)``.
    rehearsal : Rehearsal
    """

    def __init__(
        self, arrays: Arrays, model: FunctionalModel, per_sample: PerSample, rehearsal: Rehearsal
    ) -> None:
        super().__init__(arrays)
        self.model, self.per_sample = model, per_sample
        along = slopes.forward_mode, slopes.double_reverse, slopes.by_rows
        self._along = FirstThatWorks(
            *along, rehearsal=lambda: rehearsal.along(self._of_batch(model.buffers, 0))
        )
        self._rows = FirstThatWorks(
            vmapped_rows,
            blocked_rows,
            jacobian_rows,
            cost=COST_OF_ROWS,
            rehearsal=lambda: rehearsal.rows(self._of_batch(model.buffers, 0)),
        )
        self._layers = FirstThatWorks(
            Layerwise(model, rehearsal.example, self._general_rows),
            partial(self._plain, self._general_rows),
            reference=partial(self._plain, jacobian_rows),
            rehearsal=lambda: rehearsal.rows(self._of_batch(model.buffers, 0))[:3],
            seen=partial(rows_of, arrays),
        )
        self.together = FirstThatWorks(
            *(partial(vmapped_gradients, fold, self.tied) for fold in ways_to_fold(model)),
            partial(gradients_one_by_one, self.leaf_gradients),
            rehearsal=rehearsal.gradients_together,
        )

    @under_own_settings
    @torch.no_grad()
    def losses(self, parameters: Tensor, buffers: Tensor, batch: Batch, seed: int) -> Tensor:
        """Per-sample losses."""
        return self.tied(self.model.layout.named(parameters), buffers, batch, seed)[0]

    @under_own_settings
    def gradient(
        self, parameters: Tensor, buffers: Tensor, batch: Batch, weights: Tensor, seed: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Losses, gradient of the weighted loss, new buffers; of one model or K."""
        leaves = self.model.leaves(parameters)
        find = self.leaf_gradients if parameters.ndim == 1 else self.together
        losses, after, *gradients = find(leaves, buffers, batch, weights, seed)
        return losses, self.model.layout.join(gradients, parameters), after

    @property
    def is_coupled(self) -> bool:
        """Whether the batch's statistics or random numbers join its samples."""
        return self.model.has_batch_statistics or self.model.is_stochastic

    @under_own_settings
    def rows(
        self, parameters: Tensor, buffers: Tensor, batch: Batch, seed: int, part: slice | None = None
    ) -> Tensor:
        """Gradients of the losses of some samples."""
        if self.has_layers:
            blocks = self.layer_gradients(parameters, buffers, batch, seed)
            rows: Tensor = rows_of(self.arrays, [block.part(part or slice(None)) for block in blocks])
            return rows
        leaves = self.model.leaves(parameters)
        gradients = self._general_rows(self._of_batch(buffers, seed), leaves, batch, part or slice(None))
        return self.model.layout.join_rows(gradients)

    @property
    def has_layers(self) -> bool:
        """Whether one pass back gives the gradients of all samples."""
        return not self.model.has_batch_statistics and self._layers.is_fast()

    @under_own_settings
    def layer_gradients(
        self, parameters: Tensor, buffers: Tensor, batch: Batch, seed: int
    ) -> Sequence[LayerGradients]:
        """Gradients of the samples' losses by layer."""
        find = self._layers if self.has_layers else partial(self._plain, self._general_rows)
        values_of = self._of_batch(buffers, seed)
        found: Sequence[LayerGradients] = find(values_of, self.model.leaves(parameters), batch)
        return found

    @under_own_settings
    def slope(self, parameters: Tensor, buffers: Tensor, batch: Batch, vector: Tensor, seed: int) -> Tensor:
        """Slopes along one vector, without per-sample gradients."""
        losses_of, named = self._of_batch(buffers, seed), self.model.layout.named
        found: Tensor = self._along(lambda leaves: losses_of(leaves, batch), named(parameters), named(vector))
        return found

    def linearize(
        self, parameters: Tensor, buffers: Tensor, batch: Batch, weights: Tensor, seed: int
    ) -> Linearization:
        """Gradient and pullback, by reverse over reverse."""
        layout, device = self.model.layout, self.model.device
        leaves = self.model.leaves(parameters)
        arguments = [*leaves.values(), _free(weights), _free(buffers)]
        with own_settings(device), TwiceDifferentiable():
            losses, after = self._tied(leaves, arguments[-1], batch, seed)
            with named_layer_error(self.model, batch):
                gradients = torch.autograd.grad(
                    losses, arguments[:-2], arguments[-2], create_graph=True, materialize_grads=True
                )

        def pullback(vectors: Tensor, buffer_vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            with own_settings(device), TwiceDifferentiable(), named_layer_error(self.model, batch):
                self.model.put(leaves)
                *through, along, buffers_bar = batched_vjp(
                    [*gradients, after], arguments, [*layout.split(vectors), buffer_vectors]
                )
            return layout.join(through, vectors), along, buffers_bar

        return Linearization(lambda: layout.join([g.detach() for g in gradients], parameters), pullback)

    def linearize_gauss_newton(
        self, parameters: Tensor, buffers: Tensor, batch: Batch, weights: Tensor, seed: int
    ) -> Linearization:
        """Gradient and pullback, by reverse over reverse of the outputs."""
        layout, device = self.model.layout, self.model.device
        leaves, free_buffers = self.model.leaves(parameters), _free(buffers)
        with own_settings(device), FastLayers():
            outputs, after = self.model.train_outputs(leaves, free_buffers, batch, seed)
            check_tensor(outputs, "the Gauss-Newton matrix")
            with named_layer_error(self.model, batch):
                gradients, pull = gauss_newton_linearization(
                    outputs, after, leaves, free_buffers, weights, partial(self._values, batch.targets)
                )

        def pullback(vectors: Tensor, buffer_vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            with own_settings(device), FastLayers(), named_layer_error(self.model, batch):
                self.model.put(leaves)
                through, along, buffers_bar = pull(layout.split(vectors), buffer_vectors)
            return layout.join(through, vectors), along, buffers_bar

        return Linearization(lambda: layout.join([g.detach() for g in gradients], parameters), pullback)

    def _values(self, targets: Tensor, outputs: Tensor) -> Tensor:
        return self.per_sample(outputs, targets)

    def tied(self, leaves: Named, buffers: Tensor, batch: Batch, seed: int) -> tuple[Tensor, Tensor]:
        """Return losses and new buffers, tied to leaves and buffers."""
        with FastLayers():
            return self._tied(leaves, buffers, batch, seed)

    def _tied(self, leaves: Named, buffers: Tensor, batch: Batch, seed: int) -> tuple[Tensor, Tensor]:
        outputs, after = self.model.train_outputs(leaves, buffers, batch, seed)
        return self.per_sample(outputs, batch.targets), after

    def leaf_gradients(
        self, leaves: Named, buffers: Tensor, batch: Batch, weights: Tensor, seed: int
    ) -> tuple[Tensor, ...]:
        """Return losses, new buffers, and the weighted loss's gradient in each of the leaves."""
        losses, after = self.tied(leaves, buffers, batch, seed)
        gradients = torch.autograd.grad(losses, list(leaves.values()), weights, materialize_grads=True)
        return losses.detach(), after.detach(), *gradients

    @under_own_settings
    def gradients_together(
        self, leaves: Named, buffers: Tensor, batch: Batch, weights: Tensor, seed: int
    ) -> tuple[Tensor, ...]:
        """Return what `leaf_gradients` returns over a leading axis."""
        found: tuple[Tensor, ...] = self.together(leaves, buffers, batch, weights, seed)
        return found

    def _general_rows(
        self, values_of: Callable[[Named, Batch], Tensor], leaves: Named, batch: Batch, rows: slice
    ) -> Sequence[Tensor]:
        """Return gradients of some samples by leaf, however the model's layers are made."""
        find = jacobian_rows if self.is_coupled else self._rows
        found: Sequence[Tensor] = find(values_of, leaves, batch, rows)
        return found

    def _plain(
        self,
        find: Callable[..., Sequence[Tensor]],
        values_of: Callable[[Named, Batch], Tensor],
        leaves: Named,
        batch: Batch,
    ) -> Sequence[LayerGradients]:
        return plain_gradients(self.model.layout.join_rows(find(values_of, leaves, batch, slice(None))))

    def _of_batch(self, buffers: Tensor, seed: int) -> Callable[[Named, Batch], Tensor]:
        return lambda leaves, batch: self.tied(leaves, buffers, batch, seed)[0]


def _free(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_()

"""An objective of a module in evaluation mode, and its derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor

from dataval.backend import Arrays, Objective
from dataval.backend.layers import LayerGradients, plain_gradients, rows_of, slopes_along
from dataval_torch.batches import Batch
from dataval_torch.derivatives import slopes
from dataval_torch.derivatives.convolutions import FastConvolutions
from dataval_torch.derivatives.curvature import gauss_newton_dual, gauss_newton_products, hessian_products
from dataval_torch.derivatives.gradients import (
    COST_OF_ROWS,
    FirstThatWorks,
    Named,
    blocked_rows,
    jacobian_rows,
    vmapped_rows,
)
from dataval_torch.derivatives.rehearsal import Rehearsal
from dataval_torch.derivatives.second_order import named_layer_error
from dataval_torch.layerwise.engine import Layerwise
from dataval_torch.losses import PerSample, check_differentiable, check_tensor
from dataval_torch.model.functional import FunctionalModel
from dataval_torch.model.layers import under_own_settings
from dataval_torch.together.vmapped import (
    outputs_one_by_one,
    values_together,
    vmapped_outputs,
    ways_to_fold,
)

__all__ = ["TorchObjective"]

_FEW_VECTORS = 3  # fewer directional derivatives than this cost less than per-sample gradients
_TOGETHER_BYTES = 2**26


class TorchObjective(Objective):
    """See `dataval.backend.Objective`.

    Parameters
    ----------
    arrays : Arrays
    model : FunctionalModel
    function : callable
        (outputs, targets) -> ``(n,)``, or a number.
    rehearsal : Rehearsal
    activation_bytes : int
        What a forward pass keeps of a sample.
    takes_vmap : bool
        Whether the function is known to be right under vmap.
    """

    def __init__(
        self,
        arrays: Arrays,
        model: FunctionalModel,
        function: PerSample,
        rehearsal: Rehearsal,
        *,
        activation_bytes: int,
        takes_vmap: bool,
    ) -> None:
        super().__init__(arrays)
        self.model, self._function, self._takes_vmap = model, function, takes_vmap
        self._activation_bytes = activation_bytes
        along = slopes.forward_mode, slopes.double_reverse, slopes.by_rows
        self._along = FirstThatWorks(
            *along, rehearsal=lambda: rehearsal.along(partial(self.tied, model.buffers))
        )
        self._rows = FirstThatWorks(
            vmapped_rows,
            blocked_rows,
            jacobian_rows,
            cost=COST_OF_ROWS,
            rehearsal=lambda: rehearsal.rows_with_buffers(self._tied_with_buffers),
        )
        self._layers = FirstThatWorks(
            Layerwise(model, rehearsal.example, self._rows),
            partial(self._plain, self._rows),
            reference=partial(self._plain, jacobian_rows),
            rehearsal=lambda: rehearsal.rows(self._of_batch(model.buffers))[:3],
            seen=partial(rows_of, arrays),
        )
        self._gauss_newton = FirstThatWorks(
            partial(self._gauss_newton_by, gauss_newton_dual),
            partial(self._gauss_newton_by, gauss_newton_products),
            rehearsal=rehearsal.product,
        )
        self._outputs = FirstThatWorks(
            *(partial(vmapped_outputs, fold, model) for fold in ways_to_fold(model)),
            partial(outputs_one_by_one, model),
            rehearsal=rehearsal.outputs_together,
            reference=lambda *args: torch.stack(list(outputs_one_by_one(model, *args))),
        )

    @under_own_settings
    @torch.no_grad()
    def values(self, parameters: Tensor, buffers: Tensor, batch: Batch) -> Tensor:
        """Objective of every sample, of one model or K."""
        if parameters.ndim == 1:
            return self.tied(buffers, self.model.layout.named(parameters), batch)
        size = max(1, _TOGETHER_BYTES // max(1, self._activation_bytes * len(batch)))
        members = [slice(start, start + size) for start in range(0, len(parameters), size)]
        return torch.cat([self._values_of_each(parameters[m], buffers[m], batch) for m in members])

    @under_own_settings
    def gradient(self, parameters: Tensor, buffers: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Gradient of the summed objective."""
        leaves, free_buffers = self.model.leaves(parameters), buffers.detach().requires_grad_()
        value = self.tied(free_buffers, leaves, batch).sum()
        check_differentiable(value)
        *gradients, buffers_bar = torch.autograd.grad(
            value, [*leaves.values(), free_buffers], materialize_grads=True
        )
        return self.model.layout.join(gradients, parameters), buffers_bar

    @under_own_settings
    def rows(self, parameters: Tensor, buffers: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Gradient of every sample's objective."""
        if not self.model.buffer_layout.size and self._has_layers:
            blocks = self.layer_gradients(parameters, buffers, batch)
            return rows_of(self.arrays, blocks), parameters.new_zeros(len(batch), 0)
        arguments = self.model.leaves(parameters) | {"": buffers.detach().requires_grad_()}
        find = jacobian_rows if self.model.is_stochastic_in_evaluation else self._rows
        *gradients, buffers_bar = find(self._tied_with_buffers, arguments, batch, slice(None))
        return self.model.layout.join_rows(gradients), buffers_bar

    @under_own_settings
    def slopes(self, parameters: Tensor, buffers: Tensor, batch: Batch, vectors: Tensor) -> Tensor:
        """Slopes of every sample's objective along one vector or K."""
        if vectors.ndim == 1:
            return self._slope(parameters, buffers, batch, vectors)
        if self._has_layers and len(vectors) > 1:
            found: Tensor = slopes_along(self.arrays, self.layer_gradients(parameters, buffers, batch), vectors)
            return found
        if len(vectors) <= _FEW_VECTORS:
            each = [self._slope(parameters, buffers, batch, vector) for vector in vectors]
            return torch.stack(each) if each else vectors.new_zeros(0, len(batch))
        parts = [
            vectors @ self.rows(parameters, buffers, batch.rows(part))[0].T for part in self._parts(len(batch))
        ]
        return torch.cat(parts, dim=1)

    @under_own_settings
    def hessian_products(
        self, parameters: Tensor, buffers: Tensor, batch: Batch, weights: Tensor, vectors: Tensor
    ) -> Tensor:
        """Hessian products, by reverse over reverse."""
        layout, leaves = self.model.layout, self.model.leaves(parameters)
        fast = FastConvolutions() if vectors.ndim == 1 else nullcontext()  # they can't be batched
        with fast, named_layer_error(self.model, batch):
            found = hessian_products(
                lambda named: self.tied(buffers, named, batch), leaves, weights, layout.split(vectors)
            )
        return layout.join(found, vectors)

    @under_own_settings
    def gauss_newton_products(
        self, parameters: Tensor, buffers: Tensor, batch: Batch, weights: Tensor, vectors: Tensor
    ) -> Tensor:
        """Gauss-Newton products."""
        arguments = self.model.leaves(parameters), buffers, batch, weights, vectors
        if vectors.ndim == 2:
            return self._gauss_newton_by(gauss_newton_products, *arguments)
        found: Tensor = self._gauss_newton(*arguments)
        return found

    @under_own_settings
    def layer_gradients(
        self, parameters: Tensor, buffers: Tensor, batch: Batch, cotangents: Tensor | None = None
    ) -> Sequence[LayerGradients]:
        """Gradients of the samples' objectives, or of their outputs' products with cotangents, by layer."""
        values_of = self._of_batch(buffers)
        if cotangents is not None:
            values_of, batch = self._along_outputs(buffers), Batch(batch.inputs, cotangents)
        slow = jacobian_rows if self.model.is_stochastic_in_evaluation else self._rows
        find = self._layers if self._has_layers else partial(self._plain, slow)
        found: Sequence[LayerGradients] = find(values_of, self.model.leaves(parameters), batch)
        return found

    @property
    def _has_layers(self) -> bool:
        return not self.model.is_stochastic_in_evaluation and self._layers.is_fast()

    def _of_batch(self, buffers: Tensor) -> Callable[[Named, Batch], Tensor]:
        return lambda leaves, batch: self.tied(buffers, leaves, batch)

    def _along_outputs(self, buffers: Tensor) -> Callable[[Named, Batch], Tensor]:
        """Return a function of a batch whose targets are cotangents of the outputs."""

        def products(leaves: Named, batch: Batch) -> Tensor:
            outputs = check_tensor(self.model.eval_outputs(leaves, buffers, batch), "the Fisher matrix")
            along: Tensor = (outputs * batch.targets).flatten(1).sum(1)
            return along

        return products

    def _plain(
        self,
        find: Callable[..., Sequence[Tensor]],
        values_of: Callable[[Named, Batch], Tensor],
        leaves: Named,
        batch: Batch,
    ) -> Sequence[LayerGradients]:
        return plain_gradients(self.model.layout.join_rows(find(values_of, leaves, batch, slice(None))))

    def tied(self, buffers: Tensor, leaves: Named, batch: Batch) -> Tensor:
        """Return the values, tied to leaves and buffers."""
        outputs = self.model.eval_outputs(leaves, buffers, batch)
        return self._function(outputs, batch.targets)

    def _tied_with_buffers(self, arguments: Named, batch: Batch) -> Tensor:
        """Return the values as a function of parameters by name, the buffers among them, and a batch."""
        named = dict(arguments)
        return self.tied(named.pop(""), named, batch)

    def _slope(self, parameters: Tensor, buffers: Tensor, batch: Batch, vector: Tensor) -> Tensor:
        named = self.model.layout.named
        found: Tensor = self._along(
            lambda leaves: self.tied(buffers, leaves, batch), named(parameters), named(vector)
        )
        return found

    def _parts(self, n: int) -> list[slice]:
        """Split a batch so that its rows stay within a memory budget."""
        size = max(1, self.row_bytes // (8 * self.model.layout.size))
        if self.model.is_stochastic_in_evaluation:
            size = n  # the draws of a part of a batch are others
        return [slice(start, start + size) for start in range(0, n, size)]

    def _gauss_newton_by(
        self, way: object, leaves: Named, buffers: Tensor, batch: Batch, weights: Tensor, vectors: Tensor
    ) -> Tensor:
        def outputs_of(named: Named) -> Tensor:
            return check_tensor(self.model.eval_outputs(named, buffers, batch), "the Gauss-Newton matrix")

        def values_of(outputs: Tensor) -> Tensor:
            return self._function(outputs, batch.targets)

        layout = self.model.layout
        found = way(outputs_of, values_of, leaves, weights, layout.split(vectors))  # type: ignore[operator]
        return layout.join(found, vectors)

    def _values_of_each(self, parameters: Tensor, buffers: Tensor, batch: Batch) -> Tensor:
        """Objective values of several models ``(K, n)``."""
        outputs = self._outputs(self.model.layout.named(parameters), buffers, batch)
        if self._takes_vmap and isinstance(outputs, Tensor):
            return values_together(self.model, self._function, outputs, batch.targets)
        return torch.stack([self._function(own, batch.targets) for own in outputs])

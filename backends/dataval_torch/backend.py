"""The loss of a torch module and its derivatives."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial, wraps
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dataval.backend.contract import Backend, Batches, Linearization, Objective, Signature
from dataval.backend.losses import Loss, NamedLoss, resolve_loss
from dataval.data import Data
from dataval.training.optimizers import Optimizer, Slots
from dataval_torch.batches import Batch, TorchBatches
from dataval_torch.derivatives import slopes
from dataval_torch.derivatives.convolutions import FastConvolutions
from dataval_torch.derivatives.curvature import gauss_newton_dual, gauss_newton_products, hessian_products
from dataval_torch.derivatives.gradients import Named, batched_vjp, jacobian_rows, unused, vmapped_rows
from dataval_torch.derivatives.rehearsal import Rehearsal
from dataval_torch.derivatives.second_order import check_twice_differentiable, named_layer_error
from dataval_torch.fallback import FirstThatWorks
from dataval_torch.losses import (
    check_differentiable,
    check_losses,
    check_named_targets,
    check_repeatable,
    per_sample_loss,
    target_dtype,
)
from dataval_torch.model.functional import (
    FunctionalModel,
    choose_device,
    own_module,
    run_example,
    warn_unused,
)
from dataval_torch.model.layers import differentiable_kernels
from dataval_torch.model.parameters import Filter
from dataval_torch.together.activations import counted_activations
from dataval_torch.together.ensembles import TorchEnsemble
from dataval_torch.together.fused_updates import FusedUpdates
from dataval_torch.together.vmapped import (
    gradients_one_by_one,
    losses_together,
    outputs_one_by_one,
    vmapped_gradients,
    vmapped_outputs,
)

__all__ = ["TorchBackend"]

FEW_VECTORS = 3  # fewer directional derivatives than this cost less than per-sample gradients
_ROW_BYTES = 2**28
_TOGETHER_BYTES = 2**26

P = ParamSpec("P")
R = TypeVar("R")


def _with_kernels(
    method: Callable[Concatenate[TorchBackend, P], R],
) -> Callable[Concatenate[TorchBackend, P], R]:
    """Run a method under `differentiable_kernels`."""

    @wraps(method)
    def wrapped(self: TorchBackend, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with differentiable_kernels(self.model.device):
            return method(self, *args, **kwargs)

    return wrapped


class TorchBackend(Backend):
    """See `dataval.backend.contract.Backend`, which documents every method.

    Parameters
    ----------
    model : torch.nn.Module or callable
    loss : str, NamedLoss or callable
    device, params, seed, example
        As in `Backend.create`.
    """

    name: ClassVar[str] = "torch"

    def __init__(
        self, model: Any, loss: Loss, *, device: str, params: Filter, seed: int, example: Data
    ) -> None:
        self.template = own_module(model, seed)
        self.params = params
        self.model = FunctionalModel(copy.deepcopy(self.template), params, choose_device(device, self.template))
        self.loss = loss
        self._loss = per_sample_loss(loss)
        rehearsal = Rehearsal(self, self._explore(example))
        along = slopes.forward_mode, slopes.double_reverse, slopes.by_rows
        self._slopes = FirstThatWorks(*along, rehearsal=rehearsal.slopes)
        self._rows = FirstThatWorks(vmapped_rows, jacobian_rows, rehearsal=rehearsal.rows)
        self._eval_rows = FirstThatWorks(vmapped_rows, jacobian_rows, rehearsal=rehearsal.evaluation_rows)
        self._objective_slopes = FirstThatWorks(*along, rehearsal=rehearsal.objective_slopes)
        self._gauss_newton = FirstThatWorks(
            partial(gauss_newton_dual, self),
            partial(gauss_newton_products, self),
            rehearsal=rehearsal.gauss_newton,
        )
        together = not self.model.has_slow_convolutions
        self.side_by_side = FirstThatWorks(
            *[partial(vmapped_gradients, self)] * together,
            partial(gradients_one_by_one, self),
            rehearsal=rehearsal.ensemble,
        )
        self._outputs = FirstThatWorks(
            *[partial(vmapped_outputs, self)] * together,
            partial(outputs_one_by_one, self),
            rehearsal=rehearsal.outputs,
        )

    @classmethod
    def handles(cls, model: Any) -> bool:
        """Whether `model` is a torch module."""
        return isinstance(model, nn.Module)

    @classmethod
    def create(
        cls, model: Any, loss: Loss, *, device: str, params: Filter, seed: int, example: Data
    ) -> TorchBackend:
        """Build a backend and check it on a few samples."""
        backend = cls(model, loss, device=device, params=params, seed=seed, example=example)
        warn_unused(backend.unused)
        return backend

    @property
    def signature(self) -> Signature:
        """Names and shapes of the parameters and buffers."""
        layout, buffers = self.model.layout, self.model.buffer_layout
        return Signature(
            tuple(zip(layout.names, layout.shapes, strict=True)),
            tuple(zip(buffers.names, buffers.shapes, strict=True)),
            str(self.model.dtype).removeprefix("torch."),
        )

    @property
    def environment(self) -> dict[str, str]:
        """Version, device and thread count."""
        device = self.model.device
        return {
            "torch": torch.__version__,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
            "threads": str(torch.get_num_threads()),
        }

    def initial(self) -> tuple[Tensor, Tensor]:
        """Return the module's own parameters and buffers."""
        return self.model.parameters.clone(), self.model.buffers.clone()

    def export(self, parameters: Tensor, buffers: Tensor) -> nn.Module:
        """Return a copy of the caller's module with these values."""
        return self.model.export(parameters, buffers, copy.deepcopy(self.template))

    # ---- data and arrays -------------------------------------------------------------------------

    def batches(self, data: Data) -> TorchBatches:
        """Return data from which batches are taken."""
        dtype = self.model.dtype
        return TorchBatches(data, self.model.device, dtype, target_dtype(self.loss, data.targets, dtype))

    def check_targets(self, data: Data) -> None:
        """Raise if targets don't fit a named loss."""
        batch = self.batches(data).take(np.arange(min(len(data), 2)))
        outputs = self.predict(*self.initial(), batch)
        check_named_targets(self.loss, outputs, data.targets)

    def from_numpy(self, array: NDArray[Any]) -> Tensor:
        """Return a tensor of the parameters' dtype on the device."""
        return torch.tensor(np.asarray(array, order="C"), dtype=self.model.dtype, device=self.model.device)

    @staticmethod
    def to_numpy(array: Tensor) -> NDArray[Any]:
        """Return a NumPy array."""
        return array.detach().cpu().numpy()

    def inner(self, left: Tensor, right: Tensor, /) -> Tensor:
        """Inner product along the last axis, kept."""
        return (left * right).sum(-1, keepdim=True)

    def minimum(self, array: Tensor, bound: float, /) -> Tensor:
        """Elementwise minimum with a number."""
        return array.clamp(max=bound)

    def outer_slopes(self, vectors: Tensor, rows: Tensor) -> Tensor:
        """All inner products of vectors and rows."""
        return vectors @ rows.T

    # ---- the training loss -----------------------------------------------------------------------

    @_with_kernels
    @torch.no_grad()
    def losses(self, parameters: Tensor, buffers: Tensor, batch: Batch, seed: int) -> Tensor:
        """Per-sample losses in training mode."""
        return self.train_losses(self.model.layout.named(parameters), buffers, batch, seed)[0]

    @_with_kernels
    def gradient(
        self, parameters: Tensor, buffers: Tensor, batch: Batch, weights: Tensor, seed: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Losses, gradient of the weighted loss, new buffers."""
        leaves = self.model.leaves(parameters)
        losses, after, *gradients = self.leaf_gradients(leaves, buffers, batch, weights, seed)
        return losses, self.model.layout.join(gradients, parameters), after

    def ensemble_gradient(
        self, parameters: Tensor, buffers: Tensor, batch: Batch, weights: Tensor, seed: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`gradient` over a leading axis."""
        leaves = self.model.leaves(parameters)
        losses, after, *gradients = self.ensemble_gradients(leaves, buffers, batch, weights, seed)
        return losses, self.model.layout.join(gradients, parameters), after

    def ensemble(
        self,
        parameters: Tensor,
        slots: Slots,
        buffers: Tensor,
        optimizer: Optimizer,
        batches: Batches,
        capacity: int,
    ) -> TorchEnsemble | None:
        """Return an ensemble that PyTorch's fused optimizer updates, where there is one."""
        if not FusedUpdates.can_do(optimizer, self.model.device):
            return None
        own = cast("TorchBatches", batches)
        return TorchEnsemble(self, parameters, slots, buffers, optimizer, own, capacity)

    @property
    def activation_bytes(self) -> int:
        """What autograd kept of a sample when the model was first run."""
        return self._activation_bytes

    @_with_kernels
    def loss_jvp(self, parameters: Tensor, buffers: Tensor, batch: Batch, vector: Tensor, seed: int) -> Tensor:
        """Per-sample slopes along a vector."""
        layout = self.model.layout
        found: Tensor = self._slopes(
            lambda leaves: self.train_losses(leaves, buffers, batch, seed)[0],
            layout.named(parameters),
            layout.named(vector),
        )
        return found

    def gradient_vjp(
        self, parameters: Tensor, buffers: Tensor, batch: Batch, weights: Tensor, seed: int
    ) -> Linearization:
        """Gradient and pullback, by reverse over reverse."""
        layout, device = self.model.layout, self.model.device
        leaves = self.model.leaves(parameters)
        arguments = [
            *leaves.values(),
            weights.detach().requires_grad_(),
            buffers.detach().requires_grad_(),
        ]
        with differentiable_kernels(device), FastConvolutions():
            losses, after = self.train_losses(leaves, arguments[-1], batch, seed)
        with differentiable_kernels(device), FastConvolutions(), named_layer_error(self.model, batch):
            gradients = torch.autograd.grad(
                losses, arguments[:-2], arguments[-2], create_graph=True, materialize_grads=True
            )

        def pullback(vectors: Tensor, buffer_vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            self.model.put(leaves)
            with differentiable_kernels(device), FastConvolutions(), named_layer_error(self.model, batch):
                *through, slopes_, buffers_bar = batched_vjp(
                    [*gradients, after], arguments, [*layout.split(vectors), buffer_vectors]
                )
            return layout.join(through, vectors), slopes_, buffers_bar

        return Linearization(layout.join([g.detach() for g in gradients], parameters), pullback)

    def check_second_order(self, batch: Batch) -> None:
        """Raise, naming the layer, if the pullback will not be exact."""
        check_twice_differentiable(self, batch)

    @_with_kernels
    def per_sample_gradients(
        self,
        parameters: Tensor,
        buffers: Tensor,
        batch: Batch,
        seed: int,
        rows: slice | None = None,
    ) -> Tensor:
        """Gradients of the losses of some rows."""
        together = self.model.has_batch_statistics or self.model.is_stochastic
        find = jacobian_rows if together else self._rows
        gradients = find(
            lambda leaves, part: self.train_losses(leaves, buffers, part, seed)[0],
            self.model.leaves(parameters),
            batch,
            rows or slice(None),
        )
        return self._join_rows(gradients)

    # ---- evaluation mode -------------------------------------------------------------------------

    @_with_kernels
    @torch.no_grad()
    def predict(self, parameters: Tensor, buffers: Tensor, batch: Batch) -> Any:
        """Return the outputs in evaluation mode."""
        return self.model.eval_outputs(self.model.layout.named(parameters), buffers, batch)

    @_with_kernels
    @torch.no_grad()
    def objective(self, parameters: Tensor, buffers: Tensor, batch: Batch, objective: Objective) -> Tensor:
        """Objective of every sample in evaluation mode."""
        if parameters.ndim == 1:
            return self.eval_values(self.model.layout.named(parameters), buffers, batch, objective)
        size = max(1, _TOGETHER_BYTES // max(1, self._activation_bytes * len(batch)))
        members = [slice(start, start + size) for start in range(0, len(parameters), size)]
        return torch.cat([self._values_of_each(parameters[m], buffers[m], batch, objective) for m in members])

    @_with_kernels
    def objective_gradient(
        self, parameters: Tensor, buffers: Tensor, batch: Batch, objective: Objective
    ) -> tuple[Tensor, Tensor]:
        """Gradient of the summed objective."""
        leaves = self.model.leaves(parameters)
        free_buffers = buffers.detach().requires_grad_()
        value = self.eval_values(leaves, free_buffers, batch, objective).sum()
        check_differentiable(value)
        *gradients, buffers_bar = torch.autograd.grad(
            value, [*leaves.values(), free_buffers], materialize_grads=True
        )
        return self.model.layout.join(gradients, parameters), buffers_bar

    @_with_kernels
    def objective_gradients(
        self, parameters: Tensor, buffers: Tensor, batch: Batch, objective: Objective
    ) -> tuple[Tensor, Tensor]:
        """Gradient of every sample's objective."""
        arguments = self.model.leaves(parameters) | {"": buffers.detach().requires_grad_()}
        find = jacobian_rows if self.model.is_stochastic_in_evaluation else self._eval_rows
        *gradients, buffers_bar = find(self.values_of(objective), arguments, batch, slice(None))
        return self._join_rows(gradients), buffers_bar

    @_with_kernels
    def objective_jvp(
        self, parameters: Tensor, buffers: Tensor, batch: Batch, vectors: Tensor, objective: Objective
    ) -> Tensor:
        """Slopes of every sample's objective along vectors."""
        if vectors.ndim == 2 and len(vectors) > FEW_VECTORS:
            return self._outer_objective_slopes(parameters, buffers, batch, vectors, objective)
        if vectors.ndim == 2:
            each = [self.objective_jvp(parameters, buffers, batch, v, objective) for v in vectors]
            return torch.stack(each) if each else vectors.new_zeros(0, len(batch))
        layout = self.model.layout
        along = self._objective_slopes if objective is None else slopes.double_reverse
        found: Tensor = along(
            lambda leaves: self.eval_values(leaves, buffers, batch, objective),
            layout.named(parameters),
            layout.named(vectors),
        )
        return found

    def hessian_vector_product(
        self, parameters: Tensor, buffers: Tensor, batch: Batch, weights: Tensor, vectors: Tensor
    ) -> Tensor:
        """Hessian products in evaluation mode, by reverse over reverse."""
        fast = FastConvolutions() if vectors.ndim == 1 else nullcontext()  # they can't be batched
        with differentiable_kernels(self.model.device), fast, named_layer_error(self.model, batch):
            return hessian_products(self, parameters, buffers, batch, weights, vectors)

    @_with_kernels
    def gauss_newton_vector_product(
        self, parameters: Tensor, buffers: Tensor, batch: Batch, weights: Tensor, vectors: Tensor
    ) -> Tensor:
        """Gauss-Newton products in evaluation mode."""
        if vectors.ndim == 2:
            return gauss_newton_products(self, parameters, buffers, batch, weights, vectors)
        found: Tensor = self._gauss_newton(parameters, buffers, batch, weights, vectors)
        return found

    # ---- pieces that the derivative modules share --------------------------------------------------

    def train_losses(
        self, leaves: dict[str, Tensor], buffers: Tensor, batch: Batch, seed: int
    ) -> tuple[Tensor, Tensor]:
        """Losses and new buffers, tied to `leaves` and `buffers`."""
        outputs, after = self.model.train_outputs(leaves, buffers, batch, seed)
        return self._loss(outputs, batch.targets), after

    def leaf_gradients(
        self, leaves: Named, buffers: Tensor, batch: Batch, weights: Tensor, seed: int
    ) -> tuple[Tensor, ...]:
        """Losses, new buffers, and the weighted loss's gradient in each of the leaves."""
        losses, after = self.train_losses(leaves, buffers, batch, seed)
        gradients = torch.autograd.grad(losses, list(leaves.values()), weights, materialize_grads=True)
        return losses.detach(), after.detach(), *gradients

    @_with_kernels
    def ensemble_gradients(
        self, leaves: Named, buffers: Tensor, batch: Batch, weights: Tensor, seed: int
    ) -> tuple[Tensor, ...]:
        """`leaf_gradients` over a leading axis."""
        found: tuple[Tensor, ...] = self.side_by_side(leaves, buffers, batch, weights, seed)
        return found

    def eval_values(
        self, leaves: dict[str, Tensor], buffers: Tensor, batch: Batch, objective: Objective
    ) -> Tensor:
        """Objective values in evaluation mode, tied to `leaves` and `buffers`."""
        outputs = self.model.eval_outputs(leaves, buffers, batch)
        values = (objective or self._loss)(outputs, batch.targets)
        return cast("Tensor", values)

    def output_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Losses of given outputs."""
        return self._loss(outputs, targets)

    def _values_of_each(
        self, parameters: Tensor, buffers: Tensor, batch: Batch, objective: Objective
    ) -> Tensor:
        """Objective values of several models ``(K, n)``."""
        outputs = self._outputs(self.model.layout.named(parameters), buffers, batch)
        if objective is None and isinstance(outputs, Tensor) and isinstance(resolve_loss(self.loss), NamedLoss):
            return losses_together(self._loss, outputs, batch.targets)
        values_of = objective or self._loss
        return torch.stack([values_of(own, batch.targets) for own in outputs])

    def values_of(self, objective: Objective) -> Callable[[dict[str, Tensor], Batch], Tensor]:
        """Return the objective as a function of parameters by name, the buffers among them, and a batch."""

        def values(arguments: dict[str, Tensor], part: Batch) -> Tensor:
            named = dict(arguments)
            return self.eval_values(named, named.pop(""), part, objective)

        return values

    def _outer_objective_slopes(
        self, parameters: Tensor, buffers: Tensor, batch: Batch, vectors: Tensor, objective: Objective
    ) -> Tensor:
        """Slopes along many vectors, from per-sample gradients of some samples at a time."""
        n_rows = max(1, _ROW_BYTES // (8 * self.model.layout.size))
        if self.model.is_stochastic_in_evaluation:
            n_rows = len(batch)  # the draws of a part of a batch are others
        blocks = [
            vectors @ self.objective_gradients(parameters, buffers, batch.rows(rows), objective)[0].T
            for rows in (slice(start, start + n_rows) for start in range(0, len(batch), n_rows))
        ]
        return torch.cat(blocks, dim=1)

    def _join_rows(self, gradients: list[Tensor]) -> Tensor:
        return self.model.layout.join(gradients, gradients[0].new_empty(len(gradients[0]), 0))

    @_with_kernels
    def _explore(self, example: Data) -> Batch:
        """Run the model on a few samples, check what it returns, and return them."""
        batch = self.batches(example).take(np.arange(len(example)))
        outputs = run_example(self.model, batch)
        check_named_targets(self.loss, outputs, example.targets)
        leaves = self.model.leaves(self.model.parameters)
        with counted_activations(list(leaves.values())) as kept:
            losses, _ = self.train_losses(leaves, self.model.buffers, batch, 0)
        self._activation_bytes = kept.total // len(batch)
        check_losses(losses, len(batch))
        self.unused = unused(losses, leaves)
        check_repeatable(losses.detach(), self.losses(*self.initial(), batch, 0))
        return batch

r"""A first linear layer in its dual form, which takes less where there are fewer samples than inputs.

Every gradient of a linear layer is a sum over samples of :math:`\delta_j x_j^\top`, the error at its output
times its input. Where the inputs :math:`x_j` do not depend on the parameters, plain gradient descent (with or
without momentum and weight decay) therefore never leaves

.. math:: W_t = \alpha_t W_0 + \sum_j a_{j,t}\, x_j^\top,

and what the layer needs and gets can be said in the coefficients alone (the dual form; Irie et al., 2022):

.. math:: W_t x_i = \alpha_t W_0 x_i + \sum_j a_{j,t} \langle x_j, x_i\rangle,
          \qquad \text{gradient in } a_j = \delta_j .

The update of the coefficients is the optimizer's own, as it is linear. N of them for each output stand for d
weights, one product for two, and most of a gradient is zero. The mean input :math:`m` has a coefficient of its
own, or what inputs have in common would drown in rounding what they differ in:

.. math:: \sum_j \delta_j x_j^\top = \sum_j \delta_j (x_j - m)^\top + \Big(\sum_j \delta_j\Big) m^\top .
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - everybody calls it that
from torch.overrides import TorchFunctionMode

from dataval.training.optimizers import SGD, Optimizer
from dataval_torch.batches import Batch, TorchBatches
from dataval_torch.derivatives.gradients import Named
from dataval_torch.fallback import UNSUPPORTED, agree
from dataval_torch.model.layers import differentiable_kernels
from dataval_torch.together.fused_updates import FusedUpdates
from dataval_torch.together.vmapped import vmapped_gradients

if TYPE_CHECKING:
    from dataval_torch.backend import TorchBackend

__all__ = ["DualLayer", "dual_gradients", "find_dual_layer"]

_CHUNK_SIZE = 500


class DualLayer:
    """The weights of one layer in all members of an ensemble, as coefficients of the samples.

    Parameters
    ----------
    name : str
        Of the weights.
    weights : Tensor, shape (out, d)
        At the start, which momentum must be zero at.
    inputs : Tensor, shape (N, d)
        What the layer is given for each sample.
    optimizer : SGD
    capacity : int
        How many members there may be.
    """

    def __init__(self, name: str, weights: Tensor, inputs: Tensor, optimizer: SGD, capacity: int) -> None:
        self.name = name
        self._start, self._inputs, self._optimizer = weights, inputs, optimizer
        mean = inputs.double().mean(dim=0, keepdim=True)
        basis = torch.cat([inputs.double() - mean, mean])
        self._products = (inputs.double() @ basis.T).to(inputs.dtype)
        self._basis = basis.to(inputs.dtype)
        self._outputs = inputs @ weights.T
        self._share, self._share_slots = 1.0, (0.0,) * optimizer.n_slots
        self._zeros = inputs.new_zeros(len(basis) * capacity * len(weights))
        shape = len(basis), 1, len(weights)
        self._hold(inputs.new_zeros(shape), [inputs.new_zeros(shape) for _ in range(optimizer.n_slots)])

    @property
    def size(self) -> int:
        """Number of members."""
        return self._coefficients.shape[1]

    def fork(self, size: int) -> None:
        """Copy the first member."""

        def grown(array: Tensor) -> Tensor:
            return torch.cat([array, array[:, :1].expand(-1, size - self.size, -1)], dim=1)

        self._hold(grown(self._coefficients), [grown(slot) for slot in self._slots])

    def outputs(self, samples: Tensor) -> Tensor:
        """Return what the layer yields for some samples, without its bias; shape (K, n, out)."""
        found: Tensor = self._products[samples] @ self._coefficients.flatten(1)
        found = found.unflatten(1, self._coefficients.shape[1:])
        return found.add_(self._outputs[samples].unsqueeze(1), alpha=self._share).transpose(0, 1).contiguous()

    def step(self, errors: Tensor, samples: Tensor, learning_rate: float, step: int) -> None:
        """Do one update with the gradients ``(K, n, out)`` of the layer's outputs."""
        self._gradient[samples], self._gradient[-1] = errors.transpose(0, 1), errors.sum(dim=1)
        self._updates.step([self._gradient], learning_rate, step)
        self._gradient[samples] = self._gradient[-1] = 0.0
        self._share, self._share_slots = self._optimizer.update(
            self._share, self._share_slots, 0.0, learning_rate, step
        )

    def gradient_of(self, errors: Tensor, samples: Tensor) -> Tensor:
        """Return the gradient of the weights ``(K, out, d)``, which nothing here needs."""
        return errors.mT @ self._inputs[samples]

    def weights(self) -> Tensor:
        """Return the weights, shape (K, out, d)."""
        return self._share * self._start + self._coefficients.permute(1, 2, 0) @ self._basis

    def _hold(self, coefficients: Tensor, slots: list[Tensor]) -> None:
        self._coefficients, self._slots = coefficients, slots
        self._gradient = self._zeros[: coefficients.numel()].view_as(coefficients)
        self._updates = FusedUpdates(self._optimizer, [coefficients], [slots])


def dual_gradients(
    backend: TorchBackend,
    name: str,
    known: Tensor,
    leaves: Named,
    buffers: Tensor,
    batch: Batch,
    weights: Tensor,
    seed: int,
) -> tuple[Tensor, ...]:
    """Return the gradients of the known outputs ``(K, n, out)`` of the layer named, and of the leaves."""
    known = known.detach().requires_grad_()
    with differentiable_kernels(backend.model.device):
        found = vmapped_gradients(backend, {name: known, **leaves}, buffers, batch, weights, seed, known)
    return found[2:]


def find_dual_layer(
    backend: TorchBackend,
    parameters: Tensor,
    slots: tuple[Tensor, ...],
    batches: TorchBatches,
    optimizer: Optimizer,
    capacity: int,
) -> DualLayer | None:
    """Return the layer of a model that may be put in its dual form, and gains by it; None if there is none.

    It has to be a linear layer on what only depends on the sample: the first of a model without random draws
    or statistics of batches in training. Its gradients must be those that autograd finds.
    """
    model = backend.model
    if type(optimizer) is not SGD or model.is_stochastic or model.buffer_layout.size:
        return None
    if any(bool(slot.any()) for slot in slots) or not backend.side_by_side.is_fast():
        return None
    named = model.layout.named(parameters)
    try:
        with differentiable_kernels(model.device):
            layer = _find(backend, named, batches, optimizer, capacity)
        return layer if layer is not None and _is_right(backend, layer, parameters, batches) else None
    except torch.OutOfMemoryError:
        raise
    except UNSUPPORTED:
        return None


def _find(
    backend: TorchBackend, named: Named, batches: TorchBatches, optimizer: SGD, capacity: int
) -> DualLayer | None:
    first = _first_linear(backend, named, batches.take(np.arange(1)))
    if first is None or len(batches) > named[first].shape[1]:
        return None
    chunks = np.split(np.arange(len(batches)), range(_CHUNK_SIZE, len(batches), _CHUNK_SIZE))
    inputs = torch.cat([_inputs_of(backend, named, first, batches.take(chunk)) for chunk in chunks])
    return DualLayer(first, named[first].clone(), inputs, optimizer, capacity)


def _is_right(backend: TorchBackend, layer: DualLayer, parameters: Tensor, batches: TorchBatches) -> bool:
    """Whether a layer's dual form gives the gradients that autograd gives, for some samples."""
    model, few = backend.model, np.arange(min(len(batches), 4))
    batch, rows = batches.take(few), torch.from_numpy(few).to(parameters.device)
    weights = parameters.new_ones(1, len(few))
    leaves = model.leaves(parameters[None])
    expected = backend.ensemble_gradients(leaves, model.buffers[None], batch, weights, 0)[2:]
    others = {name: leaf for name, leaf in leaves.items() if name != layer.name}
    errors, *gradients = dual_gradients(
        backend, layer.name, layer.outputs(rows), others, model.buffers[None], batch, weights, 0
    )
    found = {layer.name: layer.gradient_of(errors, rows)} | dict(zip(others, gradients, strict=True))
    return agree([found[name] for name in leaves], expected)


class _LinearCalls(TorchFunctionMode):
    """Notes the inputs and weights of linear layers."""

    def __init__(self) -> None:
        self.calls: list[tuple[Tensor, Tensor]] = []

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if func is F.linear and len(args) >= 2:
            self.calls.append((args[0], args[1]))
        return func(*args, **kwargs or {})


def _linear_calls(backend: TorchBackend, named: Named, batch: Batch) -> list[tuple[Tensor, Tensor]]:
    noted = _LinearCalls()
    with noted:
        backend.model.train_outputs(named, backend.model.buffers, batch, 0)
    return noted.calls


def _first_linear(backend: TorchBackend, named: Named, batch: Batch) -> str | None:
    """Name the weights of the only linear layer whose input is a row that no parameter enters."""
    leaves = {name: leaf.detach().requires_grad_() for name, leaf in named.items()}
    names = {id(leaf): name for name, leaf in leaves.items()}
    calls = _linear_calls(backend, leaves, batch)
    used = [id(weight) for _, weight in calls]
    found = [
        names[id(weight)]
        for x, weight in calls
        if id(weight) in names and used.count(id(weight)) == 1 and x.ndim == 2 and not x.requires_grad
    ]
    return found[0] if len(found) == 1 else None


@torch.no_grad()
def _inputs_of(backend: TorchBackend, named: Named, name: str, batch: Batch) -> Tensor:
    (found,) = [x for x, weight in _linear_calls(backend, named, batch) if weight is named[name]]
    return found.clone()

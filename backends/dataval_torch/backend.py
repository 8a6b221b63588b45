"""A torch module with its loss."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dataval.backend import Arrays, Backend, ObjectiveFunction, Signature
from dataval.backend.frameworks_losses import in_our_order
from dataval.backend.loss_trial import check_closed
from dataval.backend.losses import Loss, NamedLoss, TokenCrossEntropy, resolve_loss
from dataval.backend.outputs import natural_output
from dataval.backend.probabilities import warn_probabilities
from dataval.backend.recent import Recent
from dataval.backend.selection import Filter
from dataval.backend.targets import check_all_targets, check_named_targets
from dataval.backend.trial import (
    check_export,
    check_losses,
    check_repeatable,
    run_example,
    warn_ignored,
    warn_unused,
)
from dataval.data import Data, Samples
from dataval_torch.batches import Batch, TorchBatches
from dataval_torch.derivatives.evaluation import TorchObjective
from dataval_torch.derivatives.gradients import unused
from dataval_torch.derivatives.loss import TorchLoss
from dataval_torch.derivatives.rehearsal import Rehearsal
from dataval_torch.derivatives.second_order import inexact_layer
from dataval_torch.losses import check_tied, per_sample_loss, target_dtype, token_losses
from dataval_torch.model.functional import FunctionalModel, choose_device, own_module
from dataval_torch.model.kinks import kinked_layers
from dataval_torch.model.layers import own_modes, own_settings, under_own_settings
from dataval_torch.model.randomness import seeded
from dataval_torch.model.settings import ignored_settings
from dataval_torch.model.states import arrays_in, arrays_of_module
from dataval_torch.own_loss import check_own_loss, free_leaves, tensors_of
from dataval_torch.together.activations import counted_activations

__all__ = ["TorchBackend"]

_CLASS_AXIS = 1
_STATE_ADVICE = "that is no buffer. Draw them from torch's global generator, or register the state as a buffer"


class TorchArrays(Arrays):
    """See `dataval.backend.Arrays`."""

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(str(dtype).removeprefix("torch."))
        self._dtype, self._device = dtype, device

    def from_numpy(self, array: NDArray[Any]) -> Tensor:
        """Return a tensor of the parameters' dtype on the device."""
        return torch.tensor(np.asarray(array, order="C"), dtype=self._dtype, device=self._device)

    def stack(self, arrays: Sequence[Tensor]) -> Tensor:
        """Join along a new leading axis."""
        return torch.stack(list(arrays))

    def concatenate(self, arrays: Sequence[Tensor]) -> Tensor:
        """Join along the last axis."""
        return torch.cat(list(arrays), dim=-1)

    def empty(self, n: int, size: int, /) -> Tensor:
        """Return rows to be written to."""
        return torch.empty(n, size, dtype=self._dtype, device=self._device)

    def multiply(self, left: Tensor, right: Tensor, out: Tensor, /) -> None:
        """Write a product."""
        torch.mul(left, right, out=out)

    def einsum(self, equation: str, *arrays: Tensor) -> Tensor:
        """Multiply and add up over axes."""
        found: Tensor = torch.einsum(equation, *arrays)
        return found

    def take(self, array: Tensor, indices: NDArray[np.int64], axis: int, /) -> Tensor:
        """Return entries along an axis."""
        return array.index_select(axis, torch.as_tensor(indices, device=array.device))

    def sum_by(self, rows: Tensor, indices: NDArray[np.int64], n: int, /) -> Tensor:
        """Add up rows with the same index."""
        total = rows.new_zeros(n, *rows.shape[1:])
        return total.index_add_(0, torch.as_tensor(indices, device=rows.device), rows)


class TorchBackend(Backend):
    """See `dataval.backend.Backend`, which documents every method.

    Parameters
    ----------
    module : torch.nn.Module
        A module that nobody else uses, in training mode.
    loss : str, NamedLoss or callable
    device, params, example, outputs
        As in `Backend.create`.
    """

    name: ClassVar[str] = "torch"
    class_axis: ClassVar[int] = _CLASS_AXIS

    loss: TorchLoss

    def __init__(
        self,
        module: nn.Module,
        loss: Loss,
        *,
        device: str,
        params: Filter,
        example: Data,
        outputs: Callable[[Any], Any] | None = None,
    ) -> None:
        self._given = module, loss, device, params, example, outputs
        self._objectives: Recent[TorchObjective] = Recent()
        with own_modes():
            self._set_up()

    def _set_up(self) -> None:
        module, loss, device, params, example, outputs = self._given
        read = outputs or (natural_output if isinstance(resolve_loss(loss), NamedLoss) else None)
        self.model = FunctionalModel(copy.deepcopy(module), params, choose_device(device, module), read)
        self.arrays = TorchArrays(self.model.dtype, self.model.device)
        self.per_sample = per_sample_loss(loss, self.model.parameters)
        self._rehearsal = Rehearsal(self.model, self._first_run(example))
        self.loss = TorchLoss(self.arrays, self.model, self.per_sample, self._rehearsal)
        self.unused = self._explore(self._example)

    @classmethod
    def handles(cls, model: Any) -> bool:
        """Whether `model` is a torch module."""
        return isinstance(model, nn.Module)

    @classmethod
    def create(
        cls,
        model: nn.Module,
        loss: Loss,
        *,
        device: str,
        params: Filter,
        seed: int,
        example: Data,
        build: Callable[[], Any] | None = None,
        outputs: Callable[[Any], Any] | None = None,
    ) -> TorchBackend:
        """Build a backend and check it on a few samples."""
        choose_device(device, model)
        module = own_module(model, is_ours=build is not None)
        backend = cls(module, loss, device=device, params=params, example=example, outputs=outputs)
        backend.warn()
        return backend

    def warn(self) -> None:
        """Warn of what is likely to be meant otherwise."""
        warn_ignored(ignored_settings(self._given[0]))
        warn_unused(self.unused)
        warn_probabilities(self, self._given[1], self._first_outputs, self._example, _CLASS_AXIS)

    def __reduce__(self) -> tuple[Any, ...]:
        """Be built anew in another process: what was rehearsed is rehearsed there."""
        return _rebuild, (type(self), *self._given)

    @classmethod
    def settings(cls) -> AbstractContextManager[None]:
        """Have gradients on, autocast and inference mode off."""
        return own_modes()

    @classmethod
    def seeded(cls, seed: int) -> AbstractContextManager[None]:
        """Seed torch's generators."""
        return seeded(seed, torch.device("cuda" if torch.cuda.is_available() else "cpu"))

    @classmethod
    def random_state(cls) -> bytes:
        """Return the state of torch's generator on the CPU, where samples are read."""
        return torch.get_rng_state().numpy().tobytes()

    @property
    def signature(self) -> Signature:
        """Names and shapes of the parameters and buffers."""
        layout, buffers = self.model.layout, self.model.buffer_layout
        return Signature(
            tuple(zip(layout.names, layout.shapes, strict=True)),
            tuple(zip(buffers.names, buffers.shapes, strict=True)),
            self.arrays.dtype,
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

    def own_arrays(self) -> dict[str, NDArray[Any]]:
        """Return all parameters and buffers of the caller's module by name."""
        return arrays_of_module(self._given[0])

    def arrays_of(self, given: Any) -> dict[str, NDArray[Any]]:
        """Return the arrays of a module, a state_dict, or a file with one."""
        return arrays_in(given, self._given[0])

    def export(self, parameters: Tensor, buffers: Tensor) -> nn.Module:
        """Return a copy of the caller's module with these values."""
        exported = self.model.export(parameters, buffers, copy.deepcopy(self._given[0]))
        self._check_export(exported, parameters, buffers)
        return exported

    def batches(self, data: Samples) -> TorchBatches:
        """Return data from which batches are taken."""
        dtype, loss = self.model.dtype, self._given[1]
        return TorchBatches(data, self.model.device, dtype, partial(target_dtype, loss, dtype=dtype))

    def check_targets(self, data: Samples) -> None:
        """Raise if targets don't fit a named loss."""
        batch = self.batches(data).take(np.arange(min(len(data), 2)))
        outputs = self.predict(*self.initial(), batch)
        check_all_targets(self._given[1], outputs, data, _CLASS_AXIS)

    @under_own_settings
    @torch.no_grad()
    def predict(self, parameters: Tensor, buffers: Tensor, batch: Batch) -> Any:
        """Return the outputs in evaluation mode."""
        return self.model.eval_outputs(self.model.layout.named(parameters), buffers, batch)

    def objective(self, function: ObjectiveFunction | None = None) -> TorchObjective:
        """Return an objective in evaluation mode."""
        return self._objectives.get(id(function), function, lambda: self._make_objective(function))

    def token_loss(self) -> TorchLoss | None:
        """Return the loss token by token."""
        loss = resolve_loss(self._given[1])
        if not isinstance(loss, TokenCrossEntropy):
            return None
        return TorchLoss(self.arrays, self.model, partial(token_losses, loss), self._rehearsal)

    def in_double(self, batch: Batch) -> tuple[TorchBackend, Batch] | None:
        """Return a backend of the same module in float64, where module and loss take it."""
        module, loss, _, params, _, outputs = self._given
        arrays = batch.map(lambda leaf: leaf.cpu().numpy())  # type: ignore[arg-type, return-value]
        example = Data(arrays.inputs, arrays.targets)
        twin, doubled = copy.deepcopy(module).double(), batch.map(_doubled)
        try:
            place = str(self.model.device)
            double = type(self)(twin, loss, device=place, params=params, example=example, outputs=outputs)
            weights = double.model.parameters.new_ones(len(batch))
            double.loss.linearize(*double.initial(), doubled, weights, 0)
        except (RuntimeError, TypeError, ValueError):
            return None
        return double, doubled

    def blame(self, batch: Batch) -> str | None:
        """Name the layer or the buffers without an exact second derivative."""
        with own_settings(self.model.device):
            return inexact_layer(self.model, batch)

    def kinks(self) -> tuple[str, ...]:
        """Return the kinds of modules with kinks; functions that a forward pass calls are not seen."""
        return kinked_layers(self.model.module)

    @property
    def is_accelerated(self) -> bool:
        """Whether the model is not on the CPU."""
        return self.model.device.type != "cpu"

    @property
    def free_bytes(self) -> int | None:
        """What is free on the model's device."""
        if self.model.device.type != "cuda":
            return super().free_bytes
        free, _ = torch.cuda.mem_get_info(self.model.device)
        return int(free) + torch.cuda.memory_reserved(self.model.device)

    @property
    def activation_bytes(self) -> int:
        """What autograd kept of a sample when the model was first run."""
        return self._activation_bytes

    def _make_objective(self, function: ObjectiveFunction | None) -> TorchObjective:
        return TorchObjective(
            self.arrays,
            self.model,
            self.per_sample if function is None else in_our_order(function),
            self._rehearsal,
            activation_bytes=self._activation_bytes,
            takes_vmap=function is None and isinstance(resolve_loss(self._given[1]), NamedLoss),
        )

    @under_own_settings
    def _first_run(self, example: Data) -> Batch:
        """Run the model on a few samples, find out what it does, and return them."""
        self._example = batch = self.batches(example).take(np.arange(len(example)))
        outputs = run_example(lambda: self.model.explore(batch), batch.inputs, len(batch))
        self._first_outputs = outputs.detach() if isinstance(outputs, Tensor) else None
        check_named_targets(self._given[1], outputs, example.targets, _CLASS_AXIS)
        self.model.check_aliases(self._given[0], batch)
        if not isinstance(resolve_loss(self._given[1]), NamedLoss):
            check_own_loss(self.per_sample, outputs, batch.targets)
        return batch

    @under_own_settings
    @torch.no_grad()
    def _check_export(self, exported: nn.Module, parameters: Tensor, buffers: Tensor) -> None:
        expected = self.predict(parameters, buffers, self._example)
        found = self.model.outputs_of(exported, self._example)
        check_export(tensors_of(found), tensors_of(expected))

    @under_own_settings
    def _explore(self, batch: Batch) -> list[str]:
        """Check the losses of a few samples, and return the parameters that they don't depend on."""
        leaves = self.model.leaves(self.model.parameters)
        with counted_activations(list(leaves.values())) as kept:
            losses = check_tied(self.loss.tied(leaves, self.model.buffers, batch, 0)[0])
        ours = {id(leaf) for leaf in leaves.values()}
        strangers = [leaf for leaf in free_leaves(losses) if id(leaf) not in ours]
        check_closed([f"of shape {tuple(leaf.shape)}" for leaf in strangers], "model")
        self._activation_bytes = kept.total // len(batch)
        found = self.arrays.to_numpy(losses)
        check_losses(found, len(batch))
        missing = unused(losses, leaves)  # before the next pass: checkpoints recompute with what is in place
        again = self.loss.losses(*self.initial(), batch, 0)
        check_repeatable(found, self.arrays.to_numpy(again), _STATE_ADVICE)
        return missing


def _rebuild(cls: type[TorchBackend], *given: Any) -> TorchBackend:
    module, loss, device, params, example, outputs = given
    return cls(module, loss, device=device, params=params, example=example, outputs=outputs)


def _doubled(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor

"""A private copy of the caller's module, called as a function of flat parameters and buffers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dataval.backend.selection import Filter
from dataval.backend.trial import check_device_name
from dataval.errors import InvalidModelError
from dataval_torch.batches import Batch
from dataval_torch.model.aliases import check_moved, copies_that_share, moved_in_place, shared_memory
from dataval_torch.model.layers import BufferUpdates, patch_layers
from dataval_torch.model.parameters import Layout, Places, select_parameters
from dataval_torch.model.randomness import generator_states, seeded
from dataval_torch.model.settings import check_settings

__all__ = ["FunctionalModel", "choose_device", "own_module"]


class FunctionalModel:
    """A module as a pure function (parameters, buffers, batch, seed) -> outputs (, new buffers).

    Parameters
    ----------
    module : Module
        A copy that nobody else uses; it is moved to the device and its layers are patched.
    params
        Which parameters are free.
    device : torch.device
    outputs : callable, optional
        Applied to what the module returns.
    """

    def __init__(
        self,
        module: nn.Module,
        params: Filter,
        device: torch.device,
        outputs: Callable[[Any], Any] | None = None,
    ) -> None:
        self.device = device
        self.read = outputs or _as_it_is
        self.module = module.to(device)
        selected = select_parameters(self.module, params)
        self.module.requires_grad_(False)
        self.layout = Layout(dict(selected))
        self.dtype = next(iter(selected.values())).dtype
        self.parameters = self.layout.join(
            [p.detach() for p in selected.values()], torch.empty(0, device=device)
        ).clone()
        self._places = Places(self.module)
        self._own_buffers = {name: buffer.clone() for name, buffer in self.module.named_buffers()}
        self._updates: BufferUpdates = {}
        self._tracked = patch_layers(self.module, self._updates)
        self._training_layers = [layer for layer in self.module.modules() if layer.training]
        self.has_batch_statistics = any(
            isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in self._training_layers
        )
        # Convolutions that, batched over models on a processor, take longer than one model after another.
        self.has_slow_convolutions = device.type == "cpu" and any(
            isinstance(layer, nn.modules.conv._ConvNd) and not isinstance(layer, nn.Conv1d | nn.Conv2d)
            for layer in self.module.modules()
        )
        self.buffer_layout = Layout({})
        self.buffers = self.parameters.new_zeros(0)
        self.untracked_buffers: tuple[str, ...] = ()
        self.is_stochastic = self.is_stochastic_in_evaluation = False
        self._writes_inputs = False
        self._fixed_buffers: frozenset[str] = frozenset()

    def explore(self, batch: Batch) -> Any:
        """Run the model to find out which buffers it changes and whether it draws random numbers.

        Returns
        -------
        The outputs, in training mode, tied to the parameters they came from.

        Raises
        ------
        InvalidModelError
            If the forward pass changes the parameters.
        """
        leaves = self.leaves(self.parameters.clone())
        fresh = batch.map(torch.clone), batch.map(torch.clone)
        with seeded(0, self.device):
            start = generator_states(self.device)
            outputs, after = self._run(leaves, self._fresh_buffers(), fresh[0], training=True)
            middle = generator_states(self.device)
            with torch.no_grad():
                self._run(leaves, self._fresh_buffers(), fresh[1], training=False)
            end = generator_states(self.device)
        self.is_stochastic = not all(map(torch.equal, start, middle))
        self.is_stochastic_in_evaluation = not all(map(torch.equal, middle, end))
        self._writes_inputs = any(copied.is_written() for copied in fresh)
        _check_untouched(leaves)
        self._find_buffers(after)
        self._fixed_buffers = self._find_fixed(batch)
        self.untracked_buffers = self._find_untracked(after, batch)
        return outputs

    def check_aliases(self, original: nn.Module, batch: Batch) -> None:
        """Raise if parameters of the module that this one is a copy of share memory, and the outputs show it.

        Parameters
        ----------
        original : Module
            Nobody else's, with what it shares. It is as before afterwards.
        batch : Batch
            A few samples.
        """
        if not (groups := shared_memory(original)):
            return
        noise = torch.randn(self.layout.size, generator=torch.Generator().manual_seed(0))
        moved = self.layout.named(self.parameters * 1.01 + 0.01 * noise.to(self.parameters))
        where = next(original.parameters()).device
        with torch.no_grad(), seeded(0, self.device), moved_in_place(original, moved):
            in_place = self.read(batch.map(lambda leaf: leaf.clone().to(where)).call(original))
        with torch.no_grad(), seeded(0, self.device):
            substituted = self._run(moved, self._fresh_buffers(), batch, training=True)[0]
        check_moved(in_place, substituted, groups)

    def leaves(self, flat: Tensor) -> dict[str, Tensor]:
        """Return the parameters by name, each a new leaf that gradients can be asked for."""
        return {name: piece.detach().requires_grad_() for name, piece in self.layout.named(flat).items()}

    def put(self, parameters: dict[str, Tensor]) -> None:
        """Give the module parameters, for what a backward pass that is still to come will recompute."""
        self._places.put(parameters)

    def train_outputs(
        self, parameters: dict[str, Tensor], buffers: Tensor, batch: Batch, seed: int
    ) -> tuple[Any, Tensor]:
        """Return outputs and new buffers of a training-mode forward pass."""
        mutable = self._mutable(buffers)
        if not self.is_stochastic:
            outputs, after = self._run(parameters, mutable, batch, training=True)
        else:
            with seeded(seed, self.device):
                outputs, after = self._run(parameters, mutable, batch, training=True)
        return outputs, self.buffer_layout.join(list(after.values()), buffers).to(self.dtype)

    def eval_outputs(self, parameters: dict[str, Tensor], buffers: Tensor, batch: Batch) -> Any:
        """Return the outputs of an evaluation-mode forward pass."""
        mutable = self._mutable(buffers)
        if not self.is_stochastic_in_evaluation:
            return self._run(parameters, mutable, batch, training=False)[0]
        with seeded(0, self.device):
            return self._run(parameters, mutable, batch, training=False)[0]

    def outputs_of(self, module: nn.Module, batch: Batch) -> Any:
        """Return the outputs of a module like this, a copy of which is called on the model's device."""
        alone = copy.deepcopy(module).to(self.device)
        with seeded(0, self.device):
            return self.read(batch.map(torch.clone).call(alone))

    def export(self, parameters: Tensor, buffers: Tensor, module: nn.Module) -> nn.Module:
        """Write parameters and buffers into `module`, a fresh copy of the caller's."""
        values = self.layout.named(parameters) | self.buffer_layout.named(buffers)
        own = dict(module.named_parameters()) | dict(module.named_buffers())
        with torch.no_grad():
            for name, value in values.items():
                own[name].copy_(value)
        return module.eval()

    def _run(
        self,
        parameters: dict[str, Tensor],
        buffers: dict[str, Tensor],
        batch: Batch,
        *,
        training: bool,
    ) -> tuple[Any, dict[str, Tensor]]:
        """Call the module, and return the buffers as a patched layer or the module itself left them."""
        self._set_mode(training)
        self._updates.clear()
        self._places.put(parameters)
        self._places.put(buffers)
        outputs = self.read((batch.map(torch.clone) if self._writes_inputs else batch).call(self.module))
        updates = self._updates
        after = {name: updates[name] if name in updates else self._places.get(name) for name in buffers}
        updates.clear()
        return outputs, after

    def _mutable(self, buffers: Tensor) -> dict[str, Tensor]:
        """Return buffers by name in the dtypes that the module has them in, free to be written to."""
        return {
            name: piece if name in self._tracked else self._own_copy(name, piece)
            for name, piece in self.buffer_layout.named(buffers).items()
        }

    def _own_copy(self, name: str, piece: Tensor) -> Tensor:
        piece = piece.detach() if name in self._fixed_buffers else piece
        return piece.to(self._own_buffers[name].dtype, copy=True)

    def _find_fixed(self, batch: Batch) -> frozenset[str]:
        """Name the buffers that PyTorch has no derivative in.

        They are held fixed: values that need their derivative are refused where second derivatives are judged.
        """
        names = [name for name in self.buffer_layout.names if name not in self._tracked]
        if not names:
            return frozenset()
        try:
            with seeded(0, self.device):
                free = self._mutable(self.buffers.clone().requires_grad_())
                self._run(self.leaves(self.parameters), free, batch, training=False)
        except RuntimeError:
            return frozenset(names)
        return frozenset()

    def _fresh_buffers(self) -> dict[str, Tensor]:
        return {name: buffer.clone() for name, buffer in self._own_buffers.items()}

    def _find_buffers(self, after: dict[str, Tensor]) -> None:
        """Find the buffers that a run has to carry along; one that changes its shape is a cache."""
        changed = {
            name: buffer
            for name, buffer in self._own_buffers.items()
            if name in self._tracked
            or (after[name].shape == buffer.shape and not torch.equal(after[name], buffer))
        }
        self._places.put({name: b for name, b in self._fresh_buffers().items() if name not in changed})
        self.buffer_layout = Layout(changed)
        self.buffers = self.buffer_layout.join(
            [buffer.to(self.dtype) for buffer in changed.values()], self.parameters.new_zeros(0)
        )

    def _find_untracked(self, after: dict[str, Tensor], batch: Batch) -> tuple[str, ...]:
        """Name the buffers that depend on the parameters where differentiation doesn't see it."""
        if self._tracked.issuperset(self.buffer_layout.names):
            return ()
        with seeded(0, self.device), torch.no_grad():
            moved = self.layout.named(self.parameters * 1.01 + 0.01)
            moved_after = self._run(moved, self._fresh_buffers(), batch, training=True)[1]
        return tuple(
            name
            for name in self.buffer_layout.names
            if name not in self._tracked
            and not after[name].requires_grad
            and not torch.equal(after[name], moved_after[name])
        )

    def _set_mode(self, training: bool) -> None:
        if self._training_layers and self._training_layers[0].training == training:
            return
        for layer in self._training_layers:
            layer.training = training


def own_module(module: nn.Module, *, is_ours: bool) -> nn.Module:
    """Return a module that nobody else uses, in training mode: a deep copy, unless it is ours already.

    Raises
    ------
    InvalidModelError
        If the module can't be copied, or has settings that can't be followed.
    """
    check_settings(module)
    module = module if is_ours else _copy(module)
    return module if module.training else module.train()


def _copy(module: nn.Module) -> nn.Module:
    module = getattr(module, "_orig_mod", module)  # compiled modules have no second derivative
    # Modules that keep results of a forward pass (weight_norm's weight) can't be copied otherwise.
    kept = [value for layer in module.modules() for value in vars(layer).values() if isinstance(value, Tensor)]
    memo: dict[int, Any] = {id(value): value.detach().clone() for value in kept if not value.is_leaf}
    memo |= copies_that_share(shared_memory(module))
    try:
        return copy.deepcopy(module, memo)
    except Exception as error:
        raise InvalidModelError(
            f"the model can't be copied ({error}): pass a function without arguments that builds it instead"
        ) from error


def _as_it_is(returned: Any) -> Any:
    return returned


def _check_untouched(leaves: dict[str, Tensor]) -> None:
    if any(leaf._version for leaf in leaves.values()):
        raise InvalidModelError(
            "the model changes its parameters in the forward pass, as nn.Embedding with max_norm does: this is "
            "no part of an optimizer's update, so that no run can be recorded. Constrain them otherwise"
        )


def choose_device(name: str, module: nn.Module) -> torch.device:
    """Return the device that a name stands for; ``"auto"`` is where the module is, or a GPU.

    Raises
    ------
    ValueError, TypeError
        If there is no such device, or this is no name.
    """
    known = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if check_device_name(name, known) != "auto":
        return _device(name, known)
    own = next((p.device for p in module.parameters()), torch.device("cpu"))
    if own.type == "cpu" and torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return own


def _device(name: str, known: list[str]) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"PyTorch sees no device {name!r}; it has {known}") from error
    return device

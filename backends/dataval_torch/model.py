"""A private copy of the caller's module, called as a function of flat parameters and buffers."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from dataval.errors import InvalidDataError, InvalidModelError
from dataval_torch.batches import Batch
from dataval_torch.layers import BufferUpdates, patch_layers
from dataval_torch.parameters import Filter, Layout, select_parameters
from dataval_torch.randomness import seeded

__all__ = ["FunctionalModel", "choose_device", "own_module", "run_example", "warn_unused"]


class FunctionalModel:
    """A module as a pure function (parameters, buffers, batch, seed) -> outputs (, new buffers).

    Parameters
    ----------
    module : Module
        A copy that nobody else uses; it is moved to the device and its layers are patched.
    params
        Which parameters are free.
    device : torch.device
    """

    def __init__(self, module: nn.Module, params: Filter, device: torch.device) -> None:
        self.device = device
        self.module = module.to(device)
        selected = select_parameters(self.module, params)
        self.module.requires_grad_(False)
        self.layout = Layout(dict(selected))
        self.dtype = next(iter(selected.values())).dtype
        self.parameters = self.layout.join(
            [p.detach() for p in selected.values()], torch.empty(0, device=device)
        ).clone()
        self._updates: BufferUpdates = {}
        self._tracked = patch_layers(self.module, self._updates)
        self._training_layers = [layer for layer in self.module.modules() if layer.training]
        self.has_batch_statistics = any(
            isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in self._training_layers
        )
        self.buffer_layout = Layout({})
        self.buffers = self.parameters.new_zeros(0)
        self.untracked_buffers: tuple[str, ...] = ()
        self.is_stochastic = False

    def explore(self, batch: Batch) -> Any:
        """Run the model to find out which buffers it changes and whether it draws random numbers.

        Returns
        -------
        The outputs, in training mode, tied to the parameters they came from.
        """
        leaves = self.leaves(self.parameters)
        with seeded(0, self.device):
            before = _generator_states(self.device)
            outputs, after = self._run(leaves, self._fresh_buffers(), batch, training=True)
            drawn = _generator_states(self.device)
        self.is_stochastic = not all(map(torch.equal, before, drawn))
        self._find_buffers(after)
        self.untracked_buffers = self._find_untracked(after, batch)
        return outputs

    def leaves(self, flat: Tensor) -> dict[str, Tensor]:
        """Return the parameters by name, each a new leaf that gradients can be asked for."""
        return {name: piece.detach().requires_grad_() for name, piece in self.layout.named(flat).items()}

    def train_outputs(
        self, parameters: dict[str, Tensor], buffers: Tensor, batch: Batch, seed: int
    ) -> tuple[Any, Tensor]:
        """Return outputs and new buffers of a training-mode forward pass."""
        mutable = self.buffer_layout.named(buffers.clone())
        if not self.is_stochastic:
            outputs, after = self._run(parameters, mutable, batch, training=True)
        else:
            with seeded(seed, self.device):
                outputs, after = self._run(parameters, mutable, batch, training=True)
        return outputs, self.buffer_layout.join(list(after.values()), buffers)

    def eval_outputs(self, parameters: dict[str, Tensor], buffers: Tensor, batch: Batch) -> Any:
        """Return the outputs of an evaluation-mode forward pass."""
        mutable = self.buffer_layout.named(buffers.clone())
        return self._run(parameters, mutable, batch, training=False)[0]

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
        state = parameters | buffers  # functional_call writes reassigned buffers back into it
        outputs = batch.call(lambda *args, **kwargs: functional_call(self.module, state, args, kwargs))
        after = {name: self._updates.get(name, state[name]) for name in buffers}
        self._updates.clear()
        return outputs, after

    def _fresh_buffers(self) -> dict[str, Tensor]:
        return {name: buffer.clone() for name, buffer in self.module.named_buffers()}

    def _find_buffers(self, after: dict[str, Tensor]) -> None:
        changed = {
            name: buffer
            for name, buffer in self.module.named_buffers()
            if name in self._tracked or not torch.equal(after[name], buffer)
        }
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


def own_module(model: Any, seed: int) -> nn.Module:
    """Return a module of our own: a deep copy, or what a callable builds under a seed.

    Raises
    ------
    InvalidModelError
        If the callable builds no module.
    """
    if isinstance(model, nn.Module):
        module = copy.deepcopy(model)
    else:
        with seeded(seed, torch.device("cpu")):
            module = model()
        if not isinstance(module, nn.Module):
            raise InvalidModelError(
                f"the callable must build a torch.nn.Module, it returned a {type(module).__name__}"
            )
    return module if module.training else module.train()


def choose_device(name: str, module: nn.Module) -> torch.device:
    """Return the device that a name stands for; ``"auto"`` is where the module is, or a GPU."""
    if name != "auto":
        return torch.device(name)
    own = next((p.device for p in module.parameters()), torch.device("cpu"))
    if own.type == "cpu" and torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return own


def run_example(model: FunctionalModel, batch: Batch) -> Any:
    """Call `explore`, explaining what may be wrong where the model can't be run.

    Raises
    ------
    InvalidModelError, InvalidDataError
    """
    try:
        return model.explore(batch)
    except (InvalidDataError, InvalidModelError):
        raise
    except Exception as error:
        raise InvalidDataError(
            f"the model failed on the first {len(batch)} samples, inputs {_describe(batch.inputs)}: {error}. "
            "Check shape and dtype: integer inputs are handed on as they are (for embeddings), so convert "
            "measurements with X.astype('float32')"
        ) from error


def warn_unused(names: list[str], category: type[Warning]) -> None:
    """Warn of parameters that get no gradient."""
    if names:
        warnings.warn(
            f"these trained parameters receive no gradient from the loss: {names}. Freeze them, or check that "
            "the model uses them",
            category,
            stacklevel=2,
        )


def _describe(inputs: Any) -> str:
    if isinstance(inputs, dict):
        return "{" + ", ".join(f"{key!r}: {_describe(leaf)}" for key, leaf in inputs.items()) + "}"
    if isinstance(inputs, tuple):
        return "(" + ", ".join(map(_describe, inputs)) + ")"
    return f"{str(inputs.dtype).removeprefix('torch.')}{tuple(inputs.shape)}"


def _generator_states(device: torch.device) -> tuple[Tensor, ...]:
    own = torch.get_rng_state()
    return (own, torch.cuda.get_rng_state(device)) if device.type == "cuda" else (own,)

"""The values of a module's parameters and buffers, as others keep them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dataval.checks import described
from dataval.errors import InvalidModelError
from dataval_torch.model.functional import FunctionalModel

__all__ = ["read_state"]


def read_state(model: FunctionalModel, given: Any, what: str) -> tuple[Tensor, Tensor]:
    """Return flat parameters and buffers from a module, a state dict, or a file that holds one.

    Raises
    ------
    InvalidModelError
        If names or shapes don't fit the model; parameters that are not trained must be the model's own.
    """
    values = _values(given, what)
    own = dict(model.module.named_parameters()) | dict(model.module.named_buffers())
    if missing := [name for name in own if name not in values and name in model.layout.names]:
        raise InvalidModelError(f"{what} has no {missing[0]!r}; it has {sorted(values)[:5]}")
    if strange := sorted(values.keys() - own.keys()):
        raise InvalidModelError(f"{what} has {strange[0]!r}, which the learner's model hasn't")
    shapes = dict(zip(model.layout.names, model.layout.shapes, strict=True))
    shapes |= dict(zip(model.buffer_layout.names, model.buffer_layout.shapes, strict=True))
    for name, shape in shapes.items():
        if tuple(values[name].shape) != tuple(shape):
            raise InvalidModelError(
                f"{what}: {name} has shape {tuple(values[name].shape)}, the model's {tuple(shape)}"
            )
    parameters = _flat(model, [values[name] for name in model.layout.names])
    return parameters, _flat(model, [values[name] for name in model.buffer_layout.names])


def _values(given: Any, what: str) -> Mapping[str, Tensor]:
    if isinstance(given, nn.Module):
        return dict(given.state_dict()) | {name: p.detach() for name, p in given.named_parameters()}
    if isinstance(given, str | Path):
        given = _loaded(Path(given), what)
    if isinstance(given, Mapping) and isinstance(given.get("state_dict"), Mapping):
        given = given["state_dict"]
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise InvalidModelError(
            f"{what} is {described(given)}: pass a module, its state_dict(), or the path of a file that "
            "holds one"
        )
    return {name: torch.as_tensor(value) for name, value in given.items()}


def _loaded(path: Path, what: str) -> Any:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise InvalidModelError(f"{what}: {path} can't be read as a state_dict: {error}") from error


def _flat(model: FunctionalModel, tensors: list[Tensor]) -> Tensor:
    if not tensors:
        return model.parameters.new_zeros(0)
    return torch.cat([tensor.detach().reshape(-1).to(model.parameters) for tensor in tensors])

"""The arrays of a module, a state_dict or a file, under the names of the learner's module."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from dataval.errors import InvalidModelError

__all__ = ["arrays_in", "arrays_of_module"]

Named = dict[str, NDArray[Any]]

_NESTED = ("state_dict", "model_state_dict")


def arrays_of_module(module: nn.Module) -> Named:
    """Return all parameters and buffers by name, each tied one once."""
    module = getattr(module, "_orig_mod", module)
    named = [*module.named_parameters(), *module.named_buffers()]
    return {name: _as_numpy(name, tensor) for name, tensor in named}


def arrays_in(given: Any, module: nn.Module) -> Named:
    """Return the arrays of a state under the names that `module` has.

    Parameters
    ----------
    given : Module, mapping or path
        A module; arrays by name, or a checkpoint that holds them under ``"state_dict"``; or a file of either,
        as ``torch.save`` or safetensors writes them. Where the module is part of a larger one (Lightning's,
        a compiled or a parallel one), what stands under its prefix is taken.
    module : Module
        The learner's.

    Raises
    ------
    TypeError
        If it is nothing of the kind.
    InvalidModelError
        If it can't be read.
    FileNotFoundError
        If there is no such file.
    """
    if isinstance(given, str | PathLike):
        given = _read(Path(given))
    if isinstance(given, nn.Module):
        named = arrays_of_module(given)
    elif isinstance(given, Mapping):
        named = {name: _as_numpy(name, value) for name, value in _innermost(given).items()}
    else:
        raise TypeError(
            f"a state is a module, a state_dict or the path of a file with one, got {type(given).__name__}"
        )
    own = list(arrays_of_module(module))
    return _untied(_under_prefix(named, own), module)


def _read(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        first = str(error).strip().split("\n")[0][:200]
        raise InvalidModelError(
            f"{path.name} can't be read as tensors alone ({first}): save the model's state_dict, or pass it"
        ) from error
    if not isinstance(found, Mapping):
        raise InvalidModelError(f"{path.name} holds a {type(found).__name__}, not a state_dict")
    return found


def _innermost(given: Mapping[str, Any]) -> Mapping[str, Any]:
    nested = [given[key] for key in _NESTED if isinstance(given.get(key), Mapping)]
    return nested[0] if nested else given


def _as_numpy(name: str, value: Any) -> NDArray[Any]:
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return np.asarray(value.float().numpy() if value.dtype == torch.bfloat16 else value.numpy())
    if isinstance(value, np.ndarray | np.number | int | float):
        return np.asarray(value)
    raise TypeError(f"a state maps names to tensors, {name!r} is a {type(value).__name__}")


def _under_prefix(named: Named, own: list[str]) -> Named:
    """Return what stands under the prefix that a larger module's names have, where none is ours as it is."""
    if not own or any(name in named for name in own):
        return named
    prefixes = {name.removesuffix(own[0]) for name in named if name.endswith(f".{own[0]}")}
    fitting = [prefix for prefix in prefixes if all(prefix + name in named for name in own)]
    if len(fitting) != 1:
        return named
    prefix = fitting[0]
    return {name.removeprefix(prefix): array for name, array in named.items() if name.startswith(prefix)}


def _untied(named: Named, module: nn.Module) -> Named:
    """Return the arrays with each tied one under its first name alone."""
    first: dict[int, str] = {}
    found = dict(named)
    every = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    for name, tensor in every:
        kept = first.setdefault(id(tensor), name)
        if kept == name or name not in found:
            continue
        array = found.pop(name)
        if not np.array_equal(found.setdefault(kept, array), array):
            raise InvalidModelError(
                f"{kept!r} and {name!r} are one parameter of the model, and differ in the state"
            )
    return found

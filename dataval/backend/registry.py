"""Finding the backend for a model, through the entry points of group ``dataval.backends``.

Nothing here imports a framework before a model of that framework is at hand.
"""

from __future__ import annotations

import inspect
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any

import numpy as np

from dataval.backend.contract import Backend
from dataval.data import Generators, register_generators
from dataval.errors import BackendNotFoundError, InvalidModelError
from dataval.process import first_use, kept_streams

__all__ = [
    "FoundModel",
    "available_backends",
    "find_model",
    "framework_settings",
    "load_backend",
    "load_extension",
]

_GROUP = "dataval.backends"


@dataclass(frozen=True)
class FoundModel:
    """A model with the backend that handles it.

    Attributes
    ----------
    backend : type of Backend
    model
        The caller's model, or what the caller's builder built.
    build : callable or None
        Builds such a model anew, under the same seed; None for a model of the caller's own.
    """

    backend: type[Backend]
    model: Any
    build: Callable[[], Any] | None = None


def available_backends() -> tuple[str, ...]:
    """Return the names of the backends whose framework is installed."""
    return tuple(name for name in _registered(_GROUP) if _is_installed(name))


def load_backend(name: str) -> type[Backend]:
    """Return a backend's class by its name.

    Raises
    ------
    BackendNotFoundError
        If there is no such backend, its framework isn't installed, or it can't be imported.
    """
    registered = _registered(_GROUP)
    if not isinstance(name, str) or name not in registered:
        raise BackendNotFoundError(f"unknown backend {name!r}: choose one of {sorted(registered)}")
    if not _is_installed(name):
        raise BackendNotFoundError(f"the backend {name!r} needs its framework: pip install 'dataval[{name}]'")
    try:
        with first_use():
            backend: type[Backend] = registered[name].load()
    except Exception as error:
        raise BackendNotFoundError(f"the backend {name!r} could not be loaded: {error!r}") from error
    register_generators(name, Generators(backend.seeded, backend.random_state))
    return backend


def load_extension(group: str, name: str) -> Any | None:
    """Return what is registered under a backend's name in another group of entry points, if anything."""
    registered = _registered(group)
    return registered[name].load() if name in registered else None


def find_model(model: Any, name: str | None = None, *, seed: int = 0) -> FoundModel:
    """Find the backend for a model, by its type, or by that of what a builder builds.

    Parameters
    ----------
    model
        A model, or a callable without arguments that builds one (a class will do). It is called once, under the
        seed; the random streams of the process are as before afterwards.
    name : str, optional
        Of the backend, where it can't be told from the model.
    seed : int, default 0
        Under which a builder is called.

    Raises
    ------
    BackendNotFoundError
        If no installed backend handles the model.
    InvalidModelError
        If the builder fails.
    """
    candidates = list(_loaded()) if name is None else [load_backend(name)]
    for backend in candidates:
        if backend.handles(model):
            return FoundModel(backend, model)
    if _is_builder(model):
        return _find_built(model, candidates, seed)
    raise _not_found(model)


def _find_built(builder: Callable[[], Any], candidates: Sequence[type[Backend]], seed: int) -> FoundModel:
    build = partial(_build, builder, candidates, seed)
    built = build()
    for backend in candidates:
        if backend.handles(built):
            return FoundModel(backend, built, build)
    known = {backend.name for backend in candidates}
    more = [backend for backend in _loaded() if backend.name not in known]
    if any(backend.handles(built) for backend in more):  # the builder imported its framework
        return _find_built(builder, more, seed)
    raise _not_found(built)


def _build(builder: Callable[[], Any], backends: Sequence[type[Backend]], seed: int) -> Any:
    with kept_streams(), ExitStack() as stack:
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - what builders may draw from
        for backend in backends:
            stack.enter_context(backend.seeded(seed))
        try:
            return builder()
        except Exception as error:
            raise InvalidModelError(
                f"the function that builds the model failed: {type(error).__name__}: {error}"
            ) from error


@contextmanager
def framework_settings() -> Iterator[None]:
    """Set the modes of all frameworks in use as computing needs them, whatever the caller's are."""
    with ExitStack() as stack:
        for backend in _loaded():
            stack.enter_context(backend.settings())
        yield


def _is_builder(model: Any) -> bool:
    """Whether this can be called without arguments."""
    if not callable(model):
        return False
    try:
        parameters = inspect.signature(model).parameters.values()
    except (TypeError, ValueError):
        return True
    return all(p.default is not p.empty or p.kind in {p.VAR_POSITIONAL, p.VAR_KEYWORD} for p in parameters)


def _not_found(model: Any) -> BackendNotFoundError:
    installed = ", ".join(available_backends()) or "none"
    return BackendNotFoundError(
        f"no backend handles a model of type {type(model).__name__} (installed: {installed}). "
        "Pass a torch.nn.Module or a keras.Model, or a function without arguments that builds one; or name the "
        "backend: Learner(..., backend='torch')"
    )


def _loaded() -> Iterator[type[Backend]]:
    """Yield the backends whose framework is already imported: a model's framework always is."""
    for name in available_backends():
        if name not in sys.modules:
            continue
        try:
            yield load_backend(name)
        except BackendNotFoundError as error:  # a broken plug-in must not take the others down
            warnings.warn(str(error), stacklevel=3)


@cache
def _registered(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}


def _is_installed(name: str) -> bool:
    """Entry points are listed even where the framework is absent, so look for the framework itself."""
    return find_spec(name) is not None

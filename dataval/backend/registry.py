"""Finding the backend for a model, through the entry points of group ``dataval.backends``.

Nothing here imports a framework before a model of that framework is at hand.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any

from dataval.backend.contract import Backend
from dataval.errors import BackendNotFoundError

__all__ = ["available_backends", "find_backend", "load_backend"]

_GROUP = "dataval.backends"


def available_backends() -> tuple[str, ...]:
    """Return the names of the backends whose framework is installed."""
    return tuple(name for name in _registered() if _is_installed(name))


def load_backend(name: str) -> type[Backend]:
    """Return a backend's class by its name.

    Raises
    ------
    BackendNotFoundError
        If there is no such backend, or its framework isn't installed.
    """
    registered = _registered()
    if name not in registered:
        raise BackendNotFoundError(f"unknown backend {name!r}: choose one of {sorted(registered)}")
    if not _is_installed(name):
        raise BackendNotFoundError(f"the backend {name!r} needs its framework: pip install 'dataval[{name}]'")
    backend: type[Backend] = registered[name].load()
    return backend


def find_backend(model: Any) -> type[Backend]:
    """Return the class of the backend for a model, from its type, or from that of what a callable builds.

    Raises
    ------
    BackendNotFoundError
        If no installed backend does.
    """
    candidates = list(_loaded())
    for backend in candidates:
        if backend.handles(model):
            return backend
    if callable(model) and not isinstance(model, type):
        built = model()
        for backend in candidates:
            if backend.handles(built):
                return backend
    installed = ", ".join(available_backends()) or "none"
    raise BackendNotFoundError(
        f"no backend handles a model of type {type(model).__name__} (installed: {installed}). "
        "Pass a torch.nn.Module or a keras.Model, or name the backend: Learner(..., backend='torch')"
    )


def _loaded() -> Iterator[type[Backend]]:
    """Yield the backends whose framework is already imported: a model's framework always is."""
    for name in available_backends():
        if name not in sys.modules:
            continue
        try:
            yield load_backend(name)
        except Exception as error:  # noqa: BLE001 - a broken plug-in must not take the others down
            warnings.warn(f"the backend {name!r} could not be loaded: {error!r}", stacklevel=3)


@cache
def _registered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=_GROUP)}


def _is_installed(name: str) -> bool:
    """Entry points are listed even where the framework is absent, so look for the framework itself."""
    return find_spec(name) is not None

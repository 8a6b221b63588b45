"""Backends that are registered for a test."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from dataval.backend import registry
from tests.numpy_backend import NumpyBackend


@pytest.fixture
def register(monkeypatch):
    """Register entry points for names, and pretend that modules of these names are imported."""

    def add(name, load, *, installed=True, imported=True, group="dataval.backends"):
        before, find = registry._registered, registry._is_installed
        more = {name: SimpleNamespace(name=name, load=load)}
        monkeypatch.setattr(
            registry, "_registered", lambda asked: before(asked) | (more if asked == group else {})
        )
        monkeypatch.setattr(registry, "_is_installed", lambda n: installed if n == name else find(n))
        if imported and name not in sys.modules:
            monkeypatch.setitem(sys.modules, name, SimpleNamespace())

    return add


@pytest.fixture
def numpy_backend(register):
    """The backend of NumPy models, registered as a package of one's own would register it."""
    register("numpy", lambda: NumpyBackend)
    return NumpyBackend

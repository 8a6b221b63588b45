"""Fixtures shared by all tests. What takes `zoo` runs once on every installed framework."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import pytest

from dataval.backend import registry
from tests.numpy_backend import NumpyBackend

FRAMEWORKS = [name for name in ("torch", "tensorflow") if find_spec(name) is not None]


@pytest.fixture(params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> str:
    """Name of a framework."""
    return request.param


@pytest.fixture
def zoo(framework: str) -> ModuleType:
    """The module of models of one framework."""
    return import_module(f"tests.zoo.{framework}_models")


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
def numpy_backend(register) -> type[NumpyBackend]:
    """The backend of NumPy models, registered as a package of one's own would register it."""
    register("numpy", lambda: NumpyBackend)
    return NumpyBackend

"""Fixtures shared by all tests. What takes `zoo` runs once on every installed framework."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import pytest

FRAMEWORKS = [name for name in ("torch", "tensorflow") if find_spec(name) is not None]


@pytest.fixture(params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> str:
    """Name of a framework."""
    return request.param


@pytest.fixture
def zoo(framework: str) -> ModuleType:
    """The module of models of one framework."""
    return import_module(f"tests.zoo.{framework}_models")

"""Finding backends, and saying what is missing."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from dataval.backend import registry
from dataval.errors import BackendNotFoundError


class Abacus:
    """A backend for models that are strings."""

    name = "abacus"

    @classmethod
    def handles(cls, model):
        return isinstance(model, str)


def broken():
    raise RuntimeError("beads are missing")


@pytest.fixture
def register(monkeypatch):
    """Register entry points for names, and pretend that modules of these names are imported."""
    registered = dict(registry._registered())
    monkeypatch.setattr(registry, "_registered", lambda: registered)

    def add(name, load, *, installed=True, imported=True):
        registered[name] = SimpleNamespace(name=name, load=load)
        find = registry._is_installed
        monkeypatch.setattr(registry, "_is_installed", lambda n: installed if n == name else find(n))
        if imported:
            monkeypatch.setitem(sys.modules, name, SimpleNamespace())

    return add


def test_finds_the_backend_of_a_model(zoo, framework):
    assert framework in registry.available_backends()
    assert registry.find_backend(zoo.mlp()) is registry.load_backend(framework)
    assert registry.find_backend(zoo.mlp) is registry.load_backend(framework)


def test_a_further_backend_is_found_by_the_type_of_the_model(zoo, framework, register):
    register("abacus", lambda: Abacus)
    assert registry.find_backend("seven beads") is Abacus
    assert registry.find_backend(lambda: "seven beads") is Abacus
    assert registry.find_backend(zoo.mlp()).name == framework


def test_a_framework_that_is_not_imported_is_not_loaded(register):
    register("abacus", broken, imported=False)
    with pytest.raises(BackendNotFoundError, match="no backend handles a model of type str"):
        registry.find_backend("seven beads")


def test_a_broken_backend_warns_and_leaves_the_others(zoo, framework, register):
    register("abacus", broken)
    with pytest.warns(UserWarning, match="backend 'abacus' could not be loaded.*beads are missing"):
        found = registry.find_backend(zoo.mlp())
    assert found.name == framework


def test_a_missing_framework_says_how_to_install_it(register):
    register("abacus", lambda: Abacus, installed=False)
    assert "abacus" not in registry.available_backends()
    with pytest.raises(BackendNotFoundError, match=r"needs its framework: pip install 'dataval\[abacus\]'"):
        registry.load_backend("abacus")


def test_an_unknown_name_lists_the_known(framework):
    with pytest.raises(BackendNotFoundError, match=f"unknown backend 'jaxx': choose one of .*{framework}"):
        registry.load_backend("jaxx")


def test_an_unknown_model_lists_what_is_installed(framework):
    with pytest.raises(
        BackendNotFoundError, match=rf"of type int \(installed: .*{framework}.*name the backend"
    ):
        registry.find_backend(3)


def test_not_found_is_an_import_error():
    assert issubclass(BackendNotFoundError, ImportError)

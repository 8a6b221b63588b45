"""Finding backends and building models, and saying what is missing."""

from __future__ import annotations

import random
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import ClassVar

import numpy as np
import pytest

import dataval as dv
from dataval.backend import registry
from dataval.errors import BackendNotFoundError, InvalidModelError
from tests.zoo.data import features


class Abacus:
    """A backend for models that are strings."""

    name = "abacus"
    seeds: ClassVar[list[int]] = []

    @classmethod
    def handles(cls, model):
        return isinstance(model, str)

    @classmethod
    @contextmanager
    def seeded(cls, seed):
        cls.seeds.append(seed)
        yield

    @classmethod
    def random_state(cls):
        return None


def broken():
    raise RuntimeError("beads are missing")


# -------------------------------------------------------------- finding backends


def test_finds_the_backend_of_a_model(zoo, framework):
    assert framework in registry.available_backends()
    model = zoo.mlp()
    found = registry.find_model(model)
    assert found.backend is registry.load_backend(framework)
    assert found.model is model
    assert found.build is None


def test_a_further_backend_is_found_by_the_type_of_the_model(zoo, framework, register):
    register("abacus", lambda: Abacus)
    assert registry.find_model("seven beads").backend is Abacus
    assert registry.find_model(lambda: "seven beads").backend is Abacus
    assert registry.find_model(zoo.mlp()).backend.name == framework


def test_a_framework_that_is_not_imported_is_not_loaded(register):
    register("abacus", broken, imported=False)
    with pytest.raises(BackendNotFoundError, match="no backend handles a model of type str"):
        registry.find_model("seven beads")


def test_a_framework_that_its_builder_imports(register, monkeypatch):
    register("abacus", lambda: Abacus, imported=False)

    def build():
        monkeypatch.setitem(registry.sys.modules, "abacus", Abacus)
        return "seven beads"

    assert registry.find_model(build).backend is Abacus


def test_a_broken_backend_warns_and_leaves_the_others(zoo, framework, register):
    register("abacus", broken)
    with pytest.warns(UserWarning, match=r"backend 'abacus' could not be loaded.*beads are missing"):
        found = registry.find_model(zoo.mlp())
    assert found.backend.name == framework


def test_a_broken_backend_that_is_asked_for_by_name_is_an_error(register):
    register("abacus", partial(import_module, "no_such_abacus"))
    for find in (registry.load_backend, partial(registry.find_model, "seven beads")):
        with pytest.raises(BackendNotFoundError, match=r"'abacus' could not be loaded.*no_such_abacus"):
            find("abacus")


def test_a_missing_framework_says_how_to_install_it(register):
    register("abacus", lambda: Abacus, installed=False)
    assert "abacus" not in registry.available_backends()
    with pytest.raises(BackendNotFoundError, match=r"needs its framework: pip install 'dataval\[abacus\]'"):
        registry.load_backend("abacus")


def test_an_unknown_name_lists_the_known(framework):
    with pytest.raises(BackendNotFoundError, match=f"unknown backend 'jaxx': choose one of .*{framework}"):
        registry.load_backend("jaxx")


def test_not_found_is_an_import_error():
    assert issubclass(BackendNotFoundError, ImportError)


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (3, "int"),
        (None, "NoneType"),
        (lambda size: size, "function"),
        (lambda: 3, "int"),
        (lambda: None, "NoneType"),
    ],
    ids=["number", "none", "function_with_arguments", "builder_of_a_number", "builder_of_nothing"],
)
def test_what_is_no_model_lists_what_is_installed(framework, model, kind):
    message = rf"of type {kind} \(installed: .*{framework}.*name the backend"
    with pytest.raises(BackendNotFoundError, match=message):
        registry.find_model(model)


def test_an_extension_is_what_is_registered_under_the_backends_name(register):
    register("abacus", lambda: "beads together", group="dataval.ensembles")
    assert registry.load_extension("dataval.ensembles", "abacus") == "beads together"
    assert registry.load_extension("dataval.ensembles", "no_such") is None


# -------------------------------------------------------------- building models


def test_a_builder_is_called_once_under_the_seed(register):
    register("abacus", lambda: Abacus)
    calls = []

    def build():
        calls.append(1)
        return f"{random.random()} {_draw_numpy()}"

    Abacus.seeds.clear()
    found = registry.find_model(build, seed=3)
    assert (len(calls), Abacus.seeds) == (1, [3])
    assert found.build() == found.model
    assert registry.find_model(build, seed=4).model != found.model


def test_all_streams_are_as_before(zoo, framework):
    """Whatever a builder draws: Python's, NumPy's and the framework's own."""
    drawn = []

    def build():
        drawn.append([random.random(), _draw_numpy(), _draw(framework)])
        return zoo.mlp()

    _seed(framework)
    expected = [random.random(), _draw_numpy(), _draw(framework)]
    _seed(framework)
    for _ in range(2):
        registry.find_model(build, seed=5)
    assert [random.random(), _draw_numpy(), _draw(framework)] == expected
    assert drawn[0] == drawn[1]
    assert drawn[0] != expected


def _draw_numpy():
    return np.random.random()  # noqa: NPY002 - the stream that builders may draw from


def _seed(framework):
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    if framework == "torch":
        import_module("torch").manual_seed(1)
    else:
        import_module("keras").utils.set_random_seed(1)


def _draw(framework):
    if framework == "torch":
        return import_module("torch").rand(()).item()
    return float(import_module("tensorflow").random.uniform(()))


def test_a_class_builds_its_objects(zoo, framework):
    """A class can be called without arguments, and is no model itself."""
    kind = {"torch": torch_class, "tensorflow": keras_class}[framework]()
    found = registry.find_model(kind)
    assert isinstance(found.model, kind)
    learner = dv.Learner(kind, training=dv.Training(epochs=1, batch_size=4), progress=False)
    assert learner.train(*features(8)).backend == framework


def torch_class():
    from torch import nn

    class Net(nn.Linear):
        def __init__(self, n_outputs=3):
            super().__init__(6, n_outputs)

    return Net


def keras_class():
    import keras

    class Net(keras.Sequential):
        def __init__(self):
            super().__init__([keras.layers.Dense(3)])

    return Net


def test_a_builder_starts_from_its_seed(zoo, framework):
    """Each seed has its own initialisation; the builder is called once a run."""
    kind, calls = {"torch": torch_class, "tensorflow": keras_class}[framework](), []

    def build():
        calls.append(1)
        return kind()

    def initial(seed):
        training = dv.Training(epochs=1, batch_size=4, seed=seed)
        program = dv.Learner(build, training=training, progress=False).prepare(*features(4)).program
        return np.asarray(program.initial_state().parameters)

    first = initial(1)
    assert len(calls) == 1
    np.testing.assert_array_equal(first, initial(1))
    assert not np.array_equal(first, initial(2))


def test_a_builder_that_fails_says_why(framework):
    def build():
        raise KeyError("no weights on this disk")

    with pytest.raises(InvalidModelError, match="function that builds the model failed: KeyError: 'no weights"):
        registry.find_model(build)

"""The paths that modules had before: they import with a warning, and are the modules of today."""

from __future__ import annotations

import importlib
import sys
import warnings
from importlib.util import find_spec

import pytest

import dataval as dv
from dataval._moved import MOVED


def import_anew(old, monkeypatch):
    """Import an old path as for the first time; return the module and the warnings, its own last."""
    monkeypatch.delitem(sys.modules, old, raising=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DeprecationWarning)
        return importlib.import_module(old), [str(warning.message) for warning in caught]


@pytest.mark.parametrize(("old", "new"), MOVED.items(), ids=MOVED)
def test_an_old_path_is_the_new_module(old, new, monkeypatch):
    found, messages = import_anew(old, monkeypatch)
    assert found is importlib.import_module(new)
    assert messages[-1] == f"{old} is now {new}"


def test_the_warning_points_at_the_import(monkeypatch):
    monkeypatch.delitem(sys.modules, "dataval.learner", raising=False)
    with pytest.warns(DeprecationWarning, match=r"dataval.learner is now dataval.training.learner"):
        from dataval.learner import Learner
    assert Learner is dv.Learner


def test_an_old_path_is_an_attribute_as_well():
    for old, new in MOVED.items():
        name = old.removeprefix("dataval.")
        if "." not in name:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                assert getattr(dv, name) is importlib.import_module(new)


def test_an_old_module_hides_no_function_of_its_name(monkeypatch):
    function = dv.evaluation.noise_detection
    module, _ = import_anew("dataval.evaluation.noise_detection", monkeypatch)
    assert module.noise_detection is function is dv.evaluation.noise_detection


def test_no_old_path_is_taken_again(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", [finder for finder in sys.meta_path if "dataval" not in repr(finder)])
    for old in MOVED:
        monkeypatch.delitem(sys.modules, old, raising=False)
        parent = old.rpartition(".")[0]
        assert parent in MOVED or find_spec(old) is None, f"{old} is a module again"

"""Every kind of bad argument to every public call ends in a clear refusal, before anything is lost."""

from __future__ import annotations

import inspect
from functools import partial
from types import ModuleType

import pytest

import dataval as dv
from tests.fuzz.calls import CALLS, EXEMPT
from tests.fuzz.calls.call import made
from tests.fuzz.judge import verdict

pytest.importorskip("torch")


@pytest.mark.parametrize("name", CALLS)
def test_no_bad_argument_is_answered_raw_or_in_silence(name):
    call = CALLS[name]
    call.function(**made(call.good))
    faults = {}
    for argument, kind, value in call.kinds():
        act = partial(call.function, **made(call.good) | {argument: value})
        if said := verdict(act, call.words.get(argument, (argument,))):
            faults[f"{argument}: {kind}"] = said
    assert faults == {}


def test_the_kinds_are_many():
    """So that the tables can't shrink unseen: there were 2,900 when this was written."""
    assert sum(len(list(call.kinds())) for call in CALLS.values()) >= 2500


def test_every_public_function_is_tried():
    modules = [dv, dv.datasets, dv.evaluation, dv.noise, dv.solvers]
    public = {
        name
        for module in modules
        for name in module.__all__
        if not isinstance(found := getattr(module, name), ModuleType) and takes_arguments(found)
    }
    tried = {name.split()[-1].split(".")[0] for name in CALLS}
    assert public - tried == EXEMPT


def takes_arguments(found):
    try:
        return bool(inspect.signature(found).parameters)
    except ValueError:  # a warning, as all exceptions of C
        return False

"""Identities: what decides a function's results tells it apart, and nothing else does."""

from __future__ import annotations

import functools
import importlib
import math
import operator
import os
import subprocess
import sys
import textwrap
import threading
import types
from collections import OrderedDict, namedtuple
from enum import Enum

import numpy as np
import pytest

from dataval.errors import UnknownIdentityError
from dataval.identity import identity, is_comparable

FACTOR = 2.0
TABLE = np.arange(3.0)


def helper(x):
    return x + 1


def uses_helper(x):
    return helper(x) * FACTOR


def uses_table(x):
    return TABLE[x]


def scaled(x, factor=1.0, *, power=1):
    return factor * x**power


def closing_over(value):
    return lambda x: x * value


class Scale:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return self.factor * x

    def method(self, x):
        return self.factor + x


class Slotted:
    __slots__ = ("__private", "factor")

    def __init__(self, factor, private=0):
        self.factor, self.__private = factor, private

    def __call__(self, x):
        return self.factor * x + self.__private


class Outer(Scale):
    def __call__(self, x):
        return super().__call__(x) + 1


class Colour(Enum):
    RED = 1
    BLUE = 2


class Words(str):
    pass


Pair = namedtuple("Pair", "left right")


def with_defaults(function, **defaults):
    changed = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    changed.__kwdefaults__ = (function.__kwdefaults__ or {}) | defaults
    return changed


def with_globals(function, **changes):
    return types.FunctionType(function.__code__, function.__globals__ | changes, function.__name__)


def written(source, name="f"):
    scope = {"np": np, "math": math}
    exec(textwrap.dedent(source), scope)
    return scope[name]


def counting():
    seen = []

    def count(x):
        seen.append(x)
        return len(seen)

    return count


DIFFERENT = {
    "lambdas": (lambda x: x + 1, lambda x: x + 2),
    "lambdas of other operations": (lambda x: x + 1, lambda x: x * 1),
    "partials of other arguments": (
        functools.partial(scaled, factor=1.0),
        functools.partial(scaled, factor=2.0),
    ),
    "partials of other positions": (functools.partial(scaled, 1.0), functools.partial(scaled, 2.0)),
    "callable objects": (Scale(1.0), Scale(2.0)),
    "objects with slots": (Slotted(1.0), Slotted(2.0)),
    "objects with private slots": (Slotted(1.0, 1), Slotted(1.0, 2)),
    "objects of arrays": (Scale(np.zeros(3)), Scale(np.array([0.0, 0.0, 1e-12]))),
    "closures over numbers": (closing_over(1.0), closing_over(2.0)),
    "closures over arrays": (closing_over(np.zeros(2)), closing_over(np.ones(2))),
    "closures over functions": (closing_over(helper), closing_over(scaled)),
    "defaults": (lambda x, a=1: x * a, lambda x, a=2: x * a),
    "keyword defaults": (scaled, with_defaults(scaled, power=2)),
    "globals": (uses_helper, with_globals(uses_helper, FACTOR=3.0)),
    "global arrays": (uses_table, with_globals(uses_table, TABLE=np.arange(4.0))),
    "helpers": (uses_helper, with_globals(uses_helper, helper=lambda x: x + 2)),
    "bound methods": (Scale(1.0).method, Scale(2.0).method),
    "methods of one object": (Scale(1.0).method, Scale(1.0).__call__),
    "classes": (Scale(1.0), Outer(1.0)),
    "attributes of modules": (lambda x: np.sin(x), lambda x: np.cos(x)),
    "functions of a library": (math.sin, math.cos),
    "ufuncs": (np.sin, np.cos),
    "nested functions": (lambda x: (lambda y: y + 1)(x), lambda x: (lambda y: y + 2)(x)),
    "attributes of functions": (
        written("def f(x): return f.a\nf.a = 1"),
        written("def f(x): return f.a\nf.a = 2"),
    ),
    "getters": (operator.itemgetter(0), operator.itemgetter(1)),
    "numbers and truths": (1, True),
    "whole and other numbers": (1, 1.0),
    "signs of zero": (0.0, -0.0),
    "dtypes of arrays": (np.zeros(2), np.zeros(2, "float32")),
    "shapes of arrays": (np.zeros((2, 1)), np.zeros((1, 2))),
    "orders of a dict": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "ordered dicts": (OrderedDict(a=1), OrderedDict(a=2)),
    "sets": ({"a", "b"}, {"a", "c"}),
    "named tuples": (Pair(1, 2), Pair(1, 3)),
    "members of an enumeration": (Colour.RED, Colour.BLUE),
    "strings of a class of their own": (Words("a"), Words("b")),
    "generators' seeds": (np.random.default_rng(0), np.random.default_rng(1)),
    "cached functions": (functools.cache(lambda x: x), functools.cache(lambda x: x + 1)),
}

EQUAL = {
    "other local names": (
        written("def f(x, a=1):\n    y = x + a\n    return y"),
        written("def f(u, b=1):\n    z = u + b\n    return z"),
    ),
    "another place, comments and docstring": (
        written('def f(x):\n    "One."\n    return x'),
        written('# far below\n\n\ndef f(x):\n    "Two."  # said otherwise\n    return x'),
    ),
    "equal settings": (Scale(1.0), Scale(1.0)),
    "equal closures": (closing_over(np.ones(2)), closing_over(np.ones(2))),
    "equal partials": (
        functools.partial(scaled, factor=1.0, power=2),
        functools.partial(scaled, power=2, factor=1.0),
    ),
    "globals that it doesn't name": (uses_helper, with_globals(uses_helper, TABLE=None, other=3)),
    "the order of attributes": (counting(), counting()),
    "sets however they were filled": ({"a", "b", "c"}, {"c", "b", "a"}),
    "caches": (functools.cache(helper), functools.cache(helper)),
    "methods of equal objects": (Scale(2).method, Scale(2).method),
}


@pytest.mark.parametrize("kind", DIFFERENT)
def test_tells_apart(kind):
    left, right = DIFFERENT[kind]
    assert identity(left) != identity(right)
    assert identity(left) == identity(left)


@pytest.mark.parametrize("kind", EQUAL)
def test_leaves_together(kind):
    left, right = EQUAL[kind]
    assert identity(left) == identity(right)


def test_circles_end():
    scope = written("def f(n): return n and g(n - 1)\ndef g(n): return n and f(n - 1)").__globals__
    other = written("def f(n): return n and g(n - 1)\ndef g(n): return n and f(n - 2)")
    assert identity(scope["f"]) != identity(other)
    looped = [1]
    looped.append(looped)
    assert identity(looped) == identity(looped)
    node = Scale(None)
    node.factor = node
    assert identity(node) != identity(Scale(None))


def test_many_that_refer_to_each_other_are_read_once():
    """A reading whose work grew with the number of paths would not end: there are 40! of them."""
    source = "\n".join(f"def f{i}(x): return [{', '.join(f'f{j}' for j in range(40))}]" for i in range(40))
    assert identity(written(source, "f0")) == identity(written(source, "f0"))


def test_is_the_same_in_another_process():
    """Under another hash seed, which decides the order of sets of strings."""
    program = (
        "from tests import test_identity as t\n"
        "chosen = [t.uses_helper, t.Scale(t.TABLE), {'a', 'b', 'c'}, t.Outer(1), t.closing_over({'x', 'y'})]\n"
        "print([t.identity(c) for c in chosen])"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


class TestModulesOfTheCallers:
    """The code of a helper decides, wherever it is; a module that is handed around is its source."""

    def module(self, tmp_path, monkeypatch, source, name="callers_own"):
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    @pytest.mark.parametrize("by_name", [True, False])
    def test_a_changed_helper(self, tmp_path, monkeypatch, by_name):
        found = []
        for number, text in enumerate(("return x + 1", "return x + 2", "return x + 1")):
            folder = tmp_path / str(number)
            folder.mkdir()
            own = self.module(folder, monkeypatch, f"def helper(x): {text}\n")
            function = with_globals(lambda x: own_module.helper(x), own_module=own)  # noqa: F821
            found.append(identity(function if by_name else closing_over(own)))
        assert found[0] != found[1]
        assert found[0] == found[2]


class TestWhatCannotBeRead:
    @pytest.mark.parametrize(
        "hidden",
        [threading.Lock(), np.frompyfunc(helper, 1, 1), (x for x in [1])],
        ids=["lock", "ufunc", "generator"],
    )
    def test_is_refused_with_the_way_to_it(self, hidden):
        with pytest.raises(
            UnknownIdentityError, match=r"can't tell what .* -> value.* attribute dataval_identity"
        ):
            identity(closing_over(hidden))

    def test_can_be_named(self):
        def named(text):
            function = closing_over(threading.Lock())
            function.dataval_identity = text
            return function

        assert identity(named("first")) == identity(named("first")) != identity(named("second"))


def test_versions_of_python_are_not_compared():
    mine = identity(helper)
    assert is_comparable(mine, identity(scaled))
    assert not is_comparable(mine, "py2.7:" + mine.partition(":")[2])

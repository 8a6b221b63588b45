"""How a model wants its inputs, as its signature says."""

from __future__ import annotations

import pytest

from dataval.errors import InvalidModelError
from dataval_tensorflow.batches import Batch
from dataval_tensorflow.model.calling import Call

TWO, NAMED = ("a", "b"), {"x": "a", "z": "b"}


def one(x):
    return [x]


def two(x, z):
    return [x, z]


def many(*inputs):
    return list(inputs)


def keywords(**inputs):
    return inputs


def with_mode(x, training=False):
    return [x, training]


def with_mask(x, mask=None):
    return [x, mask]


@pytest.mark.parametrize(
    ("function", "inputs", "expected"),
    [
        (one, "a", ["a"]),
        (one, TWO, [TWO]),  # no room for two: one structure, as Keras models take them
        (one, NAMED, [NAMED]),
        (two, TWO, ["a", "b"]),
        (two, NAMED, ["a", "b"]),
        (two, {"z": "b", "x": "a"}, ["a", "b"]),
        (many, TWO, ["a", "b"]),
        (keywords, NAMED, NAMED),
        (with_mode, "a", ["a", True]),
        (with_mode, TWO, [TWO, True]),
        (with_mask, TWO, [TWO, None]),  # a mask is no input
    ],
)
def test_arguments(function, inputs, expected):
    call = Call(function, bound=False)
    assert call(function, Batch(inputs, None), training=True) == expected


def test_the_mode_is_told_where_the_model_takes_it_or_it_is_asked_to():
    modes = [Call(with_mode, bound=False)(with_mode, Batch("a", None), training=t)[1] for t in (True, False)]
    assert modes == [True, False]

    def hidden(x, **options):
        return options

    assert Call(one, bound=False)(hidden, Batch("a", None), training=True, tell=True) == {"training": True}


def test_the_model_itself_is_no_input():
    class Model:
        def __call__(self, x, z):
            return [x, z]

    assert Call(Model.__call__, bound=True)(Model(), Batch(TWO, None), training=True) == ["a", "b"]


def test_a_model_that_cannot_be_called():
    with pytest.raises(InvalidModelError, match="can't be called: give its class a method __call__"):
        Call(None, bound=True)

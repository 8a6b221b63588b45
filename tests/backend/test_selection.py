"""Which parameters are trained."""

from __future__ import annotations

import pytest

from dataval.backend.selection import select
from dataval.errors import InvalidModelError

NAMED = {"body.0.weight": 1, "body.0.bias": 2, "head.weight": 3, "head.bias": 4}


@pytest.mark.parametrize(
    ("params", "chosen"),
    [
        (None, [1, 2, 3, 4]),
        ("head.*", [3, 4]),
        (["head.weight"], [3]),
        (["head.*", "*.bias"], [2, 3, 4]),
        (["head.weight", "body.0.weight"], [1, 3]),  # the model's order, not the list's
        (lambda name: "0" in name, [1, 2]),
        (["body.[0-9].weight"], [1]),
    ],
    ids=lambda value: "predicate" if callable(value) else str(value),
)
def test_names_patterns_and_predicates(params, chosen):
    assert list(select(NAMED, params, has_frozen=False).values()) == chosen


@pytest.mark.parametrize("params", [["head.*", "neck.*"], ["HEAD.*"], [], lambda name: False])
def test_what_selects_nothing_is_refused(params):
    with pytest.raises(InvalidModelError, match=r"selects no trainable parameter.*'head\.bias'"):
        select(NAMED, params, has_frozen=False)


def test_the_entry_that_selects_nothing_is_named():
    with pytest.raises(InvalidModelError, match=r"parameter with \['neck\.\*'\]"):
        select(NAMED, ["head.*", "neck.*"], has_frozen=False)


@pytest.mark.parametrize(("has_frozen", "message"), [(True, "all are frozen"), (False, "none at all")])
def test_models_without_parameters(has_frozen, message):
    with pytest.raises(InvalidModelError, match=message):
        select({}, None, has_frozen=has_frozen)

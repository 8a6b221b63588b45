"""The first way that works is used, after a rehearsal against the last."""

from __future__ import annotations

import numpy as np
import pytest

from dataval.backend import ways
from dataval.backend.ways import agree


class FirstThatWorks(ways.FirstThatWorks):
    """Of functions of NumPy arrays, where a missing operation is a NotImplementedError."""

    unsupported = (NotImplementedError, RuntimeError)
    fatal = (MemoryError, RecursionError)  # the second is a RuntimeError too


def right(x):
    return x * 2


def wrong(x):
    return x * 2 + (x > 1)


def unsupported(x):
    raise NotImplementedError


def small_case():
    return (np.array([0.5, 3.0]),)


@pytest.mark.parametrize("first", [wrong, unsupported])
def test_a_way_that_fails_is_passed_over_for_good(first):
    chosen = FirstThatWorks(first, right, rehearsal=small_case)
    assert chosen(np.array([4.0])) == 8.0
    assert chosen._ways == [right]
    assert not chosen.is_fast()


def test_a_way_that_agrees_is_rehearsed_once():
    rehearsals = []

    def case():
        rehearsals.append(1)
        return small_case()

    chosen = FirstThatWorks(lambda x: x + x, right, rehearsal=case)
    assert [chosen(np.array([i])).item() for i in (1.0, 2.0)] == [2.0, 4.0]
    assert len(chosen._ways) == 2
    assert chosen.is_fast()
    assert len(rehearsals) == 1


def test_a_way_that_fails_after_its_rehearsal_is_passed_over():
    def small_only(x):
        if len(x) > 2:
            raise NotImplementedError
        return right(x)

    chosen = FirstThatWorks(small_only, right, rehearsal=small_case)
    assert chosen.is_fast()
    np.testing.assert_array_equal(chosen(np.ones(3)), right(np.ones(3)))
    assert not chosen.is_fast()


def test_the_last_way_raises():
    with pytest.raises(NotImplementedError):
        FirstThatWorks(wrong, unsupported, rehearsal=small_case)(np.ones(1))


@pytest.mark.parametrize("error", [MemoryError, RecursionError])
def test_what_is_fatal_is_no_missing_operation(error):
    def hungry(x):
        raise error("too large")

    with pytest.raises(error):
        FirstThatWorks(hungry, right)(np.ones(1))
    with pytest.raises(error):
        FirstThatWorks(hungry, right, rehearsal=small_case)(np.ones(1))


def test_an_error_of_another_kind_is_raised():
    def faulty(x):
        raise KeyError("a fault of ours")

    with pytest.raises(KeyError):
        FirstThatWorks(faulty, right, rehearsal=small_case)(np.ones(1))


def test_results_of_several_arrays_are_compared():
    chosen = FirstThatWorks(lambda x: [x, x], lambda x: [x, 2 * x], rehearsal=small_case)
    assert chosen(np.ones(1))[1] == 2


def test_another_reference_than_the_last_way():
    chosen = FirstThatWorks(right, wrong, rehearsal=small_case, reference=wrong)
    assert chosen._ways == [right, wrong]
    assert not chosen.is_fast()
    chosen = FirstThatWorks(right, wrong, rehearsal=small_case, reference=lambda x: x + x)
    assert chosen.is_fast()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_half_the_digits_have_to_agree(dtype):
    expected, half = np.array([1.0, 1e-9], dtype), np.finfo(dtype).eps ** 0.5
    assert agree(expected + np.array([0.5 * half, 0], dtype), expected)
    assert not agree(expected + np.array([2 * half, 0], dtype), expected)
    assert agree([expected, expected[:0]], (expected, expected[:0]))

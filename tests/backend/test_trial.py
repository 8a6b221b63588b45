"""What is said of the first run of a model."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from dataval.backend.trial import check_losses, check_repeatable, run_example, warn_unused
from dataval.errors import InvalidDataError, InvalidModelError, UnusedParameterWarning


def failing(error):
    def explore():
        raise error

    return explore


def test_the_outputs_are_returned():
    assert run_example(lambda: "outputs", np.zeros((4, 6)), 4) == "outputs"


@pytest.mark.parametrize(
    ("inputs", "described"),
    [
        (np.zeros((4, 6), "float32"), r"float32\(4, 6\)"),
        ((np.zeros((4, 6)), np.zeros(4, int)), r"\(float64\(4, 6\), int64\(4,\)\)"),
        ({"ids": np.zeros((4, 2), "uint8")}, r"\{'ids': uint8\(4, 2\)\}"),
    ],
)
def test_a_failure_describes_the_inputs_in_one_line(inputs, described):
    error = ValueError("\x1b[31mmat1\x1b[0m and mat2\n\n  don't fit")
    message = f"first 4 samples, inputs {described}: mat1 and mat2 don't fit\\. Check shape and dtype"
    with pytest.raises(InvalidDataError, match=message) as caught:
        run_example(failing(error), inputs, 4)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("kind", [InvalidDataError, InvalidModelError])
def test_what_is_explained_already_is_left_alone(kind):
    with pytest.raises(kind, match=r"^as it is$"):
        run_example(failing(kind("as it is")), np.zeros(4), 4)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        (np.float64(1.0), "single number.*reduction='none'"),
        (np.ones((4, 1)), r"shape \(4, 1\) for 4 samples: it must be \(4,\)"),
        (np.ones(3), r"shape \(3,\) for 4 samples"),
        (np.array([1, np.nan, 1, 1]), r"\[1.0, nan, 1.0, 1.0\] before training has begun"),
        (np.array([1, np.inf, 1, 1]), "before training has begun"),
    ],
)
def test_losses_that_are_not_one_finite_number_a_sample(losses, message):
    with pytest.raises(InvalidModelError, match=message):
        check_losses(np.asarray(losses), 4)
    check_losses(np.ones(4), 4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_runs_that_differ_by_more_than_rounding(dtype):
    losses, half = np.ones(4, dtype), np.finfo(dtype).eps ** 0.5
    check_repeatable(losses, losses + np.array(half, dtype), "that is no buffer")
    with pytest.raises(InvalidModelError, match=r"no seed controls.*keeps a state that is no buffer"):
        check_repeatable(losses, losses + np.array(4 * half, dtype), "that is no buffer")


def test_unused_parameters_are_named():
    with pytest.warns(UnusedParameterWarning, match=r"no gradient from the loss: \['idle'\]"):
        warn_unused(["idle"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_unused([])

"""Checks that every optimizer has to pass, and NumPy as an array library for them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from dataval.training.optimizers import Optimizer

RATE = 0.07
"""Learning rate of single updates; not the optimizer's own, which schedules multiply."""


class NumpyOps:
    """The two operations that clipping needs."""

    def inner(self, left: NDArray, right: NDArray, /) -> NDArray:
        return (left * right).sum(-1, keepdims=True)

    def minimum(self, array: NDArray, bound: float, /) -> NDArray:
        return np.minimum(array, bound)


class TorchOps:
    """The same on tensors."""

    def inner(self, left, right, /):
        return (left * right).sum(-1, keepdim=True)

    def minimum(self, array, bound, /):
        return array.clamp(max=bound)


def check_agrees_with_torch(
    optimizer: Optimizer, torch_class: str, *, tolerance: float = 1e-10, **options: object
) -> None:
    """Compare 50 updates along the gradients of one curved function with an optimizer of torch."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    start, matrix = rng.normal(size=20), rng.normal(size=(50, 20, 20)) / 5

    theirs = torch.nn.Parameter(torch.tensor(start))
    torch_optimizer = getattr(torch.optim, torch_class)([theirs], lr=optimizer.learning_rate, **options)
    mine, slots = start, optimizer.init_slots(start)
    for step in range(50):
        theirs.grad = torch.tensor(gradient_at(matrix[step], theirs.detach().numpy()))
        torch_optimizer.step()
        mine, slots = optimizer.update(mine, slots, gradient_at(matrix[step], mine), optimizer.at(step))
    assert np.abs(mine - start).max() > 1e-2
    # The same arithmetic in another order: rounding of float64, over 50 updates of numbers of order 1.
    np.testing.assert_allclose(mine, theirs.detach().numpy(), rtol=0, atol=tolerance)


def gradient_at(matrix: NDArray, parameters: NDArray) -> NDArray:
    """Return a gradient of no symmetry that depends on where it is taken."""
    return matrix @ np.sin(parameters) + 0.1 * parameters


def check_vjp_against_finite_differences(optimizer: Optimizer, step: int, lead: tuple[int, ...]) -> None:
    """Compare the pullback with central differences of the update in each of its arguments' entries."""
    state, bars = draw(optimizer, lead)
    found = pull_back(optimizer, state, bars, step)
    for index, (derivative, argument) in enumerate(zip(found, state, strict=True)):
        expected = np.empty_like(argument)
        for at in np.ndindex(argument.shape):
            ends = []
            for sign in (1, -1):
                moved = [array.copy() for array in state]
                moved[index][at] += sign * 1e-5
                ends.append(paired(optimizer, moved, bars, step))
            expected[at] = (ends[0] - ends[1]) / 2e-5
        # Steps of 1e-5 on values of order 1: truncation and rounding are both about 1e-10.
        np.testing.assert_allclose(derivative, expected, rtol=1e-7, atol=1e-8)


def check_vjp_against_autograd(optimizer: Optimizer, step: int, lead: tuple[int, ...]) -> None:
    """Compare the pullback, on torch's tensors, with torch's own differentiation of the update."""
    torch = pytest.importorskip("torch")
    state, bars = draw(optimizer, lead)
    tensors = [torch.tensor(array, requires_grad=True) for array in state]
    bars = [torch.tensor(array) for array in bars]
    expected = torch.autograd.grad(paired(optimizer, tensors, bars, step), tensors, materialize_grads=True)
    found = pull_back(optimizer, [tensor.detach() for tensor in tensors], bars, step)
    for mine, theirs in zip(found, expected, strict=True):
        # The same derivative in another order of operations: rounding of float64.
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-12, atol=1e-14)


def check_vjp_of_many_cotangents(optimizer: Optimizer, step: int) -> None:
    """K cotangents of one state give what they give one by one."""
    state, _ = draw(optimizer, ())
    _, bars = draw(optimizer, (3,))
    together = pull_back(optimizer, state, bars, step)
    for k in range(3):
        alone = pull_back(optimizer, state, [bar[k] for bar in bars], step)
        for all_rows, row in zip(together, alone, strict=True):
            np.testing.assert_array_equal(all_rows[k], row)


def check_update_of_many_states(optimizer: Optimizer, step: int) -> None:
    """K states advance together as they do one by one."""
    state, _ = draw(optimizer, (3,))
    together = flat_update(optimizer, state, step)
    for k in range(3):
        alone = flat_update(optimizer, [array[k] for array in state], step)
        for all_rows, row in zip(together, alone, strict=True):
            np.testing.assert_array_equal(all_rows[k], row)


def draw(optimizer: Optimizer, lead: tuple[int, ...]) -> tuple[list[NDArray], list[NDArray]]:
    """Draw parameters, slots and gradient, and cotangents of the parameters and slots after the update."""
    rng = np.random.default_rng(1)
    shape = (*lead, 5)
    # Positive, as Adam's second moment is, and far from 0, where its root is not differentiable.
    slots = [rng.uniform(0.5, 1.5, shape) for _ in range(optimizer.n_slots)]
    if getattr(optimizer, "centered", False):
        slots[1] *= 0.3  # the square of a mean is below the mean of squares
    state = [rng.normal(size=shape), *slots, rng.normal(size=shape)]
    return state, [rng.normal(size=shape) for _ in range(1 + optimizer.n_slots)]


def at(optimizer: Optimizer, step: int):
    return optimizer.at(step, learning_rate=RATE)


def flat_update(optimizer: Optimizer, state: list, step: int) -> list:
    parameters, slots = optimizer.update(state[0], tuple(state[1:-1]), state[-1], at(optimizer, step))
    return [parameters, *slots]


def paired(optimizer: Optimizer, state: list, bars: list, step: int):
    """Return the inner product of what the update yields and the cotangents."""
    results = flat_update(optimizer, state, step)
    return sum((result * bar).sum() for result, bar in zip(results, bars, strict=True))


def pull_back(optimizer: Optimizer, state: list, bars: list, step: int) -> list:
    parameters_bar, slots_bar, gradient_bar = optimizer.update_vjp(
        bars[0], tuple(bars[1:]), state[0], tuple(state[1:-1]), state[-1], at(optimizer, step)
    )
    assert len(slots_bar) == optimizer.n_slots
    return [parameters_bar, *slots_bar, gradient_bar]


def refused(build: Callable[[], object], match: str) -> None:
    """Assert that pydantic refuses, naming the field or the rule."""
    with pytest.raises(ValueError, match=match):
        build()

"""What every optimizer must satisfy, for those who write one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.testing.comparison import central
from dataval.training.optimizers import Optimizer

__all__ = ["check_optimizer"]

_SIZE = 5
_DIFFERENCES = 1e-6  # central differences of fourth order of numbers of order 1
_ROUNDING = 1e-12

Point = list[NDArray[Any]]


def check_optimizer(optimizer: Optimizer, *, steps: Sequence[int] = (0, 1, 10), seed: int = 0) -> None:
    """Hold an optimizer's pullback against differences of its update, and both against one model at a time.

    Parameters
    ----------
    optimizer : Optimizer
        With any options; call it for each kind of arithmetic that they choose.
    steps : sequence of int, default (0, 1, 10)
        Numbers of updates to look at: corrections and switches depend on them.
    seed : int, default 0
        Draws where. Slots are drawn positive, as squares are.

    Raises
    ------
    AssertionError
        Naming what is wrong: the number of slots, a cotangent that differences contradict, results that
        depend on a leading axis.

    Examples
    --------
    >>> check_optimizer(SignedMomentum(learning_rate=0.1, momentum=0.9))
    """
    for step in steps:
        point, bars = _drawn(optimizer, seed, ())
        _check_update(optimizer, point, step)
        _check_pullback(optimizer, point, bars, step)
        _check_leading_axis(optimizer, seed, step)


def _drawn(optimizer: Optimizer, seed: int, lead: tuple[int, ...]) -> tuple[Point, Point]:
    """Draw parameters, slots and gradient, and cotangents of the first two."""
    rng = np.random.default_rng(seed)
    shape = (*lead, _SIZE)
    slots = [rng.uniform(0.5, 1.5, shape) for _ in range(optimizer.n_slots)]
    bars = [rng.normal(size=shape) for _ in range(1 + optimizer.n_slots)]
    return [rng.normal(size=shape), *slots, rng.normal(size=shape)], bars


def _updated(optimizer: Optimizer, point: Point, step: int) -> Point:
    parameters, slots = optimizer.update(point[0], tuple(point[1:-1]), point[-1], optimizer.at(step))
    return [parameters, *slots]


def _pulled(optimizer: Optimizer, point: Point, bars: Point, step: int) -> Point:
    before, slots, gradient_bar = optimizer.update_vjp(
        bars[0], tuple(bars[1:]), point[0], tuple(point[1:-1]), point[-1], optimizer.at(step)
    )
    return [before, *slots, gradient_bar]


def _check_update(optimizer: Optimizer, point: Point, step: int) -> None:
    name = type(optimizer).__name__
    assert len(optimizer.init_slots(point[0])) == optimizer.n_slots, (
        f"{name}.init_slots gives other than n_slots"
    )
    found = _updated(optimizer, point, step)
    assert len(found) == 1 + optimizer.n_slots, f"{name}.update returns {len(found) - 1} slots, not n_slots"
    for array in found:
        assert array.shape == (_SIZE,), f"{name}.update returns an array of shape {array.shape}"
        assert np.isfinite(array).all(), f"{name}.update returns what is not finite"


def _check_pullback(optimizer: Optimizer, point: Point, bars: Point, step: int) -> None:
    found = _pulled(optimizer, point, bars, step)
    name = type(optimizer).__name__
    assert len(found) == len(point), f"{name}.update_vjp returns {len(found) - 2} cotangents of slots"
    for i, what in enumerate(["parameters", *(f"slot {k}" for k in range(optimizer.n_slots)), "gradient"]):
        for at in range(_SIZE):

            def paired(shift: float, i: int = i, at: int = at) -> float:
                moved = [array.copy() for array in point]
                moved[i][at] += shift
                results = _updated(optimizer, moved, step)
                return sum(float(bar @ result) for bar, result in zip(bars, results, strict=True))

            expected = central(paired)
            assert abs(found[i][at] - expected) <= _DIFFERENCES * max(1.0, abs(expected)), (
                f"{name}.update_vjp at step {step}: the cotangent of the {what} is {found[i][at]:.6g}, "
                "differences of "
                f"update give {expected:.6g}"
            )


def _check_leading_axis(optimizer: Optimizer, seed: int, step: int) -> None:
    point, bars = _drawn(optimizer, seed, (3,))
    name = type(optimizer).__name__
    updated, pulled = _updated(optimizer, point, step), _pulled(optimizer, point, bars, step)
    for k in range(3):
        one, own = [array[k] for array in point], [bar[k] for bar in bars]
        pairs = [*zip(updated, _updated(optimizer, one, step), strict=True)]
        pairs += [*zip(pulled, _pulled(optimizer, one, own, step), strict=True)]
        for together, alone in pairs:
            near = np.abs(together[k] - alone).max() <= _ROUNDING * (1 + np.abs(alone).max())
            assert near, f"{name}: several models at once give something else than one by one"

"""Groups, frozen parameters and numbers that change: the update against a torch loop, and its pullback."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import dataval as dv
from dataval.backend import Arrays
from dataval.training.hyperparameters import Hyperparameters, constant_hyperparameters
from dataval.training.update import Update

SIZES, T = [3, 2, 4], 8
P = sum(SIZES)
RNG = np.random.default_rng(0)
GRADIENTS = RNG.normal(size=(T, P))
START = RNG.normal(size=P)


def varying(optimizer, n_groups=2):
    """Return numbers that differ by group and change with t; the last array is frozen for some updates."""
    values = {
        name: np.abs(constant) * RNG.uniform(0.5, 1.0, size=(T, n_groups))
        for name, constant in optimizer.constants().items()
    }
    active = np.ones((T, n_groups), dtype=bool)
    active[:3, 1] = False
    counts = np.cumsum(active, axis=0) - active
    return Hyperparameters(values, counts, active, np.array([0, 0, 1]))


def as_torch(optimizer, of):
    kinds = {dv.SGD: torch.optim.SGD, dv.AdamW: torch.optim.AdamW, dv.Adam: torch.optim.Adam}
    names = {"learning_rate": "lr", "epsilon": "eps"}
    found = {names.get(name, name): value for name, value in of.items()}
    if "beta1" in found:
        found["betas"] = (found.pop("beta1"), found.pop("beta2"))
    return kinds[type(optimizer)], found


OPTIMIZERS = {
    "sgd": dv.SGD(learning_rate=0.1, momentum=0.9, dampening=0.2, weight_decay=0.1),
    "adam": dv.Adam(learning_rate=0.1, weight_decay=0.1, epsilon=1e-3),
    "adamw": dv.AdamW(learning_rate=0.1, weight_decay=0.3, epsilon=1e-3),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_equals_a_torch_loop(name):
    optimizer, settings = OPTIMIZERS[name], varying(OPTIMIZERS[name])
    update = Update(optimizer, 0.5, settings, SIZES, Arrays())
    tensors = [torch.nn.Parameter(torch.tensor(piece)) for piece in np.split(START, np.cumsum(SIZES)[:-1])]
    groups = [{"params": tensors[:2]}, {"params": tensors[2:]}]
    kind, _ = as_torch(optimizer, {})
    theirs = kind(groups, lr=0.1, **({"momentum": 0.9} if name == "sgd" else {}))
    mine, slots = START, optimizer.init_slots(START)
    for step in range(T):
        for g, group in enumerate(theirs.param_groups):
            of = {n: float(array[step, g]) for n, array in settings.values.items()}
            group.update(as_torch(optimizer, of)[1])
        for i, (p, piece) in enumerate(
            zip(tensors, np.split(GRADIENTS[step], np.cumsum(SIZES)[:-1]), strict=True)
        ):
            is_active = settings.active[step, settings.groups[i]]
            p.grad = torch.tensor(piece) if is_active else None
        torch.nn.utils.clip_grad_norm_(tensors, 0.5)
        theirs.step()
        mine, slots = update(mine, slots, GRADIENTS[step], step)
    expected = np.concatenate([p.detach().numpy() for p in tensors])
    np.testing.assert_allclose(mine, expected, rtol=0, atol=1e-12)  # the same arithmetic in another order


@pytest.mark.parametrize("clip_norm", [None, 0.5])
@pytest.mark.parametrize("step", [0, 5])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_pullback_equals_differences(name, step, clip_norm):
    optimizer = OPTIMIZERS[name]
    update = Update(optimizer, clip_norm, varying(optimizer), SIZES, Arrays())
    rng = np.random.default_rng(1)
    point = [
        rng.normal(size=P),
        *(rng.uniform(0.5, 1.5, P) for _ in range(optimizer.n_slots)),
        rng.normal(size=P),
    ]
    bars = [rng.normal(size=P) for _ in range(1 + optimizer.n_slots)]

    def paired(point):
        parameters, slots = update(point[0], tuple(point[1:-1]), point[-1], step)
        return sum(float(bar @ found) for bar, found in zip(bars, [parameters, *slots], strict=True))

    before, slots, gradient_bar = update.vjp(
        bars[0], tuple(bars[1:]), point[0], tuple(point[1:-1]), point[-1], step
    )
    for at, found in enumerate([before, *slots, gradient_bar]):
        for i in range(P):
            ends = []
            for sign in (1, -1):
                moved = [array.copy() for array in point]
                moved[at][i] += sign * 1e-6
                ends.append(paired(moved))
            # Steps of 1e-6 on values of order 1.
            assert found[i] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6, abs=1e-7)


def test_what_is_frozen_stays():
    optimizer = OPTIMIZERS["sgd"]
    update = Update(optimizer, None, varying(optimizer), SIZES, Arrays())
    after, (slot,) = update(START, (np.ones(P),), GRADIENTS[0], 0)
    np.testing.assert_array_equal(after[-4:], START[-4:])
    np.testing.assert_array_equal(slot[-4:], 1)
    assert (after[:-4] != START[:-4]).all()


def test_groups_by_names():
    optimizer = dv.SGD(learning_rate=0.1, weight_decay=0.2, groups={"*.bias": {"weight_decay": 0.0}})
    names = ["a.weight", "a.bias", "b.weight"]
    found = constant_hyperparameters(optimizer, np.array([1.0, 0.5]), {}, names)
    np.testing.assert_array_equal(found.groups, [0, 1, 0])
    np.testing.assert_array_equal(found.values["weight_decay"], [[0.2, 0.0]] * 2)
    np.testing.assert_array_equal(found.learning_rates, [[0.1, 0.1], [0.05, 0.05]])
    assert not found.is_uniform
    with pytest.raises(ValueError, match=r"no parameter fits '\*\.bias'; there are w"):
        constant_hyperparameters(optimizer, np.ones(2), {}, ["w"])

"""Ensembles whose first layer is in its dual form, against training one by one, and which models have one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import dataval as dv
from dataval_torch.together.dual_form import find_dual_layer

N, D = 12, 20


def make_program(module, *, n=N, batch_size=5, optimizer=None, dtype=torch.float64, shape=(D,)):
    rng = np.random.default_rng(0)
    X, y = rng.normal(3.0, 1.0, (n, *shape)), rng.integers(0, 3, n)
    training = dv.Training(
        optimizer=optimizer or dv.SGD(learning_rate=0.05, momentum=0.9), epochs=3, batch_size=batch_size, seed=1
    )
    torch.manual_seed(0)
    learner = dv.Learner(module().to(dtype), training=training, progress=False)
    return learner.prepare(X, y).program


def mlp():
    return nn.Sequential(nn.Linear(D, 4), nn.Tanh(), nn.Linear(4, 3))


def dual_name(program, state=None):
    start = state or program.initial_state()
    layer = find_dual_layer(
        program.backend, start.parameters, start.slots, program._batches, program.training.optimizer, 2
    )
    return None if layer is None else layer.name


def assert_same_states(program, weights, *, forks):
    """Train members together, of which some are forked late, and one by one."""
    start = program.initial_state()
    together = program.with_weights(weights)
    ensemble = together.ensemble(start, len(weights))
    for step in range(program.plan.n_steps):
        ensemble.fork(forks(step))
        together.advance(ensemble, step)
    parameters, _ = ensemble.arrays()
    assert len(parameters) == len(weights)
    for k, own in enumerate(weights):
        state, alone = start, program.with_weights(own)
        for step in range(program.plan.n_steps):
            state, _ = alone.step(state, step)
        # The same sums in another order, over 9 updates of numbers of order 1.
        torch.testing.assert_close(parameters[k], state.parameters, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "weight_decay": 0.1},
        {"momentum": 0.9, "dampening": 0.3},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        {"weight_decay": 0.3},
    ],
)
@pytest.mark.parametrize("module", [mlp, lambda: nn.Linear(D, 3, bias=False)])
def test_equals_one_by_one(module, options):
    program = make_program(module, optimizer=dv.SGD(learning_rate=0.05, **options))
    assert dual_name(program) is not None
    weights = np.ones((3, N))
    parts_at = int(np.flatnonzero([0 in program.plan.batch(t) for t in range(3)])[0])
    weights[1, 0], weights[2, 1] = 0.0, 0.5
    together = [t >= parts_at for t in range(program.plan.n_steps)]
    assert_same_states(program, weights, forks=lambda step: 3)
    assert_same_states(program, weights[:2], forks=lambda step: 1 + together[step])


class Scaled(nn.Module):
    """The layer's input depends on a parameter."""

    def __init__(self):
        super().__init__()
        self.scale, self.linear = nn.Parameter(torch.ones(D)), nn.Linear(D, 3)

    def forward(self, x):
        return self.linear(x * self.scale)


class Twice(nn.Module):
    """The weights are used again elsewhere."""

    def __init__(self, elsewhere):
        super().__init__()
        self.linear, self.elsewhere = nn.Linear(D, 3), elsewhere

    def forward(self, x):
        return self.linear(x) + self.elsewhere(self.linear, x)


class Among(nn.Module):
    """What the layer is given depends on the rest of the batch."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(D, 3)

    def forward(self, x):
        return self.linear(x - x.mean(0))


class ByKeyword(nn.Module):
    """Calls a linear layer in another way than the modules do, after one that has a dual form."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(D, 4), nn.Linear(4, 3)

    def forward(self, x):
        return nn.functional.linear(torch.tanh(self.first(x)), weight=self.second.weight, bias=self.second.bias)


class Square(torch.autograd.Function):
    """An operation that vmap knows nothing of."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, bar):
        return 2 * ctx.saved_tensors[0] * bar


class Unbatched(nn.Sequential):
    def forward(self, x):
        return self[1](Square.apply(self[0](x)))


def frozen_first():
    module = nn.Sequential(nn.Linear(D, 16), nn.Tanh(), nn.Linear(16, 3))
    module[0].requires_grad_(False)
    return module


def test_the_layer_is_the_first_that_is_trained():
    assert dual_name(make_program(mlp)) == "0.weight"
    assert dual_name(make_program(frozen_first)) == "2.weight"
    flat = make_program(lambda: nn.Sequential(nn.Flatten(), mlp()), shape=(4, 5))
    assert dual_name(flat) == "1.0.weight"
    by_keyword = make_program(ByKeyword)
    assert dual_name(by_keyword) == "first.weight"
    assert_same_states(by_keyword, np.linspace(0, 1, 2 * N).reshape(2, N), forks=lambda step: 2)
    assert_same_states(make_program(frozen_first), np.linspace(0, 1, 2 * N).reshape(2, N), forks=lambda step: 2)


@pytest.mark.parametrize(
    "module",
    [
        Scaled,
        Among,
        lambda: Unbatched(nn.Linear(D, 4), nn.Linear(4, 3)),
        lambda: Twice(lambda linear, x: linear(x.flip(1))),
        lambda: Twice(lambda linear, x: x @ linear.weight.T),
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(D, 3)),
        lambda: nn.Sequential(nn.Dropout(0.5), nn.Linear(D, 3)),
        lambda: nn.Sequential(nn.BatchNorm1d(D, affine=False), nn.Linear(D, 3)),
        lambda: nn.Sequential(nn.Unflatten(1, (5, 4)), nn.Linear(4, 3), nn.Flatten(), nn.Linear(15, 3)),
    ],
)
def test_models_that_have_none(module):
    program = make_program(module)
    assert dual_name(program) is None
    assert_same_states(program, np.linspace(0, 1, 2 * N).reshape(2, N), forks=lambda step: 2)


def test_runs_that_have_none():
    assert dual_name(make_program(mlp, n=D)) is not None
    assert dual_name(make_program(mlp, n=D + 1)) is None
    assert dual_name(make_program(mlp, optimizer=dv.Adam())) is None
    program = make_program(mlp)
    after, _ = program.step(program.initial_state(), 0)
    assert dual_name(program, after) is None

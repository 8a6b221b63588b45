"""How costs grow, by counted floating-point operations: no clock is asked."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

import dataval as dv  # noqa: E402
from dataval.errors import SlowPathWarning  # noqa: E402

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(48, 1, 8, 8)), RNG.integers(0, 3, 48)


class OwnWay(nn.Module):
    """No layer that is known by name, and a branch that keeps vmap away."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Parameter(torch.randn(64, 8) / 8), nn.Parameter(torch.randn(8, 3))

    def forward(self, x):
        hidden = torch.tanh(x.flatten(1) @ (1.0 * self.first))
        return (hidden if float(hidden.detach().sum()) < 1e9 else -hidden) @ (1.0 * self.last)


def convolutional(*extra):
    torch.manual_seed(0)
    after = [nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 16), nn.Tanh(), nn.Linear(16, 3)]
    return nn.Sequential(nn.Conv2d(1, 4, 3), *extra, *after)


MODELS = {
    "plain": convolutional,
    "batch normalisation": lambda: convolutional(nn.BatchNorm2d(4)),
    "dropout": lambda: convolutional(nn.Dropout(0.1)),
    "own way": OwnWay,
}


def flops(action):
    action()  # what is tried out before it is relied on is no part of the cost
    with FlopCounterMode(display=False) as counter:
        action()
    return counter.get_total_flops()


def fitted(method, model, n=48, **options):
    optimizer = options.pop("optimizer", dv.SGD(learning_rate=0.01))
    training = dv.Training(optimizer=optimizer, epochs=1, batch_size=24)
    learner = dv.Learner(model.double(), training=training, progress=False)
    return method(learner, **options).fit(X[:n], Y[:n])


@pytest.mark.parametrize("name", MODELS)
def test_hessian_free_attribute_has_no_cliff_in_the_questions(name):
    hydra = fitted(dv.HyDRA, MODELS[name]())
    one, three, four, eight = (flops(lambda k=k: hydra.attribute(X[:k], Y[:k])) for k in (1, 3, 4, 8))
    assert four <= 1.5 * three  # 4 / 3, and what belongs to no question
    assert eight <= 2.8 * three  # 8 / 3, and the gradients of the questions themselves
    assert eight <= 9 * one


@pytest.mark.parametrize("name", ["plain", "dropout"])
def test_questions_share_the_layers(name):
    hydra = fitted(dv.HyDRA, MODELS[name]())
    few, many = (flops(lambda k=k: hydra.attribute(X[:k], Y[:k])) for k in (4, 32))
    assert many <= 3 * few  # products of a few numbers more for each question; one by one it would be 8


def test_adaptive_optimizers_take_one_pass():
    model = convolutional()
    sgd = fitted(dv.HyDRA, model)
    adamw = fitted(dv.HyDRA, model, optimizer=dv.AdamW(learning_rate=0.01))
    assert flops(lambda: adamw.score(X[:8], Y[:8])) <= 1.5 * flops(lambda: sgd.score(X[:8], Y[:8]))


HYDRA = lambda learner: dv.HyDRA(learner, hessian=True)  # noqa: E731


@pytest.mark.parametrize("name", ["plain", "batch normalisation", "own way"])
@pytest.mark.parametrize(
    "method",
    [dv.GraNd, dv.TracIn, HYDRA],
    ids=["GraNd", "TracIn", "HyDRA"],
)
def test_costs_grow_with_the_samples(method, name):
    small, large = (fitted(method, MODELS[name](), n) for n in (24, 48))
    few, many = (flops(lambda m=m: m.score(X[:4], Y[:4])) for m in (small, large))
    assert many <= 2.1 * few


def test_going_one_by_one_is_said_once():
    method = fitted(dv.GraNd, OwnWay())
    with pytest.warns(SlowPathWarning, match="single samples take a pass back each.*vmap") as said:
        method.score(X[:4], Y[:4])
    assert len(said) == 1
    assert len(str(said[0].message)) < 250
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        method.score(X[:4], Y[:4])


def test_costs_grow_with_the_parameters():
    def wide(n):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, n), nn.Tanh(), nn.Linear(n, 3))

    few, many = (
        flops(lambda m=m: m.attribute(X[:16], Y[:16])) for m in (fitted(dv.HyDRA, wide(n)) for n in (32, 64))
    )
    assert many <= 2.1 * few

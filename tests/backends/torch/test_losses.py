"""Named losses against torch.nn.functional, and what is said of losses that can't be used."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import dataval as dv
from dataval.backend.losses import BinaryCrossEntropy, CrossEntropy
from dataval.errors import InvalidDataError, InvalidModelError
from tests.backends.support import SEED, assert_near, make_backend, make_case
from tests.zoo.data import features

X, Y = features(5)


class Reshaped(nn.Module):
    """A linear layer whose outputs get a shape."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.linear, self.shape = nn.Linear(6, int(np.prod(shape))), shape

    def forward(self, x):
        return self.linear(x).reshape(-1, *self.shape)


def losses_and_outputs(model, y, loss):
    case = make_case(model.double(), X, y, loss)
    return case.losses(case.parameters), model(case.batch.inputs).detach()


WEIGHTS = (0.5, 2.0, 1.0)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 2, 2)])
def test_cross_entropy(smoothing, weights, shape):
    y = np.random.default_rng(0).integers(0, 3, (5, *shape[1:]))
    found, outputs = losses_and_outputs(
        Reshaped(*shape), y, CrossEntropy(label_smoothing=smoothing, class_weights=weights)
    )
    weight = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    expected = F.cross_entropy(
        outputs, torch.from_numpy(y), weight, label_smoothing=smoothing, reduction="none"
    )
    assert_near(found, expected.reshape(5, -1).mean(1).numpy(), 1e-14)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_, np.float32])
@pytest.mark.parametrize("shape", [(1,), (4,)])
def test_binary_cross_entropy(dtype, shape):
    y = np.random.default_rng(0).integers(0, 2, (5, *(shape if shape != (1,) else ()))).astype(dtype)
    found, outputs = losses_and_outputs(
        Reshaped(*shape), y, BinaryCrossEntropy(label_smoothing=0.1, class_weights=(0.5, 2.0))
    )
    target = torch.from_numpy(y.astype(float)).reshape(outputs.shape)
    each = F.binary_cross_entropy_with_logits(outputs, target * 0.9 + 0.05, reduction="none")
    expected = each * torch.where(target == 1, 2.0, 0.5)
    assert_near(found, expected.mean(1).numpy(), 1e-14)


@pytest.mark.parametrize("shape", [(1,), (4,), (2, 3)])
def test_mse(shape):
    y = np.random.default_rng(0).normal(size=(5, *(shape if shape != (1,) else ())))
    found, outputs = losses_and_outputs(Reshaped(*shape), y, "mse")
    expected = F.mse_loss(outputs, torch.from_numpy(y).reshape(outputs.shape), reduction="none")
    assert_near(found, expected.reshape(5, -1).mean(1).numpy(), 1e-14)


def per_sample(outputs, targets):
    return F.cross_entropy(outputs, targets, reduction="none")


def test_a_function_of_objects():
    class Structured(nn.Linear):
        def forward(self, x):
            return SimpleNamespace(logits=super().forward(x))

    torch.manual_seed(0)
    model = Structured(6, 3).double()
    case = make_case(model, X, Y, lambda outputs, targets: per_sample(outputs.logits, targets))
    plain = make_case(nn.Linear(6, 3).double(), X, Y)
    point, weights, vector = plain.draw(21), plain.weights(), plain.draw(21)
    np.testing.assert_array_equal(case.gradient(point, weights)[1], plain.gradient(point, weights)[1])
    arguments = point, case.buffers, case.batch
    for find in (
        lambda backend: backend.loss.slopes(*arguments, vector, SEED),
        lambda backend: backend.loss.rows(*arguments, SEED),
        lambda backend: backend.objective().rows(*arguments)[0],
    ):
        found, expected = find(case.backend), find(plain.backend)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    with pytest.raises(InvalidModelError, match="Gauss-Newton"):
        case.backend.objective().gauss_newton_products(*arguments, weights, vector)
    named = make_case(model, X, Y, "cross_entropy")  # which finds the logits
    np.testing.assert_array_equal(named.gradient(point, weights)[1], plain.gradient(point, weights)[1])
    found, expected = (
        each.backend.objective().gauss_newton_products(*arguments, weights, vector) for each in (named, plain)
    )
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def test_of_two_outputs_none_is_meant():
    class Two(nn.Linear):
        def forward(self, x):
            return super().forward(x), super().forward(2 * x)

    with pytest.raises(InvalidModelError, match=r"returned a tuple; .*outputs=lambda"):
        make_backend(Two(6, 3).double(), X, Y, "cross_entropy")


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (F.cross_entropy, "reduction='none'"),
        (lambda o, t: per_sample(o, t).unsqueeze(1), r"must be \(4,\)"),
        (lambda o, t: per_sample(o, t).detach(), "does not depend on the trained parameters"),
        (lambda o, t: per_sample(o, t) * float("nan"), "before training has begun"),
        (lambda o, t: [1.0] * len(t), "returned a list"),
    ],
)
def test_losses_that_cannot_be_used(loss, message):
    with pytest.raises(InvalidModelError, match=message):
        make_backend(nn.Linear(6, 3), X, Y, loss)


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        ("cross_entropy", Y.astype(float), "integer class labels"),
        ("cross_entropy", Y[:, None], "labels of shape"),
        ("mse", np.zeros((5, 2)), "make them equal"),
        ("binary_cross_entropy", np.full((5, 3), 2), r"targets in \[0, 1\]"),
    ],
)
def test_targets_that_do_not_fit(loss, y, message):
    with pytest.raises(InvalidDataError, match=message):
        make_backend(nn.Linear(6, 3), X, y, loss)


def test_a_loss_in_another_dtype_is_used_as_it_is():
    case = make_case(nn.Linear(6, 3), X, Y, lambda o, t: per_sample(o.double(), t))
    _, gradient, _ = case.gradient(case.parameters, case.weights())
    assert gradient.dtype == np.float32


def test_an_objective_without_gradient_is_refused():
    case = make_case(nn.Linear(6, 3), X, Y)
    with pytest.raises(InvalidModelError, match="smooth"):
        case.backend.objective(lambda o, t: (o.argmax(1) == t).float()).gradient(*case.at)


def test_gauss_newton_of_a_loss_that_is_linear_in_the_outputs_is_zero():
    case = make_case(nn.Linear(6, 3).double(), X, Y, lambda o, t: o.gather(1, t[:, None])[:, 0])
    product = case.backend.objective().gauss_newton_products(
        case.parameters, case.buffers, case.batch, case.weights(), case.draw(case.P)
    )
    assert not product.any()


def test_training_with_an_unknown_loss_name():
    with pytest.raises(ValueError, match="choose one of"):
        dv.Learner(nn.Linear(6, 3), "no_such_loss", dv.Training(batch_size=5), progress=False).train(X, Y)

"""Second derivatives are held against differences of first ones, and nothing right is refused."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.backend import Linearization
from dataval.backend.second_order import check_second_order, is_close
from dataval.errors import NotTwiceDifferentiableError
from dataval.testing import Case, make_case
from tests.backends.support import make_backend
from tests.numpy_backend import NumpyBackend, SoftmaxRegression
from tests.zoo.data import features, images

X, Y = features(6)


class Bent:
    """The right loss with a pullback that a function has changed."""

    def __init__(self, loss, change):
        self._loss, self._change = loss, change

    def __getattr__(self, name):
        return getattr(self._loss, name)

    def linearize(self, parameters, buffers, batch, weights, seed):
        right = self._loss.linearize(parameters, buffers, batch, weights, seed)
        return Linearization(right.gradient, lambda *bars: self._change(*right.pullback(*bars)))


def bent_case(change, X=X) -> Case:
    rng = np.random.default_rng(0)
    case = make_case(NumpyBackend, SoftmaxRegression(rng.normal(size=(6, 3)), rng.normal(size=3)), X, Y)
    case.backend.loss = Bent(case.backend.loss, change)
    return case


def check(case):
    check_second_order(case.backend, case.batch)


def transposed(product):
    return product.reshape(7, 3)[::-1].reshape(-1)


WRONG = {
    "scaled": lambda product, slopes, buffers: (1.05 * product, slopes, buffers),
    "missing": lambda product, slopes, buffers: (0 * product, slopes, buffers),
    "moved": lambda product, slopes, buffers: (transposed(product), slopes, buffers),
    "one_parameter": lambda product, slopes, buffers: (product * (np.arange(21) < 18), slopes, buffers),
    "slopes": lambda product, slopes, buffers: (product, slopes[::-1], buffers),
}


def test_a_right_pullback_is_accepted():
    check(bent_case(lambda *bars: bars))


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_pullback_is_refused(wrong):
    with pytest.raises(NotTwiceDifferentiableError, match=r"an operation in the model's .*use hessian=False"):
        check(bent_case(WRONG[wrong]))


def test_what_the_backend_blames_is_named():
    case = bent_case(WRONG["missing"])
    case.backend.blame = lambda batch: "the layer 'act' (Clamp)"
    with pytest.raises(NotTwiceDifferentiableError, match=r"derivative of the layer 'act' \(Clamp\) differs"):
        check(case)


def test_it_is_judged_in_double_where_that_can_be_had():
    wrong, right = bent_case(WRONG["missing"]), bent_case(lambda *bars: bars)
    wrong.backend.in_double = lambda batch: (right.backend, right.batch)
    check(wrong)
    right.backend.in_double = lambda batch: (wrong.backend, wrong.batch)
    wrong.backend.in_double = lambda batch: None
    with pytest.raises(NotTwiceDifferentiableError):
        check(right)


def test_directions_without_a_gradient_are_left_out():
    """A feature that is 0 in every sample never moves its weights, whatever the product says of them."""

    def nonsense_in_the_first_weights(product, slopes, buffers):
        return product + 100 * (np.arange(21) < 3), slopes, buffers

    check(bent_case(nonsense_in_the_first_weights, X * (np.arange(6) > 0)))
    with pytest.raises(NotTwiceDifferentiableError):
        check(bent_case(nonsense_in_the_first_weights))


def test_exact_hydra_asks_before_it_trains(numpy_backend, monkeypatch):
    monkeypatch.setattr(
        "tests.numpy_backend.Batch.products", lambda self, parameters, weights, vectors: 0 * vectors
    )
    model = SoftmaxRegression(np.ones((6, 3)), np.zeros(3))
    learner = dv.Learner(model, training=dv.Training(epochs=1, batch_size=3), progress=False)
    steps = []
    monkeypatch.setattr("dataval.training.program.Program.step", lambda *_: steps.append(1))
    with pytest.raises(NotTwiceDifferentiableError):
        dv.HyDRA(learner, hessian=True).fit(X, Y)
    assert not steps


def torch_on_black_images(dtype):
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)]
    nn.init.zeros_(layers[0].bias)
    return nn.Sequential(*layers).to(getattr(torch, dtype))


def tensorflow_on_black_images(dtype):
    import keras
    from keras import layers

    from dataval_tensorflow.model.randomness import seeded

    make = {"dtype": dtype}
    with seeded(0):
        parts = [keras.Input((1, 8, 8), **make), layers.Permute((2, 3, 1), **make)]
        parts += [layers.Conv2D(4, 3, activation="relu", **make), layers.MaxPooling2D(2, **make)]
        return keras.Sequential([*parts, layers.Flatten(**make), layers.Dense(3, **make)])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_units_that_start_on_a_kink_are_no_missing_derivative(framework, dtype):
    """Zero biases on black pixels put units exactly on ReLU's kink, and tie the entries of a pooling window."""
    X, y = images(4)
    X[:, :, :5] = 0
    model = globals()[f"{framework}_on_black_images"](dtype)
    backend = make_backend(model, X.astype(dtype), y)
    check(Case(backend, dv.data.Data(X.astype(dtype), y)))


@pytest.mark.parametrize("padding", [0, 3])
def test_the_row_of_an_embeddings_padding_never_moves(padding):
    """Its gradient is defined to be 0, which no difference of losses knows of."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layers = [torch.nn.Embedding(5, 4, padding_idx=padding), torch.nn.Flatten(), torch.nn.Linear(12, 3)]
    tokens, y = np.arange(18).reshape(6, 3) % 5, np.arange(6) % 3
    training = dv.Training(epochs=1, batch_size=3, optimizer=dv.SGD(learning_rate=0.1))
    learner = dv.Learner(torch.nn.Sequential(*layers), training=training, progress=False)
    values = dv.HyDRA(learner, hessian=True).fit(tokens, y).score(tokens, y)
    assert np.isfinite(values).all()


def test_closeness_is_that_of_the_subtracted_numbers():
    """A thousandth of the largest entry, and the rounding of numbers of the given size."""
    ones = np.ones(3)
    assert is_close(1.0009 * ones, ones, 0.0, "float64")
    assert not is_close(1.0011 * ones, ones, 0.0, "float64")
    assert is_close(1.1 * ones, ones, 1e5, "float64")
    assert is_close(ones[:0], ones[:0], 0.0, "float64")
    assert not is_close(np.nan * ones, ones, 1.0, "float64")

"""The layer that can't be differentiated twice is named; right ones are not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dataval.errors import NotTwiceDifferentiableError
from dataval_torch.derivatives.second_order import named_layer_error
from tests.backends.support import SEED, make_case, zoo_case
from tests.backends.torch import models as m
from tests.zoo import torch_models
from tests.zoo.data import MAKERS, features


@pytest.mark.parametrize("model", sorted(MAKERS))
def test_no_layer_of_the_zoo_is_blamed(model):
    """One that draws random numbers draws the same for every difference, and leaves the generator alone."""
    case, state = zoo_case(torch_models, model), torch.get_rng_state()
    assert case.backend.blame(case.batch) is None
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("function", ["once", "hidden"])
def test_a_layer_with_a_wrong_or_missing_derivative_is_blamed(function):
    case = make_case(m.Wrapped(getattr(m, function)).double(), *features(5))
    assert case.backend.blame(case.batch) == "the layer 'middle' (Middle)"


class Refusing(torch.autograd.Function):
    """Says that its derivative can't be differentiated, as PyTorch's own operations do."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.tanh()

    @staticmethod
    def backward(ctx, bar):
        if torch.is_grad_enabled():
            raise NotImplementedError("derivative for refusing_backward is not implemented")
        (x,) = ctx.saved_tensors
        return bar * (1 - x.tanh() ** 2)


def test_a_missing_derivative_is_named_where_it_is_met():
    case = make_case(m.Wrapped(Refusing.apply).double(), *features(5))
    with pytest.raises(NotTwiceDifferentiableError, match=r"'middle' \(Middle\) has no second derivative"):
        case.backend.loss.linearize(*case.at, case.weights(), SEED).pullback(case.draw(case.P), case.buffers)
    with pytest.raises(NotTwiceDifferentiableError, match="middle"):
        case.backend.objective().hessian_products(*case.at, case.weights(), case.draw(case.P))


def test_errors_of_another_kind_pass():
    case = zoo_case(torch_models, "mlp")
    with pytest.raises(KeyError), named_layer_error(case.backend.model, case.batch):
        raise KeyError("not a derivative")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_model_in_double(dtype):
    case = zoo_case(torch_models, "cnn_batch_norm", dtype=dtype)
    double, batch = case.backend.in_double(case.batch)
    assert double.signature.dtype == "float64"
    assert double.signature.parameters == case.backend.signature.parameters
    assert batch.inputs.dtype.is_floating_point
    assert batch.inputs.dtype.itemsize == 8


def test_a_model_that_exists_in_float32_alone_has_no_double():
    class Single(nn.Linear):
        def forward(self, x):
            return super().forward(x.float())

    case = make_case(Single(6, 3), *features(5))
    assert case.backend.in_double(case.batch) is None

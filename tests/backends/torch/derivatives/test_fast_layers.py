"""Layers that are done otherwise than PyTorch does them, against PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.func import jvp, vmap
from torch.nn import functional

from dataval_torch.derivatives.fast_layers import FastLayers, TwiceDifferentiable
from dataval_torch.derivatives.gradients import batched_vjp
from dataval_torch.derivatives.slopes import load_forward_mode

load_forward_mode()  # which warns at its first use

ACTIVATIONS = {
    "relu": functional.relu,
    "torch.relu": torch.relu,
    "gelu": functional.gelu,
    "gelu tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "silu": functional.silu,
    "mish": functional.mish,
    "elu": lambda x: functional.elu(x, 0.7),
    "softplus": functional.softplus,
    "leaky_relu": lambda x: functional.leaky_relu(x, negative_slope=0.2),
    "hardswish": functional.hardswish,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


def images(shape=(3, 2, 7, 9), dtype=torch.float64):
    """Images with many equal entries, so that most windows have several maxima."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(-2, 3, shape, generator=generator).to(dtype) / 8


def pooling_and_its_derivatives(layer, x):
    """The output, its derivative along ones, the gradient, and the pullback of many cotangents of that."""
    free = x.clone().requires_grad_()
    out = layer(free)
    cotangent = torch.linspace(-1, 1, out.numel(), dtype=x.dtype).view(out.shape).requires_grad_()
    (gradient,) = torch.autograd.grad(out, free, cotangent, create_graph=True)
    along = torch.linspace(0, 1, 3 * x.numel(), dtype=x.dtype).view(3, *x.shape)
    (pulled,) = batched_vjp([gradient], [cotangent], [along])
    with forward_ad.dual_level():
        slope = forward_ad.unpack_dual(layer(forward_ad.make_dual(x, along[1])))[1]
    return out, slope, gradient, pulled


@pytest.mark.parametrize(
    "layer",
    [nn.MaxPool2d(2), nn.MaxPool2d((3, 1)), nn.AvgPool2d(2), nn.AvgPool2d((2, 3)), nn.AvgPool2d(1)],
    ids=str,
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pooling_is_pytorchs_to_the_bit(layer, dtype):
    def fast(x):
        with FastLayers():
            return layer(x)

    x = images(dtype=dtype) * (1 if isinstance(layer, nn.MaxPool2d) else torch.pi)
    for mine, theirs in zip(
        pooling_and_its_derivatives(fast, x), pooling_and_its_derivatives(layer, x), strict=True
    ):
        assert torch.equal(mine, theirs)
    assert type(fast(x.requires_grad_()).grad_fn) is not type(layer(x).grad_fn)


def test_pooling_passes_on_what_is_not_a_number():
    x = images()
    x[0, 0, 0, 0], x[1, 1, 3, 3] = torch.nan, torch.nan
    with FastLayers():
        found = functional.max_pool2d(x, 2), functional.avg_pool2d(x, 2)
    expected = functional.max_pool2d(x, 2), functional.avg_pool2d(x, 2)
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.equal(mine.isnan(), theirs.isnan())


@pytest.mark.parametrize("layer", [nn.MaxPool2d(2), nn.AvgPool2d(2)], ids=str)
def test_pooling_under_transforms(layer):
    x = images((4, 3, 2, 6, 4))
    with FastLayers():
        found, slopes = vmap(lambda one: jvp(layer, (one,), (one.cos(),)))(x)
    for one, out, slope in zip(x, found, slopes, strict=True):
        expected, along = jvp(layer, (one,), (one.cos(),))
        assert torch.equal(out, expected)
        assert torch.equal(slope, along)


@pytest.mark.parametrize(
    "layer",
    [
        nn.MaxPool2d(3, stride=2),
        nn.MaxPool2d(2, padding=1),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.MaxPool2d(2, dilation=2),
        nn.AvgPool2d(2, padding=1),
        nn.AvgPool2d(2, ceil_mode=True),
        nn.AvgPool2d(2, divisor_override=3),
        nn.AvgPool2d(5),
    ],
    ids=str,
)
def test_other_pooling_is_left_alone(layer):
    x = images().requires_grad_()
    with FastLayers():
        found = layer(x)
    assert torch.equal(found, layer(x))
    assert type(found.grad_fn) is type(layer(x).grad_fn)


def test_maxima_with_their_places_are_left_alone():
    with FastLayers():
        found, places = functional.max_pool2d(images(), 2, return_indices=True)
    assert found.shape == places.shape


def second_order(function, x):
    """A function of x with its gradient, and many cotangents pulled back through that."""
    free = x.clone().requires_grad_()
    out = function(free)
    (gradient,) = torch.autograd.grad((out**3).sum(), free, create_graph=True)
    along = torch.linspace(-1, 1, 4 * x.numel(), dtype=x.dtype).view(4, *x.shape)
    many = batched_vjp([gradient], [free], [along])[0]
    one = batched_vjp([gradient], [free], [along[2]])[0]
    return out, gradient, many, one


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_have_pytorchs_derivatives(name):
    function = ACTIVATIONS[name]

    def fast(x):
        with TwiceDifferentiable():
            return function(x)

    x = torch.linspace(-4, 4, 40, dtype=torch.float64).view(5, 8) + 0.013  # off the kinks
    (out, gradient, many, one), expected = second_order(fast, x), second_order(function, x)
    assert torch.equal(out, expected[0])
    for mine, theirs in zip((gradient, many, one), expected[1:], strict=True):
        # The same products in another order.
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-13)


def test_an_activation_in_place_is_left_alone():
    x = torch.ones(3, dtype=torch.float64, requires_grad=True)
    with TwiceDifferentiable():
        working = x * -1
        functional.relu(working, inplace=True)
    assert torch.equal(working, torch.zeros(3, dtype=torch.float64))


def test_cross_entropy_has_pytorchs_derivatives():
    targets = torch.tensor([1, -100, 0, 2])

    def loss(x):
        return functional.cross_entropy(x, targets, reduction="none")

    def fast(x):
        with TwiceDifferentiable():
            return loss(x)

    x = torch.linspace(-3, 5, 12, dtype=torch.float64).view(4, 3).sin()
    for mine, theirs in zip(second_order(fast, x), second_order(loss, x), strict=True):
        # Sums in another order.
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "options", [{"reduction": "mean"}, {"label_smoothing": 0.1}, {"weight": torch.ones(3)}], ids=str
)
def test_other_cross_entropies_are_left_alone(options):
    x, targets = torch.linspace(-3, 5, 12).view(4, 3), torch.tensor([1, 1, 0, 2])
    options = {"reduction": "none", **options}
    with TwiceDifferentiable():
        found = functional.cross_entropy(x, targets, **options)
    assert torch.equal(found, functional.cross_entropy(x, targets, **options))


def test_what_is_computed_again_elsewhere_is_pytorchs():
    x = torch.randn(1, 2, 4, 4, requires_grad=True)
    with FastLayers():
        ours = functional.max_pool2d(x, 2)
        with torch.autograd.graph.saved_tensors_hooks(
            lambda kept: kept, lambda kept: kept
        ):  # as checkpoints do
            native = functional.max_pool2d(x, 2)
    assert "MaxPool2D" in native.grad_fn.name()
    assert "MaxPool2D" not in ours.grad_fn.name()
    assert torch.equal(ours, native)

"""Convolutions with a fast second derivative, against PyTorch's own and against finite differences."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from dataval_torch.derivatives.fast_layers import TwiceDifferentiable
from dataval_torch.derivatives.gradients import batched_vjp

GEOMETRIES = {
    "1d": (nn.Conv1d(2, 4, 3), (2, 7)),
    "2d": (nn.Conv2d(2, 3, 3, padding=1), (2, 5, 4)),
    "3d": (nn.Conv3d(1, 2, 2), (1, 3, 3, 3)),
    "strided": (nn.Conv2d(2, 3, 3, stride=(2, 1), padding=(0, 2)), (2, 6, 5)),
    "dilated": (nn.Conv2d(1, 2, 2, dilation=(1, 2)), (1, 4, 5)),
    "grouped": (nn.Conv2d(4, 6, 2, groups=2), (4, 3, 3)),
    "depthwise_1d": (nn.Conv1d(3, 6, 2, groups=3, stride=2), (3, 5)),
    "grouped_3d": (nn.Conv3d(2, 4, 2, groups=2, padding=1, stride=(1, 2, 1)), (2, 2, 3, 2)),
    "without_bias": (nn.Conv2d(2, 3, 2, bias=False), (2, 3, 3)),
    "same_by_name": (nn.Conv2d(1, 2, 3, padding="same"), (1, 4, 4)),
}


def case(name):
    """The convolution as a function of input, filters and bias, and free tensors for them in float64."""
    layer, shape = GEOMETRIES[name]
    generator = torch.Generator().manual_seed(0)
    sizes = [(2, *shape), *(p.shape for p in layer.parameters())]
    free = [torch.randn(s, generator=generator, dtype=torch.float64, requires_grad=True) for s in sizes]

    def function(x, weight, bias=None):
        with TwiceDifferentiable():
            return layer._conv_forward(x, weight, bias)

    return function, free


def second_derivatives(function, free, along):
    """The gradients of a nonlinear function of the output, and those of their inner product with `along`."""
    first = torch.autograd.grad((function(*free) ** 3).sum(), free, create_graph=True)
    return first, torch.autograd.grad(first, free, along)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_derivatives_are_those_of_differences(name):
    function, free = case(name)
    assert gradcheck(function, free)
    assert gradgradcheck(function, free)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_equals_the_derivatives_of_torch(name):
    function, free = case(name)
    layer = GEOMETRIES[name][0]
    along = [torch.randn_like(leaf) for leaf in free]
    found = second_derivatives(function, free, along)
    expected = second_derivatives(lambda x, w, b=None: layer._conv_forward(x, w, b), free, along)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)  # sums in another order


@pytest.mark.parametrize("name", GEOMETRIES)
def test_many_cotangents_at_once_equal_one_by_one(name):
    function, free = case(name)
    first = torch.autograd.grad((function(*free) ** 3).sum(), free, create_graph=True)
    along = [torch.randn(3, *leaf.shape, dtype=torch.float64) for leaf in free]
    found = batched_vjp(first, free, along)
    rows = [torch.autograd.grad(first, free, row, retain_graph=True) for row in zip(*along, strict=True)]
    for batched, each in zip(found, zip(*rows, strict=True), strict=True):
        torch.testing.assert_close(batched, torch.stack(each), rtol=1e-12, atol=1e-12)  # sums in another order


def test_the_filters_of_an_image_without_a_gradient():
    function, (x, *rest) = case("2d")
    first = torch.autograd.grad((function(x.detach(), *rest) ** 3).sum(), rest, create_graph=True)
    found = torch.autograd.grad(first, rest, [torch.ones_like(p) for p in rest])
    own = nn.functional.conv2d(x.detach(), *rest, padding=1)
    first = torch.autograd.grad((own**3).sum(), rest, create_graph=True)
    expected = torch.autograd.grad(first, rest, [torch.ones_like(p) for p in rest])
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def test_frozen_filters_and_images_without_a_batch_axis():
    x = torch.randn(1, 4, 4, dtype=torch.float64, requires_grad=True)
    layer = nn.Conv2d(1, 2, 3).double().requires_grad_(False)
    with TwiceDifferentiable():
        found = layer(x)
        batched = layer(x[None])
    torch.testing.assert_close(found, layer(x))
    (gradient,) = torch.autograd.grad((batched**3).sum(), x, create_graph=True)
    (own,) = torch.autograd.grad((layer(x) ** 3).sum(), x, create_graph=True)
    along = torch.ones_like(x)
    mine, theirs = (torch.autograd.grad(g, x, along)[0] for g in (gradient, own))
    torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)

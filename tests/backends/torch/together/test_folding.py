"""Layers of several models at once, against the same layers one model after another."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.func import vmap
from torch.nn import functional as F

from dataval_torch.together.folding import FoldedLayers

K, N = 3, 4


def draw(*shape):
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


LAYERS = {
    "linear": (F.linear, (6,), (5, 6), (5,)),
    "linear_without_bias": (F.linear, (6,), (5, 6), None),
    "linear_of_sequences": (F.linear, (7, 6), (5, 6), (5,)),
    "conv": (F.conv2d, (2, 8, 7), (5, 2, 3, 2), (5,)),
    "conv_without_bias": (F.conv2d, (2, 8, 7), (5, 2, 3, 3), None),
    "conv_with_large_filters": (F.conv2d, (4, 8, 7), (2, 4, 3, 3), (2,)),
    "conv_with_options": (
        partial(F.conv2d, stride=(2, 1), padding=(1, 2), dilation=(1, 2)),
        (2, 9, 8),
        (5, 2, 3, 2),
        (5,),
    ),
    "conv_with_numbers": (partial(F.conv2d, stride=2, padding=1), (2, 8, 7), (6, 2, 3, 3), (6,)),
    "conv_same": (partial(F.conv2d, padding="same"), (2, 8, 7), (5, 2, 3, 3), (5,)),
    "conv_in_groups": (partial(F.conv2d, groups=2), (4, 8, 7), (6, 2, 3, 3), (6,)),
    "conv1d": (partial(F.conv1d, stride=2, padding=1, dilation=2), (3, 12), (5, 3, 3), (5,)),
    "conv1d_same": (partial(F.conv1d, padding="same"), (3, 12), (5, 3, 3), (5,)),
}

POOLS = {
    "max": partial(F.max_pool2d, kernel_size=2),
    "max_with_options": partial(F.max_pool2d, kernel_size=3, stride=2, padding=1),
    "average": partial(F.avg_pool2d, kernel_size=(2, 3)),
    "adaptive": partial(F.adaptive_avg_pool2d, output_size=(2, 1)),
}


def both_ways(function, tensors, dims):
    """Outputs and gradients, folded and one after another."""
    weights, found = None, []
    for folded in (True, False):
        leaves = [t if t is None else t.clone().requires_grad_() for t in tensors]
        if folded:
            with FoldedLayers():
                out = vmap(function, in_dims=dims)(*leaves)
        else:
            rows = [
                [leaf if dim is None else leaf.select(dim, k) for leaf, dim in zip(leaves, dims, strict=True)]
                for k in range(K)
            ]
            out = torch.stack([function(*row) for row in rows])
        weights = draw(*out.shape) if weights is None else weights
        asked = [leaf for leaf in leaves if leaf is not None]
        found.append([out, *torch.autograd.grad((out * weights).sum(), asked)])
    return found


def assert_same(found, expected):
    """The same sums in another order, in float64."""
    for left, right in zip(found, expected, strict=True):
        assert left.shape == right.shape
        torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shared", ["input", "weights", "bias", "none"])
@pytest.mark.parametrize("layer", LAYERS)
def test_layers(layer, shared):
    function, of_input, of_weight, of_bias = LAYERS[layer]
    lead = {name: () if name == shared else (K,) for name in ("input", "weights", "bias")}
    bias_lead = () if shared == "weights" else lead["bias"]
    tensors = [draw(*lead["input"], N, *of_input), draw(*lead["weights"], *of_weight)]
    dims = [0 if lead["input"] else None, 0 if lead["weights"] else None]
    tensors.append(None if of_bias is None else draw(*bias_lead, *of_bias))
    dims.append(0 if of_bias is not None and bias_lead else None)
    assert_same(*both_ways(lambda *args: function(*args), tensors, tuple(dims)))


@pytest.mark.parametrize("layer", LAYERS)
def test_models_may_be_along_any_axis(layer):
    function, of_input, of_weight, of_bias = LAYERS[layer]
    tensors = [draw(N, *of_input, K), draw(of_weight[0], K, *of_weight[1:])]
    dims = [len(of_input) + 1, 1]
    if of_bias is not None:
        tensors.append(draw(*of_bias, K))
        dims.append(1)
    assert_same(*both_ways(lambda *args: function(*args), tensors, tuple(dims)))


@pytest.mark.parametrize("dim", [0, 1, 4])
@pytest.mark.parametrize("pool", POOLS)
def test_pooling(pool, dim):
    images = draw(K, N, 3, 8, 6).movedim(0, dim)
    assert_same(*both_ways(POOLS[pool], [images], (dim,)))


@pytest.mark.parametrize(
    "options", [{}, {"label_smoothing": 0.1}, {"weight": draw(5) ** 2}, {"ignore_index": 1}]
)
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_cross_entropy(options, dim):
    targets = torch.tensor([1, 4, 0, 2])
    logits = draw(K, N, 5).movedim(0, dim)
    loss = partial(F.cross_entropy, target=targets, reduction="none", **options)
    assert_same(*both_ways(loss, [logits], (dim,)))
    mean = partial(F.cross_entropy, target=targets, **options)
    assert_same(*both_ways(mean, [logits], (dim,)))


def test_what_one_model_has_alone_is_not_touched():
    """Nothing there depends on the models, or there is no batch axis."""
    image, weight = draw(2, 8, 7), draw(K, 5, 2, 3, 3)
    assert_same(*both_ways(F.conv2d, [image, weight], (None, 0)))
    assert_same(*both_ways(partial(F.max_pool2d, kernel_size=2), [draw(K, 2, 8, 7)], (0,)))
    shared = draw(N, 2, 8, 7)
    with FoldedLayers():
        found = vmap(lambda w: F.max_pool2d(shared, 2).sum() * w)(draw(K))
    torch.testing.assert_close(found, F.max_pool2d(shared, 2).sum() * draw(K))


def test_first_layers_and_deeper_ones_together():
    """The channels-last arrays that one layer hands to the next are what the next expects."""

    def model(x, first, second, last):
        x = F.max_pool2d(torch.relu(F.conv2d(x, first, padding=1)), 2)
        x = F.avg_pool2d(torch.tanh(F.conv2d(x, second)), 2)
        return F.linear(x.flatten(1), last).logsumexp(1)

    tensors = [draw(N, 2, 12, 12), draw(K, 4, 2, 3, 3), draw(K, 3, 4, 3, 3), draw(K, 5, 12)]
    assert_same(*both_ways(model, tensors, (None, 0, 0, 0)))

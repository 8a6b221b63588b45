"""Gradients by layer against one pass back a sample, in float64; that no layer silently goes the slow way."""

import numpy as np
import pytest
import torch
from torch import nn

from dataval.backend.layers import (
    LinearGradients,
    LookupGradients,
    PlainGradients,
    TiedGradients,
    rows_of,
    slopes_along,
)
from dataval.data import Data
from dataval_torch.backend import TorchBackend
from dataval_torch.derivatives.gradients import jacobian_rows

N = 6
EXACT = 1e-12  # relative to the largest entry; the same sums in another order
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(N, 4, 8, 8))
VECTORS = RNG.normal(size=(N, 5))
SEQUENCES = RNG.normal(size=(N, 7, 8))
TOKENS = RNG.integers(0, 9, (N, 7))
TARGETS = RNG.integers(0, 3, N)


class Mean(nn.Module):
    def forward(self, x):
        return x.flatten(2).mean(2) if x.ndim > 3 else x.mean(1)


class Shared(nn.Module):
    """A layer that is called twice, with an activation in place."""

    def __init__(self):
        super().__init__()
        self.twice, self.last = nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.last(torch.relu_(self.twice(torch.relu_(self.twice(x)))))


class Tied(nn.Module):
    """An embedding, with learned positions, whose table is also the last matrix."""

    def __init__(self):
        super().__init__()
        self.table, self.positions = nn.Embedding(9, 8, padding_idx=0), nn.Embedding(7, 8)
        self.middle, self.scale = nn.Linear(8, 8), nn.Parameter(torch.ones(8))

    def forward(self, tokens):
        x = self.table(tokens) + self.positions(torch.arange(7)[None])
        x = self.scale * torch.tanh(self.middle(x.flatten(0, 1)).view(x.shape))
        return nn.functional.linear(x, self.table.weight).mean(1)[:, :3]


class Loose(nn.Module):
    """Parameters that are used in ways of their own beside those of a layer."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(5, 4), nn.Linear(4, 3)
        self.power = nn.Parameter(torch.tensor(1.3))

    def forward(self, x):
        hidden = torch.sigmoid(self.first(x)) ** self.power
        return self.last(hidden) + (self.first.weight**2).sum()


class Matrices(nn.Module):
    """Products as Hugging Face and textbooks write them."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(5, 4)), nn.Parameter(torch.randn(4))
        self.c, self.d = nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(3))

    def forward(self, x):
        hidden = torch.tanh(torch.addmm(self.b, x, self.a))
        return hidden @ self.c + self.d - self.d * hidden.sum(1, keepdim=True)


def transformer(**options):
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, **options)
    return nn.Sequential(layer, Mean(), nn.Linear(8, 3))


def convolutional(*layers):
    return nn.Sequential(*layers, nn.Tanh(), Mean(), nn.Linear(6, 3))


class Attention(nn.Module):
    """Attention from one sequence to another."""

    def __init__(self):
        super().__init__()
        self.attend, self.last = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 3)

    def forward(self, x):
        return self.last(self.attend(x[:, :3], x, x)[0].mean(1))


CASES = {
    "perceptron": (lambda: nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)), VECTORS),
    "without bias": (lambda: nn.Sequential(nn.Linear(5, 4, bias=False), nn.Linear(4, 3)), VECTORS),
    "sequence": (lambda: nn.Sequential(nn.Linear(8, 4), nn.Tanh(), Mean(), nn.Linear(4, 3)), SEQUENCES),
    "plain convolution": (lambda: convolutional(nn.Conv2d(4, 6, 3)), IMAGES),
    "convolution": (
        lambda: convolutional(
            nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2)
        ),
        IMAGES,
    ),
    "same padding": (lambda: convolutional(nn.Conv2d(4, 6, (5, 3), padding="same", bias=False)), IMAGES),
    "convolution of one axis": (
        lambda: nn.Sequential(
            nn.Conv1d(7, 6, 3, padding=2, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(30, 3)
        ),
        SEQUENCES,
    ),
    "convolution of three axes": (
        lambda: convolutional(nn.Unflatten(3, (2, 4)), nn.Conv3d(4, 6, 2, dilation=(2, 1, 2), groups=2)),
        IMAGES,
    ),
    "group norm": (lambda: convolutional(nn.Conv2d(4, 6, 3), nn.GroupNorm(2, 6)), IMAGES),
    "batch norm": (lambda: convolutional(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)), IMAGES),
    "norms of sequences": (
        lambda: nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 4), nn.RMSNorm(4), Mean(), nn.Linear(4, 3)),
        SEQUENCES,
    ),
    "matrices": (Matrices, VECTORS),
    "shared": (Shared, VECTORS),
    "attention": (Attention, SEQUENCES),
    "transformer": (transformer, SEQUENCES),
    "dropout": (lambda: transformer(norm_first=True), SEQUENCES),
}
SLOW = {"tied": (Tied, TOKENS, ()), "loose": (Loose, VECTORS, ("first.weight", "power"))}


def backend_of(build, inputs, params=None):
    torch.manual_seed(0)
    example = Data(inputs[:2], TARGETS[:2])
    model = build().double()
    options = {"device": "cpu", "params": params, "seed": 0, "example": example}
    backend = TorchBackend.create(model, "cross_entropy", **options)
    noise = torch.randn(backend.model.layout.size, generator=torch.Generator().manual_seed(0))
    return (
        backend,
        backend.batches(Data(inputs, TARGETS)).take(np.arange(N)),
        backend.initial()[0] + 0.1 * noise,
    )


def slow_rows(backend, parameters, batch, values_of):
    leaves = backend.model.leaves(parameters)
    return backend.model.layout.join_rows(jacobian_rows(values_of, leaves, batch, slice(None)))


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, atol=EXACT * float(expected.abs().max()))


@pytest.mark.parametrize("name", CASES)
def test_every_layer_is_known_and_exact(name):
    backend, batch, parameters = backend_of(*CASES[name])
    objective, buffers = backend.objective(), backend.model.buffers
    blocks = objective.layer_gradients(parameters, buffers, batch)
    assert all(isinstance(b, LinearGradients | LookupGradients) or b.is_elementwise for b in blocks)
    expected = slow_rows(backend, parameters, batch, lambda leaves, part: objective.tied(buffers, leaves, part))
    assert_close(rows_of(backend.arrays, blocks), expected)
    vectors = torch.randn(3, expected.shape[1], dtype=torch.float64)
    assert_close(slopes_along(backend.arrays, blocks, vectors), vectors @ expected.T)
    assert_close(objective.slopes(parameters, buffers, batch, vectors), vectors @ expected.T)
    assert_close(objective.rows(parameters, buffers, batch)[0], expected)


@pytest.mark.parametrize("name", ["perceptron", "convolution", "dropout", "transformer"])
def test_training_mode(name):
    backend, batch, parameters = backend_of(*CASES[name])
    loss, buffers = backend.loss, backend.model.buffers
    expected = slow_rows(
        backend, parameters, batch, lambda leaves, part: loss.tied(leaves, buffers, part, 7)[0]
    )
    assert loss.has_layers
    assert_close(loss.rows(parameters, buffers, batch, 7), expected)
    assert_close(loss.rows(parameters, buffers, batch, 7, slice(1, 3)), expected[1:3])
    vectors = torch.randn(5, expected.shape[1], dtype=torch.float64)
    assert_close(loss.slopes(parameters, buffers, batch, vectors, 7), vectors @ expected.T)


@pytest.mark.parametrize("name", SLOW)
def test_parameters_of_several_uses_are_exact(name):
    build, inputs, others = SLOW[name]
    backend, batch, parameters = backend_of(build, inputs)
    objective, buffers = backend.objective(), backend.model.buffers
    blocks = objective.layer_gradients(parameters, buffers, batch)
    expected = slow_rows(backend, parameters, batch, lambda leaves, part: objective.tied(buffers, leaves, part))
    assert_close(rows_of(backend.arrays, blocks), expected)
    unknown = {b.name for b in blocks if isinstance(b, PlainGradients) and not b.is_elementwise}
    assert unknown == set(others)
    assert any(isinstance(block, TiedGradients) for block in blocks) == (name == "tied")
    for block in blocks:
        rows = rows_of(backend.arrays, [block])
        assert_close(block.inner(backend.arrays, block.part(slice(2, 5))), rows @ rows[2:5].T)
        assert_close(block.squared_norms(backend.arrays), (rows * rows).sum(1))


def test_batch_statistics_join_the_samples_of_training():
    backend, batch, parameters = backend_of(*CASES["batch norm"])
    assert not backend.loss.has_layers
    (block,) = backend.loss.layer_gradients(parameters, backend.model.buffers, batch, 0)
    assert_close(block.rows, backend.loss.rows(parameters, backend.model.buffers, batch, 0))


@pytest.mark.parametrize("params", [["0.weight", "2.bias"], ["0.bias", "2.weight"]])
def test_frozen_parameters_have_no_place(params):
    backend, batch, parameters = backend_of(*CASES["perceptron"], params)
    objective, buffers = backend.objective(), backend.model.buffers
    blocks = objective.layer_gradients(parameters, buffers, batch)
    assert sum(block.rows.shape[1] if isinstance(block, PlainGradients) else 0 for block in blocks) == 0
    expected = slow_rows(backend, parameters, batch, lambda leaves, part: objective.tied(buffers, leaves, part))
    assert_close(rows_of(backend.arrays, blocks), expected)


def test_cotangents_of_outputs():
    backend, batch, parameters = backend_of(*CASES["plain convolution"])
    objective, buffers = backend.objective(), backend.model.buffers
    cotangents = torch.randn(N, 3, dtype=torch.float64)
    outputs = lambda leaves, part: (backend.model.eval_outputs(leaves, buffers, part) * cotangents).sum(1)  # noqa: E731
    blocks = objective.layer_gradients(parameters, buffers, batch, cotangents)
    assert_close(rows_of(backend.arrays, blocks), slow_rows(backend, parameters, batch, outputs))

"""Under what many models are done at once, and what is left where PyTorch's inner parts have moved."""

from __future__ import annotations

import sys
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from dataval_torch.together.folding import FoldedLayers
from dataval_torch.together.vmapped import ways_to_fold
from tests.backends.support import SEED, assert_near, make_case
from tests.zoo import torch_models
from tests.zoo.data import features


def image_case(layer, n=4):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Unflatten(1, (1, 1, 2, 3)), layer, nn.Flatten(), nn.LazyLinear(3)).double()
    X, y = features(n)
    model(torch.from_numpy(X))
    return make_case(model, X, y)


def check_together(case):
    """The gradients of three models at once are those of one after another."""
    points = case.array(case.numpy(case.parameters) + 0.1 * case.rng.normal(size=(3, case.P)))
    buffers, weights = case.array(np.zeros((3, case.S))), case.weights(3)
    found = case.backend.loss.gradient(points, buffers, case.batch, weights, SEED)
    for k in range(3):
        for mine, own in zip(found, case.gradient(points[k], weights[k], buffers[k]), strict=True):
            assert_near(case.numpy(mine[k]), own, 1e-12)


def test_folding_comes_first_on_a_processor():
    case = make_case(torch_models.mlp(), *features(4))
    assert ways_to_fold(case.backend.model) == (FoldedLayers, nullcontext)


def test_three_dimensional_convolutions_are_done_one_after_another():
    case = image_case(nn.Conv3d(1, 2, (1, 2, 2)))
    assert case.backend.model.has_slow_convolutions
    assert ways_to_fold(case.backend.model) == ()
    assert len(case.backend.loss.together._ways) == 1
    check_together(case)


@pytest.mark.parametrize("missing", ["dataval_torch.together.folding", "torch._C._functorch"])
def test_without_folding_vmap_is_used_alone(monkeypatch, missing):
    """What vmap is built from is PyTorch's own, and may go."""
    monkeypatch.delitem(sys.modules, "dataval_torch.together.folding", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    case = make_case(torch_models.mlp(), *features(4))
    assert ways_to_fold(case.backend.model) == (nullcontext,)
    check_together(case)
    assert case.backend.loss.together.is_fast()


def test_objectives_of_many_models_equal_one_by_one():
    case = make_case(torch_models.cnn_batch_norm(), *images_of(4))
    points = case.array(case.numpy(case.parameters) + 0.1 * case.rng.normal(size=(3, case.P)))
    buffers = torch.stack([case.buffers] * 3)
    for function in (None, lambda outputs, targets: outputs[:, 0] ** 2):
        objective = case.backend.objective(function)
        found = objective.values(points, buffers, case.batch)
        each = [objective.values(p, case.buffers, case.batch) for p in points]
        assert_near(found.numpy(), torch.stack(each).numpy(), 1e-12)


def images_of(n):
    from tests.zoo.data import images

    return images(n)

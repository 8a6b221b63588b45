"""The flat form of parameters, and where in a module each one is kept."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dataval_torch.model.parameters import Layout, Places, select_parameters
from tests.backends.torch import models as m

TENSORS = {"weight": torch.arange(6.0).view(2, 3), "bias": torch.arange(2.0), "scale": torch.tensor(3.0)}


@pytest.mark.parametrize("lead", [(), (4,), (4, 2)], ids=str)
def test_splitting_undoes_joining(lead):
    layout = Layout(TENSORS)
    tensors = [t.expand((*lead, *t.shape)) for t in TENSORS.values()]
    flat = layout.join(tensors, torch.empty(*lead, 0))
    assert flat.shape == (*lead, layout.size) == (*lead, 9)
    for found, expected in zip(layout.named(flat).items(), zip(TENSORS, tensors, strict=True), strict=True):
        assert found[0] == expected[0]
        assert torch.equal(found[1], expected[1])


def test_rows_and_nothing():
    layout = Layout(TENSORS)
    rows = layout.join_rows([torch.stack([t, 2 * t]) for t in TENSORS.values()])
    assert torch.equal(rows[1], 2 * rows[0])
    assert Layout({}).join([], torch.empty(4, 7)).shape == (4, 0)
    assert Layout({}).split(torch.empty(4, 0)) == []


def test_tied_parameters_have_several_places():
    module = m.Tied()
    places, new = Places(module), torch.zeros(6, 6)
    places.put({"up.weight": new})
    assert module.up.weight is module.down.weight is new
    assert places.get("up.weight") is new


@pytest.mark.parametrize("dtypes", [(torch.float32, torch.float32), (torch.float64, torch.float64)])
def test_selected_parameters_are_the_modules_own(dtypes):
    module = nn.Sequential(*(nn.Linear(2, 2, dtype=dtype) for dtype in dtypes))
    module[0].requires_grad_(False)
    selected = select_parameters(module, None)
    assert list(selected) == ["1.weight", "1.bias"]
    assert selected["1.weight"] is module[1].weight

"""Products with Jacobians, and which ways of computing them common models keep."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dataval.errors import InvalidModelError
from dataval_torch.batches import Batch
from dataval_torch.derivatives import slopes
from dataval_torch.derivatives.gradients import (
    FirstThatWorks,
    batched_vjp,
    jacobian_rows,
    unused,
    vjp,
    vmapped_rows,
)
from tests.backends.support import SEED, zoo_case
from tests.zoo import torch_models


def test_running_out_of_memory_is_not_a_missing_operation():
    """Though PyTorch's error is a RuntimeError, as those of missing operations are."""

    def hungry(x):
        raise torch.OutOfMemoryError("too large")

    with pytest.raises(torch.OutOfMemoryError):
        FirstThatWorks(hungry, torch.sin)(torch.ones(1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("model", ["mlp", "cnn_max_pool", "cnn_batch_norm", "dropout", "transformer", "lstm"])
def test_common_models_keep_the_fast_ways(model, dtype):
    case = zoo_case(torch_models, model, dtype=dtype)
    loss, objective = case.backend.loss, case.backend.objective()
    loss.slopes(*case.at, case.draw(case.P), SEED)
    loss.rows(*case.at, SEED)
    objective.rows(*case.at)
    loss.gradient(case.draw(2, case.P), case.draw(2, case.S), case.batch, case.weights(2), SEED)
    assert loss._along._ways[0] is slopes.forward_mode
    if model == "lstm":  # PyTorch has no batching rule for it
        return
    assert objective._rows._ways[0] is vmapped_rows
    assert loss._rows._ways[0] is vmapped_rows
    assert len(loss.together._ways) == 3  # folded, by vmap, one after another


def leaves():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, generator=generator, dtype=torch.float64, requires_grad=True)
    return x, torch.zeros(2, dtype=torch.float64, requires_grad=True)


def test_what_does_not_depend_gives_zeros():
    x, idle = leaves()
    constant, cotangent = torch.ones(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    found = vjp([x**2, constant], [x, idle], [cotangent, cotangent])
    torch.testing.assert_close(found, [2 * x.detach(), torch.zeros_like(idle)], rtol=0, atol=0)
    found = vjp([constant], [x, idle], [torch.ones(4, 3)], batched=True)
    assert [tuple(f.shape) for f in found] == [(4, 3), (4, 2)]
    assert not any(f.any() for f in found)


@pytest.mark.parametrize("function", [torch.tanh, lambda x: NoBatching.apply(x)], ids=["vmap", "one_by_one"])
def test_many_cotangents_equal_one_by_one(function):
    x, _ = leaves()
    cotangents = torch.eye(3, dtype=torch.float64)
    (found,) = batched_vjp([function(x)], [x], [cotangents])
    expected = torch.autograd.functional.jacobian(function, x)
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=0)


class NoBatching(torch.autograd.Function):
    """Tanh whose derivative reads a number, which can't be done under vmap."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.tanh()

    @staticmethod
    def backward(ctx, bar):
        (x,) = ctx.saved_tensors
        return bar * (1 - x.tanh() ** 2) if bar.sum().item() else torch.zeros_like(x)


def test_two_ways_to_rows_agree():
    """Each sample in a batch of its own, or the whole batch; a part is a part of the whole."""
    generator = torch.Generator().manual_seed(0)
    batch = Batch(torch.randn(5, 6, generator=generator), torch.arange(5) % 3)
    weight = {"weight": torch.randn(3, 6, generator=generator).requires_grad_()}

    def values(named, part):
        outputs = part.inputs @ named["weight"].T
        return nn.functional.cross_entropy(outputs, part.targets, reduction="none")

    for part in (slice(None), slice(1, 3)):
        (one,), (other,) = (find(values, weight, batch, part) for find in (vmapped_rows, jacobian_rows))
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)  # float32


def test_unused_leaves_are_named():
    x, idle = leaves()
    assert unused(x**2, {"x": x, "idle": idle}) == ["idle"]
    with pytest.raises(InvalidModelError, match="can't be differentiated"):
        unused(x.detach(), {"x": x})

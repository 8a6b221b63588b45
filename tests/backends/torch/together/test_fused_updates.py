"""PyTorch's fused optimizers against the library's own arithmetic."""

from __future__ import annotations

import pytest
import torch

import dataval as dv
from dataval_torch.together.fused_updates import FusedUpdates

OPTIMIZERS = {
    "sgd": dv.SGD(learning_rate=0.1),
    "decay": dv.SGD(learning_rate=0.1, weight_decay=0.2),
    "momentum": dv.SGD(learning_rate=0.1, momentum=0.9, weight_decay=0.1),
    "dampening": dv.SGD(learning_rate=0.1, momentum=0.9, dampening=0.3),
    "nesterov": dv.SGD(learning_rate=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": dv.Adam(learning_rate=0.1, betas=(0.8, 0.95), epsilon=1e-3, weight_decay=0.1),
    "adamw": dv.AdamW(learning_rate=0.1, weight_decay=0.1),
}


@pytest.mark.parametrize("first_step", [0, 3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_equals_the_arithmetic(name, first_step):
    optimizer, generator = OPTIMIZERS[name], torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    parameters = [draw(3, 4, 5), draw(3, 7)]
    slots = [[draw(*p.shape) ** 2 * bool(first_step) for _ in range(optimizer.n_slots)] for p in parameters]
    expected = [(p.clone(), tuple(s.clone() for s in own)) for p, own in zip(parameters, slots, strict=True)]
    updates = FusedUpdates(optimizer, parameters, slots)
    for step in range(first_step, first_step + 5):
        rate = 0.1 / (1 + step)
        gradients = [draw(5, 4, 3).permute(2, 1, 0), draw(3, 7)]  # the first is not contiguous
        expected = [
            optimizer.update(p, own, g, optimizer.at(step, learning_rate=rate))
            for (p, own), g in zip(expected, gradients, strict=True)
        ]
        updates.step(gradients, rate, step)
    for found, own, (p, theirs) in zip(parameters, slots, expected, strict=True):
        for left, right in zip([found, *own], [p, *theirs], strict=True):
            # Five updates of numbers of order 1 in another order of operations.
            torch.testing.assert_close(left, right, rtol=0, atol=1e-13)


class Unknown(dv.SGD):
    """A subclass may update in another way."""


def test_only_what_is_known_to_be_the_same_is_done():
    cpu = torch.device("cpu")
    assert all(FusedUpdates.can_do(optimizer, cpu) for optimizer in OPTIMIZERS.values())
    assert not FusedUpdates.can_do(Unknown(learning_rate=0.1), cpu)
    assert not FusedUpdates.can_do(OPTIMIZERS["sgd"], torch.device("meta"))

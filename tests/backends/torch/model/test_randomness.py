"""Draws that a seed determines, and generators that are as before."""

from __future__ import annotations

import pytest
import torch

from dataval_torch.model.randomness import generator_states, seeded

CPU = torch.device("cpu")


def test_the_same_seed_gives_the_same_draws():
    draws = []
    for seed in (1, 1, 2, 2**62):
        with seeded(seed, CPU):
            draws.append(torch.rand(3))
    assert torch.equal(draws[0], draws[1])
    assert len({tuple(draw.tolist()) for draw in draws}) == 3


def test_the_generator_is_restored_even_after_a_failure():
    torch.manual_seed(3)
    state, expected = torch.get_rng_state(), torch.rand(3)
    torch.set_rng_state(state)
    with pytest.raises(KeyError), seeded(1, CPU):
        raise KeyError(torch.rand(3))
    assert torch.equal(torch.rand(3), expected)


def test_states_tell_whether_something_was_drawn():
    before = generator_states(CPU)
    assert all(map(torch.equal, before, generator_states(CPU)))
    torch.rand(1)
    assert not all(map(torch.equal, before, generator_states(CPU)))

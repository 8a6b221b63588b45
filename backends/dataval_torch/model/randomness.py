"""Random draws that a seed determines, without disturbing the caller's generators."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

__all__ = ["generator_states", "put_back", "seed_all", "seeded"]


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators that layers such as dropout draw from; restore them on leaving."""
    states = generator_states(device)
    try:
        seed_all(seed, device)
        yield
    finally:
        put_back(states, device)


def seed_all(seed: int, device: torch.device) -> None:
    """Seed the generators that layers on a device draw from."""
    for generator in _generators(device):
        generator.manual_seed(seed)


def put_back(states: list[Tensor], device: torch.device) -> None:
    """Restore generators to what `generator_states` returned."""
    for generator, state in zip(_generators(device), states, strict=True):
        generator.set_state(state)


def generator_states(device: torch.device) -> list[Tensor]:
    """Return the states of the generators that layers on a device draw from."""
    return [generator.get_state() for generator in _generators(device)]


def _generators(device: torch.device) -> list[torch.Generator]:
    if device.type != "cuda":
        return [torch.default_generator]
    torch.cuda.init()
    index = torch.cuda.current_device() if device.index is None else device.index
    return [torch.default_generator, torch.cuda.default_generators[index]]

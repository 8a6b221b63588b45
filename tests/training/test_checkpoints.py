"""Backward walks: order, number of held states and number of updates."""

from __future__ import annotations

import weakref
from functools import cache
from math import comb
from typing import ClassVar

import pytest
from pydantic import ValidationError

import dataval as dv
from dataval.training.checkpoints import reverse_walk


class Counted:
    """A state that knows its number; `alive` holds those that something still refers to."""

    alive: ClassVar[weakref.WeakSet] = weakref.WeakSet()

    def __init__(self, step: int) -> None:
        self.step = step
        Counted.alive.add(self)


@cache
def best(length: int, n_free: int) -> int:
    """Fewest updates that visit `length` states backward, the first being held and `n_free` more allowed."""
    if length <= 1:
        return 0
    if n_free == 0:
        return length * (length - 1) // 2
    return min(m + best(length - m, n_free - 1) + best(m, n_free) for m in range(1, length))


def walk(start, stop, n_held):
    """Return the visited steps, the number of updates, and the most states alive while one was visited."""
    n_updates, most, visited = 0, 0, []

    def advance(state, step):
        nonlocal n_updates
        assert state.step == step
        n_updates += 1
        return Counted(step + 1)

    Counted.alive.clear()
    for step, state in reverse_walk(start, stop, Counted(start), advance, n_held):
        assert state.step == step
        visited.append(step)
        del state
        most = max(most, len(Counted.alive))
    return visited, n_updates, most


@pytest.mark.parametrize("n_held", [1, 2, 3, 4, 6, 11])
def test_visits_all_in_order_within_memory_at_the_least_cost(n_held):
    for length in range(61):
        visited, n_updates, most = walk(0, length, n_held)
        assert visited == list(reversed(range(length)))
        # The one that is visited right now comes on top, where all places are taken.
        assert most <= n_held + 1
        assert n_updates == best(length, n_held - 1), f"{length} updates with {n_held} held states"


def test_a_long_walk_with_few_states():
    for length, n_held in [(200, 5), (333, 8), (500, 20)]:
        visited, n_updates, most = walk(0, length, n_held)
        assert visited == list(reversed(range(length)))
        assert most <= n_held + 1
        assert n_updates == best_of_griewank(length, n_held - 1)


def best_of_griewank(length, n_free):
    """The closed form: with r the fewest repetitions whose reach is the length, r l - reach(c + 1, r - 1)."""
    places = n_free + 1
    r = next(r for r in range(length + 1) if comb(places + r, r) >= length)
    return r * length - comb(places + r, r - 1)


def test_the_oracles_agree():
    for length in range(2, 40):
        for n_free in range(6):
            assert best(length, n_free) == best_of_griewank(length, n_free)


def test_a_stretch_may_start_anywhere():
    visited, n_updates, _ = walk(7, 12, 2)
    assert visited == [11, 10, 9, 8, 7]
    assert n_updates == best(5, 1)


def test_enough_places_recompute_nothing():
    assert walk(0, 30, 30)[1] == 29


@pytest.mark.parametrize(("every", "expected"), [(1, 1), (7, 7), (1000, 1000)])
def test_every_is_taken_as_it_is(every, expected):
    policy = dv.Checkpoints(every=every)
    assert policy.interval(100, state_bytes=8) == policy.workspace(state_bytes=8) == expected


@pytest.mark.parametrize(
    ("n_states", "n_steps", "interval", "workspace"),
    [(100, 100, 1, 50), (100, 101, 3, 50), (10, 1000, 200, 5), (4, 9, 5, 2), (1, 9, 5, 2)],
)
def test_a_budget_is_halved_between_kept_states_and_replays(n_states, n_steps, interval, workspace):
    policy = dv.Checkpoints(max_bytes=n_states * 80)
    assert policy.interval(n_steps, state_bytes=80) == interval
    assert policy.workspace(state_bytes=80) == workspace


def test_a_budget_is_kept():
    for n_steps in range(1, 200):
        for n_states in (4, 5, 10, 33):
            policy = dv.Checkpoints(max_bytes=n_states)
            interval = policy.interval(n_steps, 1)
            kept = -(-n_steps // interval)
            working = min(policy.workspace(1), interval) if interval > 1 else 0
            assert kept + working <= n_states + 1, (n_steps, n_states)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"every": 0}, "every"),
        ({"every": -1}, "every"),
        ({"max_bytes": 0}, "max_bytes"),
        ({"every": 2, "max_bytes": 100}, "not both"),
        ({"keep": 2}, "keep"),
    ],
)
def test_refuses_nonsense(options, match):
    with pytest.raises(ValueError, match=match):
        dv.Checkpoints(**options)


def test_is_frozen_and_travels_through_json():
    for policy in (dv.Checkpoints(), dv.Checkpoints(every=3), dv.Checkpoints(max_bytes=1000)):
        with pytest.raises(ValidationError, match="frozen"):
            policy.every = 4
        text = policy.model_dump_json(exclude_unset=True)
        assert dv.Checkpoints.model_validate_json(text) == policy

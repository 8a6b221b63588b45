"""Draws that a seed determines, and generators that are as before."""

from __future__ import annotations

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from dataval_tensorflow.model.randomness import generator_state, layer_state, seeded


def draws():
    return [
        random.random(),
        np.random.random(),  # noqa: NPY002 - the stream that initialisers may draw from
        float(tf.random.uniform(())),
        float(keras.random.uniform(())),
        float(keras.layers.Dense(1).add_weight(shape=(), initializer="random_normal").numpy()),
    ]


def test_the_same_seed_gives_the_same_draws():
    found = []
    for seed in (1, 1, 2):
        with seeded(seed):
            found.append(draws())
    assert found[0] == found[1]
    assert not set(found[0]) & set(found[2])


def test_all_generators_are_restored_even_after_a_failure():
    keras.utils.set_random_seed(3)
    expected = draws()
    keras.utils.set_random_seed(3)
    with pytest.raises(KeyError), seeded(1):
        raise KeyError(draws())
    assert draws() == expected


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**62 - 1])
def test_states_of_layers_differ_and_leave_room_to_count(seed):
    states = [layer_state(tf.constant(seed, tf.int64), index, tf.uint32).numpy() for index in range(5)]
    assert all(state.dtype == np.uint32 and state.shape == (2,) for state in states)
    assert len({tuple(state) for state in states}) == 5
    assert all(state[1] < 2**31 for state in states)


def test_a_generator_gets_a_key_and_a_counter_of_nothing():
    generator = tf.random.Generator.from_seed(1)
    generator.uniform(())
    states = [
        generator_state(tf.constant(seed, tf.int64), index, generator.state.value())
        for seed, index in ((0, 0), (0, 1), (1, 0), (0, 0))
    ]
    assert all(not state[:-1].numpy().any() for state in states)
    keys = [int(state[-1]) for state in states]
    assert keys[0] == keys[3]
    assert len(set(keys)) == 3
    generator.reset(states[0])
    first = float(generator.uniform(()))
    generator.reset(states[3])
    assert float(generator.uniform(())) == first

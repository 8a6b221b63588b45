"""Random draws that a seed determines, without disturbing the caller's generators."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED
from tensorflow.python.eager import context

__all__ = ["drawn_state", "generator_state", "layer_state", "seeded"]

_SPREAD = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: multiples of it are spread evenly over 64 bits


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed all global generators that building a model may draw from; restore them on leaving."""
    eager = vars(context.context())
    before = {key: eager[key] for key in ("_seed", "_rng") if key in eager}
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - what initialisers may draw from
    layers = {
        key: global_state.get_global_attribute(key) for key in (GLOBAL_RANDOM_SEED, GLOBAL_SEED_GENERATOR)
    }
    try:
        keras.utils.set_random_seed(seed % 2**32)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        for key, value in layers.items():
            global_state.set_global_attribute(key, value)
        for key in ("_seed", "_rng"):
            eager.pop(key, None)
        eager.update(before)


def drawn_state() -> str:
    """Return the state of the generator that operations without a seed draw theirs from."""
    return repr(getattr(vars(context.context()).get("_rng"), "getstate", str)())


def layer_state(seed: tf.Tensor, index: int, dtype: tf.DType) -> tf.Tensor:
    """Return the state ``(2,)`` of a model's seed generator number `index` for a forward pass."""
    mixed = _mix(seed, index)
    halves = tf.stack([tf.bitwise.right_shift(mixed, 32), tf.bitwise.bitwise_and(mixed, 0xFFFFFFFF)])
    # The second half counts draws, so leave it room.
    return tf.cast(tf.bitwise.bitwise_and(halves, [0xFFFFFFFF, 0x7FFFFFFF]), dtype)


def generator_state(seed: tf.Tensor, index: int, like: tf.Tensor) -> tf.Tensor:
    """Return the state of generator number `index` for a forward pass: a counter of 0 and a key."""
    state = tf.concat([tf.zeros_like(like[:-1]), tf.cast(_mix(seed, index), like.dtype)[None]], axis=0)
    return tf.ensure_shape(state, like.shape)


def _mix(seed: tf.Tensor, index: int) -> tf.Tensor:
    """Fold a generator's number into a seed of 62 bits, so that generators draw differently."""
    offset = (index + 1) * _SPREAD % 2**64
    return tf.cast(seed, tf.uint64) + tf.constant(offset, tf.uint64)

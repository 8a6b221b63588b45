"""Compiling functions into TensorFlow graphs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import tensorflow as tf

from dataval_tensorflow.model.layers import differentiable_operations

__all__ = ["compiled"]


def compiled(function: Callable[..., Any], *leading: Any) -> Any:
    """Return a `tf.function` of a function with its first arguments fixed.

    It is traced once for every combination of shapes, as its arguments are tensors only. XLA stays off: its
    second derivative of max-pooling is wrong (TensorFlow 2.21), and on the CPU its convolutions are slower.
    """
    # A partial, as TensorFlow counts tracings by code, and would warn of those of different functions.
    return tf.function(partial(_traced, function, leading), autograph=False, jit_compile=False)


def _traced(function: Callable[..., Any], leading: tuple[Any, ...], *args: Any) -> Any:
    with differentiable_operations():
        return function(*leading, *args)

r"""Directional derivatives of a whole batch at once: :math:`\langle v, \nabla\ell_j\rangle` for every j.

Both functions take ``(function, point, vector)``, with the point and the vector flat, and return the
directional derivative of the tensor that the function returns: losses ``(n,)`` or outputs. TensorFlow's forward
mode costs no less than two reverse passes and fails on loops, so it is not among them.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from dataval_tensorflow.derivatives.gradients import each_row, gradient

__all__ = ["by_rows", "double_reverse"]

Function = Callable[[tf.Tensor], tf.Tensor]


def double_reverse(function: Function, point: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
    """Take the derivative in w of the inner product of v and the gradient of the w-weighted values."""
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(point)
            values = function(point)
        weights = tf.ones_like(values)
        outer.watch(weights)
        weighted = gradient(inner, values, point, weights)
    return gradient(outer, weighted, weights, vector)


def by_rows(function: Function, point: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
    """Do one backward pass a value; works for whatever has a first derivative."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(point)
        values = function(point)
        flat = tf.reshape(values, (-1,))

    def slope(row: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(gradient(tape, flat, point, row) * vector)

    return tf.reshape(each_row(slope, tf.eye(flat.shape[0], dtype=flat.dtype)), values.shape)

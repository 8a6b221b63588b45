r"""Products of vectors with the Gauss-Newton matrix, and the pullbacks that it stands for a Hessian in.

What is differentiated comes as functions: of a point, giving outputs; of outputs, giving values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from dataval_tensorflow.derivatives.gradients import gradient

__all__ = ["gauss_newton_product", "gauss_newton_pullback"]

OfPoint = Callable[[Any], Any]
OfOutputs = Callable[[tf.Tensor], tf.Tensor]
Along = Callable[[OfPoint, tf.Tensor, tf.Tensor], tf.Tensor]
"""A function of `dataval_tensorflow.derivatives.slopes`."""


def gauss_newton_product(
    outputs_at: OfPoint, point: tf.Tensor, values_of: OfOutputs, weights: tf.Tensor, along: Along
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the function that multiplies a vector by the Gauss-Newton matrix of the weighted values."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(point)
        outputs = outputs_at(point)
    bend = _bend(values_of, outputs, weights)
    return lambda vector: gradient(tape, outputs, point, bend(along(outputs_at, point, vector))[0])


def gauss_newton_pullback(
    outputs_at: OfPoint, point: list[tf.Tensor], values_of: OfOutputs, weights: tf.Tensor, along: Along
) -> Callable[[Any], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """Return the pullback of the map to the weighted values' gradient and to the new buffers.

    Parameters
    ----------
    outputs_at : callable
        Of parameters and buffers, giving outputs and new buffers.
    point : list of tensor
        Parameters and buffers.
    values_of : callable
        (outputs) -> ``(n,)``.
    weights : tensor
        Of the values.
    along : callable
        Finds directional derivatives.

    Returns
    -------
    callable
        Takes cotangents of the gradient and of the new buffers, as a pair, and returns those of parameters,
        weights and buffers.
    """
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(point)
        outputs, after = outputs_at(point)
    bend = _bend(values_of, outputs, weights)

    def pull(bars: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        vector, after_vector = bars
        moved = along(lambda parameters: outputs_at([parameters, point[1]])[0], point[0], vector)
        bent, slopes = bend(moved)
        through, before = gradient(tape, [outputs, after], point, [bent, after_vector])
        return through, slopes, before

    return pull


def _bend(
    values_of: OfOutputs, outputs: tf.Tensor, weights: tf.Tensor
) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Return what multiplies moves of outputs by the weighted values' Hessian, and by each value's gradient."""
    free = tf.stop_gradient(outputs)
    with tf.GradientTape(persistent=True) as outer:
        outer.watch([free, weights])
        with tf.GradientTape() as inner:
            inner.watch(free)
            values = values_of(free)
        slope = gradient(inner, values, free, weights)
    return lambda moved: tuple(gradient(outer, slope, [free, weights], moved))

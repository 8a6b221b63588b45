"""Operations whose own derivatives can't serve, replaced while a function is traced.

- `tf.nn.moments`, which normalisation layers are built on, holds the mean fixed in the variance. That is right
  for a first derivative and wrong for a second.
- Convolutions in groups have no gradient on the CPU. They are products with patches there.
- A `tf.function` inside a model would be traced on its own, with variables where parameters are swapped for
  tensors, and may ask for XLA, whose second derivative of max-pooling is wrong. It is run as plain Python.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import tensorflow as tf

from dataval_tensorflow.model.patches import Geometry

__all__ = ["can_be_vectorised", "differentiable_operations", "uses_onednn"]

_PRODUCTS = ("Einsum", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
_DEEP = 4


@contextmanager
def differentiable_operations() -> Iterator[None]:
    """Replace what has wrong derivatives; for the time of tracing a function."""
    before = tf.nn.moments, tf.nn.convolution
    eagerly = tf.config.functions_run_eagerly()
    try:
        tf.nn.moments, tf.nn.convolution = _moments, partial(_convolve, tf.nn.convolution)
        tf.config.run_functions_eagerly(True)
        yield
    finally:
        tf.nn.moments, tf.nn.convolution = before
        tf.config.run_functions_eagerly(eagerly)


def _moments(
    x: Any, axes: Sequence[int], shift: Any = None, keepdims: bool = False, name: str | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return mean and variance along axes, as `tf.nn.moments` does."""
    x = tf.convert_to_tensor(x)
    wide = tf.cast(x, tf.float32) if x.dtype in {tf.float16, tf.bfloat16} else x
    mean = tf.reduce_mean(wide, axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(wide - mean), axes, keepdims=keepdims)
    mean = mean if keepdims else tf.reshape(mean, tf.shape(variance))
    return tf.cast(mean, x.dtype), tf.cast(variance, x.dtype)


def _convolve(
    convolution: Any,
    input: Any,  # noqa: A002 - TensorFlow's name of it
    filters: Any,
    strides: Any = None,
    padding: str = "VALID",
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
) -> tf.Tensor:
    """Convolve as `tf.nn.convolution` does; in groups by products, on the CPU and with channels last."""
    n_axes, is_last = filters.shape.rank - 2, not (data_format or "NHWC").startswith("NC")
    is_simple = is_last and padding in {"SAME", "VALID"} and input.shape.rank == n_axes + 2
    groups = (input.shape[-1] or 1) // filters.shape[-2] if is_simple else 1
    if groups == 1 or tf.config.list_logical_devices("GPU"):
        return convolution(input, filters, strides, padding, data_format, dilations, name)
    steps, spread = (_by_axis(each, n_axes) for each in (strides, dilations))
    pads = None if padding == "SAME" else ((0, 0),) * n_axes
    geometry = Geometry(tuple(filters.shape[:n_axes]), steps, spread, pads, groups)
    patches, width = geometry.patches(input), filters.shape[-1] // groups
    outputs = tf.einsum("jtgi,igo->jtgo", patches, tf.reshape(filters, (patches.shape[-1], groups, width)))
    return tf.reshape(outputs, (input.shape[0], *geometry.counts(tuple(input.shape[1:-1])), groups * width))


def _by_axis(option: Any, n_axes: int) -> tuple[int, ...]:
    values = [1] if option is None else [option] if isinstance(option, int) else list(option)
    return tuple(values * n_axes if len(values) == 1 else values)


def uses_onednn() -> bool:
    """Whether TensorFlow uses oneDNN's kernels on the CPU: by default on Linux."""
    setting = os.environ.get("TF_ENABLE_ONEDNN_OPTS")
    return sys.platform == "linux" if setting is None else setting.lower() in {"1", "true"}


def can_be_vectorised(graph: tf.Graph, device: str, dtype: tf.DType) -> bool:
    """Whether the operations of a graph can be given another leading axis.

    oneDNN's product of float32 matrices with three leading axes, as attention with one more has them, ends
    the process by a segmentation fault (TensorFlow 2.21).
    """
    if "GPU" in device or dtype != tf.float32 or not uses_onednn():
        return True
    products = [op for op in graph.get_operations() if op.type in _PRODUCTS]
    return all((op.outputs[0].shape.rank or _DEEP) < _DEEP for op in products)

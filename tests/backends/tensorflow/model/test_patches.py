"""Patches, held against TensorFlow's convolutions."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
import tensorflow as tf

from dataval_tensorflow.model.patches import Geometry
from tests.backends.support import assert_near

CASES = {
    "one axis": ((7,), (3,), (2,), (1,), 1, 3),
    "strides": ((8, 7), (3, 2), (2, 3), (1, 1), 1, 2),
    "dilation": ((8, 7), (3, 2), (1, 1), (2, 3), 1, 2),
    "groups": ((5, 6), (3, 2), (1, 2), (1, 1), 2, 4),
    "many channels": ((6, 6), (3, 3), (1, 1), (1, 1), 1, 20),
    "three axes": ((4, 5, 4), (2, 3, 1), (1, 2, 1), (1, 1, 1), 1, 2),
}


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("case", CASES)
def test_products_with_patches_are_the_convolution(case, padding):
    """1e-13: sums of at most 200 products in another order."""
    lengths, size, stride, dilation, groups, channels = CASES[case]
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(3, *lengths, channels)))
    filters = tf.constant(rng.normal(size=(*size, channels // groups, 4)))
    pads = None if padding == "SAME" else ((0, 0),) * len(size)
    patches = Geometry(size, stride, dilation, pads, groups).patches(x)
    matrix = tf.reshape(filters, (prod(size) * channels // groups, groups, 4 // groups))
    found = tf.einsum("jtgi,igo->jtgo", patches, matrix)
    expected = tf.nn.convolution(x, filters, strides=stride, padding=padding, dilations=dilation)
    assert_near(found.numpy().reshape(expected.shape), expected.numpy(), 1e-13)


def test_paddings_of_ones_own():
    x = tf.constant(np.arange(4.0).reshape(1, 4, 1))
    patches = Geometry((2,), (1,), (1,), ((2, 0),), 1).patches(x)
    np.testing.assert_array_equal(patches.numpy()[0, :, 0], [[0, 0], [0, 0], [0, 1], [1, 2], [2, 3]])

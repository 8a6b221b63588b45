"""Products of tensors with labels for their axes."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from dataval_tensorflow.products import einsum
from tests.backends.support import assert_near


@pytest.mark.parametrize(
    "equation",
    [
        "jtgo,jtgi->jigo",
        "jtgo,jtgi->jgoi",
        "kigo,jtgi->kjtgo",
        "jtgo->jgo",
        "ab->",
        "ab->ba",
        "ab,ab->ab",
        "abc,c->ab",
    ],
)
def test_against_numpy(equation):
    """With axes of length 1 among the others; 1e-14: the same few products in another order."""
    rng = np.random.default_rng(0)
    for _ in range(8):
        sizes = {label: rng.integers(1, 4) for label in equation if label.isalpha()}
        terms = equation.partition("->")[0].split(",")
        arrays = [rng.normal(size=[sizes[label] for label in term]) for term in terms]
        found = einsum(equation, *map(tf.constant, arrays)).numpy()
        assert_near(np.asarray(found), np.asarray(np.einsum(equation, *arrays)), 1e-14)

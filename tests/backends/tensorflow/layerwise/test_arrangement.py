"""Finding the samples of a batch from the gradient of the first sample's loss."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from dataval_tensorflow.layerwise.arrangement import Arrangement, Kind, find_arrangement

EACH = np.random.default_rng(0).normal(size=(5, 3, 2))  # 5 samples with 3 positions
LAID_OUT = {
    Arrangement(Kind.AXIS): lambda x: x,
    Arrangement(Kind.AXIS, 1): lambda x: x.transpose(1, 0, 2),
    Arrangement(Kind.MAJOR): lambda x: x.reshape(15, 2),
    Arrangement(Kind.MINOR): lambda x: x.transpose(1, 0, 2).reshape(15, 2),
}


@pytest.mark.parametrize("arrangement", LAID_OUT, ids=str)
def test_found_and_undone(arrangement):
    lay_out = LAID_OUT[arrangement]
    first_alone = np.where(np.arange(5)[:, None, None] == 0, EACH, 0)
    bar = lay_out(first_alone)
    assert find_arrangement(bar, 5, range(bar.ndim - 1)) == arrangement
    np.testing.assert_array_equal(arrangement.first(tf.constant(lay_out(EACH)), 5), EACH)


def test_nowhere():
    assert find_arrangement(np.ones((5, 2)), 5, (0,)) is None
    assert find_arrangement(np.ones((3, 5)), 5, (0,)) is None
    assert find_arrangement(np.ones((5, 2)), 5, ()) is None


def test_another_number_of_samples_is_an_error():
    for arrangement in LAID_OUT:
        with pytest.raises(ValueError, match="samples"):
            arrangement.first(tf.ones((7, 7)), 5)

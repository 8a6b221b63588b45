"""What a run says about itself."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.training.run import state_bytes
from tests.runs import N, make_learner, make_samples


def test_describes_what_was_done(zoo, framework):
    weights = np.linspace(0, 1, N)
    run = make_learner(zoo).train(*make_samples(), weights)
    assert (run.n_samples, run.n_steps, run.n_completed) == (N, 12, 12)
    assert run.is_complete
    assert run.backend == framework
    assert run.losses.shape == (3, N)
    assert run.losses.dtype == run.weights.dtype == np.float64
    assert sorted(run.checkpoints) == list(range(13))
    assert run.final is run.checkpoints[12]


@pytest.mark.parametrize(
    ("optimizer", "n_vectors"),
    [
        (dv.SGD(learning_rate=0.1), 1),
        (dv.SGD(learning_rate=0.1, momentum=0.5), 2),
        (dv.Adam(), 3),
        (dv.AdamW(), 3),
    ],
)
@pytest.mark.parametrize(("model", "dtype"), [("cnn_batch_norm", "float64"), ("mlp", "float32")])
def test_state_bytes_are_those_of_the_arrays(zoo, optimizer, n_vectors, model, dtype):
    training = dv.Training(optimizer=optimizer, epochs=1, batch_size=6)
    learner = dv.Learner(getattr(zoo, model)(dtype), training=training, progress=False)
    run = learner.train(*make_samples(model))
    sizes = [np.asarray(array).nbytes for array in run.final.arrays()]
    assert len(sizes) == n_vectors + 1
    assert run.state_bytes == state_bytes(run.signature, training) == sum(sizes)

"""Runs saved by earlier versions load, and give the values they gave."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from tests.runs import make_samples
from tests.stored_values import FOLDER, RUNS


@pytest.mark.parametrize("hessian", [False, True])
def test_a_run_of_format_1_gives_the_values_it_gave(zoo, framework, hessian):
    run = dv.TrainingRun.load(FOLDER / f"run_{framework}")
    learner = dv.Learner(zoo.mlp(), training=RUNS["mlp"], progress=False)
    samples, validation = make_samples("mlp", 20, seed=1), make_samples("mlp", 6, seed=2)
    values = dv.HyDRA(learner, hessian=hessian).fit(*samples, run=run).score(*validation)
    with np.load(FOLDER / f"values_{framework}.npz") as stored:
        expected = stored[f"mlp/hydra{'_exact' if hessian else ''}"]
    # States of other processors differ by rounding (1e-16), which these 12 updates don't amplify 1e4 times.
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12 * np.abs(expected).max())

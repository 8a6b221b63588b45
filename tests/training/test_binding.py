"""Runs that are joined with the program that made them."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.errors import RunMismatchError
from tests.runs import make_learner, make_samples, trained


def test_a_run_brings_its_program_to_every_learner_like_its_own(zoo):
    learner, samples, run = trained(zoo)
    program = learner.replay(*samples, run).program
    assert program is run.binding.program
    assert make_learner(zoo).replay(*samples, run).program is program


@pytest.mark.parametrize("options", [{"loss": dv.CrossEntropy(label_smoothing=0.1)}, {"epochs": 4}])
def test_another_learner_has_another_source(zoo, options):
    learner, samples, run = trained(zoo)
    assert make_learner(zoo, **options)._source() != run.binding.source == learner._source()
    with pytest.raises(RunMismatchError):
        make_learner(zoo, **options).replay(*samples, run)


def test_the_same_model_built_anew_is_another_source(zoo):
    _learner, _, run = trained(zoo)
    other = make_learner(zoo).set_params(model=zoo.mlp())
    assert other._source() != run.binding.source
    assert run.binding.source != "a source"


def test_a_copy_of_the_data_is_checked_anew(zoo):
    _, samples, run = trained(zoo)
    bound = run.binding
    copies = dv.data.as_data(*(array.copy() for array in samples))
    assert bound.is_on(dv.data.as_data(*samples))
    assert not bound.is_on(copies)


def test_data_that_were_written_to_are_noticed(zoo):
    learner, (X, y) = make_learner(zoo), make_samples(seed=5)
    run = learner.train(X, y)
    X[3, 2] += 1.0
    assert not run.binding.is_on(dv.data.as_data(X, y))
    with pytest.raises(RunMismatchError, match="other data"):
        dv.HyDRA(learner).fit(X, y, run=run)
    X[3, 2] = make_samples(seed=5).X[3, 2]
    np.testing.assert_array_equal(dv.MeanLoss(learner).fit(X, y, run=run).run_.losses, run.losses)

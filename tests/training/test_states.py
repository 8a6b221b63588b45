"""Values of a model that is trained already: states, rates and logged losses in place of a run."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.errors import InvalidDataError, InvalidModelError, RunMismatchError
from tests.runs import make_samples
from tests.runs import trained as shared_run

RATE = 0.1


@pytest.fixture
def trained(zoo):
    """A run with a constant rate, and its states after each epoch as states of their own."""
    learner, samples, run = shared_run(zoo, "mlp", optimizer=dv.SGD(learning_rate=RATE), batch_size=5)
    states = [run.checkpoints[int(end)] for end in run.plan.epoch_ends]
    return learner, samples, run, states


def adopted(trained, **options):
    learner, samples, _, states = trained
    rates = [RATE] * len(states)
    return dv.TrainingRun.from_checkpoints(learner, *samples, states=states, learning_rates=rates, **options)


METHODS = {
    "influence": lambda learner: dv.InfluenceFunction(learner, damping=0.5, solver="exact"),
    "tracin": dv.TracIn,
    "grand": lambda learner: dv.GraNd(learner, epoch=1),
    "el2n": lambda learner: dv.EL2N(learner, epoch=2),
}


@pytest.mark.parametrize("name", METHODS)
def test_values_are_those_of_the_run(trained, name):
    """The same states, the same arithmetic: to rounding."""
    learner, samples, run, _ = trained
    validation = make_samples(seed=2)
    expected = METHODS[name](learner).fit(*samples, run=run).score(*validation)
    found = METHODS[name](learner).fit(*samples, run=adopted(trained)).score(*validation)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def test_self_scores_and_logged_losses(trained):
    learner, samples, run, _ = trained
    mine = adopted(trained, losses=run.losses)
    for make in (METHODS["influence"], dv.TracIn):
        expected, found = (make(learner).fit(*samples, run=each).self_scores() for each in (run, mine))
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    expected, found = (dv.MeanLoss(learner).fit(*samples, run=each).score(*samples) for each in (run, mine))
    np.testing.assert_array_equal(found, expected)


def test_the_trained_model_in_one_line(trained, tmp_path):
    """Also saved and read again."""
    learner, samples, run, _ = trained
    net = learner.replay(*samples, run).export()
    own = dv.Learner(net, training=learner.training, progress=False)
    one = own.adopt(*samples)
    assert (one.origin, len(one.checkpoints)) == ("states", 1)
    validation = make_samples(seed=2)
    expected = METHODS["influence"](learner).fit(*samples, run=run).score(*validation)
    read = dv.TrainingRun.load(one.save(tmp_path / "run"))
    same = dv.TrainingRun.from_checkpoints(own, *samples, states=[net])
    for each in (one, read, same):
        found = METHODS["influence"](own).fit(*samples, run=each).score(*validation)
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-12)


REFUSED = {
    "hydra": lambda learner, fit: fit(dv.HyDRA(learner)),
    "tracin at updates": lambda learner, fit: fit(dv.TracIn(learner, checkpoints="updates")),
    "area under margin": lambda learner, fit: fit(dv.AreaUnderMargin(learner)),
    "verify": lambda learner, fit: fit(dv.GraNd(learner)).verify(*make_samples(seed=2)),
    "leave one out": lambda learner, fit: fit(dv.LeaveOneOut(learner)).score(*make_samples(seed=2)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_updates_says_so(trained, name):
    learner, samples, *_ = trained
    run = adopted(trained)
    with pytest.raises(RunMismatchError, match="holds states of a training and not its updates"):
        REFUSED[name](learner, lambda method: method.fit(*samples, run=run))


def test_what_is_missing_is_named(trained):
    learner, samples, _, states = trained
    bare = dv.TrainingRun.from_checkpoints(learner, *samples, states=states)
    with pytest.raises(RunMismatchError, match="no learning rates, which TracIn weighs"):
        dv.TracIn(learner).fit(*samples, run=bare)
    with pytest.raises(RunMismatchError, match="holds no losses: pass what training logged"):
        dv.MeanLoss(learner).fit(*samples, run=bare)
    make = dv.TrainingRun.from_checkpoints
    with pytest.raises(InvalidDataError, match="there are no states"):
        make(learner, *samples, states=[])
    with pytest.raises(InvalidDataError, match="one positive number for each of the 3 states"):
        make(learner, *samples, states=states, learning_rates=[0.1])
    with pytest.raises(InvalidDataError, match=r"losses must have shape \(epochs, 20\)"):
        make(learner, *samples, states=states, losses=np.zeros((2, 3)))
    with pytest.raises(InvalidModelError, match="state 0 is 3"):
        make(learner, *samples, states=[3])

"""Training that meets what isn't finite: the sample and the update are named, and weight 0 leaves it out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import dataval as dv
from dataval.errors import InvalidDataError, TrainingDivergedError
from tests.faults.models import BAD, WITHOUT, learner, pole, samples


def test_a_sample_without_a_gradient_is_named_with_its_update(framework):
    one = learner(framework)
    order = one.prepare(*samples()).run.plan
    step = next(t for t in range(order.n_steps) if BAD in order.batch(t))
    with pytest.raises(TrainingDivergedError) as caught:
        one.train(*samples())
    assert f"gradient of the loss of training sample {BAD} is not finite at update {step} of 6" in str(
        caught.value
    )
    assert "learning rate" not in str(caught.value)


@pytest.mark.parametrize("policy", [dv.Checkpoints(every=1), dv.Checkpoints(every=100)])
def test_so_is_one_that_only_the_last_update_meets(framework, policy):
    X, y = samples(bad=3)
    one = learner(framework, epochs=1, batch_size=12).set_params(checkpoints=policy)
    with pytest.raises(TrainingDivergedError, match=r"gradient of .* sample 3 is not finite at update 0 of 1"):
        one.train(X, y)


def test_an_infinite_loss_names_its_sample(framework):
    X, y = samples(bad=None)
    y = np.where(np.arange(len(y)) == 6, 7.0, 0.5)
    with pytest.raises(
        TrainingDivergedError, match=r"the loss of training sample 6 is not finite at update \d of"
    ):
        learner(framework, loss=pole).train(X, y)


def test_what_grows_is_divergence(framework):
    X, y = samples(bad=None)
    with pytest.raises(
        TrainingDivergedError, match=r"became (inf|nan) at update \d+ of .*smaller learning rate"
    ):
        learner(framework, power=2.0, optimizer=dv.SGD(learning_rate=1e3), epochs=20).train(X, y)


def test_a_resumed_run_is_checked_too(framework):
    one = learner(framework)
    run = one.prepare(*samples()).run
    with pytest.raises(TrainingDivergedError, match=f"training sample {BAD} "):
        one.train(*samples(), resume=run)


@pytest.mark.parametrize("optimizer", [dv.SGD(learning_rate=0.05, momentum=0.9), dv.Adam(learning_rate=0.01)])
def test_weight_zero_leaves_a_sample_out_whatever_it_is(framework, optimizer):
    """Its loss has a finite stand-in's gradient times 0, as would a finite sample in its place."""
    one, (X, y) = learner(framework, optimizer=optimizer), samples()
    other = X.copy()
    other[BAD] = 1
    run, expected = one.train(X, y, WITHOUT), one.train(other, y, WITHOUT)
    to_numpy = run.binding.program.backend.arrays.to_numpy
    # 0 times anything finite is added in float32: the same sums up to rounding, over 6 updates.
    np.testing.assert_allclose(to_numpy(run.final.parameters), to_numpy(expected.final.parameters), atol=1e-6)
    assert np.isfinite(run.losses).all()  # its own loss is finite, and recorded
    assert not np.allclose(run.losses[:, BAD], expected.losses[:, BAD])


def test_an_infinite_loss_of_weight_zero_is_recorded_as_it_is(framework):
    X, y = samples(bad=None)
    y = np.where(np.arange(len(y)) == BAD, 7.0, 0.5)
    one = learner(framework, loss=pole)
    run = one.train(X, y, WITHOUT)
    assert np.isinf(run.losses[:, BAD]).all()
    assert np.isfinite(np.delete(run.losses, BAD, axis=1)).all()
    values = dv.MeanLoss(one).fit(X, y, run=run).score(X, y)
    assert np.flatnonzero(np.isnan(values)).tolist() == [BAD]


def test_a_sample_of_weight_zero_need_not_be_tried_first(framework):
    X, y = samples(bad=None)
    y = np.where(np.arange(len(y)) == 0, 7.0, 0.5)
    with pytest.raises(dv.errors.InvalidModelError, match="before training has begun"):
        learner(framework, loss=pole).train(X, y)
    assert learner(framework, loss=pole).train(X, y, np.arange(12) > 0).is_complete


class TestReplay:
    """A few updates are compared with what was recorded, even where all states are kept."""

    def run_of(self, framework, at=None, by=0.0, losses=0.0):
        one, data = learner(framework, power=2.0), samples(bad=None)
        run = one.train(*data)
        assert sorted(run.checkpoints) == list(range(7))
        states = dict(run.checkpoints)
        if at is not None:
            to_numpy = run.binding.program.backend.arrays.to_numpy
            states[at] = replace(states[at], parameters=to_numpy(states[at].parameters) * (1 + by))
        changed = run.losses.copy()
        changed[1] += losses
        return one, data, replace(run, checkpoints=states, losses=changed)

    def test_the_run_itself_passes(self, framework):
        one, data, run = self.run_of(framework)
        dv.HyDRA(one).fit(*data, run=run).score(*data)

    @pytest.mark.parametrize("at", [1, 4, 6])
    def test_another_state_is_an_error_on_adoption(self, framework, at):
        one, data, run = self.run_of(framework, at, by=0.1)
        with pytest.raises(dv.errors.ReplayError, match="differ from the recorded ones"):
            one.replay(*data, run)

    def test_rounding_is_a_warning(self, framework):
        one, data, run = self.run_of(framework, 6, by=1e-5)
        with pytest.warns(dv.errors.ReplayWarning, match="differs from the recorded run by"):
            one.replay(*data, run)

    def test_other_losses_later_are_an_error(self, framework):
        one, data, run = self.run_of(framework, losses=0.1)
        with pytest.raises(dv.errors.ReplayError, match="gives losses that differ"):
            one.replay(*data, run)

    def test_a_loss_that_changes_after_training_is_noticed_by_a_method_that_shares_the_run(self, framework):
        if framework == "tensorflow":
            pytest.skip("a traced loss keeps what it was traced with")
        factor = [1.0]
        one = learner(framework, power=2.0, loss=lambda outputs, targets: factor[0] * outputs[:, 0] ** 2)
        data = samples(bad=None)
        hydra = dv.HyDRA(one).fit(*data)
        factor[0] = 2.0
        with pytest.raises((dv.errors.ReplayError, dv.errors.RunMismatchError)):
            hydra.score(*data)


def test_names_are_of_the_kind_that_was_asked_for(framework):
    """A validation sample is not called a training sample."""
    one, data = learner(framework), samples(bad=None)
    hydra = dv.HyDRA(one).fit(*data)
    with pytest.raises(
        InvalidDataError, match=r"^validation sample 2: the gradient of its objective is not finite"
    ):
        hydra.score(*samples(5, bad=2, seed=1))

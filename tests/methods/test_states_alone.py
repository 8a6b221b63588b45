"""What each method does with a run of states alone: it answers, or says what it needs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import dataval as dv
from dataval.errors import RunMismatchError
from tests.runs import N, make_learner, make_samples, shared

EPOCHS = 5


@shared
def adopted(zoo):
    """A learner, samples and the run of one state: what the learner starts from."""
    learner, samples = make_learner(zoo), make_samples()
    return learner, samples, learner.adopt(*samples)


@shared
def ended(zoo):
    """A run without a short batch, whose mean loss is that of all samples."""
    return make_learner(zoo, batch_size=5).train(*make_samples())


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (dv.HyDRA, r"HyDRA needs the start and every update .*take a run of learner.train\(X, y\)"),
        (
            lambda learner: dv.HyDRA(learner, hessian=True),
            "HyDRA needs the start and every update of a training",
        ),
        (dv.LeaveOneOut, "LeaveOneOut needs the start and every update of a training"),
        (
            lambda learner: dv.TracIn(learner, checkpoints="updates"),
            r"TracIn\(checkpoints='updates'\) needs the start and every update",
        ),
        (dv.TracIn, r"TracIn .*learning rates, which the run doesn't have: pass .*learning_rates=\[...\]"),
        (dv.MeanLoss, r"MeanLoss needs every sample's losses .*losses=...\) of shape \(epochs, N\)"),
        (dv.AreaUnderMargin, r"AreaUnderMargin needs every sample's margins .*margins=...\)"),
        (dv.ForgettingEvents, r"ForgettingEvents needs every sample's margins .*margins=...\)"),
        (
            dv.GraNd,
            r"GraNd is a score of early training, and the run has one state: .*GraNd\(learner, epoch=1\)",
        ),
        (dv.EL2N, r"EL2N is a score of early training, and the run has one state: .*EL2N\(learner, epoch=1\)"),
        (lambda learner: dv.GraNd(learner, epoch=0), "GraNd can't look at the initialisation .*1 ... 1"),
        (lambda learner: dv.EL2N(learner, epoch=0), "EL2N can't look at the initialisation"),
    ],
)
def test_what_is_missing_is_said(zoo, make, match):
    learner, samples, run = adopted(zoo)
    with pytest.raises(RunMismatchError, match=match):
        make(learner).fit(*samples, run=run)


@pytest.mark.parametrize("make", [dv.InfluenceFunction, dv.RandomValues])
def test_verify_has_no_start(zoo, monkeypatch, make):
    learner, samples, run = adopted(zoo)
    method = make(learner).fit(*samples, run=run)
    monkeypatch.setattr(type(method), "_score", lambda *_: pytest.fail("scored"))
    with pytest.raises(RunMismatchError, match="verify needs the start and every update"):
        method.verify(*make_samples(n=5, seed=2), n_subsets=3, fraction=0.2)


def test_what_retrains_has_no_start(zoo):
    learner, samples, run = adopted(zoo)
    with pytest.raises(RunMismatchError, match="needs the start and every update"):
        dv.evaluation.retrain_subsets(
            learner, *samples, *make_samples(n=5, seed=2), n_subsets=3, fraction=0.2, run=run
        )


@pytest.mark.parametrize("kind", [dv.GraNd, dv.EL2N])
def test_a_state_is_chosen_by_its_number(zoo, kind):
    learner, samples, run = adopted(zoo)
    found = kind(learner, epoch=1).fit(*samples, run=run).score(*samples)
    trained = learner.train(*samples)  # from that very state
    expected = kind(learner, epoch=0).fit(*samples, run=trained).score(*samples)
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match=r"epoch must lie in 0 ... 1"):
        kind(learner, epoch=2).fit(*samples, run=run)


def test_logs_give_what_a_plain_loop_gives(zoo):
    """Sums of five numbers: rounding alone differs."""
    learner, samples, _ = adopted(zoo)
    rng = np.random.default_rng(0)
    losses, margins = rng.uniform(size=(EPOCHS, N)), rng.normal(size=(EPOCHS, N))
    losses[2, 3] = margins[2, 3] = np.nan
    losses[:, 4] = margins[:, 4] = np.nan
    run = learner.adopt(*samples, losses=losses, margins=margins)
    seen = [j for j in range(N) if j != 4]

    def values(kind):
        found = kind(learner).fit(*samples, run=run).score(*samples)
        assert np.isnan(found[4])
        return found[seen]

    means = [[np.mean([row[j] for row in log if row[j] == row[j]]) for j in seen] for log in (losses, margins)]
    np.testing.assert_allclose(values(dv.MeanLoss), -np.array(means[0]), rtol=1e-12)
    np.testing.assert_allclose(values(dv.AreaUnderMargin), means[1], rtol=1e-12)
    expected = []
    for j in seen:
        right = [row[j] > 0 for row in margins if row[j] == row[j]]
        forgotten = sum(a and not b for a, b in pairwise(right))
        expected.append(-forgotten if any(right) else -EPOCHS)
    np.testing.assert_array_equal(values(dv.ForgettingEvents), expected)


def test_logged_margins_of_a_run_give_its_values(zoo):
    """The margins that a run's own replay computes, logged: the same values, up to the order of a sum."""
    learner, samples = make_learner(zoo), make_samples()
    trained = learner.train(*samples)
    margins = np.full((trained.plan.n_epochs, N), np.nan)
    replay = learner.replay(*samples, trained)
    backend = replay.program.backend
    for step, state in replay.forward():
        batch = trained.plan.batch(step)
        data = backend.batches(replay.program.data.take(batch)).take(np.arange(len(batch)))
        logits = backend.arrays.to_numpy(backend.predict(state.parameters, state.buffers, data))
        for j, row in zip(batch, logits, strict=True):
            label = samples.y[j]
            margins[trained.plan.epochs[step], j] = row[label] - np.delete(row, label).max()
    logged = learner.adopt(*samples, losses=trained.losses, margins=margins)
    for kind in (dv.MeanLoss, dv.AreaUnderMargin, dv.ForgettingEvents):
        expected = kind(learner).fit(*samples, run=trained).score(*samples)
        found = kind(learner).fit(*samples, run=logged).score(*samples)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.filterwarnings("ignore::dataval.errors.SolverWarning")  # Arnoldi's default rank is small
@pytest.mark.parametrize("solver", ["cg", "exact", "lissa", "arnoldi", "identity"])
def test_every_solver_takes_a_trained_model(zoo, solver):
    """The state that a run ended with, once as its end and once as all that is known: one computation."""
    learner, samples = make_learner(zoo, batch_size=5), make_samples()
    trained = ended(zoo)
    known = dv.TrainingRun.from_checkpoints(learner, *samples, [trained.final])
    found, expected = (
        dv.InfluenceFunction(learner, solver=solver).fit(*samples, run=run).score(*make_samples(n=5, seed=2))
        for run in (known, trained)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)

"""Each method says what it needs, trains no more than that, and names what is missing."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.errors import InvalidDataError, RunMismatchError
from dataval.methods.of_states import StateValuator
from tests.runs import N, make_learner, make_samples

OF_RUN = (dv.HyDRA, dv.MeanLoss, dv.AreaUnderMargin, dv.ForgettingEvents)
OF_STATES = (dv.InfluenceFunction, dv.TracIn, dv.GraNd, dv.EL2N, dv.GradDot, dv.GradCos, dv.LoGra, dv.TRAK)


def test_random_values_need_no_learner(monkeypatch):
    monkeypatch.setattr(dv.Learner, "prepare", lambda *_, **__: pytest.fail("made a program"))
    method = dv.RandomValues().fit(*make_samples())
    assert method.score(*make_samples(n=5, seed=2)).shape == (N,)
    assert method.run_ is None
    with pytest.raises(
        TypeError, match=r"verify trains again, and so needs a learner: RandomValues\(learner\)"
    ):
        method.verify(*make_samples(n=5, seed=2))


def test_random_values_are_verified_by_a_learner(zoo):
    method = dv.RandomValues(make_learner(zoo, epochs=1)).fit(*make_samples())
    assert method.verify(*make_samples(n=5, seed=2), n_subsets=3, fraction=0.2).n_subsets == 3


def test_data_alone_are_checked_all_the_same(zoo):
    X, y = make_samples()
    for bad in (np.where(X > 1, np.nan, X), X[:5]):
        with pytest.raises(InvalidDataError):
            dv.RandomValues().fit(bad, y)
    with pytest.raises(
        TypeError, match=r"learner of RandomValues must be a dataval.Learner or None, got 'mlp'"
    ):
        dv.RandomValues("mlp").fit(X, y)
    with pytest.raises(TypeError, match=r"seed must be a whole number from 0, got 0.5"):
        dv.RandomValues(seed=0.5).fit(X, y)
    learner = make_learner(zoo, epochs=1)
    run = learner.train(X, y)
    assert dv.RandomValues().fit(X, y, run=run).run_ is run
    with pytest.raises(RunMismatchError, match=r"other data: RandomValues needs none"):
        dv.RandomValues().fit(X + 1, y, run=run)


@pytest.mark.parametrize("kind", [*OF_RUN, *OF_STATES])
def test_what_is_missing_is_named(kind):
    with pytest.raises(
        TypeError, match=rf"{kind.__name__} needs a dataval.Learner, got NoneType: .*of {kind.needs}"
    ):
        kind(None).fit(*make_samples())
    assert (kind.needs == "states of a training run") == (kind in OF_STATES)


def test_leave_one_out_names_both_that_it_can_train():
    with pytest.raises(
        TypeError, match=r"needs a dataval.Learner, or a classifier or regressor of scikit-learn"
    ):
        dv.LeaveOneOut("mlp").fit(*make_samples())


class OnlyStates:
    """Hands out states as a replay does, and can do nothing else."""

    def __init__(self, replay):
        self.program, self.final, self.at = replay.program, replay.final, replay.at


@pytest.mark.parametrize("kind", OF_STATES)
def test_states_are_all_that_methods_of_states_ask_for(zoo, kind):
    method = kind(make_learner(zoo)).fit(*make_samples())
    assert isinstance(method, StateValuator)
    replay, validation = method._question(*make_samples(n=5, seed=2))
    found = method._score(OnlyStates(replay), validation)
    np.testing.assert_array_equal(found, method._score(replay, validation))


def test_updates_of_tracin_need_a_run(zoo):
    method = dv.TracIn(make_learner(zoo), checkpoints="updates").fit(*make_samples())
    replay, validation = method._question(*make_samples(n=5, seed=2))
    with pytest.raises(TypeError, match=r"checkpoints='updates' needs a recorded run"):
        method._score(OnlyStates(replay), validation)


def test_a_run_that_is_none(zoo):
    with pytest.raises(TypeError, match=r"run must be a dataval.TrainingRun.*got 'my run'"):
        dv.HyDRA(make_learner(zoo)).fit(*make_samples(), run="my run")


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda learner: dv.HyDRA(learner, hessian=1), "hessian must be True or False, got 1"),
        (
            lambda learner: dv.HyDRA(learner, chunk_size=2.0),
            "chunk_size must be a whole number from 1, got 2.0",
        ),
        (
            lambda learner: dv.TracIn(learner, chunk_size="2"),
            "chunk_size must be a whole number from 1, got '2'",
        ),
        (lambda learner: dv.TracIn(learner, checkpoints=3), "checkpoints must be a sequence of whole numbers"),
        (lambda learner: dv.TracIn(learner, checkpoints=[1.5]), r"checkpoints\[0\] must be a whole number"),
        (lambda learner: dv.GraNd(learner, epoch=True), "epoch must be a whole number, got True"),
        (lambda learner: dv.EL2N(learner, epoch=1.0), "epoch must be a whole number, got 1.0"),
        (lambda learner: dv.InfluenceFunction(learner, damping="0.1"), "damping must be a number from 0"),
        (
            lambda learner: dv.InfluenceFunction(learner, normalize=1),
            "normalize must be False, True, 'theta' or 'loss'",
        ),
        (lambda learner: dv.InfluenceFunction(learner, solver=3), "solver must be a name"),
        (lambda learner: dv.HyDRA(learner, projection=True), "projection must be a whole number"),
        (lambda learner: dv.GradDot(learner, dimension=0), "dimension must be at least 1"),
        (lambda learner: dv.LoGra(learner, rank=1.5), "rank must be a whole number from 1"),
        (lambda learner: dv.LoGra(learner, projection="svd"), "projection must be 'random' or 'pca'"),
        (lambda learner: dv.LoGra(learner, damping=-1), "damping must be at least 0"),
        (lambda learner: dv.TRAK(learner, dimension="many"), "dimension must be a whole number from 1"),
        (lambda learner: dv.TRAK(learner, output="logit"), "output must be 'loss' or 'margin'"),
        (lambda learner: dv.TRAK(learner, seeds=3), r"pass \[3\] for this one seed"),
        (lambda learner: dv.TRAK(learner, checkpoints=[99]), r"checkpoints\[0\] must be"),
        (lambda learner: dv.TRAK(learner, leave_one_out=1), "leave_one_out must be True or False"),
        (lambda learner: dv.HyDRA(learner, objective="mse"), r"objective must be a function .*got 'mse'"),
        (lambda learner: dv.LeaveOneOut(learner, objective=3), "objective must be a function .*got 3"),
        (lambda learner: dv.LeaveOneOut(learner, utility="acuracy"), "unknown utility 'acuracy'"),
        (lambda learner: dv.LeaveOneOut(learner, seeds=3), r"pass \[3\] for this one seed"),
        (lambda learner: dv.LeaveOneOut(learner, group_size=2.5), "group_size must be a whole number from 1"),
        (lambda learner: dv.LeaveOneOut(learner, folder=3), "folder must be the path of a folder"),
        (lambda learner: dv.LeaveOneOut(learner, indices="12"), "indices must be a sequence of whole numbers"),
    ],
)
def test_options_are_checked_before_training(zoo, monkeypatch, make, match):
    monkeypatch.setattr("dataval.methods.of_run.carry_out", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises((TypeError, ValueError), match=match):
        make(make_learner(zoo)).fit(*make_samples())


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n_subsets": 2.5}, "n_subsets must be a whole number"),
        ({"n_subsets": 2}, "at least 3 subsets"),
        ({"fraction": "0.1"}, "fraction must be a number, got '0.1'"),
        ({"fraction": np.nan}, "fraction must be a finite number"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"n_jobs": 1.0}, "n_jobs must be a whole number"),
        ({"group_size": True}, "group_size must be a whole number"),
        ({"values": np.zeros(3)}, r"values must have shape \(20,\)"),
        ({"values": "ones"}, "values must be real numbers"),
    ],
)
def test_verify_checks_before_it_trains(zoo, monkeypatch, options, match):
    method = dv.MeanLoss(make_learner(zoo, epochs=1)).fit(*make_samples())
    monkeypatch.setattr("dataval.retraining.subsets.retrain", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises((TypeError, ValueError), match=match):
        method.verify(*make_samples(n=5, seed=2), **({"n_subsets": 3, "fraction": 0.2} | options))


def test_a_schedule_that_fits_one_number_of_samples_only(zoo, monkeypatch):
    """Without 2 of 20 samples there are 3 updates an epoch instead of 4, and no value for the others."""
    samples = make_samples()
    schedule = dv.ExplicitSchedule(values=(1.0,) * 12)
    learner = make_learner(zoo, schedule=schedule, batch_size=5)
    trained = []
    monkeypatch.setattr("dataval.methods.of_run.carry_out", lambda *_, **__: trained.append(1))
    method = dv.LeaveOneOut(make_learner(zoo, schedule=schedule, batch_size=5, drop_last=True), mode="removal")
    with pytest.raises(InvalidDataError, match=r"without 1 of the 20 samples there is no run: .*per='epoch'"):
        method.fit(*samples)
    with pytest.raises(InvalidDataError, match=r"without 8 of the 20 samples there is no run: .*per='epoch'"):
        dv.evaluation.removal_curve(np.arange(N), learner, *samples, *samples, shares=[0.4], seeds=[0])
    assert not trained

"""Verifying: other seeds, baselines and what the retrainings are about, against computing each apart."""

import numpy as np
import pytest
from scipy.stats import spearmanr

import dataval as dv
from dataval.data import as_data
from dataval.errors import InvalidDataError, PlateauWarning
from dataval.evaluation import fidelity_across_seeds, linear_datamodeling_score, retrain_subsets
from dataval.objectives.validation import ValidationObjective
from dataval.training.plateau import plateau
from tests.runs import N, make_learner, make_samples, trained

OPTIONS = {"n_subsets": 4, "fraction": 0.2}
SEEDS = (5, 6)
IS_NOISY = np.arange(N) % 3 == 0


@pytest.fixture
def validation():
    return make_samples("mlp", 8, seed=2)


@pytest.fixture
def hydra(zoo):
    learner, samples, run = trained(zoo)
    return dv.HyDRA(learner).fit(*samples, run=run)


def under(learner, seed):
    """The same learner with another seed."""
    other = dv.Learner(
        learner.model, training=learner.training.model_copy(update={"seed": seed}), progress=False
    )
    return dv.HyDRA(other).fit(*make_samples())


@pytest.mark.slow_on_tensorflow  # which compiles for each of the seeds
def test_other_seeds_are_trainings_with_them(zoo, validation, hydra):
    found = hydra.verify(*validation, **OPTIONS, seeds=SEEDS, average=True).other_seeds
    values = [hydra.score(*validation)]
    truths = [retrain_subsets(hydra.learner, *make_samples(), *validation, run=hydra.run_, **OPTIONS)]
    for seed in SEEDS:
        other = under(hydra.learner, seed)
        values.append(other.score(*validation))
        truths.append(
            retrain_subsets(
                other.learner, *make_samples(), *validation, run=other.run_, removed=truths[0].removed
            )
        )
    expected = [linear_datamodeling_score(values[0], truth).score for truth in truths[1:]]
    across = fidelity_across_seeds(values, truths)
    assert found.seeds == SEEDS
    # The same numbers, whose sums are taken in another order at most.
    assert found.scores == pytest.approx(expected, abs=1e-9)
    assert found.averaged == pytest.approx(across.averaged[1:], abs=1e-9)
    assert found.outcome_correlation == pytest.approx(across.outcome_correlation, abs=1e-9)


def test_given_values_are_judged_by_other_seeds_without_averages(validation, hydra):
    values = np.arange(N) + 0.0
    found = hydra.verify(*validation, **OPTIONS, values=values, seeds=[5])
    assert found.other_seeds.averaged is None
    assert found.other_seeds.averaged_mean is None
    other = under(hydra.learner, 5)
    truth = retrain_subsets(other.learner, *make_samples(), *validation, run=other.run_, **OPTIONS)
    assert found.other_seeds.mean == pytest.approx(linear_datamodeling_score(values, truth).score, abs=1e-12)


def test_baselines_and_the_training_that_they_are_about(validation, hydra):
    found = hydra.verify(*validation, **OPTIONS, is_noisy=IS_NOISY)
    truth = retrain_subsets(hydra.learner, *make_samples(), *validation, run=hydra.run_, **OPTIONS)
    by_loss = truth.removed @ dv.MeanLoss(hydra.learner).fit(*make_samples(), run=hydra.run_).score(*validation)
    assert found.baselines.mean_loss == pytest.approx(spearmanr(by_loss, truth.changes).statistic, abs=1e-9)
    counts = -(truth.removed @ IS_NOISY.astype(float))
    assert found.baselines.noisy_count == pytest.approx(spearmanr(counts, truth.changes).statistic, abs=1e-9)
    replay = hydra.learner.replay(*make_samples(), hydra.run_)
    loss = ValidationObjective(replay.program.backend, as_data(*validation), None).value(replay.final)
    assert found.loss == pytest.approx(float(loss), rel=1e-12)
    assert found.spread == pytest.approx(np.std(truth.changes, ddof=1), rel=1e-9)
    assert found.relative_spread == pytest.approx(found.spread / found.loss, rel=1e-12)
    backend, final = replay.program.backend, replay.final
    batch = backend.batches(as_data(*validation)).take(np.arange(8))
    outputs = np.asarray(backend.predict(final.parameters, final.buffers, batch))
    assert found.accuracy == np.mean(outputs.argmax(axis=1) == validation[1])


def test_without_a_run_one_is_trained_to_judge_by(zoo, validation):
    learner = make_learner(zoo)
    alone = dv.RandomValues(learner).fit(*make_samples()).verify(*validation, **OPTIONS)
    shared = dv.RandomValues(learner).fit(*make_samples(), run=trained(zoo).run).verify(*validation, **OPTIONS)
    assert alone.baselines == shared.baselines
    assert alone.loss == pytest.approx(shared.loss, rel=1e-12)
    assert alone.other_seeds is None


def test_a_regression_has_no_accuracy(zoo):
    """A squared error of the outputs, held against one-hot labels."""
    samples, validation = ((x, np.eye(3)[y % 3]) for x, y in (make_samples(), make_samples("mlp", 8, seed=2)))
    learner = make_learner(zoo, loss="mse", epochs=1)
    found = dv.MeanLoss(learner).fit(*samples).verify(*validation, **OPTIONS)
    assert found.accuracy is None
    assert found.loss > 0


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"seeds": [1, 5]}, "seeds must be others than the run's own, 1"),
        ({"seeds": 5}, r"pass \[5\] for this one"),
        ({"average": True}, "name them, seeds="),
        ({"average": True, "seeds": [5], "values": np.zeros(N)}, "leave values out"),
        ({"average": 1, "seeds": [5]}, "average must be True or False"),
        ({"is_noisy": IS_NOISY[1:]}, r"is_noisy must have shape \(20,\), got \(19,\)"),
        ({"is_noisy": np.arange(N)}, "must be a mask"),
    ],
)
def test_nonsense_is_refused_before_it_trains(hydra, validation, monkeypatch, options, match):
    monkeypatch.setattr("dataval.retraining.subsets.retrain", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises((TypeError, ValueError), match=match):
        hydra.verify(*validation, **OPTIONS | options)


def test_a_recorded_loop_has_one_seed(hydra, validation, monkeypatch):
    monkeypatch.setattr(type(hydra.run_.plan), "is_recorded", True)
    with pytest.raises(InvalidDataError, match="a recorded loop can't be done again under other seeds"):
        hydra.verify(*validation, **OPTIONS, seeds=[5])


def flat(zoo, **options):
    """A training of 24 updates."""
    learner = make_learner(zoo, "softmax_regression", batch_size=5, epochs=6, **options)
    return learner, learner.train(*make_samples())


def test_a_loss_that_stays_is_named(zoo, validation):
    learner, run = flat(zoo, optimizer=dv.SGD(learning_rate=1e-6))
    method = dv.MeanLoss(learner).fit(*make_samples(), run=run)
    match = "the best constant prediction has 1.*hardly left its start"
    with pytest.warns(PlateauWarning, match=match) as caught:
        method.verify(*validation, **OPTIONS)
    assert caught[0].filename == __file__


def test_a_loss_that_falls_is_not_named(zoo):
    learner, run = flat(zoo, optimizer=dv.SGD(learning_rate=0.5))
    replay = learner.replay(*make_samples(), run)
    assert run.losses[-1].mean() < 0.8 * run.losses[0].mean()
    assert not plateau(replay)
    run.losses[:] = run.losses[0]
    run.loss = "one's own"
    assert "the first update had" in plateau(replay)
    run.losses[-1] *= 0.5
    assert not plateau(replay)

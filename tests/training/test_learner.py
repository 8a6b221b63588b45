"""Learners: scikit-learn's conventions, what they leave untouched, and which runs they adopt."""

from __future__ import annotations

import re

import numpy as np
import pytest
from sklearn.base import clone

import dataval as dv
from dataval.data import as_data
from dataval.errors import RunMismatchError
from dataval.zoo import named_model
from tests.runs import N, assert_same_run, make_learner, make_samples, shared_model


def squared(outputs, targets):
    return (outputs[:, 0] - targets) ** 2


def shifted(outputs, targets):
    return (outputs[:, 0] - targets + 1) ** 2


class TestConventions:
    def test_constructor_only_stores(self):
        stored = {
            "model": object(),
            "loss": 3,
            "training": "later",
            "device": None,
            "params": 7,
            "checkpoints": [],
            "backend": "none such",
            "progress": "maybe",
        }
        learner = dv.Learner(**stored)
        for name, value in stored.items():
            assert getattr(learner, name) is value

    def test_get_and_set_params(self, zoo):
        learner = make_learner(zoo)
        params = learner.get_params(deep=False)
        assert dv.Learner(**params).get_params(deep=False) == params
        training = dv.Training(epochs=1)
        assert learner.set_params(training=training) is learner
        assert learner.training is training
        with pytest.raises(ValueError, match="epochs"):
            learner.set_params(epochs=3)

    def test_clone_trains_alike(self, zoo):
        learner, samples = make_learner(zoo, "dropout"), make_samples("dropout")
        assert_same_run(clone(learner).train(*samples), learner.train(*samples))

    def test_repr_names_what_was_set(self, zoo):
        assert "epochs=3" in repr(make_learner(zoo))

    def test_defaults(self, zoo):
        run = dv.Learner(shared_model(zoo, "mlp"), progress=False).train(*make_samples(n=50))
        assert run.training == dv.Training()
        assert run.policy == dv.Checkpoints()


@pytest.mark.parametrize("model", ["mlp", "cnn_batch_norm", "dropout"])
def test_the_model_is_never_changed(zoo, model):
    learner, samples = make_learner(zoo, model), make_samples(model)
    initial = learner.prepare(*samples).program.initial_state()
    first = learner.train(*samples)
    dv.HyDRA(learner, hessian=True).fit(*samples).score(*make_samples(model, 8, seed=2))
    again = learner.prepare(*samples).program.initial_state()
    for left, right in zip(again.arrays(), initial.arrays(), strict=True):
        np.testing.assert_array_equal(np.asarray(left), np.asarray(right))
    assert_same_run(learner.train(*samples), first)


def test_a_run_starts_from_the_models_own_parameters(zoo):
    one, other = (
        dv.Learner(zoo.mlp(seed=seed), training=dv.Training(epochs=1, batch_size=6), progress=False)
        .train(*make_samples())
        .checkpoints[0]
        for seed in (0, 1)
    )
    assert not np.array_equal(one.parameters, other.parameters)


def test_a_callable_starts_every_seed_from_its_own_initialisation(framework):
    build, backend = named_model("linear", (6,), 3, backend=framework)
    X, y = make_samples()

    def run(seed):
        training = dv.Training(epochs=1, batch_size=6, seed=seed)
        learner = dv.Learner(build, training=training, backend=backend, progress=False)
        return learner.train(X.astype(np.float32), y)

    one = run(1)
    assert_same_run(run(1), one)
    assert not np.array_equal(one.checkpoints[0].parameters, run(2).checkpoints[0].parameters)


@pytest.mark.parametrize("model", ["mlp", "transformer"])
def test_arrays_of_the_caller_are_never_written(zoo, model):
    samples, validation = make_samples(model), make_samples(model, 8, seed=2)
    weights = np.linspace(0.5, 1, N)
    kept = [array.copy() for array in (*samples, *validation, weights)]
    for array in (*samples, *validation, weights):
        array.flags.writeable = False
    learner = make_learner(zoo, model)
    run = learner.train(*samples, weights)
    hydra = dv.HyDRA(learner, hessian=True).fit(*samples, run=run)
    hydra.score(*validation)
    hydra.verify(*validation, n_subsets=3, fraction=0.2)
    for array, copy in zip((*samples, *validation, weights), kept, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_writing_to_weights_after_training_changes_no_run(zoo):
    weights = np.ones(N)
    run = make_learner(zoo).train(*make_samples(), weights)
    weights[:] = 0
    np.testing.assert_array_equal(run.weights, np.ones(N))


def test_data_may_come_in_any_container(zoo, tmp_path):
    learner, (X, y) = make_learner(zoo), make_samples()
    run = learner.train(X, y)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    for inputs, labels in ((mapped, y), (X.tolist(), y.tolist()), (np.asfortranarray(X), y)):
        assert_same_run(learner.train(inputs, labels), run)


# ---- adopting a run ------------------------------------------------------------------------------


def adopt(learner, samples, run):
    """A run must be refused by every way in."""
    for take in (
        lambda: learner.replay(*samples, run),
        lambda: learner.train(*samples, resume=run),
        lambda: dv.HyDRA(learner).fit(*samples, run=run),
    ):
        with pytest.raises(RunMismatchError) as caught:
            take()
    return str(caught.value)


def test_a_run_of_the_same_learner_is_adopted(zoo):
    learner, samples = make_learner(zoo), make_samples()
    run = learner.train(*samples)
    assert dv.HyDRA(make_learner(zoo)).fit(*samples, run=run).run_ is run


DATA_CHANGES = {
    "a value": lambda X, y: (X + 1e-15, y),
    "labels": lambda X, y: (X, (y + 1) % 3),
    "order": lambda X, y: (X[::-1], y[::-1]),
    "dtype": lambda X, y: (X.astype(np.float32), y),
    "fewer": lambda X, y: (X[:-1], y[:-1]),
}


@pytest.mark.parametrize("change", DATA_CHANGES)
def test_other_data_are_refused(zoo, change):
    learner, samples = make_learner(zoo), make_samples()
    run = learner.train(*samples)
    message = adopt(learner, DATA_CHANGES[change](*samples), run)
    assert "other data (20 samples" in message
    assert "same X and y, in the same order and dtype" in message


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"seed": 2}, "another training"),
        ({"epochs": 4}, "another training"),
        ({"optimizer": dv.SGD(learning_rate=0.1, momentum=0.8)}, "another training"),
        ({"clip_norm": 1.0}, "another training"),
        ({"schedule": dv.CosineSchedule()}, "another training"),
        ({"loss": dv.CrossEntropy(label_smoothing=0.1)}, "another loss"),
        ({"params": ["*weight*", "*kernel*"]}, "another model"),
    ],
)
def test_another_configuration_is_refused(zoo, framework, tmp_path, options, match, saved):
    if "params" in options:
        options = {"params": ["*weight"] if framework == "torch" else ["*kernel"]}
    samples = make_samples()
    run = make_learner(zoo).train(*samples)
    if saved:
        run = dv.TrainingRun.load(run.save(tmp_path / "run"))
    assert match in adopt(make_learner(zoo, **options), samples, run)


def test_another_model_is_refused(zoo):
    samples = make_samples()
    run = make_learner(zoo, "mlp").train(*samples)
    assert "another model" in adopt(make_learner(zoo, "layer_norm"), samples, run)
    other = make_learner(zoo)
    other.set_params(model=zoo.mlp("float32"))
    assert "another model" in adopt(other, samples, run)


def test_another_backend_is_refused(zoo):
    from dataclasses import replace

    learner, samples = make_learner(zoo), make_samples()
    run = replace(learner.train(*samples), backend="abacus")
    assert "another backend: abacus" in adopt(learner, samples, run)


@pytest.mark.parametrize(
    "losses",
    [(squared, shifted), (lambda o, t: (o[:, 0] - t) ** 2, lambda o, t: (o[:, 0] - t + 1) ** 2)],
    ids=["functions", "lambdas"],
)
def test_another_loss_function_is_refused(zoo, losses):
    X, y = make_samples()
    samples = X, y.astype(float)
    learner, other = (make_learner(zoo, loss=loss, optimizer=dv.SGD(learning_rate=0.01)) for loss in losses)
    run = learner.train(*samples)
    assert learner.replay(*samples, run).run is run
    assert re.search("another (model or )?loss", adopt(other, samples, run))


def test_another_model_of_the_same_shapes_is_refused(zoo, framework):
    samples, other = make_samples(), zoo.mlp()
    if framework == "torch":
        import torch

        other[1] = torch.nn.ReLU()
    else:
        import keras

        other.layers[1].activation = keras.activations.relu
    learner = make_learner(zoo)
    run = learner.train(*samples)
    assert "another model or loss" in adopt(learner.set_params(model=other), samples, run)


def test_a_run_brings_its_own_start(zoo):
    """The same architecture with other parameters, as built anew in another session, gives the same answers."""
    samples, validation = make_samples(), make_samples(n=8, seed=2)
    learner, other = make_learner(zoo), make_learner(zoo)
    other.set_params(model=zoo.mlp(seed=5))
    run = learner.train(*samples)
    mine, theirs = (dv.HyDRA(who, hessian=True).fit(*samples, run=run) for who in (learner, other))
    np.testing.assert_array_equal(mine.score(*validation), theirs.score(*validation))
    options = {"n_subsets": 3, "fraction": 0.2}
    assert mine.verify(*validation, **options) == theirs.verify(*validation, **options)


def test_the_weights_of_a_run_are_its_own(zoo):
    learner, samples, weights = make_learner(zoo), make_samples(), np.linspace(0, 1, N)
    run = learner.prepare(*samples, weights).run
    with pytest.raises(RunMismatchError, match="other weights: leave them out"):
        learner.train(*samples, np.ones(N), resume=run)
    assert run.n_completed == 0
    assert_same_run(learner.train(*samples, weights, resume=run), learner.train(*samples, weights))


def test_prepare_does_no_update(zoo):
    replay = make_learner(zoo).prepare(*make_samples())
    assert replay.run.n_completed == 0
    assert sorted(replay.run.checkpoints) == [0]
    assert replay.program.data.fingerprint() == as_data(*make_samples()).fingerprint()

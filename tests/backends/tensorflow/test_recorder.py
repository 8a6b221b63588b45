"""Values through a Keras ``fit`` that is the user's own, against finite differences of that fit."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import dataval as dv
from dataval.errors import InvalidDataError, InvalidModelError, RecordingWarning, RunMismatchError
from dataval_tensorflow import Recorder

N = 22
RNG = np.random.default_rng(0)
X, Y = RNG.integers(-8, 9, size=(N, 5)) / 8, RNG.integers(0, 3, N)
X_VAL, Y_VAL = RNG.integers(-8, 9, size=(8, 5)) / 8, RNG.integers(0, 3, 8)
SAMPLES = [0, 3, 7, 11, 21]


@pytest.fixture(autouse=True, scope="module")
def in_double():
    """Keras rounds data and weights of samples to its own precision, too coarse for differences."""
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)


def sgd():
    return keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 12), momentum=0.9)


def adamw():
    optimizer = keras.optimizers.AdamW(0.02, weight_decay=0.1, global_clipnorm=0.3)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def compiled(optimizer, *layers, **options):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((5,), dtype="float64"),
            keras.layers.Dense(8, activation="tanh", dtype="float64", **options),
            *layers,
            keras.layers.Dense(3, dtype="float64"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


def fit(model, weights=None, **options):
    """The user's script: only the weights are for the differences."""
    keras.utils.set_random_seed(5)
    settings = {"batch_size": 6, "epochs": 3, "verbose": 0, "validation_data": (X_VAL, Y_VAL)}
    sample_weight = np.ones(N) if weights is None else weights
    return model.fit(X, Y, sample_weight=sample_weight, **settings | options)


def validation_loss(model):
    losses = keras.losses.sparse_categorical_crossentropy(Y_VAL, model(X_VAL, training=False), from_logits=True)
    return float(keras.ops.mean(losses))


def differences(make, samples, **options):
    found = []
    for j in samples:
        ends = []
        for sign in (-1, 1):
            model = make()
            fit(model, np.ones(N) + sign * 1e-4 * np.eye(N)[j], **options)
            ends.append(validation_loss(model))
        found.append((ends[0] - ends[1]) / 2e-4)
    return np.array(found)


@pytest.fixture(scope="module")
def recorded():
    model = compiled(sgd())
    recorder = Recorder(model, proved=0.5)
    history = fit(model)
    return model, recorder, recorder.finish(), history


@pytest.mark.parametrize(
    "optimizer",
    [
        pytest.param(sgd, id="schedule and momentum", marks=pytest.mark.slow),
        pytest.param(adamw, id="groups and clipping"),
    ],
)
def test_values_equal_differences_of_the_fit(optimizer):
    """To 1e-5, though Keras clips by a norm that is a millionth smaller."""
    model = compiled(optimizer())
    recorder = Recorder(model)
    fit(model)
    run = recorder.finish()
    assert run.evidence.grade == "rounding"
    values = dv.HyDRA(recorder.learner, hessian=True).fit(X, Y, run=run).score(X_VAL, Y_VAL)[SAMPLES]
    expected = differences(lambda: compiled(optimizer()), SAMPLES)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_what_is_recorded(recorded):
    model, _, run, history = recorded
    assert (run.origin, run.n_steps, run.n_samples) == ("recorded", 12, N)
    np.testing.assert_array_equal(np.unique(run.plan.coefficients), [1 / 6, 1 / 4])
    np.testing.assert_array_equal(np.sort(run.plan.order), np.repeat(np.arange(N), 3))
    assert run.evidence.is_proved.sum() >= 5
    found = np.concatenate([weights.ravel() for weights in model.get_weights()])
    np.testing.assert_array_equal(np.asarray(run.final.parameters), found)
    assert set(history.history) == {"accuracy", "loss", "val_accuracy", "val_loss"}
    assert "fit" not in vars(model)
    assert "compute_loss" not in vars(model)


def test_recording_changes_nothing(recorded):
    alone = compiled(sgd())
    fit(alone)
    for mine, theirs in zip(recorded[0].get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_early_stopping_is_a_mark():
    model = compiled(keras.optimizers.SGD(20.0))
    recorder = Recorder(model)
    stop = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    fit(model, epochs=6, callbacks=[stop])
    run = recorder.finish()
    assert 0 < run.marks["best"] < run.n_steps
    best = run.until("best")
    found = np.concatenate([weights.ravel() for weights in model.get_weights()])
    np.testing.assert_array_equal(np.asarray(best.final.parameters), found)
    assert dv.HyDRA(recorder.learner).fit(X, Y, run=best).score(X_VAL, Y_VAL).shape == (N,)


def test_pipelines_and_dropout():
    """The same recorder's seed gives the same masks, so that values equal differences of the recorded fit."""

    def trained(weights):
        model = compiled(sgd(), keras.layers.Dropout(0.3, dtype="float64"))
        recorder = Recorder(model)
        fit(model, weights)
        return model, recorder, recorder.finish()

    _, recorder, run = trained(None)
    values = dv.HyDRA(recorder.learner, hessian=True).fit(X, Y, run=run).score(X_VAL, Y_VAL)
    move = 1e-4 * np.eye(N)[5]
    expected = (validation_loss(trained(1 - move)[0]) - validation_loss(trained(1 + move)[0])) / 2e-4
    assert values[5] == pytest.approx(expected, rel=1e-5)

    model = compiled(sgd())
    recorder = Recorder(model)
    pipeline = recorder.numbered(tf.data.Dataset.from_tensor_slices((X, Y))).shuffle(N, seed=1).batch(6)
    model.fit(pipeline, epochs=2, verbose=0, shuffle=False)
    run = recorder.finish()
    np.testing.assert_array_equal(np.sort(run.plan.order), np.repeat(np.arange(N), 2))
    dv.HyDRA(recorder.learner).fit(X, Y, run=run).score(X_VAL, Y_VAL)
    assert run.evidence.is_proved.all()


class Rates(keras.callbacks.Callback):
    """Sets the rate of each step when it begins."""

    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate = 0.1 / (1 + batch)


def test_a_fit_is_recorded_as_it_was_asked_for():
    """Weights in a pipeline, a held-out share, rates set by callbacks, arguments without names."""
    weights = np.linspace(0.5, 1.5, N)
    model, alone = compiled(sgd()), compiled(sgd())
    recorder = Recorder(model)
    data = tf.data.Dataset.from_tensor_slices((X, Y, weights))
    model.fit(recorder.numbered(data).batch(6), epochs=1, verbose=0, shuffle=False)
    alone.fit(data.batch(6), epochs=1, verbose=0, shuffle=False)
    np.testing.assert_allclose(recorder.finish().plan.coefficients[:6], weights[:6] / 6, rtol=1e-6)
    for each in (model, alone):
        each.compile(keras.optimizers.SGD(0.1, momentum=0.9), each.loss)
    recorder = Recorder(model)
    for each in (model, alone):
        keras.utils.set_random_seed(5)
        each.fit(X, Y, 6, 2, 0, [Rates()], 0.2)
    run = recorder.finish()
    assert (run.n_samples, run.evidence.notes) == (17, ())
    for mine, theirs in zip(model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


class Shrinking(keras.callbacks.Callback):
    """Writes to the weights after every step, as averaging does."""

    def on_train_batch_end(self, batch, logs=None):
        kernel = self.model.layers[0].kernel
        kernel.assign(kernel * 0.99)


DEVIATIONS = {
    "averaging": (
        lambda: compiled(keras.optimizers.SGD(0.1, use_ema=True)),
        {},
        "use_ema=True: averaged weights",
    ),
    "decay by hand": (
        lambda: compiled(keras.optimizers.SGD(0.1)),
        {"callbacks": [Shrinking()]},
        r"kernel were changed .* multiplied by 0\.99",
    ),
    "an optimizer": (lambda: compiled(keras.optimizers.Adagrad(0.1)), {}, "the optimizer Adagrad isn't known"),
}


@pytest.mark.parametrize("name", DEVIATIONS)
def test_what_deviates_is_named_and_refused(name):
    make, options, cause = DEVIATIONS[name]
    model = make()
    recorder = Recorder(model)
    with pytest.warns(RecordingWarning, match=cause):
        fit(model, epochs=1, **options)
    run = recorder.finish()
    with pytest.raises(RunMismatchError, match=cause):
        dv.HyDRA(recorder.learner).fit(X, Y, run=run)


def test_divergence_ends_the_record_and_not_the_fit():
    model = compiled(keras.optimizers.SGD(1e308))
    recorder = Recorder(model)
    with pytest.warns(
        RecordingWarning, match=r"diverged: at update \d .* is not finite.*Nothing from there on"
    ):
        history = fit(model)
    run = recorder.finish()
    assert len(history.epoch) == 3
    assert 1 <= run.n_steps < 12
    assert (run.evidence.notes, np.isfinite(run.final.parameters).all()) == ((), True)


def test_refusals():
    with pytest.raises(TypeError, match=r"model must be a keras\.Model"):
        Recorder(sgd())
    with pytest.raises(InvalidModelError, match="not compiled"):
        Recorder(keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)]))
    model = compiled(sgd())
    model.compile(sgd(), "sparse_categorical_crossentropy")
    with pytest.raises(InvalidModelError, match="which has no name here: pass each sample's loss"):
        Recorder(model)
    model = compiled(sgd(), kernel_regularizer=keras.regularizers.L2(0.1))
    Recorder(model)
    with pytest.raises(InvalidModelError, match="regularisers, which are no sample's loss"):
        fit(model)
    recorder = Recorder(compiled(sgd()))
    with pytest.raises(InvalidDataError, match="have no numbers"):
        recorder._own.fit(tf.data.Dataset.from_tensor_slices((X, Y)).batch(6))
    with pytest.raises(InvalidDataError, match="nothing was recorded"):
        recorder.finish()

"""Bad input ends in one clear error, that names what is wrong and what to do, before any training."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

import dataval as dv
from dataval.errors import InvalidDataError, InvalidModelError
from dataval.training.program import Program
from tests.runs import N, make_learner, make_samples

X, Y = make_samples()


@pytest.fixture(autouse=True)
def updates(monkeypatch):
    """Count the updates that training does."""
    done, step_of = [], Program.step

    def step(self, state, number):
        done.append(number)
        return step_of(self, state, number)

    monkeypatch.setattr(Program, "step", step)
    return done


def changed(array, at, value):
    copy = array.copy()
    copy[at] = value
    return copy


BAD_DATA = {
    "NaN": (changed(X, (12, 3), np.nan), Y, "training X contains NaN or infinity, first at sample 12"),
    "infinite": (changed(X, (12, 3), np.inf), Y, "X contains NaN or infinity.*impute or drop"),
    "mismatched": (X, Y[:-1], "X holds 20 samples but y holds 19"),
    "empty": (X[:0], Y[:0], "training set is empty"),
    "strings": (X.astype(str), Y, "X has dtype <U.*convert it to numbers"),
    "objects": (X.astype(object), Y, "X has dtype object: convert it to numbers"),
    "class names": (X, np.array(["cat", "dog"] * 10), "y has dtype <U3.*LabelEncoder"),
    "wrong width": (X[:, :4], Y, r"model failed on the first 4 samples, inputs float64\(4, 4\).*Check shape"),
    "transposed": (X.T, Y, "X holds 6 samples but y holds 20"),
    "label too large": (
        X,
        changed(Y, 12, 3),
        r"label 3 of sample 12 is out of range.*labels must lie in 0 ... 2",
    ),
    "label too large at once": (
        X,
        changed(Y, 0, 99),
        "label 99 of sample 0 is out of range: the model has 3 outputs",
    ),
    "labels from 1": (X, Y + 1, "label 3 of sample .* is out of range"),
    "label negative": (X, changed(Y, 12, -1), "label -1 of sample 12 is out of range"),
    "label ignored elsewhere": (X, changed(Y, 19, -100), "label -100 of sample 19 is out of range"),
    "label float": (X, Y.astype(float), r"cross_entropy needs integer class labels.*use y.astype\('int64'\)"),
    "label one-hot": (X, np.eye(3, dtype=int)[Y], r"needs labels of shape \('n',\), got \('n', 3\)"),
    "label column": (X, Y[:, None], r"needs labels of shape \('n',\), got \('n', 1\)"),
    "an array too many": ((X, X), Y, "model failed on the first 4 samples"),
    "an unknown keyword": ({"pixels": X}, Y, "model failed on the first 4 samples.*'pixels'"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data(zoo, updates, case):
    inputs, labels, match = BAD_DATA[case]
    learner = make_learner(zoo)
    for act in (learner.train, dv.HyDRA(learner).fit):
        with pytest.raises(InvalidDataError, match=match):
            act(inputs, labels)
    assert not updates


def test_images_of_bytes(zoo, updates, framework):
    images, labels = make_samples("cnn_batch_norm")
    images = (images * 50 + 128).clip(0, 255).astype(np.uint8)
    learner = make_learner(zoo, "cnn_batch_norm")
    if framework == "tensorflow":  # Keras converts its inputs
        found, expected = learner.train(images, labels), learner.train(images.astype(float), labels)
        np.testing.assert_array_equal(found.losses, expected.losses)
        return
    with pytest.raises(InvalidDataError, match=r"inputs uint8\(4, 1, 8, 8\).*convert.*X.astype\('float32'\)"):
        learner.train(images, labels)
    assert not updates


def test_tokens_given_as_floats(zoo, updates, framework):
    tokens, labels = make_samples("transformer")
    learner = make_learner(zoo, "transformer")
    if framework == "tensorflow":  # Keras converts its inputs
        found, expected = learner.train(tokens.astype(float), labels), learner.train(tokens, labels)
        np.testing.assert_array_equal(found.losses, expected.losses)
        return
    with pytest.raises(InvalidDataError, match=r"model failed on the first 4 samples.*dtype"):
        learner.train(tokens.astype(float), labels)
    assert not updates


def test_a_token_beyond_the_vocabulary_among_the_first(zoo, updates):
    tokens, labels = make_samples("transformer")
    with pytest.raises(InvalidDataError, match="model failed on the first 4 samples"):
        make_learner(zoo, "transformer").train(changed(tokens, (1, 2), 11), labels)
    assert not updates


def test_a_batch_larger_than_the_data(zoo, updates):
    with pytest.raises(
        InvalidDataError, match="batch_size=21 exceeds the 20 training samples: choose a smaller"
    ):
        make_learner(zoo, batch_size=21).train(X, Y)
    assert not updates


@pytest.mark.parametrize(
    ("weights", "match"),
    [
        (np.ones(N - 1), r"weights must have shape \(20,\), got \(19,\)"),
        (np.ones((N, 1)), r"weights must have shape \(20,\), got \(20, 1\)"),
        (2.0, r"weights must have shape \(20,\), got \(\)"),
        (changed(np.ones(N), 3, -0.1), "finite and not negative"),
        (changed(np.ones(N), 3, np.nan), "finite and not negative"),
        (changed(np.ones(N), 3, np.inf), "finite and not negative"),
        (["heavy"] * N, "weights"),
    ],
)
def test_bad_weights(zoo, updates, weights, match):
    with pytest.raises(InvalidDataError, match=match):
        make_learner(zoo).train(X, Y, weights)
    assert not updates


# ---- models and losses ---------------------------------------------------------------------------


def reduced(outputs, targets):
    return outputs.sum() if hasattr(outputs, "sum") else outputs[0, 0]


def two_a_sample(outputs, targets):
    return outputs[:, :2] ** 2


def a_number(outputs, targets):
    return 3.0


def constant(outputs, targets):
    return outputs[:, 0] * float("nan")


BAD_LOSSES = {
    "reduced": (reduced, InvalidModelError, "returned a single number: .*reduction='none'"),
    "two a sample": (
        two_a_sample,
        InvalidModelError,
        r"returned shape \(4, 2\) for 4 samples: it must be \(4,\)",
    ),
    "no tensor": (a_number, InvalidModelError, "returned a float, not a tensor"),
    "NaN": (constant, InvalidModelError, "losses of the first 4 samples are .*nan.* before training"),
    "unknown name": (
        "crossentropy",
        ValueError,
        "unknown loss 'crossentropy': choose one of .*'cross_entropy'",
    ),
    "no function": (3, TypeError, r"loss must be a name or a function \(outputs, targets\)"),
    "class weights": (
        dv.CrossEntropy(class_weights=(1.0, 2.0)),
        InvalidModelError,
        "class_weights has 2 entries, but the model has 3 outputs",
    ),
    "other shape": ("mse", InvalidDataError, r"mse compares outputs of shape \('n', 3\) with targets of shape"),
}


@pytest.mark.parametrize("case", BAD_LOSSES)
def test_bad_losses(zoo, updates, case):
    loss, error, match = BAD_LOSSES[case]
    with pytest.raises(error, match=match):
        make_learner(zoo, loss=loss).train(X, Y)
    assert not updates


def test_probabilities_beyond_one(zoo, updates):
    targets = changed(np.zeros((N, 3)), (12, 0), 1.5)
    with pytest.raises(InvalidDataError, match=r"binary_cross_entropy needs targets in \[0, 1\]"):
        make_learner(zoo, loss="binary_cross_entropy").train(X, targets)
    assert not updates


@pytest.mark.parametrize("params", [["no_such_layer*"], lambda name: False, []])
def test_no_parameter_to_train(zoo, updates, params):
    with pytest.raises(InvalidModelError, match=r"selects no trainable parameter.*the model has"):
        make_learner(zoo, params=params).train(X, Y)
    assert not updates


def test_a_frozen_model(zoo, framework, updates):
    model = zoo.mlp()
    if framework == "torch":
        model.requires_grad_(False)
    else:
        model.trainable = False
    with pytest.raises(InvalidModelError, match="no trainable parameter: all are frozen"):
        make_learner(zoo).set_params(model=model).train(X, Y)
    assert not updates


@pytest.mark.parametrize("model", [None, "resnet", 3, np.zeros(3)])
def test_what_is_no_model(zoo, updates, model):
    with pytest.raises(
        dv.errors.BackendNotFoundError, match=r"no backend handles a model of type.*installed: "
    ):
        make_learner(zoo).set_params(model=model).train(X, Y)
    assert not updates


def test_an_unknown_device(zoo, updates):
    with pytest.raises((RuntimeError, ValueError), match="abacus"):
        make_learner(zoo, device="abacus").train(X, Y)
    assert not updates


def test_an_unknown_backend(zoo, updates):
    learner = make_learner(zoo).set_params(backend="abacus")
    with pytest.raises(dv.errors.BackendNotFoundError, match=r"unknown backend 'abacus': choose one of \['"):
        learner.train(X, Y)
    assert not updates


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("training", {"epochs": 3}, "training must be a dataval.Training"),
        ("checkpoints", 5, "checkpoints must be a dataval.Checkpoints"),
    ],
)
def test_a_configuration_of_another_type(zoo, updates, name, value, match):
    with pytest.raises(TypeError, match=match):
        make_learner(zoo).set_params(**{name: value}).train(X, Y)
    assert not updates


def test_an_explicit_schedule_of_another_length(zoo, updates):
    schedule = dv.ExplicitSchedule(values=(1.0, 0.5))
    with pytest.raises(ValueError, match="2 values per step, but the run has 12 steps"):
        make_learner(zoo, schedule=schedule).train(X, Y)
    assert not updates


@pytest.mark.parametrize("learner", [None, "mlp", dv.Training()])
def test_a_method_without_a_learner(updates, learner):
    with pytest.raises(TypeError, match=r"HyDRA needs a dataval.Learner.*wrap the model in Learner\("):
        dv.HyDRA(learner).fit(X, Y)
    assert not updates


@pytest.mark.parametrize("chunk_size", [0, -3])
def test_a_bad_chunk_size(zoo, updates, chunk_size):
    with pytest.raises(ValueError, match="chunk_size must be at least 1"):
        dv.HyDRA(make_learner(zoo), chunk_size=chunk_size).fit(X, Y)
    assert not updates


# ---- validation sets -----------------------------------------------------------------------------

X_VAL, Y_VAL = make_samples(n=8, seed=2)
BAD_VALIDATION = {
    "NaN": (changed(X_VAL, (5, 0), np.nan), Y_VAL, "validation X contains NaN.*sample 5"),
    "empty": (X_VAL[:0], Y_VAL[:0], "validation set is empty"),
    "mismatched": (X_VAL, Y_VAL[:5], "validation X holds 8 samples but y holds 5"),
    "more axes": (X_VAL[:, None], Y_VAL, r"validation X has shape \(8, 1, 6\), the training X \(20, 6\)"),
    "wrong width": (X_VAL[:, :4], Y_VAL, "failed on the first validation samples"),
    "structure": ((X_VAL,), Y_VAL, r"validation inputs hold \['X\[0\]'\], the training inputs \['X'\]"),
    "label": (X_VAL, changed(Y_VAL, 6, 3), "label 3 of sample 6 is out of range"),
    "label float": (X_VAL, Y_VAL.astype(float), "needs integer class labels"),
    "strings": (X_VAL.astype(str), Y_VAL, "validation X has dtype <U"),
}


@pytest.mark.parametrize("case", BAD_VALIDATION)
def test_bad_validation_data(zoo, updates, case):
    inputs, labels, match = BAD_VALIDATION[case]
    hydra = dv.HyDRA(make_learner(zoo)).fit(X, Y)
    updates.clear()
    for ask in (hydra.score, hydra.attribute, hydra.verify):
        with pytest.raises(InvalidDataError, match=match):
            ask(inputs, labels)
    assert not updates


def sum_of_inputs(zoo, framework):
    """A model of two inputs, `left` and `right`."""
    base = import_module("torch.nn").Module if framework == "torch" else import_module("keras").Model

    class Sum(base):
        def __init__(self):
            super().__init__()
            self.layer = zoo.mlp()

        def forward(self, left, right):
            return self.layer(left + right)

        if framework == "tensorflow":
            call = forward

    model = Sum()
    if framework == "tensorflow":
        model(X[:1], X[:1])  # Keras makes weights at the first call
    return model


def test_a_missing_input(zoo, framework, updates):
    learner = make_learner(zoo).set_params(model=sum_of_inputs(zoo, framework))
    hydra = dv.HyDRA(learner).fit({"left": X, "right": X}, Y)
    updates.clear()
    with pytest.raises(
        InvalidDataError, match=r"validation inputs hold \[.*left.*\], the training inputs \[.*right"
    ):
        hydra.score({"left": X_VAL}, Y_VAL)
    assert not updates


@pytest.mark.parametrize(
    ("objective", "match"),
    [
        (lambda outputs, targets: outputs**2, r"objective returned shape \(8, 3\) for 8 samples"),
        (
            lambda outputs, targets: outputs[:, 17],
            "objective failed on the first validation samples: .*what the objective does",
        ),
    ],
    ids=["shape", "raises"],
)
def test_a_bad_objective(zoo, updates, objective, match):
    hydra = dv.HyDRA(make_learner(zoo), objective=objective).fit(X, Y)
    updates.clear()
    with pytest.raises(InvalidDataError, match=match):
        hydra.score(X_VAL, Y_VAL)
    assert not updates

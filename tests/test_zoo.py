"""Models by name: every one can be trained on every framework, with as many parameters on each."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import dataval as dv
from dataval.errors import BackendNotFoundError
from dataval.zoo import MODELS, named_model

IMAGES = (1, 14, 13)
N_PARAMETERS = {
    # weights and biases by hand, for images (1, 14, 13) and 3 classes
    "linear": 182 * 3 + 3,
    "mlp": 182 * 64 + 64 + 64 * 64 + 64 + 64 * 3 + 3,
    "cnn": 9 * 16 + 16 + 9 * 16 * 32 + 32 + 32 * 3 * 3 * 3 + 3,
    "lenet": 25 * 6 + 6 + 25 * 6 * 16 + 16 + 16 * 120 + 120 + 120 * 84 + 84 + 84 * 3 + 3,
}
N_PARAMETERS["lenet-relu"] = N_PARAMETERS["lenet"]
N_PARAMETERS["lenet-norm"] = N_PARAMETERS["lenet"] + 2 * (6 + 16 + 120 + 84)  # scales and shifts


@pytest.mark.parametrize("name", MODELS)
def test_trains(framework, name):
    build, backend = named_model(name, IMAGES, 3, backend=framework)
    assert backend == framework
    X = np.random.default_rng(0).random((8, *IMAGES), dtype=np.float32)
    training = dv.Training(epochs=1, batch_size=4)
    learner = dv.Learner(build, training=training, backend=backend, progress=False)
    run = learner.train(X, np.arange(8) % 3)
    assert run.signature.n_parameters == N_PARAMETERS[name]
    assert np.isfinite(run.losses).all()
    if name in ("lenet", "lenet-norm"):
        assert_starts_as_he_has_it(run)


def assert_starts_as_he_has_it(run: dv.TrainingRun) -> None:
    """Compare the spread of the first weights with that of normal draws of variance 2 / fan-in."""
    fans_in = {150: 25, 2400: 150, 1920: 16, 10080: 120, 252: 84}  # by the number of weights of a layer
    sizes = [int(np.prod(shape)) for _, shape in run.signature.parameters]
    pieces = np.split(np.asarray(run.checkpoints[0].parameters), np.cumsum(sizes)[:-1])
    for (_, shape), piece in zip(run.signature.parameters, pieces, strict=True):
        if len(shape) > 1:
            # The variance of n draws is off by sqrt(2 / n) of itself, 12 % for the 150 of the first layer.
            assert piece.var() == pytest.approx(2 / fans_in[piece.size], rel=5 * np.sqrt(2 / piece.size))
        else:
            assert set(piece.tolist()) <= {0.0, 1.0}  # biases and shifts, scales


def test_vectors(framework):
    for name in ("linear", "mlp"):
        build, backend = named_model(name, (5,), 2, backend=framework)
        learner = dv.Learner(
            build, training=dv.Training(epochs=1, batch_size=4), backend=backend, progress=False
        )
        learner.train(np.random.default_rng(0).random((8, 5), dtype=np.float32), np.arange(8) % 2)


def test_builders_can_be_pickled(framework):
    build, _ = named_model("mlp", (5,), 2, backend=framework)
    assert type(pickle.loads(pickle.dumps(build))()) is type(build())


def test_bad_names_and_shapes_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="unknown model 'vgg'"):
        named_model("vgg", IMAGES, 2)
    for shape in ((5,), (1, 3, 8), (4, 4)):
        with pytest.raises(ValueError, match="choose 'mlp'"):
            named_model("cnn", shape, 2)
    with pytest.raises(ValueError, match="initialisation must be"):
        named_model("mlp", (5,), 2, initialisation="zeros")
    with pytest.raises(BackendNotFoundError, match="unknown backend"):
        named_model("mlp", (5,), 2, backend="abacus")
    monkeypatch.setattr("dataval.zoo.available_backends", tuple)
    with pytest.raises(BackendNotFoundError, match="no backend is installed"):
        named_model("mlp", (5,), 2)

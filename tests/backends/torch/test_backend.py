"""A backend as a whole: it travels to other processes, and says what it runs on."""

from __future__ import annotations

import pickle

import numpy as np
import torch

from tests.backends.support import SEED, assert_near, make_backend, zoo_case
from tests.zoo import torch_models
from tests.zoo.data import features


def test_a_backend_that_travels_computes_the_same_bits():
    case = zoo_case(torch_models, "cnn_batch_norm")
    arrived = pickle.loads(pickle.dumps(case.backend))
    batch = arrived.batches(case.data).take(np.arange(case.n))
    found = arrived.loss.gradient(*arrived.initial(), batch, case.array(np.ones(case.n)), SEED)
    expected = case.gradient(case.parameters, case.array(np.ones(case.n)))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.numpy(), other)


def test_the_environment_names_what_decides_the_last_bits():
    backend = make_backend(torch_models.mlp(), *features(4))
    assert backend.environment == {
        "torch": torch.__version__,
        "device": "cpu",
        "threads": str(torch.get_num_threads()),
    }


def test_settings_have_gradients_on_whatever_the_caller_has():
    with torch.inference_mode():
        backend = make_backend(torch_models.mlp(), *features(4))
        with type(backend).settings():
            assert torch.is_grad_enabled()
            assert not torch.is_inference_mode_enabled()
        assert torch.is_inference_mode_enabled()
    with torch.no_grad(), torch.autocast("cpu"):
        case = zoo_case(torch_models, "mlp")
        found = case.gradient(case.parameters, case.array(np.ones(case.n)))
    assert found[1].dtype == np.float64
    assert_near(found[1], case.gradient(case.parameters, case.array(np.ones(case.n)))[1], 0.0)


def test_the_last_objectives_are_kept():
    backend = make_backend(torch_models.mlp(), *features(4))
    first, functions = backend.objective(), [lambda o, t, k=k: o[:, 0] * k for k in range(10)]
    assert backend.objective() is first
    assert backend.objective(functions[0]) is backend.objective(functions[0])
    assert len({id(backend.objective(f)) for f in functions}) == 10

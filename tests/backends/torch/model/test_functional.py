"""The caller's module stays as it was, and the backend finds out what kind of module it has."""

from __future__ import annotations

import copy
import gc

import numpy as np
import pytest
import torch
from torch import nn

import dataval as dv
from dataval.errors import InvalidDataError, InvalidModelError, UnusedParameterWarning
from tests.backends.support import SEED, assert_near, make_backend, make_case
from tests.backends.torch import models as m
from tests.zoo.data import features


def snapshot(module):
    return {
        "state": {name: t.clone() for name, t in module.state_dict(keep_vars=False).items()},
        "grads": [None if p.grad is None else p.grad.clone() for p in module.parameters()],
        "flags": [p.requires_grad for p in module.parameters()],
        "identities": [id(t) for t in [*module.parameters(), *module.buffers()]],
        "modes": [layer.training for layer in module.modules()],
        "hooks": [(len(layer._forward_hooks), len(layer._forward_pre_hooks)) for layer in module.modules()],
        "attributes": [sorted(vars(layer)) for layer in module.modules()],
        "random": torch.get_rng_state(),
    }


def assert_same(one, other):
    assert one.keys() == other.keys()
    for key, value in one.items():
        if isinstance(value, list) and not any(isinstance(v, torch.Tensor) for v in value):
            assert value == other[key], key
        else:
            torch.testing.assert_close(value, other[key], rtol=0, atol=0)


def difficult_module():
    torch.manual_seed(0)
    module = m.OnImages(nn.Sequential(nn.BatchNorm2d(4), nn.Dropout(0.5), nn.BatchNorm2d(4)))
    module.layer[0].eval()
    module.head.weight.requires_grad_(False)
    module.register_forward_hook(lambda *_: None)
    module.first.bias.grad = torch.ones(12)
    return module


@pytest.mark.parametrize("training", [True, False])
def test_the_module_and_the_generators_are_left_alone(training):
    module = difficult_module()
    if not training:
        module.eval()
    before = snapshot(module)
    X, y = features(12)
    learner = dv.Learner(module, training=dv.Training(epochs=2, batch_size=4, seed=0), progress=False)
    dv.HyDRA(learner, hessian=True).fit(X, y).score(X[:4], y[:4])
    case = make_case(module, X, y)
    case.backend.loss.rows(case.parameters, case.buffers, case.batch, SEED)
    case.backend.loss.gradient(
        case.draw(2, case.P), torch.stack([case.buffers] * 2), case.batch, case.weights(2), SEED
    )
    case.backend.export(case.parameters, case.buffers)
    assert_same(snapshot(module), before)


def test_generators_are_left_alone_by_dropout_in_evaluation_mode():
    case = make_case(m.Wrapped(lambda x: nn.functional.dropout(x, 0.5)), *features(6))
    state = torch.get_rng_state()
    arguments = case.parameters, case.buffers, case.batch
    first = case.backend.predict(*arguments)
    case.backend.objective().rows(*arguments)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(case.backend.predict(*arguments), first)


def test_global_generator_does_not_influence_a_run():
    def values(seed):
        learner = dv.Learner(difficult_module(), training=dv.Training(epochs=1, batch_size=4), progress=False)
        torch.manual_seed(seed)
        return learner.train(*features(12)).losses

    np.testing.assert_array_equal(values(1), values(2))


def test_frozen_and_filtered_parameters_are_left_out():
    module = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))
    module[0].bias.requires_grad_(False)

    def names(params):
        return [n for n, _ in make_backend(module, *features(4), params=params).signature.parameters]

    assert names(None) == ["0.weight", "2.weight", "2.bias"]
    assert names(["2.*"]) == names("2.*") == names(lambda n: n.startswith("2")) == ["2.weight", "2.bias"]
    with pytest.raises(InvalidModelError, match=r"0\.bias"):
        names(["0.bias"])


def test_tied_parameters_are_counted_once():
    case = make_case(m.Tied(), *features(4))
    assert sum(p.numel() for p in m.Tied().parameters()) == case.P
    exported = case.backend.export(case.draw(case.P), case.buffers)
    assert exported.up.weight is exported.down.weight


def test_export_is_independent_of_later_changes():
    module = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))
    module[0].weight.requires_grad_(False)
    case = make_case(module, *features(4))
    expected = case.backend.predict(case.parameters, case.buffers, case.batch)
    nn.init.zeros_(module[0].weight)
    exported = case.backend.export(case.parameters, case.buffers)
    assert not exported.training
    assert_near(exported(case.batch.inputs).detach().numpy(), expected.numpy(), 1e-6)


def test_exported_module_holds_what_it_was_given():
    case = make_case(m.OnImages(nn.BatchNorm2d(4)).double(), *features(6))
    point, buffers = case.draw(case.P), case.array(np.arange(1.0, case.S + 1))
    exported = case.backend.export(point, buffers)
    assert_near(
        exported(case.batch.inputs).detach().numpy(),
        case.numpy(case.backend.predict(point, buffers, case.batch)),
        1e-12,
    )
    assert exported.layer.num_batches_tracked.dtype == torch.int64
    assert exported.layer.num_batches_tracked == case.S


def test_inputs_of_several_tensors():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.linear = nn.Embedding(5, 4), nn.Linear(6, 4)
            self.head = nn.Linear(4, 3)

        def forward(self, x, ids):
            return self.head(torch.tanh(self.linear(x) + self.tokens(ids)))

    X, y = features(5)
    ids = np.arange(5, dtype=np.uint16)
    model = Two().double()
    as_tuple, as_dict = make_case(model, (X, ids), y), make_case(model, {"ids": ids, "x": X}, y)
    for one, other in zip(
        as_tuple.gradient(as_tuple.parameters, as_tuple.weights()),
        as_dict.gradient(as_dict.parameters, as_dict.weights()),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    rows = as_dict.backend.loss.rows(as_dict.parameters, as_dict.buffers, as_dict.batch, SEED)
    assert_near(rows.sum(0).numpy(), as_dict.gradient(as_dict.parameters, as_dict.array(np.ones(5)))[1], 1e-12)


def test_tensors_that_require_gradients():
    X, y = features(5)
    learner = dv.Learner(nn.Linear(6, 3), training=dv.Training(epochs=1, batch_size=5), progress=False)
    tensor = torch.tensor(X, requires_grad=True)
    expected = learner.train(X, y).losses
    np.testing.assert_array_equal(learner.train(tensor, torch.from_numpy(y)).losses, expected)
    assert tensor.grad is None


def test_a_model_that_writes_to_its_inputs_does_not_change_the_batch():
    case = make_case(Doubling(), *features(5))
    before = case.batch.inputs.clone()
    case.gradient(case.parameters, case.weights())
    case.backend.predict(case.parameters, case.buffers, case.batch)
    assert torch.equal(case.batch.inputs, before)


class Doubling(nn.Linear):
    def __init__(self):
        super().__init__(6, 3)

    def forward(self, x):
        return super().forward(x.mul_(2))


def test_unused_parameters_warn():
    with pytest.warns(UnusedParameterWarning, match=r"idle\.weight"):
        make_backend(Idle(), *features(4))


class Idle(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.idle = nn.Linear(6, 3), nn.Linear(2, 2)

    def forward(self, x):
        return self.used(x)


def test_weights_that_keep_a_graph_can_be_copied():
    linear = nn.Linear(6, 3)
    linear.kept = linear.weight * 2  # a result of an earlier forward pass, as torch.nn.utils.weight_norm keeps
    backend = make_backend(linear, *features(4))
    assert linear.kept.requires_grad
    assert backend.signature.n_parameters == 21


def test_parameters_changed_by_the_forward_pass_are_refused():
    model = nn.Sequential(nn.Embedding(9, 4, max_norm=0.1), nn.Flatten(), nn.Linear(12, 3))
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(InvalidModelError, match="max_norm"):
        make_backend(model, np.arange(18).reshape(6, 3) % 9, np.arange(6) % 3)
    assert_same(dict(model.state_dict()), dict(before))


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_reentrant_checkpoints_are_refused():
    with pytest.raises(InvalidModelError, match="use_reentrant=False"):
        make_backend(m.Checkpointed(use_reentrant=True), *features(4))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.ReLU(), "none at all"),
        (nn.Linear(6, 3).requires_grad_(False), "all are frozen"),
        (nn.LazyLinear(3), "no shape yet"),
        (nn.Sequential(nn.Linear(6, 3).double(), nn.Linear(3, 3)), "mix the dtypes"),
        (nn.Linear(6, 3).half(), "float32"),
    ],
)
def test_models_without_usable_parameters(model, message):
    with pytest.raises(InvalidModelError, match=message):
        make_backend(model, *features(4))


def test_inputs_that_do_not_fit_are_described():
    with pytest.raises(InvalidDataError, match=r"first 4 samples, inputs float32\(4, 6\)"):
        make_backend(nn.Linear(7, 3), *features(4))


class Unseeded(nn.Linear):
    """Draws random numbers of its own from some call on."""

    def __init__(self, start):
        super().__init__(6, 3)
        self.generator, self.start, self.calls = np.random.default_rng(0), start, 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x * self.generator.uniform(0.5, 1.5) if self.calls > self.start else x)


def test_unseeded_randomness_is_refused():
    with pytest.raises(InvalidModelError, match="no seed controls"):
        make_backend(Unseeded(0), *features(4))


def test_unseeded_randomness_is_caught_by_the_replay():
    X, y = features(12)
    training = dv.Training(epochs=3, batch_size=4, optimizer=dv.SGD(learning_rate=0.5))
    learner = dv.Learner(Unseeded(12), training=training, checkpoints=dv.Checkpoints(every=9), progress=False)
    with pytest.raises(dv.errors.RunMismatchError, match="no seed controls"):
        dv.HyDRA(learner, hessian=False).fit(X, y).score(X, y)


def test_backends_are_released():
    import weakref

    backend = make_backend(m.OnImages(nn.BatchNorm2d(4)), *features(4))
    reference = weakref.ref(backend.model.module)
    del backend
    gc.collect()
    assert reference() is None

"""What a torch model or loss brings along that training would ignore: honoured, refused or warned of."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import dataval as dv
from dataval.errors import (
    IgnoredSettingWarning,
    InvalidDataError,
    InvalidModelError,
    NotTwiceDifferentiableError,
    ProbabilityOutputsWarning,
)

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 6)).astype("float32"), RNG.integers(0, 3, 12)
TRAINING = dv.Training(optimizer=dv.SGD(learning_rate=0.1), epochs=2, batch_size=4)


def net(*last: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3), *last)


def train(model, loss="cross_entropy", y=Y, **options):
    return make(model, loss, **options).train(X, y)


def make(model, loss="cross_entropy", **options):
    return dv.Learner(model, loss, options.pop("training", TRAINING), progress=False, device="cpu", **options)


def each(outputs, targets):
    return F.cross_entropy(outputs, targets, reduction="none")


# ------------------------------------------------------------------------------------------ the loss


class Uncertainty(nn.Module):
    def __init__(self):
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, outputs, targets):
        return each(outputs, targets) * torch.exp(-self.log_scale) + self.log_scale


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, outputs, targets):
        self.calls += 1
        return each(outputs, targets) * self.calls


def broadcast(outputs, targets):
    return ((outputs[:, :1] - targets) ** 2).mean(0)


PENALISED, UNCERTAINTY = net(), Uncertainty()


def penalised(outputs, targets):
    return each(outputs, targets) + sum((p**2).sum() for p in PENALISED.parameters())


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (Uncertainty(), "log_scale"),
        (lambda o, t: UNCERTAINTY(o, t), r"of shape \(\)"),
        (penalised, "none of the model's"),
        (Counting(), "keeps a state"),
        (lambda o, t: each(F.dropout(o), t), "draws random numbers"),
        (nn.CrossEntropyLoss(), "reduction='none'"),
        (F.cross_entropy, "reduction='none'"),
        (broadcast, "depends on its neighbours"),
        (lambda o, t: each(o - o.mean(0), t), "depends on its neighbours"),
    ],
)
def test_losses_that_are_refused(loss, message):
    model, before = net(), torch.get_rng_state()
    with pytest.raises(InvalidModelError, match=message):
        train(model, loss)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_loss_module_with_constants_is_used_as_it_is():
    """The weights are float32, and are converted to the model's float64: equal up to their own rounding."""
    weight = torch.tensor([0.5, 2.0, 1.0])
    found = train(net().double(), nn.CrossEntropyLoss(weight, reduction="none"))
    expected = train(net().double(), dv.CrossEntropy(class_weights=(0.5, 2.0, 1.0)))
    np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-12)
    assert weight.dtype == torch.float32


def test_one_logit_under_cross_entropy():
    model = nn.Linear(6, 1)
    with pytest.raises(InvalidModelError, match="binary_cross_entropy"):
        train(model, y=np.zeros(12, int))
    assert train(model, "binary_cross_entropy", y=Y > 0).is_complete


@pytest.mark.parametrize(
    ("model", "loss", "y"),
    [
        (net(nn.Softmax(-1)), "cross_entropy", Y),
        (net(nn.Softmax(-1)), nn.CrossEntropyLoss(reduction="none"), Y),
        (nn.Sequential(nn.Linear(6, 1), nn.Sigmoid()), "binary_cross_entropy", Y > 0),
    ],
)
def test_probabilities_under_a_loss_of_logits(model, loss, y):
    with pytest.warns(ProbabilityOutputsWarning, match="applied twice"):
        train(model, loss, y=y)


@pytest.mark.parametrize("bias", [0.0, 0.5])
def test_logits_that_begin_like_probabilities(bias):
    """A last layer of zeros, with a bias within [0, 1]."""
    model = nn.Linear(6, 1)
    nn.init.zeros_(model.weight)
    nn.init.constant_(model.bias, bias)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(model, "binary_cross_entropy", y=Y > 0)


# ------------------------------------------------------------------------------------------ the model


class Reaches(nn.Module):
    """A linear layer, and weights that are kept where no registry sees them."""

    def __init__(self, kept):
        super().__init__()
        self.linear, self.kept = nn.Linear(6, 3), kept

    def forward(self, x):
        tensors = self.kept if isinstance(self.kept, list) else [self.kept]
        return self.linear(x) + sum(x @ (t.weight.T if isinstance(t, nn.Module) else t) for t in tensors)


@pytest.mark.parametrize("kept", [torch.ones(6, 3, requires_grad=True), [nn.Linear(6, 3)]])
def test_parameters_outside_of_the_registries(kept):
    with pytest.raises(InvalidModelError, match=r"(6, 3)|(3, 6)"):
        train(Reaches(kept))


def test_parameters_in_a_closure():
    weight = torch.ones(6, 3, requires_grad=True)

    class Closure(nn.Linear):
        def forward(self, x):
            return super().forward(x) + x @ weight

    with pytest.raises(InvalidModelError, match="Register them"):
        train(Closure(6, 3))


class Shared(nn.Module):
    """Two layers, of which the second sees the memory of the first."""

    def __init__(self, share):
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)
        share(self)

    def forward(self, x):
        return self.head(torch.tanh(self.second(torch.tanh(self.first(x)))))


def by_data(module):
    module.second.weight.data = module.first.weight.data


def by_view(module):
    module.second.weight = nn.Parameter(module.first.weight.detach().t())


def by_attribute(module):
    del module.second.weight
    module.second.weight = module.first.weight.data


def tied(module):
    module.second.weight = module.first.weight


def side_by_side(module):
    flat = torch.zeros(72)
    module.first.weight.data, module.second.weight.data = flat[:36].view(6, 6), flat[36:].view(6, 6)


@pytest.mark.parametrize("share", [by_data, by_view, by_attribute])
@pytest.mark.parametrize("is_built", [False, True])
def test_parameters_that_share_memory(share, is_built):
    with pytest.raises(InvalidModelError, match="share memory"):
        train(partial(Shared, share) if is_built else Shared(share))


@pytest.mark.parametrize("share", [tied, side_by_side])
def test_tied_parameters_and_neighbours_in_memory_are_fine(share):
    assert train(Shared(share)).is_complete


def test_an_attribute_that_shares_memory_and_is_not_used_is_fine():
    """As nn.utils.spectral_norm leaves one behind."""
    assert train(nn.Sequential(nn.utils.spectral_norm(nn.Linear(6, 5)), nn.Linear(5, 3))).is_complete


def with_hook(register):
    model = net()
    register(model)
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (with_hook(lambda m: m[0].weight.register_hook(lambda g: g.clamp(-1, 1))), "'0.weight' has hooks"),
        (
            with_hook(lambda m: m[0].weight.register_post_accumulate_grad_hook(lambda p: None)),
            "'0.weight' has hooks",
        ),
        (with_hook(lambda m: m[0].register_full_backward_hook(lambda *_: None)), "'0' has backward hooks"),
        (nn.DataParallel(net()), "model.module"),
        (nn.Sequential(torch.compile(nn.Linear(6, 3), backend="eager")), "compiled"),
        (nn.Linear(6, 3, device="meta"), "meta device"),
        (nn.Linear(6, 3, dtype=torch.complex64), "complex"),
    ],
)
def test_models_that_are_refused(model, message):
    with pytest.raises(InvalidModelError, match=message):
        train(model)


def test_an_expanded_parameter_is_refused():
    model = net()
    model[2].bias = nn.Parameter(torch.zeros(1).expand(3))
    with pytest.raises(InvalidModelError, match="expanded"):
        train(model)


def test_forward_hooks_are_honoured():
    model = net()
    model[0].register_forward_hook(lambda module, args, output: 2 * output)
    losses = each(model(torch.from_numpy(X)), torch.from_numpy(Y)).detach().numpy()
    run = train(model, training=dv.Training(epochs=1, batch_size=12, shuffle=False))
    np.testing.assert_allclose(run.losses[0], losses, rtol=1e-6)  # float32, other kernels


def test_a_lightning_module_says_how_it_is_trained(monkeypatch):
    class Module(nn.Linear):
        def training_step(self, batch):
            return 0.0

    monkeypatch.setattr(Module, "__module__", "lightning.pytorch.core")
    with pytest.warns(IgnoredSettingWarning, match="training_step"):
        train(Module(6, 3))


class NormedActivation(nn.BatchNorm1d):
    """Batch normalisation by another forward, whose running statistics PyTorch has no derivative in."""

    def forward(self, x):
        statistics = self.running_mean, self.running_var
        return F.relu(
            F.batch_norm(x, *statistics, self.weight, self.bias, self.training, self.momentum, self.eps)
        )


def normed(layer):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 6), layer, nn.Flatten(), nn.Linear(6, 3))


NORMS = [
    NormedActivation(6),
    nn.Sequential(nn.Unflatten(1, (2, 3)), nn.InstanceNorm1d(2, track_running_stats=True)),
    nn.utils.parametrizations.spectral_norm(nn.Linear(6, 6)),
]


@pytest.mark.parametrize("layer", NORMS)
@pytest.mark.parametrize("method", [dv.HyDRA, dv.TracIn, dv.InfluenceFunction])
def test_methods_without_second_derivatives_need_no_derivative_of_buffers(layer, method):
    values = method(make(normed(layer))).fit(X, Y).score(X, Y)
    assert np.isfinite(values).all()
    assert values.any()


def test_a_buffer_without_a_derivative_has_no_exact_values():
    with pytest.raises(NotTwiceDifferentiableError, match="running_mean"):
        dv.HyDRA(make(normed(NormedActivation(6))), hessian=True).fit(X, Y)


# ---------------------------------------------------------------------------------- outputs and batches


@dataclass
class ModelOutput:
    logits: torch.Tensor
    hidden: torch.Tensor


class Structured(nn.Sequential):
    def forward(self, x):
        hidden = self[0](x)
        return ModelOutput(self[2](self[1](hidden)), hidden)


def test_outputs_are_read_by_a_function():
    """The same arithmetic, so to the bit."""
    plain = make(net())
    learner = make(Structured(*net()), outputs=lambda returned: returned.logits)
    run, expected = learner.train(X, Y), plain.train(X, Y)
    np.testing.assert_array_equal(run.losses, expected.losses)
    for method in (partial(dv.HyDRA, hessian=True), partial(dv.HyDRA, objective=each), dv.InfluenceFunction):
        found = method(learner).fit(X, Y, run=run).score(X, Y)
        np.testing.assert_array_equal(found, method(plain).fit(X, Y, run=expected).score(X, Y))
    assert isinstance(learner.replay(X, Y, run).export()(torch.from_numpy(X)), ModelOutput)
    with pytest.raises(dv.errors.RunMismatchError, match="loss"):
        make(Structured(*net()), each, outputs=first).replay(X, Y, run)


def first(returned):
    return returned.logits


def test_outputs_must_be_a_function():
    with pytest.raises(TypeError, match="outputs"):
        train(net(), outputs="logits")
    assert "outputs" in make(net()).get_params()


BATCH_NORMED = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))


def test_a_last_batch_of_one_sample():
    learner = make(BATCH_NORMED)
    more = np.vstack([X, X[:1]]), np.append(Y, 0)
    with pytest.raises(InvalidDataError, match="drop_last=True"):
        learner.prepare(*more)
    with pytest.raises(InvalidDataError, match="choose a larger one"):
        make(BATCH_NORMED, training=dv.Training(epochs=1, batch_size=1)).prepare(X, Y)
    assert (
        make(BATCH_NORMED, training=dv.Training(epochs=1, batch_size=4, drop_last=True))
        .train(*more)
        .is_complete
    )
    assert make(net()).train(*more).is_complete


@pytest.mark.parametrize(
    ("device", "error"),
    [("gpu0", ValueError), ("cuda:97", ValueError), ("", ValueError), (3, TypeError), (None, TypeError)],
)
def test_devices_that_are_none(device, error):
    with pytest.raises(error, match="cpu"):
        dv.Learner(net(), training=TRAINING, device=device).train(X, Y)


def test_an_export_that_predicts_otherwise_is_refused():
    class Forgetful(nn.Linear):
        """Loses in copying what scales its outputs."""

        def __init__(self):
            super().__init__(6, 3)
            self.state = SimpleNamespace(scale=2.0)

        def __deepcopy__(self, memo):
            twin = type(self)()
            twin.load_state_dict(self.state_dict())
            twin.state.scale = 0.5 * self.state.scale
            return twin

        def forward(self, x):
            return super().forward(x) * self.state.scale

    learner = make(Forgetful())
    replay = learner.replay(X, Y, learner.train(X, Y))
    with pytest.raises(InvalidModelError, match="predicts otherwise"):
        replay.export()

"""Every kind of layer: all derivatives against finite differences, in float64.

One check for each layer, `check_all`: the derivative of each function along random directions. Differences
of fourth order are good to about 1e-11 of the function's size; 1e-6 of the result leaves room for results that
are much smaller.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from dataval.backend.second_order import check_second_order
from tests.backends.support import SEED, Case, assert_near, central, make_case
from tests.backends.torch import models as m
from tests.zoo.data import features


def build(make, n=6, seed=3):
    torch.manual_seed(seed)
    X, y = features(n)
    return make_case(make().double(), X, y)


def check_all(case: Case, second_order: bool = True) -> None:
    vector, weights, buffer_vector = case.draw(case.P), case.weights(), case.draw(case.S)
    point = case.moved(case.draw(case.P), 0.1)
    arguments = point, case.buffers, case.batch

    def at(h):
        return case.array(case.numpy(point) + h * case.numpy(vector))

    _, gradient, _ = case.gradient(point, weights)
    slopes = central(lambda h: case.losses(at(h)))
    assert gradient @ case.numpy(vector) == pytest.approx(slopes @ case.numpy(weights), rel=1e-6, abs=1e-8)
    assert_near(case.numpy(case.backend.loss.slopes(*arguments, vector, SEED)), slopes, 1e-6)
    rows = case.numpy(case.backend.loss.rows(*arguments, SEED))
    assert_near(rows @ case.numpy(vector), slopes, 1e-6)
    assert_near(case.numpy(weights) @ rows, gradient, 1e-10)
    check_ensemble(case, point, weights)
    check_objective(case, point, vector)
    if second_order:
        check_second_order(case.backend, case.batch)
        through, found, _ = case.backend.loss.linearize(*arguments, weights, SEED).pullback(
            vector, buffer_vector
        )

        def both(h):
            _, moved, after = case.gradient(at(h), weights)
            return moved @ case.numpy(vector) + after @ case.numpy(buffer_vector)

        assert_near(case.numpy(found), slopes, 1e-6)
        expected = central(both)
        assert case.numpy(through) @ case.numpy(vector) == pytest.approx(expected, rel=1e-6, abs=1e-7)


def check_ensemble(case, point, weights):
    points, buffers = torch.stack([case.parameters, point]), torch.stack([case.buffers] * 2)
    found = case.backend.loss.gradient(points, buffers, case.batch, torch.stack([weights] * 2), SEED)
    each = [case.gradient(p, weights) for p in points]
    for array, column in zip(found, zip(*each, strict=True), strict=True):
        assert_near(case.numpy(array), np.stack(column), 1e-11)


def check_objective(case, point, vector):
    rows = case.backend.objective().rows(point, case.buffers, case.batch)[0]
    total = case.backend.objective().gradient(point, case.buffers, case.batch)[0]
    assert_near(case.numpy(rows).sum(0), case.numpy(total), 1e-10)

    def value(h):
        moved = case.array(case.numpy(point) + h * case.numpy(vector))
        return case.numpy(case.backend.objective().values(moved, case.buffers, case.batch))

    assert_near(case.numpy(rows) @ case.numpy(vector), central(value), 1e-6)


def frozen_statistics():
    model = m.OnImages(nn.Sequential(nn.BatchNorm2d(4), nn.BatchNorm2d(4)))
    model.layer[0].eval()
    return model


LAYERS = {
    "batch_norm": lambda: m.OnImages(nn.BatchNorm2d(4)),
    "batch_norm_twice": lambda: m.OnImages(nn.BatchNorm2d(4), calls=2),
    "batch_norm_cumulative": lambda: m.OnImages(nn.BatchNorm2d(4, momentum=None), calls=2),
    "batch_norm_without_affine": lambda: m.OnImages(nn.BatchNorm2d(4, affine=False)),
    "batch_norm_without_statistics": lambda: m.OnImages(nn.BatchNorm2d(4, track_running_stats=False)),
    "batch_norm_partly_frozen": frozen_statistics,
    "group_norm": lambda: m.OnImages(nn.GroupNorm(2, 4)),
    "instance_norm": lambda: m.OnImages(nn.InstanceNorm2d(4, affine=True)),
    "dropout2d": lambda: m.OnImages(nn.Dropout2d(0.4)),
    "functional_dropout": lambda: m.Wrapped(lambda x: nn.functional.dropout(x, 0.4)),
    "transposed_convolution": lambda: m.OnImages(nn.ConvTranspose2d(4, 4, 1)),
    "layer_norm": lambda: m.OnSequence(nn.LayerNorm(4)),
    "gru": lambda: m.OnSequence(nn.GRU(4, 4, num_layers=2, dropout=0.3, batch_first=True)),
    "lstm": lambda: m.OnSequence(nn.LSTM(4, 2, bidirectional=True, batch_first=True)),
    "multi_head_attention": lambda: m.OnSequence(nn.MultiheadAttention(4, 2, dropout=0.2, batch_first=True)),
    "attention_frozen": lambda: m.OnSequence(nn.MultiheadAttention(4, 2, dropout=0.2, batch_first=True).eval()),
    "encoder_layer": lambda: m.OnSequence(nn.TransformerEncoderLayer(4, 2, 8, 0.2, "gelu", batch_first=True)),
    "encoder": lambda: m.OnSequence(
        nn.TransformerEncoder(
            nn.TransformerEncoderLayer(4, 2, 8, activation="gelu", batch_first=True),
            2,
            enable_nested_tensor=False,
        )
    ),
    "scaled_dot_product_attention": lambda: m.Wrapped(m.attention),
    "weight_norm": lambda: m.OnSequence(parametrizations.weight_norm(nn.Linear(4, 4))),
    "orthogonal": lambda: m.OnSequence(parametrizations.orthogonal(nn.Linear(4, 4), orthogonal_map="cayley")),
    "tied": m.Tied,
    "checkpointed": m.Checkpointed,
    "written_inputs": lambda: m.Wrapped(m.writes_in_place),
    "moving_average_assigned": lambda: m.MovingAverage("assigned"),
    "moving_average_in_place": lambda: m.MovingAverage("in_place"),
    "sorting": lambda: m.Wrapped(lambda x: x.sort(dim=1)[0].cumsum(1).tanh()),
}


@pytest.mark.parametrize("name", LAYERS)
def test_derivatives(name):
    check_all(build(LAYERS[name]))


ONCE = {
    "once_differentiable": lambda: m.Wrapped(m.once),
    "hidden": lambda: m.Wrapped(m.hidden),
    "spectral_norm": lambda: m.OnSequence(parametrizations.spectral_norm(nn.Linear(4, 4))),
    "moving_average_detached": lambda: m.MovingAverage("detached"),
    "stopped_gradient": lambda: m.Wrapped(lambda x: x * x.detach().tanh()),
}


@pytest.mark.parametrize("name", ["once_differentiable", "hidden"])
def test_hessian_free_works_without_a_second_derivative(name):
    check_all(build(ONCE[name]), second_order=False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["once_differentiable", "hidden", "stopped_gradient"])
def test_missing_second_derivative_names_the_layer(name, dtype):
    X, y = features(6)
    torch.manual_seed(3)
    case = make_case(ONCE[name]().to(dtype), X, y)
    with pytest.raises(RuntimeError, match="'middle' \\(Middle\\)"):
        check_second_order(case.backend, case.batch)


@pytest.mark.parametrize(
    ("name", "buffer"), [("spectral_norm", "layer.*_u"), ("moving_average_detached", "mean")]
)
def test_hidden_buffers_are_named(name, buffer):
    case = build(ONCE[name])
    with pytest.raises(RuntimeError, match=buffer):
        check_second_order(case.backend, case.batch)


def test_wrong_forward_mode_is_not_used():
    check_all(build(lambda: m.Wrapped(m.wrong_forward_mode)))


@pytest.mark.parametrize("name", ["batch_norm", "batch_norm_cumulative", "batch_norm_twice"])
def test_running_statistics_equal_the_modules_own(name):
    case = build(LAYERS[name])
    torch.manual_seed(3)
    module = LAYERS[name]().double()
    module(case.batch.inputs)
    own = torch.cat([b.flatten().double() for b in module.buffers()])
    after = case.gradient(case.parameters, case.weights())[2]
    assert_near(after, own.numpy(), 1e-12)
    exported = case.backend.export(case.parameters, case.array(after))
    module.eval()
    with torch.no_grad():
        torch.testing.assert_close(
            exported(case.batch.inputs), module(case.batch.inputs), rtol=1e-12, atol=1e-12
        )


def test_batch_norm_subclass_keeps_its_own_forward():
    class Doubled(nn.BatchNorm2d):
        def forward(self, x):
            return 2 * super().forward(x)

    case = build(lambda: m.OnImages(Doubled(4)))
    torch.manual_seed(3)
    module = m.OnImages(Doubled(4)).double()
    expected = nn.functional.cross_entropy(module(case.batch.inputs), case.batch.targets, reduction="none")
    assert_near(case.losses(case.parameters), expected.detach().numpy(), 1e-12)
    with pytest.raises(RuntimeError, match="running_mean"):
        check_second_order(case.backend, case.batch)


def test_sparse_embedding_gives_dense_gradients():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(9, 4, sparse=True), nn.Flatten(), nn.Linear(12, 3)).double()
    check_all(make_case(model, np.arange(18).reshape(6, 3) % 9, np.arange(6) % 3))


def test_recurrent_layers_in_float32_leave_no_warning_and_no_setting():
    torch.manual_seed(0)
    before = torch.backends.mkldnn.enabled, torch.backends.cudnn.enabled
    case = make_case(LAYERS["gru"](), *features(6))
    vector = case.draw(case.P)
    case.backend.loss.linearize(case.parameters, case.buffers, case.batch, case.weights(), SEED).pullback(
        vector, case.buffers
    )
    case.backend.loss.slopes(case.parameters, case.buffers, case.batch, vector, SEED)
    assert (torch.backends.mkldnn.enabled, torch.backends.cudnn.enabled) == before


def test_attention_kernels_are_restored():
    names = ("flash_sdp_enabled", "mem_efficient_sdp_enabled", "cudnn_sdp_enabled", "math_sdp_enabled")
    before = [getattr(torch.backends.cuda, name)() for name in names]
    case = build(LAYERS["scaled_dot_product_attention"])
    case.gradient(case.parameters, case.weights())
    assert [getattr(torch.backends.cuda, name)() for name in names] == before
    assert torch.backends.mha.get_fastpath_enabled()


def test_hessian_equals_the_dense_one():
    """torch.autograd.functional.hessian of the plain module's summed loss, by itself."""
    case = build(lambda: nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3)), seed=5)
    torch.manual_seed(5)
    module = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    names = [name for name, _ in module.named_parameters()]
    sizes = [p.shape for p in module.parameters()]
    weights = case.weights()

    def loss(flat):
        pieces = [x.view(s) for x, s in zip(flat.split([s.numel() for s in sizes]), sizes, strict=True)]
        outputs = torch.func.functional_call(module, dict(zip(names, pieces, strict=True)), case.batch.inputs)
        return weights @ nn.functional.cross_entropy(outputs, case.batch.targets, reduction="none")

    hessian = torch.autograd.functional.hessian(loss, case.parameters)
    vectors = case.draw(case.P, case.P)
    linearization = case.backend.loss.linearize(case.parameters, case.buffers, case.batch, weights, SEED)
    product = linearization.pullback(vectors, case.draw(case.P, 0))[0]
    assert_near(product.numpy(), (vectors @ hessian).numpy(), 1e-11)


def test_pullback_after_other_calls_recomputes_with_its_own_parameters():
    case = build(m.Checkpointed)
    point, weights, vector = case.moved(case.draw(case.P), 0.5), case.weights(), case.draw(case.P)
    arguments = point, case.buffers, case.batch, weights, SEED
    expected = case.backend.loss.linearize(*arguments).pullback(vector, case.buffers)[0]
    linearization = case.backend.loss.linearize(*arguments)
    case.gradient(case.parameters, weights)
    assert torch.equal(linearization.pullback(vector, case.buffers)[0], expected)

"""Every function of a backend against finite differences and against its own slow, obvious form.

Tolerances: 1e-12 where both sides do the same float64 arithmetic in another order (1e-11 where many terms are
summed); 1e-7 for differences of fourth order with steps of 1e-4, whose error is about 1e-11 of the function's
scale, which may be some 1000 times the derivative's.
"""

from __future__ import annotations

import numpy as np
import pytest

from dataval.errors import InvalidDataError, InvalidModelError
from tests.backends.support import SEED, assert_near, central, make_backend, zoo_case
from tests.zoo.data import MAKERS, samples_for

ROUNDING, DIFFERENCES = 1e-12, 1e-7
MODELS = sorted(MAKERS)


@pytest.fixture(params=MODELS)
def case(request, zoo):
    """One model of the zoo with a batch."""
    return zoo_case(zoo, request.param)


def test_signature_describes_the_initial_state(case):
    assert case.backend.signature.n_parameters == case.P
    assert case.backend.signature.n_buffers == case.S
    assert case.backend.signature.dtype == case.numpy(case.parameters).dtype.name == "float64"


def test_gradient_equals_differences_of_losses(case):
    direction, weights = case.draw(case.P), case.weights()
    losses, gradient, _ = case.gradient(case.parameters, weights)
    assert_near(losses, case.losses(case.parameters), ROUNDING)
    expected = central(lambda h: case.losses(case.moved(direction, h)) @ case.numpy(weights))
    assert_near(gradient @ case.numpy(direction), np.asarray(expected), DIFFERENCES)


def test_gradient_is_linear_in_weights(case):
    weights = case.weights()
    rows = case.numpy(case.backend.per_sample_gradients(case.parameters, case.buffers, case.batch, SEED))
    assert_near(case.gradient(case.parameters, weights)[1], case.numpy(weights) @ rows, 1e-11)


def test_loss_jvp_equals_differences_and_rows(case):
    vector = case.draw(case.P)
    arguments = case.parameters, case.buffers, case.batch
    slopes = case.numpy(case.backend.loss_jvp(*arguments, vector, SEED))
    rows = case.numpy(case.backend.per_sample_gradients(*arguments, SEED))
    assert_near(slopes, rows @ case.numpy(vector), 1e-11)
    assert_near(slopes, central(lambda h: case.losses(case.moved(vector, h))), DIFFERENCES)


def test_loss_jvp_equals_single_weight_gradients(case):
    vector = case.draw(case.P)
    slopes = case.backend.loss_jvp(case.parameters, case.buffers, case.batch, vector, SEED)
    each = [case.gradient(case.parameters, case.array(w))[1] for w in np.eye(case.n)]
    assert_near(case.numpy(slopes), np.stack(each) @ case.numpy(vector), 1e-11)


def test_per_sample_gradients_do_not_depend_on_the_split(case):
    arguments = case.parameters, case.buffers, case.batch, SEED
    whole = case.numpy(case.backend.per_sample_gradients(*arguments))
    parts = [
        case.numpy(case.backend.per_sample_gradients(*arguments, rows))
        for rows in (slice(0, 1), slice(1, 4), slice(4, None))
    ]
    assert whole.shape == (case.n, case.P)
    assert_near(np.concatenate(parts), whole, ROUNDING)


def test_pullback_equals_differences_of_gradient(case):
    """One scalar <u, gradient> + <s, buffers> differentiated in all of parameters, weights and buffers."""
    vector, buffer_vector = case.draw(case.P), case.draw(case.S)
    weights = case.weights()
    linearization = case.backend.gradient_vjp(case.parameters, case.buffers, case.batch, weights, SEED)
    bars = linearization.pullback(vector, buffer_vector)
    moves = case.draw(case.P), case.draw(case.n), case.draw(case.S)
    origin = case.parameters, weights, case.buffers

    def value(at: int, h: float) -> float:
        point = [
            case.numpy(o) + (h * case.numpy(m) if i == at else 0)
            for i, (o, m) in enumerate(zip(origin, moves, strict=False))
        ]
        parameters, moved_weights, buffers = map(case.array, point)
        _, gradient, after = case.gradient(parameters, moved_weights, buffers)
        return gradient @ case.numpy(vector) + after @ case.numpy(buffer_vector)

    for at, (bar, move) in enumerate(zip(bars, moves, strict=True)):
        expected = central(lambda h, at=at: value(at, h))
        assert case.numpy(bar) @ case.numpy(move) == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_pullback_gives_the_gradient_and_the_slopes(case):
    vector, weights = case.draw(case.P), case.weights()
    arguments = case.parameters, case.buffers, case.batch
    linearization = case.backend.gradient_vjp(*arguments, weights, SEED)
    _, slopes, _ = linearization.pullback(vector, case.array(np.zeros(case.S)))
    assert_near(case.numpy(linearization.gradient), case.gradient(case.parameters, weights)[1], ROUNDING)
    assert_near(case.numpy(slopes), case.numpy(case.backend.loss_jvp(*arguments, vector, SEED)), 1e-11)


def test_many_cotangents_equal_one_by_one(case):
    vectors, buffer_vectors, weights = case.draw(3, case.P), case.draw(3, case.S), case.weights()
    arguments = case.parameters, case.buffers, case.batch, weights, SEED
    together = case.backend.gradient_vjp(*arguments).pullback(vectors, buffer_vectors)
    each = [
        case.backend.gradient_vjp(*arguments).pullback(v, b)
        for v, b in zip(vectors, buffer_vectors, strict=True)
    ]
    for found, column in zip(together, zip(*each, strict=True), strict=True):
        assert_near(case.numpy(found), np.stack([case.numpy(row) for row in column]), 1e-11)


def test_ensemble_equals_one_by_one(case):
    points = case.array(np.stack([case.numpy(case.moved(case.draw(case.P), h)) for h in (0, 0.1, 0.2)]))
    buffers = case.array(case.numpy(case.buffers) + np.array([[0.0], [0.1], [0.2]]))
    weights = case.weights(3)
    found = case.backend.ensemble_gradient(points, buffers, case.batch, weights, SEED)
    each = [
        case.backend.gradient(p, b, case.batch, w, SEED)
        for p, b, w in zip(points, buffers, weights, strict=True)
    ]
    for array, column in zip(found, zip(*each, strict=True), strict=True):
        assert_near(case.numpy(array), np.stack([case.numpy(row) for row in column]), ROUNDING)


def test_one_sided_buffer_updates_repeat(case):
    """No function changes what another sees: the same call gives the same bits."""
    weights = case.weights()
    first = case.gradient(case.parameters, weights)
    case.backend.objective_gradients(case.parameters, case.buffers, case.batch, None)
    case.backend.loss_jvp(case.parameters, case.buffers, case.batch, case.draw(case.P), SEED)
    for one, other in zip(first, case.gradient(case.parameters, weights), strict=True):
        np.testing.assert_array_equal(one, other)


def test_objective_gradients(case):
    arguments = case.parameters, case.buffers, case.batch
    rows, buffer_rows = map(case.numpy, case.backend.objective_gradients(*arguments, None))
    total, buffer_total = map(case.numpy, case.backend.objective_gradient(*arguments, None))
    assert rows.shape == (case.n, case.P)
    assert buffer_rows.shape == (case.n, case.S)
    assert_near(rows.sum(0), total, 1e-11)
    assert_near(buffer_rows.sum(0), buffer_total, 1e-11)
    direction = case.draw(case.P)

    def moved(h):
        return case.numpy(case.backend.objective(case.moved(direction, h), case.buffers, case.batch, None))

    assert_near(rows @ case.numpy(direction), central(moved), DIFFERENCES)


def test_objective_gradient_in_buffers_equals_differences(zoo):
    case = zoo_case(zoo, "cnn_batch_norm")
    assert case.S > 0
    bar = case.numpy(case.backend.objective_gradient(case.parameters, case.buffers, case.batch, None)[1])
    direction = case.numpy(case.draw(case.S))

    def value(h: float) -> float:
        buffers = case.array(case.numpy(case.buffers) + h * direction)
        return case.numpy(case.backend.objective(case.parameters, buffers, case.batch, None)).sum()

    assert np.abs(bar).max() > 0
    assert bar @ direction == pytest.approx(central(value), rel=1e-6)


def test_objective_over_a_leading_axis(case):
    points = case.array(np.stack([case.numpy(case.moved(case.draw(case.P), h)) for h in (0, 0.1)]))
    buffers = case.array(np.stack([case.numpy(case.buffers)] * 2))
    found = case.backend.objective(points, buffers, case.batch, None)
    each = [case.backend.objective(p, case.buffers, case.batch, None) for p in points]
    assert_near(case.numpy(found), np.stack([case.numpy(row) for row in each]), ROUNDING)


def test_objective_is_the_loss_of_the_prediction(case):
    outputs = case.numpy(case.backend.predict(case.parameters, case.buffers, case.batch))
    shifted = outputs - outputs.max(1, keepdims=True)
    expected = np.log(np.exp(shifted).sum(1)) - shifted[np.arange(case.n), case.data.targets]
    found = case.backend.objective(case.parameters, case.buffers, case.batch, None)
    assert_near(case.numpy(found), expected, ROUNDING)


@pytest.mark.parametrize("lead", [(), (1,), (2,), (5,)], ids=str)
def test_objective_jvp_equals_rows(case, lead):
    vectors = case.draw(*lead, case.P)
    arguments = case.parameters, case.buffers, case.batch
    found = case.numpy(case.backend.objective_jvp(*arguments, vectors, None))
    rows = case.numpy(case.backend.objective_gradients(*arguments, None)[0])
    assert found.shape == (*lead, case.n)
    assert_near(found, case.numpy(vectors) @ rows.T, 1e-11)


@pytest.mark.parametrize("lead", [(), (5,)], ids=str)
def test_objective_jvp_of_a_function(case, lead):
    def objective(outputs, targets):
        return outputs[:, 0] ** 2 + outputs[:, 1]

    vectors = case.draw(*lead, case.P)
    arguments = case.parameters, case.buffers, case.batch
    found = case.numpy(case.backend.objective_jvp(*arguments, vectors, objective))
    rows = case.numpy(case.backend.objective_gradients(*arguments, objective)[0])
    assert_near(found, case.numpy(vectors) @ rows.T, 1e-11)


def test_hessian_product_equals_the_dense_product(case):
    """The Hessian by central differences of the gradient in evaluation mode, one sample's weight at a time."""
    vector, weights = case.draw(case.P), case.weights()

    def gradients(h):
        point = case.moved(vector, h)
        return case.numpy(case.backend.objective_gradients(point, case.buffers, case.batch, None)[0])

    expected = case.numpy(weights) @ central(gradients)
    arguments = case.parameters, case.buffers, case.batch, weights
    found = case.backend.hessian_vector_product(*arguments, vector)
    assert_near(case.numpy(found), expected, DIFFERENCES)


@pytest.mark.parametrize("product", ["hessian_vector_product", "gauss_newton_vector_product"])
def test_many_products_equal_one_by_one(case, product):
    vectors, weights = case.draw(3, case.P), case.weights()
    function = getattr(case.backend, product)
    arguments = case.parameters, case.buffers, case.batch, weights
    each = [case.numpy(function(*arguments, v)) for v in vectors]
    assert_near(case.numpy(function(*arguments, vectors)), np.stack(each), 1e-11)
    assert_near(case.numpy(function(*arguments, vectors[:1])), np.stack(each[:1]), 1e-11)


def test_gauss_newton_equals_the_dense_product(case):
    """J by central differences of the outputs; the Hessian of cross-entropy is diag(p) - p p'."""
    backend, weights, vector = case.backend, case.weights(), case.draw(case.P)
    found = backend.gauss_newton_vector_product(case.parameters, case.buffers, case.batch, weights, vector)
    expected = dense_gauss_newton(case, case.numpy(weights)) @ case.numpy(vector)
    assert_near(case.numpy(found), expected, DIFFERENCES)


def dense_gauss_newton(case, weights):
    def outputs(parameters):
        return case.numpy(case.backend.predict(parameters, case.buffers, case.batch))

    jacobian = np.stack(
        [central(lambda h, e=e: outputs(case.moved(case.array(e), h))) for e in np.eye(case.P)], axis=-1
    )
    z = outputs(case.parameters)
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    hessians = np.einsum("nc,cd->ncd", p, np.eye(p.shape[1])) - np.einsum("nc,nd->ncd", p, p)
    return np.einsum("n,ncp,ncd,ndq->pq", weights, jacobian, hessians, jacobian, optimize=True)


def test_second_order_check_accepts_the_zoo(case):
    case.backend.check_second_order(case.batch)


@pytest.mark.parametrize("model", MODELS)
def test_float32_is_close_to_float64(zoo, model):
    """1e-3 is some 1e4 roundings: enough for these depths, far below any missing term."""
    single, double = zoo_case(zoo, model, dtype="float32"), zoo_case(zoo, model)
    single.backend.check_second_order(single.batch)
    vector, weights = double.numpy(double.draw(double.P)), double.numpy(double.weights())
    results = []
    for case in (single, double):
        linearization = case.backend.gradient_vjp(
            case.parameters, case.buffers, case.batch, case.array(weights), SEED
        )
        bars = linearization.pullback(case.array(vector), case.array(np.zeros(case.S)))
        results.append([case.numpy(a) for a in (linearization.gradient, *bars)])
    for found, expected in zip(*results, strict=True):
        assert found.dtype == np.float32
        if model != "dropout":  # masks of another dtype are other draws
            assert_near(found.astype(np.float64), expected, 1e-3)


def test_dropout_masks_come_from_the_seed(zoo):
    case = zoo_case(zoo, "dropout")
    losses = [case.numpy(case.backend.losses(case.parameters, case.buffers, case.batch, s)) for s in (1, 1, 2)]
    np.testing.assert_array_equal(losses[0], losses[1])
    assert not np.array_equal(losses[0], losses[2])


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_integer_label_types(zoo, dtype):
    X, y = samples_for("mlp", 5)
    backend = make_backend(zoo.mlp(), X, y.astype(dtype))
    assert backend.to_numpy(backend.losses(*backend.initial(), _batch(backend, X, y), 0)).shape == (5,)


def test_labels_out_of_range_are_named(zoo):
    X, y = samples_for("mlp", 5)
    with pytest.raises(InvalidDataError, match=r"label 99 of sample 2"):
        make_backend(zoo.mlp(), X, np.where(np.arange(5) == 2, 99, y))


def test_filter_without_match_is_named(zoo):
    X, y = samples_for("mlp", 5)
    with pytest.raises(InvalidModelError, match="nothing_like_this"):
        make_backend(zoo.mlp(), X, y, params=["nothing_like_this"])


def test_arrays_of_the_caller_are_neither_shared_nor_changed(zoo):
    X, y = samples_for("mlp", 8)
    for given in (np.asfortranarray(X), X[::-1], np.repeat(X, 2, axis=1)[:, ::2], X.astype(">f8")):
        given.flags.writeable = False
        case_batch = _batch(make_backend(zoo.mlp(), given, y), given, y)
        assert not np.shares_memory(np.asarray(case_batch.inputs), given)
        np.testing.assert_array_equal(np.asarray(case_batch.inputs), given)


def test_memory_maps(zoo, tmp_path):
    X, y = samples_for("mlp", 8)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    backend = make_backend(zoo.mlp(), mapped, y)
    np.testing.assert_array_equal(np.asarray(_batch(backend, mapped, y).inputs), X)


def test_from_numpy_copies(zoo):
    backend = make_backend(zoo.mlp(), *samples_for("mlp", 4))
    values = np.arange(3.0)
    array = backend.from_numpy(values[::-1])
    values[:] = 0
    np.testing.assert_array_equal(backend.to_numpy(array), [2, 1, 0])
    assert backend.to_numpy(backend.from_numpy(np.float64(2.0))).shape == ()


def test_small_array_functions(zoo):
    case = zoo_case(zoo, "mlp")
    left, right = case.draw(3, 4), case.draw(3, 4)
    a, b = case.numpy(left), case.numpy(right)
    assert_near(case.numpy(case.backend.inner(left, right)), (a * b).sum(-1, keepdims=True), ROUNDING)
    assert_near(case.numpy(case.backend.outer_slopes(left, right)), a @ b.T, ROUNDING)
    np.testing.assert_array_equal(case.numpy(case.backend.minimum(left, 0.1)), np.minimum(a, 0.1))


def _batch(backend, X, y):
    from dataval.data import as_data

    return backend.batches(as_data(X, y)).take(np.arange(len(y)))

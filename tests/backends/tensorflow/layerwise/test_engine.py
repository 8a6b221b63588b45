"""Per-sample gradients by layer, against one pass back for each sample."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from dataval.backend.layers import (
    LinearGradients,
    LookupGradients,
    PlainGradients,
    TiedGradients,
    gradient_of,
    rows_of,
    slopes_along,
)
from dataval.errors import InvalidModelError
from dataval_tensorflow import FunctionModel
from dataval_tensorflow.batches import Batch
from dataval_tensorflow.derivatives.gradients import each_row, rows_together, single_rows
from dataval_tensorflow.derivatives.tracing import call, uncompiled
from tests.backends.support import SEED, assert_near, make_case

D = {"dtype": "float64"}
N = 6
EXACT = 1e-10  # float64: the same sums of at most some hundred terms, in another order, through a few layers


def shaken(model):
    """Move parameters and statistics away from where they begin: zeros and ones hide mistakes."""
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if variable.dtype == "float64":
            variable.assign(np.abs(variable + 0.3 * rng.normal(size=variable.shape)) + 0.05 * rng.normal())
    return model


def sequential(shape, *parts, head=True, dtype="float64"):
    last = [layers.Flatten(**D), layers.Dense(3, **D)] if head else []
    return shaken(keras.Sequential([keras.Input(shape, dtype=dtype), *parts, *last]))


def dense():
    return sequential((4, 6), layers.Dense(5, activation="tanh", **D), layers.Dense(2, use_bias=False, **D))


def attention():
    x = keras.Input((4, 6), **D)
    attended = layers.MultiHeadAttention(2, 3, **D)(x, x)
    return shaken(keras.Model(x, layers.Dense(3, **D)(layers.Flatten(**D)(attended))))


def einsum():
    return sequential((4, 6), layers.EinsumDense("abc,dc->adb", (3, 4), bias_axes="d", **D))


def convolutions_1d():
    parts = [layers.Conv1D(3, 3, padding="causal", **D), layers.Conv1D(2, 3, strides=2, padding="same", **D)]
    return sequential((8, 2), *parts)


def convolutions_2d():
    first = layers.Conv2D(3, 3, padding="same", strides=2, activation="relu", **D)
    return sequential((8, 8, 2), first, layers.Conv2D(2, 2, dilation_rate=(2, 1), **D))


def grouped():
    parts = [layers.Conv2D(4, 2, groups=2, dilation_rate=2, **D), layers.Conv2D(2, 3, groups=2, strides=2, **D)]
    return sequential((7, 7, 4), *parts)


def convolution_3d():
    return sequential((4, 4, 3, 2), layers.Conv3D(3, 2, padding="same", strides=2, **D))


def depthwise():
    return sequential(
        (5, 5, 2), layers.DepthwiseConv2D(2, depth_multiplier=2, **D), layers.SeparableConv2D(2, 2, **D)
    )


def embedding():
    return sequential(
        (5,), layers.Embedding(8, 4, mask_zero=True, **D), layers.GlobalAveragePooling1D(**D), dtype="int64"
    )


def normalised():
    parts = [
        layers.BatchNormalization(**D),
        layers.GroupNormalization(2, **D),
        layers.LayerNormalization((1, 3), **D),
    ]
    return sequential((2, 3, 4), *parts, layers.PReLU(**D))


def function():
    rng = np.random.default_rng(0)
    variables = [tf.Variable(rng.normal(size=shape)) for shape in [(6, 5), (5,), (3, 5), (3,)]]
    return FunctionModel(lambda v, x: tf.tanh(x @ v[0] + v[1]) @ tf.transpose(v[2]) + v[3], variables)


def shared():
    x, layer = keras.Input((6,), **D), layers.Dense(6, activation="tanh", **D)
    return shaken(keras.Model(x, layers.Dense(3, **D)(layer(layer(x)))))


class Tied(keras.Model):
    """The table of an embedding is the matrix of the last layer as well."""

    def __init__(self):
        super().__init__(**D)
        self.table, self.last = layers.Embedding(8, 4, **D), layers.Dense(3, **D)

    def call(self, x):
        return self.last(ops.matmul(ops.mean(self.table(x), axis=1), ops.transpose(self.table.embeddings)))


def tied():
    model = Tied()
    model(np.zeros((1, 5), int))
    return shaken(model)


def computed():
    """A matrix of columns with norm 1, and positions that all samples share."""
    rng = np.random.default_rng(0)
    variables = [tf.Variable(rng.normal(size=shape)) for shape in [(6, 5), (4, 5), (20, 3)]]

    def forward(v, x):
        hidden = tf.tanh(
            tf.einsum("nti,io->nto", x, v[0] / tf.norm(v[0], axis=0)) + tf.gather(v[1], tf.range(4))
        )
        return tf.reshape(hidden, (x.shape[0], 20)) @ v[2]

    return FunctionModel(forward, variables)


def otherwise():
    """A matrix that is used as a layer and in another way."""
    rng = np.random.default_rng(0)
    variables = [tf.Variable(rng.normal(size=shape)) for shape in [(6, 5), (5,), (5, 3)]]
    return FunctionModel(lambda v, x: tf.maximum(tf.tanh(x @ v[0] + v[1]), v[0][0]) @ v[2], variables)


def copied():
    """A token that is put in front of each sequence, and positions that are added to all."""
    rng = np.random.default_rng(0)
    variables = [tf.Variable(rng.normal(size=shape)) for shape in [(1, 1, 6), (5, 6), (30, 3)]]

    def forward(v, x):
        first = tf.broadcast_to(v[0], (x.shape[0], 1, 6))
        return tf.reshape(tf.tanh(tf.concat([first, x], axis=1) + v[1]), (x.shape[0], 30)) @ v[2]

    return FunctionModel(forward, variables)


def vectors(*shape):
    return np.random.default_rng(1).normal(size=(N, *shape))


def tokens():
    return np.random.default_rng(1).integers(0, 7, (N, 5)) * np.array([1, 1, 1, 1, 0]) + np.array(
        [1, 0, 0, 0, 0]
    )


LINEAR, LOOKUP, SCALE, PLAIN, TIED = "linear", "lookup", "elementwise", "plain", "tied"
MODELS = {
    dense: (vectors(4, 6), [LINEAR] * 3),
    attention: (vectors(4, 6), [LINEAR] * 5),
    einsum: (vectors(4, 6), [LINEAR] * 2 + [SCALE]),
    convolutions_1d: (vectors(8, 2), [LINEAR] * 3),
    convolutions_2d: (vectors(8, 8, 2), [LINEAR] * 3),
    grouped: (vectors(7, 7, 4), [LINEAR] * 3),
    convolution_3d: (vectors(4, 4, 3, 2), [LINEAR] * 2),
    depthwise: (vectors(5, 5, 2), [LINEAR] * 4),
    embedding: (tokens(), [LINEAR, LOOKUP]),
    normalised: (vectors(2, 3, 4), [LINEAR] + [SCALE] * 7),
    function: (vectors(6), [LINEAR] * 2),
    shared: (vectors(6), [LINEAR] * 2),
    tied: (tokens(), [LINEAR, TIED]),
    computed: (vectors(4, 6), [LINEAR] + [PLAIN] * 2),
    copied: (vectors(4, 6), [LINEAR] + [SCALE] * 2),
    otherwise: (vectors(6), [LINEAR] * 2 + [PLAIN]),
}


def kind(block):
    if isinstance(block, PlainGradients):
        return SCALE if block.is_elementwise else PLAIN
    return {LinearGradients: LINEAR, LookupGradients: LOOKUP, TiedGradients: TIED}[type(block)]


def case_of(build, **options):
    return make_case(build(), MODELS[build][0] if build in MODELS else vectors(6), np.arange(N) % 3, **options)


def slow_rows(case, *, training):
    """Do one pass back a sample."""
    general = rows_together if case.backend.model.is_stochastic and training else single_rows
    loss, objective = case.backend.loss, case.backend.objective()

    def losses(point, buffers, batch):
        if training:
            return loss._forward(point, buffers, batch, tf.constant(SEED, tf.int64))[0]
        return objective._values(point, buffers, batch.inputs, batch.targets)

    def rows(parameters, buffers, inputs, targets):
        return general(each_row, lambda p, b: losses(*p, b), [parameters, buffers], Batch(inputs, targets))

    return [found.numpy() for found in call("/CPU:0", uncompiled(rows), *case.at)]


QUICK = {attention, convolutions_2d, embedding, function, normalised, otherwise, shared}


@pytest.mark.parametrize(
    "build",
    [pytest.param(b, id=b.__name__, marks=[] if b in QUICK else pytest.mark.slow) for b in MODELS],
)
def test_layers_in_evaluation_mode(build):
    """Each parameter once, in the form that its layer has; and of buffers too."""
    case = case_of(build)
    objective = case.backend.objective()
    blocks = objective.layer_gradients(*case.at)
    expected, of_buffers = slow_rows(case, training=False)
    assert sorted(map(kind, blocks)) == sorted(MODELS[build][1])
    assert sum(size for block in blocks for _, size in block.spans) == case.P
    assert {block.name for block in blocks} <= {name for name, _ in case.backend.signature.parameters}
    assert_near(case.numpy(rows_of(case.backend.arrays, blocks)), expected, EXACT)
    rows = [case.numpy(found) for found in objective.rows(*case.at)]
    assert objective._layer_rows.is_fast()
    assert_near(rows[0], expected, EXACT)
    assert_near(rows[1], of_buffers, EXACT)


def test_positions_and_groups():
    """T, G, O and I of a shared layer, and of one that takes channels one by one."""
    found = {}
    for build in (shared, depthwise):
        case = case_of(build)
        found |= {block.name: block.shape for block in case.backend.objective().layer_gradients(*case.at)[:1]}
    assert found == {"dense/kernel": (2, 1, 6, 6), "depthwise_conv2d/kernel": (16, 2, 2, 4)}


def with_dropout():
    return sequential(
        (6,), layers.Dense(8, **D), layers.Dropout(0.5, **D), layers.Dense(5, activation="tanh", **D)
    )


def test_dropout_in_training_mode():
    """The masks are those of the gradient: every pass sees the whole batch."""
    case = case_of(with_dropout)
    loss, arrays, weights = case.backend.loss, case.backend.arrays, case.weights()
    blocks = loss.layer_gradients(*case.at, SEED)
    expected, _ = slow_rows(case, training=True)
    assert loss.has_layers
    assert {kind(block) for block in blocks} == {LINEAR}
    assert_near(case.numpy(rows_of(arrays, blocks)), expected, EXACT)
    assert_near(case.rows(), expected, EXACT)
    assert_near(case.numpy(loss.rows(*case.at, SEED, slice(1, 3))), expected[1:3], EXACT)
    total = case.numpy(gradient_of(arrays, blocks, weights))
    assert_near(total, case.gradient(case.parameters, weights)[1], EXACT)


@pytest.mark.parametrize("build", [with_dropout, embedding], ids=lambda build: build.__name__)
def test_slopes_along_many(build):
    """In both modes, without giving up layers on the way."""
    case = case_of(build)
    loss, objective, along = case.backend.loss, case.backend.objective(), case.draw(5, case.P)
    for training in (True, False):
        rows, _ = slow_rows(case, training=training)
        found = loss.slopes(*case.at, along, SEED) if training else objective.slopes(*case.at, along)
        assert_near(case.numpy(found), case.numpy(along) @ rows.T, EXACT)
    assert loss._layer_slopes.is_fast()
    assert objective._layer_slopes.is_fast()
    blocks = loss.layer_gradients(*case.at, SEED)
    assert_near(
        case.numpy(slopes_along(case.backend.arrays, blocks, along)),
        case.numpy(loss.slopes(*case.at, along, SEED)),
        EXACT,
    )


@pytest.mark.parametrize(("params", "has"), [(["*bias"], (False, True)), (["*kernel"], (True, False))], ids=str)
def test_frozen_parameters_have_no_place(params, has):
    case = case_of(convolutions_2d, params=params)
    blocks = case.backend.objective().layer_gradients(*case.at)
    assert [(block.weight is not None, block.bias is not None) for block in blocks] == [has] * 3
    assert_near(case.numpy(rows_of(case.backend.arrays, blocks)), slow_rows(case, training=False)[0], EXACT)


def test_cotangents_of_outputs():
    """Held against the rows of a loss that is linear in the outputs."""
    case = case_of(dense)
    cotangents = case.draw(N, 3)
    blocks = case.backend.objective().layer_gradients(*case.at, cotangents)
    assert {kind(block) for block in blocks} == {LINEAR}
    linear = case.backend.objective(lambda outputs, _: outputs[:, 1])
    chosen = case.backend.objective().layer_gradients(*case.at, case.array(np.tile([0.0, 1, 0], (N, 1))))
    assert_near(case.numpy(rows_of(case.backend.arrays, chosen)), case.numpy(linear.rows(*case.at)[0]), EXACT)
    with tf.GradientTape() as tape:
        tape.watch(case.parameters)
        outputs = call("/CPU:0", uncompiled(case.backend._outputs), *case.at)
    total = tape.gradient(outputs, case.parameters, cotangents).numpy()
    assert_near(case.numpy(rows_of(case.backend.arrays, blocks)).sum(0), total, EXACT)


def test_cotangents_need_one_output():
    x = keras.Input((6,), **D)
    model = keras.Model(x, {"a": layers.Dense(3, **D)(x), "b": layers.Dense(2, **D)(x)})
    case = make_case(
        model, vectors(6), np.zeros(N), lambda outputs, targets: outputs["a"][:, 0] + outputs["b"][:, 0]
    )
    with pytest.raises(InvalidModelError, match="a tensor"):
        case.backend.objective().layer_gradients(*case.at, case.draw(N, 3))


def test_batch_statistics_have_no_layers():
    case = case_of(normalised)
    assert not case.backend.loss.has_layers
    (block,) = case.backend.loss.layer_gradients(*case.at, SEED)
    assert_near(case.numpy(block.rows), case.rows(), EXACT)


def test_samples_that_see_one_another_have_no_layers():
    """By layers each would have a share of the others' losses; rows are those of samples alone."""
    rng = np.random.default_rng(0)
    variables = [tf.Variable(rng.normal(size=shape)) for shape in [(6, 5), (5, 3)]]
    model = FunctionModel(lambda v, x: (x + 0.1 * tf.reduce_sum(x, 0)) @ v[0] @ v[1], variables)
    case = make_case(model, vectors(6), np.arange(N) % 3)
    objective = case.backend.objective()
    (block,) = objective.layer_gradients(*case.at)
    assert not objective._has_layers
    assert_near(case.numpy(block.rows), slow_rows(case, training=False)[0], EXACT)


def test_one_number_for_all_samples_has_no_layers():
    case = case_of(function)
    objective = case.backend.objective(lambda outputs, targets: tf.reduce_mean(outputs**2))
    assert not objective._has_layers
    assert case.numpy(objective.rows(*case.at)[0]).shape == (N, case.P)


@pytest.mark.slow
def test_recurrence():
    """Unrolled, its matrices are those of a layer at every step; a rolled loop takes the general way."""
    unrolled = sequential((3, 2), layers.SimpleRNN(4, unroll=True, **D))
    rolled = sequential((3, 2), layers.SimpleRNN(4, **D))
    for model, kinds in ((unrolled, [LINEAR] * 3), (rolled, [LINEAR] + [PLAIN] * 3)):
        case = make_case(model, vectors(3, 2), np.arange(N) % 3)
        blocks = case.backend.objective().layer_gradients(*case.at)
        assert sorted(map(kind, blocks)) == sorted(kinds)
        assert_near(case.numpy(rows_of(case.backend.arrays, blocks)), slow_rows(case, training=False)[0], EXACT)

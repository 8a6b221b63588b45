"""Modules of plain TensorFlow: where their variables are found, and what stands in their places."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import tensorflow as tf

from dataval.errors import InvalidModelError
from dataval_tensorflow import FunctionModel
from dataval_tensorflow.batches import Batch
from dataval_tensorflow.model.modules import ModuleCaller, Slot

BATCH = Batch(tf.ones((2, 3), tf.float64), tf.zeros(2))


class Block(tf.Module):
    """A shared variable, one in a list and one in a dict; a counter; a generator."""

    def __init__(self, shared) -> None:
        super().__init__()
        self.shared = shared
        self.parts = [tf.Variable(np.full(3, 2.0)), {"bias": tf.Variable(np.zeros(3))}]
        self.count = tf.Variable(0.0, trainable=False)
        self.generator = tf.random.Generator.from_seed(1)

    def __call__(self, x, training=False):
        if training:
            self.count.assign_add(1.0)
            x = x + self.generator.uniform((), dtype=tf.float64)
        return x * self.shared * self.parts[0] + self.parts[1]["bias"]


class Net(tf.Module):
    """Two blocks that share a variable."""

    def __init__(self) -> None:
        super().__init__()
        shared = tf.Variable(np.ones(3))
        self.first, self.second = Block(shared), Block(shared)

    def __call__(self, x, training=False):
        return self.second(self.first(x, training), training)


def values_of(caller, seed=1):
    found = {n: tf.constant(v.numpy()) for n, v in (caller.trainable | caller.state).items()}
    return found | caller.seeded(tf.constant(seed, tf.int64))


def test_variables_are_named_by_their_first_path():
    caller = ModuleCaller(Net())
    assert list(caller.trainable) == [
        "first.parts.0",
        "first.parts.1.bias",
        "first.shared",
        "second.parts.0",
        "second.parts.1.bias",
    ]
    assert sorted(caller.seeds) == ["first.generator", "second.generator"]
    assert sorted(set(caller.state) - set(caller.seeds)) == ["first.count", "second.count"]


def test_a_call_uses_the_values_and_leaves_the_module_alone():
    net = Net()
    before = [v.numpy() for v in net.variables]
    caller = ModuleCaller(net)
    values = values_of(caller) | {"first.shared": tf.constant([1.0, 2, 3], tf.float64)}
    outputs, after = caller.call(values, BATCH, training=False)
    np.testing.assert_allclose(outputs, np.tile([4.0, 16, 36], (2, 1)), rtol=1e-15)  # twice in two places
    assert float(after["first.count"]) == 0
    _, after = caller.call(values, BATCH, training=True)
    assert float(after["first.count"]) == 1
    for variable, value in zip(net.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_seeds_decide_the_draws():
    caller = ModuleCaller(Net())
    outputs = [caller.call(values_of(caller, seed), BATCH, training=True)[0] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert not np.array_equal(outputs[0], outputs[2])


def test_a_failing_call_puts_the_variables_back():
    caller = ModuleCaller(FunctionModel(lambda v, x: x @ v, tf.Variable(np.ones((4, 2)))))
    with pytest.raises(tf.errors.InvalidArgumentError):
        caller.call(values_of(caller), BATCH, training=False)
    assert isinstance(caller.module.values, tf.Variable)


def test_derivatives_reach_the_values():
    caller = ModuleCaller(Net())
    values = values_of(caller)
    with tf.GradientTape() as tape:
        tape.watch(values["first.shared"])
        outputs, _ = caller.call(values, BATCH, training=False)
    # y = 4 s^2 in each of two rows.
    np.testing.assert_allclose(tape.gradient(outputs, values["first.shared"]), np.full(3, 16.0), rtol=1e-15)


def test_copies_hold_the_values_and_travel():
    caller = ModuleCaller(Net())
    values = {
        name: value + 1 if name in caller.trainable else value for name, value in values_of(caller).items()
    }
    exported = caller.export(values)
    np.testing.assert_array_equal(exported.first.shared.numpy(), np.full(3, 2.0))
    assert exported.first.shared is exported.second.shared
    arrived = pickle.loads(pickle.dumps(linear_caller()))
    assert list(arrived.trainable) == ["values.0", "values.1"]


def linear_caller():
    return ModuleCaller(FunctionModel(linear, [tf.Variable(np.ones((3, 2))), tf.Variable(np.zeros(2))]))


def linear(variables, x):
    return x @ variables[0] + variables[1]


def test_a_copy_in_double():
    model = FunctionModel(linear, [tf.Variable(tf.ones((3, 2))), tf.Variable(tf.zeros(2), trainable=False)])
    caller = ModuleCaller(model)
    double = caller.doubled(values_of(caller))
    assert [v.dtype for v in double.values] == [tf.float64, tf.float64]
    assert [v.trainable for v in double.values] == [True, False]
    assert model.values[0].dtype == tf.float32


def test_slots_behave_as_variables():
    slot = Slot(tf.constant([1.0, 2.0]))
    assert slot.assign_add([1.0, 1.0]) is slot
    slot.assign_sub([0.0, 1.0])
    np.testing.assert_array_equal(slot.value(), [2, 2])
    np.testing.assert_array_equal(2 * slot + slot, [6, 6])
    np.testing.assert_array_equal(tf.reduce_sum(slot), 4)
    assert len(slot) == 2
    assert [float(entry) for entry in slot] == [2, 2]
    assert slot.shape == (2,)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="hape"):
        slot.assign([1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("module", "match"),
    [
        (tf.Module, "can't be called"),
        (lambda: FunctionModel(lambda v, x: x, (v for v in ())), "can't be copied"),
    ],
)
def test_modules_that_are_refused(module, match):
    with pytest.raises(InvalidModelError, match=match):
        ModuleCaller(module())

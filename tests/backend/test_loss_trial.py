"""What is found out of a loss on fixed outputs, and which of the frameworks' losses are which."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from dataval.backend.frameworks_losses import check_reduction, in_our_order, logits_of
from dataval.backend.loss_trial import check_closed, check_loss_alone
from dataval.errors import InvalidModelError

OUTPUTS, TARGETS = np.array([0.3, -1.2, 0.7, 2.0, 0.1]), np.array([1.0, 1.0, 1.0, 0.0, 0.0])


def own(rows):
    return (OUTPUTS[rows] - TARGETS[rows]) ** 2


def broadcast(rows):
    return ((OUTPUTS[rows][:, None] - TARGETS[rows]) ** 2).mean(0)


def centred(rows):
    return (OUTPUTS[rows] - OUTPUTS[rows].mean()) ** 2


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_loss_of_each_sample_alone_passes(n):
    check_loss_alone(own, n)


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("loss", [broadcast, centred])
def test_a_loss_that_mixes_samples_is_refused(loss, n):
    with pytest.raises(InvalidModelError, match="neighbours"):
        check_loss_alone(loss, n)


def test_a_loss_that_does_not_repeat_itself_is_refused():
    calls = []

    def counted(rows):
        calls.append(rows)
        return own(rows) * len(calls)

    with pytest.raises(InvalidModelError, match="keeps a state"):
        check_loss_alone(counted, 5)


def test_a_loss_that_is_not_finite_or_not_per_sample_is_judged_elsewhere():
    check_loss_alone(lambda rows: own(rows) * np.nan, 5)
    check_loss_alone(lambda rows: own(rows).mean(), 5)
    check_loss_alone(lambda rows: (own(rows) > 1).astype(int), 5)


def test_strangers_are_named():
    check_closed([], "loss")
    with pytest.raises(InvalidModelError, match="'scale'"):
        check_closed(["scale"], "model")


class Loss:
    """Stands for keras.losses.Loss."""

    __module__ = "keras.src.losses.loss"

    def __init__(self, reduction="sum_over_batch_size"):
        self.reduction = reduction

    def __call__(self, y_true, y_pred):
        return y_true - 2 * y_pred


class BinaryCrossentropy(Loss):
    __module__ = "keras.src.losses.losses"

    def __init__(self, **options):
        super().__init__()
        self._fn_kwargs = options


def of_targets(labels, logits, name=None):
    return labels - 2 * logits


def test_losses_of_keras_and_tensorflow_are_turned_round(monkeypatch):
    def plain(outputs, targets):
        return outputs - targets

    assert in_our_order(plain) is plain
    assert in_our_order(of_targets) is of_targets
    monkeypatch.setattr(of_targets, "__module__", "tensorflow.python.ops.nn_impl")
    for loss in (Loss(), of_targets, partial(of_targets, name="x")):
        assert in_our_order(loss)(1.0, 5.0) == 5.0 - 2 * 1.0


def test_a_reduction_is_refused_for_the_frameworks_classes_only():
    with pytest.raises(InvalidModelError, match="reduction='none'"):
        check_reduction(Loss())
    check_reduction(Loss(None))
    check_reduction(Loss("none"))

    class Mine:
        reduction = "mean"

    check_reduction(Mine())


def test_which_losses_take_logits():
    assert logits_of("cross_entropy") == "softmax"
    assert logits_of("binary_cross_entropy") == "sigmoid"
    assert logits_of("mse") is None
    assert logits_of(of_targets) is None
    assert logits_of(BinaryCrossentropy(from_logits=True)) == "sigmoid"
    assert logits_of(BinaryCrossentropy(from_logits=False)) is None

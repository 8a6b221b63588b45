"""The named losses on TensorFlow's tensors, and the checks of a caller's own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import keras
import tensorflow as tf
from numpy.typing import NDArray

from dataval.backend.frameworks_losses import check_reduction, in_our_order, is_keras_loss
from dataval.backend.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Loss,
    LossFunction,
    NamedLoss,
    TokenCrossEntropy,
    resolve_loss,
)
from dataval.backend.targets import are_classes
from dataval.errors import InvalidModelError

__all__ = [
    "PerSample",
    "check_returned",
    "check_tensor",
    "of_outputs",
    "per_sample_loss",
    "target_dtype",
    "token_losses",
]

PerSample = Callable[[Any, tf.Tensor], tf.Tensor]


def per_sample_loss(loss: Loss) -> PerSample:
    """Return a function (outputs, targets) -> per-sample losses ``(n,)``.

    Classes are along the last axis of the outputs, as everywhere in TensorFlow.

    Raises
    ------
    InvalidModelError
        If a loss of Keras's averages.
    """
    resolved = resolve_loss(loss)
    if not isinstance(resolved, NamedLoss):
        check_reduction(resolved)
        return of_outputs(resolved)
    if isinstance(resolved, TokenCrossEntropy):
        return lambda outputs, targets: tf.reduce_sum(token_losses(resolved, outputs, targets), axis=1)
    if isinstance(resolved, CrossEntropy):
        return lambda outputs, targets: _cross_entropy(resolved, outputs, targets)
    if isinstance(resolved, BinaryCrossEntropy):
        return lambda outputs, targets: _binary_cross_entropy(resolved, outputs, targets)
    return lambda outputs, targets: _sample_mean((_like(outputs, targets) - targets) ** 2)


def of_outputs(function: LossFunction) -> PerSample:
    """Return a loss or an objective as a function of (outputs, targets), whatever order it takes them in.

    One of Keras's, which computes in a dtype of its own, does so in that of the outputs.
    """
    if not is_keras_loss(function):
        return in_our_order(function)

    @cache
    def in_dtype(dtype: str) -> LossFunction:
        twin = copy.copy(function)
        twin._dtype_policy = keras.DTypePolicy(dtype)  # type: ignore[attr-defined]
        twin._dtype = dtype  # type: ignore[attr-defined]
        return in_our_order(twin)

    return lambda outputs, targets: in_dtype(tf.nest.flatten(outputs)[0].dtype.name)(outputs, targets)


def target_dtype(loss: Loss, targets: NDArray[Any], dtype: tf.DType) -> tf.DType:
    """Return the dtype that targets are handed to the loss in."""
    if targets.dtype.kind == "f" or (isinstance(resolve_loss(loss), NamedLoss) and not are_classes(loss)):
        return dtype
    return tf.int64


def check_returned(losses: object) -> tf.Tensor:
    """Return what a loss returned, or raise if it is no tensor."""
    if not tf.is_tensor(losses):
        raise InvalidModelError(f"the loss returned a {type(losses).__name__}, not a tensor")
    return losses


def check_tensor(outputs: object, what: str) -> tf.Tensor:
    """Return a model's outputs, or raise if they are not one tensor."""
    if not tf.is_tensor(outputs):
        raise InvalidModelError(
            f"{what} needs a model that returns a tensor, not a {type(outputs).__name__}: say which it is by "
            "Learner(outputs=lambda returned: returned.logits)"
        )
    return outputs


def _cross_entropy(loss: CrossEntropy, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    if not loss.label_smoothing:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, outputs)
        return _sample_mean(losses if loss.class_weights is None else losses * _weights(loss, outputs, targets))
    n_classes, smoothing = outputs.shape[-1], loss.label_smoothing
    shares = tf.one_hot(targets, n_classes, 1 - smoothing, 0.0, dtype=outputs.dtype) + smoothing / n_classes
    if loss.class_weights is not None:
        shares = shares * tf.constant(loss.class_weights, outputs.dtype)
    return _sample_mean(-tf.reduce_sum(shares * tf.nn.log_softmax(outputs), axis=-1))


def token_losses(loss: TokenCrossEntropy, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Return what each token contributes to its sample's loss, ``(n, L)``; 0 for those that don't count."""
    labels = targets
    if loss.shift:
        labels = tf.concat(
            [targets[:, 1:], tf.fill(tf.shape(targets[:, :1]), tf.cast(loss.ignore_index, targets.dtype))], 1
        )
    counts = labels != loss.ignore_index
    safe = tf.where(counts, labels, tf.zeros_like(labels))
    shares = tf.cast(counts, outputs.dtype)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(safe, outputs) * shares
    if loss.reduction == "mean":
        losses = losses / tf.maximum(tf.reduce_sum(shares, axis=1, keepdims=True), 1.0)
    return tf.roll(losses, 1, axis=1) if loss.shift else losses


def _weights(loss: CrossEntropy, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    return tf.gather(tf.constant(loss.class_weights, outputs.dtype), targets)


def _binary_cross_entropy(loss: BinaryCrossEntropy, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    smooth = targets * (1 - loss.label_smoothing) + loss.label_smoothing / 2
    losses = tf.nn.sigmoid_cross_entropy_with_logits(smooth, _like(outputs, targets))
    if loss.class_weights is not None:
        negative, positive = loss.class_weights
        losses = losses * (negative + (positive - negative) * targets)
    return _sample_mean(losses)


def _sample_mean(losses: tf.Tensor) -> tf.Tensor:
    if losses.shape.rank == 1:
        return losses
    return tf.reduce_mean(losses, axis=list(range(1, losses.shape.rank)))


def _like(outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    return tf.reshape(outputs, targets.shape)

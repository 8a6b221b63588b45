"""The named losses on TensorFlow's tensors, and the checks of a caller's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from dataval.backend.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Loss,
    LossFunction,
    NamedLoss,
    resolve_loss,
)
from dataval.errors import InvalidDataError, InvalidModelError

__all__ = [
    "PerSample",
    "check_losses",
    "check_named_targets",
    "check_repeatable",
    "check_tensor",
    "per_sample_loss",
    "target_dtype",
]

PerSample = Callable[[Any, tf.Tensor], tf.Tensor]


def per_sample_loss(loss: Loss) -> PerSample:
    """Return a function (outputs, targets) -> per-sample losses ``(n,)``.

    Classes are along the last axis of the outputs, as everywhere in TensorFlow.
    """
    resolved = resolve_loss(loss)
    if not isinstance(resolved, NamedLoss):
        return resolved
    if isinstance(resolved, CrossEntropy):
        return lambda outputs, targets: _cross_entropy(resolved, outputs, targets)
    if isinstance(resolved, BinaryCrossEntropy):
        return lambda outputs, targets: _binary_cross_entropy(resolved, outputs, targets)
    return lambda outputs, targets: _sample_mean((_like(outputs, targets) - targets) ** 2)


def target_dtype(loss: Loss, targets: NDArray[Any], dtype: tf.DType) -> tf.DType:
    """Return the dtype that targets are handed to the loss in."""
    if targets.dtype.kind == "f" or (isinstance(resolve_loss(loss), NamedLoss) and not _is_classes(loss)):
        return dtype
    return tf.int64


def check_losses(losses: object, n: int) -> None:
    """Raise if what a caller's loss returned is not one number a sample."""
    if not tf.is_tensor(losses):
        raise InvalidModelError(f"the loss returned a {type(losses).__name__}, not a tensor")
    shape = tuple(losses.shape)  # type: ignore[attr-defined]
    if not shape:
        raise InvalidModelError(
            "the loss returned a single number: data valuation needs one loss a sample, shape (n,). "
            "Use reduction='none', and average over a sample's own outputs only"
        )
    if shape != (n,):
        raise InvalidModelError(f"the loss returned shape {shape} for {n} samples: it must be ({n},)")
    values = losses.numpy()  # type: ignore[attr-defined]
    if not np.isfinite(values).all():
        raise InvalidModelError(
            f"the losses of the first {n} samples are {values.tolist()} before training has begun: look at the "
            "scale of the inputs, or at a logarithm or division in the model or the loss"
        )


def check_tensor(outputs: object, what: str) -> tf.Tensor:
    """Return a model's outputs, or raise if they are not one tensor."""
    if not tf.is_tensor(outputs):
        raise InvalidModelError(f"{what} needs a model that returns a tensor, not a {type(outputs).__name__}")
    return outputs


def check_repeatable(losses: tf.Tensor, again: tf.Tensor) -> None:
    """Raise if the same forward pass done twice differs by more than rounding."""
    tolerance = np.finfo(losses.dtype.as_numpy_dtype).eps ** 0.5
    if not np.allclose(losses, again, rtol=tolerance, atol=tolerance):
        raise InvalidModelError(
            "the model gives other losses when it is run again under the same seed: it draws random numbers "
            "that no seed controls (tf.random.normal and the like, Python's, NumPy's), or keeps a state that "
            "is no variable of it. Draw them from a keras.random.SeedGenerator or a tf.random.Generator that "
            "is an attribute of the model"
        )


def check_named_targets(loss: Loss, outputs: Any, targets: NDArray[Any]) -> None:
    """Raise if targets don't fit a named loss and the outputs of the model."""
    resolved = resolve_loss(loss)
    if not isinstance(resolved, NamedLoss):
        return
    if not tf.is_tensor(outputs):
        raise InvalidModelError(
            f"the model returned a {type(outputs).__name__}; the loss {resolved.name!r} needs a tensor of "
            "outputs. Pass a function instead: loss=lambda outputs, targets: ..."
        )
    if isinstance(resolved, CrossEntropy):
        _check_classes(resolved, tuple(outputs.shape), targets)
    else:
        _check_same_shape(resolved, tuple(outputs.shape), targets)


def _is_classes(loss: Loss | LossFunction) -> bool:
    return isinstance(resolve_loss(loss), CrossEntropy)


def _cross_entropy(loss: CrossEntropy, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    if not loss.label_smoothing:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, outputs)
        return _sample_mean(losses if loss.class_weights is None else losses * _weights(loss, outputs, targets))
    n_classes, smoothing = outputs.shape[-1], loss.label_smoothing
    shares = tf.one_hot(targets, n_classes, 1 - smoothing, 0.0, dtype=outputs.dtype) + smoothing / n_classes
    if loss.class_weights is not None:
        shares = shares * tf.constant(loss.class_weights, outputs.dtype)
    return _sample_mean(-tf.reduce_sum(shares * tf.nn.log_softmax(outputs), axis=-1))


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


def _check_classes(loss: CrossEntropy, outputs: tuple[int, ...], targets: NDArray[Any]) -> None:
    if targets.dtype.kind not in "iub":
        raise InvalidDataError(
            f"cross_entropy needs integer class labels, but y has dtype {targets.dtype}: use y.astype('int64')"
        )
    if len(outputs) < 2:
        raise InvalidModelError(
            f"cross_entropy needs outputs of shape (n, classes), the model returned {outputs}; "
            "for two classes and one logit use binary_cross_entropy"
        )
    if outputs[1:-1] != targets.shape[1:]:
        raise InvalidDataError(
            f"cross_entropy with outputs {outputs} needs labels of shape {('n', *outputs[1:-1])}, got "
            f"{('n', *targets.shape[1:])}"
        )
    _check_label_range(targets, n_classes := outputs[-1])
    if loss.class_weights is not None and len(loss.class_weights) != n_classes:
        raise InvalidModelError(
            f"class_weights has {len(loss.class_weights)} entries, but the model has {n_classes} outputs"
        )


def _check_label_range(targets: NDArray[Any], n_classes: int) -> None:
    wrong = (targets < 0) | (targets >= n_classes)
    if wrong.any():
        at = int(np.argmax(wrong.reshape(len(targets), -1).any(axis=1)))
        raise InvalidDataError(
            f"label {targets[wrong].ravel()[0]} of sample {at} is out of range: the model has {n_classes} "
            f"outputs, so labels must lie in 0 ... {n_classes - 1}"
        )


def _check_same_shape(loss: NamedLoss, outputs: tuple[int, ...], targets: NDArray[Any]) -> None:
    expected = outputs[1:]
    given = tuple(targets.shape[1:])
    if given not in {expected, expected[:-1] if expected[-1:] == (1,) else expected}:
        raise InvalidDataError(
            f"{loss.name} compares outputs of shape {('n', *expected)} with targets of shape "
            f"{('n', *given)}: make them equal"
        )
    if isinstance(loss, BinaryCrossEntropy) and not ((targets >= 0) & (targets <= 1)).all():
        raise InvalidDataError("binary_cross_entropy needs targets in [0, 1]")

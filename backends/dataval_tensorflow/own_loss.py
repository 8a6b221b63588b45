"""Whether a caller's own loss is a function of a sample's output and target alone, found on fixed outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from dataval.backend.loss_trial import check_closed, check_loss_alone, run_loss
from dataval_tensorflow.losses import PerSample
from dataval_tensorflow.model.randomness import seeded

__all__ = ["check_own_loss"]


def check_own_loss(per_sample: PerSample, outputs: Any, targets: Any) -> None:
    """Raise if a caller's loss has parameters or a state of its own, is random, or mixes samples.

    Parameters
    ----------
    per_sample : callable
        (outputs, targets) -> ``(n,)``.
    outputs, targets
        Of a few samples. Nothing is said of outputs that aren't made of tensors with the samples along their
        first axis.
    """
    n = len(tf.nest.flatten(targets)[0])

    def losses_of(rows: NDArray[Any]) -> NDArray[Any]:
        chosen = tf.nest.map_structure(lambda leaf: tf.gather(leaf, rows), (outputs, targets))
        return np.asarray(per_sample(*chosen))

    with seeded(0):
        with tf.GradientTape() as tape:
            losses = run_loss(lambda: per_sample(outputs, targets))
        check_closed([getattr(v, "path", v.name) for v in tape.watched_variables()], "loss")
        if tf.is_tensor(losses) and all(_is_rows(leaf, n) for leaf in tf.nest.flatten(outputs)):
            check_loss_alone(losses_of, n)


def _is_rows(leaf: Any, n: int) -> bool:
    return tf.is_tensor(leaf) and leaf.shape.rank is not None and leaf.shape.rank > 0 and len(leaf) == n

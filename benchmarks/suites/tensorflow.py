"""Cost of HyDRA over plain training on TensorFlow: LeNet, 2,000 Fashion-MNIST images, batch 50, 10 epochs.

The plain loop is a Keras model, keras.optimizers.SGD and a compiled step (tf.function). ``fit`` + ``score`` is
timed as a whole, with 500 validation images, tracing included in both; also with checkpoints so scarce that the
run is recomputed.
"""

from __future__ import annotations

import warnings
from functools import cache, partial

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import dataval as dv
from benchmarks.runner.clock import Action
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Ratio, Suite

SGD = {"momentum": 0.9, "weight_decay": 5e-4}


def lenet() -> keras.Model:
    """LeNet-5 for images (28, 28, 1)."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(6, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 5, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(120, activation="relu"),
            layers.Dense(84, activation="relu"),
            layers.Dense(10),
        ]
    )


def plain_loop(X: np.ndarray, y: np.ndarray, *, epochs: int, batch_size: int) -> None:
    """Train as a TensorFlow tutorial does, with a compiled step."""
    model = lenet()
    optimizer = keras.optimizers.SGD(0.05, momentum=SGD["momentum"])
    decay = SGD["weight_decay"]

    @tf.function
    def step(inputs: tf.Tensor, targets: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, model(inputs, training=True))
            loss = tf.reduce_mean(losses)
        variables = [v.value for v in model.trainable_variables]
        gradients = tape.gradient(loss, variables)
        decayed = [g + decay * v for g, v in zip(gradients, variables, strict=True)]
        optimizer.apply(decayed, model.trainable_variables)

    rng = np.random.default_rng(0)
    for _ in range(epochs):
        for batch in np.split(rng.permutation(len(X)), len(X) // batch_size):
            step(X[batch], y[batch])


@cache
def images(settings: Settings) -> tuple[np.ndarray, ...]:
    """Return training and validation samples, channels last."""
    tf.config.threading.set_intra_op_parallelism_threads(settings.threads)
    data = dv.datasets.load_fashion_mnist(n_train=settings.pick(2000, 150), n_val=settings.pick(500, 20))
    X, X_val = (np.ascontiguousarray(each.transpose(0, 2, 3, 1)) for each in (data.X_train, data.X_val))
    return X, data.y_train, X_val, data.y_val


def plain(settings: Settings) -> Action:
    X, y, _, _ = images(settings)
    return lambda: plain_loop(X, y, epochs=settings.pick(10, 1), batch_size=50)


def fit_and_score(exact: bool, few_checkpoints: bool, settings: Settings) -> Action:
    X, y, X_val, y_val = images(settings)
    epochs = settings.pick(10, 1)
    few = dv.Checkpoints(every=round((epochs * len(X) / 50) ** 0.5)) if few_checkpoints else None
    training = dv.Training(optimizer=dv.SGD(learning_rate=0.05, **SGD), epochs=epochs, batch_size=50)

    def action() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dv.ChaoticTrainingWarning)  # only the cost matters here
            learner = dv.Learner(
                lenet(),
                training=training,
                checkpoints=few,
                device="cpu" if settings.device == "cpu" else "auto",
                progress=False,
            )
            dv.HyDRA(learner, hessian=exact).fit(X, y).score(X_val, y_val)

    return action


SUITE = Suite(
    "tensorflow",
    "HyDRA's fit and score with 500 validation images over a compiled loop of TensorFlow, tracing "
    "included in both: LeNet, 2,000 Fashion-MNIST images, batch 50, 10 epochs.",
    [
        Ratio(
            f"{'exact' if exact else 'Hessian-free'}{', checkpoints so few that the run is recomputed' * few}",
            partial(fit_and_score, exact, few),
            plain,
            unit="x compiled loop",
            repeats=3,
        )
        for few in (False, True)
        for exact in (False, True)
    ],
)

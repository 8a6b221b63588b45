"""Cost of HyDRA over plain training on TensorFlow: LeNet, 2,000 Fashion-MNIST images, batch 50, 20 epochs.

The plain loop is a Keras model, keras.optimizers.SGD and a compiled step (tf.function). ``fit`` + ``score`` is
timed as a whole, with 500 validation images, tracing included in both; also with checkpoints so scarce that the
run is recomputed.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from _common import interleaved, median_ratio, report
from keras import layers

import dataval as dv

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    data = dv.datasets.load_fashion_mnist(n_train=2000, n_val=500)
    X, X_val = (np.ascontiguousarray(each.transpose(0, 2, 3, 1)) for each in (data.X_train, data.X_val))
    epochs = arguments.epochs

    def hydra(hessian: bool, checkpoints: dv.Checkpoints | None = None) -> None:
        training = dv.Training(optimizer=dv.SGD(learning_rate=0.05, **SGD), epochs=epochs, batch_size=50)
        learner = dv.Learner(lenet(), training=training, checkpoints=checkpoints, progress=False)
        dv.HyDRA(learner, hessian=hessian).fit(X, data.y_train).score(X_val, data.y_val)

    few = dv.Checkpoints(every=round((epochs * len(X) / 50) ** 0.5))
    times = interleaved(
        {
            "plain": lambda: plain_loop(X, data.y_train, epochs=epochs, batch_size=50),
            "hessian_free": lambda: hydra(False),
            "exact": lambda: hydra(True),
            "hessian_free_few_checkpoints": lambda: hydra(False, few),
            "exact_few_checkpoints": lambda: hydra(True, few),
        },
        arguments.rounds,
    )
    ratios = {name: median_ratio(t, times["plain"]) for name, t in times.items()}
    report(
        "hydra_cost_tensorflow",
        {
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "epochs": epochs,
            "seconds": times,
            "median_ratio_to_plain_training": ratios,
        },
    )


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore", dv.ChaoticTrainingWarning)  # only the cost matters here
    main()

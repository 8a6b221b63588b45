"""The zoo in TensorFlow: Keras models for the same data, with the same functions as in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import keras
from keras import layers

from dataval_tensorflow.model.randomness import seeded
from tests.zoo.data import LENGTH, N_CLASSES, N_FEATURES, N_TOKENS

_SHIFTS = {"cnn_max_pool": 5}
"""Added to seeds, so that differences with steps of 1e-4 cross no kink of a ReLU and no tie of a maximum."""


def _seeded(build: Callable[[str], keras.Model]) -> Callable[..., keras.Model]:
    @wraps(build)
    def wrapped(dtype: str = "float64", seed: int = 0) -> keras.Model:
        with seeded(seed + _SHIFTS.get(build.__name__, 0)):
            model = build("float64")
            _move_biases(model)
            if dtype == "float64":
                return model
            other = build(dtype)
        other.set_weights([w.astype(dtype) for w in model.get_weights()])  # initialisers draw by dtype
        return other

    return wrapped


def _move_biases(model: keras.Model) -> None:
    """Draw biases, as PyTorch does: from zeros, units on black pixels and Adam's root would start on a kink."""
    for variable in model.trainable_variables:
        if variable.path.endswith("/bias"):
            variable.assign(keras.random.uniform(variable.shape, -0.3, 0.3, dtype="float64"))


@_seeded
def softmax_regression(dtype: str) -> keras.Model:
    return keras.Sequential([_features(dtype), layers.Dense(N_CLASSES, dtype=dtype)])


@_seeded
def mlp(dtype: str) -> keras.Model:
    return keras.Sequential(
        [
            _features(dtype),
            layers.Dense(8, dtype=dtype),
            layers.Activation("tanh", dtype=dtype),
            layers.Dense(N_CLASSES, dtype=dtype),
        ]
    )


@_seeded
def deep_linear(dtype: str) -> keras.Model:
    return keras.Sequential(
        [_features(dtype), layers.Dense(4, dtype=dtype), layers.Dense(N_CLASSES, dtype=dtype)]
    )


@_seeded
def layer_norm(dtype: str) -> keras.Model:
    return keras.Sequential(
        [
            _features(dtype),
            layers.Dense(8, dtype=dtype),
            layers.LayerNormalization(epsilon=1e-5, dtype=dtype),
            _gelu(dtype),
            layers.Dense(N_CLASSES, dtype=dtype),
        ]
    )


@_seeded
def dropout(dtype: str) -> keras.Model:
    return keras.Sequential(
        [
            _features(dtype),
            layers.Dense(16, dtype=dtype),
            layers.Activation("tanh", dtype=dtype),
            layers.Dropout(0.3, dtype=dtype),
            layers.Dense(N_CLASSES, dtype=dtype),
        ]
    )


@_seeded
def cnn_max_pool(dtype: str) -> keras.Model:
    return keras.Sequential(
        [
            *_images(dtype),
            layers.Conv2D(4, 3, padding="same", bias_initializer="random_normal", dtype=dtype),
            layers.ReLU(dtype=dtype),
            layers.MaxPooling2D(2, dtype=dtype),
            layers.Conv2D(4, 3, bias_initializer="random_normal", dtype=dtype),
            layers.ReLU(dtype=dtype),
            layers.Flatten(dtype=dtype),
            layers.Dense(N_CLASSES, dtype=dtype),
        ]
    )


@_seeded
def cnn_batch_norm(dtype: str) -> keras.Model:
    return keras.Sequential(
        [
            *_images(dtype),
            layers.Conv2D(4, 3, padding="same", use_bias=False, dtype=dtype),
            layers.BatchNormalization(momentum=0.9, epsilon=1e-5, dtype=dtype),
            _gelu(dtype),
            layers.AveragePooling2D(2, dtype=dtype),
            layers.Flatten(dtype=dtype),
            layers.Dense(N_CLASSES, dtype=dtype),
        ]
    )


@_seeded
def transformer(dtype: str) -> keras.Model:
    """Embedding, one encoder layer (normalised after each part), mean over the sequence."""
    inputs = keras.Input((LENGTH,), dtype="int64")
    x = layers.Embedding(N_TOKENS, 8, dtype=dtype)(inputs)
    positions = keras.ops.cumsum(keras.ops.ones_like(inputs), axis=1) - 1
    x = layers.Add(dtype=dtype)([x, layers.Embedding(LENGTH, 8, dtype=dtype)(positions)])
    attended = layers.MultiHeadAttention(2, 4, dtype=dtype)(x, x)
    x = layers.LayerNormalization(epsilon=1e-5, dtype=dtype)(x + attended)
    hidden = _gelu(dtype)(layers.Dense(16, dtype=dtype)(x))
    x = layers.LayerNormalization(epsilon=1e-5, dtype=dtype)(x + layers.Dense(8, dtype=dtype)(hidden))
    pooled = layers.GlobalAveragePooling1D(dtype=dtype)(x)
    return keras.Model(inputs, layers.Dense(N_CLASSES, dtype=dtype)(pooled))


@_seeded
def lstm(dtype: str) -> keras.Model:
    """Embedding, LSTM, last hidden state."""
    return keras.Sequential(
        [
            keras.Input((LENGTH,), dtype="int64"),
            layers.Embedding(N_TOKENS, 6, dtype=dtype),
            layers.LSTM(7, unroll=True, dtype=dtype),
            layers.Dense(N_CLASSES, dtype=dtype),
        ]
    )


def _features(dtype: str) -> object:
    return keras.Input((N_FEATURES,), dtype=dtype)


def _images(dtype: str) -> list[object]:
    """Images with the channels first, as the data have them, turned for TensorFlow."""
    return [keras.Input((1, 8, 8), dtype=dtype), layers.Permute((2, 3, 1), dtype=dtype)]


def exact_gelu(x: object) -> object:
    """GELU to the last digit: TensorFlow's own rounds the root of 2 to float32."""
    return 0.5 * x * (1 + keras.ops.erf(x * 0.5**0.5))


def _gelu(dtype: str) -> keras.Layer:
    return layers.Activation(exact_gelu, dtype=dtype)

"""Which labels of a real data set are wrong, and how far can the values be trusted?

Flips 20 % of the training labels of scikit-learn's digits (or of Fashion-MNIST), trains a small CNN, values
every training sample with both variants of HyDRA, and compares what they find with two baselines. Then it
retrains without random samples to see how well the values predicted the outcome. Writes a figure into
``results/``.

    python examples/noisy_labels.py
    python examples/noisy_labels.py --dataset fashion-mnist
    python examples/noisy_labels.py --backend tensorflow
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import dataval as dv
from dataval.plotting import NoiseDetectionDisplay, SampleGalleryDisplay

FLIPPED = 0.2


def torch_cnn(channels: tuple[int, int], kernel: int, hidden: tuple[int, ...]) -> Any:
    """Build a CNN of PyTorch for grey images; smooth activations and pooling keep training predictable."""
    import torch
    from torch import nn

    torch.set_num_threads(min(2, torch.get_num_threads()))
    layers: list[nn.Module] = []
    for n, padding in zip(channels, ("same", "same" if kernel == 3 else "valid"), strict=True):
        layers += [nn.LazyConv2d(n, kernel, padding=padding), nn.GELU(), nn.AvgPool2d(2)]
    layers.append(nn.Flatten())
    for n in hidden:
        layers += [nn.LazyLinear(n), nn.GELU()]
    model = nn.Sequential(*layers, nn.LazyLinear(10))
    model(torch.zeros(1, 1, *((8, 8) if kernel == 3 else (28, 28))))
    return model


def keras_cnn(channels: tuple[int, int], kernel: int, hidden: tuple[int, ...]) -> Any:
    """Build the same CNN of Keras, for images with the channels first."""
    import keras
    from keras import layers

    model = keras.Sequential(
        [keras.Input((1, 8, 8) if kernel == 3 else (1, 28, 28)), layers.Permute((2, 3, 1))]
    )
    for n, padding in zip(channels, ("same", "same" if kernel == 3 else "valid"), strict=True):
        model.add(layers.Conv2D(n, kernel, padding=padding, activation="gelu"))
        model.add(layers.AveragePooling2D(2))
    model.add(layers.Flatten())
    for n in hidden:
        model.add(layers.Dense(n, activation="gelu"))
    model.add(layers.Dense(10))
    return model


def load(name: str, backend: str) -> tuple[dv.datasets.Dataset, Callable[[], Any], dv.Training]:
    """Return a data set with a model and a training configuration for it."""
    if name == "digits":
        data = dv.datasets.load_digits(n_val=500)
        rate, epochs, sizes = 0.1, 15, ((16, 32), 3, ())
    else:
        data = dv.datasets.load_fashion_mnist(n_train=1000, n_val=1000)
        rate, epochs, sizes = 0.02, 10, ((6, 16), 5, (120, 84))  # LeNet-5
    optimizer = dv.SGD(learning_rate=rate, momentum=0.9, weight_decay=5e-4)
    make = {"torch": torch_cnn, "tensorflow": keras_cnn}[backend]
    return data, lambda: make(*sizes), dv.Training(optimizer=optimizer, epochs=epochs, batch_size=50)


def timed(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> tuple[Any, float]:
    """Call a function and return its result with the seconds it took."""
    start = perf_counter()
    return function(*arguments, **keywords), perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", choices=["digits", "fashion-mnist"], default="digits")
    parser.add_argument("--backend", choices=["torch", "tensorflow"], default="torch")
    parser.add_argument("--subsets", type=int, default=40, help="retrainings that verify the values")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder for the figure")
    arguments = parser.parse_args()

    data, build, training = load(arguments.dataset, arguments.backend)
    y, is_noisy = dv.noise.flip_labels(data.y_train, FLIPPED, seed=0)
    learner = dv.Learner(build, loss="cross_entropy", training=training, backend=arguments.backend)
    run, training_seconds = timed(learner.train, data.X_train, y)
    print(
        f"{data.name}: {len(y)} training samples, {is_noisy.sum()} labels flipped; "
        f"trained in {training_seconds:.1f} s"
    )

    methods = {
        "HyDRA": dv.HyDRA(learner),
        "HyDRA, exact": dv.HyDRA(learner, hessian=True),
        "mean loss": dv.MeanLoss(learner),
        "random values": dv.RandomValues(learner),
    }
    values = {}
    print(f"\n{'method':14} {'AUROC':>6} {'avg. precision':>15} {'seconds':>8} {'/ training':>11}")
    for name, method in methods.items():
        method.fit(data.X_train, y, run=run)
        values[name], seconds = timed(method.score, data.X_val, data.y_val)
        found = dv.evaluation.noise_detection(values[name], is_noisy, n_bootstrap=0)
        print(
            f"{name:14} {found.auroc.value:6.3f} {found.average_precision.value:15.3f} "
            f"{seconds:8.2f} {seconds / training_seconds:11.2f}"
        )

    print("\nDo the values predict retraining?")
    with tempfile.TemporaryDirectory() as folder:  # both variants are judged by the same retrainings
        for name in ("HyDRA, exact", "HyDRA"):
            result = methods[name].verify(
                data.X_val,
                data.y_val,
                values=values[name],
                n_subsets=arguments.subsets,
                folder=folder,
            )
            print(f"{name:14} {result}")

    path = save_figure(data, y, values, is_noisy, arguments.out)
    print(f"\nThe most suspicious images and the detection curves: {path}")


def save_figure(
    data: dv.datasets.Dataset,
    given: np.ndarray,
    values: dict[str, np.ndarray],
    is_noisy: np.ndarray,
    folder: Path,
) -> Path:
    """Draw the samples of lowest value beside the detection curves."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.6), width_ratios=(1.15, 1), layout="constrained")
    SampleGalleryDisplay.from_values(
        data.X_train,
        values["HyDRA"],
        given,
        data.y_train,
        class_names=data.class_names,
        columns=6,
        n=24,
        ax=left,
    )
    NoiseDetectionDisplay.from_values(values, is_noisy, ax=right)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"noisy_labels_{data.name}.png"
    figure.savefig(path, dpi=160)
    return path


if __name__ == "__main__":
    main()

"""The work that is timed: models, data, and the plain loops that everything is held against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

import dataval as dv
from benchmarks.runner.settings import Settings

SGD = {"momentum": 0.9, "weight_decay": 5e-4}


class LeNet(nn.Sequential):
    """LeNet-5 for images (1, 28, 28); `after` makes layers that follow the first convolution."""

    def __init__(
        self,
        activation: type[nn.Module] = nn.ReLU,
        pool: type[nn.Module] = nn.MaxPool2d,
        after: Callable[[], Sequence[nn.Module]] = tuple,
    ) -> None:
        super().__init__(
            nn.Conv2d(1, 6, 5, padding=2),
            *after(),
            activation(),
            pool(2),
            nn.Conv2d(6, 16, 5),
            activation(),
            pool(2),
            nn.Flatten(),
            nn.Linear(400, 120),
            activation(),
            nn.Linear(120, 84),
            activation(),
            nn.Linear(84, 10),
        )


def lenet() -> nn.Module:
    """LeNet-5 as in papers: ReLU and max-pooling."""
    return LeNet()


def smooth_lenet() -> nn.Module:
    """LeNet-5 with GELU and average pooling."""
    return LeNet(nn.GELU, nn.AvgPool2d)


def normalised_lenet() -> nn.Module:
    """LeNet-5 with batch normalisation after the first convolution."""
    return LeNet(after=lambda: [nn.BatchNorm2d(6)])


def dropped_lenet() -> nn.Module:
    """LeNet-5 with dropout after the first convolution."""
    return LeNet(after=lambda: [nn.Dropout(0.1)])


def mlp(*widths: int) -> nn.Module:
    """Return a perceptron with ReLU; the first width is that of the inputs, the last that of the outputs."""
    pairs = list(pairwise(widths))
    layers = [layer for pair in pairs for layer in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *layers[:-1])


def softmax_regression() -> nn.Module:
    """Softmax regression on images of 784 pixels."""
    return mlp(784, 10)


@dataclass(frozen=True)
class Optimizer:
    """One optimizer in PyTorch's words and in ours."""

    ours: Any
    plain: Callable[[Any], torch.optim.Optimizer]
    clip_norm: float | None = None


def sgd(rate: float = 0.05, momentum: float = 0.9, weight_decay: float = 5e-4) -> Optimizer:
    """Return stochastic gradient descent."""
    options = {"momentum": momentum, "weight_decay": weight_decay}
    return Optimizer(
        dv.SGD(learning_rate=rate, **options),
        partial(torch.optim.SGD, lr=rate, momentum=momentum, weight_decay=weight_decay),
    )


def adamw(rate: float = 1e-3, weight_decay: float = 0.01, clip_norm: float | None = 1.0) -> Optimizer:
    """Return AdamW, with the gradient clipped."""
    return Optimizer(
        dv.AdamW(learning_rate=rate, weight_decay=weight_decay),
        partial(torch.optim.AdamW, lr=rate, weight_decay=weight_decay),
        clip_norm,
    )


@dataclass(frozen=True)
class Work:
    """One training: the same model, data and batches for a plain loop, for us and for peers.

    Attributes
    ----------
    build : callable
        Makes the model.
    data : Dataset
    optimizer : Optimizer
    epochs, batch_size, seed : int
    device : str
    """

    build: Callable[[], nn.Module]
    data: dv.datasets.Dataset
    optimizer: Optimizer
    epochs: int
    batch_size: int = 50
    seed: int = 0
    device: str = "cpu"

    @property
    def X(self) -> np.ndarray:  # noqa: N802 - as everywhere
        """The training inputs."""
        return self.data.X_train

    @property
    def y(self) -> np.ndarray:
        """The training labels."""
        return self.data.y_train

    def model(self) -> nn.Module:
        """Return the model before training, the same every time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return self.build().to(self.device)

    def learner(self, **options: Any) -> dv.Learner:
        """Return the learner that trains it."""
        training = dv.Training(
            optimizer=self.optimizer.ours,
            clip_norm=self.optimizer.clip_norm,
            epochs=self.epochs,
            batch_size=self.batch_size,
            seed=self.seed,
        )
        return dv.Learner(self.model(), training=training, device=self.device, **{"progress": False} | options)

    def train(self) -> dv.TrainingRun:
        """Train and record."""
        return self.learner().train(self.X, self.y)

    def plain(self) -> nn.Module:
        """Train as a PyTorch tutorial does, and return the model."""
        model = self.model()
        inputs, targets = torch.from_numpy(self.X).to(self.device), torch.from_numpy(self.y).to(self.device)
        optimizer = self.optimizer.plain(model.parameters())
        generator = torch.Generator().manual_seed(self.seed)
        model.train()
        for _ in range(self.epochs):
            for batch in (
                torch.randperm(len(inputs), generator=generator).to(self.device).split(self.batch_size)
            ):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(inputs[batch]), targets[batch]).backward()
                if self.optimizer.clip_norm is not None:
                    nn.utils.clip_grad_norm_(model.parameters(), self.optimizer.clip_norm)
                optimizer.step()
        return model

    def validation(self, n: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the first n validation samples."""
        return self.data.X_val[:n], self.data.y_val[:n]

    def but(self, **changes: Any) -> Work:
        """Return the same with something else."""
        return replace(self, **changes)


@cache
def fashion(n_train: int, n_val: int, seed: int = 0) -> dv.datasets.Dataset:
    """Return images of Fashion-MNIST."""
    return dv.datasets.load_fashion_mnist(n_train=n_train, n_val=n_val, seed=seed)


def lenet_work(
    settings: Settings,
    build: Callable[[], nn.Module] = lenet,
    optimizer: Optimizer | None = None,
    *,
    epochs: int = 5,
    n_train: int = 2000,
    n_val: int = 1000,
) -> Work:
    """Return what most suites time: a LeNet on 2,000 images of Fashion-MNIST in batches of 50."""
    data = fashion(settings.pick(n_train, 150), settings.pick(n_val, 40))
    return Work(build, data, optimizer or sgd(), epochs=settings.pick(epochs, 1), device=settings.device)

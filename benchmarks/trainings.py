"""The trainings whose fidelity is measured: six models where training works, and one as it often is begun."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

import dataval as dv
from benchmarks.work import lenet, mlp, smooth_lenet, softmax_regression

__all__ = ["TRAININGS", "TrainingCase"]


def he(build: Callable[[], nn.Module]) -> nn.Module:
    """Return a model whose convolutions and linear layers start as He et al. (2015) say, with biases of 0."""
    model = build()
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return model


def perceptron() -> nn.Module:
    """Return dattri's perceptron for images of 784 pixels, ReLU."""
    return mlp(784, 128, 64, 10)


def normalised_cnn() -> nn.Module:
    """Return the smooth LeNet-5, its convolutions followed by GroupNorm and its hidden layers by LayerNorm."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.GroupNorm(2, 6), nn.GELU(), nn.AvgPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.GroupNorm(4, 16), nn.GELU(), nn.AvgPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.LayerNorm(120), nn.GELU()),
        *(nn.Linear(120, 84), nn.LayerNorm(84), nn.GELU(), nn.Linear(84, 10)),
    )


class Block(nn.Module):
    """A block of a transformer that normalises before its parts."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.mix, self.out = (
            nn.LayerNorm(width),
            nn.Linear(width, 3 * width),
            nn.Linear(width, width),
        )
        self.between, self.wide = nn.LayerNorm(width), nn.Linear(width, 2 * width)
        self.narrow = nn.Linear(2 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        parts = self.mix(self.before(tokens)).unflatten(-1, (3, self.heads, -1))
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)
        attention = (queries @ keys.transpose(-1, -2) * queries.shape[-1] ** -0.5).softmax(dim=-1)
        tokens = tokens + self.out((attention @ values).transpose(1, 2).flatten(-2))
        return tokens + self.narrow(nn.functional.gelu(self.wide(self.between(tokens))))


class Transformer(nn.Module):
    """One block on an image's pairs of rows as 14 tokens; the mean of the tokens is classified."""

    def __init__(self, width: int = 32, heads: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Linear(56, width)
        self.positions = nn.Parameter(0.02 * torch.randn(14, width))
        self.block, self.norm, self.head = Block(width, heads), nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.embedding(images.flatten(1).unflatten(1, (14, 56))) + self.positions
        return self.head(self.norm(self.block(tokens)).mean(dim=1))


@dataclass(frozen=True)
class TrainingCase:
    """A model and how it is trained.

    Attributes
    ----------
    build : callable
        Makes the model.
    optimizer : Optimizer
    schedule : Schedule
    """

    build: Callable[[], nn.Module]
    optimizer: dv.SGD
    schedule: dv.CosineSchedule | dv.ConstantSchedule

    def learner(self, epochs: int, seed: int, device: str = "cpu") -> dv.Learner:
        """Return the learner that trains it in batches of 50."""
        training = dv.Training(
            optimizer=self.optimizer, schedule=self.schedule, epochs=epochs, batch_size=50, seed=seed
        )
        return dv.Learner(self.build, training=training, device=device, progress=False)


def _smooth(build: Callable[[], nn.Module], rate: float = 0.02) -> TrainingCase:
    """Return what makes training smooth: He's initialisation, momentum 1/2, a rate that falls to 0."""
    optimizer = dv.SGD(learning_rate=rate, momentum=0.5, weight_decay=5e-4)
    return TrainingCase(build, optimizer, dv.CosineSchedule())


TRAININGS = {
    "softmax regression": _smooth(partial(he, softmax_regression)),
    "MLP": _smooth(partial(he, perceptron)),
    "smooth CNN": _smooth(partial(he, smooth_lenet)),
    "ReLU and max-pooling CNN": _smooth(partial(he, lenet)),
    "normalised CNN": _smooth(partial(he, normalised_cnn)),
    "transformer": _smooth(Transformer, 0.1),
    "smooth CNN, raw": TrainingCase(
        smooth_lenet, dv.SGD(learning_rate=0.02, momentum=0.9, weight_decay=5e-4), dv.ConstantSchedule()
    ),
}
"""By name. The last is the smooth CNN under PyTorch's initialisation, momentum 0.9 and a constant rate."""

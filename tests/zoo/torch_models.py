"""The zoo in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import torch
from torch import Tensor, nn

from tests.zoo.data import LENGTH, N_CLASSES, N_FEATURES, N_TOKENS


def _seeded(build: Callable[[], nn.Module]) -> Callable[..., nn.Module]:
    @wraps(build)
    def wrapped(dtype: str = "float64", seed: int = 0) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return build().to(getattr(torch, dtype))

    return wrapped


@_seeded
def softmax_regression() -> nn.Module:
    return nn.Linear(N_FEATURES, N_CLASSES)


@_seeded
def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(N_FEATURES, 8), nn.Tanh(), nn.Linear(8, N_CLASSES))


@_seeded
def deep_linear() -> nn.Module:
    return nn.Sequential(nn.Linear(N_FEATURES, 4), nn.Linear(4, N_CLASSES))


@_seeded
def layer_norm() -> nn.Module:
    return nn.Sequential(nn.Linear(N_FEATURES, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, N_CLASSES))


@_seeded
def dropout() -> nn.Module:
    return nn.Sequential(nn.Linear(N_FEATURES, 16), nn.Tanh(), nn.Dropout(0.3), nn.Linear(16, N_CLASSES))


@_seeded
def cnn_max_pool() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16, N_CLASSES),
    )


@_seeded
def cnn_batch_norm() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.GELU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(64, N_CLASSES),
    )


class Transformer(nn.Module):
    """Embedding, one encoder layer, mean over the sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(N_TOKENS, 8)
        self.positions = nn.Parameter(0.1 * torch.randn(LENGTH, 8))
        self.encoder = nn.TransformerEncoderLayer(
            8, nhead=2, dim_feedforward=16, dropout=0.0, activation="gelu", batch_first=True
        )
        self.head = nn.Linear(8, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.tokens(x) + self.positions).mean(dim=1))


@_seeded
def transformer() -> nn.Module:
    return Transformer()


class Recurrent(nn.Module):
    """Embedding, LSTM, last hidden state."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(N_TOKENS, 6)
        self.lstm = nn.LSTM(6, 7, batch_first=True)
        self.head = nn.Linear(7, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(self.tokens(x))[0][:, -1])


@_seeded
def lstm() -> nn.Module:
    return Recurrent()

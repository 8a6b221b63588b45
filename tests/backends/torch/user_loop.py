"""A training script as users write them, once as it is and once with the recorder's lines in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import dataval as dv
from dataval_torch import Recorder

N, STEP = 22, 1e-4
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(N, 5)), RNG.integers(0, 3, N)
X_VAL, Y_VAL = RNG.normal(size=(8, 5)), RNG.integers(0, 3, 8)
SAMPLES = [0, 3, 7, 11, 21]


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3))


def decayed_weights(model: nn.Module) -> list[dict[str, Any]]:
    named = dict(model.named_parameters())
    return [
        {"params": [p for p in named.values() if p.ndim > 1], "weight_decay": 0.05},
        {"params": [p for p in named.values() if p.ndim <= 1], "weight_decay": 0.0, "lr": 0.01},
    ]


@dataclass(frozen=True)
class Script:
    """A loop: AdamW with groups under OneCycle over shuffled batches of which the last is short."""

    build: Callable[[], nn.Module] = mlp
    optimizer: Callable[[Any], torch.optim.Optimizer] = lambda groups: torch.optim.AdamW(groups, lr=0.02)
    peaks: tuple[float, float] | None = (0.03, 0.02)
    accumulate: int = 1
    clip_norm: float | None = None
    class_weights: tuple[float, ...] | None = None
    epochs: int = 3
    each: Callable[..., None] = field(default=lambda **_: None)
    dtype: torch.dtype = torch.float64
    options: dict[str, Any] = field(default_factory=dict)

    def run(self, weights: np.ndarray | None = None, recorder: bool = False) -> tuple[Any, Any, Any]:
        """Return the trained model, the recorder and its run (None without)."""
        torch.manual_seed(3)
        model = self.build().to(self.dtype)
        x, y = torch.tensor(X, dtype=self.dtype), torch.tensor(Y)
        w = torch.ones(N, dtype=self.dtype) if weights is None else torch.tensor(weights, dtype=self.dtype)
        loader = DataLoader(TensorDataset(x, y), 6, shuffle=True, generator=torch.Generator().manual_seed(1))
        known = {(*row.tolist(),): w[i] for i, row in enumerate(x)}
        optimizer = self.optimizer(decayed_weights(model))
        schedule = self._schedule(optimizer, len(loader))
        rec = Recorder(model, optimizer, clip_norm=self.clip_norm, **self.options) if recorder else None
        n = 0
        for epoch in range(self.epochs):
            for xs, ys in rec.batches(loader) if rec else loader:
                of_batch = torch.stack([known[(*row.tolist(),)] for row in xs])
                (self._loss(model(xs), ys, of_batch) / self.accumulate).backward()
                n += 1
                if n % self.accumulate:
                    continue
                if self.clip_norm:
                    nn.utils.clip_grad_norm_(model.parameters(), self.clip_norm)
                self.each(model=model, optimizer=optimizer, step=n, epoch=epoch, moment="before")
                optimizer.step()
                self.each(model=model, optimizer=optimizer, step=n, epoch=epoch, moment="after", recorder=rec)
                if schedule:
                    schedule.step()
                optimizer.zero_grad()
        return model, rec, rec.finish() if rec else None

    def loss_after(self, weights: np.ndarray) -> float:
        """Return the mean validation loss of the script's model under weights of the samples."""
        model = self.run(weights)[0].eval()
        with torch.no_grad():
            outputs = model(torch.tensor(X_VAL, dtype=self.dtype))
        return float(nn.functional.cross_entropy(outputs, torch.tensor(Y_VAL)))

    def differences(self) -> np.ndarray:
        """Return minus the central differences of the validation loss in the weights of some samples."""
        moves = STEP * np.eye(N)[SAMPLES]
        return np.array([self.loss_after(1 - move) - self.loss_after(1 + move) for move in moves]) / (2 * STEP)

    def values(self, hessian: bool = True) -> np.ndarray:
        """Return HyDRA's values of the recorded script."""
        _, recorder, run = self.run(recorder=True)
        return dv.HyDRA(recorder.learner, hessian=hessian).fit(X, Y, run=run).score(X_VAL, Y_VAL)

    def _loss(self, outputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        losses = nn.functional.cross_entropy(outputs, targets, reduction="none")
        if self.class_weights is None:
            return (losses * weights).mean()
        of_class = torch.tensor(self.class_weights, dtype=outputs.dtype)[targets]
        return (losses * of_class * weights).sum() / of_class.sum()

    def _schedule(self, optimizer: Any, per_epoch: int) -> Any:
        if self.peaks is None:
            return None
        total = self.epochs * per_epoch + 1
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=list(self.peaks), total_steps=total)

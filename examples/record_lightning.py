"""Values through Lightning's Trainer: a callback and one line after it. About ten seconds."""

from __future__ import annotations

import sys

import lightning.pytorch as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import dataval as dv
import dataval_torch


class Classifier(pl.LightningModule):
    """An MLP on digits."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 10))

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> torch.Tensor:
        """Return the mean loss."""
        x, y = batch
        return nn.functional.cross_entropy(self.net(x), y)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW."""
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


data = dv.datasets.load_digits(n_train=600, n_val=500)
y, is_noisy = dv.noise.flip_labels(data.y_train, 0.2, seed=0)
dataset = TensorDataset(torch.tensor(data.X_train), torch.tensor(y))
recorder = dataval_torch.LightningRecorder(loss="cross_entropy")
trainer = pl.Trainer(
    max_epochs=2 if "--quick" in sys.argv else 10,
    callbacks=[recorder],
    gradient_clip_val=1.0,
    accelerator="cpu",
    logger=False,
    enable_checkpointing=False,
)
trainer.fit(Classifier(), DataLoader(dataset, batch_size=50, shuffle=True))
run = recorder.finish()

print(f"{run.n_steps} updates, {run.evidence.is_proved.sum()} of them proved: {run.evidence.grade}")
values = dv.HyDRA(recorder.learner).fit(dataset, run=run).score(data.X_val, data.y_val)
print(f"wrong among the 20 lowest: {is_noisy[values.argsort()[:20]].mean():.2f} (0.2 at random)")

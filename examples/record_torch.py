"""Values through a PyTorch loop of one's own: AdamW, OneCycle, clipping. About ten seconds."""

from __future__ import annotations

import sys

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import dataval as dv
import dataval_torch

epochs = 2 if "--quick" in sys.argv else 10
data = dv.datasets.load_digits(n_train=600, n_val=500)
y, is_noisy = dv.noise.flip_labels(data.y_train, 0.2, seed=0)
dataset = TensorDataset(torch.tensor(data.X_train), torch.tensor(y))
loader = DataLoader(dataset, batch_size=50, shuffle=True)
net = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 10))
optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=epochs * len(loader))

recorder = dataval_torch.Recorder(net, optimizer, loss="cross_entropy", clip_norm=1.0)
for _ in range(epochs):
    for x, target in recorder.batches(loader):
        nn.functional.cross_entropy(net(x), target).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
run = recorder.finish()

print(f"{run.n_steps} updates, {run.evidence.is_proved.sum()} of them proved: {run.evidence.grade}")
hydra = dv.HyDRA(recorder.learner).fit(dataset, run=run)
values = hydra.score(data.X_val, data.y_val)
print(f"wrong among the 20 lowest: {is_noisy[values.argsort()[:20]].mean():.2f} (0.2 at random)")
print(hydra.explain(data.X_val[:1], data.y_val[:1])[0])

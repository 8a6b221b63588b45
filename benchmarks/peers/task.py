"""What all peers are asked: the same trained model, training samples and questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset

import dataval as dv
from benchmarks.runner.settings import Settings
from benchmarks.work import Work, lenet_work, sgd, smooth_lenet

FLIPPED = 0.2
N_QUESTIONS = 100
RATE = 0.02

Prepare = Callable[["Task"], Callable[[], Any]]


@dataclass(frozen=True)
class Task:
    """A LeNet with GELU and average pooling, 2,000 images of which a fifth is mislabelled, 100 questions.

    Attributes
    ----------
    settings : Settings
    """

    settings: Settings

    @cached_property
    def work(self) -> Work:
        """The training, with flipped labels."""
        work = lenet_work(self.settings, smooth_lenet, sgd(RATE))
        y, _ = self._flipped(work)
        data = work.data
        noisy = dv.datasets.Dataset(data.X_train, y, data.X_val, data.y_val, data.class_names, data.name)
        return work.but(data=noisy)

    @cached_property
    def is_noisy(self) -> np.ndarray:
        """Which labels are wrong."""
        return self._flipped(lenet_work(self.settings, smooth_lenet))[1]

    @property
    def n_questions(self) -> int:
        """The number of validation samples that values are wanted for."""
        return min(N_QUESTIONS, len(self.work.data.X_val))

    @cached_property
    def run(self) -> dv.TrainingRun:
        """The recorded training."""
        return self.work.train()

    @cached_property
    def models(self) -> list[nn.Module]:
        """The model after every epoch, in evaluation mode; the last one is the trained model."""
        replay = self.work.learner().replay(self.work.X, self.work.y, self.run)
        per_epoch = self.run.n_steps // self.work.epochs
        states = [replay.at(per_epoch * epoch) for epoch in range(1, self.work.epochs + 1)]
        return [replay.program.backend.export(each.parameters, each.buffers).eval() for each in states]

    @property
    def model(self) -> nn.Module:
        """The trained model."""
        return self.models[-1]

    @cached_property
    def train_set(self) -> TensorDataset:
        """The training samples, on the device."""
        return self._as_set(self.work.X, self.work.y)

    @cached_property
    def questions(self) -> TensorDataset:
        """The validation samples, on the device."""
        return self._as_set(*self.work.validation(self.n_questions))

    def _as_set(self, X: np.ndarray, y: np.ndarray) -> TensorDataset:
        return TensorDataset(*(torch.from_numpy(each).to(self.work.device) for each in (X, y)))

    def _flipped(self, work: Work) -> tuple[np.ndarray, np.ndarray]:
        return dv.noise.flip_labels(work.data.y_train, FLIPPED, seed=0)


def as_matrix(scores: Any) -> np.ndarray:
    """Return a tensor (questions, training samples) as float64."""
    return np.asarray(scores.detach().cpu().double().numpy())

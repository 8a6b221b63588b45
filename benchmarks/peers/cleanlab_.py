"""cleanlab: label quality from held-out probabilities of the same model, trained on five folds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from cleanlab.rank import get_label_quality_scores
from sklearn.model_selection import StratifiedKFold

import dataval as dv
from benchmarks.peers.task import Task

DISTRIBUTION = "cleanlab"
N_FOLDS = 5


def held_out(task: Task) -> np.ndarray:
    """Return every sample's probabilities by the model that wasn't trained on it."""
    work, data = task.work, task.work.data
    probabilities = np.zeros((len(work.X), data.n_classes))
    for train, test in StratifiedKFold(N_FOLDS, shuffle=True, random_state=0).split(work.X, work.y):
        part = dv.datasets.Dataset(
            work.X[train], work.y[train], data.X_val, data.y_val, data.class_names, data.name
        )
        model = work.but(data=part).plain().eval()
        with torch.no_grad():
            outputs = model(torch.from_numpy(work.X[test]).to(work.device))
        probabilities[test] = torch.softmax(outputs.double(), dim=1).cpu().numpy()
    return probabilities


def quality(method: str) -> Callable[[Task], Callable[[], Any]]:
    def prepare(task: Task) -> Callable[[], Any]:
        return lambda: get_label_quality_scores(task.work.y, held_out(task), method=method)

    return prepare


METHODS = {
    "self-confidence, 5 folds": quality("self_confidence"),
    "normalised margin, 5 folds": quality("normalized_margin"),
}

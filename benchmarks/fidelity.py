"""How well values predict retraining, validation sample by validation sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import dataval as dv
from dataval.backend.registry import framework_settings
from dataval.data import as_data
from dataval.metrics.statistics import ranks
from dataval.objectives.utility import SampleObjectives
from dataval.objectives.validation import ValidationObjective
from dataval.retraining.retrain import retrain
from dataval.retraining.subsets import draw_subsets

FloatArray = NDArray[np.float64]


@framework_settings()
def retrained_losses(
    learner: dv.Learner,
    run: dv.TrainingRun,
    data: dv.datasets.Dataset,
    removed: NDArray[np.bool_],
    n_val: int | None = None,
) -> FloatArray:
    """Return by how much every validation loss rose without each subset, shape (n_subsets, n_val)."""
    replay = learner.replay(data.X_train, data.y_train, run)
    validation = as_data(data.X_val[:n_val], data.y_val[:n_val], "validation")
    judge = SampleObjectives(ValidationObjective(replay.program.backend, validation, None))
    weights = np.concatenate([run.weights[None], run.weights * ~removed])
    found = retrain(replay.program, replay.initial, weights, judge, key="")
    return found[1:] - found[0]


def subsets(n: int, n_subsets: int, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Return which samples each subset removes, shape (n_subsets, n)."""
    return draw_subsets(n, n_subsets, fraction, seed)


def lds_by_sample(values: FloatArray, removed: NDArray[np.bool_], changes: FloatArray) -> FloatArray:
    """Return the linear datamodeling score of every validation sample.

    Parameters
    ----------
    values : ndarray, shape (n_val, N)
        As `attribute` gives them: higher helps.
    removed : ndarray of bool, shape (K, N)
    changes : ndarray, shape (K, n_val)
        By how much each loss rose without each subset.

    Returns
    -------
    ndarray, shape (n_val,)
        Spearman's correlation over the subsets; 0 where the values say nothing.
    """
    predicted, actual = ranks(values @ removed.T), ranks(changes.T)
    predicted = predicted - predicted.mean(axis=1, keepdims=True)
    actual = actual - actual.mean(axis=1, keepdims=True)
    scale = np.sqrt((predicted**2).sum(axis=1) * (actual**2).sum(axis=1))
    return np.where(scale > 0, (predicted * actual).sum(axis=1) / np.where(scale > 0, scale, 1.0), 0.0)

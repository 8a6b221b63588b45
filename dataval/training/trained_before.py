"""Telling a model that was trained before from one that is about to be trained, by its first losses."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dataval.backend.losses import describe_loss
from dataval.errors import TrainedModelWarning
from dataval.training.program import Program

__all__ = ["best_constant_loss", "warn_trained_before"]

_FEWEST = 10  # samples: what is untrained may fit a few of them by chance
_SHARE = 0.5  # of what the best constant prediction loses


def warn_trained_before(program: Program, losses: NDArray[np.floating], loss: str, stacklevel: int) -> None:
    """Warn if the losses before the first update are far below those of every constant prediction.

    Parameters
    ----------
    program : Program
        Of the run that begins.
    losses : ndarray, shape (n,)
        Of the samples of update 0, before it.
    loss : str
        As the run describes it; only those that have a name, without options, are judged.
    stacklevel : int
        Of the caller, as for `warnings.warn`.
    """
    batch = program.plan.batch(0)
    counted = np.isfinite(losses) & (program.weights[batch] > 0)
    if loss not in _CONSTANTS or counted.sum() < _FEWEST:
        return
    targets = program.data.take(batch[counted]).targets
    best = best_constant_loss(loss, targets) if isinstance(targets, np.ndarray) else None
    found = float(losses[counted].mean())
    if best is not None and found < _SHARE * best:
        warnings.warn(
            f"the model looks trained: before the first update its loss was {found:.2g}, that of the best "
            f"constant prediction is {best:.2g}. It is now trained further; to value the training that it had, "
            "take run = learner.adopt(X, y) and fit(X, y, run=run)",
            TrainedModelWarning,
            stacklevel=stacklevel + 1,
        )


def best_constant_loss(loss: str, targets: NDArray[np.generic]) -> float | None:
    """Return the mean loss of the constant prediction that is best for some targets.

    Parameters
    ----------
    loss : str
        As a run describes it.
    targets : ndarray, shape (n, ...)
        Of the samples.

    Returns
    -------
    float or None
        None for a loss without a name, or with options.
    """
    constant = _CONSTANTS.get(loss)
    return None if constant is None else constant(targets)


def _label_entropy(labels: NDArray[np.generic]) -> float:
    shares = np.unique(labels, return_counts=True)[1] / labels.size
    return float(-(shares * np.log(shares)).sum())


def _binary_entropy(targets: NDArray[np.generic]) -> float:
    """Return the cross-entropy of each output's mean, averaged over outputs."""
    means = targets.reshape(len(targets), -1).astype(np.float64).mean(axis=0)
    inside = means[(means > 0) & (means < 1)]
    return float(-(inside * np.log(inside) + (1 - inside) * np.log1p(-inside)).sum() / len(means))


def _variance(targets: NDArray[np.generic]) -> float:
    return float(targets.reshape(len(targets), -1).astype(np.float64).var(axis=0).mean())


_CONSTANTS: dict[str, Callable[[NDArray[np.generic]], float]] = {
    describe_loss("cross_entropy"): _label_entropy,
    describe_loss("binary_cross_entropy"): _binary_entropy,
    describe_loss("mse"): _variance,
}

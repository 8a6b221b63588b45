"""What removing random subsets really does: the ground truth that values are judged by."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataval.backend import ObjectiveFunction
from dataval.backend.losses import Loss
from dataval.backend.registry import framework_settings
from dataval.checks import described, folder_path, process_count, real_number, whole_number
from dataval.data import Samples, as_data
from dataval.metrics.fidelity import SubsetTruth
from dataval.objectives.utility import Utility, UtilityLike, make_utility
from dataval.retraining.retrain import retrain, retraining_key

if TYPE_CHECKING:
    from dataval.training.learner import Learner
    from dataval.training.replay import Replay
    from dataval.training.run import TrainingRun

__all__ = ["retrain_subsets", "retrain_subsets_of", "utility_key"]


@framework_settings()
def retrain_subsets(
    learner: Learner,
    X: Any,
    y: Any = None,
    X_val: Any = None,
    y_val: Any = None,
    *,
    run: TrainingRun | None = None,
    objective: ObjectiveFunction | None = None,
    utility: UtilityLike = "loss",
    n_subsets: int = 40,
    fraction: float = 0.01,
    removed: npt.NDArray[np.bool_] | None = None,
    seed: int = 0,
    n_jobs: int | None = None,
    group_size: int | None = None,
    folder: str | Path | None = None,
) -> SubsetTruth:
    """Train without random subsets, with the same initialisation, batches and random draws.

    Parameters
    ----------
    learner : Learner
        What is trained.
    X, y
        Training samples: arrays, or a data set in place of X, see `Learner.train`.
    X_val, y_val
        Validation samples.
    run : TrainingRun, optional
        The run that the values in question are about; subsets are then removed from what its weights leave.
        The learner's own training by default.
    objective : callable, optional
        What ``utility="loss"`` averages; the learner's loss by default.
    utility : str or callable, default "loss"
        What the retrained models are judged by: ``"loss"``, ``"accuracy"``, the name of a scikit-learn scorer,
        or a function (outputs, targets) -> number on NumPy arrays, where greater is better.
    n_subsets : int, default 40
        Number of retrainings K, at least 3.
    fraction : float, default 0.01
        Share of the training samples that each subset removes.
    removed : ndarray of bool, shape (K, N), optional
        Which samples each subset leaves out, in place of random ones: ``np.eye(N, dtype=bool)[chosen]`` leaves
        out one at a time.
    seed : int, default 0
        Draws the subsets.
    n_jobs : int, optional
        Processes that retrain in parallel; by default one, or what `joblib.parallel_config` says, such as all
        workers of a Dask cluster. Doesn't change the result.
    group_size : int, optional
        Retrainings done at once as one vectorised program; from the model's size by default, and with a folder
        at most 16, as an interruption loses those that are under way.
    folder : path, optional
        Where finished retrainings are kept and looked up, so that an interrupted call goes on where it stopped.

    Returns
    -------
    SubsetTruth

    Raises
    ------
    InvalidDataError, InvalidModelError, RunMismatchError
        As `Learner.train`.
    ValueError
        If a subset would be empty or everything, or there are fewer than three.
    """
    if not hasattr(learner, "prepare"):
        raise TypeError(f"learner must be a dataval.Learner, got {described(learner)}")
    replay = learner.prepare(X, y, run=run)
    return retrain_subsets_of(
        replay,
        as_data(X_val, y_val, "validation"),
        objective=objective,
        utility=utility,
        loss=learner.loss,
        n_subsets=n_subsets,
        fraction=fraction,
        removed=removed,
        seed=seed,
        n_jobs=n_jobs,
        group_size=group_size,
        folder=folder,
        progress=learner.progress,
    )


def retrain_subsets_of(
    replay: Replay,
    validation: Samples,
    *,
    objective: ObjectiveFunction | None = None,
    utility: UtilityLike = "loss",
    loss: Loss | None = None,
    n_subsets: int = 40,
    fraction: float = 0.01,
    removed: npt.NDArray[np.bool_] | None = None,
    seed: int = 0,
    n_jobs: int | None = None,
    group_size: int | None = None,
    folder: str | Path | None = None,
    progress: bool | None = None,
) -> SubsetTruth:
    """Do what `retrain_subsets` does, for a run that is joined with its program already."""
    n = replay.run.n_samples
    process_count("n_jobs", n_jobs)
    if group_size is not None:
        whole_number("group_size", group_size, minimum=1)
    removed = draw_subsets(n, n_subsets, fraction, seed) if removed is None else _checked(removed, n)
    base = replay.run.weights
    judge = make_utility(utility, replay.program.backend, validation, objective=objective, loss=loss)
    found = retrain(
        replay.program,
        replay.initial,
        np.concatenate([base[None], base * ~removed]),
        judge,
        key="" if folder is None else utility_key(replay, validation, judge),
        n_jobs=n_jobs,
        group_size=group_size,
        folder=folder_path("folder", folder),
        progress=progress,
    )
    changes = found[1:] - found[0]
    return SubsetTruth(removed, -changes if judge.greater_is_better else changes)


def draw_subsets(n_samples: int, n_subsets: int, fraction: float, seed: int) -> npt.NDArray[np.bool_]:
    """Draw the removed samples of every subset, shape (n_subsets, n_samples)."""
    whole_number("n_subsets", n_subsets)
    whole_number("seed", seed, minimum=0)
    size = round(real_number("fraction", fraction) * n_samples)
    if not 0 < size < n_samples:
        raise ValueError(
            f"fraction={fraction} removes {size} of {n_samples} samples: choose one that removes at least one "
            "and keeps at least one"
        )
    if n_subsets < 3:
        raise ValueError(f"a correlation needs at least 3 subsets, got n_subsets={n_subsets}")
    rng = np.random.default_rng([seed, 2])
    removed = np.zeros((n_subsets, n_samples), dtype=bool)
    for row in removed:
        row[rng.choice(n_samples, size, replace=False)] = True
    return removed


def _checked(removed: npt.NDArray[np.bool_], n_samples: int) -> npt.NDArray[np.bool_]:
    mask = np.asarray(removed)
    if mask.dtype != np.bool_ or mask.ndim != 2 or mask.shape[1] != n_samples or not len(mask):
        raise ValueError(
            f"removed must be a mask of shape (K, {n_samples}), got {mask.dtype} of shape {mask.shape}"
        )
    if mask.all(axis=1).any():
        raise ValueError("removed leaves nothing to train on: keep at least one sample of each subset")
    return mask


def utility_key(replay: Replay, validation: Samples, utility: Utility) -> str:
    """Return a name for retraining and for what is measured then.

    Raises
    ------
    UnknownIdentityError
        If a function holds what can't be read.
    """
    return retraining_key(replay, validation, utility.name, utility.function)

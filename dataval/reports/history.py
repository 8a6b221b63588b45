"""What a run adds: how it was trained, and each sample's loss over the epochs."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.checks import described
from dataval.reports.encoding import encoded
from dataval.training.run import TrainingRun

__all__ = ["check_run", "facts", "losses"]

_MOST_EPOCHS = 60
_LARGEST = float(np.finfo(np.float16).max)


def check_run(run: Any, n: int) -> TrainingRun | None:
    """Raise unless it is a run of `n` samples, or None."""
    if run is None:
        return None
    if not isinstance(run, TrainingRun):
        raise TypeError(f"run must be a TrainingRun, as learner.train returns it, got {described(run)}")
    if run.n_samples != n:
        raise ValueError(f"run was trained on {run.n_samples} samples, but there are {n} values")
    return run


def facts(run: TrainingRun | None) -> dict[str, str]:
    """Return what the head of the page says of a run."""
    if run is None:
        return {}
    training = run.training
    how = f"{type(training.optimizer).__name__}, {training.epochs} epochs of batches of {training.batch_size}"
    found = {
        "Training": f"{how}, {_loss(run.loss)}, seed {training.seed}",
        "Run": f"data {run.data_fingerprint[:12] or 'unknown'}, {run.n_completed} of {run.n_steps} updates",
    }
    return found | {"Trained with": ", ".join(f"{name} {version}" for name, version in run.environment.items())}


def _loss(text: str) -> str:
    """Return a loss without the options that it doesn't use."""
    try:
        options = json.loads(text)
    except ValueError:
        return text
    if not isinstance(options, dict):
        return text
    used = [f"{name} {each}" for name, each in options.items() if each and name != "name"]
    return ", ".join([str(options.get("name", "loss")).replace("_", " "), *used])


def losses(run: TrainingRun | None, shown: NDArray[np.int64], most_bytes: float) -> dict[str, Any] | None:
    """Return the losses over the epochs, of all samples if they fit, or of those that are shown."""
    if run is None or not len(run.losses):
        return None
    n_epochs = len(run.losses)
    epochs = np.unique(np.linspace(0, n_epochs - 1, min(n_epochs, _MOST_EPOCHS)).astype(np.int64))
    rows = np.arange(run.n_samples)
    if 2.7 * len(epochs) * len(rows) > most_bytes:
        rows = shown
    kept = run.losses[epochs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of epochs that saw no sample
        middle = np.nanmedian(kept, axis=1)
    short = np.clip(kept[:, rows].T, -_LARGEST, _LARGEST).astype(np.float16)
    return {
        "epochs": (epochs + 1).tolist(),
        "median": [round(each, 5) if np.isfinite(each) else None for each in middle.tolist()],
        "rows": None if len(rows) == run.n_samples else encoded(rows.astype(np.int32)),
        "losses": encoded(short),
    }

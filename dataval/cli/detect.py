"""``dataval detect``: the rows of a file whose labels look wrong."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Literal, TextIO

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import KFold

from dataval.cli.errors import UsageError
from dataval.cli.tables import Samples, read_samples
from dataval.data import as_data
from dataval.methods import MeanLoss
from dataval.objectives.validation import ValidationObjective
from dataval.progress import progress_bar
from dataval.training.config import Training
from dataval.training.learner import Learner
from dataval.training.optimizers import Adam
from dataval.zoo import named_model

__all__ = ["DetectMethod", "run_detect", "suspicion_values"]

FloatArray = npt.NDArray[np.float64]
DetectMethod = Literal["mean-loss", "held-out-loss"]

_FOLDS = 5
_FEWEST = 10
_SMALLEST_IMAGE = 4


def run_detect(
    path: Path,
    output: TextIO,
    *,
    label: str | None = None,
    method: DetectMethod = "mean-loss",
    model: str | None = None,
    epochs: int = 20,
    seed: int = 0,
    top: int | None = None,
) -> int:
    """Value every row of a file and write them as CSV, the most suspicious first.

    Parameters
    ----------
    path : Path
        ``.npz``, ``.csv`` or ``.parquet``: see `dataval.cli.tables.read_samples`.
    output : text stream
        Gets the columns ``rank`` (from 1), ``row`` (of the file, from 0, without the header), ``label`` and
        ``value``.
    label, method, model, epochs, seed
        As for `suspicion_values`; `label` names the column of labels.
    top : int, optional
        Write so many rows only.

    Returns
    -------
    int
        Number of rows written.

    Raises
    ------
    UsageError
        If the file can't be used.
    """
    samples = read_samples(path, label)
    if len(samples.y) < _FEWEST:
        raise UsageError(f"{path} holds {len(samples.y)} samples: at least {_FEWEST} are needed")
    values = suspicion_values(samples, method=method, model=model, epochs=epochs, seed=seed)
    order = np.argsort(values, kind="stable")[:top]
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(["rank", "row", "label", "value"])
    for rank, row in enumerate(order.tolist(), 1):
        writer.writerow([rank, row, samples.classes[samples.y[row]], f"{values[row]:.6g}"])
    return len(order)


def suspicion_values(
    samples: Samples,
    *,
    method: DetectMethod = "mean-loss",
    model: str | None = None,
    epochs: int = 20,
    seed: int = 0,
) -> FloatArray:
    """Return one value a sample: the lower, the more its label looks wrong.

    Parameters
    ----------
    samples : Samples
        What `read_samples` returned.
    method : {"mean-loss", "held-out-loss"}, default "mean-loss"
        Minus a sample's mean loss while a model is trained on all; or minus its loss under a model that was
        trained on the other four fifths. Neither needs clean validation data, as methods do that measure what a
        sample does to validation samples: a held-out fifth of the file has labels as wrong as the rest.
    model : str, optional
        One of `dataval.zoo.MODELS`; ``"cnn"`` for images and ``"mlp"`` otherwise by default.
    epochs : int, default 20
        Passes over the samples.
    seed : int, default 0
        Seeds initialisation, batches and folds.

    Returns
    -------
    ndarray of float64, shape (n,)

    Raises
    ------
    UsageError
        If the model doesn't take the samples.
    """
    learner = _learner(samples, model, epochs, seed)
    if method == "mean-loss":
        return MeanLoss(learner).fit(samples.X, samples.y).score(samples.X[:1], samples.y[:1])
    values = np.empty(len(samples.y))
    folds = list(KFold(_FOLDS, shuffle=True, random_state=seed).split(samples.X))
    with progress_bar("folds", len(folds), None) as bar:
        for train, held_out in folds:
            run = learner.train(samples.X[train], samples.y[train])
            replay = learner.replay(samples.X[train], samples.y[train], run)
            data = as_data(samples.X[held_out], samples.y[held_out], "held-out")
            values[held_out] = -ValidationObjective(replay.program.backend, data, None).values(replay.final)
            bar.update()
    return values


def _learner(samples: Samples, model: str | None, epochs: int, seed: int) -> Learner:
    shape = samples.X.shape[1:]
    default = "cnn" if len(shape) == 3 and min(shape[1:]) >= _SMALLEST_IMAGE else "mlp"
    try:
        build, backend = named_model(model or default, shape, len(samples.classes))
    except (ValueError, ImportError) as error:
        raise UsageError(str(error)) from error
    training = Training(
        optimizer=Adam(learning_rate=4e-3),
        epochs=epochs,
        batch_size=min(32, max(1, len(samples.y) // 8)),
        clip_norm=5.0,
        seed=seed,
    )
    return Learner(build, training=training, backend=backend)

"""How wrong each sample's label looks to networks that are trained on it, or have not seen it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax
from sklearn.model_selection import KFold

from dataval.cli.choices import DetectMethod
from dataval.cli.errors import UsageError
from dataval.cli.samples import Samples
from dataval.cli.suspicion import Suspicion
from dataval.data import as_data
from dataval.labels.calibration import of_labels
from dataval.labels.residuals import probability_outlying
from dataval.labels.transition import fit_noise
from dataval.methods import MeanLoss
from dataval.objectives.validation import CHUNK_SIZE, ValidationObjective
from dataval.progress import progress_bar
from dataval.training.config import Training
from dataval.training.learner import Learner
from dataval.training.optimizers import Adam
from dataval.training.recording import carry_out
from dataval.training.replay import Replay
from dataval.zoo import named_model

__all__ = ["make_learner", "network_suspicion"]

FloatArray = npt.NDArray[np.float64]

_FOLDS = 5
_SMALLEST_IMAGE = 4


@dataclass(frozen=True, eq=False)
class _HeldOut:
    """What models said of samples that they had not been trained on.

    Attributes
    ----------
    losses : ndarray of float64, shape (n,)
    outputs : ndarray of float64, shape (n, n_outputs)
        Logits of the classes; or the number to predict, standardised.
    """

    losses: FloatArray
    outputs: FloatArray


def make_learner(samples: Samples, model: str | None, epochs: int, seed: int) -> Learner:
    """Return what is trained on samples: a CNN for images and an MLP otherwise, unless a model is named.

    Raises
    ------
    UsageError
        If the model doesn't take the samples.
    """
    shape = samples.X.shape[1:]
    default = "cnn" if len(shape) == 3 and min(shape[1:]) >= _SMALLEST_IMAGE else "mlp"
    try:
        build, backend = named_model(model or default, shape, max(1, len(samples.classes)))
    except (ValueError, ImportError) as error:
        raise UsageError(str(error)) from error
    training = Training(
        optimizer=Adam(learning_rate=4e-3),
        epochs=epochs,
        batch_size=min(32, max(1, len(samples.y) // 8)),
        clip_norm=5.0,
        seed=seed,
    )
    loss = "cross_entropy" if samples.classes else "mse"
    return Learner(build, loss=loss, training=training, backend=backend)


def network_suspicion(learner: Learner, samples: Samples, method: DetectMethod, seed: int) -> Suspicion:
    """Judge labels by a network.

    Parameters
    ----------
    learner : Learner
        What `make_learner` returned.
    samples : Samples
        What is judged.
    method : {"mean-loss", "held-out-loss"}
        Values are minus a sample's mean loss while a model is trained on all; or minus its loss under a model
        that was trained on the other four fifths. Neither needs clean validation data, as methods do that
        measure what a sample does to validation samples: a held-out fifth of the file has labels as wrong as
        the rest.
    seed : int
        Draws the folds.
    """
    held_out = _predict_held_out(learner, samples, seed)
    if method == "held-out-loss":
        values = -held_out.losses
    else:
        values = MeanLoss(learner).fit(samples.X, samples.y).score(samples.X[:1], samples.y[:1])
    if not samples.classes:
        targets, predicted = samples.targets, held_out.outputs[:, 0]
        numbers = targets.y[:, 0].astype(np.float64)
        wrong = probability_outlying(numbers - predicted, numbers)
        return Suspicion(values, wrong, predicted * targets.scale + targets.center, "a network")
    labels = samples.y.astype(np.int64)
    classes = fit_noise(log_softmax(held_out.outputs, axis=1)[None], labels, seed=seed).posterior(labels)
    return Suspicion(values, 1.0 - of_labels(classes, labels), classes, "a network")


def _predict_held_out(learner: Learner, samples: Samples, seed: int) -> _HeldOut:
    """Predict every sample by a model that was trained on the other four fifths."""
    losses = np.empty(len(samples.y))
    outputs = np.empty((len(samples.y), max(1, len(samples.classes))))
    folds = list(KFold(_FOLDS, shuffle=True, random_state=seed).split(samples.X))
    with progress_bar("folds", len(folds), None) as bar:
        for train, held_out in folds:
            replay = learner.prepare(samples.X[train], samples.y[train])
            carry_out(replay.program, replay.run, progress=learner.progress)
            losses[held_out], outputs[held_out] = _tested(replay, samples, held_out)
            bar.update()
    return _HeldOut(losses, outputs)


def _tested(
    replay: Replay, samples: Samples, indices: npt.NDArray[np.int64]
) -> tuple[FloatArray, npt.NDArray[np.floating]]:
    """Return the losses and the outputs of some samples at the end of a run."""
    backend, state = replay.program.backend, replay.final
    data = as_data(samples.X[indices], samples.y[indices], "held-out")
    batches = backend.batches(data)
    outputs = [
        backend.arrays.to_numpy(backend.predict(state.parameters, state.buffers, batches.take(chunk)))
        for chunk in np.split(np.arange(len(data)), range(CHUNK_SIZE, len(data), CHUNK_SIZE))
    ]
    return ValidationObjective(backend, data, None).values(state), np.concatenate(outputs)

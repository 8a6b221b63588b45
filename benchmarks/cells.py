"""The parts of the fidelity benchmark: one training, its values by every method, what removing samples does.

A part is a file that says what it is of. What is interrupted is taken up where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

import dataval as dv
from benchmarks.trainings import TRAININGS
from benchmarks.work import fashion

FloatArray = NDArray[np.float64]

FIRST_DRAW = 10
"""The first images, flips and subsets: earlier ones took part in choosing the settings."""

SEEDS = 3
"""Trainings of the same data and subsets."""

FRACTIONS = (0.01, 0.05, 0.2, 0.5)
FORMAT = 1

_SHARE = 0.2  # of the weights that are 0 in the runs that exact values are averaged over
_N_RUNS = 4


@dataclass(frozen=True)
class Size:
    """How much work a part is."""

    n_train: int = 1000
    n_val: int = 1000
    epochs: int = 10
    n_subsets: int = 40


@dataclass(frozen=True)
class Part:
    """What is found for one training.

    Attributes
    ----------
    training : str
        Its name in `TRAININGS`.
    draw : int
        Seed of images, flips and subsets.
    seed : int
        Seed of initialisation and batches.
    size : Size
    device : str
    """

    training: str
    draw: int
    seed: int
    size: Size
    device: str = "cpu"

    @property
    def name(self) -> str:
        """Return the name of its file."""
        words = "".join(letter if letter.isalnum() else " " for letter in self.training).split()
        where = "" if self.device == "cpu" else f"-{self.device.partition(':')[0]}"
        return f"{'_'.join(words).lower()}-{self.draw}-{self.seed}{where}.npz"

    @property
    def about(self) -> str:
        """Return all that its numbers depend on."""
        case = TRAININGS[self.training]
        of_device = {"device"} if self.device == "cpu" else set()
        said = {
            **{key: value for key, value in asdict(self).items() if key not in of_device},
            "format": FORMAT,
            "optimizer": case.optimizer.model_dump(),
            "schedule": type(case.schedule).__name__,
            "fractions": FRACTIONS,
            "runs": (_SHARE, _N_RUNS),
        }
        return json.dumps(said, sort_keys=True)


@dataclass(frozen=True)
class Found:
    """What there is of a part.

    Attributes
    ----------
    values : dict of str to ndarray, shape (N,)
        By method.
    removed : ndarray of bool, shape (F, K, N)
        The subsets of every fraction; the same for all trainings of a draw.
    changes : ndarray, shape (F, K)
        What training without them does to the validation loss.
    is_noisy : ndarray of bool, shape (N,)
    accuracy, loss : float
        On the validation samples.
    epochs : ndarray, shape (epochs,)
        The mean training loss of every epoch.
    failures : dict of str to str
        Methods that raised.
    seconds : dict of str to float
        Processor time of every method, with the trainings that it takes for itself.
    """

    values: dict[str, FloatArray]
    removed: NDArray[np.bool_]
    changes: FloatArray
    is_noisy: NDArray[np.bool_]
    accuracy: float
    loss: float
    epochs: FloatArray
    failures: dict[str, str]
    seconds: dict[str, float]


def parts(training: str, n: int, size: Size, device: str = "cpu") -> list[Part]:
    """Return the first n trainings of a model: all seeds of a draw, then those of the next."""
    return [Part(training, FIRST_DRAW + i // SEEDS, i, size, device) for i in range(n)]


def found(part: Part, folder: Path) -> Found:
    """Return what was found of a part, or find it and keep it."""
    path = folder / part.name
    kept = _read(path, part.about)
    if kept is None:
        kept = _find(part, folder)
        _write(path, part.about, kept)
    return kept


def _find(part: Part, folder: Path) -> Found:
    size = part.size
    data = fashion(size.n_train, size.n_val, part.draw)
    y, is_noisy = dv.noise.flip_labels(data.y_train, 0.2, seed=part.draw)
    learner = TRAININGS[part.training].learner(size.epochs, part.seed, part.device)
    run = learner.train(data.X_train, y)
    question = _Question(learner, run, data.X_train, y, data.X_val, data.y_val)
    values, failures, seconds = {}, {}, {}
    for name, value in _methods(question):
        start = process_time()
        try:
            values[name] = value()
        except Exception as error:  # noqa: BLE001 - named, and the other methods go on
            failures[name] = f"{type(error).__name__}: {error}"[:300]
        seconds[name] = round(process_time() - start, 2)
    removed = np.array([question.subsets(fraction, size.n_subsets, part.draw) for fraction in FRACTIONS])
    rows = removed.reshape(-1, len(y))
    truth = dv.evaluation.retrain_subsets(*question.asked, run=run, removed=rows, folder=folder / "retrained")
    model = learner.replay(data.X_train, y, run).export()
    return Found(
        values,
        removed,
        truth.changes.reshape(removed.shape[:2]),
        is_noisy,
        *_judged(model, data),
        run.losses.mean(axis=1),
        failures,
        seconds,
    )


@dataclass(frozen=True)
class _Question:
    """A run, and what is asked of it."""

    learner: dv.Learner
    run: dv.TrainingRun
    X: Any
    y: Any
    X_val: Any
    y_val: Any

    @property
    def asked(self) -> tuple[Any, ...]:
        return self.learner, self.X, self.y, self.X_val, self.y_val

    def score(self, method: Any, run: dv.TrainingRun | None = None) -> FloatArray:
        fitted = method.fit(self.X, self.y, run=run or self.run)
        return np.asarray(fitted.score(self.X_val, self.y_val))

    def subsets(self, fraction: float, n_subsets: int, seed: int) -> NDArray[np.bool_]:
        rng, removed = (
            np.random.default_rng([seed, round(1000 * fraction)]),
            np.zeros((n_subsets, len(self.y)), bool),
        )
        for row in removed:
            row[rng.choice(len(row), round(fraction * len(row)), replace=False)] = True
        return removed

    def masked(self, k: int) -> FloatArray:
        """Return exact values of run k with a random share of the weights at 0."""
        weights = np.ones(len(self.y))
        rng = np.random.default_rng([self.run.training.seed, 7, k])
        weights[rng.choice(len(weights), round(_SHARE * len(weights)), replace=False)] = 0.0
        return self.score(dv.HyDRA(self.learner, hessian=True), self.learner.train(self.X, self.y, weights))


def _methods(question: _Question) -> Iterator[tuple[str, Callable[[], FloatArray]]]:
    """Yield every method's name, and what finds its values."""
    learner, masked = question.learner, [partial(question.masked, k) for k in range(_N_RUNS)]
    exact = dv.HyDRA(learner, hessian=True)
    kept: list[FloatArray] = []

    def averaged() -> FloatArray:
        kept.extend(run() for run in masked)
        return np.mean(kept, axis=0)

    yield "exact HyDRA", partial(question.score, exact)
    yield "exact HyDRA, mean of 4 masked runs", averaged
    yield "exact HyDRA, plain and 1 masked run", lambda: (question.score(exact) + kept[0]) / 2
    for name, method in {
        "Hessian-free HyDRA": dv.HyDRA(learner),
        "influence, conjugate gradients": dv.InfluenceFunction(learner),
        "influence, EK-FAC": dv.InfluenceFunction(learner, curvature="ekfac"),
        "TracIn": dv.TracIn(learner),
        "TRAK": dv.TRAK(learner),
        "gradient products": dv.GradDot(learner),
        "mean loss": dv.MeanLoss(learner),
        "random values": dv.RandomValues(learner, seed=question.run.training.seed),
    }.items():
        yield name, partial(question.score, method)


def _judged(model: Any, data: dv.datasets.Dataset) -> tuple[float, float]:
    """Return accuracy and loss on the validation samples."""
    import torch

    with torch.no_grad():
        outputs, targets = model.cpu().eval()(torch.from_numpy(data.X_val)), torch.from_numpy(data.y_val)
        loss = torch.nn.functional.cross_entropy(outputs, targets)
    return float((outputs.argmax(dim=1) == targets).double().mean()), float(loss)


def _write(path: Path, about: str, kept: Found) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {
        "about": about,
        "methods": list(kept.values),
        "accuracy": kept.accuracy,
        "loss": kept.loss,
        "failures": kept.failures,
        "seconds": kept.seconds,
    }
    scratch = path.with_suffix(".part.npz")
    np.savez_compressed(
        scratch,
        said=np.array(json.dumps(said)),
        values=np.array(list(kept.values.values()), dtype=np.float32),
        removed=np.packbits(kept.removed, axis=-1),
        changes=kept.changes,
        is_noisy=kept.is_noisy,
        epochs=kept.epochs,
    )
    scratch.replace(path)


def _read(path: Path, about: str) -> Found | None:
    """Return what a file holds; None if there is none, or it is of other settings."""
    if not path.exists():
        return None
    with np.load(path) as arrays:
        said = json.loads(str(arrays["said"]))
        if said["about"] != about:
            return None
        n = len(arrays["is_noisy"])
        return Found(
            dict(zip(said["methods"], arrays["values"].astype(np.float64), strict=True)),
            np.unpackbits(arrays["removed"], axis=-1, count=n).astype(bool),
            arrays["changes"],
            arrays["is_noisy"],
            said["accuracy"],
            said["loss"],
            arrays["epochs"],
            said["failures"],
            said["seconds"],
        )

"""How well values predict retraining."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.stats import ConstantInputWarning, rankdata, spearmanr

from dataval.backend import Objective
from dataval.data import Data
from dataval.losses import describe_loss
from dataval.objective import ValidationObjective
from dataval.replay import Replay
from dataval.retraining import retrain

__all__ = ["LinearDatamodelingScore", "linear_datamodeling_score"]

_N_BOOTSTRAP = 2000


class LinearDatamodelingScore(BaseModel):
    """How well the sum of the removed samples' values predicts what removing them does.

    Attributes
    ----------
    score : float
        Spearman's correlation of `predicted` and `actual` over the subsets, in [-1, 1]; NaN if one of them is
        constant.
    confidence_interval : (float, float)
        Percentile bootstrap over the subsets.
    confidence : float
        Its level.
    predicted : tuple of float
        For each subset, the sum of the removed samples' values.
    actual : tuple of float
        For each subset, the objective after training without it, minus that after training on everything.
    fraction : float
        Share of the samples removed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    score: float
    confidence_interval: tuple[float, float]
    confidence: float
    predicted: tuple[float, ...]
    actual: tuple[float, ...]
    fraction: float

    @property
    def n_subsets(self) -> int:
        """Number of retrainings."""
        return len(self.actual)

    def __str__(self) -> str:
        low, high = self.confidence_interval
        return (
            f"linear datamodeling score {self.score:.2f} [{low:.2f}, {high:.2f}] "
            f"({self.n_subsets} retrainings without a random {self.fraction:.3g} of the samples)"
        )


def linear_datamodeling_score(
    values: NDArray[np.float64],
    replay: Replay,
    validation: Data,
    *,
    objective: Objective = None,
    n_subsets: int = 40,
    fraction: float = 0.01,
    confidence: float = 0.95,
    seed: int = 0,
    n_jobs: int = 1,
    group_size: int | None = None,
    folder: str | Path | None = None,
    progress: bool | None = None,
) -> LinearDatamodelingScore:
    r"""Compare values with retraining on random subsets.

    .. math:: \mathrm{LDS} = \rho_{\mathrm{Spearman}}\Big(\sum_{j\in S_k}\mathrm{value}_j,\;
              F(\text{trained without } S_k) - F(\text{trained on all})\Big)_{k=1\ldots K}

    Parameters
    ----------
    values : ndarray, shape (N,)
        Values to judge: higher helps.
    replay : Replay
        The run that they are about (`Learner.replay`).
    validation : Data
        Validation samples.
    objective : callable, optional
        The objective; the loss by default.
    n_subsets : int, default 40
        Number of retrainings K, at least 3.
    fraction : float, default 0.01
        Share of the training samples that each subset removes.
    confidence : float, default 0.95
        Level of the bootstrap interval.
    seed : int, default 0
        Draws the subsets and the bootstrap.
    n_jobs, group_size, folder, progress
        As for `DataValuator.verify`.

    Returns
    -------
    LinearDatamodelingScore

    Raises
    ------
    ValueError
        If the values have the wrong shape or are not finite, a subset would be empty or everything, or there
        are fewer than three.

    References
    ----------
    Park, Georgiev, Ilyas, Leclerc & Madry (2023). TRAK: Attributing model behavior at scale. ICML.
    """
    values = _check_values(values, replay.run.n_samples)
    subsets = draw_subsets(replay.run.n_samples, n_subsets, fraction, seed)
    base = replay.run.weights
    weights = np.concatenate([base[None], base * ~subsets])
    measure = ValidationObjective(replay.program.backend, validation, objective)
    utilities = retrain(
        replay.program,
        replay.initial,
        weights,
        measure,
        key=_key(replay, validation, objective, measure),
        n_jobs=n_jobs,
        group_size=group_size,
        folder=None if folder is None else Path(folder),
        progress=progress,
    )
    predicted, actual = subsets @ values, utilities[1:] - utilities[0]
    return LinearDatamodelingScore(
        score=_spearman(predicted, actual),
        confidence_interval=_bootstrap(predicted, actual, confidence, seed),
        confidence=confidence,
        predicted=tuple(predicted.tolist()),
        actual=tuple(actual.tolist()),
        fraction=fraction,
    )


def draw_subsets(n_samples: int, n_subsets: int, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Draw the removed samples of every subset, shape (n_subsets, n_samples)."""
    size = round(fraction * n_samples)
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


def _check_values(values: NDArray[np.float64], n_samples: int) -> NDArray[np.float64]:
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (n_samples,):
        raise ValueError(f"values must have shape ({n_samples},), got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{int((~np.isfinite(values)).sum())} of the values are NaN or infinite")
    return values


def _spearman(predicted: NDArray[np.float64], actual: NDArray[np.float64]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        return float(spearmanr(predicted, actual).statistic)


def _bootstrap(
    predicted: NDArray[np.float64], actual: NDArray[np.float64], confidence: float, seed: int
) -> tuple[float, float]:
    """Percentile interval of the rank correlation over resampled subsets."""
    draws = np.random.default_rng([seed, 3]).integers(0, len(actual), (_N_BOOTSTRAP, len(actual)))
    left, right = rankdata(predicted[draws], axis=1), rankdata(actual[draws], axis=1)
    left, right = left - left.mean(1, keepdims=True), right - right.mean(1, keepdims=True)
    scale = np.sqrt((left**2).sum(1) * (right**2).sum(1))
    found = (left * right).sum(1)[scale > 0] / scale[scale > 0]
    if not len(found):
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return float(low), float(high)


def _key(replay: Replay, validation: Data, objective: Objective, measure: ValidationObjective) -> str:
    """Return a name for everything that decides the result of retraining besides the weights.

    Functions and models of the same name are told apart by what they gave at the start.
    """
    run = replay.run
    to_numpy = replay.program.backend.to_numpy
    start = b"".join(to_numpy(array).tobytes() for array in replay.initial.arrays())
    parts = [
        run.data_fingerprint,
        validation.fingerprint(),
        run.training.model_dump_json(),
        run.loss,
        repr(run.signature),
        hashlib.blake2b(start, digest_size=16).hexdigest(),
        "loss" if objective is None else describe_loss(objective),
        f"{np.nanmean(run.losses):.6e}",
        f"{float(measure.value(replay.initial)):.6e}",
    ]
    return hashlib.blake2b("|".join(parts).encode(), digest_size=12).hexdigest()

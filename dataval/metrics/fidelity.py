"""How well values predict retraining without many samples at once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from dataval.checks import described, share, some_path, whole_number
from dataval.errors import DamagedFileError
from dataval.files.atomic import exclusive, is_plain, remove_scratch, write_atomic
from dataval.files.npz import read_npz, write_npz
from dataval.metrics.context import Baselines, OtherSeeds
from dataval.metrics.statistics import check_values, rank_correlation, ranks

__all__ = ["LinearDatamodelingScore", "SubsetTruth", "linear_datamodeling_score"]

FloatArray = npt.NDArray[np.float64]

_N_BOOTSTRAP = 2000


@dataclass(frozen=True, eq=False)
class SubsetTruth:
    """What training without each of K subsets does, to judge any number of methods by.

    Made by `retrain_subsets`, or from retrainings of your own.

    Attributes
    ----------
    removed : ndarray of bool, shape (K, N)
        The samples that each subset leaves out.
    changes : ndarray of float64, shape (K,)
        The validation loss after training without them, minus that after training on everything (of a utility
        where greater is better, the reverse): positive where the subset helped.
    """

    removed: npt.NDArray[np.bool_]
    changes: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("removed", "changes"):
            if not isinstance(getattr(self, name), np.ndarray):
                raise TypeError(f"{name} must be an array of NumPy, got {described(getattr(self, name))}")
        if self.removed.ndim != 2 or self.removed.dtype != np.bool_:
            raise ValueError(
                f"removed must be a mask of shape (K, N), got {self.removed.dtype}{self.removed.shape}"
            )
        if self.changes.shape != (len(self.removed),):
            raise ValueError(f"changes must have shape ({len(self.removed)},), got {self.changes.shape}")
        if self.changes.dtype.kind not in "fiu":
            raise ValueError(f"changes must be real numbers, got {self.changes.dtype}")
        if not np.isfinite(self.changes).all():
            raise ValueError("changes must be finite: leave out the subsets whose training failed")

    def __len__(self) -> int:
        return len(self.changes)

    @property
    def n_samples(self) -> int:
        """Number of training samples N."""
        return int(self.removed.shape[1])

    @property
    def fraction(self) -> float:
        """Mean share of the samples that a subset removes."""
        return float(self.removed.mean())

    def save(self, path: str | Path) -> Path:
        """Write the truth into one ``.npz`` file (no pickle).

        At every moment, also of a crash, the file is the earlier one or this one, complete.

        Parameters
        ----------
        path : path
            The file; its folder is made if needed. An earlier truth there is replaced.

        Raises
        ------
        FileExistsError
            If something else has this name.
        """
        file = some_path("path", path)
        _check_target(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        packed = np.packbits(self.removed, axis=1)
        arrays = {
            "removed": packed,
            "n": np.array(self.n_samples),
            "changes": np.asarray(self.changes, dtype=np.float64),
        }
        with exclusive(file):
            _check_target(file)
            remove_scratch(file)
            write_atomic(file, partial(write_npz, arrays=arrays))
        return file

    @classmethod
    def load(cls, path: str | Path) -> SubsetTruth:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        DamagedFileError
            If it is not what was written, or holds something else. It is a `ValueError`.
        """
        try:
            arrays = read_npz(some_path("path", path))
            return cls(_unpacked(arrays), arrays["changes"])
        except ValueError as error:
            raise DamagedFileError(f"{path} holds no subset truth: {error}") from error


def _unpacked(arrays: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.bool_]:
    """Return the mask that a file holds."""
    if arrays.keys() != {"removed", "n", "changes"}:
        raise ValueError(f"it holds {sorted(arrays)}")
    packed, n, changes = arrays["removed"], arrays["n"], arrays["changes"]
    if packed.dtype != np.uint8 or packed.ndim != 2 or n.dtype.kind not in "iu" or n.shape:
        raise ValueError(f"its mask is {packed.dtype}{packed.shape} for {n.dtype}{n.shape} samples")
    if packed.shape[1] != -(-int(n) // 8) or n < 0:
        raise ValueError(f"its mask has {packed.shape[1]} bytes a subset, which are not {int(n)} samples")
    if changes.dtype != np.float64:
        raise ValueError(f"its changes are {changes.dtype}")
    return np.unpackbits(packed, axis=1, count=int(n)).astype(bool)


def _check_target(file: Path) -> None:
    """Refuse a name under which anything but a truth would be replaced."""
    if not os.path.lexists(file):
        return
    try:
        is_truth = is_plain(file) and "removed" in read_npz(file)
    except DamagedFileError:
        is_truth = False
    if not is_truth:
        raise FileExistsError(f"{file} exists and is no subset truth: choose another name, or remove it")


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
    baselines : Baselines or None
        What the score has to be held against; of `verify`.
    other_seeds : OtherSeeds or None
        How the same values do for trainings with other seeds, where `verify` was asked for it.
    loss : float or None
        The objective after training on everything; of `verify`.
    accuracy : float or None
        Share of the validation samples that are then classified rightly; of `verify`, for classifiers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    score: float
    confidence_interval: tuple[float, float]
    confidence: float
    predicted: tuple[float, ...]
    actual: tuple[float, ...]
    fraction: float
    baselines: Baselines | None = None
    other_seeds: OtherSeeds | None = None
    loss: float | None = None
    accuracy: float | None = None

    @property
    def n_subsets(self) -> int:
        """Number of retrainings."""
        return len(self.actual)

    @property
    def spread(self) -> float:
        """Standard deviation of the `actual` changes, over the subsets."""
        return float(np.std(self.actual, ddof=1))

    @property
    def relative_spread(self) -> float | None:
        """`spread` over the size of `loss`: where it is near rounding, order is an accident; None without."""
        return None if not self.loss else self.spread / abs(self.loss)

    def __str__(self) -> str:
        low, high = self.confidence_interval
        first = (
            f"linear datamodeling score {self.score:.2f} [{low:.2f}, {high:.2f}] "
            f"({self.n_subsets} retrainings without a random {self.fraction:.3g} of the samples)"
        )
        parts = [first, self.baselines, self.other_seeds, self._training()]
        return "\n  ".join(text for part in parts if part is not None and (text := str(part)))

    def _training(self) -> str | None:
        """Return what the retrainings are about, where that is known."""
        if self.loss is None:
            return None
        relative = "" if self.relative_spread is None else f", {self.relative_spread:.2g} of it"
        accuracy = "" if self.accuracy is None else f"; accuracy {self.accuracy:.3g}"
        return f"loss {self.loss:.3g}, changed by {self.spread:.2g} (standard deviation{relative}){accuracy}"


def linear_datamodeling_score(
    values: npt.ArrayLike, truth: SubsetTruth, *, confidence: float = 0.95, seed: int = 0
) -> LinearDatamodelingScore:
    r"""Compare values with retraining on random subsets.

    .. math:: \mathrm{LDS} = \rho_{\mathrm{Spearman}}\Big(\sum_{j\in S_k}\mathrm{value}_j,\;
              F(\text{trained without } S_k) - F(\text{trained on all})\Big)_{k=1\ldots K}

    Values need no unit, as only the order of the sums counts. Values of another library will do, higher meaning
    more helpful.

    Parameters
    ----------
    values : array-like of float, shape (N,)
        Values to judge: higher helps.
    truth : SubsetTruth
        What removing K subsets did: `retrain_subsets`, or `SubsetTruth.load`.
    confidence : float, default 0.95
        Level of the bootstrap interval.
    seed : int, default 0
        Draws the bootstrap.

    Returns
    -------
    LinearDatamodelingScore

    Raises
    ------
    ValueError
        If the values are not finite or not one for each of the truth's samples, there are fewer than three
        subsets, or `confidence` is out of range.

    Notes
    -----
    A random order scores 0 in expectation, with a standard deviation of about ``1 / sqrt(K - 1)`` from one
    draw of K subsets to another.

    References
    ----------
    Park, Georgiev, Ilyas, Leclerc & Madry (2023). TRAK: Attributing model behavior at scale. ICML.

    Examples
    --------
    >>> truth = dv.evaluation.retrain_subsets(learner, X, y, X_val, y_val, run=hydra.run_)
    >>> print(dv.evaluation.linear_datamodeling_score(values, truth))
    """
    if not isinstance(truth, SubsetTruth):
        raise TypeError(f"truth must be a SubsetTruth, as retrain_subsets returns it, got {described(truth)}")
    checked = check_values(values)
    if len(checked) != truth.n_samples:
        raise ValueError(f"values must have shape ({truth.n_samples},), got {checked.shape}")
    if len(truth) < 3:
        raise ValueError(f"a correlation needs at least 3 subsets, the truth holds {len(truth)}")
    share("confidence", confidence)
    whole_number("seed", seed, minimum=0)
    predicted = truth.removed @ checked
    return LinearDatamodelingScore(
        score=rank_correlation(predicted, truth.changes),
        confidence_interval=_bootstrap(predicted, truth.changes, confidence, seed),
        confidence=confidence,
        predicted=tuple(predicted.tolist()),
        actual=tuple(truth.changes.tolist()),
        fraction=truth.fraction,
    )


def _bootstrap(predicted: FloatArray, actual: FloatArray, confidence: float, seed: int) -> tuple[float, float]:
    """Percentile interval of the rank correlation over resampled subsets."""
    draws = np.random.default_rng([seed, 3]).integers(0, len(actual), (_N_BOOTSTRAP, len(actual)))
    left, right = ranks(predicted[draws]), ranks(actual[draws])
    left, right = left - left.mean(1, keepdims=True), right - right.mean(1, keepdims=True)
    scale = np.sqrt((left**2).sum(1) * (right**2).sum(1))
    found = (left * right).sum(1)[scale > 0] / scale[scale > 0]
    if not len(found):
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return float(low), float(high)

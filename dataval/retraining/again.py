"""What can be trained again without some of its samples: a learner's run, or an estimator of scikit-learn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dataval.backend import ObjectiveFunction
from dataval.training.replay import Replay

__all__ = ["Coalitions", "Retraining", "RetrainingOptions", "Utilities"]

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class RetrainingOptions:
    """How to train again, and what to judge by.

    Attributes
    ----------
    utility : str or callable
        What a trained model is judged by.
    objective : callable or None
        What ``utility="loss"`` averages; the model's own loss for None.
    seeds : tuple of int or None
        Train with each of these; None for the seed that there is.
    mode : {"weight", "removal"}
        Whether samples get weight 0 in otherwise equal batches, or are really left out.
    n_jobs : int or None
        Processes; None for what `joblib.parallel_config` says.
    group_size : int or None
        Models trained at once as one program.
    folder : Path or None
        Where what was found is kept and looked up.
    """

    utility: str | Callable[..., float] = "loss"
    objective: ObjectiveFunction | None = None
    seeds: tuple[int, ...] | None = None
    mode: Literal["weight", "removal"] = "weight"
    n_jobs: int | None = None
    group_size: int | None = None
    folder: Path | None = None


@dataclass(frozen=True)
class Utilities:
    """What models that were trained again are worth.

    Attributes
    ----------
    found : ndarray of float64, shape (n_seeds, 1 + M)
        Trained on everything, then without each of M removals; NaN for a training that failed.
    greater_is_better : bool
    """

    found: FloatArray
    greater_is_better: bool


class Coalitions(ABC):
    """Training on nothing but coalitions of samples, for one validation set.

    Attributes
    ----------
    greater_is_better : bool
    n_without_model : int
        How many trainings so far were none: no model can be had from those samples, and an uninformed
        prediction was judged in its place.
    """

    greater_is_better: bool
    n_without_model: int = 0

    @abstractmethod
    def judge(self, kept: Mask) -> FloatArray:
        """Train on each of M coalitions ``(M, N)``; judge the models, shape ``(n_seeds, M, Q)``.

        Q is the number of validation samples where single losses were asked for, and else 1.
        """


class Retraining(ABC):
    """What can be trained again without some of its samples.

    Attributes
    ----------
    n_samples : int
        Number of training samples N.
    """

    n_samples: int

    @abstractmethod
    def check(self, removed: Mask, options: RetrainingOptions) -> None:
        """Raise, before any training, if it can't be trained so or without these samples ``(M, N)``."""

    @abstractmethod
    def validation(self, X: Any, y: Any) -> Any:
        """Return validation samples in the form that the other functions take, checked.

        Raises
        ------
        InvalidDataError
            If they don't fit the training samples.
        """

    @abstractmethod
    def utilities(self, removed: Mask, validation: Any, options: RetrainingOptions) -> Utilities:
        """Train on everything and without each of M removals ``(M, N)``, for every seed; judge the models."""

    @abstractmethod
    def single_losses(self, removed: Mask, validation: Any, options: RetrainingOptions) -> FloatArray:
        """Do the same, and return the loss of every validation sample, shape ``(n_seeds, 1 + M, n)``.

        Raises
        ------
        TypeError
            If there are no losses of single samples.
        """

    @abstractmethod
    def coalitions(self, validation: Any, options: RetrainingOptions, *, single: bool = False) -> Coalitions:
        """Return what trains on coalitions of samples, the empty one included.

        Parameters
        ----------
        validation
            As `validation` returned it.
        options : RetrainingOptions
            How to train, and what to judge by.
        single : bool
            Judge by the loss of every single validation sample.

        Raises
        ------
        InvalidDataError
            If it can't be judged.
        TypeError
            If there are no losses of single samples.
        """

    @abstractmethod
    def replay(self) -> Replay:
        """Return the run that is trained again.

        Raises
        ------
        TypeError
            If there is none.
        """

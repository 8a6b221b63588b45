"""What `verify` does: retrain without random subsets, and hold values and baselines against what that gave."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dataval.backend import ObjectiveFunction
from dataval.backend.losses import BinaryCrossEntropy, CrossEntropy, resolve_loss
from dataval.checks import flag, folder_path, process_count, seed_list, whole_number
from dataval.data import Samples, concatenated
from dataval.errors import PlateauWarning
from dataval.methods.logs import mean_loss_values
from dataval.metrics.across_seeds import fidelity_across_seeds, outcome_correlation
from dataval.metrics.context import OtherSeeds, baselines
from dataval.metrics.fidelity import LinearDatamodelingScore, SubsetTruth, linear_datamodeling_score
from dataval.metrics.ranking import check_mask
from dataval.metrics.statistics import check_values
from dataval.objectives.utility import make_utility
from dataval.objectives.validation import ValidationObjective
from dataval.retraining.again import RetrainingOptions
from dataval.retraining.learners import check_learner_removals, seeded
from dataval.retraining.subsets import draw_subsets, retrain_subsets_of
from dataval.training.learner import Learner
from dataval.training.plateau import plateau
from dataval.training.recording import carry_out
from dataval.training.replay import Replay

__all__ = ["Verification"]

FloatArray = NDArray[np.float64]

_CALLERS = 5  # frames up to the caller of `verify`, through the one that sets the framework's modes


@dataclass
class Verification:
    """A call of `verify`; `check` comes before `of`.

    Parameters
    ----------
    method : DataValuator
        Fitted.
    replay : Replay
        What is trained again, with its run.
    n_subsets, fraction, values, seed, seeds, average, is_noisy, n_jobs, group_size, folder
        As for `DataValuator.verify`.

    Attributes
    ----------
    given : ndarray of float64, shape (N,), or None
        The values to judge, where they were given.

    Raises
    ------
    TypeError, ValueError
        If an option of the retraining makes no sense.
    RunMismatchError
        If the run's updates can't be done again.
    """

    method: Any
    replay: Replay
    n_subsets: int
    fraction: float
    values: ArrayLike | None
    seed: int
    seeds: Sequence[int] | None
    average: bool
    is_noisy: ArrayLike | None
    n_jobs: int | None
    group_size: int | None
    folder: str | Path | None
    given: FloatArray | None = field(init=False)

    def __post_init__(self) -> None:
        self.replay.check_updates("verify")
        self._retraining: dict[str, Any] = {
            "objective": self._objective,
            "n_jobs": process_count("n_jobs", self.n_jobs),
            "group_size": self.group_size
            if self.group_size is None
            else whole_number("group_size", self.group_size, minimum=1),
            "folder": folder_path("folder", self.folder),
            "progress": self._learner.progress,
        }

    def check(self, validation: Samples) -> None:
        """Raise for validation samples and options that can't be used; before long work.

        Raises
        ------
        InvalidDataError
            If the objective can't be evaluated on the validation samples, or other seeds are asked for and a
            recorded loop can't be done again under them.
        TypeError, ValueError
            If an option makes no sense.
        """
        ValidationObjective(self.replay.program.backend, validation, self._objective)
        n = self.replay.run.n_samples
        self._removed = draw_subsets(n, self.n_subsets, self.fraction, self.seed)
        self.given = None if self.values is None else check_values(self.values)
        if self.given is not None and len(self.given) != n:
            raise ValueError(f"values must have shape ({n},), got {self.given.shape}")
        self._mask = None if self.is_noisy is None else check_mask(self.is_noisy)
        if self._mask is not None and len(self._mask) != n:
            raise ValueError(f"is_noisy must have shape ({n},), got {self._mask.shape}")
        self._other_seeds = self._checked_seeds()

    def of(self, values: FloatArray, validation: Samples) -> LinearDatamodelingScore:
        """Retrain, and judge values by it.

        Raises
        ------
        TrainingDivergedError
            If a retraining gives what is not finite.
        """
        done = _finished(self.replay, self._learner)
        self._warn_of_plateau(done)
        truth = self._truth(done, validation)
        score = linear_datamodeling_score(values, truth, seed=self.seed)
        known = mean_loss_values(done.run) if np.isfinite(done.run.losses).any() else None
        predicted = np.array(score.predicted)
        beside = {
            "baselines": baselines(
                predicted, truth.changes, truth.removed, mean_loss=known, is_noisy=self._mask
            ),
            "other_seeds": self._of_other_seeds(values, truth, validation),
            "loss": float(
                ValidationObjective(done.program.backend, validation, self._objective).value(done.final)
            ),
            "accuracy": _accuracy(done, validation, self._learner),
        }
        return score.model_copy(update=beside)

    @property
    def _learner(self) -> Learner:
        learner: Learner = self.method.learner
        return learner

    @property
    def _objective(self) -> ObjectiveFunction | None:
        return getattr(self.method, "objective", None)

    def _checked_seeds(self) -> tuple[int, ...]:
        if flag("average", self.average) and self.seeds is None:
            raise ValueError(
                "average=True values the samples under other seeds as well: name them, seeds=(1, 2)"
            )
        if self.average and self.values is not None:
            raise ValueError("average=True finds the values under every seed itself: leave values out")
        if self.seeds is None:
            return ()
        seeds, own = seed_list(self.seeds), self.replay.program.training.seed
        check_learner_removals(self.replay.program, self._removed, RetrainingOptions(seeds=seeds))
        if own in seeds:
            raise ValueError(f"seeds must be others than the run's own, {own}: that one is judged anyway")
        return seeds

    def _truth(self, replay: Replay, validation: Samples) -> SubsetTruth:
        return retrain_subsets_of(replay, validation, removed=self._removed, **self._retraining)

    def _of_other_seeds(self, values: FloatArray, truth: SubsetTruth, validation: Samples) -> OtherSeeds | None:
        """Judge the same values, or their averages, by trainings with other seeds."""
        if not self._other_seeds:
            return None
        truths, found = [truth], [values]
        for learner, replay in seeded(self._learner, self.replay.program, self._other_seeds):
            truths.append(self._truth(replay, validation))
            if self.average:
                found.append(self._valued(learner, replay, validation))
        averaged = fidelity_across_seeds(found, truths).averaged[1:] if self.average else None
        correlation = outcome_correlation(truths)
        return OtherSeeds(
            seeds=self._other_seeds,
            scores=tuple(linear_datamodeling_score(values, each).score for each in truths[1:]),
            averaged=averaged,
            outcome_correlation=float("nan") if correlation is None else correlation,
        )

    def _valued(self, learner: Learner, replay: Replay, validation: Samples) -> FloatArray:
        """Return the values that the method finds under another seed."""
        done = _finished(replay, learner)
        other = copy.copy(self.method)
        other.learner = learner
        if "seed" in other.get_params(deep=False):
            other.set_params(seed=replay.program.training.seed)
        other.fit(*done.program.data.as_arguments(), run=done.run)
        return np.asarray(other.score(*validation.as_arguments()), dtype=np.float64)

    def _warn_of_plateau(self, done: Replay) -> None:
        found = plateau(done)
        if found:
            warnings.warn(
                f"{found}: training has hardly left its start, and a score of values of such a model says "
                "little of one that has learnt. Train for longer or at another learning rate, standardise the "
                "inputs, or start from another initialisation",
                PlateauWarning,
                stacklevel=_CALLERS,
            )


def _finished(replay: Replay, learner: Learner) -> Replay:
    """Return a run that is done; one that was only prepared is carried out."""
    if not replay.run.is_complete:
        carry_out(replay.program, replay.run, progress=learner.progress)
    return replay


def _accuracy(replay: Replay, validation: Samples, learner: Learner) -> float | None:
    """Return the accuracy at the end of training; None where there is no one label a sample."""
    forms = [form for name, form in validation.form().items() if name.startswith("y")]
    is_classifier = isinstance(resolve_loss(learner.loss), CrossEntropy | BinaryCrossEntropy)
    if not is_classifier or len(forms) != 1 or int(np.prod(forms[0].shape)) != 1:
        return None
    targets = concatenated([each for _, each in validation.target_parts()])
    if not (targets == np.round(targets)).all():  # probabilities
        return None
    return float(make_utility("accuracy", replay.program.backend, validation).value(replay.final))

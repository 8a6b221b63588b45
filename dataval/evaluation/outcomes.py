"""What each method of a comparison gave, seed by seed."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from dataval.metrics.agreement import LeaveOneOutAgreement
from dataval.metrics.fidelity import LinearDatamodelingScore
from dataval.metrics.noise_detection import NoiseDetectionReport
from dataval.metrics.stability import RankStability

__all__ = ["MethodResult", "Outcome", "Record"]


class Record(BaseModel):
    """A frozen model that JSON can hold, with NaN and infinity as strings."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Outcome(Record):
    """What one method gave for one seed.

    Attributes
    ----------
    seed : int
    error : str or None
        Why there are no values.
    seconds : float or None
        Time to value all samples, given the trained run; None for values that were passed in.
    training_seconds : float or None
        Time to train the run, which all methods of the same learner share; None where none was trained.
    peak_memory : int or None
        Bytes by which resident memory rose meanwhile; None where it can't be known.
    noise : NoiseDetectionReport or None
    fidelity : LinearDatamodelingScore or None
    agreement : LeaveOneOutAgreement or None
        What the values were judged by; None where there was nothing to judge them by, or no values.
    fidelity_other_seeds : float or None
        The mean score of the values against the trainings with the other seeds, with ``across_seeds=True``.
    fidelity_averaged : float or None
        The score of the mean of the other seeds' values against this seed's training, likewise.
    outcome_correlation : float or None
        How far outcomes of removing the same subsets agree between two seeds; the same for all.
    """

    seed: int
    error: str | None = None
    seconds: float | None = None
    training_seconds: float | None = None
    peak_memory: int | None = None
    noise: NoiseDetectionReport | None = None
    fidelity: LinearDatamodelingScore | None = None
    agreement: LeaveOneOutAgreement | None = None
    fidelity_other_seeds: float | None = None
    fidelity_averaged: float | None = None
    outcome_correlation: float | None = None


class MethodResult(Record):
    """What one method gave.

    Attributes
    ----------
    name : str
    outcomes : tuple of Outcome
        One a seed.
    stability : RankStability or None
        How far the seeds agree; None for fewer than two.
    """

    name: str
    outcomes: tuple[Outcome, ...]
    stability: RankStability | None = None

    @property
    def errors(self) -> tuple[str, ...]:
        """The errors of all seeds, each once."""
        return tuple(dict.fromkeys(outcome.error for outcome in self.outcomes if outcome.error))

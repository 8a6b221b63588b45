"""The errors and warnings that dataval raises on its own account.

Every error derives from the built-in class that a caller would expect (`ValueError` for bad input,
`RuntimeError` for a computation that can't go on), so that no import of this module is needed to catch it.
"""

from __future__ import annotations

__all__ = [
    "BackendNotFoundError",
    "ChaoticTrainingWarning",
    "ComparisonInterrupted",
    "CurvatureWarning",
    "DamagedFileError",
    "DamagedFileWarning",
    "IgnoredSettingWarning",
    "InsufficientMemoryError",
    "InvalidDataError",
    "InvalidModelError",
    "NotTwiceDifferentiableError",
    "PlateauWarning",
    "ProbabilityOutputsWarning",
    "RecordingWarning",
    "ReplayError",
    "ReplayWarning",
    "RetrainingWarning",
    "RunMismatchError",
    "SlowPathWarning",
    "SolverDivergedError",
    "SolverWarning",
    "TrainedModelWarning",
    "TrainingDivergedError",
    "TrainingInterrupted",
    "UnknownIdentityError",
    "UnusedParameterWarning",
    "WorkerLostError",
    "WorkerLostWarning",
]

from typing import Any


class InvalidDataError(ValueError):
    """The data can't be used: NaN, mismatched lengths, labels out of range, a wrong dtype, no samples."""


class InvalidModelError(ValueError):
    """The model or its loss can't be used: no trainable parameter, a reduced loss, a wrong output."""


class NotTwiceDifferentiableError(RuntimeError):
    """A layer has no second derivative, so exact hypergradients don't exist through it."""


class InsufficientMemoryError(MemoryError):
    """A call would take more memory than there is; the message names what takes it, and what to do."""


class BackendNotFoundError(ImportError):
    """No installed backend handles this model."""


class DamagedFileError(ValueError):
    """A file of dataval's own can't be trusted: cut short, changed, or never one of its kind."""


class RunMismatchError(ValueError):
    """A recorded run belongs to other data, another model or another training configuration."""


class ReplayError(RuntimeError):
    """Replaying a recorded run did not lead to the recorded states: the model is not deterministic."""


class TrainingDivergedError(RuntimeError):
    """The training loss became infinite or NaN."""


class TrainingInterrupted(KeyboardInterrupt):
    """Training was interrupted; `run` holds what was done so far.

    Attributes
    ----------
    run : TrainingRun
        The unfinished run. ``learner.train(X, y, resume=error.run)`` takes it up where it stopped.
    """

    def __init__(self, run: Any) -> None:
        super().__init__(
            f"training was interrupted after {run.n_completed} of {run.n_steps} updates; "
            "learner.train(X, y, resume=error.run) goes on from there"
        )
        self.run = run


class UnknownIdentityError(TypeError):
    """A function holds a state that can't be read, so results kept for it can't be told from another's."""


class WorkerLostError(RuntimeError):
    """Processes that trained were lost again and again, most often for want of memory."""


class SolverDivergedError(RuntimeError):
    """A series for the inverse of the curvature diverged."""


class SlowPathWarning(UserWarning):
    """The framework can't do something for all samples at once, and it is done one by one: what that costs."""


class SolverWarning(UserWarning):
    """A linear system of an influence function was not solved as asked: values are less exact, or mean less."""


class CurvatureWarning(UserWarning):
    """Parameters that no layer is known for have a simpler curvature than the others."""


class ComparisonInterrupted(KeyboardInterrupt):
    """A comparison was interrupted; `comparison` holds what was done so far.

    Attributes
    ----------
    comparison : Comparison
        Values and metrics of the methods and seeds that were done; the others are marked.
    """

    def __init__(self, comparison: Any) -> None:
        super().__init__("the comparison was interrupted; error.comparison holds what was done")
        self.comparison = comparison


class ChaoticTrainingWarning(UserWarning):
    """The cotangent exploded during the backward sweep: derivatives don't predict retraining here, and why."""


class PlateauWarning(UserWarning):
    """The training loss has hardly left its start: values are about a network that has learnt little."""


class DamagedFileWarning(UserWarning):
    """What a damaged file held is left out, and computed again."""


class ReplayWarning(UserWarning):
    """A replay differs from the recorded run by rounding (another machine, version or thread count)."""


class RecordingWarning(UserWarning):
    """A loop that is being recorded diverged, or does what can't be done again: some values are refused."""


class RetrainingWarning(UserWarning):
    """Some retrainings failed: the values of their samples are NaN, all others are as asked."""


class TrainedModelWarning(UserWarning):
    """A model is trained further that looks trained already: ``learner.adopt(X, y)`` takes it as it is."""


class UnusedParameterWarning(UserWarning):
    """A trainable parameter receives no gradient from the loss."""


class IgnoredSettingWarning(UserWarning):
    """A model carries training settings of its own; a `Learner`'s loss and `Training` are used instead."""


class ProbabilityOutputsWarning(UserWarning):
    """A model returns probabilities, but its loss takes logits: the softmax or sigmoid is applied twice."""


class WorkerLostWarning(UserWarning):
    """A process that trained was lost, killed for its memory or with its machine; what it had is done again."""

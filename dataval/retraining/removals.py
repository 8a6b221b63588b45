"""Whether a run is possible without so many samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataval.errors import InvalidDataError
from dataval.training.plan import make_plan
from dataval.training.program import Program

__all__ = ["check_removals"]


def check_removals(program: Program, removed: NDArray[np.bool_]) -> None:
    """Raise, before any training, if a program can't be trained really without some samples.

    Parameters
    ----------
    program : Program
        What is trained.
    removed : ndarray of bool, shape (M, N)
        The samples that each run would be without.

    Raises
    ------
    InvalidDataError
        If it is a recorded loop, too few are left for a batch, or there are fewer updates than an explicit
        schedule has values for.
    """
    if program.plan.is_recorded:
        raise InvalidDataError(
            "a recorded loop can be done again with its own batches alone, not in others without some samples: "
            "leave them out by their weights (mode='weight'), or train by Learner.train"
        )
    n, names = len(program.data), [name for name, _ in program.backend.signature.parameters]
    for count in np.unique(removed.sum(axis=1)).tolist():
        try:
            make_plan(program.training, n - count, names)
        except InvalidDataError as error:
            raise InvalidDataError(f"without {count} of the {n} samples there is no run: {error}") from error
        except ValueError as error:
            raise InvalidDataError(
                f"without {count} of the {n} samples there is no run: {error}; use a schedule that fits any "
                "number of updates, such as ExplicitSchedule(values=..., per='epoch')"
            ) from error

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
        If too few are left for a batch, or there are fewer updates than an explicit schedule has values for.
    """
    n = len(program.data)
    for count in np.unique(removed.sum(axis=1)).tolist():
        try:
            make_plan(program.training, n - count)
        except InvalidDataError as error:
            raise InvalidDataError(f"without {count} of the {n} samples there is no run: {error}") from error
        except ValueError as error:
            raise InvalidDataError(
                f"without {count} of the {n} samples there is no run: {error}; use a schedule that fits any "
                "number of updates, such as ExplicitSchedule(values=..., per='epoch')"
            ) from error

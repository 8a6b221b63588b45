"""What single runs answer to a question, kept in a folder."""

from __future__ import annotations

import hashlib
import os
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataval.errors import DamagedFileError, DamagedFileWarning
from dataval.files.atomic import exclusive, write_atomic
from dataval.files.npz import read_npz, write_npz

__all__ = ["Outcome", "OutcomeStore"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Outcome:
    """What one run answers.

    Attributes
    ----------
    values : ndarray of float64, shape (N,) or (rows, N)
    objective : ndarray of float64, shape ()
        Of all validation samples, at the end of the run.
    cotangent_norm : ndarray of float64, shape (T + 1,)
    stopped_at : ndarray of int64, shape ()
        As in `SweepResult`.
    """

    values: FloatArray
    objective: FloatArray
    cotangent_norm: FloatArray
    stopped_at: NDArray[np.int64]


class OutcomeStore:
    """Outcomes by the weights of their runs, in files of their own: ``averaged-<key>/<weights>.npz``.

    Any number of processes may share a folder. Without one nothing is kept.

    Parameters
    ----------
    folder : path or None
    key : str
        Outcomes of other keys in the folder are not seen.

    Raises
    ------
    OSError
        If the folder can't be made or written to, before anything is trained.
    """

    def __init__(self, folder: Path | None, key: str) -> None:
        self._folder = None if folder is None else folder / f"averaged-{key}"
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not os.access(self._folder, os.W_OK | os.X_OK):
                raise PermissionError(f"{self._folder} can't be written to: choose another folder")

    def __contains__(self, weights: FloatArray) -> bool:
        path = self._path(weights)
        return path is not None and path.exists()

    def get(self, weights: FloatArray, n_rows: int | None) -> Outcome | None:
        """Return what a run answered, None where it isn't there.

        Parameters
        ----------
        weights : ndarray, shape (N,)
            Of the run.
        n_rows : int or None
            Number of rows that the values must have; None for values ``(N,)``.

        Warns
        -----
        DamagedFileWarning
            If what is there can't be used: it is computed again.
        """
        path = self._path(weights)
        if path is None or not path.exists():
            return None
        shape = (len(weights),) if n_rows is None else (n_rows, len(weights))
        try:
            found = read_npz(path)
            if found.keys() != Outcome.__annotations__.keys() or found["values"].shape != shape:
                raise DamagedFileError(f"{path} holds something else")
        except DamagedFileError as error:
            warnings.warn(f"{error}; what is missing is computed again", DamagedFileWarning, stacklevel=2)
            return None
        return Outcome(**found)

    def add(self, weights: FloatArray, outcome: Outcome) -> None:
        """Keep what a run answered; once this returns, no kill of the process loses it."""
        path = self._path(weights)
        if path is not None:
            with exclusive(path):
                write_atomic(path, partial(write_npz, arrays=vars(outcome)))

    def _path(self, weights: FloatArray) -> Path | None:
        name = hashlib.blake2b(np.ascontiguousarray(weights).tobytes(), digest_size=12).hexdigest()
        return None if self._folder is None else self._folder / f"{name}.npz"

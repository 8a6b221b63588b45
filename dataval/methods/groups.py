"""Groups of validation samples that are asked about as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.data import to_numpy
from dataval.errors import InvalidDataError

__all__ = ["Groups"]


@dataclass(frozen=True)
class Groups:
    """The samples of each group, groups in the order of their sorted names.

    Attributes
    ----------
    members : tuple of ndarray of int64
        Indices of the validation samples, group by group.
    n : int
        Number of validation samples.
    """

    members: tuple[NDArray[np.int64], ...]
    n: int

    @classmethod
    def of(cls, groups: Any, n: int) -> Groups:
        """Read the names of the groups that n samples belong to.

        Raises
        ------
        InvalidDataError
            If they aren't n names, one is missing, or they can't be sorted.
        """
        names = _names(groups, n)
        bad = np.flatnonzero([_is_missing(name) for name in names.tolist()])
        if len(bad):
            raise InvalidDataError(f"groups: sample {bad[0]} has no group ({names[bad[0]]!r})")
        try:
            found, of_sample = np.unique(names, return_inverse=True)
        except TypeError as error:
            raise InvalidDataError(
                f"groups can't be sorted, as their names differ in kind ({error}): pass strings, or numbers"
            ) from error
        numbers = of_sample.reshape(-1)
        return cls(tuple(np.flatnonzero(numbers == number) for number in range(len(found))), n)

    def __len__(self) -> int:
        return len(self.members)

    def means(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the means ``(n_groups, N)`` of the rows ``(n, N)`` of each group."""
        return np.stack([rows[members].mean(axis=0) for members in self.members])

    def key(self) -> bytes:
        """Return what tells these groups from others."""
        numbers = np.empty(self.n, dtype=np.int64)
        for number, members in enumerate(self.members):
            numbers[members] = number
        return numbers.tobytes()


def _names(groups: Any, n: int) -> NDArray[Any]:
    if isinstance(groups, str | bytes | dict | set):
        raise InvalidDataError(
            f"groups must be an array of the {n} validation samples' groups, got {type(groups).__name__}"
        )
    try:
        names = _as_array(groups)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(f"groups can't be read as an array of {n} names: {error}") from error
    if names.shape != (n,):
        raise InvalidDataError(
            f"groups must name the group of each of the {n} validation samples, shape ({n},), got shape "
            f"{names.shape}"
        )
    return names


def _as_array(groups: Any) -> NDArray[Any]:
    """Return an array in which numbers and strings have stayed what they are."""
    if not isinstance(groups, list | tuple | range):
        return to_numpy(groups)
    kinds = {type(name) for name in groups}
    if len(kinds) <= 1 and not kinds & {tuple, list}:
        return np.asarray(groups)
    names = np.empty(len(groups), dtype=object)
    for number, name in enumerate(groups):
        names[number] = name
    return names


def _is_missing(name: Any) -> bool:
    """Whether a name is None, NaN, NaT or pandas.NA, none of which equals itself."""
    if name is None:
        return True
    try:
        return not name == name  # noqa: SIM201
    except TypeError:  # the truth of pandas.NA is ambiguous
        return True

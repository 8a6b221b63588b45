"""The hyperparameters of every update, which may differ by group of parameters and change on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from dataval.training.optimizers import Optimizer

__all__ = ["Hyperparameters", "constant_hyperparameters", "group_of_parameters"]

FloatArray = NDArray[np.float64]

_RATE = "learning_rate"


@dataclass(frozen=True)
class Hyperparameters:
    """What the optimizer of a run was told at each of T updates, for each of G groups of parameters.

    Attributes
    ----------
    values : dict of str to ndarray of float64, shape (T, G)
        The optimizer's `Optimizer.hyperparameters`, by name.
    counts : ndarray of int64, shape (T, G)
        How many updates the optimizer had done on the group before: Adam's own step count. It doesn't start
        at 0 where an optimizer is taken up again, and stands still while a group is frozen.
    active : ndarray of bool, shape (T, G)
        Whether the group is updated at all: not while it is frozen.
    groups : ndarray of int64, shape (number of parameter arrays,)
        The group of each array of the model's parameters, in the order of the backend's signature; empty where
        there is one group.
    """

    values: dict[str, FloatArray]
    counts: NDArray[np.int64]
    active: NDArray[np.bool_]
    groups: NDArray[np.int64]

    @property
    def n_steps(self) -> int:
        """Number of updates, T."""
        return len(self.counts)

    @property
    def n_groups(self) -> int:
        """Number of groups, G."""
        return int(self.counts.shape[1])

    @property
    def learning_rates(self) -> FloatArray:
        """The learning rates ``(T, G)``, 0 where a group is frozen."""
        return np.where(self.active, self.values[_RATE], 0.0)

    @property
    def is_uniform(self) -> bool:
        """Whether all parameters are always treated alike."""
        every = [*self.values.values(), self.counts]
        return bool(self.active.all() and all((array == array[:, :1]).all() for array in every))

    def are_constants_of(self, optimizer: Optimizer) -> bool:
        """Whether nothing but the learning rate ever differs from the optimizer's own options."""
        constants = optimizer.constants()
        same = all((array == constants[name]).all() for name, array in self.values.items() if name != _RATE)
        counts = np.arange(self.n_steps)[:, None]
        return same and self.is_uniform and bool((self.counts == counts).all())

    def at(self, step: int) -> dict[str, FloatArray]:
        """Return the values of one update by name, each ``(G,)``, with the counts as ``"count"``."""
        found = {name: array[step] for name, array in self.values.items()}
        return found | {"count": self.counts[step].astype(np.float64)}

    def until(self, n_steps: int) -> Hyperparameters:
        """Return those of the first updates alone."""
        values = {name: array[:n_steps] for name, array in self.values.items()}
        return replace(self, values=values, counts=self.counts[:n_steps], active=self.active[:n_steps])


def constant_hyperparameters(
    optimizer: Optimizer,
    factors: FloatArray,
    changes: Mapping[str, FloatArray],
    names: Sequence[str],
) -> Hyperparameters:
    """Return the hyperparameters of a run whose schedule is known from the start.

    Parameters
    ----------
    optimizer : Optimizer
        With its groups.
    factors : ndarray of float64, shape (T,)
        What each group's learning rate is multiplied by.
    changes : dict of str to ndarray of float64, shape (T,)
        Other hyperparameters that the schedule sets, for all groups.
    names : sequence of str
        Of the model's parameters; they may be left out where the optimizer has no groups.

    Raises
    ------
    ValueError
        If a pattern of a group fits no parameter.
    """
    each = [optimizer, *optimizer.group_optimizers()]
    n_steps, shape = len(factors), (len(factors), len(each))
    constants = [one.constants() for one in each]
    values = {name: np.tile([c[name] for c in constants], (n_steps, 1)) for name in optimizer.hyperparameters}
    values[_RATE] = values[_RATE] * factors[:, None]
    for name, changed in changes.items():
        values[name] = np.tile(changed[:, None], (1, len(each)))
    counts = np.tile(np.arange(n_steps)[:, None], (1, len(each)))
    groups = group_of_parameters(optimizer, names) if len(each) > 1 else np.zeros(0, dtype=np.int64)
    return Hyperparameters(values, counts, np.ones(shape, dtype=bool), groups)


def group_of_parameters(optimizer: Optimizer, names: Sequence[str]) -> NDArray[np.int64]:
    """Return the number of each parameter's group: the first whose pattern fits, or 0 where none does."""
    patterns = [group.parameters for group in optimizer.groups]
    for found in patterns:
        for pattern in found:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise ValueError(f"groups: no parameter fits {pattern!r}; there are {', '.join(names)}")
    fits = [[any(fnmatchcase(name, p) for p in found) for found in patterns] for name in names]
    return np.array([1 + row.index(True) if any(row) else 0 for row in fits], dtype=np.int64)

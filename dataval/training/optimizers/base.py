"""What an optimizer is: one update of (parameters, slots) and the pullback of that update.

Both are written with arithmetic only (``+ - * / **``), so that the same code runs on the arrays of any
framework, on one parameter vector ``(P,)``, on K of them ``(K, P)``, and on plain floats.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from pydantic import Field

from dataval.options import Options

__all__ = ["Array", "Optimizer", "Slots"]

Array = Any
Slots = tuple[Array, ...]


class Optimizer(Options, ABC):
    """One optimizer's hyperparameters, its update and the update's derivative.

    An optimizer is a frozen value: it keeps no state between updates. The state of a run is the pair
    (parameters, slots), and ``update`` maps it, a gradient and a learning rate to the next pair.

    Subclasses implement `init_slots`, `update` and `update_vjp`.
    """

    name: str
    learning_rate: float = Field(gt=0)

    linear: ClassVar[bool] = False
    """Whether the pullback depends on neither parameters, slots nor gradient (true of SGD).

    Then `update_vjp` may be called with floats for the cotangents and ``None`` for the rest, which
    turns the Hessian-free recursion into one on scalars.
    """

    @property
    @abstractmethod
    def n_slots(self) -> int:
        """Number of slot vectors, each of the parameters' shape (momentum: 1, Adam: 2)."""

    @property
    @abstractmethod
    def coupled_decay(self) -> float:
        """Weight decay that is added to the gradient, and so part of the objective that training minimises."""

    def init_slots(self, parameters: Array) -> Slots:
        """Return the slots before the first update: zeros in the parameters' shape."""
        return tuple(parameters * 0 for _ in range(self.n_slots))

    @abstractmethod
    def update(
        self, parameters: Array, slots: Slots, gradient: Array, learning_rate: float, step: int
    ) -> tuple[Array, Slots]:
        """Return the parameters and slots after update number `step` (counted from 0)."""

    @abstractmethod
    def update_vjp(
        self,
        parameters_bar: Array,
        slots_bar: Slots,
        parameters: Array,
        slots: Slots,
        gradient: Array,
        learning_rate: float,
        step: int,
    ) -> tuple[Array, Slots, Array]:
        """Pull a cotangent back through `update`.

        Parameters
        ----------
        parameters_bar, slots_bar
            Cotangents of the parameters and slots after the update.
        parameters, slots, gradient, learning_rate, step
            The arguments that `update` was called with.

        Returns
        -------
        parameters_bar, slots_bar, gradient_bar
            Cotangents of `update`'s first three arguments. The gradient is held fixed in the first:
            its own dependence on the parameters (the Hessian) is the caller's to add.
        """
